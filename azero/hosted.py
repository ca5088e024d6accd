"""Self-play in environments that the host steps: T moves in each of B episodes, as azero.selfplay leaves them.

The episodes are two groups. While the devices search for one, the host steps the other: JAX hands work to devices
without waiting for it (but for a CPU that is one device: there it is done at once). A search is spread over all devices
like every other, for a device that a group is bound to would be idle while that group is stepped.

An environment cannot be saved. What is saved is how it came to where it is: the number of its episode, from which its
seed follows, and the moves since. To go on, environments are made anew and the moves made again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import SelfPlayConfig
from azero.distill.core import Amplifier, Learner, Teach
from azero.replay import pack, stored_policy
from azero.selfplay import Trajectory, make_answer, random_legal
from games.core import Game, Host, State

if TYPE_CHECKING:  # it imports gymnasium, which most games do without
    from games.hosted import Envs

GROUPS = 2
NOT_BEGUN = -1  # in place of an episode's number

logger = logging.getLogger(__name__)


class Hosted(NamedTuple):
    """B episodes in flight, as far as arrays can say."""

    state: State  # leaves [B, ...]; its board is what was last observed, float32 [B, H, W, C]
    ply: jax.Array  # int32 [B], moves made so far
    number: jax.Array  # int32 [B], of the episode among those of its row
    cut: jax.Array  # bool [B], cut off: its last position is still to be searched, and no move to be made there
    actions: jax.Array  # int16 [B, time_limit], the moves made so far


class Thought(NamedTuple):
    """What is decided for B positions, and what is kept of it."""

    action: jax.Array  # int32 [B]
    actions: jax.Array  # int16 [B, K], the moves of largest weight in the policy target
    weights: jax.Array  # float16 [B, K], their weights; all 0 where the search was cheap
    value: jax.Array  # float32 [B], what the search found


def states_of(observation: jax.Array | np.ndarray, actions: int) -> State:
    """States [B] in which this was observed, float32 [B, H, W, C]: all of them go on, with every action to choose."""
    # Made by the library of what was observed, for self-play asks on a device and episodes on the host.
    numbers = np if isinstance(observation, np.ndarray) else jnp
    count = len(observation)
    nothing = numbers.zeros(count, numbers.float32)
    all_legal = numbers.ones((count, actions), bool)
    over = numbers.zeros(count, bool)
    return State(observation, numbers.zeros(count, numbers.int32), all_legal, nothing, nothing, over)


def new_episodes(game: Game, count: int) -> Hosted:
    """`count` episodes that are still to begin."""
    state = states_of(jnp.zeros((count, *game.observation_shape), jnp.float32), game.num_actions)
    moves = jnp.zeros((count, game.time_limit), jnp.int16)
    none = jnp.zeros(count, jnp.int32)
    return Hosted(state, none, none + NOT_BEGUN, jnp.zeros(count, bool), moves)


def make_think(
    config: SelfPlayConfig, game: Game, amplify: Amplifier, teach: Teach, entries: int, cheap: Amplifier | None
) -> Callable[[Learner, jax.Array, jax.Array, jax.Array], Thought]:
    """A ply of self-play without its move: (learner, observations [B, H, W, C], openings bool [B], key) -> Thought.

    Args:
      amplify, teach, entries, cheap: as in azero.selfplay.make_selfplay.
    """

    answer = make_answer(config, amplify, cheap)

    def think(learner: Learner, observation: jax.Array, opening: jax.Array, key: jax.Array) -> Thought:
        coin_key, search_key, opening_key, teach_key = jax.random.split(key, 4)
        states = states_of(observation, game.num_actions)
        amplified, full = answer(learner, states, coin_key, search_key)
        lesson = teach(learner, states, amplified, teach_key)
        action = jnp.where(opening, random_legal(states.legal, opening_key), amplified.action)
        kept = stored_policy(jnp.where(full, lesson.policy, 0.0), entries)
        return Thought(action.astype(jnp.int32), *kept, amplified.value)

    return think


def packed(game: Game, trajectory: Trajectory) -> Trajectory:
    """The trajectory with positions [T, B] in place of the observations [T, B, H, W, C] that the host put there."""
    legal = jnp.ones(game.num_actions, bool)
    pack_all = jax.vmap(jax.vmap(lambda seen: pack(game, seen, legal)))
    return trajectory._replace(position=pack_all(trajectory.position))


class Stage:
    """The environments that a run plays in."""

    def __init__(self, config: SelfPlayConfig, seed: int, game: Game, think: Callable[..., Thought]):
        """
        Args:
          think: (learner, observations, openings, number of the search in its iteration) -> Thought, on the devices;
            it does not wait for them.
        """
        assert game.host is not None
        self.config, self.game, self.think = config, game, think
        size = config.games // GROUPS
        self.groups = [_Group(config, seed, game, range(start, start + size)) for start in (0, size)]
        self.waited = 0.0  # seconds in which, at the most, the devices had nothing to do in the last call of `play`

    def play(self, learner: Learner, games: Hosted) -> tuple[Hosted, Trajectory]:
        """T moves in each of B episodes; the positions of the trajectory are observations, see `packed`."""
        since, self.waited = time.perf_counter(), 0.0
        found = jax.device_get(games)
        strays = 0
        for group in self.groups:
            own = jax.tree.map(lambda leaf, rows=group.rows: leaf[rows.start : rows.stop], found)
            strays += group.go_on_from(own)
        if strays:
            logger.warning(
                "%s does not repeat itself from its seeds: %d of %d running episodes are cut off and begun anew",
                self.game.name, strays, self.config.games,
            )  # fmt: skip
        asked: list[Any] = [None] * GROUPS
        plies: list[list[Trajectory]] = [[] for _ in range(GROUPS)]

        def ask(number: int, ply: int) -> None:
            asked[number] = self.groups[number].ask(self.think, learner, GROUPS * ply + number)

        self.waited += time.perf_counter() - since
        for number in range(GROUPS):
            ask(number, 0)
        for ply in range(self.config.plies):
            for number, group in enumerate(self.groups):
                thought = jax.device_get(asked[number])
                since, asked[number] = time.perf_counter(), None
                plies[number].append(group.move(thought))
                # When the others were finished is not known: if they are, all of the host's time counts as waiting.
                if all(other is None or other.action.is_ready() for other in asked):
                    self.waited += time.perf_counter() - since
                if ply + 1 < self.config.plies:
                    ask(number, ply + 1)
        since = time.perf_counter()
        by_group = [jax.tree.map(lambda *leaves: np.stack(leaves), *of_group) for of_group in plies]
        trajectory = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *by_group)
        after = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(group.flight for group in self.groups))
        self.waited += time.perf_counter() - since
        return after, trajectory


class _Group:
    """Some rows of the episodes, and the environments that they are in."""

    def __init__(self, config: SelfPlayConfig, seed: int, game: Game, rows: range):
        assert game.host is not None
        self.config, self.seed, self.game, self.rows = config, seed, game, rows
        self.host: Host = game.host
        self.envs: Envs | None = None
        self.flight: Any = jax.tree.map(np.array, new_episodes(game, len(rows)))  # arrays of the host, written to
        self.openings = np.zeros(len(rows), np.int32)

    def ask(self, think: Callable[..., Thought], learner: Learner, number: int) -> Thought:
        """What to do now; an answer that is on its way."""
        return think(learner, self.flight.state.board.copy(), self.flight.ply < self.openings, np.int32(number))

    def move(self, thought: Any) -> Trajectory:
        """Makes the moves, and begins new episodes where one is over."""
        assert self.envs is not None
        flight, cut = self.flight, self.flight.cut.copy()
        seen, opening = flight.state.board.copy(), flight.ply < self.openings
        after: Any = self.envs.step(thought.action)
        rows = np.flatnonzero(~cut)
        flight.actions[rows, flight.ply[rows]] = thought.action[rows]
        flight.ply[rows] += 1
        flight.state.board[rows] = after.observation[rows]
        flight.cut[:] = after.truncated
        ended = cut | after.terminated
        self.begin(ended)
        discount: Any = np.where(ended, 0, self.host.discount).astype(np.float32)
        return Trajectory(
            position=seen,
            actions=thought.actions,
            weights=thought.weights,
            search_value=thought.value,
            made=thought.action.astype(np.int16),
            chosen=~cut & ~opening,
            reward=after.reward,
            discount=discount,
            outcome=after.reward * after.terminated,
            ended=ended,
        )

    def begin(self, which: np.ndarray) -> None:
        """The next episodes of these rows, bool [B]."""
        if not which.any():
            return
        assert self.envs is not None
        self.flight.number[which] += 1
        self.flight.ply[which] = 0
        self.flight.actions[which] = 0
        self.flight.state.board[which] = self.envs.begin(which, self.seeds())[which]

    def seeds(self) -> list[int]:
        """Of the environments, [B]; and the openings of their episodes, which follow from the same numbers."""
        drawn = [
            np.random.SeedSequence((self.seed, row, max(number, 0))).generate_state(2)
            for row, number in zip(self.rows, self.flight.number.tolist(), strict=True)
        ]
        self.openings = np.array([draw[1] % (self.config.opening_plies + 1) for draw in drawn], np.int32)
        return [int(draw[0]) for draw in drawn]

    def go_on_from(self, saved: Hosted) -> int:
        """Brings the environments to where these episodes are, if they are not there already.

        Returns:
          How many of them did not get there.
        """
        if self.envs is not None and _same(saved, self.flight):
            return 0
        self.flight = jax.tree.map(np.array, saved)
        self.envs = self.envs or self.host.begin(len(self.rows))
        seeds = self.seeds()
        begun = self.flight.number != NOT_BEGUN
        strays = np.zeros(len(begun), bool)
        if begun.any():
            strays = begun & (self.replayed(seeds) != self.flight.state.board).any(axis=(1, 2, 3))
            # What was played before leads to what was observed, so that is searched once more before the next begins.
            self.flight.cut[strays] = self.envs.over[strays] = True
        self.begin(~begun)
        return int(strays.sum())

    def replayed(self, seeds: Sequence[int]) -> np.ndarray:
        """Makes all moves again: float32 [B, H, W, C], what is observed after them."""
        assert self.envs is not None
        plies, longest = self.flight.ply, int(self.flight.ply.max())
        seen = np.array(self.flight.state.board)
        for ply in range(longest + 1):
            # Each episode begins so late that all of them arrive together.
            which = plies == longest - ply
            if which.any():
                seen[which] = self.envs.begin(which, seeds)[which]
            if ply < longest:
                at = np.maximum(plies - longest + ply, 0)
                after = self.envs.step(self.flight.actions[np.arange(len(plies)), at].astype(np.int32))
                on_the_way = plies >= longest - ply
                seen[on_the_way] = after.observation[on_the_way]
        return seen


def _same(one: Any, other: Any) -> bool:
    """Whether two pytrees of arrays hold the same numbers."""
    return all(np.array_equal(*pair) for pair in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
