"""Exact knowledge of small games: tables of all positions, and a labelled set for Connect Four."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from games import tic_tac_toe
from games.connect import SHAPES, Shape, Stones, bits_from_stones, state_from_stones, stones_from_bits
from games.core import ILLEGAL, LabelledPositions, Oracle, State
from games.oracles import connect_four
from games.oracles.bitboards import Rules, connect_rules, moves_from, plies_played, tic_tac_toe_rules
from games.oracles.tables import CHUNK, POSITIONS, Table, cache_folder, cached_table, exact_moves

DECISIVE_SAMPLE = 5_000  # positions of a solved connect board that strength is measured on
SAMPLE_SEED = 4


class SolvedBoard(NamedTuple):
    """All positions of a solved game in which the game goes on, in order of plies, and what their moves lead to."""

    states: State  # leaves [N, ...], NumPy
    q: np.ndarray  # int8 [N, A], exact value of each move for the mover, ILLEGAL where there is none
    distance: np.ndarray  # int16 [N, A], plies to the end under best play, the move included; -1 where illegal
    child: np.ndarray  # int32 [N, A], row of the position after the move; -1 if the game is over then, or illegal
    won: np.ndarray  # bool [N, A], the move wins
    first_row: np.ndarray  # int64 [P + 1], rows of ply p: first_row[p] up to first_row[p + 1]


def tic_tac_toe_oracle() -> Oracle:
    """The exact value of every position. `positions()` are all 4,520 that play can reach, in order of plies."""
    return Oracle(positions=lambda: table_positions("tic_tac_toe"), q=functools.partial(_exact_q, "tic_tac_toe"))


def connect_oracle(name: str, shape: Shape) -> Oracle:
    """What is known about a connect game.

    Of connect_four_4x4 and connect_four_5x4 the exact value of every position: `positions()` is a sample, the same
    each time, of `DECISIVE_SAMPLE` from the decisive ones, in which the legal moves differ in value; all are as
    likely, so the sample has the plies that decisive positions have. Of connect_four a labelled set of decisive
    positions up to mirror image, and no `q`.

    Raises:
      ValueError: nothing is known about this game.
    """
    if SHAPES.get(name) != shape:
        raise ValueError(f"there is no oracle for {name!r} on a board of {shape}")
    if name == "connect_four":
        return Oracle(positions=_connect_four_positions, q=None)
    return Oracle(positions=functools.partial(_decisive_sample, name), q=functools.partial(_exact_q, name))


def table_positions(name: str) -> LabelledPositions:
    """All positions of a solved game in which the game goes on, in order of plies; leaves are NumPy arrays.

    Args:
      name: "tic_tac_toe", "connect_four_4x4" or "connect_four_5x4".
    """
    return _labelled(name, _table(name).keys)


def solved_board(name: str) -> SolvedBoard:
    """All positions of a solved game, with the way from each to the next.

    Args:
      name: "tic_tac_toe", "connect_four_4x4" or "connect_four_5x4".

    Raises:
      ValueError: there is no table of this game.
    """
    rules, table = _rules(name), _table(name)
    ply = plies_played(rules, table.keys)
    keys = table.keys[np.argsort(ply, kind="stable")]  # within a ply they stay ascending
    first_row = np.concatenate([[0], np.cumsum(np.bincount(ply))])
    q, distance = exact_moves(rules, table, keys)
    child = np.full(q.shape, -1, np.int32)
    won = np.zeros(q.shape, bool)
    for number, start in enumerate(first_row[:-1]):
        end = first_row[number + 1]
        after = keys[end : first_row[min(number + 2, len(first_row) - 1)]]
        for low in range(start, end, CHUNK):
            part = slice(low, min(low + CHUNK, end))
            moves = moves_from(rules, keys[part])
            won[part] = moves.won
            child[part][moves.goes_on] = end + np.searchsorted(after, moves.after[moves.goes_on])
    return SolvedBoard(_states(name, *rules.stones(keys)), q, distance, child, won, first_row)


@functools.cache
def _rules(name: str) -> Rules:
    if name not in POSITIONS:
        raise ValueError(f"there is no table of {name!r}; tables are {', '.join(POSITIONS)}")
    return tic_tac_toe_rules() if name == "tic_tac_toe" else connect_rules(name, SHAPES[name])


@functools.cache
def _table(name: str) -> Table:
    return cached_table(_rules(name), cache_folder() / "oracles")


def _decisive_sample(name: str) -> LabelledPositions:
    keys = np.random.default_rng(SAMPLE_SEED).permutation(_table(name).keys)
    found: list[np.ndarray] = []
    for start in range(0, len(keys), DECISIVE_SAMPLE):
        part = keys[start : start + DECISIVE_SAMPLE]
        values, _ = exact_moves(_rules(name), _table(name), part)
        found.append(part[connect_four.difficulty(values) != ""])
        if sum(map(len, found)) >= DECISIVE_SAMPLE:
            break
    return _labelled(name, np.concatenate(found)[:DECISIVE_SAMPLE])


def _labelled(name: str, keys: np.ndarray) -> LabelledPositions:
    """The positions with these keys, uint64 [M], put in order of plies."""
    rules = _rules(name)
    ply = plies_played(rules, keys)
    order = np.lexsort((keys, ply))
    values, _ = exact_moves(rules, _table(name), keys[order])
    states = _states(name, *rules.stones(keys[order]))
    return LabelledPositions(states, values, _sets(ply[order], rules.max_plies, values))


def _sets(plies: np.ndarray, max_plies: int, q: np.ndarray) -> np.ndarray:
    """str [M], "begin-easy" and so on; the stage alone where all moves keep the value."""
    stages, levels = connect_four.stage(plies, max_plies), connect_four.difficulty(q)
    return np.array([f"{stage}-{level}" if level else stage for stage, level in zip(stages, levels, strict=True)])


def _connect_four_positions() -> LabelledPositions:
    labels = connect_four.load_labels()
    keys = connect_four.key_after(labels.moves)
    q = connect_four.values_of(labels.scores)
    sets = _sets(connect_four.plies(keys), connect_four.RULES.max_plies, q)
    return LabelledPositions(_states("connect_four", *connect_four.RULES.stones(keys)), q, sets)


def _exact_q(name: str, states: State) -> tuple[np.ndarray, np.ndarray]:
    """`Oracle.q` of a solved game. Where a game is over, no move has a value."""
    rules, table = _rules(name), _table(name)
    goes_on = ~np.asarray(states.terminal)
    values = np.full((len(goes_on), rules.num_actions), ILLEGAL, np.int8)
    plies = np.full((len(goes_on), rules.num_actions), -1, np.int16)
    first, second = _bits(name, states)
    values[goes_on], plies[goes_on] = exact_moves(rules, table, rules.key(first, second)[goes_on])
    return values, plies


def _bits(name: str, states: State) -> tuple[np.ndarray, np.ndarray]:
    """The stones of player 0 and of player 1, uint64 [B] each."""
    if name == "tic_tac_toe":
        stones = np.asarray(states.board).astype(np.uint64)
        return stones[:, 0], stones[:, 1]
    return bits_from_stones(states.board)


def _states(name: str, first: np.ndarray, second: np.ndarray) -> State:
    """States [M], leaves NumPy arrays, from the stones of player 0 and of player 1, uint64 [M] each."""
    board: np.ndarray | Stones
    one: Callable[..., State]
    if name == "tic_tac_toe":
        board, one = np.stack([first, second], axis=-1).astype(np.uint32), tic_tac_toe.state_from_stones
    else:
        shape = SHAPES[name]
        board, one = stones_from_bits(shape, first, second), functools.partial(state_from_stones, shape)
    states: State = jax.device_get(jax.jit(jax.vmap(one))(board))
    return states
