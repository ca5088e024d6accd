"""The labelled positions of Connect Four (7 x 6), whose every move has its exact score.

`scripts/label_connect_four.py` made the file; nothing here needs the solver it used.

The scale of scores is the usual one: 0 is a draw; a mover who wins with his k-th stone has the score 22 - k, one who
loses to his opponent's k-th stone has k - 22. So 1 is a win with the last stone, and more is sooner.
"""

import importlib.resources
from typing import NamedTuple

import numpy as np

from games.connect import SHAPES
from games.core import ILLEGAL
from games.oracles.bitboards import connect_rules, mirrored_columns, moves_from, plies_played
from games.oracles.tables import reachable

SHAPE = SHAPES["connect_four"]
RULES = connect_rules("connect_four", SHAPE)
FILE = "connect_four_positions.npz"

STAGES = ("begin", "middle", "end")  # thirds of the longest possible game: from 0, 14 and 28 stones on
DIFFICULTIES = ("easy", "medium", "hard")

# The 8-ply positions of the UCI data set connect-4: all of them, and with mirror images as one; then the
# first player's wins, losses and draws among the latter.
UCI_ALL = 134_934
UCI_POSITIONS = 67_557
UCI_RESULTS = {"win": 44_473, "loss": 16_635, "draw": 6_449}


class Labels(NamedTuple):
    """Positions as the moves that lead to them, and what each next move is worth."""

    moves: np.ndarray  # int8 [M, 42], columns from 0 on; -1 after the last move
    scores: np.ndarray  # int8 [M, 7], exact score of each move for the mover, ILLEGAL where the column is full


def load_labels() -> Labels:
    """The labelled set that comes with the package."""
    path = importlib.resources.files("games.oracles") / FILE
    with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
        return Labels(parts["moves"], parts["scores"])


def values_of(scores: np.ndarray) -> np.ndarray:
    """Exact values int8 [..., A] of moves, from their scores int8 [..., A]; ILLEGAL stays."""
    return np.where(scores == ILLEGAL, ILLEGAL, np.sign(scores)).astype(np.int8)


def stage(ply: np.ndarray, max_plies: int) -> np.ndarray:
    """str [M]: "begin", "middle" or "end", by thirds of the longest possible game, from int [M] stones."""
    return np.array(STAGES)[len(STAGES) * ply // max_plies]


def difficulty(q: np.ndarray) -> np.ndarray:
    """str [M]: how many of the legal moves keep the value of the position.

    Args:
      q: int8 [M, A], exact value of each move for the mover, ILLEGAL where there is none.

    Returns:
      "hard" if at most a third of the legal moves keep it, "easy" if at least two thirds but not all do, "medium"
      between; "" if all do: then nothing can go wrong.
    """
    legal = (q != ILLEGAL).sum(axis=1)
    keep = (q == q.max(axis=1, keepdims=True)).sum(axis=1)
    level = np.where(3 * keep <= legal, "hard", np.where(3 * keep >= 2 * legal, "easy", "medium"))
    return np.where(keep == legal, "", level)


def key_after(moves: np.ndarray) -> np.ndarray:
    """uint64 [M]: keys of the positions that moves int8 [M, T] lead to, -1 after the last; the start is key 0.

    Raises:
      ValueError: a move is illegal or comes after the end of the game, or the game is over after the last.
    """
    keys = np.zeros(len(moves), np.uint64)
    for column in moves.T.astype(np.int64):
        row = np.flatnonzero(column >= 0)
        possible = moves_from(RULES, keys[row])
        chosen = (np.arange(len(row)), column[row])
        if not possible.goes_on[chosen].all():
            raise ValueError("the moves lead past the end of the game or into a full column")
        keys[row] = possible.after[chosen]
    return keys


def mirrored(keys: np.ndarray) -> np.ndarray:
    """Keys, uint64 [M], of the positions with left and right exchanged."""
    first, second = RULES.stones(keys)
    return RULES.key(mirrored_columns(SHAPE, first), mirrored_columns(SHAPE, second))


def uci_positions() -> np.ndarray:
    """The positions of the UCI data set connect-4 (J. Tromp, 1995), from the rules.

    Its definition, "all legal 8-ply positions in which neither player has won yet, and in which the next move is
    not forced", means: reachable by eight moves; nobody has four in a row; and nobody could complete four with his
    next stone, neither the player to move (who would win) nor the other one (whom he would have to stop). These are
    134,934 positions; a position and its mirror image count once in the data set, which leaves 67,557.

    Returns:
      keys, uint64 [134934], ascending, both of each mirrored pair.
    """
    keys = reachable(RULES, 8)[8]
    first, second = RULES.stones(keys)
    placed = RULES.placed(first | second)
    forced = [RULES.has_line(stones[:, None] | placed).any(axis=1) for stones in (first, second)]
    return keys[~forced[0] & ~forced[1]]


def one_of_each_pair(keys: np.ndarray) -> np.ndarray:
    """Of each position and its mirror image the lower key, uint64 [N], ascending, each once."""
    return np.unique(np.minimum(keys, mirrored(keys)))


def plies(keys: np.ndarray) -> np.ndarray:
    """int64 [M]: how many stones are on the board."""
    return plies_played(RULES, keys)
