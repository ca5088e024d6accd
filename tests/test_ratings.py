"""Ratings: strengths that were planted are found again, and what was played is played once."""

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from reference_folder import write_reference
from saved_states import save

from azero import cli
from azero.checkpoint import lock
from azero.ratings import entrants as who
from azero.ratings import ledger as ledgers
from azero.ratings.entrants import Entrant, entrants, pairings
from azero.ratings.ledger import Ledger, Missing, match_seed, missing
from azero.ratings.model import Match, rate
from azero.ratings.pages import curves, write_pages
from azero.score import elo, pair_interval

PLANTED = {"a": 0.0, "b": 150.0, "c": -200.0, "d": 420.0}


def expected(one: float, other: float) -> float:
    return 1 / (1 + 10 ** ((other - one) / 400))


def simulated(chance, true, pairs, pairings):
    """Matches between players of known Elo, whose openings are worth something to the one who has them first."""
    found = []
    for first, second in pairings:
        win = expected(true[first], true[second])
        luck = chance.uniform(-1, 1, pairs) * min(win, 1 - win) * 0.8
        scores = ((chance.random(pairs) < win + luck) + 1.0 * (chance.random(pairs) < win - luck)) / 2
        found.append(Match(first, second, tuple(scores), 0, 0, 0))
    return found


def by_name(ratings):
    return {rating.player: rating for rating in ratings}


@pytest.mark.parametrize("ladder", [False, True])
def test_planted_strengths_are_found(ladder):
    order = sorted(PLANTED, key=PLANTED.__getitem__)
    found = rate(simulated(np.random.default_rng(0), PLANTED, 400, pairings(order, ladder)), "a")
    assert [rating.player for rating in found] == order[::-1]
    for rating in found:
        assert rating.elo == pytest.approx(PLANTED[rating.player], abs=60)
        assert rating.low <= PLANTED[rating.player] <= rating.high
        assert rating.high - rating.low < 160
        assert rating.games == 800 * (
            len(order) - 1 if not ladder else 1 if rating.player in (order[0], order[-1]) else 2
        )
    assert by_name(found)["a"][1:4] == (0, 0, 0)  # the anchor is certain


def test_the_interval_covers_the_truth():
    chance = np.random.default_rng(0)
    true = {"a": 0.0, "b": 300.0, "c": 500.0}
    held = []
    for seed in range(200):
        matches = simulated(chance, true, 30, pairings(list(true), False))
        found = by_name(rate(matches, "a", seed=seed, resamples=79))
        held += [found[name].low <= true[name] <= found[name].high for name in "bc"]
    assert 0.91 <= np.mean(held) <= 0.98


def test_two_players_have_the_elo_of_their_match():
    pairs = (1.0, 0.75, 0.5, 1.0, 0.0)  # quarters are draws
    found = by_name(rate([Match("x", "y", pairs, 0, 0, 0)], "y"))
    assert found["x"].elo == pytest.approx(elo(0.65), abs=1e-3)
    assert found["x"].score == 0.65
    assert found["x"].games == found["y"].games == 10


def test_pairs_are_the_unit_of_chance():
    split = by_name(rate([Match("x", "y", (0.5,) * 50, 0, 0, 0)], "y"))["x"]
    mixed = by_name(rate([Match("x", "y", (0.0, 1.0) * 25, 0, 0, 0)], "y"))["x"]
    as_in_a_match = [elo(end) for end in pair_interval(np.full(50, 0.5))]  # pairs that are all alike do not prove much
    assert (split.low, split.high) == pytest.approx(as_in_a_match, rel=0.15)
    # The mean of 50 pairs that are 0 or 1 has a standard error of 1/14, and at 1/2 a point is worth 1600 / ln 10 Elo.
    assert mixed.high - mixed.low == pytest.approx(2 * 1.96 * 0.5 / 50**0.5 * 1600 / np.log(10), rel=0.15)


def test_an_unbeaten_player_is_finite_with_an_open_end():
    matches = [Match("best", "mid", (1.0,) * 50, 0, 0, 0), Match("mid", "low", (0.75,) * 50, 0, 0, 0)]
    found = by_name(rate(matches, "mid", anchor_elo=1000))
    best = found["best"]
    assert best.elo - 1000 == pytest.approx(elo(99.5 / 100), abs=0.1)  # half a game off 100, as in a match
    assert best.high is None
    assert 1000 + elo(0.90) < best.low < 1000 + elo(0.97)  # 50 pairs without a loss say no more
    assert found["low"].elo == pytest.approx(1000 - elo(0.75), abs=0.1)
    assert found["low"].high is not None
    from_above = by_name(rate(matches, "best"))
    assert from_above["mid"].low is from_above["low"].low is None
    assert from_above["best"].low == from_above["best"].high == 0
    assert from_above["mid"].high == pytest.approx(1000 - best.low, abs=40)


