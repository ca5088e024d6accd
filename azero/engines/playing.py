"""An engine as a way to play games side by side."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np

from azero.answers import GIVEN_UP, NO_MOVE, Answer, Playing
from azero.engines.dialects import DIALECTS, Dialect, Moves, find_dialect
from azero.engines.pool import Pool, Question
from azero.engines.process import EngineError
from azero.engines.program import Program
from azero.engines.start import starter
from games.core import Game, State
from games.notation import jitted

GAMES_A_PROCESS = 4  # side by side: the fewer, the sooner one ends and is kept


@jax.tree_util.register_static  # without leaves, for those who reckon what a memory takes on a device
@dataclasses.dataclass(eq=False)
class Line:
    """One game as it goes on."""

    state: State | None = None  # after the moves that are written; None before the first was needed
    written: Moves = dataclasses.field(default_factory=list)
    pending: list[int] = dataclasses.field(default_factory=list)  # actions made since


def engine_playing(program: Program, game: Game) -> Playing:
    """An engine as a way to play; one process is started now, to see that it works.

    Raises:
      ValueError: no engine plays this game by that protocol, it does not start, does not speak the protocol or does
        not have an option; one line.
    """
    dialect = find_dialect(program.kind, game)
    if dialect is None:
        games = ", ".join(DIALECTS[program.kind])
        raise ValueError(f"{program.text}: {program.kind.upper()} engines play {games}, not {game.name}")
    try:
        pool = Pool(starter(program, dialect), dialect)
    except EngineError as error:
        raise ValueError(f"{program.text}: {error}") from None

    def begin(states: State) -> list[Line]:
        return [Line() for _ in range(states.terminal.shape[0])]

    def answer(lines: list[Line], states: State, key: jax.Array, games: np.ndarray) -> tuple[Answer, list[Line]]:
        del key
        legal = np.asarray(states.legal)
        asked = [int(number) for number in games if number < len(lines)]
        questions = [_question(game, dialect, lines[number]) for number in asked]
        if any(
            (question.state.legal != legal[number]).any() for number, question in zip(asked, questions, strict=True)
        ):
            raise ValueError(f"{program.text} plays games from their start, not from a position")
        replies = dict(zip(asked, pool.ask(questions), strict=True))
        return answer_of(replies, games, game.num_actions), lines

    def moved(lines: list[Line], actions: np.ndarray) -> list[Line]:
        for line, action in zip(lines, np.asarray(actions).tolist(), strict=True):
            if action != NO_MOVE:
                line.pending.append(action)
        return lines

    return Playing(begin, answer, moved, at_once=GAMES_A_PROCESS * pool.size)


def answer_of(replies: Mapping[int, tuple[int, str]], games: np.ndarray, num_actions: int) -> Answer:
    """The answer about these games from what was replied about each: a move and "", or GIVEN_UP and why."""
    # A number beyond the games only fills the batch up: any action does.
    found = [replies.get(int(number), (0, "")) for number in games]
    action = np.array([action for action, _ in found], np.int32)
    policy = np.where(action[:, None] == GIVEN_UP, 0.0, np.eye(num_actions)[action]).astype(np.float32)
    return Answer(action, policy, None, None, [reason for _, reason in found])


def _question(game: Game, dialect: Dialect, line: Line) -> Question:
    """What an engine is asked about a game; the moves made since the last question are written down first."""
    key = jax.random.key(0)  # these games have no chance
    if line.state is None:
        line.state = jax.device_get(jitted(game.init)(key))
    for action in line.pending:
        line.written.append(dialect.write(line.state, action))
        line.state = jax.device_get(jitted(game.step)(line.state, np.int32(action), key))
    line.pending = []
    return Question(line.state, list(line.written))
