"""The page's server: positions of every game, thoughts, refusals, limits, preferences, runs, many clients at once."""

import asyncio
import concurrent.futures
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import jax
import numpy as np
import pytest
from reference_folder import write_reference
from safetensors.numpy import load_file
from served_page import free_port, served

import games
from azero import checkpoint, cli
from azero.distill.comparisons import read_comparisons
from azero.players import make_players
from azero.web import boards, curves, guards, people, roster
from azero.web.app import make_app
from azero.web.desk import Desk
from azero.web.lines import Lines, Refused
from azero.web.roster import LEVELS, SLOW_LEVELS, Roster

GOLDEN = Path(__file__).parent / "golden"
BOARD_GAMES = games.OWN_GAMES + games.PGX_GAMES  # the page is for two
PLIES = 24  # of each golden game
CLIENTS = 20
BURSTS = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    write_reference(folder / "ttt", "tic_tac_toe")
    run = folder / "runs" / "short"
    run.mkdir(parents=True)
    config = (folder / "ttt" / "config.json").read_text()
    (run / "config.json").write_text(config)
    weights = load_file(folder / "ttt" / "weights.safetensors")
    checkpoint.save(run, 7, {"step": np.zeros(1)}, weights, json.loads(config), None, checkpoint.Keep())
    rows = [{"iteration": n, "seconds": 2.0 * n, "policy_loss": 1 / n, "kept_value": 0.5} for n in range(1, 1001)]
    text = "\n".join(map(json.dumps, rows))
    (run / "metrics.jsonl").write_text(f'{text}\n{{"iteration": 1001, "seconds": 1, "policy_loss": NaN}}\n{{"iterat')
    (folder / "runs" / "no_run").mkdir()
    return folder


@pytest.fixture(scope="module")
def page(place):
    with served(f"{place / 'ttt'}:simulations=9", "tic_tac_toe", place) as found:
        yield found


@pytest.fixture(scope="module")
def client(page):
    with httpx.Client(base_url=page[0], timeout=300) as made:
        yield made


