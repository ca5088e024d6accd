"""One game as it is played, and a player who thinks along with it."""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import Answer, Playing, answer_of_search, forgetful, refuse_stuck
from azero.network import Params
from azero.players import Player, Searching
from azero.search import Amplified, Kept, main_line, make_kept_search
from azero.search.reuse import SEARCHES
from azero.search.tree import NONE, Tree, root_moves
from games.core import Game, State
from games.notation import jitted

SLICE = 64  # simulations of a search that goes on, at the most: between two of them it can be stopped
SLICE_SECONDS = 0.1  # a slower machine, network or game gets fewer
SMALLEST_SLICES = {"puct": 1, "gumbel": 8}  # Gumbel's halving compares moves within a slice
LOOK = 0.005  # seconds between two looks at whether a slice is to be left
MEMORY = 2**27  # bytes of the tree of a search that goes on: it is copied once for every move
LARGEST_TREE = 2**15 - 1  # nodes: counts of 16 bits suffice
TWINS = 2  # the tree is searched twice over: XLA:CPU copies the whole of a single tree in every simulation
LINES, LINE_PLIES = 16, 12  # of the moves expected next


class Playthrough:
    """One game from its start, or from a given position: its positions and moves, which can be taken back."""

    def __init__(self, game: Game, seed: int = 0, start: State | None = None):
        self.game = game
        self.key = jax.random.key(seed)  # of the game's own chances
        self.states: list[State] = [jitted(game.init)(self.key) if start is None else start]
        self.actions: list[int] = []

    @property
    def state(self) -> State:
        """The position now."""
        return self.states[-1]

    @property
    def over(self) -> bool:
        """Whether the game has ended."""
        return bool(self.state.terminal)

    @property
    def to_play(self) -> int:
        """Whose turn it is, 0 or 1."""
        return int(self.state.to_play)

    def move(self, action: int) -> None:
        """Makes a legal move."""
        key = jax.random.fold_in(self.key, len(self.states))
        self.states.append(jitted(self.game.step)(self.state, np.int32(action), key))
        self.actions.append(action)

    def take_back(self, plies: int = 1) -> None:
        """Takes back the last moves, at most as many as were made."""
        kept = max(0, len(self.actions) - plies)
        del self.actions[kept:], self.states[kept + 1 :]

    def moves(self) -> list[str]:
        """The moves so far, as the game writes them."""
        notation = self.game.notation
        return [notation.move(*made) for made in zip(self.states, self.actions, strict=False)]

    def line(self, actions: list[int]) -> list[str]:
        """Moves from the position on, as the game writes them, as far as they are legal one after the other."""
        state, texts = self.state, []
        for action in actions:
            if bool(state.terminal) or not bool(state.legal[action]):
                break
            texts.append(self.game.notation.move(state, action))
            state = jitted(self.game.step)(state, np.int32(action), self.key)
        return texts

    def points(self, seat: int) -> float:
        """The rewards so far of player 0 or 1."""
        rewards = zip(self.states, self.states[1:], strict=False)
        return sum(float(after.reward) * (1 if int(before.to_play) == seat else -1) for before, after in rewards)

    def batch(self) -> State:
        """The position as a batch of one."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], self.state)


class Mind:
    """What a player keeps of one game from move to move. It follows the game by itself, also where moves go back."""

    def __init__(self, player: Player, played: Playthrough, seed: int = 0, playing: Playing | None = None):
        """Args: playing: how the player plays, where not in its usual way."""
        self.played = played
        self.playing = playing or player.playing or forgetful(player.answers)
        self.key = jax.random.key(seed)  # of the player's chances
        self._begin()

    def _begin(self) -> None:
        self.memory = self.playing.begin(self.played.batch())
        self.seen: list[int] = []  # the moves that the memory has been told of

    def answer(self) -> Answer:
        """The player's answer [1] to the position now."""
        self.catch_up()
        key = jax.random.fold_in(self.key, len(self.seen))
        answer, self.memory = self.playing.answer(self.memory, self.played.batch(), key, np.zeros(1, np.int32))
        return answer

    def catch_up(self) -> None:
        """Brings the memory to the position now."""
        actions = self.played.actions
        if self.seen != actions[: len(self.seen)]:
            self._begin()
        for action in actions[len(self.seen) :]:
            self.memory = self.playing.moved(self.memory, np.array([action], np.int32))
        self.seen = list(actions)


