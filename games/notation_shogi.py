"""Shogi and animal shogi, as USI writes them: 7g7f, 8h2b+, P*5e.

Files are numbered from the right of the player who moves first, ranks lettered from the top. The env turns the
board by 180 degrees for the second player; a square is file * height + rank, seen by the mover.
"""

import numpy as np

from games.core import Notation, State
from games.notation import action_by_text, drawn

SHOGI_HAND = "PLNSBRG"
SHOGI_PIECES = (*"PLNSBRGK", "+P", "+L", "+N", "+S", "+B", "+R")
# Where a moving piece comes from, by direction: files and ranks from its target, one step (knights: their jump).
SHOGI_ORIGINS = ((0, 1), (-1, 1), (1, 1), (-1, 0), (1, 0), (0, -1), (-1, -1), (1, -1), (-1, 2), (1, 2))
SHOGI_DROPS = 20  # directions: 10 without promotion, 10 with it, then a drop of each piece

ANIMAL_HAND = "CEG"  # chick, elephant, giraffe
ANIMAL_PIECES = (*"CEGL", "H")  # and lion, hen
ANIMAL_STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
CHICK = 0


def shogi_notation() -> Notation:
    """USI. The first player's pieces are in upper case."""

    def move(state: State, action: int) -> str:
        direction, target = divmod(action, 81)
        to = _square(state, target, 9, 9)
        if direction >= SHOGI_DROPS:
            return f"{SHOGI_HAND[direction - SHOGI_DROPS]}*{to}"
        origin = _shogi_origin(np.asarray(state.board.env._x.board), target, direction % 10)
        return _square(state, origin, 9, 9) + to + ("+" if direction >= 10 else "")

    def board(state: State) -> str:
        rules = state.board.env._x
        return _drawn(state, rules.board, rules.hand, 9, 9, SHOGI_PIECES, SHOGI_HAND)

    return Notation(move, action_by_text(move, "7g7f, 8h2b+ or P*5e"), " ", board)


def animal_shogi_notation() -> Notation:
    """As USI, with C E G L H for chick, elephant, giraffe, lion, hen. A chick on the last rank must promote."""

    def move(state: State, action: int) -> str:
        plane, cell = divmod(action, 12)
        if plane >= len(ANIMAL_STEPS):
            return f"{ANIMAL_HAND[plane - len(ANIMAL_STEPS)]}*{_square(state, cell, 3, 4)}"
        files, ranks = ANIMAL_STEPS[plane]
        promotes = cell % 4 == 1 and ranks == -1 and np.asarray(state.board.env._board)[cell] == CHICK
        target = cell + 4 * files + ranks
        return _square(state, cell, 3, 4) + _square(state, target, 3, 4) + ("+" if promotes else "")

    def board(state: State) -> str:
        env = state.board.env
        return _drawn(state, env._board, env._hand, 3, 4, ANIMAL_PIECES, ANIMAL_HAND)

    return Notation(move, action_by_text(move, "2c2b or C*2b"), " ", board)


def _square(state: State, cell: int, width: int, height: int) -> str:
    """The name of a cell that is numbered as the mover sees it."""
    file, rank = divmod(width * height - 1 - cell if int(state.to_play) else cell, height)
    return f"{file + 1}{chr(ord('a') + rank)}"


def _shogi_origin(pieces: np.ndarray, target: int, direction: int) -> int:
    """The cell of the piece that a legal move in this direction brings to `target`: the nearest own piece."""
    file, rank = divmod(target, 9)
    files, ranks = SHOGI_ORIGINS[direction]
    for _ in range(8):
        file, rank = file + files, rank + ranks
        if not (0 <= file < 9 and 0 <= rank < 9):
            break
        if 0 <= pieces[file * 9 + rank] < len(SHOGI_PIECES):
            return file * 9 + rank
    raise ValueError(f"no piece can come to cell {target} from direction {direction}")


def _drawn(
    state: State, board: np.ndarray, hands: np.ndarray, width: int, height: int, names: tuple[str, ...], hand: str
) -> str:
    """The board from the first player's side and both hands.

    Args:
      state: for whose turn it is.
      board: int [width * height], as the mover sees it; -1 is empty, the opponent's pieces come after the mover's.
      hands: int [2, kinds], the mover's first.
      names, hand: of the pieces on the board and in a hand.
    """
    cells, hands = np.asarray(board), np.asarray(hands)
    if int(state.to_play):
        turned = cells[::-1]
        cells = np.where(turned < 0, turned, (turned + len(names)) % (2 * len(names)))
        hands = hands[::-1]
    symbols = {-1: ".", **dict(enumerate(names)), **{len(names) + i: name.lower() for i, name in enumerate(names)}}
    size = max(map(len, names))
    files = [[f"{symbols[int(piece)]:>{size}}" for piece in file] for file in cells.reshape(width, height)]
    rows = [list(row) for row in zip(*reversed(files), strict=True)]
    ranks = [chr(ord("a") + rank) for rank in range(height)]
    numbers = [f"{file:>{size}}" for file in range(width, 0, -1)]
    held = ["".join(f"{name}{count}" for name, count in zip(hand, counts, strict=True) if count) for counts in hands]
    return drawn(rows, ranks, numbers) + f"\nin hand: {held[0] or '-'} {held[1].lower() or '-'}"
