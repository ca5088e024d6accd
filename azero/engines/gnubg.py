"""GNU Backgammon as a player: its terminal is told the dice, its Python is asked for the best turn.

It plays for points, without the cube, and answers the same each time.
"""

import dataclasses
import time

import jax
import numpy as np

from azero.answers import GIVEN_UP, Answer, Playing
from azero.engines.playing import answer_of
from azero.engines.process import EngineError, Process
from azero.engines.program import program_path
from games.backgammon import BAR, FACES, PASS, POINTS, turn_begins
from games.core import Game, State

WORDS = ("-t", "-q", "-r")  # in the terminal, without sounds, without the user's settings
SETUP = ("set player 0 human", "set player 1 human", "set display off", "set automatic roll off", "new session")
SECONDS = 60.0  # in which a turn is found, the first one after a start among them
MARK = "azero"  # what our lines begin with
CUBELESS = "gnubg.cubeinfo(1, -1, 1, 0, (0, 0), 0, 0)"
MOST_PLIES = 4

Pairs = list[tuple[int, int]]  # from a point to a point, 25 is the bar and 0 is off the board


class Gnubg:
    """A running program."""

    def __init__(self, path: str, plies: int):
        """Args: plies: rolls that it looks ahead, 0 for none. EngineError where it cannot be started."""
        self.thorough = f"gnubg.evalcontext(0, {plies}, 1, 1, 0.0)"  # cubeless, deterministic, pruned
        self.process = Process([path, *WORDS])
        for line in SETUP:
            self.process.write(line)

    def turn(self, points: np.ndarray, bar: np.ndarray, left: np.ndarray) -> Pairs:
        """The best turn.

        Args:
          points, bar, left: as in `games.backgammon.Table`; none of the dice has been played.

        Raises:
          EngineError: it ended, said nothing in time, or something else.
        """
        mine = [*np.maximum(points, 0).tolist(), int(bar[0])]
        other = [*np.maximum(-points[::-1], 0).tolist(), int(bar[1])]
        faces = np.flatnonzero(left)
        self.process.write(f"set dice {faces[-1] + 1} {faces[0] + 1}")
        best = f"gnubg.findbestmove(({tuple(other)}, {tuple(mine)}), {CUBELESS}, {self.thorough})"
        self.process.write(f'>print("{MARK}", *{best})')
        deadline = time.monotonic() + SECONDS
        try:
            while not (line := self.process.line(deadline)).startswith(MARK):
                if "Error" in line:
                    raise EngineError(f"said {line.strip()!r}")
        except TimeoutError:
            raise EngineError(f"no move within {SECONDS:g} s") from None
        numbers = [int(word) for word in line.split()[1:]]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def end(self) -> None:
        """Asks it to leave; it is gone afterwards."""
        self.process.end()


@jax.tree_util.register_static  # without leaves, for those who reckon what a memory takes on a device
@dataclasses.dataclass(eq=False)
class Plan:
    """What is left of the turn that was found for one game."""

    pairs: Pairs = dataclasses.field(default_factory=list)


def gnubg_playing(text: str, plies: int, game: Game) -> Playing:
    """GNU Backgammon as a way to play; a process is started now, to see that it works.

    Raises:
      ValueError: it is not there, does not start, or the game is another; one line.
    """
    if game.name != "backgammon":
        raise ValueError(f"{text} plays backgammon, not {game.name}")
    if not 0 <= plies <= MOST_PLIES:
        raise ValueError(f"{text}: plies must be 0 to {MOST_PLIES}, not {plies}")
    path = program_path(text, "gnubg")
    try:
        running = [Gnubg(path, plies)]  # none after it has failed
    except EngineError as error:
        raise ValueError(f"{text}: {error}") from None

    def found(states: State, number: int, plan: Plan) -> tuple[int, str]:
        """Its move in one of the games and "", or GIVEN_UP and why."""
        table, legal = jax.tree.map(lambda leaf: leaf[number], (states.board, states.legal))
        if legal[PASS]:
            return PASS, ""
        try:
            if turn_begins(table.left):
                if not running:
                    running.append(Gnubg(path, plies))
                plan.pairs = running[0].turn(table.points, table.bar, table.left)
            return _next_move(plan, legal), ""
        except EngineError as error:
            while running:
                running.pop().end()
            return GIVEN_UP, str(error)

    def answer(plans: list[Plan], states: State, key: jax.Array, games: np.ndarray) -> tuple[Answer, list[Plan]]:
        del key
        host = jax.device_get(states)
        asked = [int(number) for number in games if number < len(plans)]
        unplanned = [number for number in asked if not plans[number].pairs]
        if not all(turn_begins(host.board.left[number]) for number in unplanned):
            raise ValueError(f"{text} plays whole turns, so a game must not begin within one")
        replies = {number: found(host, number, plans[number]) for number in asked}
        return answer_of(replies, games, game.num_actions), plans

    return Playing(lambda states: [Plan() for _ in states.terminal], answer, lambda plans, actions: plans)


def _next_move(plan: Plan, legal: np.ndarray) -> int:
    """The first move of the plan that is legal now; it is taken out."""
    moves = np.append(legal[:PASS], False)
    for number, (start, end) in enumerate(plan.pairs):
        source = BAR if start == POINTS + 1 else start - 1
        faces = range(start - end - 1, FACES) if end == 0 else [start - end - 1]
        for face in faces:
            if moves[source * FACES + face]:
                del plan.pairs[number]
                return source * FACES + face
    turn = " ".join(f"{start}/{end}" for start, end in plan.pairs)
    raise EngineError(f"played {turn or 'fewer moves than it must'}, which is not legal")
