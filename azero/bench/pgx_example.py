"""The self-play loop of pgx's AlphaZero example, rebuilt from pgx and mctx calls: what azero's is measured against.

https://github.com/sotetsuk/pgx/tree/main/examples/alphazero. As there: environments with automatic reset, mctx's Gumbel
search, the positions, policies and rewards of a scan kept, and every device with its own games. Unlike there: azero's
network, so that both sides evaluate the same one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from azero.config import SearchConfig
from azero.network import Network, Params


def has_example(game: str) -> bool:
    """Whether pgx has this game."""
    import pgx

    return game in pgx.available_envs()


def make_example(
    game: str, config: SearchConfig, network: Network, plies: int
) -> tuple[Callable[[jax.Array], Any], Callable[[Params, Any, jax.Array], tuple[Any, Any]]]:
    """The loop for a game of pgx.

    Returns:
      keys [B] -> states [B], and (params, states [B], key) -> (states [B], what is kept of `plies` moves [T, B]).
    """
    import mctx
    import pgx
    from pgx.experimental import auto_reset

    env = pgx.make(game)

    def evaluate(params: Params, state: Any) -> tuple[jax.Array, jax.Array]:
        logits, value = network.apply(params, state.observation.astype(jnp.float32))
        logits = logits - logits.max(axis=-1, keepdims=True)
        return jnp.where(state.legal_action_mask, logits, jnp.finfo(logits.dtype).min), value

    def recurrent(params: Params, key: jax.Array, action: jax.Array, state: Any) -> tuple[Any, Any]:
        del key
        player = state.current_player
        state = jax.vmap(env.step)(state, action)
        logits, value = evaluate(params, state)
        reward = state.rewards[jnp.arange(action.shape[0]), player]
        value = jnp.where(state.terminated, 0.0, value)
        discount = jnp.where(state.terminated, 0.0, -1.0)
        output = mctx.RecurrentFnOutput(reward=reward, discount=discount, prior_logits=logits, value=value)
        return output, state

    def ply(params: Params, state: Any, key: jax.Array) -> tuple[Any, Any]:
        search_key, reset_key = jax.random.split(key)
        logits, value = evaluate(params, state)
        output = mctx.gumbel_muzero_policy(
            params=params,
            rng_key=search_key,
            root=mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state),
            recurrent_fn=recurrent,
            num_simulations=config.simulations,
            invalid_actions=~state.legal_action_mask,
            qtransform=mctx.qtransform_completed_by_mix_value,
            gumbel_scale=1.0,
        )
        keys = jax.random.split(reset_key, output.action.shape[0])
        after = jax.vmap(auto_reset(env.step, env.init))(state, output.action, keys)
        return after, (state.observation, output.action_weights, after.rewards, after.terminated)

    def play(params: Params, state: Any, key: jax.Array) -> tuple[Any, Any]:
        return jax.lax.scan(lambda carry, each: ply(params, carry, each), state, jax.random.split(key, plies))

    return jax.vmap(env.init), play
