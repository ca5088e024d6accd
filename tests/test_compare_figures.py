"""The parts of a comparison: variants, figures against hand-made policies, ratings, intervals, pages."""

import json
from pathlib import Path

import numpy as np
import pytest

from azero import exact
from azero.answers import Answer, random_answers
from azero.compare.comparison import findings
from azero.compare.duels import exact_scores, match_scores, ratings
from azero.compare.measures import Model, against_random, costs, on_board, on_labelled
from azero.compare.pages import Figure, Table, write_results
from azero.compare.plan import Plan, runs
from azero.compare.summary import Mean, aggregate, mean, short
from azero.compare.training import command
from azero.compare.variants import read_variant, read_variants
from azero.config import Config, SearchConfig
from azero.kinds import KINDS
from games import make
from games.core import ILLEGAL


def test_variants_set_what_they_say_and_share_the_rest():
    base = Config(search=SearchConfig(simulations=7))
    variant = read_variant("reward_model:reward.ensemble=1,kl=0.5,search.rescale_values=false", base)
    config = variant.config
    assert (config.distill.kind, config.reward.ensemble, config.distill.kl) == ("reward_model", 1, 0.5)
    assert (config.search.rescale_values, config.search.simulations) == (False, 7)
    assert config.report.strength_every == 0
    assert config.report.keep_newest >= 2, "a distillation loss needs the checkpoint before the newest"
    assert [one.text for one in read_variants((), Config())] == list(KINDS)
    with pytest.raises(ValueError, match=r"report\.\* is the comparison's own"):
        read_variant("visits:report.strength_every=1", base)


def test_seeds_interleave():
    variants = read_variants(("visits", "improved"), Config())
    plan = Plan(Config(seed=3), variants, 2, 1.0, None)
    order = [(run.variant.text, run.seed) for run in runs(plan, Path("out"))]
    assert order == [("visits", 3), ("improved", 3), ("visits", 4), ("improved", 4)]
    assert runs(plan, Path("out"))[3].folder == Path("out/runs/improved/seed-4")


def test_a_run_that_was_stopped_gets_what_is_left_of_its_minutes(tmp_path):
    plan = Plan(Config(), read_variants(("visits",), Config()), 1, 2.0, None)
    (run,) = runs(plan, tmp_path)
    assert command(plan, run, Path("c.json"))[-2:] == ["--minutes", "2.0"]
    run.folder.mkdir(parents=True)
    (run.folder / "metrics.jsonl").write_text('{"iteration": 1, "seconds": 30.0}\n')
    assert command(plan, run, Path("c.json"))[-2:] == ["--minutes", "1.5"]
    (run.folder / "metrics.jsonl").write_text('{"iteration": 1, "seconds": 130.0}\n')
    assert 0 < float(command(plan, run, Path("c.json"))[-1]) < 0.1, "enough to save, not to learn"


def fixed(board: exact.Board, policy: np.ndarray, value: np.ndarray):
    """Answers from tables, for states in the order of the board."""
    known = {key(state): row for row, state in enumerate(board.states.board)}

    def answers(states, _):
        rows = np.array([known.get(key(state), 0) for state in np.asarray(states.board)])  # 0: the game is over
        return Answer(policy[rows].argmax(1).astype(np.int32), policy[rows], None, value[rows])

    return answers


def key(state) -> bytes:
    return np.asarray(state).tobytes()


