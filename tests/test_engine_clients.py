"""azero as an engine: real clients play whole games with it, and the command that starts it."""

import random
import re
import threading
import time

import pytest
from engine_lines import ENGINE, SMALL, program
from reference_folder import write_reference

from azero.engines import gtp_server, uci_server
from azero.engines.gtp_server import GtpServer
from azero.engines.uci_server import UciServer
from azero.players import make_player


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A game's name -> a folder of weights."""
    made = {}

    def folder(game):
        if game not in made:
            made[game] = str(write_reference(tmp_path_factory.mktemp("weights") / game, game))
        return made[game]

    return folder


class TestClients:
    def test_python_chess_plays_and_analyses(self, weights):
        pytest.importorskip("chess", reason="python-chess is not there; install it: pip install chess")
        import chess
        import chess.engine

        chances = random.Random(3)
        engine = chess.engine.SimpleEngine.popen_uci([*ENGINE, weights("chess"), "--protocol", "uci"], timeout=400)
        try:
            board, left = chess.Board(), 2.0
            engine.ping()  # waits until all is compiled
            while len(board.move_stack) < 40 and not board.is_game_over():
                if board.turn == chess.WHITE:
                    began = time.monotonic()
                    clock = chess.engine.Limit(white_clock=left, black_clock=2, white_inc=0.1, black_inc=0.1)
                    played = engine.play(board, clock)  # which refuses an illegal move
                    left += 0.1 - (time.monotonic() - began)
                    assert left > 0
                    board.push(played.move)
                else:
                    board.push(chances.choice(list(board.legal_moves)))
            fen = "r3k2r/8/8/8/8/8/6q1/4K3 b kq - 0 1"
            with engine.analysis(chess.Board(fen)) as analysis:
                told = [next(analysis) for _ in range(2)]
                began = time.monotonic()
                analysis.stop()
                best = analysis.wait()
                assert time.monotonic() - began < 1
            assert best.move in chess.Board(fen).legal_moves
            assert any("score" in line and "pv" in line and "nodes" in line for line in told)
            assert engine.play(board, chess.engine.Limit(nodes=1)).move in board.legal_moves
        finally:
            engine.quit()
        assert engine.returncode.result() == 0

    def test_python_chess_plays_a_whole_game(self, weights):
        pytest.importorskip("chess", reason="python-chess is not there; install it: pip install chess")
        import chess
        import chess.engine

        chances = random.Random(4)
        player = f"policy:{weights('chess')}"
        with chess.engine.SimpleEngine.popen_uci([*ENGINE, player, "--protocol", "uci"], timeout=400) as engine:
            board = chess.Board()
            while not board.is_game_over() and len(board.move_stack) < 300:
                if board.turn == chess.BLACK:
                    board.push(engine.play(board, chess.engine.Limit(time=0.1)).move)
                else:
                    board.push(chances.choice(list(board.legal_moves)))
            assert len(board.move_stack) > 10

    def test_openspiels_controller_and_gnu_go(self, weights):
        """Open Spiel's GTP client asks both programs, its rules and GNU Go's judge our moves."""
        gnugo = program("gnugo")
        pytest.importorskip("pyspiel", reason="Open Spiel is not there; install it: pip install open_spiel")
        import pyspiel
        from open_spiel.python.bots.gtp import GTPBot

        rules = pyspiel.load_game("go(board_size=9,komi=7.5)")
        ours = GTPBot(rules, [*ENGINE, weights("go_9x9"), "--protocol", "gtp"])
        command = ["--mode", "gtp", "--level", "1", "--chinese-rules", "--positional-superko"]
        theirs = GTPBot(rules, [gnugo, *command])
        try:
            for each in (ours, theirs):
                for line in ("boardsize 9", "clear_board", "komi 7.5"):
                    each.gtp_cmd(line)
            ours.gtp_cmd("time_settings 10 0 0")
            state, left = rules.new_initial_state(), 10.0
            while not state.is_terminal():
                turn = state.current_player()
                mover, other = (ours, theirs) if turn == 0 else (theirs, ours)
                began = time.monotonic()
                vertex = mover.gtp_cmd("genmove", "bw"[turn])
                left -= (time.monotonic() - began) * (turn == 0)
                assert left > 0
                if vertex == "resign":
                    break
                other.gtp_cmd("play", "bw"[turn], vertex)  # raises where the other program calls it illegal
                state.apply_action(state.string_to_action(f"{'BW'[turn]} {vertex.replace('pass', 'PASS')}"))
            assert re.match(r"[bw]\+|0", ours.gtp_cmd("final_score"))
            assert len(state.history()) > 10
        finally:
            ours.close(), theirs.close()

    def test_othello_with_rhino(self, weights):
        rhino = program("gtp-rhino")
        pytest.importorskip("pyspiel", reason="Open Spiel is not there; install it: pip install open_spiel")
        import pyspiel
        from open_spiel.python.bots.gtp import GTPBot

        rules = pyspiel.load_game("othello")
        ours = GTPBot(rules, [*ENGINE, f"policy:{weights('othello')}", "--protocol", "gtp"])
        theirs = GTPBot(rules, [rhino, "-l", "1"])
        try:
            for each in (ours, theirs):
                each.gtp_cmd("boardsize 8")
                each.gtp_cmd("clear_board")
            state = rules.new_initial_state()
            while not state.is_terminal():
                turn = state.current_player()
                if state.legal_actions() == [64]:
                    state.apply_action(64)  # neither program is told
                    continue
                mover, other = (ours, theirs) if turn == 1 else (theirs, ours)
                vertex = mover.gtp_cmd("genmove", "bw"[turn])
                other.gtp_cmd("play", "bw"[turn], vertex)
                state.apply_action("abcdefgh".index(vertex[0]) + 8 * (int(vertex[1]) - 1))
            balance = int(re.search(r"\d+|$", ours.gtp_cmd("final_score"))[0])
            assert (balance > 0) == (state.returns()[0] != 0)
        finally:
            ours.close(), theirs.close()


