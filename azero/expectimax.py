"""Expectimax: every line of play to a fixed depth, moves at their best and chances at their mean. No network.

A fixed player to measure others against in games whose rules say what chance does.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import Answer, Answers
from games.core import Chance, Game, State, value_before

Worth = Callable[[State], jax.Array]  # afterstate -> float32 [], what is still to come, for the player who moved


def nothing_more(afterstate: State) -> jax.Array:
    """Beyond the depth there is nothing: rewards alone decide."""
    del afterstate
    return jnp.zeros(())


def expectimax_q(game: Game, depth: int, worth: Worth = nothing_more) -> Callable[[State], jax.Array]:
    """The value of every move of one state, float32 [A] for the mover; -inf where it is illegal.

    Args:
      depth: moves that are looked at; what is worth something after the last of them says `worth`.

    Raises:
      ValueError: the rules do not say what chance does, or the depth is below 1.
    """
    if game.chance is None:
        raise ValueError(f"the rules of {game.name} do not say what chance does, so there is no expectimax of it")
    if depth < 1:
        raise ValueError(f"depth of expectimax must be 1 or more, not {depth}")
    chance: Chance = game.chance
    moves, outcomes = jnp.arange(game.num_actions), jnp.arange(chance.outcomes)

    def value(state: State, left: int) -> jax.Array:
        return jnp.where(state.terminal, 0.0, q(state, left).max())

    def expected(between: State, left: int) -> jax.Array:
        """Of what chance makes of an afterstate."""

        def of_outcome(outcome: jax.Array) -> jax.Array:
            reached = chance.happen(between, outcome)
            return value_before(reached.reward, reached.discount, value(reached, left))

        likely = chance.probabilities(between)
        return jnp.where(likely > 0, likely * jax.vmap(of_outcome)(outcomes), 0.0).sum()

    def q(state: State, left: int) -> jax.Array:
        def of_move(move: jax.Array) -> jax.Array:
            between = chance.after(state, move)
            follows = worth(between) if left == 1 else expected(between, left - 1)
            return value_before(between.reward, between.discount, follows)

        return jnp.where(state.legal, jax.vmap(of_move)(moves), -jnp.inf)

    return lambda state: q(state, depth)


def expectimax_answers(game: Game, depth: int, worth: Worth = nothing_more) -> Answers:
    """The best move of `expectimax_q`, the first of equals."""
    best = jax.jit(jax.vmap(expectimax_q(game, depth, worth)))

    def answers(states: State, key: jax.Array) -> Answer:
        del key
        q = np.asarray(best(states))
        action = q.argmax(axis=-1).astype(np.int32)
        return Answer(action, np.eye(game.num_actions, dtype=np.float32)[action], None, q.max(axis=-1))

    return answers
