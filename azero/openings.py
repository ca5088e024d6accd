"""Beginnings of games: random ones, and those of a file."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import NO_MOVE
from azero.selfplay import random_legal
from games.core import Game, State
from games.notation import play_moves


class Openings(NamedTuple):
    """P beginnings of games."""

    actions: Any  # int32 array [P, plies], NO_MOVE after the last of an opening
    states: State  # leaves [P, ...], after the moves


def random_openings(game: Game, count: int, plies: int, key: jax.Array) -> Openings:
    """`count` openings of 0 to `plies` random moves, evenly; a move that would end its game is left out.

    Where there is chance, it alone begins the games.
    """
    plies = 0 if game.chance else plies
    actions, states = _opener(game.init, game.step, plies)(jax.random.split(key, count))
    return Openings(np.asarray(actions), states)


@functools.cache
def _opener(init: Callable[..., State], step: Callable[..., State], plies: int) -> Callable[[jax.Array], Openings]:
    def open_game(key: jax.Array) -> Openings:
        init_key, depth_key, moves_key = jax.random.split(key, 3)
        depth = jax.random.randint(depth_key, (), 0, plies + 1)

        def ply(state: State, number: jax.Array) -> tuple[State, jax.Array]:
            move_key, step_key = jax.random.split(jax.random.fold_in(moves_key, number))
            action = random_legal(state.legal, move_key)
            after = step(state, action, step_key)
            stay = after.terminal | (number >= depth)
            state = jax.tree.map(functools.partial(jnp.where, stay), state, after)
            return state, jnp.where(stay, NO_MOVE, action)

        state, actions = jax.lax.scan(ply, init(init_key), jnp.arange(plies))
        return Openings(actions.astype(jnp.int32), state)

    return jax.jit(jax.vmap(open_game))


def read_openings(game: Game, lines: Iterable[str]) -> Openings:
    """The openings of a file, one a line: moves as in `azero analyze`, a blank line for none.

    What follows # is a comment; a line that is a comment alone is passed over.

    Raises:
      ValueError: the first bad line by its number: a move cannot be read or is illegal, or the game is over; or there
        is chance in the game.
    """
    if game.chance:
        raise ValueError(f"moves alone do not say how a game of {game.name} began")
    played, states = [], []
    for number, line in enumerate(lines, start=1):
        text, comment, _ = line.partition("#")
        if comment and not text.strip():
            continue
        try:
            passed, made = play_moves(game, text.strip())
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if bool(passed[-1].terminal):
            raise ValueError(f"line {number}: the game is over")
        states.append(passed[-1])
        played.append(made)
    if not played:
        raise ValueError("there are no openings")
    actions = np.full((len(played), max(map(len, played))), NO_MOVE, np.int32)
    for row, moves in enumerate(played):
        actions[row, : len(moves)] = moves
    return Openings(actions, jax.tree.map(lambda *leaves: np.stack(leaves), *states))
