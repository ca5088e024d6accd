"""A game without rules, whose trees have the shapes of real ones.

A position is a hash and a value. The prior logits are drawn from a table with a standard deviation of 2, and the value
drifts from a position to the next by 0.1, with the sign turned. With 7 actions, mean depths are 1.9, 4.0 and 5.6 at
16, 64 and 128 simulations (Gumbel); Connect Four with a trained network has 1.9, 4.1 and 5.7.

The same hash and value go beside the rules of a real game, so that what is searched hardly depends on what is
measured. A network with fresh parameters would search broad trees that no trained one searches.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from azero.network import Network, Params
from azero.openings import random_openings
from azero.search import Evaluate
from games.core import Game, State, no_symmetries

ENTRIES = 1024  # of the tables
LOGIT_SPREAD, DRIFT = 2.0, 0.1
NETWORK_SHARE = 0.1  # of the network's own answers in what the search is told
OPENING = 16  # random plies before a position


class Board(NamedTuple):
    """A position of a real game, or nothing, and the toy's beside it."""

    rules: Any
    hash: jax.Array  # uint32 []
    value: jax.Array  # float32 [], for the player to move


def _drift() -> jax.Array:
    return jax.random.normal(jax.random.key(2), (ENTRIES,)) * DRIFT


def _onward(board: Board, rules: Any, action: jax.Array, drift: jax.Array) -> Board:
    mixed = board.hash * jnp.uint32(2_654_435_761) + action.astype(jnp.uint32) * jnp.uint32(40_503) + jnp.uint32(12_345)
    mixed = mixed ^ (mixed >> 15)
    return Board(rules, mixed, jnp.clip(drift[mixed % ENTRIES] - board.value, -1, 1))


def toy_game(actions: int) -> Game:
    """The toy alone: every move is legal and no game ends."""
    drift = _drift()

    def state(board: Board, to_play: jax.Array) -> State:
        legal, going_on = jnp.ones(actions, bool), jnp.zeros((), bool)
        return State(board, to_play, legal, jnp.float32(0), jnp.float32(-1), going_on)

    def init(key: jax.Array) -> State:
        return state(Board((), jax.random.bits(key), jnp.float32(0)), jnp.int32(0))

    def step(before: State, action: jax.Array, key: jax.Array) -> State:
        del key
        return state(_onward(before.board, (), action, drift), 1 - before.to_play)

    def observe(state: State) -> jax.Array:
        return jnp.reshape(state.board.value, (1, 1, 1))

    # It is searched and neither trained on nor written down.
    notation: Any = None
    return Game("toy", 2, actions, (1, 1, 1), 512, init, step, observe, no_symmetries(1, actions), notation)


def with_toy(game: Game) -> Game:
    """A real game with the toy's hash and value beside its board."""
    drift = _drift()

    def bare(state: State) -> State:
        return state._replace(board=state.board.rules)

    def init(key: jax.Array) -> State:
        first = game.init(key)
        return first._replace(board=Board(first.board, jax.random.bits(key), jnp.float32(0)))

    def step(before: State, action: jax.Array, key: jax.Array) -> State:
        after = game.step(bare(before), action, key)
        return after._replace(board=_onward(before.board, after.board, action, drift))

    return game._replace(init=init, step=step, observe=lambda state: game.observe(bare(state)))


def toy_evaluate(actions: int) -> Evaluate:
    """The toy's prior and value."""
    table = jax.random.normal(jax.random.key(1), (ENTRIES, actions)) * LOGIT_SPREAD

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del params, key
        return table[states.board.hash % ENTRIES], states.board.value

    return evaluate


def network_beside(game: Game, network: Network) -> Evaluate:
    """The network is asked, and its answers are mixed into the toy's."""
    toy = toy_evaluate(game.num_actions)
    observe = jax.vmap(game.observe)

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, value = network.apply(params, observe(states))
        toy_logits, toy_value = toy(params, states, key)
        value = jnp.clip(toy_value + NETWORK_SHARE * value, -1, 1)
        return toy_logits + NETWORK_SHARE * logits, value

    return evaluate


def positions(game: Game, batch: int) -> State:
    """Positions [B] after 0 to OPENING random moves, none of them at the end of a game."""
    return random_openings(game, batch, OPENING, jax.random.key(3)).states
