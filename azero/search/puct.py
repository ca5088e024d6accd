"""AlphaZero's search: at every node the move of the best value plus a bonus for prior and few visits (PUCT).

Silver et al.: A general reinforcement learning algorithm that masters chess, shogi and Go through self-play (2018);
the growth of the bonus with the visits is that of its pseudo-code.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from azero.config import SearchConfig
from azero.network import Params
from azero.search.amplified import Amplified
from azero.search.gumbel import mixed_value
from azero.search.model import Model
from azero.search.simulate import make_simulate
from azero.search.tree import ILLEGAL, NONE, TINY, Algorithm, Node, Tree, pick, root_moves

C_BASE = 19652.0


def make_choose(config: SearchConfig) -> Callable[[Node], jax.Array]:
    """The choice at every node. Values of [-1, 1] count as [0, 1], and an untried move as `fpu` says."""

    def choose(node: Node) -> jax.Array:
        prior, visits, q = node.edges
        passed = 1 + visits.sum(axis=-1, dtype=jnp.int32)
        bonus = jnp.sqrt(passed) * (config.c_init + jnp.log((passed + C_BASE + 1) / C_BASE))
        score = (q + 1) / 2 + bonus[..., None] * prior / (visits + 1)
        first = (node.value + (visits * q).sum(axis=-1)) / passed if config.fpu == "parent" else -1.0
        return pick(node, score, (first + 1) / 2 + bonus * node.best_prior)

    return choose


def make_puct(config: SearchConfig, model: Model, explore: bool, stop_early: bool = False) -> Algorithm:
    """PUCT search.

    Args:
      explore: put Dirichlet noise into the root's prior, and draw the move by the visits instead of taking the first.
      stop_early: leave a position as soon as no further simulation can change its most visited move.
    """
    simulate = make_simulate(model, make_choose(config))

    def noisy_prior(prior: jax.Array, key: jax.Array) -> jax.Array:
        if not explore:
            return prior
        batch, actions = prior.shape
        alpha = jnp.full(actions, config.dirichlet_alpha or 10.0 / actions)
        noise = jax.random.dirichlet(jax.random.split(key, 3)[1], alpha, (batch,))
        share = config.dirichlet_fraction
        mixed = jnp.where(prior == ILLEGAL, 0, jnp.maximum((1 - share) * prior + share * noise, TINY))
        return jnp.where(prior == ILLEGAL, ILLEGAL, mixed / mixed.sum(axis=-1, keepdims=True))

    def search(tree: Tree, params: Params, key: jax.Array) -> tuple[Amplified, Tree]:
        draw_key, _, tree_key = jax.random.split(key, 3)
        batch = tree.size.shape[0]
        roots = jnp.arange(batch) * tree.room
        nowhere = jnp.full(batch, NONE)

        def going(number: jax.Array, tree: Tree) -> jax.Array:
            """bool [B], of the games whose move is open."""
            open_still = jnp.broadcast_to(number < config.simulations, batch)
            if not stop_early:
                return open_still
            visits = tree.node.edges.visits[roots]
            two = jax.lax.top_k(visits, 2)[0].astype(jnp.int32)
            several = (tree.untried[roots] != ILLEGAL).sum(axis=-1) > 1
            return open_still & several & (two[:, 0] - two[:, 1] <= config.simulations - number)

        def step(carry: tuple[jax.Array, jax.Array, Tree]) -> tuple[jax.Array, jax.Array, Tree]:
            number, active, tree = carry
            tree = simulate(tree, params, roots, nowhere, active, jax.random.fold_in(tree_key, number))[0]
            return number + 1, active & going(number + 1, tree), tree

        carry = (jnp.zeros((), jnp.int32), jnp.ones(batch, bool), tree)
        *_, tree = jax.lax.while_loop(lambda carry: carry[1].any(), step, carry)
        moves = root_moves(tree)
        _, visits, q = moves.node.edges
        policy = visits / jnp.maximum(visits.sum(axis=-1, keepdims=True), 1)
        q = jnp.where(visits > 0, q, jnp.where(moves.legal, mixed_value(moves.node)[:, None], 0))
        action = visits.argmax(axis=-1)
        if explore:
            action = jax.random.categorical(draw_key, jnp.log(jnp.maximum(policy, TINY)))
        return Amplified(action.astype(jnp.int32), policy, visits, q, (policy * q).sum(axis=-1)), tree

    return Algorithm(
        room=1 + model.nodes * config.simulations,
        edges=min(model.widest, config.simulations),
        outcomes=model.outcomes,
        prior=noisy_prior,
        search=search,
    )
