"""What people prefer: a position and two of its moves to ask about, and the file that their answers go to."""

import fcntl
import json
import os
import threading
from pathlib import Path

import numpy as np

from azero.distill.comparisons import FIELDS
from azero.web.boards import legal_moves
from azero.web.lines import Line, Lines, Refused
from games.core import Game

LONGEST_OPENING = 16  # random moves before a position that is asked about; fewer in short games
LARGEST_FILE = 64 * 2**20  # bytes
TRIES = 50


def random_line(lines: Lines, game: Game, chance: np.random.Generator) -> Line:
    """A position after some random moves, in which there are two moves or more."""
    longest = min(LONGEST_OPENING, game.max_plies // 2)
    for _ in range(TRIES):
        line = lines.play(game, [])
        for _ in range(int(chance.integers(0, longest + 1))):
            texts = list(legal_moves(game, line.state).values())
            after = lines.play(game, [*line.moves, texts[int(chance.integers(len(texts)))]])
            if bool(after.state.terminal):
                break
            line = after
        if len(legal_moves(game, line.state)) > 1:
            return line
    raise Refused(f"no position of {game.name} was found in which there is a choice")


def two_moves(line: Line, policy: np.ndarray, chance: np.random.Generator) -> tuple[str, str]:
    """Two different legal moves, drawn without replacement: half by the policy, float [A], half evenly."""
    texts = legal_moves(line.game, line.state)
    legal = np.array(list(texts))
    weights = policy[legal].astype(np.float64)
    weights = 0.5 * weights / max(weights.sum(), 1e-9) + 0.5 / len(legal)
    first, second = chance.choice(legal, 2, replace=False, p=weights / weights.sum())
    return texts[int(first)], texts[int(second)]


class Preferences:
    """A file of comparisons, one game each: what is of another game goes to a file beside it."""

    def __init__(self, file: Path):
        self.file = file
        self._lock = threading.Lock()

    def place(self, game: Game) -> Path:
        """The file for this game: the one that was named if it is empty or of the game, else one with its name.

        Raises:
          Refused: the file is there and is no file of comparisons.
        """
        for place in (self.file, self.file.with_name(f"{self.file.stem}.{game.name}{self.file.suffix}")):
            if self._game_of(place) in (None, game.name):
                return place
        raise Refused(f"{self.file.name} and {place.name} hold comparisons of other games")

    def add(self, line: Line, move_a: str, move_b: str, preferred: str, source: str) -> Path:
        """Appends one comparison, and gives the file back.

        Args:
          line: the position, not over.
          preferred: "a" or "b".
          source: who says so.

        Raises:
          Refused: a move is illegal there, both are the same, or the file cannot take it.
        """
        if bool(line.state.terminal):
            raise Refused("the game is over there, so there is nothing to compare")
        legal = set(legal_moves(line.game, line.state).values())
        for move in (move_a, move_b):
            if move not in legal:
                raise Refused(f"{move!r} is not a legal move there")
        if move_a == move_b:
            raise Refused(f"move_a and move_b are both {move_a!r}")
        position = line.game.notation.separator.join(line.moves)
        values = (line.game.name, position, move_a, move_b, preferred, source)
        row = json.dumps(dict(zip(FIELDS, values, strict=True)))
        with self._lock:
            place = self.place(line.game)
            try:
                _append(place, row)
            except OSError as error:
                raise Refused(f"{place.name} cannot be written: {error.strerror}") from None
        return place

    def _game_of(self, place: Path) -> str | None:
        """The game of a file's first line; None if there is none yet."""
        try:
            with place.open(encoding="utf-8") as file:
                first = next((line for line in file if line.strip()), None)
            return None if first is None else str(json.loads(first)["game"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise Refused(f"{place.name} is not a file of comparisons; start azero serve with another") from None


def _append(place: Path, row: str) -> None:
    """Adds a line in one write, on a line of its own, also where other processes do."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size > LARGEST_FILE:
            raise Refused(f"{place.name} is full ({LARGEST_FILE >> 20} MiB); start azero serve with another")
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        content = (f"{row}\n" if whole else f"\n{row}\n").encode()
        if os.write(descriptor, content) < len(content):
            os.ftruncate(descriptor, size)
            raise Refused(f"{place.name} cannot be written: there is no room for a whole line")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
