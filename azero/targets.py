"""Trajectory -> Sample: what each position of self-play teaches."""

import jax
import jax.numpy as jnp

from azero.config import TargetConfig
from azero.replay import Sample
from azero.selfplay import Trajectory
from games.core import value_before


def value_targets(config: TargetConfig, trajectory: Trajectory, bootstrap: jax.Array) -> jax.Array:
    """TD(lambda) returns, for the player to move (Sutton 1988; lambda 1 is AlphaZero's outcome).

    A move drawn at random says nothing of its position, nor is there one where a game is cut off: there the target is
    the value that the search found, and the positions before lead back to it.

    Args:
      bootstrap: float32 [B], value of the positions after the last ply, for the players to move there.

    Returns:
      float32 [T, B].
    """
    mix = config.value_lambda

    def back(
        after: tuple[jax.Array, jax.Array], ply: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        target_after, value_after = after
        reward, discount, search_value, chosen = ply
        target = value_before(reward, discount, mix * target_after + (1 - mix) * value_after)
        target = jnp.where(chosen, target, search_value)
        return (target, search_value), target

    plies = (trajectory.reward, trajectory.discount, trajectory.search_value, trajectory.chosen)
    _, targets = jax.lax.scan(back, (bootstrap, bootstrap), plies, reverse=True)
    return targets


def samples(config: TargetConfig, trajectory: Trajectory, bootstrap: jax.Array) -> Sample:
    """All positions of a trajectory as samples [T * B]."""
    value = value_targets(config, trajectory, bootstrap)
    shaped = Sample(trajectory.position, trajectory.actions, trajectory.weights, value, trajectory.approval)
    return jax.tree.map(lambda leaf: leaf.reshape((value.size, *leaf.shape[2:])), shaped)
