"""azero as an engine by UCI: its answers, line by line, and no line ends it."""

import random
import re
import time

import numpy as np
import pytest
from engine_lines import LINES, SMALL, mutated

from azero.answers import Answer
from azero.engines import uci_server
from azero.engines.clock import deliberate
from azero.engines.uci_server import UciServer, centipawns, read_go
from azero.players import make_player
from azero.thinking import Playthrough, Thought
from games.notation_chess import whole_fen


@pytest.fixture(scope="module")
def uci():
    """A server of Gardner's chess, and the lines that it has written."""
    player, game = make_player("random", "gardner_chess")
    said = []
    return UciServer(player, game, said.append), said


class TestUci:
    def ask(self, uci, line):
        server, said = uci
        said.clear()
        assert server.handle(line)
        if server.search is not None:
            server.search.result()
        return list(said)

    def test_commands(self, uci):
        assert self.ask(uci, "uci")[-1] == "uciok"
        assert self.ask(uci, "isready") == ["readyok"]
        assert self.ask(uci, "joho isready") == ["readyok"]
        assert self.ask(uci, "nonsense")[0].startswith("info string unknown command")
        self.ask(uci, "position startpos moves b2b3")
        assert uci[0].played.moves() == ["b2b3"]
        assert re.fullmatch(r"bestmove [a-e][1-5][a-e][1-5][qrbn]?", self.ask(uci, "go movetime 10")[-1])
        assert "not a legal move" in self.ask(uci, "position startpos moves b2b3 b2b3")[0]
        assert self.ask(uci, "go searchmoves a4a3 movetime 1")[-1].startswith("bestmove ")
        assert uci[0].played.moves() == ["b2b3"]

    def test_positions(self, uci):
        server, _ = uci
        fen = "rnbqk/ppppp/P4/1PPPP/RNBQK b - - 0 1"
        assert self.ask(uci, f"position fen {fen} moves b4a3") == []
        after = Playthrough(server.game)
        for move in ("a2a3", "b4a3"):
            after.move(server.game.notation.action(after.state, move))
        assert server.game.notation.board(server.played.state) == server.game.notation.board(after.state)
        np.testing.assert_array_equal(server.played.state.legal, after.state.legal)
        for bad in ("8/8 w", "rnbqk/ppppp/5/PPPPP/RNBQ1 w", "rnbqk/ppppp/5/PPPPP/RNBQK x", "K4/5/4R/5/4k w - - 0 1"):
            assert self.ask(uci, f"position fen {bad}")[0].startswith("info string")
        assert len(server.played.actions) == 1

    def test_it_plays_on_where_our_rules_have_ended_the_game(self, uci):
        server, _ = uci
        fen = "4k/5/5/Q4/1R2K w - - 98 80"
        moves = "b1b2 e5e4 b2b1 e4e5 b1b2"  # by our rules it is drawn after the second
        assert self.ask(uci, f"position fen {fen} moves {moves}") == []
        assert server.renewed
        assert server.played.to_play == 1
        assert self.ask(uci, "go movetime 1")[-1] in {"bestmove e5e4", "bestmove e5d4"}
        played = server.played
        self.ask(uci, f"position fen {fen} moves {moves} e5e4")
        assert server.played is played  # what went before is not replayed for each move
        assert played.moves()[-1] == "e5e4"
        self.ask(uci, f"position fen {fen} moves b1b2")
        assert (server.played.moves(), server.renewed) == (["b1b2"], False)

    def test_the_clock_runs_while_a_position_is_read(self, uci, monkeypatch):
        server, _ = uci
        began = []

        def note(*rest):
            began.append(rest[-1])
            return deliberate(*rest)

        monkeypatch.setattr(uci_server, "deliberate", note)
        self.ask(uci, "ucinewgame")
        self.ask(uci, "position startpos moves b2b3")
        assert server.reading > 0
        server.reading = 5.0
        now = time.monotonic()
        self.ask(uci, "go movetime 1")
        self.ask(uci, "go movetime 1")
        assert began[0] <= now - 4
        assert began[1] >= now

    def test_mate_is_told(self, uci):
        server, _ = uci
        self.ask(uci, "position fen 4k/R4/1R3/5/K4 w - - 0 1")
        action = server.game.notation.action(server.played.state, "b3b5")
        answer = Answer(np.array([action]), np.zeros((1, server.game.num_actions)), None, np.array([0.28]))
        told = uci_server.info(server.played, Thought(answer), 10, 0.5)
        assert told == "info depth 1 score mate 1 nodes 10 nps 20 time 500 pv b3b5"
        self.ask(uci, "position startpos")
        answer = answer._replace(action=np.array([server.game.notation.action(server.played.state, "b2b3")]))
        assert "score cp 100 " in uci_server.info(server.played, Thought(answer), 10, 0.5)

    def test_words(self):
        assert read_go(["wtime", "100", "btime", "-5", "x", "winc", "searchmoves", "e2e4", "d2d4", "infinite"]) == (
            {"wtime": 100, "btime": 0, "infinite": 1},
            ["e2e4", "d2d4"],
        )
        assert centipawns(0) == 0
        assert centipawns(0.28) == 100
        assert centipawns(-1) == -centipawns(1)

    @pytest.mark.parametrize(
        ("fen", "what"),
        [
            ("8/8/8/8/8/8/8/8 w - - 0 1", "one king"),
            ("rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBN1 w KQkq - 0 1", "castling 'K'"),
            ("rnbqkbnr/pppppppp/9/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1", "'9' is not a rank"),
            ("Pnbqkbnr/1ppppppp/8/8/8/8/1PPPPPPP/RNBQKBNR w - - 0 1", "a pawn on"),
        ],
    )
    def test_bad_fens(self, fen, what):
        with pytest.raises(ValueError, match=re.escape(what)):
            whole_fen(fen, 8)

    def test_other_games_are_refused(self):
        player, game = make_player("random", SMALL)
        with pytest.raises(ValueError, match="chess and gardner_chess"):
            UciServer(player, game, print)

    def test_fuzz(self, uci):
        server, said = uci
        chances = random.Random(7)
        words = [
            "position",
            "startpos",
            "fen",
            "moves",
            "go",
            "stop",
            "isready",
            "uci",
            "ucinewgame",
            "setoption",
            "name",
            "value",
            "Simulations",
            "debug",
            "on",
            "infinite",
            "wtime",
            "btime",
            "winc",
            "binc",
            "movestogo",
            "depth",
            "nodes",
            "mate",
            "movetime",
            "ponder",
            "ponderhit",
            "searchmoves",
            "register",
            "b2b3",
            "b4b3",
            "a2a3",
            "e4e3",
            "0000",
            "e2e4",
            "1",
            "0",
            "-7",
            "99999999999999999999999999",
            "rnbqk/ppppp/5/PPPPP/RNBQK",
            "w",
            "b",
            "-",
            "K4/5/5/5/4k",
        ]
        likely = ["position startpos moves b2b3", "go movetime 0", "go infinite", "stop", "isready", "go nodes 5"]
        said.clear()
        asked = ready = 0
        for _ in range(LINES):
            line = chances.choice(likely) if chances.random() < 0.3 else " ".join(chances.choices(words, k=5))
            line = mutated(line, chances) if chances.random() < 0.4 else line
            rest = line.split()
            while rest and rest[0] not in (*server.commands, "quit"):
                rest.pop(0)
            if rest[:1] == ["quit"]:
                continue
            asked, ready = asked + (rest[:1] == ["go"]), ready + (rest[:1] == ["isready"])
            assert server.handle(line)
        server.finish()
        assert sum(line.startswith("bestmove ") for line in said) == asked > 500
        assert said.count("readyok") == ready > 500
        assert not any("\n" in line for line in said)