class Thought(NamedTuple):
    """What a player thinks of a position so far."""

    answer: Answer  # [1]; its visits are those of all searches in the tree
    prior: np.ndarray | None = None  # float32 [A], of the network; None without a search, as what follows
    q: np.ndarray | None = None  # float32 [A], value of each move for the mover
    lines: dict[int, list[int]] | None = None  # of the moves visited most: the moves expected, from it on

    @property
    def nodes(self) -> int:
        """The simulations that have been made in this position."""
        return 0 if self.answer.visits is None else int(self.answer.visits.sum())


class Slices(NamedTuple):
    """A tree search of one game that goes on for as long as one likes, a few simulations at a time."""

    size: int  # simulations of a slice
    room: int  # nodes of the tree; a slice is made only where as many visits leave room for it
    playing: Playing  # with one slice for each answer
    first: Callable[[Kept, State, jax.Array], tuple[Thought, Kept]]  # kept, position [1], key: a slice
    more: Callable[[Kept, jax.Array], tuple[Thought, Kept]]  # kept, key: one more in the same position


class Deliberation:
    """A player who thinks about one game for as long as it is let.

    A tree search goes on in slices, in one tree that is kept from move to move. Players who do not search, and
    those whose trees cannot be kept, think once about each position.
    """

    def __init__(self, player: Player, game: Game, seed: int = 0):
        self.player, self.game, self.seed = player, game, seed
        self.slices: Slices | None = None
        self.pace = 0.0  # seconds of the last slice, or of the last whole thought
        self.worker = ThreadPoolExecutor(1)
        self.begun: Future[Thought] | None = None  # the last slice, which may have been left before its end
        self.follow(Playthrough(game, seed))

    def follow(self, played: Playthrough) -> None:
        """Thinks about another game from now on."""
        self.played = played
        self.mind = Mind(self.player, played, self.seed, self.slices.playing if self.slices else None)

    def prepare(self) -> None:
        """Compiles what thinking needs and finds out how many simulations a slice may have; the game begins anew."""
        searching = self.player.searching
        most = min(SLICE, searching.config.simulations) if searching else 0
        least = min(SMALLEST_SLICES[searching.config.algorithm], most) if searching else 0
        # One try is mostly enough: with a network many simulations are quick, of random playouts even one may be slow.
        size = most if self.player.network else least
        self._try_out(size)
        if self.slices:
            fitting = min(max(int(size * SLICE_SECONDS / self.pace), least), most)
            if not size <= fitting < 2 * size:
                self._try_out(fitting)
        self.follow(Playthrough(self.game, self.seed))

    def _try_out(self, size: int) -> None:
        """Thinks about two moves of a game, so that all is compiled and then timed."""
        searching = self.player.searching
        if searching is not None and searching.config.backend == "azero":
            self.slices = slices(searching, self.game, size)
        self.follow(Playthrough(self.game, self.seed))
        for _ in range(2):
            self.at_once()
            for _ in zip(range(2), self.thoughts(), strict=False):
                pass
            self.played.move(int(np.asarray(self.played.state.legal).argmax()))
            if self.played.over:
                break

    def thoughts(self, leave: Callable[[], bool] = lambda: False) -> Iterator[Thought]:
        """What the player thinks of the position now, better and better, until its tree is full.

        Args:
          leave: whether to wait no longer for a slice, of those after the first. It ends by itself, in the background.
        """
        if self.begun:
            wait([self.begun])  # it has the tree
        began = time.monotonic()
        if self.slices is None:
            answer = self.mind.answer()
            self.pace = time.monotonic() - began
            yield Thought(answer)
            return
        mind, search = self.mind, self.slices
        key = jax.random.fold_in(mind.key, len(self.played.actions))
        mind.catch_up()
        thought, mind.memory = search.first(mind.memory, self.played.batch(), key)
        self.pace = time.monotonic() - began

        def go_on(number: int) -> Thought:
            began = time.monotonic()
            thought, mind.memory = search.more(mind.memory, jax.random.fold_in(key, number))
            self.pace = time.monotonic() - began
            return thought

        for number in itertools.count(1):
            yield thought
            if thought.nodes + search.size >= search.room:
                return
            self.begun = self.worker.submit(go_on, number)
            while not wait([self.begun], LOOK).done:
                if leave():
                    return
            thought = self.begun.result()

    def at_once(self) -> Thought:
        """What the player's network says, without a search; a first thought where it has none."""
        if self.player.network is None:
            return next(self.thoughts())
        return Thought(self.player.network(self.played.batch(), self.mind.key))


