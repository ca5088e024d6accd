"""Programs that speak the Universal Chess Interface, as UCI for chess and with UCI_Variant for its relatives."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from azero.engines.dialects import Moves
from azero.engines.process import EngineError, Process

START_LIMIT = 20.0  # seconds in which a program says that it speaks UCI
COMMAND_LIMIT = 60.0  # seconds for anything but a move: it may have a network to load
GRACE = 5.0  # seconds beyond the time of a move
KEYWORDS = ("name", "type", "default", "min", "max", "var")


class Limits(NamedTuple):
    """What a move may cost; whichever is reached first ends the search."""

    seconds: float = 1.0
    nodes: int | None = None
    depth: int | None = None


class Announced(NamedTuple):
    """An option that an engine has."""

    kind: str  # check, spin, combo, string, button
    low: int | None = None  # of a spin
    high: int | None = None
    choices: tuple[str, ...] = ()  # of a combo

    def fault(self, value: str) -> str | None:
        """What the value should have been; None where it is right."""
        whole = re.fullmatch(r"-?\d+", value)
        if self.kind == "spin" and self.low is not None and self.high is not None:
            right = whole and self.low <= int(value) <= self.high
            return None if right else f"a whole number from {self.low} to {self.high}"
        if self.kind == "check" and value not in ("true", "false"):
            return "true or false"
        if self.kind == "combo" and value.lower() not in map(str.lower, self.choices):
            return f"one of {', '.join(self.choices)}"
        return None


class UciEngine:
    """A program, and the game that it was last asked about."""

    def __init__(self, words: Sequence[str], begun: Callable[["UciEngine"], None] = lambda engine: None):
        """Starts it; EngineError where it cannot be started or does not speak UCI.

        Args:
          begun: told of this engine as soon as it can be killed; its first words may be long in coming.
        """
        self.told: Moves = []  # the moves of the game that it was last asked about, its own included
        self.process = Process(words)
        begun(self)
        try:
            self.process.write("uci")
            said = self._until("uciok", START_LIMIT)
        except BaseException as error:
            self.kill()
            self.end()
            if isinstance(error, EngineError):
                raise EngineError(f"does not speak UCI: {error}") from None
            raise
        self.announced = dict(map(read_announced, filter(lambda line: line.startswith("option name "), said)))

    def set(self, options: Mapping[str, str], limits: Limits) -> None:
        """Sets options that it has announced, and the limits of its moves; EngineError where it ends."""
        for name, value in options.items():
            self.process.write(f"setoption name {name} value {value}")
        self._ready()
        self.limits = limits

    def move(self, moves: Moves) -> str:
        """Its move after these moves from the start.

        Raises:
          EngineError: it ended, or said nothing in time.
        """
        if not self.told or self.told != moves[: len(self.told)]:
            self.process.write("ucinewgame")
        self._ready()
        played = " ".join(filter(None, moves))
        self.process.write("position startpos" + (f" moves {played}" if played else ""))
        go = f"go movetime {max(1, round(1000 * self.limits.seconds))}"
        for name in ("nodes", "depth"):
            number = getattr(self.limits, name)
            go += "" if number is None else f" {name} {number}"
        self.process.write(go)
        best = self._until("bestmove", self.limits.seconds + GRACE)[-1].split()
        found = best[1] if len(best) > 1 else "nothing"
        self.told = [*moves, found]
        return found

    def legal_moves(self, moves: Moves) -> list[str]:
        """The moves that it holds legal after these moves, as Stockfish and its kin tell them."""
        played = " ".join(filter(None, moves))
        self.process.write("position startpos" + (f" moves {played}" if played else ""))
        self.process.write("go perft 1")
        said = self._until("Nodes searched", COMMAND_LIMIT)
        return [line.partition(":")[0] for line in said if re.fullmatch(r"\S+: 1", line)]

    def end(self) -> None:
        """Asks it to leave; it is gone afterwards."""
        self.process.end()

    def kill(self) -> None:
        """Kills it, from any thread; `end` has still to follow."""
        self.process.kill()

    def _ready(self) -> None:
        self.process.write("isready")
        self._until("readyok", COMMAND_LIMIT)

    def _until(self, word: str, limit: float) -> list[str]:
        """What it says until a line that begins with this word, which comes last."""
        deadline = time.monotonic() + limit
        lines: list[str] = []
        try:
            while not lines or not lines[-1].startswith(word):
                lines.append(self.process.line(deadline).strip())
        except TimeoutError:
            what = "move" if word == "bestmove" else word
            raise EngineError(f"no {what} within {limit:g} s") from None
        return lines


def read_announced(line: str) -> tuple[str, Announced]:
    """The name of an option and what it is, from "option name Hash type spin default 16 min 1 max 33554432"."""
    fields: dict[str, list[str]] = {word: [] for word in KEYWORDS}
    current: list[str] = []
    for word in line.split()[1:]:
        if word in KEYWORDS and not (word == "name" and fields["name"]):
            current = fields[word]
            if word == "var":
                current.append("\n")
        else:
            current.append(word)
    low, high = (int(fields[end][0]) if fields[end] else None for end in ("min", "max"))
    choices = tuple(choice.strip() for choice in " ".join(fields["var"]).split("\n") if choice.strip())
    return " ".join(fields["name"]), Announced(" ".join(fields["type"]), low, high, choices)
