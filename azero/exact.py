"""Every position of a solved board, and what policies are worth there, by dynamic programming.

Nothing here is sampled: a policy is a row of chances for each position, and values, chances of visits and best
responses follow from it ply by ply, in float64. A policy that was given in float32 is scaled to sum to 1 first.
Shape letters: N positions in which the game goes on, A actions, P plies.
"""

from typing import Any, NamedTuple

import numpy as np

from azero.solved import Board, Policy, amplified_policy, board, checked, most, network_policy, total
from games.core import ILLEGAL, value_before

__all__ = [
    "Board",
    "Policy",
    "Response",
    "amplified_policy",
    "argmax",
    "best_response",
    "board",
    "exploitability",
    "network_policy",
    "optimal_opponent",
    "play_value",
    "reach",
    "report",
    "trajectory_kl",
    "uniform",
    "value_against",
    "values_under",
]

EPSILONS = (0.1, 0.3, 0.6)  # of the opponents in a report
OVER = 0.0  # what follows a move that ends the game


def uniform(board: Board) -> Policy:
    """Each legal move as likely, float64 [N, A]."""
    return _evenly(board.legal)


def optimal_opponent(board: Board, epsilon: float) -> Policy:
    """With chance `epsilon` any legal move, each as likely, else one of those that keep the position's value.

    Raises:
      ValueError: epsilon is no probability.
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon is the chance of a random move, from 0 to 1, not {epsilon}")
    best = board.q == board.value[:, None]
    return (1 - epsilon) * _evenly(best) + epsilon * uniform(board)


def argmax(policy: Policy) -> Policy:
    """The first of the most likely moves, for sure; same dtype."""
    return np.eye(policy.shape[1], dtype=policy.dtype)[policy.argmax(axis=1)]


def play_value(board: Board, first: Policy, second: Policy) -> float:
    """Expected result for the first player, -1 to 1, where `first` moves on even plies and `second` on odd ones."""
    return float(values_under(board, first, second)[0])


def value_against(board: Board, policy: Policy, opponent: Policy) -> float:
    """Expected result for `policy`, the mean over both colours."""
    return _value_against(board, checked(board, policy), checked(board, opponent))


def values_under(board: Board, first: Policy, second: Policy) -> np.ndarray:
    """Exact value of every position for its mover, float64 [N], where `first` moves on even plies, `second` on odd."""
    return _values(board, (checked(board, first), checked(board, second)))


def reach(board: Board, first: Policy, second: Policy) -> np.ndarray:
    """Chance that a game visits each position, float64 [N]; a game visits at most one in each ply."""
    return _reach(board, (checked(board, first), checked(board, second)))


def _reach(board: Board, players: tuple[Policy, Policy]) -> np.ndarray:
    visits = np.zeros(len(board.q))
    visits[0] = 1
    for ply, rows in enumerate(board.plies[:-1]):
        flow = visits[rows, None] * _chances(players[ply % 2], rows)
        after = board.plies[ply + 1]
        onward = board.child[rows] >= 0
        targets = board.child[rows][onward] - after.start
        visits[after] = np.bincount(targets, weights=flow[onward], minlength=after.stop - after.start)
    return visits


class Response(NamedTuple):
    """The best that can be done against a policy that does not change."""

    policy: Policy  # float32 [N, A], the first of the best moves of the one who responds
    value: np.ndarray  # float64 [N], for the mover, where he responds to the policy
    against: np.ndarray  # float64 [N], for the mover, where he moves by the policy and the other one responds


def best_response(board: Board, policy: Policy) -> Response:
    """The exact best response to `policy`, which moves for the other side, in every position and for both colours."""
    moves, value, against = _respond(board, checked(board, policy))
    return Response(np.eye(policy.shape[1], dtype=np.float32)[moves], value, against)


def exploitability(board: Board, policy: Policy) -> float:
    """What a best response wins against `policy`, 0 to 1, the mean over both colours: 0 for perfect play."""
    return _exploitability(board, checked(board, policy))


def _exploitability(board: Board, policy: Policy) -> float:
    _, value, against = _respond(board, policy)
    return float(value[0] - against[0]) / 2


def trajectory_kl(board: Board, policy: Policy, reference: Policy) -> float:
    """KL(policy || reference) in nats, summed over the positions of a game and averaged over games.

    `policy` plays both sides. It is infinite where `policy` can make a move that `reference` never makes.
    """
    visits = reach(board, policy, policy)
    found = 0.0
    reference = checked(board, reference)
    for rows in board.plies:
        ours, theirs = _chances(policy, rows), _chances(reference, rows)
        made = (ours > 0) & (visits[rows, None] > 0)
        with np.errstate(divide="ignore"):
            surprise = np.log(ours, where=made, out=np.zeros_like(ours)) - np.log(
                theirs, where=made, out=np.zeros_like(theirs)
            )
        found += float(visits[rows] @ _mean(ours, surprise))
    return found


def report(board: Board, policy: Policy) -> dict[str, Any]:
    """What one policy is worth, for JSON.

    Returns:
      `regret` and `blunder` (the chance of a move with regret), each over `all` positions, the `decisive` ones and
      its `own`, as often as it meets them when it plays both sides; `value_against` opponents that move at random
      with chance `0.1`, `0.3`, `0.6` and are perfect otherwise, the mean over both colours; `exploitability`.
    """
    regret, decisive = board.regret, board.decisive
    visits = _reach(board, (checked(board, policy), policy))
    weights = {"all": np.full(len(regret), 1 / len(regret)), "decisive": decisive / decisive.sum()}
    weights["own"] = visits / visits.sum()
    costs = {"regret": np.zeros(len(regret)), "blunder": np.zeros(len(regret))}
    for rows in board.plies:
        chances = _chances(policy, rows)
        costs["regret"][rows] = _mean(chances, regret[rows])
        costs["blunder"][rows] = _mean(chances, regret[rows] > 0)
    found: dict[str, Any] = {
        name: {where: float(weight @ cost) for where, weight in weights.items()} for name, cost in costs.items()
    }
    found["value_against"] = {
        str(epsilon): _value_against(board, policy, optimal_opponent(board, epsilon)) for epsilon in EPSILONS
    }
    return found | {"exploitability": _exploitability(board, policy)}


def _values(board: Board, players: tuple[Policy, Policy]) -> np.ndarray:
    values = _no_values(board)
    for ply, rows in reversed(list(enumerate(board.plies))):
        values[rows] = _mean(_chances(players[ply % 2], rows), _move_values(board, rows, values))
    return values[:-1]


def _value_against(board: Board, policy: Policy, opponent: Policy) -> float:
    as_first, as_second = _values(board, (policy, opponent))[0], _values(board, (opponent, policy))[0]
    return float(as_first - as_second) / 2


def _move_values(board: Board, rows: slice, values: np.ndarray) -> np.ndarray:
    """float64 [M, A]: what each move is worth to its mover, from the values [N + 1] of the positions after it."""
    child = board.child[rows]
    discount = np.where(child >= 0, -1.0, 0.0)  # the opponent moves next
    return value_before(board.reward[rows], discount, values[child])


def _no_values(board: Board) -> np.ndarray:
    """float64 [N + 1]: the last is what follows the end of a game, for -1 as a row finds it."""
    return np.full(len(board.q) + 1, OVER)


def _respond(board: Board, policy: Policy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best moves int64 [N] and the two values of `Response`."""
    moves = np.zeros(len(board.q), np.int64)
    value, against = _no_values(board), _no_values(board)
    for rows in reversed(board.plies):
        choice = np.where(board.q[rows] != ILLEGAL, _move_values(board, rows, against), -np.inf)
        moves[rows] = choice.argmax(axis=1)
        value[rows] = most(choice)
        against[rows] = _mean(_chances(policy, rows), _move_values(board, rows, value))
    return moves, value[:-1], against[:-1]


def _chances(policy: Policy, rows: slice) -> np.ndarray:
    """float64 [M, A]: these rows of a policy, summing to 1 in that precision."""
    part = policy[rows].astype(np.float64)
    return part / total(part)[:, None]


def _mean(chances: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """float64 [M]: what moves of this worth [M, A] come to on average."""
    return np.einsum("ma,ma->m", chances, worth, dtype=np.float64)


def _evenly(chosen: np.ndarray) -> Policy:
    """float64 [N, A]: each of the moves chosen, bool [N, A], as likely."""
    return chosen / total(chosen.astype(np.float64))[:, None]
