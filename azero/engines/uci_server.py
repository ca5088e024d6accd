"""azero's side of the Universal Chess Interface, for chess and Gardner's chess.

Lines are read and answered in one thread and the search runs in another, so that `stop` and `isready` are answered
at once. Where a game is over by our rules (a third repetition, fifty moves) and the board plays on, it goes on from
that position as if nothing had been before.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

import azero
from azero.answers import GIVEN_UP
from azero.engines.clock import MARGIN, Limits, deliberate, main_line, moves_expected, share
from azero.players import Player
from azero.thinking import Deliberation, Playthrough, Thought
from games.core import Game, State
from games.notation import jitted
from games.notation_chess import whole_fen

GAMES = ("chess", "gardner_chess")
MOST_SIMULATIONS = 1_000_000
FLAGS = ("infinite", "ponder")
NUMBERS = ("nodes", "movetime", "wtime", "btime", "winc", "binc", "movestogo", "depth", "mate")
WORDS = (*NUMBERS, *FLAGS, "searchmoves")
SURE = 0.9999  # the largest value that is told in centipawns
INTERVAL = 0.2  # seconds between two lines about one search
NO_MOVE = "0000"


class UciServer:
    """A player behind the protocol. Nothing ends it but `quit`."""

    def __init__(self, player: Player, game: Game, write: Callable[[str], None], seed: int = 0):
        """Args: write: sends a line to the other program at once.

        Raises:
          ValueError: the game is not one that UCI is for.
        """
        check_game(game)
        self.player, self.game, self.seed = player, game, seed
        self._write, self.lock = write, threading.Lock()
        searching = player.searching
        self.simulations = searching.config.simulations if searching else 0
        self.deliberation = Deliberation(player, game, seed)
        self.worker = ThreadPoolExecutor(1)
        self.ready = self.worker.submit(self.deliberation.prepare)  # compiling is on nobody's clock
        self.search: Future[None] | None = None
        self.stopped = threading.Event()
        self.reading = 0.0  # seconds that the last `position` took
        self._begin("startpos")
        self.commands: dict[str, Callable[[list[str]], None]] = {
            "uci": self.uci,
            "isready": self.isready,
            "ucinewgame": self.ucinewgame,
            "position": self.position,
            "go": self.go,
            "stop": self.stop,
            "ponderhit": self.stop,
            "setoption": self.setoption,
            "debug": lambda words: None,
            "register": lambda words: None,
        }

    def write(self, line: str) -> None:
        """Sends a line."""
        with self.lock:
            self._write(line)

    def handle(self, line: str) -> bool:
        """Does what a line says; words before a command that are none are passed over, as the protocol has it.

        Returns:
          Whether there is more to do: False after `quit`.
        """
        words = line.split()
        while words and words[0] not in self.commands and words[0] != "quit":
            words.pop(0)
        if not words:
            if line.strip():
                self.write(f"info string unknown command: {_plain(line)}")
            return True
        name, *rest = words
        if name == "quit":
            self.stop([])
            return False
        try:
            self.commands[name](rest)
        except Exception as error:  # a bad line, or a player that fails, is told and lived through
            self.write(f"info string {_plain(str(error) or type(error).__name__)}")
        return True

    def uci(self, words: list[str]) -> None:
        """Who this is, and what can be set."""
        self.write(f"id name azero {azero.__version__} {_plain(self.player.name)}")
        self.write("id author the azero contributors")
        if self.simulations:
            self.write(f"option name Simulations type spin default {self.simulations} min 1 max {MOST_SIMULATIONS}")
        if self.game.name == "gardner_chess":
            self.write("option name UCI_Variant type combo default gardner var gardner")
        self.write("uciok")

    def isready(self, words: list[str]) -> None:
        """Answers once all is compiled; during a search at once."""
        if self.search is None or self.search.done():
            self.ready.result()
        self.write("readyok")

    def ucinewgame(self, words: list[str]) -> None:
        """Forgets the last game."""
        self.finish()
        self.ready.result()
        self._begin("startpos")

    def setoption(self, words: list[str]) -> None:
        """Sets `Simulations`, of searches that are given no limit."""
        text = " ".join(words)
        name, _, value = text.partition(" value ")
        name = name.removeprefix("name ").strip().lower()
        if name == "uci_variant" and self.game.name == "gardner_chess":
            return
        if name != "simulations" or not self.simulations:
            raise ValueError(f"no such option: {name}")
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= MOST_SIMULATIONS):
            raise ValueError(f"Simulations must be 1 to {MOST_SIMULATIONS}, not {value}")
        self.simulations = int(value)

    def position(self, words: list[str]) -> None:
        """A position, and the moves from there; those up to an illegal one are made."""
        self.finish()
        self.ready.result()
        began = time.monotonic()
        kind, *rest = words or [""]
        if kind not in ("startpos", "fen"):
            raise ValueError("position comes with startpos or fen")
        cut = rest.index("moves") if "moves" in rest else len(rest)
        start = "startpos" if kind == "startpos" else " ".join(rest[:cut])
        moves = rest[cut + 1 :]
        if start != self.start or (self.renewed and self.moves != moves[: len(self.moves)]):
            self._begin(start)
        while self.moves != moves[: len(self.moves)]:
            self.moves.pop()
            self.played.take_back()
        for move in moves[len(self.moves) :]:
            if self.played.over:
                self._renew()
            self.played.move(self.game.notation.action(self.played.state, move))
            self.moves.append(move)
        self.reading = time.monotonic() - began

    def go(self, words: list[str]) -> None:
        """Begins a search, whose end is told by `bestmove`."""
        began = time.monotonic() - self.reading  # the clock runs while the position is read
        self.reading = 0.0
        self.finish()
        said, moves = read_go(words)
        self.stopped = threading.Event()
        self.search = self.worker.submit(self._search, said, moves, self.stopped, began)

    def stop(self, words: list[str]) -> None:
        """Ends the search, after its first slice at once."""
        self.stopped.set()

    def finish(self) -> None:
        """Ends a search that goes on, and waits for its move."""
        self.stopped.set()
        if self.search is not None:
            self.search.result()
            self.search = None

    def _begin(self, start: str) -> None:
        """A new game from the start, or from a FEN; after a bad one all stays as it was."""
        first = None if start == "startpos" else self._position(start)
        self.played = Playthrough(self.game, self.seed, first)
        self.start, self.renewed = start, False
        self.moves: list[str] = []  # since the start, also where it has been renewed

    def _position(self, fen: str) -> State:
        """Raises ValueError where the FEN is no position that a game can go on from."""
        from games.pgx_adapter import position

        state = position(self.game, whole_fen(fen, self.game.observation_shape[0]))
        if not bool(state.terminal):
            rows = [line.split()[1:] for line in self.game.notation.board(state).splitlines()[:-1]]
            king = "K" if int(state.to_play) else "k"
            squares = {f"{chr(97 + row.index(king))}{len(rows) - y}" for y, row in enumerate(rows) if king in row}
            for action in np.flatnonzero(np.asarray(state.legal)):
                if self.game.notation.move(state, int(action))[2:4] in squares:
                    raise ValueError("the side that is not to move is in check")
        return state

    def _renew(self) -> None:
        """Goes on where our rules end the game and the board does not."""
        from games.pgx_adapter import fen_of

        fields = fen_of(self.played.state).split()
        self.played = Playthrough(self.game, self.seed, self._position(" ".join([*fields[:4], "0", "1"])))
        self.renewed = True
        if self.played.over:
            raise ValueError("the game is over")

    def _search(self, said: dict[str, int], allowed: list[str], stopped: threading.Event, began: float) -> None:
        """Thinks, and tells the move whatever happens."""
        best = NO_MOVE
        try:
            self.ready.result()
            if self.played.over:
                self._renew()
            best = self._legal_move()
            if self.deliberation.played is not self.played:
                self.deliberation.follow(self.played)
            best = self._think(said, allowed, stopped, began)
        except Exception as error:
            self.write(f"info string {_plain(str(error) or type(error).__name__)}")
        self.write(f"bestmove {best}")

    def _think(self, said: dict[str, int], allowed: list[str], stopped: threading.Event, began: float) -> str:
        played, told = self.played, 0.0

        def report(thought: Thought, done: int, seconds: float) -> None:
            nonlocal told
            if told == 0 or seconds - told > INTERVAL:
                told = seconds
                self.write(info(played, thought, done, seconds))

        thought = deliberate(self.deliberation, self._limits(said), stopped.is_set, report, began)
        if int(thought.answer.action[0]) == GIVEN_UP:
            self.write(f"info string gives up: {_plain(thought.answer.reason())}")
            return NO_MOVE
        self.write(info(played, thought, max(thought.nodes, 1), time.monotonic() - began))
        policy = thought.answer.policy[0]
        texts = {self.game.notation.move(played.state, int(a)): int(a) for a in np.flatnonzero(played.state.legal)}
        choice = {text: texts[text] for text in allowed if text in texts}
        if choice:
            return max(choice, key=lambda text: policy[choice[text]])
        return self.game.notation.move(played.state, int(thought.answer.action[0]))

    def _legal_move(self) -> str:
        """Any, for where thinking fails."""
        return self.game.notation.move(self.played.state, int(np.asarray(self.played.state.legal).argmax()))

    def _limits(self, said: dict[str, int]) -> Limits:
        """What `go` says, as limits; the clock is that of the side to move."""
        if "infinite" in said or "ponder" in said:
            return Limits(endless=True)
        side = "bw"[self.played.to_play == 0]
        seconds = said["movetime"] / 1000 - MARGIN if "movetime" in said else None
        if f"{side}time" in said:
            plies = len(self.played.actions)
            moves = said["movestogo"] if said.get("movestogo") else moves_expected(self.game, plies)
            on_clock = share(said[f"{side}time"] / 1000, said.get(f"{side}inc", 0) / 1000, moves)
            seconds = on_clock if seconds is None else min(seconds, on_clock)
        nodes, depth = said.get("nodes"), said.get("depth")
        if nodes is None and seconds is None:
            nodes = self.simulations or None
        return Limits(seconds, nodes, depth)


def check_game(game: Game) -> None:
    """Raises ValueError where UCI is not for this game."""
    if game.name not in GAMES:
        raise ValueError(f"UCI is for {' and '.join(GAMES)}, not for {game.name}; take --protocol gtp")


def read_go(words: list[str]) -> tuple[dict[str, int], list[str]]:
    """What `go` says: its numbers and flags by name, and the moves of `searchmoves`; the rest is left out."""
    said: dict[str, int] = {}
    moves: list[str] = []
    name = ""
    for word in words:
        if word in WORDS:
            name = word
            if word in FLAGS:
                said[word] = 1
        elif name == "searchmoves":
            moves.append(word)
        elif name in NUMBERS and word.removeprefix("-").isdigit() and word.isascii():
            said[name] = max(0, int(word[:12]))
            name = ""
    return said, moves


def info(played: Playthrough, thought: Thought, done: int, seconds: float) -> str:
    """The line about a search: the score for the side to move, the simulations, and the moves expected."""
    line = played.line(main_line(thought))
    action = int(thought.answer.action[0])
    value = None if thought.answer.value is None else float(thought.answer.value[0])
    if thought.q is not None:
        value = float(thought.q[action])
    parts = [f"info depth {max(len(line), 1)}"]
    if _mates(played, action):
        parts.append("score mate 1")
    elif value is not None:
        parts.append(f"score cp {centipawns(value)}")
    parts.append(f"nodes {done} nps {int(done / max(seconds, 0.001))} time {int(1000 * seconds)}")
    return " ".join([*parts, "pv", *line])


def centipawns(value: float) -> int:
    """A value of -1 to 1 on the scale of Elo's differences: 100 for a score of 64 %."""
    value = min(max(value, -SURE), SURE)
    return round(400 * math.log10((1 + value) / (1 - value)))


def _mates(played: Playthrough, action: int) -> bool:
    after = jitted(played.game.step)(played.state, np.int32(action), played.key)
    return bool(after.terminal) and float(after.reward) > 0


def _plain(text: str) -> str:
    """Text as one line of a bearable length."""
    return " ".join(text.split())[:200]


def serve(server: UciServer, lines: Iterable[str]) -> None:
    """Answers lines until `quit` or their end; a search that goes on then is stopped and its move told."""
    for line in lines:
        if not server.handle(line):
            break
    server.finish()
