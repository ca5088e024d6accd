"""Engines that misbehave: each costs one game, and none outlives its player."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from azero.answers import GIVEN_UP, NO_MOVE
from azero.cli import main
from azero.engines import gtp, pool, uci
from azero.engines.playing import GAMES_A_PROCESS
from azero.engines.process import EngineError, Process
from azero.match import play_match
from azero.players import make_player
from azero.thinking import Mind, Playthrough
from games import make

MISBEHAVING = """
import sys, time

def say(text):
    print(text, flush=True)

trouble, log, taken = sys.argv[1], open(sys.argv[2], "a", buffering=1), []
if trouble == "slow start":
    time.sleep(2)
if trouble == "starts once" and open(sys.argv[2]).read():
    time.sleep(100)
if trouble == "dies at once":
    sys.exit("no network file")
for line in sys.stdin:
    log.write(line)
    word, *rest = line.split()
    if trouble == "other words":
        say("hello there")
    elif trouble == "flood":
        while True:
            print("y" * 80)
    elif word == "list_commands":
        say("= list_commands\\nplay\\ngenmove\\ntime_settings\\n")
    elif word == "clear_board":
        taken = []
        say("= \\n")
    elif word == "play":
        taken.append(rest[1])
        say("? no such cell\\n" if trouble == "refuses" and "c3" in taken else "= \\n")
    elif word == "quit":
        say("= \\n")
        break
    elif word != "genmove":
        say("= \\n")
    else:
        if trouble == "starts once":
            time.sleep(100)
        print("n" * 100_000, file=sys.stderr, flush=True)
        cell = next(f"{c}{r}" for r in range(1, 12) for c in "abcdefghijk" if f"{c}{r}" not in taken)
        if "c3" in taken:
            if trouble == "crash":
                print("out of memory", file=sys.stderr, flush=True)
                sys.exit(3)
            if trouble == "hang":
                time.sleep(100)
            cell = {"illegal": "c3", "garbage": "\\x00]]", "resign": "resign"}.get(trouble, cell)
            if trouble == "error":
                say("? cannot think\\n")
                continue
        taken.append(cell)
        say(f"= {cell.upper()}\\n")
"""


@pytest.fixture
def hex_engine(tmp_path, monkeypatch):
    """(trouble, seconds) -> a player of Hex that gets into it once c3 is taken, and the log of what it was told."""
    script, log = tmp_path / "engine.py", tmp_path / "log"
    script.write_text(MISBEHAVING)
    monkeypatch.setattr(gtp, "GRACE", 0.5)

    def start(trouble, options="[seconds=0.1]"):
        player, _ = make_player(f"gtp{options}:{sys.executable} -SE {script} '{trouble}' {log}", "hex")
        return player, log

    return start


def batch_of(*played):
    """The positions of several games as one batch."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(jax.device_get(one.state) for one in played))


def told(playing, memory, *moves):
    """The memory after these moves in each of its games."""
    for ply in range(max(map(len, moves))):
        actions = [one[ply] if ply < len(one) else NO_MOVE for one in moves]
        memory = playing.moved(memory, np.array(actions, np.int32))
    return memory


