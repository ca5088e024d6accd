"""The study `overoptimization`: reward models from few and many comparisons, optimised harder and harder.

Gao, Schulman, Hilton: Scaling Laws for Reward Model Overoptimization, 2022, where gold is another reward model. Here
gold is the exact game value. Everything but the training of networks is exact: policies are tables over all positions,
and what they are worth follows by dynamic programming.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from azero import exact
from azero.config import NetworkConfig, RewardConfig
from azero.exact import Board
from azero.manifest import write_text
from azero.overseers import make_overseer
from azero.studies.cells import claimed
from azero.studies.holes import exploited, guessed_hole, solved_hole
from azero.studies.imitators import Steps, make_imitator
from azero.studies.optimizers import (
    Start,
    best_path,
    distilled_path,
    reinforced_path,
    searched_path,
    tilted_path,
)
from azero.studies.overoptimization_pages import write_pages
from azero.studies.pressures import Safeguard, safeguards
from azero.studies.proxies import Proxies, Proxy, in_parts, make_proxies, one_reward
from azero.studies.scores import Ground, Score, met, score
from azero.studies.verdicts import Found

Say = Callable[[str], None]
BASE = NetworkConfig(width=32)
REWARD = RewardConfig(labels="oracle", noise=0.1, steps=16, batch=128, capacity=20_000)
STEPS = Steps(number=100)
DISTILLED, REINFORCED = range(2)  # purposes of the drawn positions of a cell


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides what the study computes, beside the game and the seeds."""

    overseer: str = "negamax:depth=2"  # whom the base policy imitates
    base: NetworkConfig = BASE
    base_steps: int = 1500  # gradient steps of that imitation
    epsilon: float = 0.3  # of the opponent that gold is measured against
    comparisons: tuple[int, ...] = (30, 100, 1_000, 20_000)
    reward: RewardConfig = REWARD
    reward_rounds: int = 80
    answers: tuple[int, ...] = (2, 4, 16, 64, 256, 1024)
    betas: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
    simulations: tuple[int, ...] = (2, 8, 32, 128)
    ensemble_simulations: tuple[int, ...] = (2, 8, 32)  # where an ensemble judges; the longest search costs most
    rounds: tuple[int, ...] = (1, 2, 4, 6)
    round_tau: float = 0.2
    learned_betas: tuple[float, ...] = (0.3, 0.1)  # of the network that `reinforce` trains
    steps: Steps = STEPS  # of a round of distillation and of a spell of reinforcement
    quantilize: float = 0.5
    halfway: float = 2.0
    kl_budget: float = 0.1  # nats in each position
    hole_raise: float = 2.0  # what a hole adds to the reward of its moves: the width of the scale of rewards
    hole_share: float = 0.5  # positions of the solver's hole that a game of the base meets
    hole_beta: float = 0.1  # one of betas
    hole_answers: int = 64  # one of answers


class Bench(NamedTuple):
    """What all cells share."""

    settings: Settings
    start: Start
    ground: Ground
    proxies: Proxies
    holes: dict[str, np.ndarray]  # bool [N, A] each


def overoptimization(game: str, seeds: int, folder: Path, say: Say, settings: Settings = Settings()) -> dict[str, Any]:
    """Optimises every proxy in every way, and writes what came of it.

    A cell is one seed (labels, first weights) and one number of comparisons. Each is kept in `folder`/cells when it is
    done, so that a study that was stopped goes on, and more seeds can be added.

    Args:
      game: a solved board; the study is made for connect_four_4x4.
      seeds: 1 or more.
      say: takes a line of progress.

    Returns:
      What results.json holds.

    Raises:
      ValueError: the game is not solved, there are no seeds, or the folder holds another study.
    """
    if seeds < 1:
        raise ValueError(f"a study takes 1 seed or more, not {seeds}")
    board = exact.board(game)
    with claimed(folder, {"study": "overoptimization", "game": game, "settings": dataclasses.asdict(settings)}):
        bench = make_bench(board, settings)
        cells = []
        wanted = [(seed, count) for seed in range(seeds) for count in settings.comparisons]
        for number, (seed, count) in enumerate(wanted, 1):
            path = folder / "cells" / f"{count}-comparisons-seed-{seed}.json"
            if not path.exists():
                cell = make_cell(bench, seed, count)
                write_text(path, json.dumps(cell) + "\n")
                say(f"[{number}/{len(wanted)}] {count} comparisons, seed {seed}: {cell['seconds']:.0f} s")
            cells.append(json.loads(path.read_text()))
        base = score(bench.ground, bench.start.base, np.zeros(board.q.shape))
        found = Found(game, seeds, dataclasses.asdict(settings), base._asdict(), hole_facts(bench), cells)
        return write_pages(folder, found)


def make_bench(board: Board, settings: Settings) -> Bench:
    """The base policy: a small network that imitates an overseer on the overseer's own states; always the same."""
    overseer = make_overseer(settings.overseer, board.game)
    taught = in_parts(lambda states: overseer.answers(states, jax.random.key(0))[0], board.states)
    student = make_imitator(board, settings.base, Steps(number=settings.base_steps))
    params = student.imitate(
        student.init(jax.random.key(0)), taught, exact.reach(board, taught, taught), np.random.default_rng(0)
    )
    base = student.policy(params).astype(np.float64)
    base /= base.sum(axis=1, keepdims=True)
    opponent = exact.optimal_opponent(board, settings.epsilon)
    visits = met(board, base, opponent)
    return Bench(
        settings,
        Start(board, make_imitator(board, settings.base, settings.steps), params, base),
        Ground(board, base, opponent),
        make_proxies(board, exact.reach(board, base, base), settings.reward, settings.reward_rounds),
        {"solver": solved_hole(board, visits, settings.hole_share), "guessed": guessed_hole(board)},
    )


