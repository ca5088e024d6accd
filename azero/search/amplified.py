"""What a search asks of a leaf, and what it knows of the positions it searched."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from azero.network import Params
from games.core import State

Evaluate = Callable[[Params, State, jax.Array], tuple[jax.Array, jax.Array]]
# (params, states [B], key) -> logits float32 [B, A] over all actions, legal or not,
# and values float32 [B] for the player to move


class Amplified(NamedTuple):
    """The amplified model's answers for B positions. Illegal moves have policy, visits and q of 0."""

    action: jax.Array  # int32 [B], the move chosen
    policy: jax.Array  # float32 [B, A], what to distil: visit distribution (PUCT) or improved policy (Gumbel)
    visits: jax.Array  # int32 [B, A], simulations through each root move
    q: jax.Array  # float32 [B, A], value of each move for the mover; a move never visited has the mixed value
    value: jax.Array  # float32 [B], value of the position for the player to move