TROUBLES = {
    "crash": "crashed (exit code 3): out of memory",
    "hang": "no move within 0.8 s",
    "illegal": "played c3, which is not legal",
    "garbage": "played \x00]], which is not legal",
    "resign": "resigned",
    "error": "refused genmove black: cannot think",
    "refuses": "refused play black c3: no such cell",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_costs_one_game(hex_engine, trouble):
    player, log = hex_engine(trouble)
    game = make("hex")
    cell = {text: game.notation.action(Playthrough(game).state, text) for text in ("a1", "b1", "c3", "d4")}
    games = [Playthrough(game), Playthrough(game), Playthrough(game)]
    lines = [(cell["c3"], cell["d4"]), (cell["d4"], cell["b1"]), (cell["d4"], cell["a1"])]
    for one, line in zip(games, lines, strict=True):
        for action in line:
            one.move(action)
    states = batch_of(*games)
    memory = told(player.playing, player.playing.begin(states), *lines)
    for _ in range(2):  # the second time in programs that were started anew, and that are told of all that was
        answer, memory = player.playing.answer(memory, states, jax.random.key(0), np.array([0, 2, 1, 3]))
        assert answer.action[:3].tolist() == [GIVEN_UP, cell["b1"], cell["a1"]]
        assert answer.reasons[:3] == [TROUBLES[trouble], "", ""]
        assert answer.policy[:3].sum(-1).tolist() == [0, 1, 1]
        assert len(answer.action) == 4  # the last one is nobody's game
    assert log.read_text().count("list_commands") >= 3


def test_a_match_goes_on_after_trouble(hex_engine):
    player, _ = hex_engine("crash")
    chance, game = make_player("random", "hex")
    ended = []
    result = play_match(game, player, chance, 4, opening_plies=2, seed=0, record=ended.append)
    lost = [one for one in ended if one.given_up]
    assert result.gave_up == (len(lost), 0)
    assert lost
    assert all("crashed (exit code 3): out of memory" in one.given_up for one in lost)
    assert len(ended) == 4


def test_ratings_say_why_games_were_given_up(hex_engine, tmp_path, capsys):
    player, _ = hex_engine("error")
    words = ["rate", "random", player.name, "--game", "hex", "--games", "4", "--out", str(tmp_path / "ratings")]
    assert main(words) == 0
    (match,) = json.loads((tmp_path / "ratings" / "ratings.json").read_text())["matches"]
    (count,) = re.findall(r"gave up or forfeited (\d+) games, the first: refused genmove", capsys.readouterr().err)
    assert match["gave_up"] == [0, int(count)]
    assert 0 < int(count) <= 4


def test_an_engine_is_told_only_what_is_new(hex_engine):
    player, log = hex_engine("none")
    played = Playthrough(make("hex"))
    mind = Mind(player, played)
    for text in ("k11", "k10", "k9"):
        played.move(int(mind.answer().action[0]))
        played.move(played.game.notation.action(played.state, text))
    words = log.read_text().split("\n")
    assert words.count("clear_board") == 1
    plays = [line for line in words if line.startswith("play")]
    assert plays == ["play white k11", "play white k10"]
    assert "boardsize 11" in words
    assert "time_settings 0 1 1" in words
    played.take_back(3)
    mind.answer()
    words = log.read_text().split("\n")
    assert words.count("clear_board") == 2
    assert [line for line in words if line.startswith("play")][2:] == [
        "play black a1",
        "play white k11",
        "play black b1",
    ]


def test_several_may_ask_at_once(hex_engine):
    player, _ = hex_engine("none")
    games = [Playthrough(make("hex"), seed) for seed in range(12)]
    for number, one in enumerate(games):
        one.move(number)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda one: Mind(player, one).answer(), games))
    assert [int(one.action[0]) for one in answers] == [1] + 11 * [0]


def test_there_are_as_many_processes_as_usable_cores(hex_engine):
    usable = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(usable)})
        player, _ = hex_engine("none")
        assert player.playing.at_once == GAMES_A_PROCESS
    finally:
        os.sched_setaffinity(0, usable)


