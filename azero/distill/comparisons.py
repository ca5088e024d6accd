"""Comparisons: which of two answers to a question is better. Their store, and the file in which a person writes
them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.replay import Position, pack, unpack
from games.core import Game, State
from games.notation import play_text

FIELDS = ("game", "position", "move_a", "move_b", "preferred", "source")


GoOn = Callable[[State, jax.Array], jax.Array]  # (states [M], key) -> moves int32 [M]


class Comparisons(NamedTuple):
    """A ring of N comparisons of two lines of play, known by the positions that they end in."""

    after: Position  # leaves [N, 2, ...], the ends of the lines
    sign: jax.Array  # float32 [N, 2], +1 where the player to move at the end is he who began the line, else -1
    first: jax.Array  # float32 [N], 1 if the first line was preferred, 0 if the second
    chance: jax.Array  # float32 [N], from 0 to 1, the same whenever the same two lines are compared
    added: jax.Array  # int32 [], comparisons ever added


class Pair(NamedTuple):
    """Two lines of play from each of M positions."""

    states: State  # leaves [2, M, ...], where they end
    sign: jax.Array  # float32 [2, M], as in Comparisons
    result: jax.Array  # float32 [2, M], for him who began, of the games that ended on the way
    ended: jax.Array  # bool [2, M]


def no_comparisons(game: Game, capacity: int) -> Comparisons:
    """An empty store."""
    blank = pack(game, jnp.zeros(game.observation_shape, jnp.float32), jnp.zeros(game.num_actions, bool))
    after = jax.tree.map(lambda leaf: jnp.zeros((capacity, 2, *leaf.shape), leaf.dtype), blank)
    nothing = jnp.zeros(capacity)
    return Comparisons(after, jnp.zeros((capacity, 2)), nothing, nothing, jnp.zeros((), jnp.int32))


def add_comparisons(game: Game, store: Comparisons, pair: Pair, first: jax.Array) -> Comparisons:
    """The store with M comparisons in the place of its oldest; of more than it can hold, the last.

    Args:
      first: float32 [M], 1 where the first line of the pair is preferred.
    """
    room = store.first.shape[0]
    pair = jax.tree.map(lambda leaf: leaf[:, -room:], pair)
    first = first[-room:]
    views = jax.vmap(jax.vmap(lambda state: pack(game, game.observe(state), state.legal)))(pair.states)
    views = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), views)
    places = (store.added + jnp.arange(len(first))) % room
    after = jax.tree.map(lambda old, new: old.at[places].set(new), store.after, views)
    return Comparisons(
        after=after,
        sign=store.sign.at[places].set(pair.sign.T),
        first=store.first.at[places].set(first),
        chance=store.chance.at[places].set(chances(views)),
        added=store.added + len(first),
    )


def chances(after: Position) -> jax.Array:
    """A number from 0 to 1 for each comparison [M], by its two ends [M, 2, ...] in either order."""
    cells = (after.legal if after.cells is None else after.cells).astype(jnp.uint32)
    mixed = jnp.zeros(cells.shape[:2], jnp.uint32)
    for byte in range(cells.shape[-1]):
        mixed = (mixed ^ cells[..., byte]) * jnp.uint32(16777619)  # FNV-1a, over the board as bits
    total = mixed.sum(axis=1, dtype=jnp.uint32)
    total = (total ^ (total >> 15)) * jnp.uint32(2246822519)
    return (total >> 8).astype(jnp.float32) / (1 << 24)


def kept(store: Comparisons) -> jax.Array:
    """How many comparisons the store holds, int32 []."""
    return jnp.minimum(store.added, store.first.shape[0])


def observed(game: Game, store: Comparisons, rows: jax.Array) -> jax.Array:
    """The ends of the lines of some comparisons, float32 [M, 2, H, W, C]."""
    after = jax.tree.map(lambda leaf: leaf[rows], store.after)
    return jax.vmap(jax.vmap(lambda position: unpack(game, position)[0]))(after)


def play_lines(game: Game, states: State, moves: jax.Array, length: int, go_on: GoOn, key: jax.Array) -> Pair:
    """Plays two lines from each of M positions.

    Args:
      states: leaves [M, ...].
      moves: int32 [2, M], the first move of each line.
      length: moves in a line; those after the end of a game change nothing.
      go_on: draws the moves after the first.
    """
    at = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (2, *leaf.shape)).reshape(-1, *leaf.shape[1:]), states)
    begun, move = at.to_play, moves.reshape(-1)
    result = jnp.zeros(len(move))
    for ply in range(length):
        step_key, move_key = jax.random.split(jax.random.fold_in(key, ply))
        after = jax.vmap(game.step)(at, move, jax.random.split(step_key, len(move)))
        result += after.reward * jnp.where(at.to_play == begun, 1.0, -1.0)
        at, move = after, go_on(after, move_key) if ply + 1 < length else move
    sign = jnp.where(at.to_play == begun, 1.0, -1.0)
    pair = Pair(at, sign, result, at.terminal)
    return jax.tree.map(lambda leaf: leaf.reshape(2, -1, *leaf.shape[1:]), pair)


def read_comparisons(game: Game, path: str) -> tuple[State, np.ndarray, np.ndarray]:
    """A person's file: a JSON object a line.

    {"game": "connect_four_4x4", "position": "1223", "move_a": "2", "move_b": "4", "preferred": "a", "source": "Ada"}

    `position` is the moves from the start in the game's notation, `preferred` is "a" or "b". Blank lines are passed
    over.

    Returns:
      The positions, leaves [M, ...]; the moves int32 [2, M]; 1.0 where the first is preferred, float32 [M].

    Raises:
      ValueError: the file cannot be read or is empty, or a line is not such an object; the message has its number.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read comparisons {path}: {getattr(error, 'strerror', None) or error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_comparison(game, line))
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {error}") from None
    if not found:
        raise ValueError(f"{path} holds no comparisons; each line is a JSON object with {', '.join(FIELDS)}")
    states, moves, first = zip(*found, strict=True)
    stacked: State = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    return stacked, np.array(moves, np.int32).T, np.array(first, np.float32)


def _comparison(game: Game, line: str) -> tuple[State, tuple[int, int], float]:
    try:
        row = json.loads(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(row, dict) or set(row) != set(FIELDS) or not all(isinstance(row[name], str) for name in FIELDS):
        raise ValueError(f"must be an object of texts named {', '.join(FIELDS)}")
    if row["game"] != game.name:
        raise ValueError(f"is of game {row['game']!r}, not of {game.name}")
    if row["preferred"] not in ("a", "b"):
        raise ValueError(f'"preferred" must be "a" or "b", not {row["preferred"]!r}')
    state = jax.device_get(play_text(game, row["position"]))
    if state.terminal:
        raise ValueError(f"the game is over after {row['position']!r}")
    moves = (game.notation.action(state, row["move_a"]), game.notation.action(state, row["move_b"]))
    for name, move in zip(("move_a", "move_b"), moves, strict=True):
        if not state.legal[move]:
            raise ValueError(f"{name} {row[name]!r} is illegal there")
    if moves[0] == moves[1]:
        raise ValueError(f"move_a and move_b are both {row['move_a']!r}")
    return state, moves, float(row["preferred"] == "a")
