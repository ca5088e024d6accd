"""AMPLIFY: a tree search that turns a policy-value network into a stronger player."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from azero.checks import check_search
from azero.config import SearchConfig
from azero.network import Network, Params
from azero.search.amplified import Amplified
from azero.search.cache import Cache, empty_cache
from azero.search.gumbel import make_gumbel
from azero.search.model import Evaluate, Model, by_network, by_rules, network_evaluate
from azero.search.puct import make_puct
from azero.search.reuse import Kept, Planner, main_line, make_kept_search
from azero.search.tree import plant, priors
from games.core import Game, State

Search = Callable[..., Amplified]  # params, states [B], key and, if there is one, a cache

__all__ = [
    "Amplified",
    "Cache",
    "Evaluate",
    "Kept",
    "Model",
    "Planner",
    "Search",
    "by_network",
    "by_rules",
    "empty_cache",
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
      game: the rules that the tree is searched with, unless the network has dynamics of its own.
      network: prior and value of the leaves.
      explore: self-play's noise (Gumbel noise, or Dirichlet noise and sampled moves); without it the same
        states give the same moves.
      stop_early: leave a position as soon as no further simulation can change its move; backend mctx never does.

    Raises:
      ValueError: the config names no search.
    """
    return make_tree_search(config, by_network(game, network), explore, stop_early)


def make_tree_search(config: SearchConfig, model: Model, explore: bool, stop_early: bool = False) -> Search:
    """The same search with any model, such as the rules and random playouts."""
    check_search(config)
    if config.backend == "mctx":
        if model.chance:
            raise ValueError("search.backend mctx does not weigh what chance does; azero does, so take that")
        from azero.search.mctx_backend import make_mctx_search

        return make_mctx_search(config, model, explore)
    make = make_gumbel if config.algorithm == "gumbel" else make_puct
    algorithm = make(config, model, explore, stop_early)

    def search(params: Params, states: State, key: jax.Array, cache: Cache | None = None) -> Amplified:
        root_key, tree_key = jax.random.split(key)
        roots = model.root(params, states)
        everywhere = jnp.ones(roots.terminal.shape, bool)
        cache, logits, value = model.judge(cache, params, roots, everywhere, root_key)
        prior = algorithm.prior(priors(logits, roots.legal), tree_key)
        value = jnp.where(roots.terminal, 0.0, value)
        tree = plant(roots, prior, value, algorithm.room, algorithm.edges, algorithm.outcomes)
        amplified, tree = algorithm.search(tree._replace(cache=cache), params, tree_key)
        return amplified._replace(cache=tree.cache)

    return search
