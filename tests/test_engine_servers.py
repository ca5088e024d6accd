"""azero as an engine: real clients play whole games with it, and no line ends it."""

import random
import re
import shutil
import sys
import threading
import time

import jax
import numpy as np
import pytest
from reference_folder import write_reference

import games
from azero import thinking
from azero.answers import Answer
from azero.engines import gtp_server, uci_server
from azero.engines.clock import MARGIN, Allowance, Clock, Limits, deliberate, share
from azero.engines.gtp_server import GtpServer
from azero.engines.gtp_texts import area, vertex_text
from azero.engines.uci_server import UciServer, centipawns, read_go
from azero.players import make_player
from azero.thinking import Deliberation, Playthrough, Thought
from games.notation_chess import whole_fen

SMALL = "connect_four_4x4"
ENGINE = [sys.executable, "-c", "import sys; from azero.cli import main; sys.exit(main(sys.argv[1:]))", "engine"]
LINES = 10_000  # of the fuzz


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/games")
    if found is None:
        package = {"gtp-rhino": "grhino"}.get(name, name)
        pytest.skip(f"{name} is not there; install it: apt-get install --no-install-recommends {package}")
    return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A game's name -> a folder of weights."""
    made = {}

    def folder(game):
        if game not in made:
            made[game] = str(write_reference(tmp_path_factory.mktemp("weights") / game, game))
        return made[game]

    return folder


def gtp(text, game=None):
    """A server, and a function that asks it: line -> its whole answer."""
    player, game = make_player(text, game)
    said = []
    server = GtpServer(player, game, said.append)

    def ask(line):
        said.clear()
        assert server.handle(line, lambda: True, lambda: False) is (line.split()[-1:] != ["quit"])
        return "".join(said)

    return server, ask


@pytest.fixture(scope="module")
def searching():
    """A searching player of the small game, ready to think."""
    player, game = make_player(f"checkpoints/{SMALL}:simulations=32")
    deliberation = Deliberation(player, game)
    deliberation.prepare()
    return deliberation