def test_a_group_that_wins_all_against_another_shares_half_a_game():
    even, all_won = (0.5,) * 10, (1.0,) * 10
    matches = [Match("a", "b", even, 0, 0, 0), Match("c", "d", even, 0, 0, 0)]
    matches += [Match(one, other, all_won, 0, 0, 0) for one in "ab" for other in "cd"]
    found = by_name(rate(matches, "a"))
    assert found["b"].elo == pytest.approx(0, abs=0.1)
    assert found["b"].low is not None
    assert found["c"].elo == found["d"].elo == pytest.approx(-elo(79.5 / 80), abs=0.1)
    assert found["c"].low is None
    assert found["c"].high is not None


def test_only_players_whom_matches_connect_with_the_anchor_are_rated():
    matches = [Match("a", "b", (0.5,), 0, 0, 0), Match("c", "d", (0.5,), 0, 0, 0), Match("e", "a", (0.5,), 0, 0, 0)]
    assert {rating.player for rating in rate(matches, "b")} == {"a", "b", "e"}
    assert {rating.player for rating in rate(matches, "c")} == {"c", "d"}
    matches = matches[:2]
    with pytest.raises(ValueError, match="anchor e has played no match; players are a, b, c, d"):
        rate(matches, "e")


def test_only_what_is_missing_is_planned():
    kept = {("b", "a"): Match("b", "a", (1.0,) * 5, 0, 0, 0), ("a", "c"): Match("a", "c", (1.0,) * 9, 0, 0, 0)}
    ledger = Ledger("tic_tac_toe", 4, 0, {}, kept)
    assert missing(ledger, pairings(["a", "b", "c"], False), 7) == [Missing("b", "a", 2, 5), Missing("b", "c", 7, 0)]
    assert missing(ledger, pairings(["a", "b", "c"], True), 5) == [Missing("b", "c", 5, 0)]
    seeds = {match_seed(0, *names, before) for names in (("a", "b"), ("b", "a")) for before in (0, 5)}
    assert len(seeds) == 4


