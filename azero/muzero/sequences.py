"""The store of a learned model: what was played in each game, ply after ply, in a ring."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.config import Config
from azero.replay import MOST_ADDED, Position, pack, stored_policy, unpack
from azero.selfplay import Trajectory
from games.core import Game, value_before

TINY = jnp.finfo(jnp.float32).tiny


class Came(NamedTuple):
    """What a return is made of. Leading axes [...] are free."""

    value: jax.Array  # float32 [...], what the search found of the position, for the player to move
    chosen: jax.Array  # bool [...], he chose the move; False where it was drawn at random, or the game was cut off
    reward: jax.Array  # float32 [...], of the move, for its mover
    discount: jax.Array  # float32 [...], of the position after it


class Ply(NamedTuple):
    """A position, the move made there, and what came of it. Leading axes [...] are free."""

    position: Position
    actions: jax.Array  # int16 [..., J], the moves of largest weight in the policy target
    weights: jax.Array  # float16 [..., J], their weights; all 0 if there is no policy target
    made: jax.Array  # int16 [...], the move made
    ended: jax.Array  # bool [...], the game was over after it, or cut off before it
    came: Came


class Sequences(NamedTuple):
    """The last N plies of B games that follow each other; ply t of all games is in one place of the ring."""

    plies: Ply  # leaves [B, N, ...]
    priority: jax.Array  # float32 [B, N], value error of each ply; read only where draws go by it
    cursor: jax.Array  # int32 [1] per device, where the next ply goes
    added: jax.Array  # int32 [1] per device, plies of a game ever added; stays at MOST_ADDED once there


class Unrolled(NamedTuple):
    """M positions and the K moves that follow each, as the model learns from them."""

    observation: jax.Array  # float32 [M, K + 1, H, W, C]
    moves: jax.Array  # int32 [M, K]
    policy: jax.Array  # float32 [M, K + 1, A], sums to 1, or to 0 where there is no policy target
    value: jax.Array  # float32 [M, K + 1], n-step return, for the player to move
    reward: jax.Array  # float32 [M, K]
    discount: jax.Array  # float32 [M, K]
    inside: jax.Array  # bool [M, K + 1], the position is of the same game as the first
    moved: jax.Array  # bool [M, K], the move is of that game, and was made
    weight: jax.Array  # float32 [M], makes up for an uneven draw


def empty(game: Game, config: Config, devices: int) -> Sequences:
    """A store with room for `replay.capacity` plies in all."""
    rows, plies = config.selfplay.games, config.replay.capacity // config.selfplay.games
    blank = pack(game, jnp.zeros(game.observation_shape, jnp.float32), jnp.zeros(game.num_actions, bool))
    policy = stored_policy(jnp.zeros(game.num_actions, jnp.float32), config.replay.actions)
    nothing, no = jnp.zeros((), jnp.float32), jnp.zeros((), bool)
    ply = Ply(blank, *policy, jnp.zeros((), jnp.int16), no, Came(nothing, no, nothing, nothing))
    stored = jax.tree.map(lambda leaf: jnp.zeros((rows, plies, *leaf.shape), leaf.dtype), ply)
    none = jnp.zeros(devices, jnp.int32)
    return Sequences(stored, jnp.zeros((rows, plies)), none, none)


def add(store: Sequences, trajectory: Trajectory) -> Sequences:
    """The store with the T newest plies in the place of its oldest."""
    new, room = trajectory.made.shape[0], store.priority.shape[1]
    plies = Ply(
        trajectory.position,
        trajectory.actions,
        trajectory.weights,
        trajectory.made,
        trajectory.ended,
        Came(trajectory.search_value, trajectory.chosen, trajectory.reward, trajectory.discount),
    )
    places = (store.cursor + jnp.arange(new)) % room
    put = jax.tree.map(lambda ring, leaf: ring.at[:, places].set(jnp.swapaxes(leaf, 0, 1)), store.plies, plies)
    added = jnp.minimum(store.added + new, MOST_ADDED)
    return store._replace(plies=put, cursor=(store.cursor + new) % room, added=added)


def returns(came: Came, steps: int, newest: jax.Array) -> jax.Array:
    """n-step returns of the first plies of some stretches, for the player to move.

    Rewards of `steps` moves and then the value that the search found; where a move was drawn at random, or the game was
    cut off, the value that the search found there; nothing beyond the end of a game, and beyond the newest ply the
    value found there.

    Args:
      came: leaves [M, L].
      newest: int32 [M], number of the newest ply of each stretch; later ones are not there.

    Returns:
      float32 [M, L - steps].
    """
    count = came.value.shape[1] - steps

    def at(leaf: jax.Array, ahead: jax.Array | int) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(leaf, ahead, count, axis=1)

    def back(found: jax.Array, ahead: jax.Array) -> tuple[jax.Array, None]:
        onward = value_before(at(came.reward, ahead), at(came.discount, ahead), found)
        there = jnp.arange(count) + ahead < newest[:, None]
        return jnp.where(at(came.chosen, ahead) & there, onward, at(came.value, ahead)), None

    found, _ = jax.lax.scan(back, at(came.value, steps), jnp.arange(steps - 1, -1, -1))
    return found


def draw(store: Sequences, game: Game, config: Config, size: jax.Array, count: int, key: jax.Array) -> Unrolled:
    """`count` stretches of `muzero.unroll` moves out of the newest `size` positions, each under a random symmetry."""
    games, room = store.priority.shape
    options, newest = config.muzero, store.cursor[0] - 1
    place_key, symmetry_key = jax.random.split(key)
    # The first of a stretch has all its moves behind it.
    ages = jnp.clip(size // games, options.unroll + 1, room) - options.unroll
    row, age, weight = _places(store, options.priority, ages, options.unroll, count, place_key)
    ahead = jnp.minimum(jnp.arange(options.unroll + 1 + options.td_steps), age[:, None])
    plies = jax.tree.map(lambda leaf: leaf[row[:, None], (newest - age[:, None] + ahead) % room], store.plies)
    symmetry = jax.random.randint(symmetry_key, (count,), 0, len(game.symmetries.cells))
    return _unrolled(game, config, plies, age, symmetry, weight)


def _places(
    store: Sequences, power: float, ages: jax.Array, youngest: int, count: int, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Game, age (plies before the newest) and weight of `count` positions of `ages` ages from `youngest` on."""
    games, room = store.priority.shape
    if not power:
        row_key, age_key = jax.random.split(key)
        row = jax.random.randint(row_key, (count,), 0, games)
        return row, youngest + jax.random.randint(age_key, (count,), 0, ages), jnp.ones(count)
    age = (store.cursor[0] - 1 - jnp.arange(room)) % room  # of each place
    share = jnp.where((age >= youngest) & (age < youngest + ages), (store.priority + 1e-3) ** power, 0.0)
    total = jnp.cumsum(share.reshape(-1))
    place = jnp.searchsorted(total, total[-1] * jax.random.uniform(key, (count,)), side="right")
    place = jnp.minimum(place, total.shape[0] - 1)
    weight = 1 / jnp.maximum(share.reshape(-1)[place], TINY)
    return place // room, age[place % room], weight / weight.mean()


