"""Gumbel and PUCT search through mctx. The only importer of mctx."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mctx

from azero.config import SearchConfig
from azero.network import Params
from azero.search.amplified import Amplified
from azero.search.model import Model
from games.core import State

LOWEST = jnp.finfo(jnp.float32).min


def make_mctx_search(config: SearchConfig, model: Model, explore: bool) -> Callable[..., Amplified]:
    """The search of `azero.search.make_tree_search`, on mctx."""

    def masked(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Prior logits [B, A], the lowest number where illegal, and values [B], 0 where the game is over."""
        logits, value = model.evaluate(params, states, key)
        logits = logits - logits.max(axis=-1, keepdims=True)
        return jnp.where(states.legal, logits, LOWEST), jnp.where(states.terminal, 0.0, value)

    def recurrent(params: Params, key: jax.Array, actions: jax.Array, states: State) -> tuple[Any, State]:
        step_key, leaf_key = jax.random.split(key)
        states = model.step(params, states, actions, step_key)
        logits, value = masked(params, states, leaf_key)
        return mctx.RecurrentFnOutput(
            reward=states.reward, discount=states.discount, prior_logits=logits, value=value
        ), states

    policy = _gumbel(config, explore) if config.algorithm == "gumbel" else _puct(config, model.num_actions, explore)

    def search(params: Params, states: State, key: jax.Array, cache: None = None) -> Amplified:
        del cache  # there is none, see `empty_cache`
        root_key, tree_key = jax.random.split(key)
        states = model.root(params, states)
        logits, value = masked(params, states, root_key)
        output = policy(
            params=params,
            rng_key=tree_key,
            root=mctx.RootFnOutput(prior_logits=logits, value=value, embedding=states),
            recurrent_fn=recurrent,
            num_simulations=config.simulations,
            invalid_actions=~states.legal,
        )
        return _amplified(output, states.legal, value, config.algorithm)

    return search


def _gumbel(config: SearchConfig, explore: bool) -> Callable[..., Any]:
    return functools.partial(
        mctx.gumbel_muzero_policy,
        max_num_considered_actions=config.considered,
        gumbel_scale=1.0 if explore else 0.0,
        qtransform=functools.partial(
            mctx.qtransform_completed_by_mix_value,
            value_scale=config.value_scale,
            maxvisit_init=config.maxvisit_init,
            rescale_values=config.rescale_values,
        ),
    )


def _puct(config: SearchConfig, actions: int, explore: bool) -> Callable[..., Any]:
    return functools.partial(
        mctx.muzero_policy,
        # mctx's default rescales by the parent and siblings, and misses most mates in one; values are in [-1, 1].
        qtransform=functools.partial(mctx.qtransform_by_min_max, min_value=-1.0, max_value=1.0),
        dirichlet_fraction=config.dirichlet_fraction if explore else 0.0,
        dirichlet_alpha=config.dirichlet_alpha or 10.0 / actions,
        pb_c_init=config.c_init,
        temperature=1.0 if explore else 0.0,
    )


def _amplified(output: Any, legal: jax.Array, value: jax.Array, algorithm: str) -> Amplified:
    """Reads the root of a finished tree.

    The value of the position is what its policy expects of its moves, where a move never visited counts as the mix
    of the network's value and the visited moves' (Danihelka et al. 2022, appendix D). The root's own mean would
    count every bad move that was tried.
    """
    summary = output.search_tree.summary()
    visits = jnp.where(legal, summary.visit_counts, 0).astype(jnp.int32)
    prior = jax.nn.softmax(output.search_tree.children_prior_logits[:, 0]) * (visits > 0)
    visited_q = (prior * summary.qvalues).sum(-1) / jnp.maximum(prior.sum(-1), 1e-8)
    total = visits.sum(-1)
    mix = (value + total * visited_q) / (1 + total)
    q = jnp.where(visits > 0, summary.qvalues, mix[:, None])
    policy = jnp.where(legal, output.action_weights, 0.0)
    if algorithm == "puct":  # at temperature 0 mctx's weights are the move alone; the visits stay what was searched
        policy = visits / jnp.maximum(total, 1)[:, None]
    return Amplified(
        action=output.action.astype(jnp.int32),
        policy=policy,
        visits=visits,
        q=jnp.where(legal, q, 0.0),
        value=(policy * q).sum(-1),
    )
