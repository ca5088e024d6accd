"""The processes of one engine: each has one game at a time on its board, and all think side by side."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from azero.answers import GIVEN_UP
from azero.engines.dialects import Dialect, Moves
from azero.engines.process import EngineError
from azero.startup import cores
from games.core import State


class Engine(Protocol):
    """A program that plays."""

    told: Moves  # the game that it was last asked about, its answer included

    def move(self, moves: Moves) -> str:
        """Its move after these moves; EngineError where it fails."""

    def end(self) -> None:
        """Asks it to leave; it is gone afterwards."""

    def kill(self) -> None:
        """Kills it, from any thread; `end` has still to follow."""


class Question(NamedTuple):
    """A game in which the engine is to move."""

    state: State
    moves: Moves  # that led there from the start


class Pool:
    """As many processes as there are cores, started as they are needed. Any number of threads may ask."""

    def __init__(self, start: Callable[[Callable[[Engine], None]], Engine], dialect: Dialect):
        """Starts the first process; EngineError or ValueError where it does not work.

        Args:
          start: tells of the engine as soon as it can be killed, and returns it when it is ready.
        """
        self.start, self.dialect = start, dialect
        self.size = cores()
        first = start(lambda engine: None)
        self.free: list[Engine | None] = [first, *[None] * (self.size - 1)]  # None: a place without a process
        self.busy: dict[int, Engine] = {}  # by the thread that waits for it
        self.freed = threading.Condition()

    def ask(self, questions: Sequence[Question]) -> list[tuple[int, str]]:
        """The engine's action in each game and "", or GIVEN_UP and why."""
        if not questions:
            return []
        with ThreadPoolExecutor(min(len(questions), self.size)) as threads:
            replies = [threads.submit(self._ask, question) for question in questions]
            try:
                return [reply.result() for reply in replies]
            except BaseException:  # Ctrl-C: nobody waits for the moves any more
                threads.shutdown(wait=False, cancel_futures=True)
                for engine in list(self.busy.values()):
                    engine.kill()
                raise

    def _ask(self, question: Question) -> tuple[int, str]:
        forced = self.dialect.forced(question.state)
        if forced is not None:
            return forced, ""
        engine = self._take(question.moves)
        try:
            engine = engine or self.start(self._waits_for)
            self._waits_for(engine)
            text = engine.move(question.moves)
            action = self.dialect.read(question.state, text)
            if action is None:
                raise EngineError("resigned" if text == "resign" else f"played {text}, which is not legal")
        except EngineError as error:
            if engine:
                engine.kill()
                engine.end()
                engine = None
            return GIVEN_UP, str(error)
        finally:
            self.busy.pop(threading.get_ident(), None)
            with self.freed:
                self.free.append(engine)
                self.freed.notify()
        return action, ""

    def _waits_for(self, engine: Engine) -> None:
        self.busy[threading.get_ident()] = engine

    def _take(self, moves: Moves) -> Engine | None:
        """A free place, waited for; of those the one that has most of this game on its board."""
        with self.freed:
            self.freed.wait_for(lambda: self.free)
            best = max(self.free, key=lambda engine: _shared(engine, moves))
            self.free.remove(best)
        return best


def _shared(engine: Engine | None, moves: Moves) -> int:
    """How many moves need not be told again: all that the engine knows, or none. Starting a process costs most."""
    if engine is None:
        return -1
    return len(engine.told) if engine.told == moves[: len(engine.told)] else 0
