"""Lines of play: the positions that lists of moves lead to, some of them remembered so that the next move is quick."""

import threading
from collections import OrderedDict
from typing import NamedTuple

import jax
import numpy as np

from games.core import Game, State
from games.notation import jitted, read_move

REMEMBERED = 512  # positions, of all games


class Refused(ValueError):
    """What the page asked for is not right; the message says what would be."""


class Line(NamedTuple):
    """A game up to some move."""

    game: Game
    state: State  # the position now, leaves NumPy
    before: State | None  # the one before
    moves: tuple[str, ...]  # as the game writes them
    points: float  # rewards so far of player 0


class Lines:
    """Plays lists of moves from the start. It may be asked from many threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, tuple[str, ...]], Line] = OrderedDict()
        self._lock = threading.Lock()

    def play(self, game: Game, moves: list[str]) -> Line:
        """The line of these moves.

        Raises:
          Refused: a move cannot be read, is illegal, or comes after the end of the game; its number is named.
        """
        if len(moves) > game.max_plies:
            raise Refused(f"a game of {game.name} has {game.max_plies} moves at most, not {len(moves)}")
        line, done = self._longest_known(game, moves)
        for number, text in enumerate(moves[done:], start=done + 1):
            line = self._keep(_after(line, number, text))
        return line

    def _longest_known(self, game: Game, moves: list[str]) -> tuple[Line, int]:
        with self._lock:
            for count in range(len(moves), 0, -1):
                if line := self._known.get((game.name, tuple(moves[:count]))):
                    self._known.move_to_end((game.name, line.moves))
                    return line, count
        return Line(game, jax.device_get(jitted(game.init)(jax.random.key(0))), None, (), 0.0), 0

    def _keep(self, line: Line) -> Line:
        with self._lock:
            self._known[line.game.name, line.moves] = line
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return line


def _after(line: Line, number: int, text: str) -> Line:
    game, state = line.game, line.state
    try:
        action = read_move(game, state, number, text)
    except ValueError as error:
        raise Refused(str(error)) from None
    after = jax.device_get(jitted(game.step)(state, np.int32(action), jax.random.key(0)))
    points = float(after.reward) * (1 if int(state.to_play) == 0 else -1)
    return Line(game, after, state, (*line.moves, game.notation.move(state, action)), line.points + points)
