"""What a policy that follows a proxy is worth: by the proxy, in exact truth, and how far it went from its base.

All figures of a policy but the last two belong to the same games: those against one opponent, the mean of both
colours, with the positions in which the policy is on move. Against itself a policy that is nearly sure of its moves
plays a single game over and over, and figures over its own positions then hang on that one line.
"""

from typing import NamedTuple

import numpy as np

from azero.exact import Board, Policy, reach, value_against


class Ground(NamedTuple):
    """What every policy of a study is measured on; float64."""

    board: Board
    base: Policy  # [N, A], what the optimisers start from
    opponent: Policy  # [N, A]


class Score(NamedTuple):
    """The worth of one policy."""

    distance: float  # sqrt(kl)
    kl: float  # nats, of the policy's games against the opponent from the base's: summed over its own moves
    proxy: float  # what a move's reward exceeds that of a move of the base by, in the same position, on average
    gold: float  # exact value against the opponent, -1 to 1
    regret: float  # exact, of a move
    own_kl: float  # nats, where it plays both sides
    own_regret: float  # of a move, where it plays both sides


def met(board: Board, policy: Policy, opponent: Policy) -> np.ndarray:
    """How often the policy is on move in each position in a game against the opponent, float64 [N], both colours."""
    first, second = reach(board, policy, opponent), reach(board, opponent, policy)
    for ply, rows in enumerate(board.plies):
        (second if ply % 2 == 0 else first)[rows] = 0
    return (first + second) / 2


def score(ground: Ground, policy: Policy, reward: np.ndarray) -> Score:
    """The figures of a policy.

    Args:
      reward: float [N, A], the proxy that it follows, for the mover.
    """
    board, base = ground.board, ground.base
    visits, own = met(board, policy, ground.opponent), reach(board, policy, policy)
    far = surprise(policy, base)
    kl = _over(visits, far)
    gain = _row_sums((policy - base) * reward)
    regret = _row_sums(policy * board.regret.astype(np.float64))
    return Score(
        distance=float(np.sqrt(max(kl, 0.0))),
        kl=kl,
        proxy=float(visits @ gain / visits.sum()),
        gold=value_against(board, policy, ground.opponent),
        regret=float(visits @ regret / visits.sum()),
        own_kl=_over(own, far),
        own_regret=float(own @ regret / own.sum()),
    )


def surprise(policy: Policy, base: Policy) -> np.ndarray:
    """KL(policy || base) of each position, nats, float64 [N].

    Infinite where the policy makes a move that base never makes.
    """
    ratio = np.ones(policy.shape)
    with np.errstate(divide="ignore"):
        np.divide(policy, base, out=ratio, where=policy > 0)
    return _row_sums(policy * np.log(ratio))


def _over(visits: np.ndarray, far: np.ndarray) -> float:
    """What positions come to in a game; one that is not met counts for nothing, be it infinite."""
    return float(visits[visits > 0] @ far[visits > 0])


def _row_sums(rows: np.ndarray) -> np.ndarray:
    return rows @ np.ones(rows.shape[1])
