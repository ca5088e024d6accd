"""Thinking on a clock: how long a move may take, and a deliberation that keeps to it."""

import time
from collections.abc import Callable
from typing import NamedTuple

from azero.thinking import Deliberation, Thought
from games.core import Game

MARGIN = 0.05  # seconds of every move for the way to the other program and back
MOST = 0.3  # share of the time left that one move may take
LONGEST = 120  # plies after which a game is taken to be as good as over
FEWEST, MANY = 10, 40  # moves that are reckoned with
WAIT = 0.005  # seconds between two looks at whether to stop


class Limits(NamedTuple):
    """When a deliberation ends; where nothing is said, after the player's own number of simulations."""

    seconds: float | None = None  # from its start
    nodes: int | None = None  # simulations in this deliberation
    depth: int | None = None  # moves of the main line
    endless: bool = False  # not before it is stopped


class Allowance(NamedTuple):
    """Time settings of GTP: main time, then periods of byo-yomi in each of which some moves must be made."""

    main: float
    byoyomi: float
    stones: int

    @property
    def unlimited(self) -> bool:
        """GTP's way to say so: a period in which no move has to be made."""
        return self.byoyomi > 0 and self.stones == 0


class Clock:
    """One side's clock. It runs by itself; what the controller says of the time left goes before."""

    def __init__(self, allowance: Allowance):
        self.allowance = allowance
        self.left, self.stones = allowance.main, 0
        self._enter_byoyomi()

    def say(self, left: float, stones: int) -> None:
        """The time left is `left` seconds, for `stones` moves, or for all that follow where that is 0."""
        self.left, self.stones = left, stones

    def spend(self, seconds: float) -> None:
        """A move has been made in `seconds`."""
        self.left -= seconds
        if self.stones:
            self.stones -= 1
            if self.stones == 0:
                self.left, self.stones = self.allowance.byoyomi, self.allowance.stones
        self._enter_byoyomi()

    def seconds(self, game: Game, plies: int) -> float | None:
        """How long the next move may take; None where time is not limited."""
        if self.allowance.unlimited:
            return None
        if self.stones:
            return max(0.0, self.left / self.stones - MARGIN)
        if self.allowance.byoyomi > 0:  # what a period gives can be spent on each of its moves, as an increment
            period = self.allowance.byoyomi / self.allowance.stones
            return max(0.0, self.left / moves_expected(game, plies) + period - MARGIN)
        return share(self.left, 0.0, moves_expected(game, plies))

    def _enter_byoyomi(self) -> None:
        if not self.stones and self.left <= 0 and self.allowance.stones:
            self.left, self.stones = self.allowance.byoyomi, self.allowance.stones


def moves_expected(game: Game, plies: int) -> float:
    """How many moves a side is taken to have still to make after so many plies."""
    return min(max((min(game.max_plies, LONGEST) - plies) / 2, FEWEST), MANY)


def share(left: float, increment: float, moves: float) -> float:
    """Seconds for the next of so many moves, with an increment after each."""
    return max(0.0, min(left / max(moves, 1) + 0.8 * increment, MOST * left if moves > 1 else left) - MARGIN)


def deliberate(
    deliberation: Deliberation,
    limits: Limits,
    stop: Callable[[], bool],
    report: Callable[[Thought, int, float], None],
    began: float | None = None,
) -> Thought:
    """Thinks about the position until a limit is reached or `stop` says so; a slow slice is then not waited for.

    Args:
      report: told after each slice of the thought, its simulations so far and the seconds.
      began: when time began to run, of time.monotonic; now if not given.
    """
    began = time.monotonic() if began is None else began
    slices = deliberation.slices
    searching = deliberation.player.searching
    own = searching.config.simulations if searching else 1
    nodes = limits.nodes
    if nodes is None and limits.seconds is None and not limits.endless:
        nodes = own
    if not limits.endless:
        no_time = limits.seconds is not None and limits.seconds < 2 * deliberation.pace
        if no_time or (nodes is not None and nodes <= 1 < own):
            return deliberation.at_once()

    def leave() -> bool:
        late = limits.seconds is not None and not limits.endless and time.monotonic() - began > limits.seconds
        return late or stop()

    for number, thought in enumerate(deliberation.thoughts(leave), start=1):
        done = number * slices.size if slices else 1
        seconds = time.monotonic() - began
        report(thought, done, seconds)
        if stop():
            return thought
        if limits.endless:
            continue
        if int(deliberation.played.state.legal.sum()) == 1 or (nodes is not None and done >= nodes):
            return thought
        if limits.depth is not None and len(main_line(thought)) >= limits.depth:
            return thought
        if limits.seconds is not None and seconds + 1.5 * deliberation.pace > limits.seconds:
            return thought
    while limits.endless and not stop():
        time.sleep(WAIT)
    return thought


def main_line(thought: Thought) -> list[int]:
    """The moves expected, from the one chosen on."""
    action = int(thought.answer.action[0])
    return (thought.lines or {}).get(action, [action])
