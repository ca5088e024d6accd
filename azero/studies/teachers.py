"""What students are taught from: two teachers that never err, and what moves are worth in play.

Shape letters: N positions of the board, A actions.
"""

from collections.abc import Callable

import numpy as np

from azero import exact
from azero.exact import Board, Policy
from games.core import value_before


def plain_teacher(board: Board) -> Policy:
    """Any move that keeps the position's value, each as likely, float64 [N, A]."""
    return exact.optimal_opponent(board, 0.0)


def sharp_teacher(board: Board) -> Policy:
    """Of the moves that keep the value, those after which the smallest share of the legal replies holds, evenly.

    A reply holds if it keeps what its position is worth to the one who replies. No reply holds after a move that ends
    the game; in a lost position all hold; a forced reply is not sharp, its share is 1. float64 [N, A].
    """
    keeps = board.q == board.value[:, None]
    share = keeps.sum(axis=1) / board.legal.sum(axis=1)
    after = np.where(keeps, np.where(board.child >= 0, share[board.child], 0.0), np.inf)
    sharpest = after == after.min(axis=1, keepdims=True)
    return sharpest / sharpest.sum(axis=1, keepdims=True)


def worth_in_play(board: Board, policy: Policy, opponent: Policy) -> np.ndarray:
    """float64 [N, A]: expected result of each move for the one who learns, who goes on by `policy`; 0 where illegal.

    He is the mover of every position: on even plies as the first player, on odd ones as the second.
    """
    as_first = exact.values_under(board, policy, opponent)
    as_second = exact.values_under(board, opponent, policy)
    found = np.zeros(board.q.shape)
    for ply, rows in enumerate(board.plies):
        values = (as_first, as_second)[ply % 2]
        child = board.child[rows]
        discount = np.where(child >= 0, -1.0, 0.0)  # the opponent moves next
        found[rows] = value_before(board.reward[rows], discount, values[child])
    return np.where(board.legal, found, 0.0)


def own_positions(board: Board, policy: Policy, opponent: Policy) -> np.ndarray:
    """float64 [N], sums to 1: how often `policy` is to move in each position, in games with both colours."""
    seen = np.zeros(len(board.q))
    visits = (exact.reach(board, policy, opponent), exact.reach(board, opponent, policy))
    for ply, rows in enumerate(board.plies):
        seen[rows] = visits[ply % 2][rows]
    return seen / seen.sum()


TEACHERS: dict[str, Callable[[Board], Policy]] = {
    "plain": plain_teacher,
    "sharp": sharp_teacher,
    "random": exact.uniform,
}
