"""k in a row with gravity on any board: Connect Four and its small sisters.

A board is two sets of bits, in words of 32. Columns lie one after the other, each with one empty cell above
its top so that a line never runs from one column into the next (J. Tromp's layout). On 7 x 6:

    6 13 20 27 34 41 48   <- always empty
    5 12 19 26 33 40 47
    ...
    0  7 14 21 28 35 42
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Game, Notation, Oracle, State, Symmetries, after_move, fixed_if_terminal
from games.lines import line_judge, lines

WORD = 32


class Shape(NamedTuple):
    """A board of `width` columns and `height` rows on which `length` stones in a row win."""

    width: int
    height: int
    length: int

    @property
    def words(self) -> int:
        """How many words of 32 bits hold one set of cells."""
        return -(-self.width * (self.height + 1) // WORD)

    def bit(self, column: int, row: int) -> int:
        """The number of a cell's bit; row 0 is the bottom."""
        return column * (self.height + 1) + row


class Stones(NamedTuple):
    """The board: the stones of player 0 and of player 1, as bits."""

    bits: jax.Array | np.ndarray  # uint32 [2, words]


def _shifted_down(bits: jax.Array, distance: int) -> jax.Array:
    """bits >> distance, over words [..., words] of which the first is the lowest."""
    whole, part = divmod(distance, WORD)
    empty = jnp.zeros_like(bits)
    low = jnp.concatenate([bits[..., whole:], empty[..., :whole]], axis=-1)
    if part == 0:
        return low
    high = jnp.concatenate([low[..., 1:], empty[..., :1]], axis=-1)
    return (low >> part) | (high << (WORD - part))


def _has_line(shape: Shape, bits: jax.Array) -> jax.Array:
    """bool []: do these stones, uint32 [words], hold `length` in a row?"""
    found = jnp.zeros((), bool)
    for step in (1, shape.height, shape.height + 1, shape.height + 2):
        run = bits
        for _ in range(shape.length - 1):
            run = bits & _shifted_down(run, step)
        found |= (run != 0).any()
    return found