def test_figures_of_hand_made_networks():
    board = exact.board("tic_tac_toe")
    uniform = exact.uniform(board).astype(np.float32)
    perfect = exact.optimal_opponent(board, 0.0).astype(np.float32)
    nothing, right = np.zeros(len(board.q), np.float32), board.value.astype(np.float32)
    config = Config(search=SearchConfig(simulations=8))
    blank = Model(config, fixed(board, uniform, nothing), None)
    best = Model(config, fixed(board, perfect, right), None)
    figures = on_board("tic_tac_toe", blank, None)
    assert figures["network.sampled.regret.all"] == pytest.approx((uniform * board.regret).sum(1).mean(), abs=1e-6)
    assert figures["sign"] == 0
    search, _ = exact.amplified_policy(board, config.search, uniform, nothing, 0)
    amplified = exact.report(board, search)["regret"]
    gain = figures["network.sampled.regret.all"] - amplified["all"]
    assert figures["amplification_gain.sampled.all"] == pytest.approx(gain, abs=1e-6)
    assert gain > 0.1
    assert figures["distillation_loss.sampled.all"] is None
    own = exact.reach(board, uniform, uniform)
    rows = (search * np.log(np.maximum(search, 1e-30) / np.where(board.legal, uniform, 1))).sum(1)
    assert figures["kl.own"] == pytest.approx((rows * own).sum() / own.sum(), rel=1e-4)
    assert figures["kl.all"] == pytest.approx(rows.mean(), rel=1e-4)
    new_ideas = ((search < 0.01) * uniform).sum(1)
    assert figures["novelty"] == pytest.approx((new_ideas * own).sum() / own.sum(), rel=1e-6)
    # A perfect network that learned from the blank one's search: it has no regret, so what it lost is below 0.
    figures = on_board("tic_tac_toe", best, blank)
    assert figures["distillation_loss.sampled.all"] == pytest.approx(-amplified["all"], abs=1e-6)
    assert figures["network.sampled.regret.all"] == figures["network.argmax.exploitability"] == 0
    assert figures["sign"] == 1


def test_figures_where_some_positions_or_none_are_known():
    game = make("connect_four")
    labelled = game.oracle().positions()

    def even(states, _):
        legal = np.asarray(states.legal)
        policy = (legal / legal.sum(1, keepdims=True)).astype(np.float32)
        return Answer(policy.argmax(1).astype(np.int32), policy, None, np.ones(len(legal), np.float32))

    figures = on_labelled(game, Model(Config(), even, even), Model(Config(), even, even))
    legal = labelled.q != ILLEGAL
    short_of = np.where(legal, labelled.q.max(1)[:, None] - labelled.q.astype(float), 0)
    assert figures["network.sampled.regret.decisive"] == pytest.approx(
        (short_of.sum(1) / legal.sum(1)).mean(), rel=1e-5
    )
    assert figures["amplification_gain.argmax.decisive"] == figures["distillation_loss.argmax.decisive"] == 0
    assert figures["kl.all"] == 0
    assert figures["sign"] == pytest.approx((labelled.q.max(1) == 1)[labelled.q.max(1) != 0].mean())
    blind = make("tic_tac_toe")._replace(oracle=None)
    answers = random_answers(blind)
    scores = against_random(blind, Model(Config(), answers, answers))
    assert 0.3 < scores["network.argmax.score_against_random"] < 0.7


def test_head_to_head_and_ratings():
    board = exact.board("tic_tac_toe")
    uniform, perfect = exact.uniform(board), exact.optimal_opponent(board, 0.0)
    score = exact_scores(board, perfect, uniform)["sampled"]
    assert score == (1 + exact.value_against(board, perfect, uniform)) / 2
    assert score > 0.9
    assert exact_scores(board, uniform, perfect)["sampled"] == pytest.approx(1 - score)
    nothing = np.zeros(len(board.q), np.float32)
    players = (fixed(board, policy.astype(np.float32), nothing) for policy in (perfect, uniform))
    assert match_scores(board.game, *players)["sampled"] == pytest.approx(score, abs=0.15)  # 64 games
    # 10 points of 11 are 400 Elo, and a third player who draws with both lies between them.
    elo = ratings({("a", "b"): 10 / 11, ("a", "c"): 0.5, ("b", "c"): 0.5})
    assert elo["a"] > elo["c"] > elo["b"]
    assert ratings({("a", "b"): 10 / 11})["a"] == pytest.approx(200, rel=0.1)
    assert ratings({("a", "b"): 1.0})["a"] == pytest.approx(340, rel=0.05), "a perfect score has a rating"
    assert ratings({}) == {}