def make_cell(bench: Bench, seed: int, count: int) -> dict[str, Any]:
    """One proxy under every optimiser, with every safeguard, and with holes; for JSON."""
    begun = time.perf_counter()
    proxy = bench.proxies(count, seed)
    points = [*_exact_points(bench, proxy), *_learned_points(bench, proxy, seed, count)]
    holes = [row for name in bench.holes for row in _hole_points(bench, proxy, name)]
    named = {"seed": seed, "comparisons": count}
    return {
        **named,
        "quality": proxy.quality,
        "points": [{**named, **point} for point in points],
        "holes": [{**named, **point} for point in holes],
        "seconds": time.perf_counter() - begun,
    }


def hole_facts(bench: Bench) -> dict[str, Any]:
    """Of each hole: how often a game of the base meets it, and the true worth of falling into it every time."""
    board, base = bench.ground.board, bench.start.base
    visits = met(board, base, bench.ground.opponent)
    without = exact.value_against(board, base, bench.ground.opponent)
    facts = {}
    for name, hole in bench.holes.items():
        rows = hole.any(axis=1)
        worst = np.where(hole, board.regret, 0).max(axis=1)
        value = exact.value_against(board, exploited(base, hole), bench.ground.opponent)
        facts[name] = {
            "positions": int(rows.sum()),
            "met": float(visits[rows].sum()),
            "made": _made(visits, base, hole),
            "regret": float(visits[rows] @ worst[rows] / visits[rows].sum()),
            "change": value - without,
        }
    return facts


def _made(visits: np.ndarray, policy: np.ndarray, hole: np.ndarray) -> float:
    """Moves of a hole in a game."""
    return float(visits @ np.where(hole, policy, 0.0).sum(axis=1))


def _row(optimizer: str, pressure: float, safeguard: str, found: Score) -> dict[str, Any]:
    return {"optimizer": optimizer, "pressure": pressure, "safeguard": safeguard, **found._asdict()}


def _exact_points(bench: Bench, proxy: Proxy) -> Iterator[dict[str, Any]]:
    """The optimisers that are one step from the base: a safeguard limits the policy found, or changes the reward."""
    settings, start = bench.settings, bench.start
    guards = _guards(settings)
    for combine in dict.fromkeys(guard.combine for guard in guards):
        reward, value = one_reward(settings.reward, proxy, combine)
        simulations = settings.simulations if combine == "first" else settings.ensemble_simulations
        paths = {
            "best of n": best_path(start, reward, settings.answers),
            "RL": tilted_path(start, reward, settings.betas),
            "search": searched_path(start, reward, value, simulations),
        }
        for name, path in paths.items():
            for pressure, policy in path:
                for guard in guards:
                    if guard.combine == combine:
                        limited = guard.limit(start.base, policy)
                        yield _row(name, pressure, guard.name, score(bench.ground, limited, reward))


def _learned_points(bench: Bench, proxy: Proxy, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Repeated distillation under every safeguard, and the network that `reinforce` trains under none."""
    settings, start = bench.settings, bench.start
    for guard in _guards(settings):
        reward, _ = one_reward(settings.reward, proxy, guard.combine)
        rng = np.random.default_rng((seed, count, DISTILLED))  # the same draws for all
        path = distilled_path(start, reward, settings.round_tau, settings.rounds, guard.limit, rng)
        for pressure, policy in path:
            yield _row("distillation", pressure, guard.name, score(bench.ground, policy, reward))
    reward, _ = one_reward(settings.reward, proxy, "first")
    rng = np.random.default_rng((seed, count, REINFORCED))
    for pressure, policy in reinforced_path(start, reward, settings.learned_betas, rng):
        yield _row("reinforce", pressure, "none", score(bench.ground, policy, reward))


def _hole_points(bench: Bench, proxy: Proxy, hole_name: str) -> Iterator[dict[str, Any]]:
    """A hole that the whole ensemble has, for it lies in who was asked."""
    settings, start = bench.settings, bench.start
    hole = bench.holes[hole_name]
    holed = proxy._replace(reward=proxy.reward + np.float32(settings.hole_raise) * hole)
    for guard in _guards(settings):
        reward, _ = one_reward(settings.reward, holed, guard.combine)
        paths = {
            "best of n": best_path(start, reward, [settings.hole_answers]),
            "RL": tilted_path(start, reward, [settings.hole_beta]),
        }
        for name, path in paths.items():
            for pressure, policy in path:
                limited = guard.limit(start.base, policy)
                visits = met(start.board, limited, bench.ground.opponent)
                row = _row(name, pressure, guard.name, score(bench.ground, limited, reward))
                yield {"hole": hole_name, "made": _made(visits, limited, hole), **row}


def _guards(settings: Settings) -> list[Safeguard]:
    return safeguards(settings.quantilize, settings.halfway, settings.kl_budget)
