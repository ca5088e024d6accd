"""A match's folder: every game is kept as it ends, a stopped match goes on, and who gives up loses."""

import json

import jax
import numpy as np
import pytest

import games
from azero.answers import GIVEN_UP, Playing
from azero.checkpoint import lock
from azero.cli import main
from azero.demonstrations import read_games
from azero.match import play_match
from azero.openings import read_openings
from azero.players import make_player
from azero.score import sprt, superiority
from azero.scorebook import Scorebook

GAME = games.make("tic_tac_toe")
RANDOM, _ = make_player("random", "tic_tac_toe")
ORACLE, _ = make_player("oracle", "tic_tac_toe")
WORDS = ["eval", "random", "oracle", "--game", "tic_tac_toe", "--games", "12", "--seed", "5", "--json"]


class Stopped(Exception):
    """A process that ends where it stands."""


def evaluate(capsys, *words):
    assert main([*WORDS, *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_stopped_match_goes_on_with_the_games_that_are_missing(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "match"
    add = Scorebook.add

    def stop_after_five(book, played):
        if len(book.played) == 5:
            raise Stopped
        add(book, played)

    monkeypatch.setattr(Scorebook, "add", stop_after_five)
    assert main([*WORDS, "--out", str(folder)]) == 1
    kept = (folder / "games.jsonl").read_text().splitlines()
    assert len(kept) == 5
    with (folder / "games.jsonl").open("a") as file:
        file.write('{"pair": 3, "se')  # the process ended in the middle of a line
    monkeypatch.setattr(Scorebook, "add", add)
    report = evaluate(capsys, "--out", str(folder))
    rows = [json.loads(line) for line in (folder / "games.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert [json.dumps(row) for row in rows[:5]] == kept
    assert {(row["pair"], row["seat"]) for row in rows} == {(pair, seat) for pair in range(6) for seat in (0, 1)}
    points = [row["points"] for row in rows]
    assert report["score"] == pytest.approx(np.mean(points))
    assert (report["wins"], report["losses"]) == (points.count(1.0), points.count(0.0))

    def not_again(book, played):
        raise AssertionError("this match is over")

    monkeypatch.setattr(Scorebook, "add", not_again)
    assert evaluate(capsys, "--out", str(folder)) == report


def test_the_record_tells_the_games_that_were_played(tmp_path, capsys):
    report = evaluate(capsys, "--out", str(tmp_path / "match"))
    shown = read_games(GAME, report["record"])
    assert shown.skipped == 0
    rows = sorted(
        (json.loads(line) for line in (tmp_path / "match" / "games.jsonl").read_text().splitlines()),
        key=lambda row: (row["pair"], row["seat"]),
    )
    assert shown.actions.tolist() == [move for row in rows for move in row["moves"]]
    lines = (tmp_path / "match" / "games.txt").read_text().splitlines()
    for row, line in zip(rows, lines, strict=True):
        first, second = ("random", "oracle") if row["seat"] == 0 else ("oracle", "random")
        winner = {1.0: "random won", 0.5: "a draw", 0.0: "oracle won"}[row["points"]]
        assert f"{first} - {second}: {winner}; opening {row['pair'] + 1}," in line


def test_both_games_of_a_pair_have_its_opening(tmp_path, capsys):
    evaluate(capsys, "--out", str(tmp_path / "match"))
    rows = [json.loads(line) for line in (tmp_path / "match" / "games.jsonl").read_text().splitlines()]
    begun = {(row["pair"], row["seat"]): row["moves"][: row["opening"]] for row in rows}
    assert all(begun[pair, 0] == begun[pair, 1] for pair in range(6))
    assert len({tuple(moves) for moves in begun.values()}) > 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "6"], "holds another match: its seed is 5, not 6"),
        (["--opening-plies", "2"], "its opening_plies is 4, not 2"),
        (["--openings", "openings.txt"], "its openings is"),
    ],
)
def test_a_folder_of_another_match_is_refused(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openings.txt").write_text("a1\n" * 6)
    evaluate(capsys, "--out", "match", "--games", "2")
    before = (tmp_path / "match" / "games.jsonl").read_bytes()
    assert main([*WORDS, "--out", "match", *words]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "match" / "games.jsonl").read_bytes() == before
    assert main(["eval", "oracle", "random", "--game", "tic_tac_toe", "--out", "match"]) == 2
    said = capsys.readouterr().err
    assert "its players are random and oracle, not oracle and random; its seed is 5, not 0; name another" in said


def test_a_match_may_be_made_longer(tmp_path, capsys):
    first = evaluate(capsys, "--out", str(tmp_path), "--games", "4")
    longer = evaluate(capsys, "--out", str(tmp_path), "--games", "12")
    assert longer["games"] == 12
    assert longer["pairs"][:2] == first["pairs"]


def test_openings_from_a_file_are_played_and_no_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openings.txt").write_text("# mine\na1 b2\n\nc3  # a comment\n  # no opening\n")
    evaluate(capsys, "--games", "6", "--openings", "openings.txt", "--out", "match")
    rows = [json.loads(line) for line in (tmp_path / "match" / "games.jsonl").read_text().splitlines()]
    number = {name: GAME.notation.action(GAME.init(jax.random.key(0)), name) for name in ("a1", "b2", "c3")}
    expected = {0: [number["a1"], number["b2"]], 1: [], 2: [number["c3"]]}
    assert all(row["moves"][: row["opening"]] == expected[row["pair"]] for row in rows)
    assert main([*WORDS, "--openings", "openings.txt", "--out", "more"]) == 2
    assert "there are 3 openings, enough for 6 games, not for 12" in capsys.readouterr().err
    (tmp_path / "openings.txt").write_text("a1\nb9\n")
    assert main([*WORDS, "--openings", "openings.txt", "--out", "bad"]) == 2
    assert "openings.txt: line 2: move 1: 'b9' is not a square" in capsys.readouterr().err
    with pytest.raises(ValueError, match="line 1: the game is over"):
        read_openings(GAME, ["a1 b1 a2 b2 a3"])


def giving_up(at_ply):
    """A random player that gives a game up when so many moves have been made in it."""

    def answer(memory, states, key, asked):
        found = RANDOM.answers(jax.tree.map(lambda leaf: leaf[np.minimum(asked, len(memory) - 1)], states), key)
        leaves = np.array([len(memory[min(row, len(memory) - 1)]) >= at_ply for row in asked.tolist()])
        reasons = ["crashed" if left else "" for left in leaves]
        return found._replace(action=np.where(leaves, GIVEN_UP, found.action), reasons=reasons), memory

    def moved(memory, actions):
        return [moves + [move] * (move >= 0) for moves, move in zip(memory, actions.tolist(), strict=True)]

    return RANDOM._replace(name="quitter", playing=Playing(lambda states: [[] for _ in states.terminal], answer, moved))


def test_who_gives_up_loses_and_the_others_play_on(tmp_path):
    book = Scorebook(tmp_path / "match", GAME, ("quitter", "oracle"), {})
    result = play_match(GAME, giving_up(5), ORACLE, games=40, opening_plies=3, record=book.add)
    left = [one for one in book.played if one.given_up]
    assert result.gave_up == (len(left), 0)
    assert len(left) > 10
    for one in left:
        assert (one.points, one.given_up) == (0.0, "crashed")
        assert len(one.moves) in (5, 6)  # the player whose turn it then was
    assert result.wins + result.draws + result.losses == 40
    other = play_match(GAME, ORACLE, giving_up(0), games=40, opening_plies=0)
    assert other.gave_up == (0, 40)
    assert other.score == 1.0
    book.close()
    assert sum("quitter loses: crashed" in line for line in book.record.read_text().splitlines()) == len(left)


def test_a_sequential_test_stops_a_match_that_is_decided(tmp_path, capsys):
    report = evaluate(capsys, "--games", "2000", "--sprt", "0", "20", "--out", str(tmp_path / "worse"))
    assert report["sprt"]["accepted"] == "elo0"
    assert 32 <= report["games"] < 200
    assert main([*WORDS, "--sprt", "20", "0", "--out", str(tmp_path / "no")]) == 2
    assert "two Elo differences, the smaller first, not 20 and 0" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def drawn_pairs(generator, mean, count):
    """Scores of pairs in quarters, of games that are won, drawn or lost."""
    share = mean - 0.15
    games_ = generator.choice([1.0, 0.5, 0.0], p=[share, 0.3, 0.7 - share], size=(count, 2))
    return games_.mean(axis=1)


@pytest.mark.parametrize(("difference", "accepted"), [(0.0, "elo0"), (40.0, "elo1")])
def test_a_sequential_test_errs_as_seldom_as_it_says(difference, accepted):
    generator = np.random.default_rng(0)
    mean = 1 / (1 + 10 ** (-difference / 400))
    wrong, lengths = 0, []
    for _ in range(400):
        pairs = drawn_pairs(generator, mean, 2048)
        for count in range(16, 2049, 16):
            if verdict := sprt(pairs[:count], 0.0, 40.0).accepted:
                wrong += verdict != accepted
                lengths.append(count)
                break
    assert len(lengths) == 400
    assert wrong <= 30  # 5 % are 20; 30 is 2.3 standard deviations more
    assert np.mean(lengths) < 400


def test_a_stopped_sequential_test_decides_nothing_by_the_games_that_end_soon(tmp_path):
    """What was kept when it stopped are the quick games, which need not be like the others."""
    asked = []

    def decided(pairs):
        asked.append(len(pairs))
        return True

    book = Scorebook(tmp_path / "match", GAME, ("oracle", "random"), {})
    play_match(GAME, ORACLE, RANDOM, games=80, record=book.add)
    quick = [one for one in book.played if one.pair in (3, 7, 20, 30)]
    result = play_match(GAME, ORACLE, RANDOM, games=80, done=quick, decided=decided)
    assert asked == [16]
    assert len(result.pairs) == 16


def test_two_processes_do_not_write_one_match(tmp_path, capsys):
    evaluate(capsys, "--out", str(tmp_path), "--games", "2")
    with lock(tmp_path):
        assert main([*WORDS, "--out", str(tmp_path)]) == 1
    assert "is in use by process" in capsys.readouterr().err


def test_superiority_is_the_share_of_worlds_in_which_the_first_is_stronger():
    """By the normal approximation, 2 of 3 within one standard deviation to either side."""
    assert superiority(np.array([0.5] * 10)) == 0.5
    assert superiority(np.array([1.0] * 10)) > 0.999
    generator = np.random.default_rng(1)
    share = np.mean([superiority(drawn_pairs(generator, 0.5, 100)) > 0.975 for _ in range(2000)])
    assert share == pytest.approx(0.025, abs=0.012)


def test_a_match_in_the_usual_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    report = evaluate(capsys, "--games", "2")
    assert report["record"] == "matches/tic_tac_toe/random-oracle/games.txt"
    assert (tmp_path / report["record"]).exists()