class TestDeliberation:
    def test_a_thought_goes_on_in_its_tree(self, searching):
        searching.follow(Playthrough(searching.game))
        thoughts = [thought for _, thought in zip(range(4), searching.thoughts(), strict=False)]
        size = searching.slices.size
        assert [thought.nodes for thought in thoughts] == [size, 2 * size, 3 * size, 4 * size]
        searching.played.move(int(thoughts[-1].answer.action[0]))
        assert next(searching.thoughts()).nodes > size  # what lay below the move is kept

    def test_more_is_one_more_search_in_the_same_position(self, searching):
        played = Playthrough(searching.game)
        memory, key = searching.slices.playing.begin(played.batch()), jax.random.key(1)
        _, memory = searching.slices.first(memory, played.batch(), key)
        again, _ = searching.slices.first(jax.tree.map(np.copy, memory), played.batch(), key)
        more, _ = searching.slices.more(memory, jax.random.split(key)[1])
        np.testing.assert_array_equal(more.answer.visits, again.answer.visits)
        np.testing.assert_allclose(more.q, again.q, atol=1e-5)

    def test_lines_are_legal_and_begin_with_their_move(self, searching):
        played = Playthrough(searching.game)
        searching.follow(played)
        thought = next(searching.thoughts())
        assert int(thought.answer.action[0]) in thought.lines
        for action, line in thought.lines.items():
            assert line[0] == action
            assert len(played.line(line)) == len(line)
        assert max(map(len, thought.lines.values())) > 1

    def test_a_full_tree_ends_the_thoughts(self, searching):
        searching.follow(Playthrough(searching.game))
        whole = searching.slices
        try:
            searching.slices = whole._replace(room=3 * whole.size + 1)
            assert len(list(searching.thoughts())) == 3
        finally:
            searching.slices = whole

    def test_without_time_it_is_the_networks_move(self, searching):
        searching.follow(Playthrough(searching.game))
        told = []
        thought = deliberate(searching, Limits(seconds=0.0), lambda: False, lambda *told_of: told.append(told_of))
        network = searching.player.network(searching.played.batch(), None)
        assert thought.answer.action == network.action
        assert not told

    @pytest.mark.parametrize(
        ("limits", "slices"), [(Limits(), 1), (Limits(nodes=65), 3), (Limits(nodes=64, seconds=60.0), 2)]
    )
    def test_limits(self, searching, limits, slices):
        searching.follow(Playthrough(searching.game))
        done = []
        deliberate(searching, limits, lambda: False, lambda thought, count, seconds: done.append(count))
        assert done == [32 * number for number in range(1, slices + 1)]

    def test_it_keeps_to_its_time_and_stops(self, searching):
        searching.follow(Playthrough(searching.game))
        began = time.monotonic()
        deliberate(searching, Limits(seconds=0.5), lambda: False, lambda *told: None)
        assert time.monotonic() - began < 2
        deliberate(searching, Limits(endless=True), lambda: time.monotonic() > began + 0.7, lambda *told: None)
        assert time.monotonic() - began < 3

    @pytest.mark.parametrize("limits", [Limits(endless=True), Limits(seconds=0.5)])
    def test_a_slow_slice_is_not_waited_for(self, searching, limits):
        whole, entered, gate = searching.slices, threading.Event(), threading.Event()

        def slow(memory, key):
            entered.set()
            assert gate.wait(30)
            return whole.more(memory, key)

        searching.follow(Playthrough(searching.game))
        began = time.monotonic()
        try:
            searching.slices = whole._replace(more=slow)
            searching.pace = 0.0
            thought = deliberate(searching, limits, lambda: limits.endless and entered.is_set(), lambda *told: None)
            assert entered.is_set()
            assert thought.nodes == whole.size
            if not limits.endless:
                assert time.monotonic() - began >= limits.seconds
        finally:
            gate.set()
            searching.slices = whole
        assert next(searching.thoughts()).nodes > 2 * whole.size, "what it found in the meantime is kept"

    def test_a_slice_of_playouts_begins_small_and_grows(self, monkeypatch):
        tried, slices = [], thinking.slices
        monkeypatch.setattr(thinking, "SLICE_SECONDS", 60.0)
        monkeypatch.setattr(thinking, "slices", lambda *rest: (tried.append(rest[2]), slices(*rest))[1])
        deliberation = Deliberation(*make_player("rollout:simulations=100", SMALL))
        deliberation.prepare()
        assert tried == [1, 64]
        thoughts = [thought for _, thought in zip(range(3), deliberation.thoughts(), strict=False)]
        assert [thought.nodes for thought in thoughts] == [64, 128, 192]
        assert int(thoughts[-1].answer.action[0]) in range(4)


class TestClock:
    def test_share(self):
        assert share(60, 0, 30) == pytest.approx(2 - MARGIN)
        assert share(60, 1, 30) == pytest.approx(2.8 - MARGIN)
        assert share(1, 5, 30) == pytest.approx(0.3 - MARGIN)  # an increment is not there before the move is made
        assert share(2, 0, 1) == pytest.approx(2 - MARGIN)
        assert share(0.01, 0, 10) == 0

    def test_byoyomi(self):
        game = games.make(SMALL)
        clock = Clock(Allowance(0, 10, 5))
        assert clock.seconds(game, 0) == pytest.approx(2 - MARGIN)
        for _ in range(4):
            clock.spend(1)
        assert (clock.left, clock.stones) == (6, 1)
        clock.spend(1)
        assert (clock.left, clock.stones) == (10, 5)
        clock = Clock(Allowance(3, 10, 5))
        clock.spend(4)
        assert (clock.left, clock.stones) == (10, 5)
        assert Clock(Allowance(0, 1, 0)).seconds(game, 0) is None
        assert Clock(Allowance(0, 0, 0)).seconds(game, 0) == 0


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


def mutated(line, chances):
    """A line with a few characters changed, left out or put in, or junk in its place."""
    letters = list(line)
    for _ in range(chances.randrange(1, 5)):
        at = chances.randrange(len(letters) + 1)
        letter = chr(chances.choice((chances.randrange(32, 127), chances.randrange(1, 256), 0x2603)))
        letters[at : at + chances.randrange(2)] = [letter] * chances.randrange(3)
    return "".join(letters).replace("\n", " ").replace("\r", " ").replace("\x0b", " ").replace("\x0c", " ")


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