@pytest.fixture
def azero(capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main(list(map(str, words)))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def played(monkeypatch):
    """The matches that are really played: (first, second, games)."""
    found = []
    real = ledgers.play_match

    def play_match(game, first, second, games, *rest, **more):
        found.append((first.name, second.name, games))
        return real(game, first, second, games, *rest, **more)

    monkeypatch.setattr(ledgers, "play_match", play_match)
    return found


def kept(folder):
    return json.loads((folder / "ratings.json").read_text())


def test_stronger_players_rate_higher(azero, tmp_path):
    players = ["random", "rollout:simulations=8", "rollout:simulations=64"]
    code, out, err = azero("rate", *players, "--game", "tic_tac_toe", "--games", 40, "--anchor-elo", 500)
    assert code == 0
    found = kept(tmp_path / "ratings")
    assert [rating["player"] for rating in found["ratings"]] == players[::-1]
    assert found["ratings"][-1]["elo"] == 500
    assert found["ratings"][0]["low"] > 500
    assert [sum(match[kind] for kind in ("wins", "draws", "losses")) for match in found["matches"]] == [40] * 3
    assert [len(match["pairs"]) for match in found["matches"]] == [20] * 3
    for match in found["matches"]:
        assert 2 * sum(match["pairs"]) == match["wins"] + match["draws"] / 2
    assert "3/3: rollout:simulations=8 scores" in err
    assert "rollout:simulations=64" in out
    table = list(csv.DictReader((tmp_path / "ratings" / "ratings.csv").read_text().splitlines()))
    assert [row["player"] for row in table] == players[::-1]
    assert float(table[-1]["elo"]) == 500
    assert "| random | 500 | fixed | 80 |" in (tmp_path / "ratings" / "ratings.md").read_text()
    assert (tmp_path / "ratings" / "ratings.png").read_bytes().startswith(b"\x89PNG")


def test_later_calls_play_only_what_is_missing(azero, played, tmp_path):
    more = ["rate", "random", "policy:ttt", "--games"]
    write_reference(tmp_path / "ttt", "tic_tac_toe")
    assert azero(*more, 6)[0] == 0
    name = "policy:ttt@7"
    assert played == [("random", name, 6)]
    first = kept(tmp_path / "ratings")["matches"]
    played.clear()
    assert azero(*more, 4)[0] == 0
    assert played == []
    assert azero("rate", "policy:ttt@7", "random", "oracle", "--games", 10)[0] == 0
    assert played == [("random", name, 4), (name, "oracle", 10), ("random", "oracle", 10)]
    found = kept(tmp_path / "ratings")
    assert found["anchor"] == "random"
    assert found["matches"][0]["pairs"][:3] == first[0]["pairs"]
    assert found["matches"][0]["wins"] + found["matches"][0]["draws"] + found["matches"][0]["losses"] == 10
    assert len(found["ratings"]) == 3
    played.clear()
    code, out, _ = azero("rate", "oracle", "random", "--games", 10, "--anchor", "oracle", "--json")
    assert (code, played) == (0, [])
    found = json.loads(out)
    assert found["ratings"][0] == {"player": "oracle", "elo": 0, "low": 0, "high": 0} | {
        name: found["ratings"][0][name] for name in ("games", "score")
    }
    assert len(found["ratings"]) == 3


SLOW = """
import sys, time
from azero.cli import main
from azero.ratings import ledger
play_match = ledger.play_match
ledger.play_match = lambda *rest, **more: (time.sleep(1), play_match(*rest, **more))[1]
sys.exit(main())
"""


def test_a_kill_loses_at_most_the_match_that_is_played(tmp_path, azero, played):
    write_reference(tmp_path / "ttt", "tic_tac_toe")
    words = ["rate", "random", "oracle", "policy:ttt", "--games", "20"]
    program = [sys.executable, "-c", SLOW, *words]
    process = subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    file = tmp_path / "ratings" / "ratings.json"
    begun = time.monotonic()
    while not (file.exists() and len(json.loads(file.read_text())["matches"]) >= 1):
        assert process.poll() is None
        assert time.monotonic() - begun < 200
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(kept(file.parent)["matches"])
    assert azero(*words)[0] == 0
    assert len(played) == 3 - done <= 2
    assert done < 3
    played.clear()
    assert azero(*words, "--out", "whole")[0] == 0
    assert len(played) == 3
    assert kept(tmp_path / "whole") == kept(tmp_path / "ratings")


def test_a_runs_checkpoints_are_players_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "c4").mkdir(parents=True)
    for step in (3, 10, 20):
        save(tmp_path / "runs" / "c4", step)
    rows = [{"iteration": step, "seconds": 60.0 * step} for step in range(1, 21)]
    (tmp_path / "runs" / "c4" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = entrants(["runs/c4@all", "random", "runs/c4/"])
    assert [one.name for one in found] == ["runs/c4@3", "runs/c4@10", "runs/c4@20", "random"]
    assert found[1] == Entrant("runs/c4@10", "runs/c4", 600.0)
    assert found[3] == Entrant("random")
    named = [one.name for one in entrants(["policy:runs/c4@all", "runs/c4@all:simulations=5,reuse=false"])]
    assert named[0] == "policy:runs/c4@3"
    assert named[3] == "runs/c4@3:simulations=5,reuse=false"
    save(tmp_path / "runs" / "c4", 30)
    assert [one.name for one in entrants(["runs/c4"])] == ["runs/c4@30"]
    assert who.entrant("connect_four").name.startswith("checkpoints/connect_four@")


def test_the_plot_is_over_training_time(tmp_path):
    true = {"random": 0.0, "runs/c4@10": 300.0, "runs/c4@20": 500.0, "runs/c4@3": 100.0}
    matches = simulated(np.random.default_rng(0), true, 40, pairings(list(true), False))
    players = {name: Entrant(name, "runs/c4", 60.0 * int(name.split("@")[1])) for name in list(true)[1:]}
    players["random"] = Entrant("random")
    ledger = Ledger("connect_four", 4, 0, players, {(match.first, match.second): match for match in matches})
    ratings = rate(matches, "random")
    assert list(curves(ledger, ratings)) == ["runs/c4"]
    points = curves(ledger, ratings)["runs/c4"]
    assert [(seconds, rating.player) for seconds, rating in points] == [
        (180.0, "runs/c4@3"), (600.0, "runs/c4@10"), (1200.0, "runs/c4@20")
    ]  # fmt: skip
    write_pages(tmp_path, ledger, "random", ratings)
    assert (tmp_path / "ratings.png").stat().st_size > 10_000
    assert "| 20.0 min |" in (tmp_path / "ratings.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "two players or more"),
        (["random", "random"], "not random alone"),
        (["random", "oracle"], "say which with --game"),
        (["random", "oracl", "--game", "tic_tac_toe"], "did you mean oracle?"),
        (["random", "oracle", "--game", "tic_tac_toe", "--games", "3"], "even number from 2 on"),
        (["random", "oracle", "--game", "tic_tac_toe", "--opening-plies", "-1"], "must be 0 or more"),
        (
            ["random", "oracle", "--game", "tic_tac_toe", "--anchor", "rollout"],
            "anchor rollout is not among the players",
        ),
        (["none@all"], "'none' is no player and no folder"),
        (["random", "oracle", "--game", "tic_tac_toe", "--laddr"], "did you mean --ladder?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(azero, tmp_path, words, message):
    code, out, err = azero("rate", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_matches_with_other_settings_are_refused(azero, tmp_path, played):
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    players = ["rate", "random", "oracle", "--games", 2]
    assert azero(*players, "--game", "tic_tac_toe", "--opening-plies", 3, "--seed", 5)[0] == 0
    before = kept(tmp_path / "ratings")
    for words, message in [
        (["--game", "connect_four_4x4"], "have game tic_tac_toe, not connect_four_4x4; give another --out"),
        (["--opening-plies", 4], "have opening plies 3, not 4"),
        (["--seed", 0], "have seed 5, not 0"),
        (["--out", "empty", "--anchor", "empty@all"], "after @ comes the number of a step"),
    ]:
        code, _, err = azero(*players, "--game", "tic_tac_toe", *words)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
    assert azero("rate", "empty@all")[2].startswith("azero: empty@all: there are no checkpoints in empty/checkpoints")
    assert azero(*players)[0] == 0
    assert kept(tmp_path / "ratings") == before
    assert len(played) == 1
    (tmp_path / "ratings" / "ratings.json").write_text("{")
    assert "ratings/ratings.json is not a file of ratings" in azero(*players)[2]


def test_strangers_to_the_anchor_are_refused_before_they_play(azero, tmp_path, played):
    write_reference(tmp_path / "ttt", "tic_tac_toe")
    game = ["--game", "tic_tac_toe", "--games", 2]
    assert azero("rate", "random", "oracle", *game)[0] == 0
    before, name = kept(tmp_path / "ratings"), "policy:ttt@7"
    played.clear()
    strangers = ["rate", "rollout:simulations=2", name, *game]
    code, out, err = azero(*strangers)
    assert (code, out, err.count("\n"), played) == (2, "", 1, [])
    assert "from the anchor random to rollout:simulations=2" in err
    assert "name random among the players, or say --anchor rollout:simulations=2" in err
    assert kept(tmp_path / "ratings") == before
    code, out, err = azero(*strangers, "--anchor", "rollout:simulations=2")
    assert code == 0
    assert "not rated: random, oracle; no chain of matches leads to them from the anchor rollout" in err
    assert len(kept(tmp_path / "ratings")["ratings"]) == 2
    assert "Not rated: random, oracle. " in (tmp_path / "ratings" / "ratings.md").read_text()
    assert azero("rate", "random", "rollout:simulations=2", *game, "--anchor", "random")[0] == 0
    assert len(played) == 2
    assert len(kept(tmp_path / "ratings")["ratings"]) == 4
    assert "Not rated" not in (tmp_path / "ratings" / "ratings.md").read_text()


def test_files_of_before_forfeits_were_counted_are_read(azero, tmp_path, played):
    words = ["rate", "random", "oracle", "--game", "tic_tac_toe", "--games", 2]
    assert azero(*words)[0] == 0
    file = tmp_path / "ratings" / "ratings.json"
    content = kept(file.parent)
    assert content["matches"][0].pop("gave_up") == [0, 0]
    file.write_text(json.dumps(content))
    assert azero(*words)[0] == 0
    assert kept(file.parent)["matches"][0]["gave_up"] == [0, 0]
    assert len(played) == 1


def test_repeated_openings_are_said(azero, tmp_path):
    code, _, err = azero("rate", "random", "oracle", "--games", 4, "--opening-plies", 0, "--game", "tic_tac_toe")
    assert code == 0
    assert "in 1 of the 1 matches some openings were the same" in err
    assert kept(tmp_path / "ratings")["opening_plies"] == 0


def test_two_calls_do_not_mix(azero, tmp_path, played):
    with lock(tmp_path / "ratings"):
        code, _, err = azero("rate", "random", "oracle", "--games", 2, "--game", "tic_tac_toe")
    assert code == 1
    assert "ratings is in use by process" in err
    assert played == []
