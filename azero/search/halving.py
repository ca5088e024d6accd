"""Sequential halving (Karnin, Koren, Somekh: Almost optimal exploration in multi-armed bandits, ICML 2013)."""

import math

import numpy as np


def halving(considered: int, simulations: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequential halving that begins with m moves, for every m from 0 to `considered`.

    Returns:
      visits: int32 [considered + 1, simulations], how often the move of each simulation was visited before.
      left: int32 [considered + 1, simulations], from that simulation on, how many go to moves visited as often.
    """
    visits = np.zeros((considered + 1, simulations), np.int32)
    left = np.zeros_like(visits)
    for moves in range(considered + 1):
        phases = max(1, math.ceil(math.log2(max(moves, 1))))
        size = max(moves, 1)
        order: list[tuple[int, int]] = []
        while len(order) < simulations:
            for _ in range(max(1, simulations // (phases * size))):
                seen = order[-1][0] + 1 if order else 0
                order += [(seen, size - i) for i in range(size)]
            size = max(min(moves, 2), size // 2, 1)
        visits[moves], left[moves] = np.array(order[:simulations]).T
    return visits, np.minimum(left, simulations - np.arange(simulations))


def steps(considered: int, simulations: int, lanes: int) -> list[tuple[int, int]]:
    """(lanes, how often) of the batches that a root with `considered` moves needs."""
    left = halving(considered, simulations)[1][-1]
    plan: list[tuple[int, int]] = []
    simulation = 0
    while simulation < simulations:
        moves = int(left[simulation])  # of a round, which go to different moves
        size, times = min(lanes, moves), -(-moves // lanes)
        simulation += moves
        if plan and plan[-1][0] == size:
            times += plan.pop()[1]
        plan.append((size, times))
    return plan
