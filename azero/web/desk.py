"""The desk at which searches are done: requests that wait are answered together, in batches of a few sizes.

One thread computes. Programs are compiled by another, so that who asks for something new does not hold up the rest.
"""

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax
import numpy as np

from azero.answers import Answer
from azero.players import Player
from azero.search.tree import Tree
from azero.web.lines import Refused
from games.core import Game, State

logger = logging.getLogger(__name__)

SIZES = (1, 4, 16, 32)  # of a batch
MOST_NODES = 4096  # in the trees of a batch: bounds memory, and how long others wait
WAITING = 256  # requests at most
KEPT = 32  # kinds of question whose programs are kept

Ask = Callable[[State, jax.Array], tuple[Answer, Tree | None]]  # states [B], key -> answers [B], their trees
Key = tuple[str, str, int]  # game, player, simulations: what can be answered together


class Found(NamedTuple):
    """The answer to one position."""

    answer: Answer  # [1]
    tree: Tree | None  # of one game, if there was a search


class Question(NamedTuple):
    """A position that waits."""

    state: State  # leaves NumPy
    reply: "Future[Found]"


class Kind:
    """Questions that are answered together."""

    def __init__(self, ask: Ask, start: State, most: int):
        self.ask, self.start = ask, start
        self.sizes = [size for size in SIZES if size <= most]
        self.ready: list[int] = []  # sizes that are compiled
        self.waiting: list[Question] = []
        self.crowd = 1  # the most that have waited at once


class Desk:
    """Answers positions. It may be asked from many threads."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Key, Kind] = OrderedDict()
        self._change = threading.Condition()
        self.batches = 0  # answered so far
        self._closed = False
        for work in (self._compute, self._compile):
            threading.Thread(target=work, daemon=True, name=f"azero{work.__name__}").start()

    def ask(self, key: Key, game: Game, player: Player, state: State) -> "Future[Found]":
        """Puts a position that is not over into the queue.

        Raises:
          Refused: too many are waiting.
        """
        question = Question(state, Future())
        with self._change:
            if sum(len(kind.waiting) for kind in self._kinds.values()) >= WAITING:
                raise Refused("too many positions are waiting; try again in a moment")
            kind = self._kind(key, game, player, state)
            kind.waiting.append(question)
            kind.crowd = max(kind.crowd, len(kind.waiting))
            self._change.notify_all()
        return question.reply

    def withdraw(self, key: Key, reply: "Future[Found]") -> None:
        """Takes back a question for whose answer nobody waits any more; one that is being answered is let be."""
        with self._change:
            if kind := self._kinds.get(key):
                kind.waiting = [question for question in kind.waiting if question.reply is not reply]

    def warm(self, key: Key, game: Game, player: Player, state: State) -> None:
        """Compiles every size for this kind of question, in the background."""
        with self._change:
            self._kind(key, game, player, state).crowd = SIZES[-1]
            self._change.notify_all()

    def is_warm(self, key: Key) -> bool:
        """Whether every size has been compiled."""
        with self._change:
            return key in self._kinds and len(self._kinds[key].ready) == len(self._kinds[key].sizes)

    def close(self) -> None:
        """Ends the threads after what they are doing."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _kind(self, key: Key, game: Game, player: Player, state: State) -> Kind:
        if key not in self._kinds:
            idle = [old for old, kind in self._kinds.items() if not kind.waiting]
            for old in idle[: max(0, len(self._kinds) + 1 - KEPT)]:
                del self._kinds[old]
            self._kinds[key] = Kind(make_ask(player, key[2]), state, max(1, MOST_NODES // max(1, key[2])))
        self._kinds.move_to_end(key)
        return self._kinds[key]

    def _compute(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._next_kind() is not None)
                found = self._next_kind()
                if self._closed or found is None:
                    return
                key, kind = found
                self._kinds.move_to_end(key)  # each kind gets its turn
                size = next((size for size in sorted(kind.ready) if size >= len(kind.waiting)), max(kind.ready))
                batch, kind.waiting = kind.waiting[:size], kind.waiting[size:]
                self.batches += 1
                chance = jax.random.fold_in(jax.random.key(0), self.batches)
            _answer(kind, batch, size, chance)

    def _next_kind(self) -> tuple[Key, Kind] | None:
        """The first kind in which somebody waits and that can be answered."""
        return next(((key, kind) for key, kind in self._kinds.items() if kind.waiting and kind.ready), None)

    def _compile(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._next_program() is not None)
                found = self._next_program()
                if self._closed or found is None:
                    return
            kind, size = found
            try:
                kind.ask(_batch([kind.start], size), jax.random.key(0))
            except Exception as error:
                self._give_up(kind, error)
            with self._change:
                kind.ready.append(size)
                self._change.notify_all()

    def _next_program(self) -> tuple[Kind, int] | None:
        """What to compile next: where somebody waits for a first size, else a larger one where there was a crowd."""
        for kind in self._kinds.values():
            if kind.waiting and not kind.ready:
                return kind, kind.sizes[0]
        for kind in self._kinds.values():
            needed = next((size for size in kind.sizes if size >= kind.crowd), kind.sizes[-1])
            missing = [size for size in kind.sizes if size <= needed and size not in kind.ready]
            if missing and (kind.ready or kind.crowd > 1):
                return kind, missing[0]
        return None

    def _give_up(self, kind: Kind, error: Exception) -> None:
        logger.warning("a search could not be compiled: %s", error)
        with self._change:
            waiting, kind.waiting = kind.waiting, []
        for question in waiting:
            question.reply.set_exception(error)


def make_ask(player: Player, simulations: int) -> Ask:
    """How a player is asked: its network alone for no simulations, with its trees where it keeps them."""
    if simulations == 0 or player.traced is None:
        answers = (player.network or player.answers) if simulations == 0 else player.answers
        return lambda states, key: (answers(states, key), None)
    try:
        return player.traced()
    except ValueError:  # a backend whose trees are not kept
        return lambda states, key: (player.answers(states, key), None)


def _answer(kind: Kind, batch: list[Question], size: int, key: jax.Array) -> None:
    """Replies to some questions."""
    try:
        answer, tree = kind.ask(_batch([question.state for question in batch], size), key)
        answer, tree = jax.device_get((answer, tree))
    except Exception as error:  # whatever it is, those who asked must hear of it
        logger.warning("a search failed: %s", error)
        for question in batch:
            question.reply.set_exception(error)
        return
    for row, question in enumerate(batch):
        part = jax.tree.map(functools.partial(_rows, row, 1), answer)
        question.reply.set_result(Found(part, None if tree is None else _tree_of(tree, row)))


def _batch(states: list[State], size: int) -> State:
    """States as a batch of `size`, filled up with repetitions."""
    filled = states + states[-1:] * (size - len(states))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *filled)


def _tree_of(tree: Tree, row: int) -> Tree:
    """The tree of one game out of many; what names entries still names those of the whole."""
    room = tree.room
    return Tree(tree.size[row : row + 1], *jax.tree.map(functools.partial(_rows, row, room), tree[1:]))


def _rows(number: int, length: int, leaf: Any) -> Any:
    """The part of an array that belongs to one game; what is no array stays."""
    return leaf[number * length : (number + 1) * length] if isinstance(leaf, np.ndarray) else leaf
