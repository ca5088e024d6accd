"""How engines are named, what options they take, and what they are told of them."""

import sys

import pytest
from engine_lines import program

from azero.engines import read_program
from azero.engines.program import ELSEWHERE
from azero.engines.uci import Announced, read_announced
from azero.players import make_player
from azero.thinking import Mind, Playthrough

UCI_LOG = """
import sys
log = open(sys.argv[1], "a", buffering=1)
for line in sys.stdin:
    log.write(line)
    if line.startswith("uci\\n"):
        print("option name Some Knob type spin default 1 min 0 max 9\\nuciok", flush=True)
    elif line.startswith("isready"):
        print("readyok", flush=True)
    elif line.startswith("go"):
        print("info depth 1 score cp 3\\nbestmove (none)", flush=True)
    elif line.startswith("quit"):
        break
"""


@pytest.mark.parametrize(
    ("text", "game", "said"),
    [
        ("gtp:gnugoo --mode gtp", "go_9x9", "no program 'gnugoo'; did you mean gnugo"),
        ("gtp:./nothing/here", "go_9x9", r"there is no program './nothing/here'$"),
        ("gtp", "go_9x9", "names no command; an engine is written like gtp:gnugo"),
        ("uci[seconds=1]", "chess", "names no command"),
        ("uci[seconds=1:stockfish", "chess", "options stand in square brackets"),
        ("gtp:gnugo 'x", "go_9x9", "does not parse: No closing quotation"),
        ("gtp[]:true", "go_9x9", "nothing in the square brackets"),
        ("gtp:true", "connect_four", "GTP engines play go_9x9, .*, not connect_four"),
        ("gtp:true", "othello", r"does not speak GTP: ended \(exit code 0\)"),
        ("uci:true", "chess", r"does not speak UCI: ended \(exit code 0\)"),
    ],
)
def test_a_text_that_names_no_engine_is_one_line(text, game, said):
    with pytest.raises(ValueError, match=said):
        make_player(text, game)


def test_a_known_engine_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("azero.engines.program.ELSEWHERE", "/nowhere")
    with pytest.raises(ValueError, match="no program 'gtp-rhino'; on Debian and Ubuntu, apt-get install grhino"):
        make_player("gtp:gtp-rhino -l 1", "othello")


def test_engines_are_found_where_debian_puts_games(tmp_path, monkeypatch):
    assert "/usr/games" in ELSEWHERE
    found = tmp_path / "some-engine"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setattr("azero.engines.program.ELSEWHERE", str(tmp_path))
    assert read_program("gtp:some-engine -x 'a b'").words == (str(found), "-x", "a b")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("Skil Level=3", "unknown option 'Skil Level'; did you mean Skill Level"),
        ("Skill Level=99", "Skill Level must be a whole number from -?[0-9]+ to 20, not '99'"),
        ("Ponder=maybe", "Ponder must be true or false"),
        ("nodes=0", "nodes must be above 0"),
        ("depth=1.5", "depth must be of type int"),
    ],
)
def test_options_are_those_that_the_engine_announces(options, said):
    program("stockfish")
    with pytest.raises(ValueError, match=said):
        make_player(f"uci[{options}]:stockfish", "chess")


def test_an_engine_of_chess_alone_is_refused_for_its_relatives():
    program("stockfish")
    with pytest.raises(ValueError, match="does not announce UCI_Variant gardner; fairy-stockfish does"):
        make_player("uci:stockfish", "gardner_chess")


def test_what_an_uci_engine_is_told(tmp_path):
    script, log = tmp_path / "engine.py", tmp_path / "log"
    script.write_text(UCI_LOG)
    command = f"{sys.executable} -SE {script} {log}"
    player, game = make_player(f"uci[seconds=0.25,nodes=200,depth=7,Some Knob=4]:{command}", "chess")
    played = Playthrough(game)
    played.move(game.notation.action(played.state, "e2e4"))
    answer = Mind(player, played).answer()
    assert answer.reasons == ["played (none), which is not legal"]
    assert [line for line in log.read_text().splitlines() if line not in ("isready", "quit")] == [
        "uci",
        "setoption name Some Knob value 4",
        "ucinewgame",
        "position startpos moves e2e4",
        "go movetime 250 nodes 200 depth 7",
    ]


def test_options_are_read_as_they_are_announced():
    assert read_announced("option name Skill Level type spin default 20 min -20 max 20") == (
        "Skill Level",
        Announced("spin", -20, 20),
    )
    name, combo = read_announced("option name Analysis Contempt type combo default Both var Both var Off now")
    assert (name, combo.kind, combo.choices) == ("Analysis Contempt", "combo", ("Both", "Off now"))
    assert combo.fault("off now") is None
    assert combo.fault("On") == "one of Both, Off now"
    assert read_announced("option name Book File type string default") == ("Book File", Announced("string"))
