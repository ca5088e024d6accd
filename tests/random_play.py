"""Random games of any game, in batches, for the tests."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Game, State


def random_actions(key: jax.Array, legal: jax.Array) -> jax.Array:
    """One legal action for each row, int32 [B], from bool [B, A]."""
    return jax.random.categorical(key, jnp.where(legal, 0.0, -jnp.inf)).astype(jnp.int32)


def play(
    game: Game,
    games: int,
    plies: int,
    seed: int = 0,
    record: Callable[[State], Any] = lambda state: state,
    without: tuple[int, ...] = (),
) -> tuple[Any, np.ndarray]:
    """Random games; those that are over go on with steps from their terminal state.

    Args:
      games, plies: B and T.
      record: what to keep of a state.
      without: actions that are never chosen.

    Returns:
      What was recorded, leaves [T + 1, B, ...] on the host, and the actions, int32 [T, B].
    """
    chosen = jnp.ones(game.num_actions, bool).at[jnp.array(without, jnp.int32)].set(False)

    def ply(states: State, key: jax.Array) -> tuple[State, Any]:
        actions = random_actions(key, states.legal & chosen)
        after = jax.vmap(game.step)(states, actions, jax.random.split(key, games))
        return after, (jax.vmap(record)(after), actions)

    @jax.jit
    def run(key: jax.Array) -> tuple[Any, Any, jax.Array]:
        first = jax.vmap(game.init)(jax.random.split(key, games))
        _, (later, actions) = jax.lax.scan(ply, first, jax.random.split(key, plies))
        return jax.vmap(record)(first), later, actions

    first, later, actions = run(jax.random.key(seed))
    recorded = jax.tree.map(lambda one, rest: np.concatenate([np.asarray(one)[None], np.asarray(rest)]), first, later)
    return recorded, np.asarray(actions)
