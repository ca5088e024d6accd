"""Positions of small board games as 64-bit integers, and their moves, for whole arrays of them at once.

A second writing of the rules of `games.connect` and `games.tic_tac_toe`, in numpy, for games in which two players
in turn put a stone on a board and the one who completes a line wins. The tests hold the two writings together.
Shape letters: N positions, A actions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from games.connect import Shape
from games.tic_tac_toe import LINE_BITS


class Rules(NamedTuple):
    """The rules of one game. All arrays of bits are uint64 [...], a bit for each cell."""

    name: str
    num_actions: int
    max_plies: int  # the number of cells: a game that nobody wins ends when all are taken
    placed: Callable[[np.ndarray], np.ndarray]  # taken cells [N] -> the stone of each move [N, A], 0 where illegal
    has_line: Callable[[np.ndarray], np.ndarray]  # stones of one player [...] -> bool [...]
    key: Callable[[np.ndarray, np.ndarray], np.ndarray]  # stones of player 0 and of player 1 -> one number each
    stones: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # the inverse of `key`


class Moves(NamedTuple):
    """What the moves of N positions lead to. Where a move is illegal, `won` and `goes_on` are False."""

    legal: np.ndarray  # bool [N, A]
    won: np.ndarray  # bool [N, A], the move wins
    goes_on: np.ndarray  # bool [N, A], the game is not over after the move
    after: np.ndarray  # uint64 [N, A], key of the position after the move


def moves_from(rules: Rules, keys: np.ndarray) -> Moves:
    """The moves of positions in which the game goes on; player 0 moved first.

    Args:
      rules: of the game.
      keys: uint64 [N].
    """
    first, second = rules.stones(keys)
    taken = first | second
    ply = np.bitwise_count(taken)
    placed = rules.placed(taken)
    legal = placed != 0
    second_moves = (ply % 2 == 1)[:, None]
    first_after = np.where(second_moves, first[:, None], first[:, None] | placed)
    second_after = np.where(second_moves, second[:, None] | placed, second[:, None])
    won = legal & rules.has_line(np.where(second_moves, second_after, first_after))
    room = (ply + 1 < rules.max_plies)[:, None]
    return Moves(legal, won, legal & ~won & room, rules.key(first_after, second_after))


def plies_played(rules: Rules, keys: np.ndarray) -> np.ndarray:
    """int64 [N]: how many stones lie on the board, from keys uint64 [N]."""
    first, second = rules.stones(keys)
    return np.bitwise_count(first | second).astype(np.int64)


def _column_bits(shape: Shape, rows: int) -> np.ndarray:
    """uint64 [W]: the lowest `rows` cells of each column."""
    return np.array([((1 << rows) - 1) << shape.bit(column, 0) for column in range(shape.width)], np.uint64)


STEPS = ("column", "falling", "row", "rising")  # directions of lines, by the distance of their cells' bits


def connect_rules(name: str, shape: Shape, directions: Sequence[str] = STEPS) -> Rules:
    """k in a row with gravity, on a board of at most 64 bits in the layout of `games.connect`.

    The key is the sum of the first player's stones and of the taken cells: in each column the taken cells are
    2^stones - 1, so that the sum tells how many there are, and with that whose they are (J. Tromp's code).

    Args:
      directions: in which a line wins, as in `games.lines`.
    """
    bottom = _column_bits(shape, 1)
    columns = _column_bits(shape, shape.height)
    distances = (1, shape.height, shape.height + 1, shape.height + 2)
    steps = [distances[STEPS.index(name)] for name in directions]

    def placed(taken: np.ndarray) -> np.ndarray:
        # Adding the bottom cell of a column to what is in it carries into its lowest empty cell.
        return (taken[:, None] + bottom) & ~taken[:, None] & columns

    def has_line(stones: np.ndarray) -> np.ndarray:
        found = np.zeros(stones.shape, bool)
        for step in steps:
            run = stones
            for _ in range(shape.length - 1):
                run = stones & (run >> np.uint64(step))
            found |= run != 0
        return found

    def key(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first + (first | second)

    def stones(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        taken = np.zeros_like(keys)
        for column in range(shape.width):
            base = np.uint64(shape.bit(column, 0))
            code = (keys >> base) & np.uint64((1 << (shape.height + 1)) - 1)
            for row in range(shape.height):
                filled = code >= np.uint64((1 << (row + 1)) - 1)
                taken |= filled.astype(np.uint64) << (base + np.uint64(row))
        first = keys - taken
        return first, taken & ~first

    return Rules(name, shape.width, shape.width * shape.height, placed, has_line, key, stones)


def mirrored_columns(shape: Shape, stones: np.ndarray) -> np.ndarray:
    """Sets of cells, uint64 [...], with left and right exchanged."""
    image = np.zeros_like(stones)
    for column, cells in enumerate(_column_bits(shape, shape.height + 1)):
        source = np.uint64(shape.bit(column, 0))
        target = np.uint64(shape.bit(shape.width - 1 - column, 0))
        image |= ((stones & cells) >> source) << target
    return image


def tic_tac_toe_rules() -> Rules:
    """Three in a row; bit i is cell i of `games.tic_tac_toe`. The key is first | second << 9."""
    cells = np.uint64(1) << np.arange(9, dtype=np.uint64)
    lines = LINE_BITS.astype(np.uint64)

    def placed(taken: np.ndarray) -> np.ndarray:
        return cells & ~taken[:, None]

    def has_line(stones: np.ndarray) -> np.ndarray:
        return ((stones[..., None] & lines) == lines).any(-1)

    def key(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first | (second << np.uint64(9))

    def stones(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return keys & np.uint64(0b111111111), keys >> np.uint64(9)

    return Rules("tic_tac_toe", 9, 9, placed, has_line, key, stones)
