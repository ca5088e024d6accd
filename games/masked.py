"""A game in which some lines are never completed: the moves that would are not allowed."""

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Game, State, fixed_if_terminal


def masked(game: Game, lines: np.ndarray) -> Game:
    """`game`, a board game whose observation begins with the planes of the mover and of the other, without some lines.

    A move that would complete one of the lines is illegal, for either player. A position with no other move is over,
    and drawn.

    Args:
      lines: int32 [L, length], cells numbered by rows from the top left.
    """

    def allowed(state: State) -> State:
        """The same position with its moves masked."""
        key = jax.random.key(0)  # these rules draw nothing
        after = jax.vmap(lambda action: game.observe(game.step(state, action, key)))(jnp.arange(game.num_actions))
        stones = after[..., 1].reshape(game.num_actions, -1) > 0.5
        legal = state.legal & ~stones[:, lines].all(axis=-1).any(axis=-1)
        stuck = ~state.terminal & ~legal.any()
        return state._replace(
            legal=jnp.where(state.terminal | stuck, True, legal),
            discount=jnp.where(stuck, 0.0, state.discount),
            terminal=state.terminal | stuck,
        )

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        return fixed_if_terminal(state, allowed(game.step(state, action, key)))

    return game._replace(init=lambda key: allowed(game.init(key)), step=step, oracle=None)
