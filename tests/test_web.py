"""The page's server: positions of every game, thoughts, refusals, limits, preferences, runs, many clients at once."""

import re
from pathlib import Path

import numpy as np
import pytest
from served_page import asked

import games
from azero.web import boards, roster
from azero.web.lines import Lines
from azero.web.roster import LEVELS, SLOW_LEVELS

pytest_plugins = ("shared_page",)

GOLDEN = Path(__file__).parent / "golden"
BOARD_GAMES = games.OWN_GAMES + games.PGX_GAMES  # the page is for two
PLIES = 24  # of each golden game


def golden_moves(name):
    text = (GOLDEN / f"{name}.txt").read_text()
    block = re.search(r"moves:\n((?:  .*\n)+)", text)[1]
    return block.split() if games.make(name).notation.separator else list("".join(block.split()))


@pytest.mark.parametrize("name", BOARD_GAMES)
def test_every_game_goes_forth_and_back(client, name):
    game, look = games.make(name), boards.look(name)
    moves = golden_moves(name)[:PLIES]
    start = asked(client, "position", game=name, moves=[])
    assert start["last"] == []
    seen = [start]
    for ply in range(1, len(moves) + 1):
        before, after = seen[-1], asked(client, "position", game=name, moves=moves[:ply])
        seen.append(after)
        assert len(after["cells"]) == len(after["rows"]) * len(after["columns"])
        made = next(move for move in before["legal"] if move["text"] == moves[ply - 1])
        if "to" not in made:
            assert made["text"] in ("pass", "swap")
            continue
        assert after["cells"][made["to"]] != boards.EMPTY
        assert made["to"] in after["last"]
        if "from" in made:
            piece = before["cells"][made["from"]]
            assert piece.isupper() == (before["to_play"] == 0)
            assert after["cells"][made["from"]] == boards.EMPTY
            became = after["cells"][made["to"]]
            assert became.upper() == piece.upper() or "suffix" in made
        else:
            assert before["cells"][made["to"]] == boards.EMPTY
        if "drop" in made:
            assert before["hands"][before["to_play"]][made["drop"]] >= 1
    assert look.style != boards.PLAIN
    for ply in (len(moves) - 1, len(moves) // 2, 0):  # taken back
        assert asked(client, "position", game=name, moves=moves[:ply]) == seen[ply]
    state = Lines().play(game, moves[: len(moves) // 2]).state
    assert len(seen[len(moves) // 2]["legal"]) == int(np.asarray(state.legal).sum())


def test_drops_and_hands_of_shogi(client):
    moves = ["7g7f", "3c3d", "8h2b+", "3a2b"]
    shown = asked(client, "position", game="shogi", moves=moves)
    assert shown["hands"] == [{"B": 1}, {"B": 1}]
    drop = next(move for move in shown["legal"] if move["text"] == "B*5e")
    assert (drop["drop"], drop["to"]) == ("B", 4 * 9 + 4)
    promoting = asked(client, "position", game="shogi", moves=moves[:2])["legal"]
    ways = [move for move in promoting if move["text"].startswith("8h2b")]
    assert sorted(move.get("suffix", "") for move in ways) == ["", "+"]


@pytest.mark.parametrize(
    ("moves", "points"),
    [("a1 a2 b1 b2 c1", 1), ("a1 a2 b1 b2 c3 c2", -1), ("b2 a1 a2 c2 b3 b1 c1 a3 c3", 0)],
)
def test_results_are_of_the_first_player(client, moves, points):
    shown = asked(client, "position", game="tic_tac_toe", moves=moves.split())
    assert (shown["over"], shown["points"], shown["legal"]) == (True, points, [])


def test_games_and_players(client):
    start = client.get("/api/start").json()
    assert {game["name"] for game in start["games"]} == set(BOARD_GAMES)
    assert start["games"][0]["name"] == "tic_tac_toe"
    players = {player["id"]: player for player in client.get("/api/players", params={"game": "tic_tac_toe"}).json()}
    assert {"served", "rollout", "oracle", "random"} <= set(players)
    assert players["served"]["levels"] == list(LEVELS)
    assert players["oracle"]["levels"] == [0]
    others = {player["id"]: player for player in client.get("/api/players", params={"game": "shogi"}).json()}
    assert set(others) == {"rollout", "random"}
    assert others["rollout"]["levels"] == list(SLOW_LEVELS)


def test_a_thought_is_a_search(client):
    moves = ["b2", "a1"]
    body = {"game": "tic_tac_toe", "player": "served", "simulations": 16}
    thought = asked(client, "think", moves=moves, **body)
    rows = thought["moves"]
    assert thought["simulations"] == 16  # not the 9 of the player's text
    assert sum(row["visits"] for row in rows) == 16
    assert sum(row["prior"] for row in rows) == pytest.approx(1, abs=0.01)
    assert all((row["q"] is None) == (row["visits"] == 0) for row in rows)
    assert rows[0]["text"] == thought["move"] == thought["line"][0]
    assert thought["value_first"] == thought["value"]
    asked(client, "position", game="tic_tac_toe", moves=[*moves, *thought["line"]])
    other = asked(client, "think", moves=["b2"], **body)
    assert other["value_first"] == -other["value"] != 0


def test_the_network_alone_has_no_visits(client):
    thought = asked(client, "think", game="tic_tac_toe", moves=["b2"], player="served", simulations=0)
    assert thought["simulations"] == 0
    assert "visits" not in thought["moves"][0]
    assert sum(row["policy"] for row in thought["moves"]) == pytest.approx(1, abs=0.01)
    assert thought["line"] == [thought["move"]]


def test_q_is_for_the_player_to_move(client):
    moves = ["a1", "a2", "b1", "b2"]
    thought = asked(client, "think", game="tic_tac_toe", moves=moves, player="served", simulations=16)
    win = next(row for row in thought["moves"] if row["text"] == "c1")
    assert win["q"] == 1.0
    assert thought["move"] == "c1"


def test_exact_values(client):
    exact = asked(client, "exact", game="tic_tac_toe", moves=["a1", "b2", "c3"])["moves"]
    assert exact["a2"] == {"value": 0, "plies": 6}
    assert exact["a3"]["value"] == -1
    assert asked(client, "exact", game="othello", moves=[])["moves"] == {}


@pytest.mark.parametrize("player", ["random", "oracle"])
def test_players_without_a_search(client, player):
    thought = asked(client, "think", game="tic_tac_toe", moves=[], player=player, simulations=64)
    assert thought["simulations"] == 0
    assert thought["move"] in {row["text"] for row in thought["moves"]}


WON = ["a1", "a2", "b1", "b2", "c1"]
LONG = ["b2"] * 2000


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("position", {"game": "tictactoe"}, "did you mean tic_tac_toe?"),
        ("position", {"game": "os:system"}, "unknown game"),
        ("position", {"moves": []}, "game: Field required"),
        ("position", {"game": "tic_tac_toe", "moves": ["b9"]}, "move 1: 'b9' is not a square"),
        ("position", {"game": "tic_tac_toe", "moves": ["b2", "b2"]}, "move 2: square b2 is taken"),
        ("position", {"game": "tic_tac_toe", "moves": [*WON, "c2"]}, "after the end of the game"),
        ("position", {"game": "tic_tac_toe", "moves": ["b2"] * 10}, "has 9 moves at most, not 10"),
        ("position", {"game": "tic_tac_toe", "moves": LONG}, "moves: List should have at most 1024 items"),
        ("position", {"game": "tic_tac_toe", "moves": "b2"}, "moves: Input should be a valid list"),
        ("position", {"game": "tic_tac_toe", "moves": [7]}, "moves.0: Input should be a valid string"),
        ("position", {"game": "tic_tac_toe", "moves": ["b2" * 9]}, "at most 8 characters"),
        ("position", {"game": "tic_tac_toe", "file": "/etc/passwd"}, "file: Extra inputs are not permitted"),
        ("position", [1], "valid dictionary"),
        ("think", {"game": "tic_tac_toe", "player": "nobody"}, "no player 'nobody' of tic_tac_toe"),
        ("think", {"game": "tic_tac_toe", "player": "runs/x"}, "no player 'runs/x'"),
        ("think", {"game": "tic_tac_toe", "player": "served", "simulations": 5}, "one of 0, 4, 16, 64, 256, 1024"),
        ("think", {"game": "tic_tac_toe", "player": "served", "simulations": 10**9}, "less than or equal to 1024"),
        ("think", {"game": "tic_tac_toe", "player": "rollout", "simulations": 0}, "one of 4, 16"),
        ("think", {"game": "tic_tac_toe", "moves": WON, "player": "served"}, "the game is over"),
        ("preference", {"move_a": "a1", "move_b": "a1"}, "are both 'a1'"),
        ("preference", {"move_a": "a1", "move_b": "z9"}, "'z9' is not a legal move there"),
        ("preference", {"preferred": "c"}, "preferred: String should match"),
        ("preference", {"source": "two\nlines"}, "source: String should match"),
        ("preference", {"source": "  "}, "say who prefers it"),
    ],
)
def test_bad_input_is_one_line(client, place, path, body, message):
    if path == "preference":
        body = {"game": "tic_tac_toe", "move_a": "a1", "move_b": "b2", "preferred": "a", "source": "Ada"} | body
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 400
    said = answer.json()
    assert list(said) == ["error"]
    assert message in said["error"]
    assert "\n" not in said["error"]
    assert not (place / "comparisons.jsonl").exists() or "z9" not in (place / "comparisons.jsonl").read_text()


def test_what_is_not_there(client):
    for path in ("/nothing", "/../setup.cfg", "/%2e%2e/app.py", "/api/nothing", "/docs", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 404, path
    assert client.post("/api/position", content="{", headers={"content-type": "application/json"}).status_code == 400
    assert client.get("/api/run", params={"name": "../ttt"}).json()["error"].startswith("no run '../ttt'")


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("cliff_walking", "cliff_walking is not a game for two players"),
        ("backgammon", "the page has no dice; backgammon is played by azero play backgammon --opponent rollout"),
    ],
)
def test_games_that_the_page_cannot_show_are_refused(game, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        roster.served(None, game, "connect_four")


def test_lines_forget_the_oldest(monkeypatch):
    monkeypatch.setattr("azero.web.lines.REMEMBERED", 3)
    lines, game = Lines(), games.make("tic_tac_toe")
    for first in ["a1", "b1", "c1", "a2", "b2"]:
        lines.play(game, [first, "c3"])
    assert len(lines._known) == 3
    assert lines.play(game, ["a1", "c3"]).moves == ("a1", "c3")