def test_means_and_intervals():
    found = mean([1.0, 2.0, 3.0, 4.0, 10.0])
    assert found.mean == 4
    assert found == mean([1.0, 2.0, 3.0, 4.0, 10.0])
    draws = np.random.default_rng(7).choice([1.0, 2.0, 3.0, 4.0, 10.0], (100_000, 5)).mean(1)
    np.testing.assert_allclose((found.low, found.high), np.percentile(draws, (2.5, 97.5)), atol=0.21)
    assert str(mean([0.25])) == "0.250 (-)"
    assert mean([1.0, np.inf]).low is None
    assert aggregate([{"a": 1.0, "b": None}, {"a": 3.0, "b": 5.0}])["b"] == Mean(5.0, None, None, [5.0])
    assert [short(number) for number in (0.00123, 0.0123, -1.456, 12.34, 12345.6, 3.0)] == [
        "0.0012", "0.012", "-1.46", "12.3", "12,346", "3"
    ]  # fmt: skip


def test_costs_are_those_of_the_checkpoint(tmp_path):
    row = '{{"iteration": {0}, "evaluations": {0}00, "seconds": {1}, "asked_samples": {0}}}\n'
    (tmp_path / "metrics.jsonl").write_text("".join(row.format(n, 30 + n) for n in (1, 2, 3, 4)))
    assert costs(tmp_path, 3) == {
        "cost.iterations": 3, "cost.evaluations": 300, "cost.seconds": 33, "cost.microseconds": 10_000,
        "asked.samples": 3,
    }  # fmt: skip
    assert costs(tmp_path, 0)["cost.iterations"] == 0


def test_findings_follow_the_figures():
    plan = Plan(Config(), read_variants(("visits", "improved"), Config()), 5, 1.0, None)
    regret, cost = "network.sampled.regret.decisive", {"cost.iterations": Mean(9.0, None, None, [9.0])}
    means = {
        "visits": cost | {regret: Mean(0.5, 0.4, 0.6, [])},
        "improved": cost | {regret: Mean(0.2, 0.1, 0.3, [])},
    }
    (said,) = findings(means, [], plan)
    assert "least regret with improved: 0.200 (0.100 to 0.300); next comes visits" in said
    assert "do not meet" in said
    means["improved"] = cost | {regret: Mean(0.45, 0.3, 0.55, [])}
    assert "overlap" in findings(means, [], plan)[0]
    untrained = {"visits": {"cost.iterations": Mean(0.0, None, None, [0.0])}}
    assert "too small for one iteration of visits" in findings(untrained, [], plan)[-1]


def test_pages_show_what_they_are_given(tmp_path):
    table = Table("Numbers", ("a", "b"), [("x|<y>", 1.5)], "a note")
    figure = Figure("plot", "A caption", lambda axes: axes.plot([1, 2]))
    data = {"array": np.arange(2), "number": np.float32(0.5), "none": float("nan"), "endless": np.inf}
    given = write_results(tmp_path / "new", "Title", ["Found & said."], [table], [figure], data, ["azero x"])
    saved = json.loads((tmp_path / "new" / "results.json").read_text())
    assert saved == given
    assert (saved["array"], saved["number"], saved["none"], saved["endless"]) == ([0, 1], 0.5, None, "inf")
    assert "| x\\|<y> | 1.5 |" in (tmp_path / "new" / "results.md").read_text()
    page = (tmp_path / "new" / "report.html").read_text()
    assert "x|&lt;y&gt;" in page
    assert "Found &amp; said." in page
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "plot.png", "report.html", "results.json", "results.md"
    ]  # fmt: skip
    for tables, figures, more, message in (
        ([table._replace(rows=[("x",)])], [], {}, "1 cells, not 2"),
        ([], [figure._replace(name="../x")], {}, "small letters"),
        ([], [figure, figure], {}, "two figures"),
        ([], [], {"title": 1}, "key"),
    ):
        with pytest.raises(ValueError, match=message):
            write_results(tmp_path / "bad", "Title", [], tables, figures, more, [])
    assert not (tmp_path / "bad").exists()
