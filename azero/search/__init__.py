"""AMPLIFY: a tree search that turns a policy-value network into a stronger player."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from azero.config import SearchConfig
from azero.network import Network, Params
from azero.search.amplified import Amplified, Evaluate
from azero.search.gumbel import make_gumbel
from azero.search.puct import make_puct
from azero.search.reuse import Kept, Planner, main_line, make_kept_search
from azero.search.tree import plant, priors
from games.core import Game, State

Search = Callable[[Params, State, jax.Array], Amplified]

__all__ = [
    "Amplified",
    "Evaluate",
    "Kept",
    "Planner",
    "Search",
    "main_line",
    "make_kept_search",
    "make_search",
    "make_tree_search",
    "network_evaluate",
]


def make_search(config: SearchConfig, game: Game, network: Network, explore: bool, stop_early: bool = False) -> Search:
    """The search that amplifies a network: (params, states [B], key) -> Amplified [B].

    Args:
      config: the algorithm and its settings.
      game: the rules that the tree is searched with.
      network: prior and value of the leaves.
      explore: self-play's noise (Gumbel noise, or Dirichlet noise and sampled moves); without it the same
        states give the same moves.
      stop_early: leave a position as soon as no further simulation can change its move; backend mctx never does.
    """
    return make_tree_search(config, game, network_evaluate(game, network), explore, stop_early)


def network_evaluate(game: Game, network: Network) -> Evaluate:
    """The network as the judge of leaves."""
    observe = jax.vmap(game.observe)

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        logits, value = network.apply(params, observe(states))
        return logits, value + 0.0 * logits.sum(axis=-1)  # where a logit is not a number the value is none either

    return evaluate


def make_tree_search(
    config: SearchConfig, game: Game, evaluate: Evaluate, explore: bool, stop_early: bool = False
) -> Search:
    """The same search with any judge of leaves, such as random playouts."""
    if config.backend == "mctx":
        from azero.search.mctx_backend import make_mctx_search

        return make_mctx_search(config, game, evaluate, explore)
    make = make_gumbel if config.algorithm == "gumbel" else make_puct
    algorithm = make(config, game, evaluate, explore, stop_early)

    def search(params: Params, states: State, key: jax.Array) -> Amplified:
        root_key, tree_key = jax.random.split(key)
        logits, value = evaluate(params, states, root_key)
        prior = algorithm.prior(priors(logits, states.legal), tree_key)
        tree = plant(states, prior, jnp.where(states.terminal, 0.0, value), algorithm.room, algorithm.edges)
        return algorithm.search(tree, params, tree_key)[0]

    return search