def test_ctrl_c_ends_an_engine_that_is_starting(hex_engine, monkeypatch):
    monkeypatch.setattr(pool, "cores", lambda: 2)
    monkeypatch.setattr(gtp, "START_LIMIT", 20.0)
    player, _ = hex_engine("starts once")
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    alarm = threading.Timer(1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    try:
        states = batch_of(Playthrough(make("hex")), Playthrough(make("hex")))
        memory = player.playing.begin(states)
        began = time.monotonic()
        alarm.start()
        with pytest.raises(KeyboardInterrupt):
            player.playing.answer(memory, states, jax.random.key(0), np.arange(2))
        assert time.monotonic() - began < 10
    finally:
        alarm.join()
        signal.signal(signal.SIGINT, usual)


def test_swapping_is_told_as_swap_pieces(hex_engine):
    player, log = hex_engine("none")
    played = Playthrough(make("hex"))
    for text in ("c2", "swap"):
        played.move(played.game.notation.action(played.state, text))
    Mind(player, played).answer()
    assert "play black c2\nplay white swap-pieces\ngenmove black\n" in log.read_text()


def test_a_slow_start_is_waited_for(hex_engine):
    player, _ = hex_engine("slow start")
    assert Mind(player, Playthrough(make("hex"))).answer().action[0] != GIVEN_UP


def test_a_position_without_its_moves_is_refused(hex_engine):
    player, _ = hex_engine("none")
    played = Playthrough(make("hex"))
    played.move(5)
    memory = player.playing.begin(played.batch())
    with pytest.raises(ValueError, match="plays games from their start, not from a position"):
        player.playing.answer(memory, played.batch(), jax.random.key(0), np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="plays games, it does not judge positions"):
        player.answers(played.batch(), jax.random.key(0))


@pytest.mark.parametrize(
    ("trouble", "options", "said"),
    [
        ("other words", "", "does not speak GTP: its answer to list_commands is 'hello there'"),
        ("flood", "", "does not speak GTP: its answer to list_commands is 'yyy"),
        ("dies at once", "", r"does not speak GTP: crashed \(exit code 1\): no network file"),
        ("none", "[second=1]", "unknown option 'second'; did you mean seconds"),
        ("none", "[seconds=0]", "seconds must be above 0"),
        ("none", "[seconds=nan]", "seconds must be above 0"),
    ],
)
def test_an_engine_that_does_not_work_is_one_line(hex_engine, trouble, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        hex_engine(trouble, options)
    assert "\n" not in str(caught.value)


def test_an_uci_engine_that_hangs(monkeypatch):
    monkeypatch.setattr(uci, "START_LIMIT", 0.5)
    with pytest.raises(ValueError, match=r"does not speak UCI: no uciok within 0.5 s"):
        make_player("uci:cat", "chess")


def test_a_program_ends_with_its_player(hex_engine):
    player, log = hex_engine("none")
    Mind(player, Playthrough(make("hex"))).answer()
    del player
    assert log.read_text().endswith("quit\n")


def test_a_program_that_will_not_leave_is_killed():
    process = Process(["sh", "-c", "trap '' TERM INT HUP; sleep 100 & while :; do sleep 1; done"])
    group = process._popen.pid
    process.end()
    with pytest.raises(ProcessLookupError):
        wait_for_group_to_end(group)


def wait_for_group_to_end(group):
    """Raises ProcessLookupError as soon as no process of the group is left; returns where one stays."""
    for _ in range(50):
        os.killpg(group, 0)
        time.sleep(0.1)


def test_a_program_that_reads_nothing_does_not_hold_us():
    process = Process(["sleep", "100"])
    with pytest.raises(EngineError, match="does not read what it is told"):
        process.write("x" * 10**7)
    process.kill()
    with pytest.raises(EngineError, match=r"crashed \(Killed\)"):
        process.line(time.monotonic() + 5)
    process.end()


def test_ctrl_c_leaves_no_engine_behind(tmp_path):
    log = tmp_path / "log"
    command = f"gtp[seconds=50]:{sys.executable} -SE {tmp_path / 'engine.py'} hang {log}"
    pid = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    (tmp_path / "engine.py").write_text(pid + MISBEHAVING.replace('"c3" in taken', "True"))
    # Where the tests run in the background of a shell, Ctrl-C is ignored by all that they start.
    run = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    run += "from azero.cli import main; sys.exit(main())"
    azero = subprocess.Popen(
        [sys.executable, "-c", run, "eval", command, "random", "--game", "hex", "--games", "4"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    began = time.monotonic()
    while time.monotonic() < began + 60 and (not log.exists() or "genmove" not in log.read_text()):
        time.sleep(0.1)
    azero.send_signal(signal.SIGINT)
    _, said = azero.communicate(timeout=60)
    assert azero.returncode == 130, said
    with pytest.raises(ProcessLookupError):
        wait_for_group_to_end(int((tmp_path / "pid").read_text()))
