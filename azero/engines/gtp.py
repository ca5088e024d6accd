"""Programs that speak the Go Text Protocol, version 2."""

import math
import time
from collections.abc import Callable, Sequence

from azero.engines.dialects import Moves
from azero.engines.process import EngineError, Process

START_LIMIT = 60.0  # seconds in which a program says its first word: it may have a network to load
COMMAND_LIMIT = 30.0  # seconds for anything but a move
GRACE = 10.0  # seconds; GTP has no word for "move now", so it is generous
COLOURS = ("black", "white")  # of players 0 and 1


class GtpEngine:
    """A program, and the game that stands on its board."""

    def __init__(
        self,
        words: Sequence[str],
        setup: Sequence[str],
        seconds: float,
        begun: Callable[["GtpEngine"], None] = lambda engine: None,
    ):
        """Starts it.

        Args:
          words: of its command line.
          setup: commands that say which game is played.
          seconds: that it is given for a move, where it can be told.
          begun: told of this engine as soon as it can be killed; its first words may be long in coming.

        Raises:
          EngineError: it cannot be started, does not speak GTP or refuses the game.
        """
        self.limit = 3 * seconds + GRACE
        self.told: Moves = []  # the moves on its board; None is one that it makes by itself
        self.process = Process(words)
        begun(self)
        try:
            known = self._first_words().split()
            for command in (*setup, "clear_board"):
                self.command(command)
            if "time_settings" in known:
                self.command(f"time_settings 0 {max(1, math.ceil(seconds))} 1")
        except BaseException:
            self.kill()
            self.end()
            raise

    def move(self, moves: Moves) -> str:
        """Its move after these moves from the start, in lower case, or "resign".

        Raises:
          EngineError: it ended, said nothing in time, or refused.
        """
        if self.told != moves[: len(self.told)]:
            self.command("clear_board")
            self.told = []
        for number in range(len(self.told), len(moves)):
            text = moves[number]
            if text is not None:
                self.command(f"play {COLOURS[number % 2]} {text}")
            self.told.append(text)
        found = self.command(f"genmove {COLOURS[len(moves) % 2]}", self.limit).lower()
        self.told.append(found)
        return found

    def command(self, text: str, limit: float = COMMAND_LIMIT) -> str:
        """The answer to a command; EngineError where there is none or it is an error."""
        self.process.write(text)
        deadline = time.monotonic() + limit
        lines: list[str] = []
        try:
            while not lines or lines[-1]:
                line = self.process.line(deadline).strip()
                if lines or line:
                    lines.append(line)
                if lines and lines[0][0] not in "=?":
                    raise EngineError(f"does not speak GTP: its answer to {text} is {lines[0][:80]!r}")
        except TimeoutError:
            what = "move" if text.startswith("genmove") else f"answer to {text}"
            raise EngineError(f"no {what} within {limit:g} s") from None
        answer = "\n".join([lines[0].lstrip("=?0123456789").strip(), *lines[1:-1]]).strip()
        if lines[0].startswith("?"):
            raise EngineError(f"refused {text}: {answer.partition(chr(10))[0] or 'no reason given'}")
        return answer

    def end(self) -> None:
        """Asks it to leave; it is gone afterwards."""
        self.process.end()

    def kill(self) -> None:
        """Kills it, from any thread; `end` has still to follow."""
        self.process.kill()

    def _first_words(self) -> str:
        """The commands that it knows."""
        try:
            return self.command("list_commands", START_LIMIT)
        except EngineError as error:
            known = str(error).startswith(("does not", "cannot"))
            raise error if known else EngineError(f"does not speak GTP: {error}") from None
