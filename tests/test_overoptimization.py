"""The study of over-optimisation: its exact formulas against sampling and bounds, and a tiny whole."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from azero import exact
from azero.config import NetworkConfig, RewardConfig
from azero.distill.safeguards import quantilizer
from azero.studies import STUDIES, overoptimization
from azero.studies.curves import FORMS, fitted, gold_at
from azero.studies.falls import fall, fit_bounds
from azero.studies.holes import exploited, guessed_hole, solved_hole
from azero.studies.imitators import Steps
from azero.studies.overoptimization import Settings
from azero.studies.pressures import best_of_n, capped, safeguards, tilted, within_budget
from azero.studies.proxies import make_proxies, one_reward, pair_accuracy
from azero.studies.scores import Ground, met, score, surprise

REWARD = RewardConfig(labels="oracle", width=32, steps=16, batch=128, capacity=3000, ensemble=2)
TINY = Settings(
    base=NetworkConfig(width=8),
    base_steps=60,
    comparisons=(20, 60),
    reward=REWARD,
    reward_rounds=4,
    answers=(2, 16),
    betas=(1.0, 0.1),
    simulations=(2, 4),
    ensemble_simulations=(2,),
    rounds=(1, 2),
    learned_betas=(0.1,),
    steps=Steps(10, 64),
    hole_answers=16,
)


@pytest.fixture(scope="module")
def board():
    return exact.board("tic_tac_toe")


@pytest.fixture(scope="module")
def base(board):
    """A policy of no merit, with every legal move."""
    weight = np.where(board.legal, np.random.default_rng(3).gamma(0.7, size=board.q.shape) + 0.01, 0.0)
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def reward(board):
    """Any reward, with ties."""
    return np.where(board.legal, np.random.default_rng(4).integers(-3, 4, board.q.shape) / 3, 0).astype(np.float32)


@pytest.fixture(scope="module")
def ground(board, base):
    return Ground(board, base, exact.optimal_opponent(board, 0.3))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_best_of_n_is_what_sampling_says(n):
    base = np.array([[0.4, 0.1, 0.2, 0.3, 0.0]])
    reward = np.array([[0.5, -1.0, 0.5, 0.9, 5.0]], np.float32)
    rng = np.random.default_rng(0)
    draws = 200_000
    drawn = rng.choice(5, size=(draws, n), p=base[0])
    best = reward[0][drawn].max(axis=1)
    kept = np.empty(draws, int)
    for row in range(0, draws, 50_000):  # of equally good moves drawn any one, each as likely
        part = slice(row, row + 50_000)
        merit = np.where(reward[0][drawn[part]] == best[part, None], rng.random((50_000, n)), -1.0)
        kept[part] = drawn[part][np.arange(50_000), merit.argmax(axis=1)]
    seen = np.bincount(kept, minlength=5) / draws
    said = best_of_n(base, reward, n)[0]
    assert said[4] == 0
    np.testing.assert_array_less(np.abs(seen - said), 4 * np.sqrt(said * (1 - said) / draws) + 1e-9)


@pytest.mark.parametrize("n", [1, 3, 64])
def test_best_of_n_stays_within_its_divergence(base, reward, n):
    kl = surprise(best_of_n(base, reward, n), base)
    assert kl.max() <= math.log(n) - (n - 1) / n + 1e-9


def test_best_of_n_refuses_no_moves(base, reward):
    with pytest.raises(ValueError, match="n of 1 or more, not 0"):
        best_of_n(base, reward, 0)


def test_quantilizing_bounds_every_cost_in_every_position(board, base, reward):
    share = 0.3
    guard = {each.name: each for each in safeguards(share, 2.0, 0.1)}["quantilize"]
    for policy in (tilted(base, reward, 0.01), best_of_n(base, reward, 64)):
        limited = guard.limit(base, policy)
        exact.checked(board, limited)
        # For every cost c >= 0 it is enough to look at the costs that are 1 at one move and 0 elsewhere.
        assert (limited <= base / share * (1 + 1e-4) + 1e-7).all()
        assert surprise(limited.astype(float), base).max() <= math.log(1 / share) + 1e-4
        cost = np.random.default_rng(5).exponential(size=base.shape)
        assert ((limited * cost).sum(axis=1) <= (base * cost).sum(axis=1) / share + 1e-5).all()
        assert (policy > base / share + 1e-3).any(), "the cap never bit"


def test_quantilizing_the_steepest_policy_is_the_quantilizer(base, reward):
    steep, share = tilted(base, reward, 0.003), 0.3
    wanted = quantilizer(jnp.asarray(base, jnp.float32), jnp.asarray(reward), share)
    np.testing.assert_allclose(capped(base, steep, share), wanted, atol=4e-5)  # a log chance of -300 in float32
    np.testing.assert_allclose(capped(base, base, share), base, atol=1e-6)


def test_a_budget_is_kept_and_used_up(board, base, reward):
    policy, budget = tilted(base, reward, 0.02), 0.1
    limited = within_budget(base, policy, budget)
    kl, wanted = surprise(limited.astype(float), base), surprise(policy.astype(float), base)
    assert (kl <= budget + 1e-4).all()
    np.testing.assert_allclose(kl[wanted > budget], budget, atol=2e-3)
    np.testing.assert_allclose(limited[wanted <= budget], policy[wanted <= budget], atol=1e-5)
    # Along a tilt, however steep, going back towards the base is a tilt of a larger beta.
    row = int(np.flatnonzero(wanted > budget)[0])
    logs = np.log(limited[row] / base[row], where=base[row] > 0, out=np.zeros(base.shape[1]))
    legal = board.legal[row]
    slope = np.polyfit(reward[row][legal], logs[legal], 1)
    np.testing.assert_allclose(np.polyval(slope, reward[row][legal]), logs[legal], atol=1e-3)


def test_halfway_is_the_geometric_middle(base, reward):
    guard = {each.name: each for each in safeguards(0.5, 2.0, 0.1)}["halfway"]
    policy = tilted(base, reward, 0.5)
    middle = np.sqrt(base * policy)
    np.testing.assert_allclose(guard.limit(base, policy), middle / middle.sum(axis=1, keepdims=True), atol=1e-5)


def test_score_counts_the_games_it_says(ground, base, reward):
    board = ground.board
    policy = best_of_n(base, reward, 4)
    found = score(ground, policy, reward)
    visits = met(board, policy, ground.opponent)
    assert found.own_kl == pytest.approx(exact.trajectory_kl(board, policy, base))
    assert found.gold == pytest.approx(exact.value_against(board, policy, ground.opponent))
    assert found.proxy > 0
    assert visits[0] == pytest.approx(0.5)  # it begins every other game
    # In games against a copy of itself it is on move in every position, half of the time in each colour.
    np.testing.assert_allclose(met(board, policy, policy), exact.reach(board, policy, policy) / 2)
    same = score(ground, base, reward)
    assert same.kl == pytest.approx(0, abs=1e-9)
    assert same.proxy == pytest.approx(0, abs=1e-9)


def test_gold_is_gained_in_the_positions_met(ground, base, reward):
    """The performance difference lemma (Kakade, Langford 2002) ties the positions met to the exact values."""
    board, opponent = ground.board, ground.opponent
    policy = best_of_n(base, reward, 4)
    worth = np.zeros(board.q.shape)  # of a move after which the base goes on
    for colour, players in enumerate([(base, opponent), (opponent, base)]):
        after = np.append(exact.values_under(board, *players), 0.0)
        for rows in board.plies[colour::2]:
            worth[rows] = board.reward[rows] - np.where(board.child[rows] >= 0, after[board.child[rows]], 0.0)
    gained = met(board, policy, opponent) @ ((policy - base) * worth).sum(axis=1)
    before = exact.value_against(board, base, opponent)
    assert gained == pytest.approx(exact.value_against(board, policy, opponent) - before)
    assert abs(gained) > 1e-4


def test_the_solver_s_hole_costs_gold(ground, base):
    board = ground.board
    visits = met(board, base, ground.opponent)
    hole = solved_hole(board, visits, 0.5)
    assert (board.regret[hole] > 0).all()
    assert (hole.sum(axis=1) <= 1).all()
    assert visits[hole.any(axis=1)].sum() >= 0.5
    before = exact.value_against(board, base, ground.opponent)
    assert exact.value_against(board, exploited(base, hole), ground.opponent) < before - 0.02
    # Whoever follows a reward with this hole falls into it, and pays.
    empty = np.zeros(board.q.shape, np.float32)
    falls = [exact.value_against(board, tilted(base, empty + 2 * hole, beta), ground.opponent) for beta in (2.0, 0.2)]
    assert before > falls[0] > falls[1]


def test_a_guessed_hole_is_any_move(board):
    hole = guessed_hole(board)
    assert board.legal[hole].all()
    assert (board.regret[hole] == 0).any()
    assert (board.regret[hole] > 0).any()


@pytest.mark.parametrize("form", FORMS)
def test_a_fit_recovers_what_was_planted(form):
    distance = np.linspace(0.2, 4, 20)
    alpha, beta = 0.31, 0.12
    gain = gold_at(form, alpha, beta, distance)
    curve = fitted(form, np.append(distance, 0.0), np.append(gain, 9.0))
    assert (curve.alpha, curve.beta) == pytest.approx((alpha, beta))
    assert curve.residual == pytest.approx(0, abs=1e-9)
    fine = np.linspace(0.01, 10, 100_000)
    assert curve.turnover == pytest.approx(fine[gold_at(form, alpha, beta, fine).argmax()], abs=1e-3)
    assert fitted(form, distance, gold_at(form, 0.3, -0.1, distance)).turnover is None


def test_a_fit_needs_two_distances():
    with pytest.raises(ValueError, match="two different d"):
        fitted("RL", np.array([0.0, 1.0, 1.0]), np.zeros(3))


def test_a_fall_is_counted_from_the_peak():
    points = [
        {"seed": seed, "pressure": pressure, "gold": gold, "distance": float(pressure), "proxy": 0.0}
        for seed, path in enumerate([(0.1, 0.3, 0.2), (-0.1, -0.2, -0.3)])
        for pressure, gold in enumerate(path, 1)
    ]
    found = fall(points[::-1], 0.0)
    assert found.peak.values == pytest.approx([0.3, 0.0])
    assert found.at.values == pytest.approx([2.0, 0.0])
    assert found.drop.values == pytest.approx([0.1, 0.3])
    (low, high), _ = fit_bounds(points, 0.0, "best of n")
    assert low < high


def test_more_comparisons_order_more_pairs(board, base):
    """Exact values order all pairs, their opposite none; a fit comes in between, and below chance it is not."""
    visits = exact.reach(board, base, base)
    assert pair_accuracy(board, board.q.astype(float), visits) == pytest.approx(1)
    assert pair_accuracy(board, -board.q.astype(float), visits) == pytest.approx(0)
    assert pair_accuracy(board, np.zeros(board.q.shape), visits) == pytest.approx(0.5)
    proxy = make_proxies(board, visits, REWARD, 12)(3000, 0)
    assert proxy.quality["pair_accuracy"] > 0.7
    assert proxy.reward.shape == (2, *board.q.shape)
    ends = board.legal & (board.child >= 0)
    np.testing.assert_allclose(proxy.reward[0][ends], -proxy.value[0][board.child[ends]], atol=1e-5)
    least, seen = one_reward(REWARD, proxy, "min")
    np.testing.assert_allclose(least, proxy.reward.min(axis=0))
    np.testing.assert_allclose(least[ends], -seen[board.child[ends]], atol=1e-5)


def test_the_whole_study_in_small(tmp_path, monkeypatch):
    lines = []
    found = overoptimization.overoptimization("tic_tac_toe", 1, tmp_path, lines.append, TINY)
    assert len(lines) == len(TINY.comparisons)
    points = [point for cell in found["cells"] for point in cell["points"]]
    paths = len(TINY.answers) + len(TINY.betas) + len(TINY.simulations) + len(TINY.rounds)
    left_out = 2 * (len(TINY.simulations) - len(TINY.ensemble_simulations))
    assert len(points) == len(TINY.comparisons) * (6 * paths - left_out + len(TINY.learned_betas))
    assert all(math.isfinite(value) for point in points for value in point.values() if isinstance(value, float))
    guarded = [point for point in points if point["safeguard"] == "quantilize" and point["optimizer"] == "best of n"]
    assert all(point["kl"] <= 5 * math.log(2) + 1e-3 for point in guarded)  # at most five own moves in a game
    assert {"results.json", "results.md", "report.html"} <= {path.name for path in tmp_path.iterdir()}
    assert found["fits"]
    assert json.loads((tmp_path / "results.json").read_text())["findings"] == found["findings"]

    monkeypatch.setattr(overoptimization, "make_cell", lambda *cell: pytest.fail(f"computed {cell[1:]} again"))
    again = overoptimization.overoptimization("tic_tac_toe", 1, tmp_path, lines.append, TINY)
    assert (again["cells"], again["findings"]) == (found["cells"], found["findings"])
    with pytest.raises(ValueError, match="holds another study: its game is tic_tac_toe, not connect_four_4x4"):
        overoptimization.overoptimization("connect_four_4x4", 1, tmp_path, lines.append, TINY)


def test_bad_input(tmp_path):
    assert "overoptimization" in STUDIES
    with pytest.raises(ValueError, match="1 seed or more, not 0"):
        STUDIES["overoptimization"]("tic_tac_toe", 0, tmp_path, print)
    with pytest.raises(ValueError, match="not solved"):
        STUDIES["overoptimization"]("connect_four", 1, tmp_path, print)
    assert not list(tmp_path.iterdir())


def test_same_seed_same_proxy(board, base):
    make = make_proxies(board, exact.reach(board, base, base), REWARD, 2)
    one, same, other = make(40, 1), make(40, 1), make(40, 2)
    assert jax.tree.all(jax.tree.map(np.array_equal, one, same))
    assert not np.array_equal(one.reward, other.reward)
