"""Overseers, H in IDA(H): programs that answer about a position without any network, and the games they play.

    random            any legal move
    rules             win in one; else leave the opponent no win in one; else block one; of these the most central
    negamax:depth=2   all lines of play to this depth, unknown values 0; all best moves alike

Each is a pure function of a batch of states, made of the game's own `step` alone, so it can be asked in thousands.
"""

import difflib
import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.options import read_options
from games.core import Game, State, rows_where, value_before

OPTIONS: dict[str, tuple[str, ...]] = {"random": (), "rules": (), "negamax": ("depth",)}
DEPTH = 2  # of negamax where its text does not say
DEEPEST = 4
MOST_LINES = 1_000_000  # lines of play tried for one position
MEMORY = 2**28  # bytes of the states that are tried at once

Judge = Callable[[State, jax.Array], tuple[jax.Array, jax.Array]]  # the same as Overseer.answers, for one state


class Overseer(NamedTuple):
    """A program that says which moves are good."""

    name: str  # the text that names it
    answers: Callable[[State, jax.Array], tuple[jax.Array, jax.Array]]
    # states [B], key -> policy float32 [B, A], sums to 1; q float32 [B, A], value of each move for the mover. Both are
    # 0 where a move is illegal. Jitted; one compilation for each B.


class Demonstrations(NamedTuple):
    """What somebody did in M positions, on the host, ordered by game and ply."""

    states: State  # leaves [M, ...], before the move
    actions: np.ndarray  # int32 [M], the moves made
    outcome: np.ndarray  # float32 [M], of the game for the player to move; NaN where it is not known
    games: np.ndarray  # int32 [M], the number of the position's game, from 0 without gaps
    skipped: int = 0  # games that could not be read


class Plies(NamedTuple):
    """One move in each of N games, leaves [N, ...] on the host."""

    games: np.ndarray  # int32, the number of each game
    states: State  # before the move
    actions: np.ndarray  # int32
    reward: np.ndarray  # float32, of the move, for its mover
    discount: np.ndarray  # float32, of the state after it


def make_overseer(text: str, game: Game) -> Overseer:
    """The overseer that a text names.

    Where chance has a part in the game, each line of play meets one of its outcomes.

    Args:
      text: "random", "rules", "negamax" or "negamax:depth=D" with D from 1 to 4.

    Raises:
      ValueError: one line: there is none of this name, an option is wrong, the game is not for two players, or it
        has so many moves that one position would take more than MOST_LINES lines of play.
    """
    name, options = _parse(text)
    if game.num_players != 2:
        raise ValueError(f"overseers judge games for two players, and {game.name} is not one")
    depth = {"random": 0, "rules": 2, "negamax": int(options.get("depth", DEPTH))}[name]
    if game.num_actions**depth > MOST_LINES:
        raise ValueError(
            f"{text} would try {game.num_actions**depth:,} lines of play for one position of {game.name}, "
            f"more than {MOST_LINES:,}"
        )
    judges = {"random": _random, "rules": lambda: _rules(game), "negamax": lambda: _negamax(game, depth)}
    return Overseer(text, _in_batches(game, judges[name](), depth))


def overseer_games(
    game: Game, overseer: Overseer, count: int, key: jax.Array, opening_plies: int = 0
) -> Demonstrations:
    """Games of an overseer against itself, its moves drawn from its policy.

    Args:
      opening_plies: a game begins with 0 to this many uniformly random moves, evenly, that do not end it; they are
        no demonstrations.

    Raises:
      ValueError: no games, or fewer than 0 plies.
    """
    if count < 1:
        raise ValueError(f"games of the overseer must be 1 or more, not {count}")
    if opening_plies < 0:
        raise ValueError(f"opening plies must be 0 or more, not {opening_plies}")

    @jax.jit
    def move(states: State, opening: jax.Array, key: jax.Array) -> tuple[jax.Array, State]:
        answer_key, move_key, step_key = jax.random.split(key, 3)
        policy = jnp.where(opening[:, None], states.legal, overseer.answers(states, answer_key)[0])
        actions = jax.random.categorical(move_key, jnp.log(policy)).astype(jnp.int32)
        after = jax.vmap(game.step)(states, actions, jax.random.split(step_key, count))
        stay = opening & after.terminal
        return actions, rows_where(stay, states, after)

    init_key, depth_key, key = jax.random.split(key, 3)
    states = jax.jit(jax.vmap(game.init))(jax.random.split(init_key, count))
    openings = np.asarray(jax.random.randint(depth_key, (count,), 0, opening_plies + 1))
    played = []
    for number in range(opening_plies + game.max_plies):
        over = np.asarray(states.terminal)
        if over.all():
            break
        before = states
        actions, states = move(before, openings > number, jax.random.fold_in(key, number))
        rows = np.flatnonzero((openings <= number) & ~over)
        if len(rows):
            played.append(plies(0, rows, before, actions, states))
    return gathered(played, np.full(count, np.nan, np.float32))


