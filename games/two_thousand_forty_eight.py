"""2048: tiles slide and merge, and after every move chance puts a 2 or a 4 on an empty cell.

A board is four rows of 16 bits, four bits a cell: 0 is empty, k a tile of 2^k. What sliding does to a row is looked up
in a table of all rows; columns are the rows of the transposed board. 15 is the most that four bits say, so tiles of
32768 do not merge. That and the time limit aside, the rules are Gabriele Cirulli's, and a reward is the sum of the
merged tiles, scaled.

A point that comes a move later counts DISCOUNT as much. A good player makes 20 to 25 points a move, so that a game in
full swing is worth 7,000 to 8,000 points in this measure, and up to twice that where a large merge is near; the scale
brings them to 0.4 to 0.9. A game about to be lost is worth little, so that what the network learns to tell is how long
there is to live.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Chance, Game, State, Symmetries, fixed_if_terminal, step_by_chance
from games.notation import word_notation
from games.symmetries import dihedral

MOVES = ("up", "right", "down", "left")
SIZE, CELLS, BITS = 4, 16, 4
LARGEST = 15  # exponent
NEW_TILES = (0.9, 0.1)  # how likely the tile of chance is a 2, a 4
DISCOUNT = 0.997
SCALE = 1 / 16384
TIME_LIMIT = 20_000  # moves; a tile of 32768 is there after some 16,000


class Rows(NamedTuple):
    """The board."""

    rows: jax.Array  # uint16 [4], the top row first; the left cell in the lowest bits


def slide(line: Sequence[int]) -> tuple[list[int], int]:
    """A line of exponents after it was slid towards its first cell, and the points of that. In plain Python."""
    tiles = [tile for tile in line if tile]
    slid: list[int] = []
    points = 0
    while tiles:
        tile = tiles.pop(0)
        if tiles and tile == tiles[0] < LARGEST:
            tile = tiles.pop(0) + 1
            points += 1 << tile
        slid.append(tile)
    return slid + [0] * (len(line) - len(slid)), points


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Every row slid to the left and to the right, uint16 [2, 65536], and its points, which are the same, int32."""
    slid, points = np.zeros((2, 1 << CELLS), np.uint16), np.zeros(1 << CELLS, np.int32)
    for row in range(1 << CELLS):
        line = [row >> BITS * place & LARGEST for place in range(SIZE)]
        left, points[row] = slide(line)
        right = slide(line[::-1])[0][::-1]
        for direction, tiles in enumerate((left, right)):
            slid[direction, row] = sum(tile << BITS * place for place, tile in enumerate(tiles))
    return slid, points


def exponents(board: Rows) -> jax.Array:
    """The cells, int32 [4, 4]: 0 is empty, k a tile of 2^k."""
    return (jnp.asarray(board.rows, jnp.int32)[:, None] >> (BITS * jnp.arange(SIZE))) & LARGEST


def board_of(cells: jax.Array) -> Rows:
    """The inverse of `exponents`."""
    return Rows((cells << (BITS * jnp.arange(SIZE))).sum(axis=-1).astype(jnp.uint16))


def _transposed(rows: jax.Array) -> jax.Array:
    return board_of(exponents(Rows(rows)).T).rows


def slid_boards(board: Rows) -> tuple[jax.Array, jax.Array]:
    """The boards after every move, before chance, uint16 [4, 4] by move and row, and the points int32 [4]."""
    slid, points = (jnp.asarray(table) for table in _tables())
    rows, columns = board.rows, _transposed(board.rows)
    across, along = points[rows].sum(), points[columns].sum()
    up, down = _transposed(slid[0, columns]), _transposed(slid[1, columns])
    return jnp.stack([up, slid[1, rows], down, slid[0, rows]]), jnp.stack([along, across, along, across])


def state_of(board: Rows) -> State:
    """The state of a position to move in, as if it came after a move without points."""
    legal = (slid_boards(board)[0] != board.rows).any(axis=-1)
    terminal = ~legal.any()
    return State(
        board=board,
        to_play=jnp.int32(0),
        legal=legal | terminal,
        reward=jnp.zeros((), jnp.float32),
        discount=jnp.where(terminal, 0.0, DISCOUNT).astype(jnp.float32),
        terminal=terminal,
    )


def after(state: State, action: jax.Array) -> State:
    """The afterstate: slid and merged. A terminal state stays as it is."""
    boards, points = slid_boards(state.board)
    moved = state._replace(
        board=Rows(boards[action]),
        reward=(points[action] * SCALE).astype(jnp.float32),
        discount=jnp.ones((), jnp.float32),
    )
    return fixed_if_terminal(state, moved)


def probabilities(afterstate: State) -> jax.Array:
    """Of the outcomes float32 [32]: a 2 on each of the 16 cells, a 4 on each of them."""
    empty = (exponents(afterstate.board) == 0).reshape(-1)
    share = empty / jnp.maximum(empty.sum(), 1)
    likely = (jnp.array(NEW_TILES, jnp.float32)[:, None] * share).reshape(-1)
    # Nothing happens to a game that is over, whatever is drawn.
    return jnp.where(afterstate.terminal, jnp.arange(2 * CELLS) == 0, likely).astype(jnp.float32)


def happen(afterstate: State, outcome: jax.Array) -> State:
    """The position after a tile has come."""
    tile = 1 + outcome // CELLS
    cells = exponents(afterstate.board).reshape(-1)
    cells = jnp.where(jnp.arange(CELLS) == outcome % CELLS, tile, cells)
    return fixed_if_terminal(afterstate, state_of(board_of(cells.reshape(SIZE, SIZE))))


def init(key: jax.Array) -> State:
    """Two tiles on an empty board."""
    state = state_of(Rows(jnp.zeros(SIZE, jnp.uint16)))._replace(terminal=jnp.zeros((), bool))
    for one in jax.random.split(key):
        outcome = jax.random.categorical(one, jnp.log(probabilities(state)))
        state = happen(state, outcome.astype(jnp.int32))
    return state


def observe(state: State) -> jax.Array:
    """One plane for every exponent, float32 [4, 4, 16]; the first is that of the empty cells."""
    return jax.nn.one_hot(exponents(state.board), LARGEST + 1, dtype=jnp.float32)


def _symmetries() -> Symmetries:
    """Rotations and reflections, under which the moves turn as the edges of a board of 3 x 3."""
    edges = [1, 5, 7, 3]  # in the order of MOVES
    turned = dihedral(3, 3).cells[:, edges]
    return Symmetries(dihedral(SIZE, SIZE).cells, np.array([[edges.index(e) for e in row] for row in turned], np.int32))


def draw(state: State) -> str:
    """The tiles, as they count."""
    cells = np.asarray(exponents(jax.tree.map(np.asarray, state.board)))
    return "\n".join("".join(f"{1 << tile if tile else '.':>6}" for tile in row) for row in cells)


def make_2048() -> Game:
    """The game."""
    chance = Chance(2 * CELLS, after, probabilities, happen)
    return Game(
        name="2048",
        num_players=1,
        num_actions=len(MOVES),
        observation_shape=(SIZE, SIZE, LARGEST + 1),
        max_plies=TIME_LIMIT,
        init=init,
        step=step_by_chance(chance),
        observe=observe,
        symmetries=_symmetries(),
        notation=word_notation(MOVES, draw, illegal="nothing moves {}"),
        reward_scale=SCALE,
        time_limit=TIME_LIMIT,
        chance=chance,
    )
