"""What a search knows of the positions it searched."""

from typing import NamedTuple

import jax

from azero.search.cache import Cache


class Amplified(NamedTuple):
    """The amplified model's answers for B positions. Illegal moves have policy, visits and q of 0."""

    action: jax.Array  # int32 [B], the move chosen
    policy: jax.Array  # float32 [B, A], what to distil: visit distribution (PUCT) or improved policy (Gumbel)
    visits: jax.Array  # int32 [B, A], simulations through each root move
    q: jax.Array  # float32 [B, A], value of each move for the mover; a move never visited has the mixed value
    value: jax.Array  # float32 [B], value of the position for the player to move
    cache: Cache | None = None  # what the network has said by now, if the search was given a cache