def plies(first: int, rows: np.ndarray, before: State, actions: jax.Array | np.ndarray, after: State) -> Plies:
    """The moves in some rows, int [N], of a batch of states [B] whose first row is the game of number `first`."""
    before, actions, reward, discount = jax.device_get((before, actions, after.reward, after.discount))
    states = jax.tree.map(lambda leaf: leaf[rows], before)
    return Plies((first + rows).astype(np.int32), states, np.asarray(actions)[rows], reward[rows], discount[rows])


def replayed(game: Game, moves: Sequence[Sequence[str]], first: int) -> tuple[list[Plies], dict[int, tuple[int, str]]]:
    """Plays written games side by side; chance always falls the same way.

    Args:
      moves: of each game, in its notation.
      first: the number of the first game.

    Returns:
      Their moves, and for the number of each game that holds an illegal one its ply, from 0, and the reason; the
      moves before that are there all the same.
    """
    start, step = _batched(game.init, game.step)
    # One size for all batches but of small files, so that one is compiled.
    states = start(jnp.arange(1 << (len(moves) - 1).bit_length()))
    played = []
    bad: dict[int, tuple[int, str]] = {}
    for ply in range(max(map(len, moves))):
        before = jax.device_get(states)
        actions = np.zeros(len(before.terminal), np.int32)
        rows = [row for row, texts in enumerate(moves) if ply < len(texts) and first + row not in bad]
        for row in rows:
            try:
                if before.terminal[row]:
                    raise ValueError(f"{moves[row][ply]} comes after the end of the game")
                state = jax.tree.map(lambda leaf, row=row: leaf[row], before)
                actions[row] = game.notation.action(state, moves[row][ply])
            except ValueError as error:
                bad[first + row] = ply, str(error)
        states = step(states, actions)
        played.append(plies(first, np.array(rows, np.int32), before, actions, states))
    return played, bad


@functools.cache
def _batched(init: Callable[..., State], step: Callable[..., State]) -> tuple[Callable[..., State], ...]:
    """First positions for int [B], and (states [B], actions int32 [B]) -> states."""
    key = jax.random.key(0)
    return jax.jit(jax.vmap(lambda _: init(key))), jax.jit(jax.vmap(lambda state, action: step(state, action, key)))


def gathered(
    played: Sequence[Plies], told: np.ndarray, without: Sequence[int] = (), skipped: int = 0
) -> Demonstrations:
    """The positions of games, in order of games.

    Args:
      played: the games' moves, those of each game in their order.
      told: float32 [games], what is said to be the outcome of each game for player 0; NaN leaves it to the rules.
      without: numbers of games to leave out.
      skipped: games that could not be read.
    """
    value = np.full(len(told), np.nan, np.float32)  # for the mover; nothing is known where a game breaks off
    outcomes = []
    for part in reversed(played):
        after = np.where(part.discount == 0, np.float32(0), value[part.games])
        value[part.games] = value_before(part.reward, part.discount, after)
        outcomes.append(value[part.games])
    every: Plies = jax.tree.map(lambda *leaves: np.concatenate(leaves), *played)
    said = told[every.games] * (1 - 2 * every.states.to_play)
    outcome = np.where(np.isnan(said), np.concatenate(outcomes[::-1]), said).astype(np.float32)
    order = np.argsort(every.games, kind="stable")
    order = order[~np.isin(every.games[order], without)]
    states = jax.tree.map(lambda leaf: leaf[order], every.states)
    numbers = np.unique(every.games[order], return_inverse=True)[1].astype(np.int32)
    return Demonstrations(states, every.actions[order], outcome[order], numbers, skipped)


def _parse(text: str) -> tuple[str, dict[str, str]]:
    """Name and options of "negamax:depth=2"."""
    name, colon, rest = text.partition(":")
    if name not in OPTIONS:
        near = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"overseers are {', '.join(OPTIONS)}"
        raise ValueError(f"unknown overseer {name!r}; {hint}")
    options = read_options(text, rest, OPTIONS[name]) if colon else {}
    depth = options.get("depth", str(DEPTH))
    if depth not in map(str, range(1, DEEPEST + 1)):
        raise ValueError(f"{text}: depth must be a whole number from 1 to {DEEPEST}, not {depth!r}")
    return name, options


