"""Lines of cells on a board, and the reward that can be told from them."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

DIRECTIONS = {"row": (0, 1), "column": (1, 0), "falling": (1, 1), "rising": (-1, 1)}  # steps of (row, column)

Judge = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


def lines(height: int, width: int, length: int, directions: Sequence[str] = tuple(DIRECTIONS)) -> np.ndarray:
    """Every line of `length` cells in these directions.

    Returns:
      int32 [L, length], cells numbered by rows from the top left.
    """
    found = []
    for down, right in (DIRECTIONS[name] for name in directions):
        for row in range(height):
            for column in range(width):
                last_row, last_column = row + (length - 1) * down, column + (length - 1) * right
                if 0 <= last_row < height and last_column < width:
                    found.append([(row + n * down) * width + column + n * right for n in range(length)])
    return np.array(found, np.int32)


def line_judge(cells: np.ndarray) -> Judge:
    """`Game.judge` of a game in which he wins who fills one of these lines [L, length], and a full board ends it.

    The observation has two planes: the stones of the player to move, and those of the one who moved.
    """

    def judge(observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        stones = observation > 0.5
        won = stones[..., 1].ravel()[cells].all(axis=-1).any()
        return won.astype(jnp.float32), won | stones.any(axis=-1).all()

    return judge
