"""AMPLIFY: a tree search that turns a policy-value network into a stronger player."""

from collections.abc import Callable

import jax

from azero.config import SearchConfig
from azero.network import Network, Params
from azero.search.amplified import Amplified, Evaluate
from azero.search.mctx_backend import make_mctx_search
from games.core import Game, State

Search = Callable[[Params, State, jax.Array], Amplified]

__all__ = ["Amplified", "Evaluate", "Search", "make_search", "make_tree_search"]


def make_search(config: SearchConfig, game: Game, network: Network, explore: bool) -> Search:
    """The search that amplifies a network: (params, states [B], key) -> Amplified [B].

    Args:
      config: the algorithm and its settings.
      game: the rules that the tree is searched with.
      network: prior and value of the leaves.
      explore: self-play's noise (Gumbel noise, or Dirichlet noise and sampled moves); without it the same
        states give the same moves.
    """
    observe = jax.vmap(game.observe)

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        return network.apply(params, observe(states))

    return make_tree_search(config, game, evaluate, explore)


def make_tree_search(config: SearchConfig, game: Game, evaluate: Evaluate, explore: bool) -> Search:
    """The same search with any judge of leaves, such as random playouts."""
    return make_mctx_search(config, game, evaluate, explore)
