"""Gymnasium's environments that only the host can step, as games for one: "gym:CartPole-v1", "gym:my_package:My-v0".

There are no rules to search with, so `init` and `step` refuse; who plays one steps `Envs` and plans with a model that
was learned. A State's board is what was observed. An action mask, where an environment has one, is not looked at.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from games import GYM
from games.core import Game, Host, State, no_symmetries
from games.notation import numbered_notation

DISCOUNT = 0.997
LONGEST = 1000  # moves after which an episode is cut off where its environment sets no limit
MOST_ACTIONS = 2**15 - 1  # their numbers are stored in 16 bits
MOST_NUMBERS = 256  # in an observation: each is stored and compiled by itself
EXTRAS = {"box2d": "box2d", "swig": "box2d", "ale_py": "atari", "mujoco": "mujoco", "pygame": "classic-control"}

Reads = Callable[[Any], np.ndarray]  # observations [B, ...] of an environment -> float32 [B, H, W, C]


class Layout(NamedTuple):
    """How the observations of an environment are laid out on a board."""

    shape: tuple[int, int, int]
    count_planes: tuple[int, ...]
    read: Reads


class Stepped(NamedTuple):
    """What came of a move in each of B environments."""

    observation: np.ndarray  # float32 [B, H, W, C], the last one of an episode that is over, never that of the next
    reward: np.ndarray  # float32 [B]
    terminated: np.ndarray  # bool [B], the episode is over: nothing comes after it
    truncated: np.ndarray  # bool [B], it was cut off: what would have come is worth what it is


class Envs:
    """B environments of one kind side by side. One that is over ignores moves until it is begun again."""

    def __init__(self, name: str, vector: Any, layout: Layout, first: int):
        self.name, self.vector, self.layout, self.first = name, vector, layout, first
        self.over = np.ones(vector.num_envs, bool)
        self.cut = np.zeros(vector.num_envs, bool)  # which of those were cut off
        with _blamed(name):
            self.vector.reset(seed=[0] * vector.num_envs)

    def begin(self, which: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """New episodes in these environments, bool [B], each from its own seed, of which there are B.

        Returns:
          float32 [B, H, W, C], what is observed now; of the other environments it means nothing.

        Raises:
          ValueError: the environment fails, or shows what is no number.
        """
        with _blamed(self.name):
            seen, _ = self.vector.reset(seed=list(seeds), options={"reset_mask": which})
            observation = self.layout.read(seen)
        self.over, self.cut = self.over & ~which, self.cut & ~which
        self._refuse_nan("an observation", observation)
        return observation

    def step(self, actions: np.ndarray) -> Stepped:
        """A move, int [B], in each; where the episode is over, none is made.

        Raises:
          ValueError: as in `begin`.
        """
        # The step after an end resets in place of a move. What is reset then has no seed of ours, and is begun again
        # with one.
        with _blamed(self.name):
            seen, reward, terminated, truncated, _ = self.vector.step(actions + self.first)
            observation = self.layout.read(seen)
        went_on = ~self.over
        reward = np.where(went_on, reward, 0)
        self._refuse_nan("an observation", observation)
        self._refuse_nan("a reward", reward)
        terminated, truncated = terminated & went_on, truncated & ~terminated & went_on
        self.over, self.cut = self.over | terminated | truncated, self.cut | truncated
        return Stepped(
            observation=observation,
            reward=reward.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
        )

    def _refuse_nan(self, what: str, numbers: np.ndarray) -> None:
        bad = numbers[~np.isfinite(numbers)]
        if bad.size:
            raise ValueError(f"{self.name} gives {what} that is no number: {bad[0]}")


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Says that it was the environment that failed, whatever it raises, and whatever it would exit with."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name} fails while it is played: {_reason(error)}") from None


def make_hosted(name: str) -> Game:
    """The environment "gym:ID"; the ID may begin with a module to import, which may lie in the working directory.

    Raises:
      ValueError: one line: there is no such environment, it cannot be made, or its spaces are of another kind.
    """
    id = name.removeprefix(GYM)
    spec = _spec(name, id)
    limit = spec.max_episode_steps or LONGEST
    try:
        env = gymnasium.make(spec, max_episode_steps=limit)
    except Exception as error:  # whatever the environment raises
        raise ValueError(f"{name} cannot be made: {_reason(error)}") from None
    actions, space = env.action_space, env.observation_space
    if not isinstance(actions, spaces.Discrete):
        raise ValueError(f"{name} has actions of kind {_kind(actions)}; azero plays environments with Discrete actions")
    if actions.n > MOST_ACTIONS:
        raise ValueError(f"{name} has {actions.n} actions; azero plays environments with {MOST_ACTIONS} at most")
    layout = _layout(name, space)
    try:
        seen, _ = env.reset(seed=0)
    except Exception as error:  # whatever the environment raises
        raise ValueError(f"{name} cannot be begun: {_reason(error)}") from None
    if np.shape(seen) != space.shape:
        raise ValueError(f"{name} shows {np.shape(seen)}, and its observation space says {space.shape}")
    env.close()

    def refuse(*_: Any) -> State:
        raise ValueError(f"{name} steps on the host: it can be trained on and evaluated (azero train, azero eval)")

    def begin(count: int) -> Envs:
        # Checks that are made at every step are not for training: here one has been made.
        single: Any = {"max_episode_steps": limit, "disable_env_checker": True}
        ends = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        vector = gymnasium.make_vec(spec, num_envs=count, vectorization_mode="sync", vector_kwargs=ends, **single)
        return Envs(name, vector, layout, int(actions.start))

    def observe(state: State) -> jax.Array:
        return jnp.asarray(state.board)

    count = int(actions.n)
    return Game(
        name=name,
        num_players=1,
        num_actions=count,
        observation_shape=layout.shape,
        max_plies=limit,
        init=refuse,
        step=refuse,
        observe=observe,
        symmetries=no_symmetries(layout.shape[0] * layout.shape[1], count),
        notation=numbered_notation(observe),
        count_planes=layout.count_planes,
        time_limit=limit,
        host=Host(begin, DISCOUNT),
    )


def _spec(name: str, id: str) -> Any:
    """What gymnasium has registered under this id."""
    module, _, own = id.rpartition(":")
    if module:
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # a console script does not look there of itself
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the user's module raises
            raise ValueError(f"{name}: importing {module} failed: {_reason(error)}") from None
    if own not in gymnasium.registry:
        near = difflib.get_close_matches(own, gymnasium.registry, n=1)
        hint = "ids are as in gym:CartPole-v1, or gym:package:My-v0 where a package registers it"
        if near:
            hint = f"did you mean {GYM}{module + ':' if module else ''}{near[0]}?"
        raise ValueError(f"gymnasium knows no environment {own!r}; {hint}")
    return gymnasium.registry[own]


def _reason(error: BaseException) -> str:
    """What went wrong, in one line, and what to install if that would mend it."""
    said = " ".join(str(error).split()) or "no reason was given"
    missing = error if isinstance(error, ImportError) else error.__cause__ or error.__context__
    module = (getattr(missing, "name", None) or "").partition(".")[0]
    if module.lower() in EXTRAS:
        return f"{module} is not installed; pip install 'gymnasium[{EXTRAS[module.lower()]}]'"
    return f"{type(error).__name__}: {said}"


def _kind(space: spaces.Space) -> str:
    """A space in a few words."""
    kind = type(space).__name__
    return f"{kind} of {space.dtype} {list(space.shape)}" if space.shape else kind


def _layout(name: str, space: spaces.Space) -> Layout:
    """Bits become planes, numbers a channel each on a board of one cell, one of n things one-hot channels."""
    if isinstance(space, spaces.Discrete):
        rows, start = np.eye(int(space.n), dtype=np.float32), int(space.start)
        return Layout((1, 1, len(rows)), (), lambda seen: rows[np.asarray(seen) - start].reshape(-1, 1, 1, len(rows)))
    if isinstance(space, spaces.MultiBinary) or (isinstance(space, spaces.Box) and _binary(space)):
        board: Any = {1: (1, 1, *space.shape), 2: (*space.shape, 1), 3: space.shape}.get(len(space.shape))
        if board:
            return Layout(board, (), _reader(board))
    elif isinstance(space, spaces.Box) and len(space.shape) <= 1 and np.prod(space.shape) <= MOST_NUMBERS:
        numbers = int(np.prod(space.shape))
        return Layout((1, 1, numbers), tuple(range(numbers)), _reader((1, 1, numbers)))
    raise ValueError(
        f"{name} has observations of kind {_kind(space)}; azero reads a Box of up to {MOST_NUMBERS} numbers [D], "
        "a Box of 0 and 1 [H, W, C], and Discrete"
    )


def _binary(space: spaces.Box) -> bool:
    """Whether all its entries are 0 or 1."""
    whole = space.dtype == bool or np.issubdtype(space.dtype, np.integer)
    return bool(whole and (space.low == 0).all() and (space.high == 1).all())


def _reader(shape: tuple[int, int, int]) -> Reads:
    def read(seen: Any) -> np.ndarray:
        return np.array(seen, np.float32).reshape(-1, *shape)

    return read