def asked(client, name, **body):
    answer = client.post(f"/api/{name}", json=body)
    while answer.status_code == 429:  # a quick machine asks more than one address may
        time.sleep(0.5)
        answer = client.post(f"/api/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


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


def test_strangers_are_refused(client, page):
    def status(**options):
        return client.request(options.pop("method", "GET"), "/api/start", **options).status_code

    assert status() == 200
    assert status(headers={"host": "evil.example"}) == 421
    assert status(headers={"host": f"localhost:{page[0].rpartition(':')[2]}"}) == 200
    assert status(headers={"origin": "http://evil.example"}) == 403
    assert status(headers={"origin": page[0]}) == 200
    plain = client.post("/api/position", content="{}", headers={"content-type": "text/plain"})
    assert plain.status_code == 415
    answer = client.get("/")
    assert "access-control-allow-origin" not in answer.headers
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_large_bodies_are_refused(client):
    body = json.dumps({"game": "x" * guards.LARGEST_BODY}).encode()
    headers = {"content-type": "application/json"}
    assert client.post("/api/position", content=body, headers=headers).status_code == 413

    def parts():  # without a length
        yield from (body[start : start + 9000] for start in range(0, len(body), 9000))

    assert client.post("/api/position", content=parts(), headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("path", "headers", "wanted"),
    [
        ("/api/start", {"sec-fetch-site": "cross-site"}, 403),
        ("/api/start", {"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        ("/api/start", {"sec-fetch-site": "same-origin"}, 200),
        ("/api/start", {"sec-fetch-site": "none"}, 200),
        ("/", {"sec-fetch-site": "cross-site"}, 200),  # somebody follows a link
        ("/api/start", {"origin": "http://["}, 403),
        ("/api/start", {"origin": "null"}, 403),
    ],
)
def test_other_sites_may_not_ask(client, path, headers, wanted):
    assert client.get(path, headers=headers).status_code == wanted


def test_a_crowd_that_waits_does_not_hold_up_the_rest(place, monkeypatch):
    monkeypatch.setattr("azero.web.app.PATIENCE", 6.0)
    made = make_app(Roster(str(place / "ttt"), games.make("tic_tac_toe"), place / "runs"), place / "comparisons.jsonl")
    desk = made.state.page.desk
    desk.close()  # so that nobody is answered
    question = {"game": "tic_tac_toe", "player": "served"}

    async def crowd():
        async with (
            made.router.lifespan_context(made),
            httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://localhost", timeout=60) as visitor,
        ):
            (await visitor.post("/api/position", json={"game": "tic_tac_toe"})).raise_for_status()
            thoughts = [asyncio.create_task(visitor.post("/api/think", json=question)) for _ in range(60)]
            key = ("tic_tac_toe", str(place / "ttt"), 64)
            while key not in desk._kinds or not desk._kinds[key].waiting:
                await asyncio.sleep(0.01)
            assert (await visitor.get("/api/start")).status_code == 200
            assert not any(thought.done() for thought in thoughts)
            return await asyncio.gather(*thoughts), desk._kinds[key].waiting

    answers, waiting = asyncio.run(crowd())
    assert {answer.status_code for answer in answers} == {400}
    assert "takes too long" in answers[0].json()["error"]
    assert waiting == []  # nobody waits for an answer, so none is sought


def test_the_desk_keeps_kinds_that_are_waited_for(monkeypatch):
    monkeypatch.setattr("azero.web.desk.KEPT", 2)
    desk, game = Desk(), games.make("tic_tac_toe")
    desk.close()
    (player,), _ = make_players(["rollout"], "tic_tac_toe")
    state = Lines().play(game, []).state
    replies = {key: desk.ask(key, game, player, state) for key in [("tic_tac_toe", "rollout", n) for n in (4, 16, 64)]}
    assert list(desk._kinds) == list(replies)
    first, second, third = replies
    desk.withdraw(first, replies[first])
    desk.withdraw(second, replies[second])
    last = ("tic_tac_toe", "rollout", 256)
    desk.ask(last, game, player, state)
    assert list(desk._kinds) == [third, last]


def test_hurried_clients_wait(monkeypatch):
    monkeypatch.setattr(guards, "PER_SECOND", 20.0)
    monkeypatch.setattr(guards, "AT_ONCE", 5.0)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    def status(address):
        said = []

        async def receive():
            return {"type": "http.request"}

        async def send(message):
            said.append(message)

        scope = {"type": "http", "method": "GET", "headers": [(b"host", b"localhost")], "client": (address, 1)}
        asyncio.run(guard(scope, receive, send))
        return said[0]["status"]

    guard = guards.Guard(app, "127.0.0.1")
    begun = time.monotonic()
    statuses = [status("first") for _ in range(50)]
    assert 5 <= statuses.count(200) <= 5 + 20 * (time.monotonic() - begun) + 1
    assert set(statuses) == {200, 429}
    assert status("second") == 200
    time.sleep(0.1)
    assert status("first") == 200


def test_hosts_that_others_reach():
    reached = guards.Guard(None, "0.0.0.0")
    assert reached._is_own("192.168.1.7")
    own = socket.gethostname().lower()
    assert all(reached._is_own(name) for name in (own, f"{own}.local", socket.getfqdn().lower()))
    assert not reached._is_own("evil.example")
    assert not guards.Guard(None, "127.0.0.1")._is_own("192.168.1.7")


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


@pytest.fixture(scope="module")
def shipped_page(tmp_path_factory):
    with served("checkpoints/connect_four", "connect_four", tmp_path_factory.mktemp("shipped")) as found:
        found[1].warm()
        while not found[1].desk.is_warm(("connect_four", "checkpoints/connect_four", 64)):
            time.sleep(0.1)
        yield found


def burst(address, moves):
    """One thought about each line of play, all asked for at once: the answers, and the seconds of the slowest."""
    barrier = threading.Barrier(len(moves))

    def one(line):
        body = {"game": "connect_four", "moves": line, "player": "served", "simulations": 64}
        with httpx.Client(base_url=address, timeout=60) as own:
            own.get("/api/start")
            barrier.wait()
            begun = time.perf_counter()
            answer = own.post("/api/think", json=body)
            return answer.json(), time.perf_counter() - begun

    with concurrent.futures.ThreadPoolExecutor(len(moves)) as pool:
        answers, seconds = zip(*pool.map(one, moves), strict=True)
    return answers, max(seconds)


def test_twenty_clients_are_answered_together(shipped_page):
    address, page = shipped_page
    moves = [[*f"{1 + number % 7}{1 + number // 3}4"] for number in range(CLIENTS)]
    spent = []
    for _ in range(BURSTS):
        batches, worked = page.desk.batches, time.process_time()
        answers, seconds = burst(address, moves)
        # Other work on the machine is not what is measured: where there is none, a burst takes no longer than the
        # processors work for it, for one of them always does.
        spent.append(min(seconds, time.process_time() - worked))
        assert page.desk.batches - batches < CLIENTS / 2
    assert statistics.median(spent) < 2, spent
    for number in (0, 7, 19):  # a row's answer is its own
        alone = burst(address, [moves[number]])[0][0]
        assert alone["move"] == answers[number]["move"]
        assert alone["value"] == pytest.approx(answers[number]["value"], abs=0.01)
        assert alone["line"][:2] == answers[number]["line"][:2]
        together = {row["text"]: row for row in answers[number]["moves"]}
        for row in alone["moves"]:
            assert row["visits"] == together[row["text"]]["visits"]
            assert row["prior"] == pytest.approx(together[row["text"]]["prior"], abs=0.001)
        asked_line = [*moves[number], *alone["line"]]
        Lines().play(games.make("connect_four"), asked_line)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "others can reach 0.0.0.0, and the page has no password; say --public"),
        (["--port", "0"], "--port must be from 1 to 65535, not 0"),
        (["--port", "BUSY"], "is free: --port"),
        (["--host", "203.0.113.9", "--public"], "cannot listen on 203.0.113.9"),
        (["checkpoints/conect_four"], "did you mean checkpoints/connect_four?"),
        (["human"], "no human player"),
        (["uci:stockfish"], "no uci player"),
        (["oracle", "--game", "connect_four"], "no table of exact values"),
        (["--game", "conect_four"], "did you mean connect_four?"),
        (["--prot", "3"], "did you mean --port?"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(capsys, words, message):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(free_port())
        words = [word.replace("BUSY", str(busy.getsockname()[1])) for word in words]
        if "--port" not in words and "--prot" not in words:
            words += ["--port", port]
        assert cli.main(["serve", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_beyond_this_machine_there_is_a_warning(place):
    program = "import sys; from azero.cli import main; sys.exit(main())"
    words = ["serve", str(place / "ttt"), "--host", "0.0.0.0", "--public", "--port", str(free_port())]
    with subprocess.Popen([sys.executable, "-c", program, *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("warning: everyone who can reach 0.0.0.0")
        assert f"http://{socket.gethostname()}:" in process.stderr.readline()
        process.send_signal(signal.SIGINT)  # while it compiles
        assert process.wait(60) == 130


def test_an_open_request_does_not_hold_up_the_end(place):
    program = "import sys; from azero.cli import main; sys.exit(main())"
    port = free_port()
    words = ["serve", str(place / "ttt"), "--port", str(port)]
    with subprocess.Popen([sys.executable, "-c", program, *words], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert f":{port}/" in process.stderr.readline()
            with connected(port) as visitor:  # who never sends the body that he announces
                head = f"POST /api/position HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n"
                visitor.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
        finally:
            process.kill()


def connected(port):
    """A connection to the page, which says its address just before it listens."""
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise AssertionError(f"nobody listens on {port}")


def test_help_imports_neither_jax_nor_fastapi():
    program = (
        "import sys; from azero.cli import main; code = main(['serve', '--help']); "
        "sys.exit(code + ('jax' in sys.modules) + ('fastapi' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: azero serve" in done.stdout
