"""Random game trees: a position is a hash, and rules, logits and values are drawn from it, so that nothing ties."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from random_play import play

from azero.search import Evaluate
from games.core import Game, Notation, State, fixed_if_terminal, no_symmetries


class Kind(NamedTuple):
    """What one of the games in a random forest is like."""

    illegal: float = 0.3  # chance that a move is illegal; one at least is legal
    ends: float = 0.1  # chance that a move ends the game
    again: float = 0.0  # chance that who has moved moves again: the discount is then positive
    rewards: float = 0.0  # the largest reward in mid-game
    discount: float = 1.0  # what a value is worth one move earlier, but for its sign


ALTERNATE = Kind()
TWICE = Kind(again=0.5)
FEW_MOVES = Kind(illegal=0.8, again=0.3)
SHORT = Kind(ends=0.4)
ALONE = Kind(again=1.0, rewards=0.3, discount=0.9, ends=0.05)
WITHIN_ONE = (ALTERNATE, TWICE, FEW_MOVES, SHORT)  # returns are in [-1, 1]
ALL = (*WITHIN_ONE, ALONE)


class Place(NamedTuple):
    """The board."""

    hash: jax.Array  # uint32 []
    kind: jax.Array  # int32 [], which of the kinds; it stays in a game


def no_text(*_: object) -> str:
    """In place of a notation."""
    raise NotImplementedError("a made-up tree has no notation")


def drawn(place: jax.Array, salt: int | jax.Array) -> jax.Array:
    """float32 in [-1, 1), from a hash uint32 and a salt."""
    return (_mixed(place + jnp.uint32(salt)) >> 8).astype(jnp.float32) / 2.0**23 - 1.0


def _mixed(number: jax.Array) -> jax.Array:
    """Another uint32 for every uint32 (the end of MurmurHash3)."""
    number = (number ^ (number >> 16)) * jnp.uint32(0x85EBCA6B)
    number = (number ^ (number >> 13)) * jnp.uint32(0xC2B2AE35)
    return number ^ (number >> 16)


def make_toy(actions: int, kinds: tuple[Kind, ...] = ALL) -> tuple[Game, Evaluate]:
    """A game that begins as one of the kinds, and a judge of its positions: logits in [-2, 2], values in [-1, 1]."""
    moves = jnp.arange(actions)
    table = Kind(*(jnp.array(column, jnp.float32) for column in zip(*kinds, strict=True)))

    def legal(place: Place) -> jax.Array:
        number = drawn(place.hash, 1000 + moves)
        return (number > 2 * table.illegal[place.kind] - 1) | (number >= number.max())

    def init(key: jax.Array) -> State:
        number = jax.random.bits(key)
        place = Place(number, (number % len(kinds)).astype(jnp.int32))
        zero = jnp.zeros((), jnp.float32)
        return State(place, jnp.int32(0), legal(place), zero, zero, jnp.zeros((), bool))

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        del key
        kind = Kind(*(column[state.board.kind] for column in table))
        after = _mixed(state.board.hash * jnp.uint32(31) + action.astype(jnp.uint32) + 1)
        place = Place(after, state.board.kind)
        terminal = drawn(after, 1) < 2 * kind.ends - 1
        again = drawn(after, 2) < 2 * kind.again - 1
        return fixed_if_terminal(
            state,
            State(
                board=place,
                to_play=jnp.where(again, state.to_play, 1 - state.to_play),
                legal=legal(place) | terminal,
                reward=jnp.where(terminal, jnp.round(drawn(after, 3) * 1.49), kind.rewards * drawn(after, 4)),
                discount=jnp.where(terminal, 0.0, jnp.where(again, kind.discount, -kind.discount)),
                terminal=terminal,
            ),
        )

    def evaluate(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del params, key
        place = states.board.hash
        return 2 * drawn(place[:, None], 2000 + moves), drawn(place, 5)

    game = Game(
        name="toy",
        num_players=2,
        num_actions=actions,
        observation_shape=(1, 1, 1),
        max_plies=1000,
        init=init,
        step=step,
        observe=lambda state: drawn(state.board.hash, 6)[None, None, None],
        symmetries=no_symmetries(1, actions),
        notation=Notation(no_text, no_text, " ", no_text),
    )
    return game, evaluate


def roots(game: Game, count: int, plies: int, seed: int = 0) -> State:
    """Positions [B], one of each of as many random games of at most `plies`: any, and the last of every eighth game."""
    states, _ = play(game, count, plies, seed)
    length = np.where(states.terminal.any(axis=0), states.terminal.argmax(axis=0), plies)
    ply = np.random.default_rng(seed).integers(0, length + 1)
    ply[::8] = length[::8]
    picked: State = jax.tree.map(lambda leaf: jnp.asarray(leaf[ply, np.arange(count)]), states)
    return picked
