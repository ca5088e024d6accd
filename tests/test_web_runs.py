"""What the page tells of runs, and the preferences that it writes down."""

import json
import os
import resource

import jax
import numpy as np
import pytest
from served_page import asked

import games
from azero.distill.comparisons import read_comparisons
from azero.web import curves, people, roster
from azero.web.lines import Lines, Refused
from azero.web.roster import Roster

pytest_plugins = ("shared_page",)


def test_preferences_are_read_by_the_reward_model(client, place):
    given = []
    for number in range(6):
        pair = client.get("/api/pair", params={"game": "tic_tac_toe"}).json()
        moves = pair["position"]["moves"]
        assert pair["move_a"] != pair["move_b"]
        body = {"moves": moves, "move_a": pair["move_a"], "move_b": pair["move_b"], "preferred": "ab"[number % 2]}
        assert asked(client, "preference", game="tic_tac_toe", source="Zoë", **body) == {"file": "comparisons.jsonl"}
        given.append((moves, pair["move_a"], pair["move_b"], float(number % 2 == 0)))
    game = games.make("tic_tac_toe")
    states, actions, first = read_comparisons(game, str(place / "comparisons.jsonl"))
    for number, (moves, move_a, move_b, preferred) in enumerate(given):
        state = jax.tree.map(lambda leaf, number=number: leaf[number], states)
        np.testing.assert_array_equal(state.board, Lines().play(game, moves).state.board)
        assert [game.notation.move(state, int(action)) for action in actions[:, number]] == [move_a, move_b]
        assert first[number] == preferred
    other = asked(
        client, "preference", game="connect_four", moves=["4"], move_a="3", move_b="4", preferred="a", source="Ada"
    )
    assert other == {"file": "comparisons.connect_four.jsonl"}
    read_comparisons(games.make("connect_four"), str(place / other["file"]))


def test_a_line_cut_short_stays_on_its_own(tmp_path):
    lines, preferences = Lines(), people.Preferences(tmp_path / "comparisons.jsonl")
    line = lines.play(games.make("tic_tac_toe"), ["b2"])
    preferences.add(line, "a1", "c3", "a", "Ada")
    file = tmp_path / "comparisons.jsonl"
    file.write_text(file.read_text().rstrip("\n"))
    preferences.add(line, "a1", "c3", "b", "Ada")
    assert [json.loads(row)["preferred"] for row in file.read_text().splitlines()] == ["a", "b"]
    file.write_text("what is this\n")
    with pytest.raises(Refused, match=r"comparisons\.jsonl is not a file of comparisons"):
        preferences.add(line, "a1", "c3", "a", "Ada")


def test_a_line_for_which_there_is_no_room_leaves_nothing(tmp_path):
    lines, preferences = Lines(), people.Preferences(tmp_path / "comparisons.jsonl")
    line = lines.play(games.make("tic_tac_toe"), ["b2"])
    preferences.add(line, "a1", "c3", "a", "Ada")
    before = preferences.file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(Refused, match="no room for a whole line"):
            preferences.add(line, "a1", "c3", "b", "Ada")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert preferences.file.read_bytes() == before


def test_pairs_are_of_positions_with_a_choice():
    lines, game = Lines(), games.make("tic_tac_toe")
    chance = np.random.default_rng(0)
    found = [people.random_line(lines, game, chance) for _ in range(40)]
    assert {len(line.moves) for line in found} >= {0, 1, 2, 3}
    weights = np.zeros(9)
    weights[[0, 8]] = 0.5
    drawn = [people.two_moves(lines.play(game, []), weights, chance) for _ in range(300)]
    assert all(one != other for one, other in drawn)
    often = sum("a3" in pair for pair in drawn)  # cell 0
    rarely = sum("b2" in pair for pair in drawn)
    assert often > 2 * rarely > 0


def test_runs(client):
    (run,) = client.get("/api/runs").json()
    assert (run["name"], run["game"], run["iterations"]) == ("short", "tic_tac_toe", 1001)
    assert run["strength"] == {"kept value (network)": 0.5}
    shown = client.get("/api/run", params={"name": "short"}).json()
    points = shown["curves"]["policy_loss"]["points"]
    assert len(points) == curves.POINTS
    assert (points[0], points[-1]) == ([1, 2.0, 1.0], [1000, 2000.0, 0.001])
    assert shown["checkpoints"] == [{"iteration": 7, "player": "run:short:7"}]
    body = {"game": "tic_tac_toe", "moves": ["b2"], "simulations": 0}
    thought = asked(client, "think", player="run:short:7", **body)
    assert thought["moves"] == asked(client, "think", player="served", **body)["moves"]  # the same weights


def test_the_newest_runs_are_listed_and_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("azero.web.roster.RUNS", 3)
    for number, name in enumerate("dacb"):
        file = tmp_path / name / "metrics.jsonl"
        file.parent.mkdir()
        file.write_text('{"iteration": 5, "seconds": 1.0}\n')
        os.utime(file, (1000 + number, 1000 + number))
    read = []
    reads = curves.read_rows
    monkeypatch.setattr(curves, "read_rows", lambda file, most: read.append(file.parent.name) or reads(file, most))
    for _ in range(2):
        assert [run["name"] for run in curves.list_runs(tmp_path)] == ["b", "c", "a"]
    assert read == ["b", "c", "a"]
    with (tmp_path / "c" / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 6, "seconds": 2.0}\n')
    assert [(run["name"], run["iterations"]) for run in curves.list_runs(tmp_path)] == [("c", 6), ("b", 5), ("a", 5)]
    assert read == ["b", "c", "a", "c"]


def test_of_a_long_file_the_end_is_read(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(f'{{"iteration": {n}}}\n' for n in range(1000, 2000)))
    rows = curves.read_rows(file, 205)  # of 20 bytes each
    assert [row["iteration"] for row in rows] == list(range(1990, 2000))


@pytest.mark.parametrize(
    ("text", "pinned"),
    [("{}", "{}@7"), ("{}@7", "{}@7"), ("{}:simulations=9", "{}@7:simulations=9"), ("policy:{}", "policy:{}@7")],
)
def test_a_run_is_served_at_one_step(place, text, pinned):
    run = place / "runs" / "short"
    player, game = roster.served(text.format(run), None, "connect_four")
    assert player == pinned.format(run)
    first = Roster(player, game, place / "runs").first
    assert f"{run}@7" in first.label
    assert f"{run}@7" in first.text
