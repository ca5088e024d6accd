"""Environments that the host steps: what is read of them, and what is refused."""

import re
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hosted_envs import register

import games
from azero.cli import main
from azero.presets import preset


class Spaces(gymnasium.Env):
    """Shows whatever its space holds, or what it is told to show in its place."""

    def __init__(self, observation, action=None, shown=None):
        self.observation_space, self.action_space = observation, action or spaces.Discrete(2)
        self.shown = shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.show(), {}

    def step(self, action):
        return self.show(), 0.0, False, False, {}

    def show(self):
        return self.observation_space.sample() if self.shown is None else self.shown


class Faulty(gymnasium.Env):
    """Fails in its second step, or shows what it should not."""

    observation_space, action_space = spaces.Box(-9, 9, (2,), np.float32), spaces.Discrete(2)

    def __init__(self, fault):
        self.fault, self.steps = fault, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        seen, reward = np.zeros(2, np.float32), 1.0
        if self.steps == 2:
            match self.fault:
                case "raises":
                    raise RuntimeError("the engine\nbroke")
                case "exits":
                    sys.exit(3)
                case "shows NaN":
                    seen = seen + np.nan
                case "shows three":
                    seen = np.zeros(3, np.float32)
                case "pays NaN":
                    reward = float("nan")
                case "pays nothing":
                    reward = None
        return seen, reward, self.steps > 2, False, {}


BITS = np.indices((2, 3, 2)).sum(axis=0) % 2


@pytest.mark.parametrize(
    ("space", "shown", "shape", "counts", "read"),
    [
        (spaces.Discrete(3, start=5), 6, (1, 1, 3), (), [0, 1, 0]),
        (spaces.MultiBinary(3), np.array([1, 0, 1], np.int8), (1, 1, 3), (), [1, 0, 1]),
        (spaces.Box(0, 1, (2, 3, 2), bool), BITS.astype(bool), (2, 3, 2), (), BITS),
        (spaces.Box(0, 1, (2, 3), np.uint8), BITS[..., 0].astype(np.uint8), (2, 3, 1), (), BITS[..., 0]),
        (spaces.Box(-9, 9, (2,), np.float64), np.array([0.5, -3]), (1, 1, 2), (0, 1), [0.5, -3]),
        (spaces.Box(-9, 9, (2,), np.int32), np.array([4, -3], np.int32), (1, 1, 2), (0, 1), [4, -3]),
        (spaces.Box(-9, 9, (), np.float32), np.array(0.5, np.float32), (1, 1, 1), (0,), [0.5]),
    ],
)
def test_observations_are_read(space, shown, shape, counts, read):
    number = len([id for id in gymnasium.registry if id.startswith("AzeroShows")])
    game = register(f"AzeroShows{number}-v0", Spaces, observation=space, shown=shown)
    assert (game.observation_shape, game.count_planes, game.num_players) == (shape, counts, 1)
    envs = game.host.begin(2)
    seen = envs.begin(np.ones(2, bool), [1, 2])
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, np.broadcast_to(np.array(read, np.float32).reshape(shape), (2, *shape)))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gym:CartPol-v1", "knows no environment 'CartPol-v1'; did you mean gym:CartPole-v1?"),
        ("gym:CartPole-v7", "did you mean gym:CartPole-v1?"),
        ("gym:", "ids are as in gym:CartPole-v1"),
        ("gym:nowhere_at_all:My-v0", "importing nowhere_at_all failed: ModuleNotFoundError"),
        ("gym:Pendulum-v1", "has actions of kind Box of float32 [1]; azero plays environments with Discrete actions"),
        ("gym:Blackjack-v1", "has observations of kind Tuple; azero reads a Box"),
    ],
)
def test_an_environment_that_cannot_be_played_is_refused_in_a_line(name, line):
    with pytest.raises(ValueError, match=re.escape(line)) as refused:
        games.make(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("id", "kwargs", "line"),
    [
        ("AzeroDict-v0", {"observation": spaces.Dict({"a": spaces.Discrete(2)})}, "observations of kind Dict"),
        ("AzeroPixels-v0", {"observation": spaces.Box(0, 255, (9, 9, 3), np.uint8)}, "Box of uint8 [9, 9, 3]"),
        ("AzeroMany-v0", {"observation": spaces.Box(0, 9, (999,), np.float32)}, "Box of float32 [999]"),
        ("AzeroTwo-v0", {"observation": spaces.Discrete(2), "action": spaces.MultiDiscrete([2, 2])}, "MultiDiscrete"),
        ("AzeroLies-v0", {"observation": spaces.Box(0, 9, (2,)), "shown": np.zeros(3, np.float32)}, "shows (3,)"),
        ("AzeroHuge-v0", {"observation": spaces.Discrete(2), "action": spaces.Discrete(70_000)}, "has 70000 actions"),
        ("AzeroBroken-v0", {"colour": 1}, "cannot be made: TypeError"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # what gymnasium says of such spaces
def test_spaces_that_are_not_supported(id, kwargs, line):
    with pytest.raises(ValueError, match=re.escape(line)) as refused:
        register(id, Spaces, **kwargs)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("raises", "fails while it is played: RuntimeError: the engine broke"),
        ("exits", "fails while it is played: SystemExit: 3"),
        ("shows three", "fails while it is played: ValueError"),
        ("shows NaN", "gives an observation that is no number: nan"),
        ("pays NaN", "gives a reward that is no number: nan"),
        ("pays nothing", "gives a reward that is no number: nan"),
    ],
)
def test_an_environment_that_fails_on_the_way_is_named(fault, line, capsys):
    name = f"AzeroFault{fault.title().replace(' ', '')}-v0"
    register(name, Faulty, limit=9, fault=fault)
    assert main(["eval", "random", "--game", f"gym:{name}", "--games", "4"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith(f"azero: gym:{name} {line}")
    assert not any("Traceback" in each for each in said)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.bipedal_walker", raising=False)
    with pytest.raises(ValueError, match=r"LunarLander-v3 cannot be made: Box2D is not installed; pip install .*box2d"):
        games.make.__wrapped__("gym:LunarLander-v3")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "gym:CartPole-v1", "--model", "rules", "--run", "RUN"],
            "where no tree can follow its rules; take model learned",
        ),
        (["train", "gym:CartPole-v1", "--model", "learned_explicit_reward", "--run", "RUN"], "no reward function"),
        (["train", "gym:CartPole-v1", "--selfplay.games", "3", "--learn.batch", "3", "--run", "RUN"], "2 groups"),
        (["play", "gym:CartPole-v1"], "steps on the host"),
        (["eval", "rollout", "--game", "gym:CartPole-v1"], "steps on the host"),
    ],
)
def test_commands_refuse_in_a_line(words, line, capsys, tmp_path):
    folder = tmp_path / "run"
    assert main([str(folder) if word == "RUN" else word for word in words]) == 2
    said = capsys.readouterr().err.strip()
    assert line in said
    assert len(said.splitlines()) == 1
    assert not folder.exists()


def test_a_random_player_is_measured_in_a_hosted_environment(capsys):
    assert main(["eval", "random", "--game", "gym:CartPole-v1", "--games", "10", "--json"]) == 0
    assert '"episodes": 10' in capsys.readouterr().out


def test_any_environment_has_a_preset_with_a_learned_model():
    for name in ("gym:CartPole-v1", "gym:Acrobot-v1", "gym:LunarLander-v3", "gym:AzeroWalk-v0"):
        assert preset("", name).config.game == name
        assert preset("", name).config.model == "learned"
