"""The folder of a match: its settings, every game as soon as it ends, and the games as their players keep records.

match.json    what is played; another match is refused
games.jsonl   one game a line, written when it ends: a match that was stopped goes on from them
games.sgf     (or .pgn, .txt) all of them, as azero.records writes them
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from azero.checkpoint import lock
from azero.manifest import CheckpointError, claim
from azero.match import Played
from azero.records import Written, record_format, write_records
from azero.thinking import Playthrough
from games.core import Game

PLAN, GAMES = "match.json", "games.jsonl"
GROWING = ("games",)  # a match may be made longer


class Scorebook:
    """A match's folder, open for writing."""

    def __init__(self, folder: Path, game: Game, players: tuple[str, str], settings: Mapping[str, Any]):
        """Opens the folder, and makes it where it is not there.

        Raises:
          ValueError: one line: it holds another match, or games that cannot be read.
        """
        self.folder, self.game, self.players = folder, game, players
        plan = {"game": game.name, "players": list(players)} | dict(settings)
        claim(folder / PLAN, plan, "match", GROWING)
        self.played = _read(folder / GAMES)

    def add(self, played: Played) -> None:
        """Writes a game down."""
        line = json.dumps(played._asdict()) + "\n"
        try:
            with (self.folder / GAMES).open("a") as file:
                file.write(line)
        except OSError as error:
            raise CheckpointError(f"cannot write {self.folder / GAMES}: {error.strerror}") from None
        self.played.append(played)

    @property
    def record(self) -> Path:
        """The file of the games in their usual record."""
        return self.folder / f"games{record_format(self.game)}"

    def close(self) -> None:
        """Writes the games in their usual record."""
        played = sorted(self.played, key=lambda one: (one.pair, one.seat))
        written = []
        for one in played:
            names = self.players if one.seat == 0 else self.players[::-1]
            said = f"opening {one.pair + 1}, {one.opening} moves of it"
            if one.given_up:
                said += f"; {self.players[int(one.points)]} loses: {one.given_up}"
            result = (2 * one.points - 1) * (1 if one.seat == 0 else -1)
            written.append(Written(names, one.texts or _moves(self.game, one.moves), result, said))
        write_records(self.game, self.record, written)


@contextlib.contextmanager
def scorebook(folder: Path, game: Game, players: tuple[str, str], settings: Mapping[str, Any]) -> Iterator[Scorebook]:
    """A match's folder for as long as it is played: no other process has it, and at the end the record is written.

    Raises:
      ValueError: as `Scorebook`.
      CheckpointError: another process plays there.
    """
    with lock(folder):
        book = Scorebook(folder, game, players, settings)
        try:
            yield book
        finally:
            book.close()


def _moves(game: Game, actions: Sequence[int]) -> list[str]:
    """The moves of a game from its start, in its notation."""
    played = Playthrough(game)
    for action in actions:
        played.move(action)
    return played.moves()


def _read(path: Path) -> list[Played]:
    """The games of a file; a last line that was not finished is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        os.truncate(path, len(whole))
    played = []
    for number, line in enumerate(whole.decode().splitlines(), start=1):
        try:
            one = Played(**json.loads(line))
            moves = tuple(int(move) for move in one.moves)
            played.append(one._replace(moves=moves, points=float(one.points), texts=tuple(one.texts)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: line {number} is not a game of a match: {error}") from None
    return played