def _unrolled(
    game: Game, config: Config, plies: Ply, age: jax.Array, symmetry: jax.Array, weight: jax.Array
) -> Unrolled:
    moves = config.muzero.unroll
    value = returns(plies.came, config.muzero.td_steps, age)
    plies = jax.tree.map(lambda leaf: leaf[:, : moves + 1], plies)
    before = jnp.cumsum(plies.ended, axis=1) - plies.ended
    inside = before == 0
    turned = jax.vmap(jax.vmap(functools.partial(_turned, game), (0, None)))
    observation, policy, made = turned(plies, symmetry)
    return Unrolled(
        observation=observation,
        moves=made[:, :-1],
        policy=policy,
        value=value,
        reward=plies.came.reward[:, :-1],
        discount=plies.came.discount[:, :-1],
        inside=inside,
        # Where a game was cut off no move was made; one drawn at random that ended a game is left out with those.
        moved=inside[:, :-1] & (plies.came.chosen | ~plies.ended)[:, :-1],
        weight=weight,
    )


def _turned(game: Game, ply: Ply, turn: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Observation, policy and move of one ply under a symmetry."""
    shape = game.observation_shape
    observation, _ = unpack(game, ply.position)
    cells = jnp.asarray(game.symmetries.cells)[turn]
    actions = jnp.asarray(game.symmetries.actions)[turn]
    weights = ply.weights.astype(jnp.float32)
    policy = jnp.zeros(game.num_actions, jnp.float32).at[ply.actions].add(weights / jnp.maximum(weights.sum(), TINY))
    observation = observation.reshape(-1, shape[2])[cells].reshape(shape)
    return observation, policy[actions], jnp.argmax(actions == ply.made).astype(jnp.int32)


def errors(store: Sequences, config: Config) -> Sequences:
    """The store with the value error of every ply: how far the return is from what the search had found there."""
    room, steps = store.priority.shape[1], config.muzero.td_steps
    newest = jnp.minimum(store.added[0], room) - 1
    # In the order of time the ring begins at the cursor, or at 0 while it is not full.
    start = jnp.where(store.added[0] >= room, store.cursor[0], 0)
    time = jnp.minimum(jnp.arange(room + steps), newest)
    place = (start + time) % room
    came = jax.tree.map(lambda leaf: leaf[:, place], store.plies.came)
    found = returns(came, steps, jnp.full(store.priority.shape[0], newest))
    error = jnp.abs(found - came.value[:, :room])
    return store._replace(priority=store.priority.at[:, place[:room]].set(error))


def some(store: Sequences, game: Game, size: jax.Array, count: int, key: jax.Array) -> tuple[jax.Array, ...]:
    """`count` of the newest `size` positions, drawn evenly: their games, places, observations and legal moves."""
    games, room = store.priority.shape
    row_key, age_key = jax.random.split(key)
    row = jax.random.randint(row_key, (count,), 0, games)
    age = jax.random.randint(age_key, (count,), 0, jnp.clip(size // games, 1, room))
    place = (store.cursor[0] - 1 - age) % room
    position = jax.tree.map(lambda leaf: leaf[row, place], store.plies.position)
    return row, place, *jax.vmap(lambda one: unpack(game, one))(position)


def refreshed(
    store: Sequences, row: jax.Array, place: jax.Array, policy: jax.Array, value: jax.Array, entries: int
) -> Sequences:
    """The store with new answers to some positions: policies [R, A] and values [R]."""
    actions, weights = stored_policy(policy, entries)
    plies = store.plies
    taught = plies.weights[row, place].any(axis=-1, keepdims=True)  # cheap searches stay without a policy
    plies = plies._replace(
        actions=plies.actions.at[row, place].set(actions),
        weights=plies.weights.at[row, place].set(jnp.where(taught, weights, 0)),
        came=plies.came._replace(value=plies.came.value.at[row, place].set(value)),
    )
    return store._replace(plies=plies)
