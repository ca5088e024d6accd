"""Chess and Gardner's chess on 5 x 5, as UCI writes them: e2e4, e7e8q.

The env turns the board for Black: ranks are counted from the mover's side, files from White's left. Squares go up
the files: square = file * size + rank. An action is square * planes + plane, as in AlphaZero; the planes are nine
underpromotions (rook, bishop, knight; each ahead, to the right, to the left), then the moves of a queen, then
those of a knight.
"""

import re
from collections.abc import Callable

import numpy as np

from games.core import Notation, State
from games.notation import action_by_text, drawn

PIECES = ".PNBRQK"
PAWN = 1
UNDERPROMOTIONS = "rbn"
KNIGHT_STEPS = ((-1, -2), (1, -2), (-2, -1), (2, -1), (-1, 2), (1, 2), (-2, 1), (2, 1))


def plane_steps(size: int) -> list[tuple[int, int]]:
    """Ranks and files that each plane of the action goes, [planes], seen by the mover."""
    ahead = list(range(1, size))
    behind = [-distance for distance in reversed(ahead)]
    underpromotions = [(1, step) for _ in UNDERPROMOTIONS for step in (0, 1, -1)]
    straight = [(d, 0) for d in behind + ahead] + [(0, d) for d in behind + ahead]
    rising = [(d, d) for d in behind + ahead]
    falling = [(-d, d) for d in behind + ahead]
    return [*underpromotions, *straight, *rising, *falling, *KNIGHT_STEPS]


def chess_notation() -> Notation:
    """UCI. White is in upper case; castling is the king's move, e1g1."""
    return _notation(8, lambda state: np.asarray(state.board.env._x.board), "e2e4 or e7e8q")


def gardner_chess_notation() -> Notation:
    """UCI on 5 x 5. White is in upper case."""
    return _notation(5, lambda state: np.asarray(state.board.env._board), "b2b3 or b4b5q")


def whole_fen(fen: str, size: int) -> str:
    """A FEN with all of its six fields; the last two, or four, may be left out.

    Raises:
      ValueError: it is no position of a board of this size; the message says what is wrong with it.
    """
    fields = fen.split()
    given = len(fields)
    if not 2 <= given <= 6:
        raise ValueError(f"a FEN has 6 fields, not {given}")
    fields += ["-", "-", "0", "1"][given - 2 :]
    ranks = fields[0].split("/")
    for rank in ranks:
        if not re.fullmatch(r"[1-8pnbrqkPNBRQK]+", rank) or sum(int(c) if c.isdigit() else 1 for c in rank) != size:
            raise ValueError(f"{rank!r} is not a rank of {size} squares")
    if len(ranks) != size:
        raise ValueError(f"a board of {size} ranks, not {len(ranks)}")
    for king, pieces in (("K", str.isupper), ("k", str.islower)):
        if fields[0].count(king) != 1 or sum(map(pieces, fields[0])) > 2 * size:
            raise ValueError(f"each side has one king and at most {2 * size} pieces")
    if any(c in "pP" for c in ranks[0] + ranks[-1]):
        raise ValueError("a pawn on the first or the last rank")
    for field, form in zip(fields[1:], ("[wb]", "-|K?Q?k?q?", "-|[a-h][36]", r"\d{1,3}", r"\d{1,3}"), strict=True):
        if not re.fullmatch(form, field):
            raise ValueError(f"{field!r} is no field of a FEN here")
    for right in fields[2].strip("-"):
        rank = re.sub(r"\d", lambda empty: "." * int(empty[0]), ranks[-1] if right.isupper() else ranks[0])
        rook = 7 if right in "Kk" else 0
        king, castle = ("K", "R") if right.isupper() else ("k", "r")
        if size != 8 or rank[4] != king or rank[rook] != castle:
            raise ValueError(f"castling {right!r}, but king and rook do not stand as in the beginning")
    return " ".join(fields)


def _notation(size: int, pieces: Callable[[State], np.ndarray], example: str) -> Notation:
    """Args: the board's size; state -> pieces int [size * size], the mover's positive; what a move looks like."""
    steps = plane_steps(size)

    def square(state: State, file: int, rank: int) -> str:
        return f"{chr(ord('a') + file)}{size - rank if int(state.to_play) else rank + 1}"

    def move(state: State, action: int) -> str:
        origin, plane = divmod(action, len(steps))
        file, rank = divmod(origin, size)
        to_rank, to_file = rank + steps[plane][0], file + steps[plane][1]
        promotion = ""
        if plane < 9:
            promotion = UNDERPROMOTIONS[plane // 3]
        elif to_rank == size - 1 and pieces(state)[origin] == PAWN:
            promotion = "q"
        return square(state, file, rank) + square(state, to_file, to_rank) + promotion

    def board(state: State) -> str:
        files = pieces(state).reshape(size, size)
        if int(state.to_play):
            files = -files[:, ::-1]
        symbols = [
            [PIECES[piece] if piece >= 0 else PIECES[-piece].lower() for piece in rank] for rank in files.T[::-1]
        ]
        names = [str(size - row) for row in range(size)]
        return drawn(symbols, names, "abcdefgh"[:size])

    return Notation(move, action_by_text(move, example), " ", board)