def _cell_words(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Word number and bit number of every cell, int32 and uint32 [H, W], top row first."""
    numbers = np.array(
        [[shape.bit(column, row) for column in range(shape.width)] for row in reversed(range(shape.height))]
    )
    return numbers // WORD, (numbers % WORD).astype(np.uint32)


def stones_from_bits(shape: Shape, first: np.ndarray, second: np.ndarray) -> Stones:
    """Boards from sets of cells as 64-bit integers.

    Args:
      shape: the board's shape; at most 64 bits.
      first, second: uint64 [...], the stones of player 0 and player 1.
    """
    players = np.stack([first, second], axis=-1).astype(np.uint64)
    words = [(players >> np.uint64(WORD * word)) & np.uint64(0xFFFFFFFF) for word in range(shape.words)]
    return Stones(np.stack(words, axis=-1).astype(np.uint32))


def bits_from_stones(stones: Stones) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `stones_from_bits`: uint64 [...] of player 0 and of player 1."""
    words = np.asarray(stones.bits).astype(np.uint64)
    whole = np.bitwise_or.reduce(words << (WORD * np.arange(words.shape[-1], dtype=np.uint64)), axis=-1)
    return whole[..., 0], whole[..., 1]


def state_from_stones(shape: Shape, stones: Stones) -> State:
    """The state of one position in which the game goes on; player 0 moved first. Callers vmap."""
    cell_word, cell_bit = _cell_words(shape)
    occupied = stones.bits[0] | stones.bits[1]
    filled = (occupied[cell_word] >> cell_bit) & 1
    legal = filled[0] == 0
    return State(
        board=stones,
        to_play=(filled.sum() % 2).astype(jnp.int32),
        legal=legal,
        reward=jnp.zeros((), jnp.float32),
        discount=-jnp.ones((), jnp.float32),
        terminal=jnp.zeros((), bool),
    )


def _notation(shape: Shape) -> Notation:
    def move(state: State, action: int) -> str:
        return str(action + 1)

    def action(state: State, text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= shape.width):
            raise ValueError(f"{text!r} is not a column; columns are 1 to {shape.width}")
        if not bool(state.legal[int(text) - 1]):
            raise ValueError(f"column {text} is full")
        return int(text) - 1

    def board(state: State) -> str:
        word, bit = _cell_words(shape)
        bits = np.asarray(state.board.bits)
        planes = (bits[:, word] >> bit) & 1
        symbols = np.where(planes[0] == 1, "x", np.where(planes[1] == 1, "o", "."))
        return "\n".join([" ".join(row) for row in symbols] + [" ".join(str(c + 1) for c in range(shape.width))])

    return Notation(move, action, "" if shape.width < 10 else " ", board)


def make_connect(name: str, shape: Shape) -> Game:
    """The game on a board of this shape. An action is a column, 0 the leftmost.

    The observation has two planes, top row first: the stones of the player to move, those of the opponent.
    """
    width, height, _ = shape
    cell_word, cell_bit = _cell_words(shape)
    bottom = np.array([shape.bit(column, 0) for column in range(width)])
    bottom_word, bottom_bit = bottom // WORD, (bottom % WORD).astype(np.uint32)

    def init(key: jax.Array) -> State:
        del key
        stones = Stones(jnp.zeros((2, shape.words), jnp.uint32))
        return state_from_stones(shape, stones)

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        del key
        bits = state.board.bits
        occupied = bits[0] | bits[1]
        # Adding the bottom cell of a column to what is in it carries into its lowest empty cell.
        carry_in = (
            jnp.zeros_like(occupied)
            .at[jnp.asarray(bottom_word)[action]]
            .set(jnp.uint32(1) << jnp.asarray(bottom_bit)[action])
        )
        new = _sum(occupied, carry_in) & ~occupied
        column = _column_mask(shape)[action]
        new &= column
        bits = bits.at[state.to_play].set(bits[state.to_play] | new)
        filled = ((occupied | new)[cell_word[0]] >> cell_bit[0]) & 1
        won = _has_line(shape, bits[state.to_play])
        after = after_move(Stones(bits), state.to_play, filled == 0, won, (filled == 1).all())
        return fixed_if_terminal(state, after)

    def observe(state: State) -> jax.Array:
        planes = (state.board.bits[:, cell_word] >> cell_bit) & 1
        mine = planes[state.to_play]
        theirs = planes[1 - state.to_play]
        return jnp.stack([mine, theirs], axis=-1).astype(jnp.float32)

    def oracle() -> Oracle:
        from games.oracles import connect_oracle

        return connect_oracle(name, shape)

    cells = np.arange(height * width, dtype=np.int32).reshape(height, width)
    columns = np.arange(width, dtype=np.int32)
    return Game(
        name=name,
        num_players=2,
        num_actions=width,
        observation_shape=(height, width, 2),
        max_plies=width * height,
        init=init,
        step=step,
        observe=observe,
        symmetries=Symmetries(np.stack([cells.ravel(), cells[:, ::-1].ravel()]), np.stack([columns, columns[::-1]])),
        notation=_notation(shape),
        oracle=oracle if name in SHAPES else None,
        judge=line_judge(lines(height, width, shape.length)),
    )


def _sum(left: jax.Array, right: jax.Array) -> jax.Array:
    """left + right over words [words], with carries from word to word."""
    words = []
    carry = jnp.zeros((), jnp.uint32)
    for word in range(left.shape[-1]):
        partial = left[word] + right[word]
        total = partial + carry
        carry = ((partial < left[word]) | (total < partial)).astype(jnp.uint32)
        words.append(total)
    return jnp.stack(words)


def _column_mask(shape: Shape) -> jax.Array:
    """uint32 [W, words]: the cells of each column."""
    columns = np.array(
        [sum(1 << shape.bit(column, row) for row in range(shape.height)) for column in range(shape.width)], object
    )
    words = [[(int(cells) >> (WORD * word)) & 0xFFFFFFFF for word in range(shape.words)] for cells in columns]
    return jnp.array(words, jnp.uint32)


SHAPES = {
    "connect_four": Shape(7, 6, 4),
    "connect_four_5x4": Shape(5, 4, 4),
    "connect_four_4x4": Shape(4, 4, 4),
}
