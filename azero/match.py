"""Matches: two players, many games at once, every opening played with both colours."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import GIVEN_UP, NO_MOVE, Memory, Playing, forgetful
from azero.players import Player
from azero.score import MatchResult, match_result
from azero.selfplay import random_legal
from games.core import Game, State
from games.notation import play_moves

MOST_AT_ONCE = 512  # states in one call of a player: bounds the memory of its trees
MEMORY = 2**30  # bytes of what the players may keep of their games between moves
PAIRS_TO_DECIDE = 16  # pairs after which it is asked whether the match is decided


class Openings(NamedTuple):
    """P beginnings of games."""

    start: State  # leaves [P, ...], before the first move
    actions: Any  # int32 array [P, plies], NO_MOVE after the last of an opening
    states: State  # leaves [P, ...], after the moves


class Played(NamedTuple):
    """A game of a match."""

    pair: int  # number of its opening
    seat: int  # of the first of the two players: 0 where it moves first
    opening: int  # how many of the moves are the opening's
    moves: tuple[int, ...]
    points: float  # of the first of the two players: 1, 1/2 or 0
    given_up: str = ""  # why the loser gave it up or forfeited it


def play_match(
    game: Game,
    first: Player,
    second: Player,
    games: int,
    opening_plies: int = 4,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    openings: Openings | None = None,
    done: Sequence[Played] = (),
    record: Callable[[Played], None] | None = None,
    decided: Callable[[np.ndarray], bool] | None = None,
) -> MatchResult:
    """Plays `games` games between two players.

    Each opening is played twice, with the players exchanged, so what it is worth to a colour counts for both alike.

    Args:
      games: even, at least 2.
      opening_plies: an opening is 0 to so many uniformly random moves that do not end the game.
      progress: called after every ply with the games that have ended and their number.
      openings: in place of random ones, one for each pair of games.
      done: games that were played before.
      record: called with every game as soon as it has ended.
      decided: pair scores float [n] -> whether no more games are wanted.

    Raises:
      ValueError: an odd number of games, more than there are openings for, or a game that is not for two.
    """
    check_sizes(games, opening_plies)
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players")
    key = jax.random.key(seed)
    if openings is None:
        openings = random_openings(game, games // 2, opening_plies, jax.random.fold_in(key, 0))
    if games > 2 * len(openings.actions):
        count = len(openings.actions)
        raise ValueError(f"there are {count} openings, enough for {2 * count} games, not for {games}")
    over = {(one.pair, one.seat): one for one in done if one.pair < games // 2}

    def tell(more: int) -> None:
        if progress:
            progress(len(over) + more, games)

    def enough() -> bool:
        return decided is not None and decided(_points(over).mean(axis=1))

    missing = [pair for pair in range(games // 2) if not {(pair, 0), (pair, 1)} <= over.keys()]
    size = _pairs_at_once((first, second), openings)
    if decided is not None:
        size = min(size, PAIRS_TO_DECIDE)
    parts = -(-len(missing) // size)
    for part in np.array_split(np.array(missing, int), parts) if parts else ():
        if enough():
            break
        rows = [(pair, seat) for seat in (0, 1) for pair in part.tolist() if (pair, seat) not in over]
        ended = _play(game, (first, second), openings, rows, key, record, tell)
        over |= {(one.pair, one.seat): one for one in ended}
    points = _points(over)
    lost = [one.points for one in over.values() if one.given_up]
    different = {openings.actions[pair].tobytes() for pair, _ in over}
    return match_result(points[:, 0], points[:, 1])._replace(
        gave_up=(lost.count(0.0), lost.count(1.0)), openings=len(different)
    )


def check_sizes(games: int, opening_plies: int) -> None:
    """ValueError for sizes that no match has."""
    if games < 2 or games % 2:
        raise ValueError(f"games must be an even number from 2 on (each opening is played twice), not {games}")
    if opening_plies < 0:
        raise ValueError(f"opening plies must be 0 or more, not {opening_plies}")


def _points(over: dict[tuple[int, int], Played]) -> np.ndarray:
    """Points of the first player, float64 [pairs, 2]: where it moved first, and second; of whole pairs."""
    pairs = sorted(pair for pair, seat in over if seat == 0 and (pair, 1) in over)
    return np.array([[over[pair, 0].points, over[pair, 1].points] for pair in pairs]).reshape(-1, 2)


def _pairs_at_once(players: tuple[Player, Player], openings: Openings) -> int:
    """How many pairs of games the players gain by, and the memory allows; all where they keep nothing."""
    pair = jax.tree.map(lambda leaf: leaf[:1].repeat(2, axis=0), openings.start)
    kept = [jax.eval_shape(player.playing.begin, pair) for player in players if player.playing]
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))
    wanted = [player.playing.at_once // 2 for player in players if player.playing and player.playing.at_once]
    return max(1, min([len(openings.actions), MEMORY // max(size, 1), *wanted]))


def random_openings(game: Game, count: int, plies: int, key: jax.Array) -> Openings:
    """`count` openings of 0 to `plies` random moves, evenly; a move that would end its game is left out."""
    found = _opener(game.init, game.step, plies)(jax.random.split(key, count))
    return found._replace(actions=np.asarray(found.actions))


@functools.cache
def _opener(init: Callable[..., State], step: Callable[..., State], plies: int) -> Callable[[jax.Array], Openings]:
    def open_game(key: jax.Array) -> Openings:
        init_key, depth_key, moves_key = jax.random.split(key, 3)
        depth = jax.random.randint(depth_key, (), 0, plies + 1)
        first = init(init_key)

        def ply(state: State, number: jax.Array) -> tuple[State, jax.Array]:
            move_key, step_key = jax.random.split(jax.random.fold_in(moves_key, number))
            action = random_legal(state.legal, move_key)
            after = step(state, action, step_key)
            stay = after.terminal | (number >= depth)
            state = jax.tree.map(functools.partial(jnp.where, stay), state, after)
            return state, jnp.where(stay, NO_MOVE, action)

        state, actions = jax.lax.scan(ply, first, jnp.arange(plies))
        return Openings(first, actions.astype(jnp.int32), state)

    return jax.jit(jax.vmap(open_game))


def read_openings(game: Game, lines: Iterable[str]) -> Openings:
    """The openings of a file, one a line: moves as in `azero analyze`, a blank line for none.

    Raises:
      ValueError: the first bad line by its number: a move cannot be read or is illegal, or the game is over.
    """
    started, played, states = [], [], []
    for number, line in enumerate(lines, start=1):
        try:
            passed, made = play_moves(game, line.partition("#")[0].strip())
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if bool(passed[-1].terminal):
            raise ValueError(f"line {number}: the game is over")
        started.append(passed[0])
        states.append(passed[-1])
        played.append(made)
    if not played:
        raise ValueError("there are no openings")
    actions = np.full((len(played), max(map(len, played))), NO_MOVE, np.int32)
    for row, moves in enumerate(played):
        actions[row, : len(moves)] = moves
    start, after = (jax.tree.map(lambda *leaves: np.stack(leaves), *some) for some in (started, states))
    return Openings(start, actions, after)


def _play(
    game: Game,
    players: tuple[Player, Player],
    openings: Openings,
    rows: Sequence[tuple[int, int]],
    key: jax.Array,
    record: Callable[[Played], None] | None,
    tell: Callable[[int], None],
) -> list[Played]:
    """Plays games side by side to their ends.

    Args:
      rows: of each game the number of its opening, and the seat of the first of the players.
      tell: called with the number of games that have ended.
    """
    pairs, seats = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    size = min(-(-count // 2), MOST_AT_ONCE)
    states: State = jax.tree.map(lambda leaf: leaf[pairs], openings.start)
    playing = [player.playing or forgetful(player.answers) for player in players]
    memories = [each.begin(states) for each in playing]
    moves: list[list[int]] = [[] for _ in rows]
    total = np.zeros(count)  # rewards of the first player
    reasons = [""] * count
    ended: dict[int, Played] = {}
    chances = jax.random.fold_in(key, 1 + int(pairs[0]))

    def make(actions: np.ndarray, step_key: jax.Array) -> None:
        nonlocal states, memories
        mover = np.asarray(states.to_play)
        states = _stepper(game.step)(states, actions, pairs, step_key)
        memories = [each.moved(memory, actions) for each, memory in zip(playing, memories, strict=True)]
        rewards = np.asarray(states.reward) * np.where(mover == seats, 1, -1)
        for row in np.flatnonzero(actions >= 0).tolist():
            moves[row].append(int(actions[row]))
            total[row] += rewards[row]

    for ply in range(openings.actions.shape[1]):
        make(openings.actions[pairs, ply], jax.random.fold_in(chances, ply))
    begun = [len(line) for line in moves]
    given_up = np.zeros(count, bool)
    for ply in range(openings.actions.shape[1], openings.actions.shape[1] + game.max_plies + 1):
        over = np.asarray(states.terminal) | given_up
        for row in np.flatnonzero(over).tolist():
            if row not in ended:
                points = (np.sign(total[row]) + 1) / 2
                ended[row] = Played(*rows[row], begun[row], tuple(moves[row]), float(points), reasons[row])
                if record:
                    record(ended[row])
        tell(len(ended))
        if over.all():
            break
        mine = np.asarray(states.to_play) == seats
        ply_key = jax.random.fold_in(chances, ply)
        actions = np.full(count, NO_MOVE, np.int32)
        for number, asked in enumerate((mine & ~over, ~mine & ~over)):
            if asked.any():
                ask = answers_in_batches(playing[number], size, fill=not players[number].person)
                games = np.flatnonzero(asked)
                found = ask(memories[number], states, jax.random.fold_in(ply_key, number), games)
                actions[games], why, memories[number] = found
                for row, reason in zip(games.tolist(), why, strict=True):
                    if actions[row] == GIVEN_UP:
                        given_up[row], reasons[row], total[row] = True, reason, 1 if number else -1
        make(actions, jax.random.fold_in(ply_key, 2))
    return list(ended.values())


def answers_in_batches(
    playing: Playing, size: int, fill: bool = True
) -> Callable[[Memory, State, jax.Array, np.ndarray], tuple[np.ndarray, list[str], Memory]]:
    """Moves in any number of games, asked for `size` at a time, so that one size is compiled.

    Args:
      fill: the last batch is filled up with nobody's games.

    Returns:
      (memory, states [B], key, games int [N]) -> (moves int32 [N], why a game is given up [N], memory).
    """

    def ask(memory: Memory, states: State, key: jax.Array, games: np.ndarray) -> tuple[np.ndarray, list[str], Memory]:
        parts, reasons = [], []
        for number, start in enumerate(range(0, len(games), size)):
            part = games[start : start + size]
            nobody = len(states.terminal)
            filled = np.pad(part, (0, size - len(part)), constant_values=nobody) if fill else part
            answer, memory = playing.answer(memory, states, jax.random.fold_in(key, number), filled)
            parts.append(answer.action[: len(part)])
            reasons += (answer.reasons or [""] * len(part))[: len(part)]
        return np.concatenate(parts), reasons, memory

    return ask


@functools.cache
def _stepper(step: Callable[..., State]) -> Callable[[State, np.ndarray, np.ndarray, jax.Array], State]:
    """(states [B], actions int32 [B] or NO_MOVE, pairs [B], key) -> states [B]; a pair's games get the same chance."""

    @jax.jit
    def step_all(states: State, actions: jax.Array, pairs: jax.Array, key: jax.Array) -> State:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, pairs)
        after = jax.vmap(step)(states, jnp.maximum(actions, 0), keys)
        stay = actions == NO_MOVE

        def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
            return jnp.where(stay.reshape(-1, *[1] * (new.ndim - 1)), old, new)

        return jax.tree.map(chosen, states, after)

    return step_all