def _in_batches(game: Game, judge: Judge, depth: int) -> Callable[[State, jax.Array], tuple[jax.Array, jax.Array]]:
    """Answers to any number of states, as many at once as the memory allows for lines of two moves."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    rows = max(1, MEMORY // (size * game.num_actions ** min(depth, 2)))

    @jax.jit
    def answers(states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        asked = states, jax.random.split(key, states.terminal.shape[0])
        if states.terminal.shape[0] <= rows:
            return jax.vmap(judge)(*asked)
        found: tuple[jax.Array, jax.Array] = jax.lax.map(lambda one: judge(*one), asked, batch_size=rows)
        return found

    return answers


def _random() -> Judge:
    """Every legal move alike, and no opinion on any."""

    def judge(state: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        return _evenly(state.legal), jnp.zeros(state.legal.shape, jnp.float32)

    return judge


def _negamax(game: Game, depth: int) -> Judge:
    def judge(state: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        q = _move_values(game, state, depth, key)
        best = jnp.where(state.legal, q, -jnp.inf)
        return _evenly(state.legal & (best == best.max())), q

    return judge


def _move_values(game: Game, state: State, depth: int, key: jax.Array) -> jax.Array:
    """Value of each move for the mover, float32 [A], by all lines of `depth` plies; 0 where it is illegal."""

    def value(action: jax.Array, key: jax.Array) -> jax.Array:
        step_key, below_key = jax.random.split(key)
        after = game.step(state, action, step_key)
        if depth == 1:
            return after.reward
        q = _move_values(game, after, depth - 1, below_key)
        return value_before(after.reward, after.discount, jnp.where(after.legal, q, -jnp.inf).max())

    moves = jnp.arange(game.num_actions), jax.random.split(key, game.num_actions)
    # Two plies side by side, those above them one after the other: that fills a machine, and bounds the memory.
    q = jax.vmap(value)(*moves) if depth <= 2 else jax.lax.map(lambda move: value(*move), moves)
    return jnp.where(state.legal, q, 0.0)


def _rules(game: Game) -> Judge:
    """Its q is that of negamax with depth 2: a win, a move that loses at once or to the next one, and 0 else.

    Where no move is safe, the opponent's winning moves are found without asking what he would do if he had the move,
    which a game cannot be asked: such a move wins for him after some other move of the mover, not only after itself
    (a stone below in Connect Four).
    """
    nearness = _nearness(game)

    def judge(state: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def look(action: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
            step_key, reply_key = jax.random.split(key)
            after = game.step(state, action, step_key)
            replies = _move_values(game, after, 1, reply_key)
            value = value_before(after.reward, after.discount, jnp.where(after.legal, replies, -jnp.inf).max())
            return after.reward, value, after.legal & (replies > 0) & (after.discount < 0)

        moves = jnp.arange(game.num_actions)
        reward, q, punished = jax.vmap(look)(moves, jax.random.split(key, game.num_actions))
        punished &= state.legal[:, None]
        threat = (punished & (moves[:, None] != moves)).any(0)  # of the opponent, at the start
        rungs = state.legal & jnp.stack([reward > 0, (reward >= 0) & ~punished.any(1), threat, jnp.ones_like(threat)])
        chosen = rungs[rungs.any(1).argmax()]  # the first rung that holds a move
        near = jnp.where(chosen, nearness, -jnp.inf)
        return _evenly(chosen & (near == near.max())), jnp.where(state.legal, q, 0.0)

    return judge


def _nearness(game: Game) -> jax.Array:
    """How near each action is to the centre, float32 [A]: by its column or its cell, else all alike."""
    height, width, _ = game.observation_shape
    columns = np.arange(width) - (width - 1) / 2
    rows = np.arange(height) - (height - 1) / 2
    distance: np.ndarray = np.zeros(game.num_actions)
    if game.num_actions == width:
        distance = columns**2
    elif game.num_actions in (height * width, height * width + 1):  # one beyond the cells: a pass or a swap, far off
        cells = (rows[:, None] ** 2 + columns**2).ravel()
        distance = np.append(cells, np.inf)[: game.num_actions]
    return jnp.asarray(np.maximum(-distance, np.finfo(np.float32).min), jnp.float32)


def _evenly(chosen: jax.Array) -> jax.Array:
    """The policy float32 [A] that takes each of the chosen, bool [A], as often."""
    return chosen / chosen.sum(dtype=jnp.float32)
