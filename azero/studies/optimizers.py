"""The optimisers of a proxy: each a path of policies of growing pressure, from the base policy on."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from azero.config import SearchConfig
from azero.exact import Board, Policy, amplified_policy, reach
from azero.network import Params
from azero.studies.imitators import Imitator
from azero.studies.pressures import best_of_n, tilted

Path = Iterator[tuple[float, Policy]]  # (pressure, policy [N, A]), pressure growing
Limit = Callable[[Policy, Policy], Policy]  # (base, optimised policy) -> the policy that is used


class Start(NamedTuple):
    """Where every optimiser starts."""

    board: Board
    imitator: Imitator
    params: Params  # of the network whose policy the base is
    base: Policy  # float64 [N, A]


def best_path(start: Start, reward: np.ndarray, answers: Sequence[int]) -> Path:
    """The best by the reward of n moves of the base; the pressure is n."""
    for n in answers:
        yield n, best_of_n(start.base, reward, n)


def tilted_path(start: Start, reward: np.ndarray, betas: Sequence[float]) -> Path:
    """The optimum of KL-regularised reinforcement learning in closed form, in each position; the pressure is 1 / beta.

    Each move is its own episode, as in azero's `reinforce`: a move is paid by its reward alone.
    """
    for beta in betas:
        yield 1 / beta, tilted(start.base, reward, beta)


def searched_path(start: Start, reward: np.ndarray, value: np.ndarray, simulations: Sequence[int]) -> Path:
    """Tree search from the base's prior in which the proxy judges leaves and results; the pressure is simulations.

    It is the search of `reward.enters terminal`, in tables: the rules' results are never seen.

    Args:
      value: float32 [N], the proxy's, of each position for the player to move.
    """
    board = start.board
    ends = board.legal & (board.child < 0)
    proxied = board._replace(reward=np.where(ends, reward, 0).astype(np.float32))
    for count in simulations:
        policy, _ = amplified_policy(
            proxied, SearchConfig(simulations=count), start.base.astype(np.float32), np.clip(value, -1, 1)
        )
        yield count, policy


def distilled_path(
    start: Start, reward: np.ndarray, tau: float, rounds: Sequence[int], limit: Limit, rng: np.random.Generator
) -> Path:
    """Tilt, refit the network to what came out on its own states, and again; the pressure is the round.

    Args:
      tau: of the tilt of one round: policy * exp(reward / tau).
      rounds: those whose network is given.
      limit: a safeguard on what is distilled, measured from the base.
    """
    params, policy = start.params, start.base
    for number in range(1, max(rounds) + 1):
        target = limit(start.base, tilted(policy, reward, tau))
        params = start.imitator.imitate(params, target, reach(start.board, policy, policy), rng)
        policy = start.imitator.policy(params).astype(np.float64)
        if number in rounds:
            yield number, policy


def reinforced_path(start: Start, reward: np.ndarray, betas: Sequence[float], rng: np.random.Generator) -> Path:
    """A network that azero's `reinforce` trains with a KL penalty, from the base's; the pressure is 1 / beta."""
    for beta in betas:
        params = start.imitator.reinforce(start.params, reward, start.base, beta, rng)
        yield 1 / beta, start.imitator.policy(params)
