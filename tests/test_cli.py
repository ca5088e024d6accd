"""The front door: what the commands print, and what they say to bad input."""

import io
import json
import subprocess
import sys
import time

import pytest
from reference_folder import write_reference

from azero import cli, players
from azero.commands.arguments import one_line
from azero.commands.table import print_table

FRONT_DOOR = [sys.executable, "-c", "import sys; from azero.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("cli") / "ttt", "tic_tac_toe")


@pytest.fixture
def azero(capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words, typed=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = cli.main(list(map(str, words)))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("words", [["--help"], ["eval", "--help"]])
def test_help_is_quick(words):
    times = []
    while not times or (min(times) >= 0.5 and len(times) < 10):  # other work on the machine is not what is measured
        started = time.perf_counter()
        done = subprocess.run([*FRONT_DOOR, *words], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - started)
        assert "usage: azero" in done.stdout
    assert min(times) < 0.5, times


@pytest.mark.parametrize("command", ["eval", "analyze", "play", "games"])
def test_help_imports_no_jax(command):
    program = (
        "import sys; from azero.cli import main; "
        f"code = main(['{command}', '--help']); sys.exit(code + ('jax' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"usage: azero {command}" in done.stdout


def test_version_and_help(azero):
    assert azero("--version")[:2] == (0, "0.1.0\n")
    code, out, _ = azero("--help")
    assert code == 0
    assert all(command in out for command in cli.COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evl"], "unknown command 'evl'; did you mean eval?"),
        (["zzz"], "unknown command 'zzz'; see azero --help"),
        (["eval", "--gaems", "3"], "did you mean --games?"),
        (["eval", "random", "--games", "many"], "cannot read --games: invalid literal"),
        (["eval"], "one player or two, not 0"),
        (["eval", "a", "b", "c"], "one player or two, not 3"),
        (["eval", "random"], "say which with --game"),
        (["eval", "random", "--game", "tictactoe"], "did you mean tic_tac_toe?"),
        (["eval", "randm", "--game", "tic_tac_toe"], "did you mean random?"),
        (["eval", "random", "random", "--game", "tic_tac_toe", "--games", "0"], "even number from 2 on"),
        (["eval", "random", "random", "--game", "tic_tac_toe", "--games", "3"], "even number from 2 on"),
        (["eval", "random", "random", "--game", "tic_tac_toe", "--opening-plies", "-1"], "must be 0 or more"),
        (["eval", "rollout", "--game", "tic_tac_toe", "--simulations", "0"], "must be above 0"),
        (["eval", "FOLDER", "--game", "connect_four"], "plays tic_tac_toe, not connect_four"),
        (["eval", "FOLDER:simulation=3"], "did you mean simulations?"),
        (["analyze", "FOLDER"], "--positions"),
        (["analyze", "FOLDER", "--positions", "none.txt"], "No such file"),
        (["analyze", "human", "--positions", "FOLDER/config.json", "--game", "tic_tac_toe"], "human has no answers"),
        (["play", "conect_four"], "did you mean connect_four?"),
        (["play", "tic_tac_toe", "--first", "--second"], "not both"),
        (["play", "connect_four", "--opponent", "FOLDER"], "plays tic_tac_toe, not connect_four"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(azero, folder, tmp_path, words, message):
    code, out, err = azero(*(word.replace("FOLDER", str(folder)) for word in words))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(azero):
    with pytest.raises(ValueError, match="say which"):
        azero("eval", "random", "--debug")


def test_other_failures_are_one_line_and_exit_code_1(azero, monkeypatch):
    def fail(*arguments):
        raise OSError("no space\nleft")

    monkeypatch.setattr(players, "make_players", fail)
    assert azero("eval", "random") == (1, "", "azero: OSError: no space\n")


def test_box_of_tyro_as_one_line():
    box = """╭─ Unrecognized options ───╮
│ Unrecognized options:    │
│ --gaems, 3               │
│ ──────────────────────── │
│ Perhaps you meant:       │
│     --games INT          │
╰──────────────────────────╯"""
    assert one_line(box) == "unknown option --gaems; did you mean --games?"
    assert one_line("") == "the arguments cannot be read"


def test_a_table_says_what_stands_in_brackets(capsys):
    player = "uci[seconds=0.05,Skill Level=0]:stockfish:smile:"
    print_table(f"chess: {player}", ("[bold]player", "score"), [(player, 0.5)], left=("[bold]player",))
    title, headings, row = capsys.readouterr().out.splitlines()
    assert title.strip() == f"chess: {player}"
    assert headings.split() == ["[bold]player", "score"]
    assert row.split("  ")[0] == player


def test_match_in_json(azero):
    words = ("eval", "oracle", "random", "--game", "tic_tac_toe", "--games", "20", "--seed", "5", "--json")
    code, out, _ = azero(*words)
    match = json.loads(out)
    assert code == 0
    assert match["wins"] + match["draws"] + match["losses"] == 20
    assert match["score"] == (match["wins"] + match["draws"] / 2) / 20
    assert match["elo_interval"][0] < match["elo"]
    for kind in ("wins", "draws", "losses"):
        assert match["by_colour"]["first"][kind] + match["by_colour"]["second"][kind] == match[kind]
    assert azero(*words)[1] == out


def test_strength_in_json_and_as_a_table(azero, folder):
    code, out, _ = azero("eval", folder, "--simulations", "4", "--json")
    report = json.loads(out)
    assert (code, report["game"], report["player"]) == (0, "tic_tac_toe", str(folder))
    for kind in ("network", "search"):
        strength = report["oracle"][kind]
        assert strength["positions"] == 4520
        assert all(0 < strength[share] < 1 for share in ("kept_value", "kept_value_sampled", "sign"))
        assert set(strength["by_set"]["end-hard"]) >= {"positions", "kept_value", "kept_value_sampled", "sign"}
        assert strength["unbeatable"] is (strength["losing_lines"] == 0)
    assert report["oracle"]["search"]["kept_value"] > report["oracle"]["network"]["kept_value"]
    code, out, _ = azero("eval", f"policy:{folder}")
    assert code == 0
    assert "4520" in out
    assert "lines of play" in out


def test_a_game_without_exact_values_needs_a_second_player(azero, monkeypatch):
    from games import tic_tac_toe

    blind = tic_tac_toe.make_tic_tac_toe()._replace(oracle=None)
    monkeypatch.setattr(players, "make", lambda name: blind)
    code, _, err = azero("eval", "random", "--game", "tic_tac_toe")
    assert code == 2
    assert "name a second player" in err


def test_analyze_prints_a_line_for_each_position(azero, folder, tmp_path):
    (tmp_path / "positions").write_text("a1 a2\n\nb2\n")
    code, out, _ = azero("analyze", folder, "--positions", "positions")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["position"] for line in lines] == ["a1 a2", "", "b2"]
    for line in lines:
        assert list(line) == ["position", "move", "value", "policy", "visits", "legal"]
        assert sum(line["policy"]) == pytest.approx(1, abs=1e-4)
        assert sum(line["visits"]) == 8
        assert -1 <= line["value"] <= 1
    _, bare, _ = azero("analyze", f"policy:{folder}", "--positions", "positions")
    assert json.loads(bare.splitlines()[0])["visits"] is None


def test_analyze_prints_nothing_where_a_line_is_bad(azero, folder, tmp_path):
    (tmp_path / "positions").write_text("b2\nb2 b2\n")
    code, out, err = azero("analyze", folder, "--positions", "positions")
    assert (code, out) == (2, "")
    assert err == "azero: positions: line 2: move 2: square b2 is taken\n"
    (tmp_path / "positions").write_bytes(b"\xff\xfe\x00")
    assert azero("analyze", folder, "--positions", "positions")[2] == "azero: positions is not a text file\n"
    (tmp_path / "positions").write_text("")
    assert azero("analyze", folder, "--positions", "positions")[:2] == (0, "")


def test_play_to_the_end(azero):
    typed = "help\nzz\na1\nundo\nundo\nhint\na1\n"
    code, out, _ = azero("play", "tic_tac_toe", "--opponent", "oracle", "--show-search", typed=typed)
    assert code == 0
    assert "legal moves: a3 b3 c3" in out
    assert "'zz' is not a square" in out
    assert "there is no move to take back" in out
    assert "oracle would play" in out
    assert out.count("oracle plays b2") == 2
    assert out.endswith("goodbye\n")


def test_two_people_play_to_the_end(azero):
    code, out, _ = azero("play", "tic_tac_toe", "--opponent", "human", typed="a1\na2\nb1\nb2\nc1\n")
    assert code == 0
    assert out.endswith("player 1 wins\n")


def test_playing_second(azero):
    code, out, _ = azero("play", "tic_tac_toe", "--opponent", "oracle", "--second", typed="quit\n")
    assert code == 0
    assert "oracle plays" in out.split("your move")[0]


def test_games_are_described():
    from azero.commands import games as command
    from games import names

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("games.names", lambda: names()[:5])
        described = command.describe_games()
    assert [game["name"] for game in described] == list(names()[:5])
    four = described[1]
    assert (four["actions"], four["observation_shape"], four["max_plies"]) == (7, [6, 7, 2], 42)
    assert (four["oracle"], four["notation"], described[4]["oracle"]) == (True, "1", False)
    assert all(game["replay_bytes_per_position"] > 0 for game in described)
