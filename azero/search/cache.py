"""The evaluation cache: while a network stays as it is, no position need be shown to it twice.

Searches come to the same positions over and over: by other orders of moves, in the search of the move before, in
another game of the batch. What the network said of a position is kept under the whole state, compared bit for bit, so
that a cache changes what a search costs and not what it finds. Of the positions that are new the network is shown a
few at a time, as many times as it takes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import SearchConfig
from azero.network import Params
from games.core import State

MOST = 40  # positions shown at once: what lies between the layers of so few stays in a processor's own cache
PARTS = 8  # or this part of a batch, where that is more, to keep an accelerator busy
ENDS = 1, 2, 4  # parts of so many in which the last are shown, for a place that stays empty costs as much as another
PLIES = 8  # a cache has a slot for each position that the searches of so many moves ask for
MIB = 2**20


class Cache(NamedTuple):
    """What a network has said, in M slots. A state has one slot, and the last that came to it is kept there."""

    slots: jax.Array
    # uint32 [M, W + A + 1]: the W numbers of a state (the first is 1, and 0 where a slot is empty), logits, value;
    # side by side, for they are read together, and from anywhere in memory
    row: jax.Array  # int32 [M], which row of a batch asked last; of use only while that batch is worked on


Look = Callable[[Params, State], tuple[jax.Array, jax.Array]]
# params, states [R] -> what the network says: logits float32 [R, A], values float32 [R] for the player to move
Recall = Callable[[Cache, Params, State, jax.Array], tuple[Cache, jax.Array, jax.Array]]
# cache, params, states [R], wanted bool [R] -> cache, and the same; any numbers in rows that are not wanted


def empty_cache(config: SearchConfig, states: State) -> Cache | None:
    """A cache for games in flight, leaves [B, ...], of which only the shapes count.

    None where `config` asks for none, where its backend cannot use one, or where there is no room for one position.
    """
    batch, actions = states.legal.shape
    width = jax.eval_shape(_numbers, states).shape[1] + actions + 1
    room = config.cache * MIB // (4 * (width + 1))
    if config.backend == "mctx" or not room:
        return None
    wanted = PLIES * batch * (1 + config.simulations)
    slots = 1 << min((wanted - 1).bit_length(), room.bit_length() - 1)
    return Cache(jnp.zeros((slots, width), jnp.uint32), jnp.zeros(slots, jnp.int32))


def make_recall(look: Look) -> Recall:
    """What the network says of states, of those that it has not seen by asking it."""

    def ask(params: Params, states: State, new: jax.Array, said: jax.Array) -> jax.Array:
        """`said` float32 [R, A + 1] with the network's answers in the rows of bool [R]; it is shown no others."""
        rows = new.shape[0]
        most = min(rows, max(MOST, rows // PARTS))
        order, count = jnp.nonzero(new, size=rows + most, fill_value=rows)[0], new.sum()

        def show(size: int, left: int, first: jax.Array, said: jax.Array) -> tuple[jax.Array, jax.Array]:
            """Shows so many at once, from the `first` new one on, until at the most `left` have not been shown."""

            def show_some(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
                first, said = carry
                at = jax.lax.dynamic_slice_in_dim(order, first, size)
                logits, value = look(params, jax.tree.map(lambda leaf: leaf.at[at].get(mode="clip"), states))
                return first + size, said.at[at].set(jnp.concatenate([logits, value[:, None]], axis=1), mode="drop")

            return jax.lax.while_loop(lambda carry: carry[0] + left < count, show_some, (first, said))

        first, sizes = jnp.zeros((), jnp.int32), [-(-most // part) for part in ENDS]
        for size, smaller in zip(sizes, [*sizes[1:], 0], strict=True):
            first, said = show(size, smaller, first, said)
        return said

    def recall(cache: Cache, params: Params, states: State, wanted: jax.Array) -> tuple[Cache, jax.Array, jax.Array]:
        numbers = _numbers(states)
        slots, width = cache.row.shape[0], numbers.shape[1]
        slot, row = _slot(numbers, slots), jnp.arange(numbers.shape[0])
        found = cache.slots[slot]
        asking = wanted & (found[:, :width] != numbers).any(axis=-1)
        # Of all rows that ask for a slot one gets it. It speaks for those in the same state, the others for themselves.
        rows = cache.row.at[jnp.where(asking, slot, slots)].set(row, mode="drop")
        speaker = jnp.where(asking, rows[slot], row)
        kept = jnp.where(asking & (speaker == row), slot, slots)
        speaker = jnp.where((numbers[speaker] == numbers).all(axis=-1), speaker, row)
        said = jax.lax.bitcast_convert_type(found[:, width:], jnp.float32)
        said = ask(params, states, asking & (speaker == row), said)[speaker]
        entry = jnp.concatenate([numbers, jax.lax.bitcast_convert_type(said, jnp.uint32)], axis=1)
        return Cache(cache.slots.at[kept].set(entry, mode="drop"), rows), said[:, :-1], said[:, -1]

    return recall


def _numbers(states: State) -> jax.Array:
    """uint32 [R, W]: a 1, and all that the network's view of each state [R] can depend on.

    The rules say from board and player to move which moves are legal; and nobody asks of a state that is terminal.
    """
    rows = states.terminal.shape[0]
    parts = [jnp.ones((rows, 1), jnp.uint32)]
    for leaf in jax.tree.leaves((states.board, states.to_play, states.reward, states.discount)):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            leaf = jax.lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{8 * leaf.dtype.itemsize}"))
        parts.append(leaf.reshape(rows, -1).astype(jnp.uint32))
    return jnp.concatenate(parts, axis=1)


def _slot(numbers: jax.Array, slots: int) -> jax.Array:
    """int32 [R], below a power of two, spread evenly whatever the numbers uint32 [R, W]."""
    factors = np.random.default_rng(0).integers(2**32, size=numbers.shape[1], dtype=np.uint32) | 1
    mixed = (numbers * factors).sum(axis=-1, dtype=jnp.uint32)
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x2C1B3C6D)
    return ((mixed ^ (mixed >> 13)) & (slots - 1)).astype(jnp.int32)
