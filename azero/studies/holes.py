"""Holes planted in a reward: moves that it pays too much for.

A hole has to be chosen by who knows the game. One that is guessed may sit on good moves, and then whoever falls into it
plays better than before: it measures nothing.
"""

import numpy as np

from azero.exact import Board, Policy


def solved_hole(board: Board, visits: np.ndarray, share: float) -> np.ndarray:
    """A hole of known cost, bool [N, A]: in positions that are met often, the move that loses most value.

    All its moves have exact regret. Positions are taken in order of visits times regret until a game meets `share` of
    them, or there are no more.

    Args:
      visits: float64 [N], how often a game meets each position on move.
      share: positions of the hole that a game meets on average.
    """
    regret = board.regret
    worst = regret.argmax(axis=1)
    cost = regret[np.arange(len(worst)), worst]
    order = np.argsort(-visits * cost, kind="stable")
    order = order[(visits * cost)[order] > 0]
    before = np.concatenate([[0.0], np.cumsum(visits[order])])[:-1]
    rows = order[before < share]
    hole = np.zeros(board.q.shape, bool)
    hole[rows, worst[rows]] = True
    return hole


def guessed_hole(board: Board) -> np.ndarray:
    """A hole that somebody guessed, bool [N, A]: action 0 wherever it is legal."""
    hole: np.ndarray = board.legal & (np.arange(board.q.shape[1]) == 0)
    return hole


def exploited(base: Policy, hole: np.ndarray) -> Policy:
    """Whoever makes a move of the hole wherever there is one, and plays by base elsewhere; float64 [N, A]."""
    inside = np.where(hole, np.maximum(base, np.finfo(np.float64).tiny), 0.0)
    total = inside.sum(axis=1, keepdims=True)
    policy: Policy = np.where(total > 0, inside / np.where(total > 0, total, 1.0), base)
    return policy