def slices(searching: Searching, game: Game, size: int) -> Slices:
    """The same search in slices of `size` simulations, in a tree as large as MEMORY allows."""
    config = dataclasses.replace(searching.config, simulations=size)

    def twins(states: State) -> State:
        return jax.tree.map(lambda leaf: jnp.repeat(leaf, TWINS, axis=0), states)

    planner = make_kept_search(config, searching.model, searches=1)
    states = jax.eval_shape(lambda: twins(jax.tree.map(lambda leaf: leaf[None], game.init(jax.random.key(0)))))
    small = jax.tree.leaves(jax.eval_shape(planner.begin, searching.params, states))
    node = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in small) // (1 + size)
    nodes = min(MEMORY // node, LARGEST_TREE)
    searches = max(SEARCHES, (nodes - 1) // size)
    planner = make_kept_search(config, searching.model, searches=searches)

    def thought(amplified: Amplified, tree: Tree) -> tuple[Any, ...]:
        moves = root_moves(tree)
        _, first = jax.lax.top_k(amplified.visits[0], min(LINES, game.num_actions))
        lines = jax.vmap(lambda action: main_line(tree, moves.child[0, action], LINE_PLIES))(first)
        return jax.tree.map(lambda leaf: leaf[:1], amplified), moves.node.edges.prior[0], first, lines

    @functools.partial(jax.jit, donate_argnums=1)
    def search(params: Params, kept: Kept, states: State, key: jax.Array) -> tuple[Any, Kept]:
        amplified, kept = planner.search(params, kept, twins(states), jnp.arange(TWINS), key)
        return thought(amplified, kept.tree), kept

    @functools.partial(jax.jit, donate_argnums=1)
    def search_on(params: Params, kept: Kept, key: jax.Array) -> tuple[Any, Kept]:
        amplified, kept = planner.more(params, kept, key)
        return thought(amplified, kept.tree), kept

    now_at = jax.jit(lambda kept, action: planner.moved(kept, jnp.repeat(action, TWINS)).at)
    begin = jax.jit(lambda states: planner.begin(searching.params, twins(states)))

    def first(kept: Kept, states: State, key: jax.Array) -> tuple[Thought, Kept]:
        refuse_stuck(states)
        found, kept = search(searching.params, kept, states, key)
        return _thought(*jax.device_get(found)), kept

    def more(kept: Kept, key: jax.Array) -> tuple[Thought, Kept]:
        found, kept = search_on(searching.params, kept, key)
        return _thought(*jax.device_get(found)), kept

    def answer(kept: Kept, states: State, key: jax.Array, games: np.ndarray) -> tuple[Answer, Kept]:
        thought, kept = first(kept, states, key)
        return thought.answer, kept

    def moved(kept: Kept, actions: np.ndarray) -> Kept:
        return kept._replace(at=now_at(kept, actions) if searching.reuse else jnp.full(TWINS, NONE, jnp.int32))

    return Slices(size, 1 + searches * size, Playing(begin, answer, moved), first, more)


def _thought(amplified: Any, prior: np.ndarray, actions: np.ndarray, lines: np.ndarray) -> Thought:
    answer = answer_of_search(amplified)
    visits = amplified.visits[0]
    known = {
        int(action): [int(action), *(int(reply) for reply in line if reply != NONE)]
        for action, line in zip(actions, lines, strict=True)
        if visits[action] > 0
    }
    return Thought(answer, prior, amplified.q[0], known)
