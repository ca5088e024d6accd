"""A learned reward inside the search: as the judge of its leaves, and in place of the rules' results."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from azero.network import Network
from azero.search import Evaluate
from games.core import Game, State

Judge = Callable[[Any, State], jax.Array]  # (reward networks, states [B]) -> values float32 [B] for the player to move


def judged_by(game: Game, network: Network, judge: Judge) -> Evaluate:
    """Leaves with the network's prior and the judge's value. Its params are a pair: the network's, and the judge's."""
    observe = jax.vmap(game.observe)

    def evaluate(params: Any, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        own, rewards = params
        logits, _ = network.apply(own, observe(states))
        return logits, judge(rewards, states)

    return evaluate


def unended(states: State) -> State:
    """Positions of `without_results` from those of the game itself, [...]."""
    ones = jnp.ones_like(states.discount)
    return State(
        states, states.to_play, states.legal, jnp.zeros_like(states.reward), -ones, jnp.zeros_like(states.terminal)
    )


def without_results(game: Game) -> Game:
    """The game as one sees it who does not know what its results are worth.

    Where the rules say that it is over, it stays as it is for ever, with no reward: such a position is worth what the
    judge of leaves says of it. A board is a State of the game itself.
    """

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        before: State = state.board
        after = game.step(before, action, key)
        same_player = before.terminal | (after.to_play == before.to_play)
        return unended(after)._replace(discount=jnp.where(same_player, 1.0, -1.0).astype(jnp.float32))

    return game._replace(
        init=lambda key: unended(game.init(key)),
        step=step,
        observe=lambda state: game.observe(state.board),
        oracle=None,
    )
