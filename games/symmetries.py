"""Index tables of board symmetries. A transformed board is `board.ravel()[cells[s]]`; row 0 is the identity.

A symmetry commutes with the rules: a move in the transformed position leads where the transformed move leads.
"""

import numpy as np

from games.core import Symmetries


def dihedral(height: int, width: int, extra_actions: int = 0) -> Symmetries:
    """Rotations and reflections of a board on which action i is cell i.

    Args:
      height, width: of the board: 8 symmetries where they are equal, else 4.
      extra_actions: actions after the cells that stay as they are, such as a pass.
    """
    board = np.arange(height * width, dtype=np.int32).reshape(height, width)
    turned = [np.rot90(board, turns) for turns in range(4)]
    images = [image for turn in turned for image in (turn, turn[:, ::-1]) if image.shape == board.shape]
    return _with_extra_actions(np.stack([image.ravel() for image in images]), extra_actions)


def half_turn(height: int, width: int, extra_actions: int = 0) -> Symmetries:
    """The identity and the rotation by 180 degrees of a board on which action i is cell i.

    All that Hex has: each player keeps the own pair of edges, and the swap of the first stone (a reflection in
    the long diagonal) commutes with a half turn. Reflections exchange the edges, so they would have to exchange
    the colours too, which a table of cells cannot say.

    Args:
      height, width: of the board.
      extra_actions: actions after the cells that stay as they are, such as a swap.
    """
    cells = np.arange(height * width, dtype=np.int32)
    return _with_extra_actions(np.stack([cells, cells[::-1]]), extra_actions)


def _with_extra_actions(cells: np.ndarray, extra_actions: int) -> Symmetries:
    """Cells int32 [S, H * W], with actions that are the cells and then `extra_actions` fixed ones."""
    size = cells.shape[1]
    extras = np.arange(size, size + extra_actions, dtype=np.int32)
    return Symmetries(cells, np.concatenate([cells, np.tile(extras, (len(cells), 1))], axis=1))