class TestCommand:
    def test_serve_reads_ahead_and_ends(self):
        player, game = make_player("random", SMALL)
        said = []
        gtp_server.serve(GtpServer(player, game, said.append), iter(["name\n", "lz-analyze 1\n", "2 quit\n", "name\n"]))
        assert "".join(said).startswith("= azero\n\n=\ninfo ")
        assert said[-1] == "=2\n\n"
        said.clear()
        player, game = make_player("random", "gardner_chess")
        uci_server.serve(UciServer(player, game, said.append), iter(["go infinite\n", "isready\n"]))
        assert said[-1].startswith("bestmove")

    def test_only_the_command_quit_hurries_the_thinking(self):
        player, game = make_player("random", SMALL)
        server, seen, both = GtpServer(player, game, lambda text: None), [], threading.Event()

        def handle(line, waiting, leaving):
            seen.append((line, leaving()))
            if len(seen) == 3:
                both.set()
            return True

        def lines():
            yield from ("known_command quit\n", "# quit\n", "name\n")
            both.wait(10)
            yield "7 quit # now\n"
            both.clear()
            while len(seen) < 4:
                time.sleep(0.01)

        server.handle = handle
        gtp_server.serve(server, lines())
        assert [leaving for _, leaving in seen] == [False, False, False, True]

    @pytest.mark.parametrize(
        ("words", "what"),
        [
            (["random"], "protocol"),
            (["random", "--protocol", "uci"], "say which with --game"),
            (["human", "--game", SMALL, "--protocol", "gtp"], "stdin"),
            (["random", "--game", SMALL, "--protocol", "uci"], "chess and gardner_chess"),
            (["random", "--game", SMALL, "--protocol", "gpt"], "gtp"),
        ],
    )
    def test_bad_words(self, words, what, capsys):
        from azero.cli import main

        assert main(["engine", *words]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert what in said.err
