"""azero's side of the Go Text Protocol, version 2, for every board game.

Black is the player who moves first. A board may ask for a move or send one out of turn where the other side can
pass; that pass is then made for it. So an Othello board need not send passes, as none does.
"""

import functools
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import azero
from azero.answers import GIVEN_UP
from azero.engines.clock import Allowance, Clock, Limits, deliberate
from azero.engines.gtp_texts import (
    GO,
    PASSES,
    BadText,
    chosen,
    colour,
    info,
    legal_vertex,
    own_pass,
    result,
    seconds_of,
    vertex_text,
    words_of,
)
from azero.players import Player
from azero.thinking import Deliberation, Playthrough, Thought
from games.core import Game
from games.notation import KOMI

INTERVAL = 0.5  # seconds between two lines of an analysis


class GtpServer:
    """A player behind the protocol. Every line with a command is answered once; only `quit` ends it."""

    def __init__(self, player: Player, game: Game, write: Callable[[str], None], seed: int = 0):
        """Args: write: sends text to the other program at once."""
        self.player, self.game, self.write, self.seed = player, game, write, seed
        self.deliberation = Deliberation(player, game, seed)
        self.ready = ThreadPoolExecutor(1).submit(self.deliberation.prepare)  # compiling is on nobody's clock
        self.allowance: Allowance | None = None
        self.own_komi = self.said_komi = KOMI if game.name in GO else 0.0
        self.commands: dict[str, Callable[[list[str]], str | None]] = {
            "protocol_version": lambda words: "2",
            "name": lambda words: "azero",
            "version": lambda words: azero.__version__,
            "known_command": lambda words: "true" if words and words[0] in self.commands else "false",
            "list_commands": lambda words: "\n".join(sorted(self.commands)),
            "quit": lambda words: "",
            "boardsize": self.boardsize,
            "clear_board": self.clear_board,
            "komi": self.komi,
            "play": self.play,
            "genmove": self.genmove,
            "reg_genmove": self.reg_genmove,
            "undo": self.undo,
            "time_settings": self.time_settings,
            "time_left": self.time_left,
            "final_score": lambda words: result(self.played, self.said_komi),
            "showboard": lambda words: "\n" + self.game.notation.board(self.played.state),
        }
        for dialect in ("lz", "kata"):
            self.commands[f"{dialect}-analyze"] = functools.partial(self.analyze, dialect=dialect)
            self.commands[f"{dialect}-genmove_analyze"] = functools.partial(self.genmove, dialect=dialect)
        self._begin()

    def _begin(self) -> None:
        self.played = Playthrough(self.game, self.seed)
        self.made: list[int] = []  # plies of each move that the board knows of, with a pass before it
        self.following = False
        self.clocks = [Clock(self.allowance) for _ in range(2)] if self.allowance else None

    def handle(self, line: str, waiting: Callable[[], bool], leaving: Callable[[], bool]) -> bool:
        """Answers one line.

        Args:
          waiting: whether another line has come, which ends an analysis.
          leaving: whether `quit` or the end of the lines is among those, which shortens the thinking on a clock.

        Returns:
          Whether there is more to do: False after `quit`.
        """
        self.waiting, self.leaving = waiting, leaving
        self.number, words = words_of(line)
        if not words:
            return True
        name, *rest = words
        self.begun = False  # whether the answer has been begun, so that it can only be ended
        try:
            if name not in self.commands:
                raise BadText("unknown command")
            said = self.commands[name](rest)
            if said is not None:
                self.write(f"={self.number} {said}".rstrip() + "\n\n")
        except Exception as error:  # a bad line, or a player that fails, is told and lived through
            lines = str(error).strip().splitlines()
            said = f"?{self.number} {lines[0] if lines else type(error).__name__}\n\n"
            self.write("\n" if self.begun else said)
        return name != "quit"

    def boardsize(self, words: list[str]) -> str:
        """Accepts the size of the game's board, one side of it or both."""
        height, width, _ = self.game.observation_shape
        if words not in ([str(height)], [str(width)], [str(width), str(height)]):
            raise BadText("unacceptable size")
        return self.clear_board([])

    def clear_board(self, words: list[str]) -> str:
        """A new game."""
        self.ready.result()
        self._begin()
        return ""

    def komi(self, words: list[str]) -> str:
        """Takes any komi for the score of Go; the player knows that of its rules alone."""
        try:
            komi = float(words[0])
        except (IndexError, ValueError):
            komi = math.nan
        if not math.isfinite(komi):
            raise BadText("komi not a float")
        if self.said_komi == self.own_komi != komi and self.game.name in GO:
            print(f"komi {komi:g} counts in final_score; the player plays as with {self.own_komi:g}", file=sys.stderr)
        self.said_komi = komi
        return ""

    def play(self, words: list[str]) -> str:
        """Makes a move of either side."""
        if len(words) != 2:
            raise BadText("invalid color or coordinate")
        before = len(self.played.actions)
        self._turn(colour(words[0]))
        if self.played.over and self.game.name in PASSES and words[1].lower() == "pass":
            self._pass_after_the_end(before)
            return ""
        try:
            if self.played.over:
                raise BadText("illegal move")
            action = legal_vertex(self.played, words[1])
        except BadText:
            self.played.take_back(len(self.played.actions) - before)
            raise
        self._make(action, before)
        return ""

    def genmove(self, words: list[str], dialect: str | None = None) -> str | None:
        """Thinks on the clock, makes the move and says it; with a dialect it also tells what it thinks meanwhile."""
        began = time.monotonic()
        seat = colour(words[0] if words else "")
        before = len(self.played.actions)
        self._turn(seat)
        if self.played.over and self.game.name not in PASSES:
            raise BadText("the game is over")
        if dialect:
            self._begin_answer()
        if self.played.over:
            said = self._pass_after_the_end(before)
        else:
            limits = Limits(self.clocks[seat].seconds(self.game, before) if self.clocks else None)
            said = self._make(chosen(self.played, self._think(limits, lambda: False, dialect, began)), before)
        if self.clocks:
            self.clocks[seat].spend(time.monotonic() - began)
        if dialect is None:
            return said
        self.write(f"play {said}\n\n")
        return None

    def reg_genmove(self, words: list[str]) -> str:
        """The move that genmove would make without a clock, not made."""
        before = len(self.played.actions)
        self._turn(colour(words[0] if words else ""))
        try:
            if self.played.over and self.game.name in PASSES:
                return "pass"
            if self.played.over:
                raise BadText("the game is over")
            action = chosen(self.played, self._think(Limits(), lambda: False))
            return "resign" if action == GIVEN_UP else vertex_text(self.played, action)
        finally:
            self.played.take_back(len(self.played.actions) - before)

    def analyze(self, words: list[str], dialect: str) -> None:
        """Tells what it thinks of the position until another line comes."""
        before = len(self.played.actions)
        if words and words[0].lower() in ("b", "black", "w", "white"):
            self._turn(colour(words.pop(0)))
        try:
            if self.played.over:
                raise BadText("the game is over")
            self._begin_answer()
            self._think(Limits(endless=True), self.waiting, dialect, interval=seconds_of(words, INTERVAL))
            self.write("\n")
        finally:
            self.played.take_back(len(self.played.actions) - before)

    def undo(self, words: list[str]) -> str:
        """Takes back the last move, with a pass that was made for the other side."""
        if not self.made:
            raise BadText("cannot undo")
        self.played.take_back(self.made.pop())
        return ""

    def time_settings(self, words: list[str]) -> str:
        """Main time, seconds of a period of byo-yomi, and the moves to make in each."""
        try:
            main, byoyomi, stones = (int(word) for word in words)
        except ValueError:
            raise BadText("not three integers") from None
        if min(main, byoyomi, stones) < 0:
            raise BadText("not three integers")
        self.allowance = Allowance(main, byoyomi, stones)
        self.clocks = [Clock(self.allowance) for _ in range(2)]
        return ""

    def time_left(self, words: list[str]) -> str:
        """The controller's word on a clock."""
        try:
            name, left, stones = words
            said = float(int(left)), int(stones)
        except ValueError:
            raise BadText("invalid color or time") from None
        seat = colour(name)
        if self.clocks is None:
            self.allowance = Allowance(said[0], 0, 0)
            self.clocks = [Clock(self.allowance) for _ in range(2)]
        self.clocks[seat].say(*said)
        return ""

    def _begin_answer(self) -> None:
        self.write(f"={self.number}\n")
        self.begun = True

    def _turn(self, seat: int) -> None:
        """Brings it about that this side is to move, by a pass of the other one where there is none else."""
        self.ready.result()
        if self.played.over or self.played.to_play == seat:
            return
        action = own_pass(self.played)
        if action is None:
            raise BadText("wrong color to play")
        self.played.move(action)

    def _make(self, action: int, before: int) -> str:
        """Makes a move, after a pass where there are more than `before`; its text."""
        if action == GIVEN_UP:
            return "resign"
        said = vertex_text(self.played, action)
        self.played.move(action)
        self.made.append(len(self.played.actions) - before)
        return said

    def _pass_after_the_end(self, before: int) -> str:
        """Where our rules have ended the game and the board plays on, passes change nothing."""
        self.played.take_back(len(self.played.actions) - before)
        self.made.append(0)
        return "pass"

    def _think(
        self,
        limits: Limits,
        stop: Callable[[], bool],
        dialect: str | None = None,
        began: float | None = None,
        interval: float = INTERVAL,
    ) -> Thought:
        self.ready.result()  # until then the memory of the game is another thread's
        if self.deliberation.played is not self.played:
            self.deliberation.follow(self.played)
        searching = self.player.searching
        own = searching.config.simulations if searching else 0
        enough, told = False, 0.0

        def report(thought: Thought, done: int, seconds: float) -> None:
            nonlocal enough, told
            enough = done >= own
            if dialect and seconds - told >= interval * (told > 0):
                self.write(info(self.played, thought, dialect) + "\n")
                told = max(seconds, 1e-9)

        return deliberate(self.deliberation, limits, lambda: stop() or (enough and self.leaving()), report, began)


def serve(server: GtpServer, lines: Iterable[str]) -> None:
    """Answers lines in their order until `quit` or their end. They are read ahead, in another thread."""
    ahead: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    ending = threading.Event()

    def read() -> None:
        with suppress(ValueError):  # the file was closed by who gave it
            for line in lines:
                if words_of(line)[1][:1] == ["quit"]:
                    ending.set()
                ahead.put(line)
        ending.set()
        ahead.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (line := ahead.get()) is not None:
        if not server.handle(line, lambda: not ahead.empty(), ending.is_set):
            return
