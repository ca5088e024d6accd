"""azero as an engine by GTP: its answers, line by line, and no line ends it."""

import random
import re
import time

import numpy as np
import pytest
from engine_lines import LINES, SMALL, gtp, mutated

from azero.engines import gtp_server
from azero.engines.clock import deliberate
from azero.engines.gtp_texts import area, vertex_text
from azero.thinking import Deliberation, Playthrough


class TestGtp:
    def test_commands(self):
        server, ask = gtp("random", "go_9x9")
        assert ask("1 protocol_version") == "=1 2\n\n"
        assert ask("name # a comment") == "= azero\n\n"
        assert ask("# a comment alone") == ask("") == ask(" \t ") == ask("12") == ""
        assert ask("2\tknown_\x07command\x7f play") == "=2 true\n\n"
        assert ask("known_command nonsense") == "= false\n\n"
        assert ask("7 nonsense") == "?7 unknown command\n\n"
        assert set(ask("list_commands")[2:].split()) == set(server.commands)
        assert ask("boardsize 19") == "? unacceptable size\n\n"
        assert ask("boardsize 9") == "=\n\n"
        assert ask("komi x") == ask("komi nan") == ask("komi") == "? komi not a float\n\n"
        assert ask("komi 7.5") == "=\n\n"
        assert ask("play b D4") == ask("play white d5") == "=\n\n"
        assert ask("play b D5") == "? illegal move\n\n"
        assert ask("play b I5") == "? illegal move\n\n"
        assert ask("play purple D6") == "? invalid color\n\n"
        assert server.played.moves() == ["d4", "d5"]
        assert ask("play w E5") == "=\n\n"  # out of turn: black passes
        assert server.played.moves() == ["d4", "d5", "pass", "e5"]
        assert ask("undo") == "=\n\n"
        assert server.played.moves() == ["d4", "d5"]
        assert re.fullmatch(r"= ([A-HJ][1-9]|pass)\n\n", ask("genmove b"))
        assert len(server.played.actions) == 3
        assert re.fullmatch(r"= ([A-HJ][1-9]|pass)\n\n", ask("reg_genmove b"))
        assert len(server.played.actions) == 3
        assert "5 . . . o" in ask("showboard")
        assert ask("time_settings 10 x 1") == "? not three integers\n\n"
        assert ask("time_settings 10 5 1") == ask("time_left b 3 0") == "=\n\n"
        assert server.clocks[0].left == 3
        assert ask("clear_board") == "=\n\n"
        assert ask("undo") == "? cannot undo\n\n"
        assert ask("quit") == "=\n\n"

    def test_scores(self):
        server, ask = gtp("random", "go_9x9")
        assert ask("final_score") == "= W+7.5\n\n"
        ask("play b e5")
        assert ask("final_score") == "= B+73.5\n\n"
        ask("play w pass"), ask("play b pass")
        assert server.played.over
        made = len(server.played.actions)
        # Our rules have ended the game; the board may play on.
        assert ask("genmove w") == ask("reg_genmove b") == "= pass\n\n"
        assert ask("lz-genmove_analyze b") == "=\nplay pass\n\n"
        assert ask("play w pass") == "=\n\n"
        assert ask("play b d4") == "? illegal move\n\n"
        assert len(server.played.actions) == made
        for _ in range(3):
            assert ask("undo") == "=\n\n"
        assert server.played.over
        assert ask("undo") == "=\n\n"
        assert not server.played.over
        assert area([list(".x.o"), list("xx.o"), list("..oo")]) == (1 + 3) - 4  # only the corner has one owner

    def test_any_komi_counts_in_the_score(self, capsys):
        _, ask = gtp("random", "go_9x9")
        assert ask("komi 6.5") == ask("komi 6.5") == "=\n\n"
        assert capsys.readouterr().err == "komi 6.5 counts in final_score; the player plays as with 7.5\n"
        assert ask("final_score") == "= W+6.5\n\n"
        ask("play b e5"), ask("play w d4"), ask("play b pass"), ask("play w pass")
        assert ask("final_score") == "= W+6.5\n\n"
        ask("komi -8")
        assert ask("final_score") == "= B+8\n\n"

    def test_the_last_ply_may_lose(self):
        """The cap on plies ends the game by counting, which is no repetition of a board."""
        server, ask = gtp("random", "go_9x9")
        losing = None
        for seed in range(20):  # until White, who has the last ply, loses
            ask("clear_board")
            played, chances = server.played, random.Random(seed)
            while not played.over and len(played.actions) < played.game.max_plies - 1:
                played.move(chances.choice(np.flatnonzero(np.asarray(played.state.legal))[:-1].tolist() or [81]))
            action = int(np.asarray(played.state.legal).argmax())
            if played.over or action == 81:  # by a repeated board; nothing but the pass
                continue
            losing = vertex_text(played, action)
            played.move(action)
            assert played.over
            if float(played.state.reward) < 0:
                break
        played.take_back()
        seat = "bw"[played.to_play]
        assert ask(f"play {seat} {losing}") == "=\n\n"
        assert len(played.actions) == played.game.max_plies
        assert float(played.state.reward) < 0
        assert ask(f"genmove {seat}") == "= pass\n\n"

    def test_an_analysis_waits_until_all_is_compiled(self, monkeypatch):
        done = []
        monkeypatch.setattr(Deliberation, "prepare", lambda self: (time.sleep(0.5), done.append("prepared")))
        monkeypatch.setattr(
            gtp_server, "deliberate", lambda *rest: (done.append("thought of"), deliberate(*rest))[1]
        )  # fmt: skip
        _, ask = gtp("random", "go_9x9")
        assert ask("lz-analyze 10").startswith("=\ninfo move ")
        assert done == ["prepared", "thought of"]

    def test_a_board_that_sends_no_passes(self):
        server, ask = gtp("random", "othello")
        chances = random.Random(2)
        passes = 0
        for _ in range(3):
            ask("clear_board")
            while not server.played.over:
                legal = np.flatnonzero(np.asarray(server.played.state.legal)).tolist()
                seat = server.played.to_play
                if legal == [64]:  # the board knows that the other side moves
                    seat, passes = 1 - seat, passes + 1
                    copy = Playthrough(server.game)
                    for action in (*server.played.actions, 64):
                        copy.move(action)
                    legal = np.flatnonzero(np.asarray(copy.state.legal)).tolist()
                    if copy.over or legal == [64]:
                        break
                action = chances.choice(legal)
                vertex = f"{'ABCDEFGH'[action % 8]}{action // 8 + 1}"
                assert ask(f"play {'bw'[seat]} {vertex}") == "=\n\n"
        assert passes > 0

    def test_columns_of_connect_boards(self):
        server, ask = gtp("random", SMALL)
        assert ask("play b 4") == ask("play w D2") == "=\n\n"
        assert server.played.moves() == ["4", "4"]
        assert ask("play w 1") == "? wrong color to play\n\n"
        assert ask("play b E1") == ask("play b 5") == "? illegal move\n\n"
        assert ask("komi 6.5") == "=\n\n"  # as boards send it whatever is played
        assert ask("final_score") == "? cannot score: the game is not over\n\n"
        for move in ("b 1", "w 4", "b 2", "w 4", "b 3"):
            ask(f"play {move}")
        assert server.played.over
        assert ask("final_score") == "= B+1\n\n"
        assert ask("genmove w") == "? the game is over\n\n"

    def test_analysis(self):
        _, ask = gtp(f"checkpoints/{SMALL}:simulations=32")
        one = r"info move \d visits (\d+) winrate (\d+) prior (\d+) lcb \d+ order \d+ pv \d( \d)*"
        answer = ask("5 lz-analyze b 10")
        assert re.fullmatch(rf"=5\n{one}( {one})*\n\n", answer)
        assert [int(order) for order in re.findall(r"order (\d+)", answer)] == list(range(answer.count("info")))
        assert sum(int(prior) for prior in re.findall(r"prior (\d+)", answer)) == pytest.approx(10000, abs=5)
        answer = ask("kata-genmove_analyze b interval 10")
        assert re.fullmatch(r"=\n(info move .*\n)+play \d\n\n", answer)
        assert all(0 <= float(share) <= 1 for share in re.findall(r"winrate (\S+)", answer))
        # Three in a row: the analysis knows that the game is won.
        ask("clear_board")
        for move in ("b 1", "w 4", "b 1", "w 4", "b 1", "w 4"):
            ask(f"play {move}")
        assert re.match(r"=\ninfo move 1 visits \d+ winrate (0\.9\d|1\.0)", ask("kata-analyze b 10"))

    def test_fuzz(self):
        server, ask = gtp(f"policy:checkpoints/{SMALL}")
        commands = sorted(set(server.commands) - {"quit"})
        vertices = ["1", "2", "3", "4", "D1", "pass", "e9", "b", "w", "9", "-1", "1e9", "10000000000000000000000", "x"]
        chances = random.Random(5)
        for _ in range(LINES):
            words = [chances.choice(commands), *chances.choices(vertices, k=chances.choice((0, 1, 1, 2, 2, 2, 3, 4)))]
            line = chances.choice(("", "", "", f"{chances.randrange(99)} ")) + " ".join(words)
            line = mutated(line, chances) if chances.random() < 0.4 else line
            answer = ask(line) if "quit" not in line else ""
            bare = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", "", line).partition("#")[0].replace("\t", " ").split(" ")
            bare = " ".join(bare).split()
            numbered = bool(bare) and bare[0].isascii() and bare[0].isdigit()
            command = bare[1:] if numbered else bare
            if command and "quit" not in line:
                start = rf"[=?]{re.escape(bare[0]) if numbered else ''}(\s|$)"
                assert re.match(start, answer), (line, answer)
                assert answer.find("\n\n") == len(answer) - 2, (line, answer)
            else:
                assert answer == "", (line, answer)
        assert ask("clear_board") == "=\n\n"
        assert ask("genmove b").startswith("= ")
