"""The sample store: a ring of positions, as bits.

An observation is stored as one bit a cell and plane (and one number for each plane that is the same number
everywhere); a policy target as its largest entries, or as zeros where a position teaches its value only. A Connect
Four position takes 44 bytes, so a million of them 44 MB; `bytes_per_position` says it for every game.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import ReplayConfig
from games.core import Game


class Position(NamedTuple):
    """What the network sees of a position, compactly. Leading axes [...] are free."""

    cells: jax.Array | None
    # uint8 [..., ceil(H * W * (C - counts) / 8)], observation planes of 0 and 1 as bits; None where there are none, for
    # an array without numbers does not keep how it is split over devices, and what takes it would be compiled again
    counts: tuple[jax.Array, ...]  # float32 [...] for each plane that holds one number everywhere
    legal: jax.Array  # uint8 [..., ceil(A / 8)], legal moves as bits


class Approval(NamedTuple):
    """What M2 thinks of the moves of a position. Leading axes [...] are free."""

    q: jax.Array  # stored float16 [..., K], of the sample's K moves; drawn float32 [M, A], for the mover
    value: jax.Array  # float32 [...], of the position, for the player to move
    action: jax.Array  # stored int16, drawn int32 [...], the move made; -1 where an opening drew it at random


class Sample(NamedTuple):
    """A position and what to learn of it. Leading axes [...] are free."""

    position: Position
    actions: jax.Array  # int16 [..., K], the K moves of largest weight in the policy target
    weights: jax.Array  # float16 [..., K], their weights; all 0 if there is no policy target
    value: jax.Array  # float32 [...], value target for the player to move
    approval: Approval | None = None  # for the kinds that follow a reward


class Batch(NamedTuple):
    """Samples as the network takes them."""

    observation: jax.Array  # float32 [M, H, W, C]
    legal: jax.Array  # bool [M, A]
    policy: jax.Array  # float32 [M, A], sums to 1, or to 0 where there is no policy target
    value: jax.Array  # float32 [M], for the player to move
    approval: Approval | None = None


class Replay(NamedTuple):
    """A ring of N samples per device."""

    samples: Sample  # leaves [N, ...]
    cursor: jax.Array  # int32 [1] per device, where the next sample goes
    added: jax.Array  # int32 [1] per device, samples ever added; stays at MOST_ADDED once there


TINY = jnp.finfo(jnp.float32).tiny
MOST_ADDED = 2**30  # beyond any capacity; keeps the count from overflowing in runs of days


def pack(game: Game, observation: jax.Array, legal: jax.Array) -> Position:
    """One position's bits.

    Args:
      observation: float32 [H, W, C].
      legal: bool [A].
    """
    counts = list(game.count_planes)
    bits = np.delete(np.arange(game.observation_shape[2]), counts)
    return Position(
        cells=jnp.packbits(observation[..., bits].ravel() > 0.5) if len(bits) else None,
        counts=tuple(observation[0, 0, plane] for plane in counts),
        legal=jnp.packbits(legal),
    )


def unpack(game: Game, position: Position) -> tuple[jax.Array, jax.Array]:
    """The observation float32 [H, W, C] and legal bool [A] that were packed."""
    height, width, channels = game.observation_shape
    counts = list(game.count_planes)
    bits = np.delete(np.arange(channels), counts)
    if position.cells is None:
        cells = jnp.zeros((height, width, 0), jnp.uint8)
    else:
        cells = jnp.unpackbits(position.cells, count=height * width * len(bits)).reshape(height, width, len(bits))
    constant = [jnp.full((height, width, 1), count) for count in position.counts]
    planes = jnp.concatenate([cells.astype(jnp.float32), *constant], axis=-1)
    order = np.argsort(np.concatenate([bits, counts]).astype(np.int64))
    legal = jnp.unpackbits(position.legal, count=game.num_actions).astype(bool)
    return planes[..., order], legal


def stored_policy(policy: jax.Array, entries: int) -> tuple[jax.Array, jax.Array]:
    """The largest entries of a policy [..., A]: actions int16 [..., K] and weights float16 [..., K].

    Raises:
      ValueError: there are more actions than an int16 can number.
    """
    if policy.shape[-1] > np.iinfo(np.int16).max:
        raise ValueError(f"a game may have {np.iinfo(np.int16).max} actions at most, not {policy.shape[-1]}")
    weights, actions = jax.lax.top_k(policy, min(entries, policy.shape[-1]))
    return actions.astype(jnp.int16), weights.astype(jnp.float16)


def empty(game: Game, config: ReplayConfig, devices: int, approval: bool = False) -> Replay:
    """A store with room for `config.capacity` positions in all, to be split over devices along its first axis.

    Args:
      approval: whether samples hold an Approval.
    """
    rows = -(-config.capacity // devices) * devices
    blank = pack(game, jnp.zeros(game.observation_shape, jnp.float32), jnp.zeros(game.num_actions, bool))
    policy = stored_policy(jnp.zeros(game.num_actions, jnp.float32), config.actions)
    nothing = jnp.zeros((), jnp.float32)
    thought = Approval(policy[1], nothing, jnp.zeros((), jnp.int16)) if approval else None
    sample = Sample(blank, *policy, nothing, thought)
    samples = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), sample)
    return Replay(samples, jnp.zeros(devices, jnp.int32), jnp.zeros(devices, jnp.int32))


def bytes_per_position(game: Game, config: ReplayConfig) -> int:
    """What one stored position takes."""
    one = jax.eval_shape(lambda: empty(game, ReplayConfig(capacity=1, actions=config.actions), 1))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(one.samples))


def add(replay: Replay, samples: Sample) -> Replay:
    """The store with `samples` [M, ...] in the place of its oldest."""
    rows = replay.samples.value.shape[0]
    new = samples.value.shape[0]
    if new > rows:
        raise ValueError(f"replay.capacity of {rows} positions a device is less than one iteration's {new}")
    places = (replay.cursor + jnp.arange(new)) % rows
    stored = jax.tree.map(lambda store, leaf: store.at[places].set(leaf), replay.samples, samples)
    added = jnp.minimum(replay.added + new, MOST_ADDED)
    return Replay(stored, (replay.cursor + new) % rows, added)


def window(rows: int, added: jax.Array, config: ReplayConfig, devices: int) -> jax.Array:
    """int32 []: how many of the newest positions of a device are drawn from.

    Args:
      rows: how many it has room for.
      added: int32 [], how many were ever added to it.
    """
    wanted = jnp.maximum((config.share * added).astype(jnp.int32), config.minimum // devices)
    return jnp.minimum(jnp.minimum(wanted, added), rows)


def draw(replay: Replay, game: Game, size: jax.Array, count: int, key: jax.Array) -> Batch:
    """`count` samples drawn evenly from the newest `size`, each under a random symmetry."""
    rows = replay.samples.value.shape[0]
    place_key, symmetry_key = jax.random.split(key)
    age = jax.random.randint(place_key, (count,), 0, size)
    chosen = jax.tree.map(lambda store: store[(replay.cursor - 1 - age) % rows], replay.samples)
    symmetry = jax.random.randint(symmetry_key, (count,), 0, len(game.symmetries.cells))
    return jax.vmap(lambda sample, turn: _batch_row(game, sample, turn))(chosen, symmetry)


def _batch_row(game: Game, sample: Sample, symmetry: jax.Array) -> Batch:
    height, width, channels = game.observation_shape
    observation, legal = unpack(game, sample.position)
    weights = sample.weights.astype(jnp.float32)
    policy = jnp.zeros(game.num_actions, jnp.float32).at[sample.actions].add(weights / jnp.maximum(weights.sum(), TINY))
    cells = jnp.asarray(game.symmetries.cells)[symmetry]
    actions = jnp.asarray(game.symmetries.actions)[symmetry]
    observation = observation.reshape(height * width, channels)[cells].reshape(height, width, channels)
    thought = sample.approval
    if thought is not None:
        q = jnp.zeros(game.num_actions).at[sample.actions].set(thought.q.astype(jnp.float32))
        made = jnp.where(thought.action < 0, -1, jnp.argmax(actions == thought.action)).astype(jnp.int32)
        thought = Approval(q[actions], thought.value, made)
    return Batch(observation, legal[actions], policy[actions], sample.value, thought)
