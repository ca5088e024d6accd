"""Environments that the host steps: what is read of them, what self-play keeps, by hand, and runs that go on."""

import dataclasses
import json
import logging
import re
import sys
import time

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import games
from azero.answers import Answer, random_answers
from azero.cli import main
from azero.config import (
    LearnConfig,
    MuZeroConfig,
    NetworkConfig,
    ReplayConfig,
    ReportConfig,
    SearchConfig,
    SelfPlayConfig,
)
from azero.distill import Learner
from azero.episodes import play_episodes
from azero.hosted import Stage, Thought, new_episodes, packed
from azero.presets import preset
from azero.replay import unpack
from azero.report import Progress
from azero.run import Budget, run
from azero.train import make_trainer

GOAL = 5


class Walk(gymnasium.Env):
    """Steps of 1, 2 or 3 to GOAL, which earn 1, 1/2 or 1/4. What is seen is the place, and a number that only the
    episode's seed tells. Moves are numbered from 1. What a `stray` walk shows depends on how many there were before."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(3, start=1)
    begun = 0

    def __init__(self, stray: bool = False, seconds: float = 0.0):
        self.stray, self.seconds = stray, seconds

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Walk.begun += 1
        self.place, self.mark = 0, Walk.begun if self.stray else self.np_random.random()
        return self.seen(), {}

    def step(self, action):
        assert action in (1, 2, 3)
        time.sleep(self.seconds)
        self.place += int(action)
        return self.seen(), {1: 1.0, 2: 0.5, 3: 0.25}[int(action)], self.place >= GOAL, False, {}

    def seen(self):
        return np.array([self.place, self.mark], np.float32)


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


def register(id, entry, limit=3, **kwargs):
    if id not in gymnasium.registry:
        gymnasium.register(id, entry, max_episode_steps=limit, kwargs=kwargs)
    return games.make(f"gym:{id}")


WALK = register("AzeroWalk-v0", Walk)


def seed_of(run_seed: int, row: int, number: int) -> int:
    return int(np.random.SeedSequence((run_seed, row, number)).generate_state(2)[0])


def mark_of(row: int, number: int) -> np.float32:
    """What the walk of this row and number shows."""
    rng, _ = gymnasium.utils.seeding.np_random(seed_of(0, row, number))
    return np.float32(rng.random())


def always(moves):
    """Thinks of the same action in each row, given by the rows' numbers in their group, and keeps its number."""
    moves = np.array(moves, np.int32)

    def think(learner, observation, opening, number):
        group = int(number) % 2
        action = moves[group * len(observation) :][: len(observation)]
        nothing = np.zeros((len(observation), 1), np.int16)
        return Thought(jnp.array(action), nothing, nothing.astype(np.float16), 10.0 * observation[:, 0, 0, 0])

    return think


def played(stage, state, plies=None):
    return stage.play(Learner({}, None, jnp.int32(0)), state)


def stage_of(game, moves, plies, seed=0, opening_plies=0):
    config = SelfPlayConfig(games=len(moves), plies=plies, opening_plies=opening_plies)
    return Stage(config, seed, game, always(moves))


def test_a_termination_and_a_truncation_side_by_side_by_hand():
    """The limit is 3 moves. Row 0 is cut off; row 1 reaches the goal with the third, as the time is up; row 2 with the
    second. Actions 0, 1, 2 are steps of 1, 2, 3."""
    stage = stage_of(WALK, [0, 1, 2, 0], plies=5)
    state, kept = played(stage, new_episodes(WALK, 4))
    places = kept.position[..., 0, 0, 0].T
    np.testing.assert_array_equal(places, [[0, 1, 2, 3, 0], [0, 2, 4, 0, 2], [0, 3, 0, 3, 0], [0, 1, 2, 3, 0]])
    rewards = [[1, 1, 1, 0, 1], [0.5, 0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.25, 0.25, 0.25], [1, 1, 1, 0, 1]]
    np.testing.assert_array_equal(kept.reward.T, rewards)
    on = np.float32(0.997)
    discounts = [[on, on, on, 0, on], [on, on, 0, on, on], [on, 0, on, 0, on], [on, on, on, 0, on]]
    np.testing.assert_array_equal(kept.discount.T, discounts)
    ended = [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 1, 0]]
    np.testing.assert_array_equal(kept.ended.T, np.array(ended, bool))
    chosen = [[1, 1, 1, 0, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 1]]
    np.testing.assert_array_equal(kept.chosen.T, np.array(chosen, bool))
    np.testing.assert_array_equal(kept.search_value, 10 * kept.position[..., 0, 0, 0])
    # The position in which a walk is cut off is its own, not the next one's; each episode has its own seed.
    marks = kept.position[..., 0, 0, 1].T
    numbers = [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 2], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(marks, [[mark_of(row, n) for n in own] for row, own in enumerate(numbers)])
    np.testing.assert_array_equal(state.ply, [1, 2, 1, 1])
    np.testing.assert_array_equal(state.number, [1, 1, 2, 1])
    np.testing.assert_array_equal(state.actions[:, :2], [[0, 0], [1, 1], [2, 0], [0, 0]])
    np.testing.assert_array_equal(state.state.board[:, 0, 0, 0], [1, 4, 3, 1])


def test_an_iteration_may_end_where_a_walk_is_cut_off():
    whole = played(stage_of(WALK, [0, 1, 2, 0], plies=4), new_episodes(WALK, 4))[1]
    state, first = played(stage_of(WALK, [0, 1, 2, 0], plies=3), new_episodes(WALK, 4))
    assert state.cut.tolist() == [True, False, False, True]
    _, second = played(stage_of(WALK, [0, 1, 2, 0], plies=1), state)
    jax.tree.map(lambda a, b, c: np.testing.assert_array_equal(a, np.concatenate([b, c])), whole, first, second)


@pytest.mark.parametrize("plies", [1, 2, 4, 5])
def test_environments_made_anew_go_on_where_the_others_stood(plies):
    """A new stage replays the moves of episodes that are differently long."""
    moves = [0, 1, 2, 0]
    whole = played(stage_of(WALK, moves, plies=plies + 4), new_episodes(WALK, 4))
    state, first = played(stage_of(WALK, moves, plies=plies), new_episodes(WALK, 4))
    after, second = played(stage_of(WALK, moves, plies=4), state)
    jax.tree.map(lambda a, b, c: np.testing.assert_array_equal(a, np.concatenate([b, c])), whole[1], first, second)
    jax.tree.map(np.testing.assert_array_equal, whole[0], after)


def test_a_stage_follows_the_games_that_it_is_given():
    stage = stage_of(WALK, [0, 1, 2, 0], plies=2)
    state, _ = played(stage, new_episodes(WALK, 4))
    state = jax.tree.map(np.copy, state)
    once, again = played(stage, state), played(stage, state)
    jax.tree.map(np.testing.assert_array_equal, once, again)


def test_what_cannot_be_repeated_is_cut_off_and_said_so(caplog):
    stray = register("AzeroStray-v0", Walk, limit=9, stray=True)
    state, _ = played(stage_of(stray, [0, 0, 1, 1], plies=2), new_episodes(stray, 4))
    saved = jax.tree.map(np.copy, state)
    with caplog.at_level(logging.WARNING):
        after, kept = played(stage_of(stray, [0, 0, 1, 1], plies=2), state)
    assert all(
        "gym:AzeroStray-v0 does not repeat itself from its seeds: 4 of 4 running" in line for line in caplog.messages
    )
    assert len(caplog.messages) == 1
    # The saved position is searched once more, so that what led to it has what comes after it; no move is made there.
    np.testing.assert_array_equal(kept.position[0], saved.state.board)
    np.testing.assert_array_equal(kept.position[1][:, 0, 0, 0], 0)
    for row in (kept.chosen, kept.reward, kept.discount, ~kept.ended):
        assert not row[0].any()
    assert kept.chosen[1].all()
    np.testing.assert_array_equal(after.number, [1, 1, 1, 1])


def test_openings_are_as_long_as_their_seeds_say():
    moves = [0] * 64
    _, kept = played(stage_of(WALK, moves, plies=4, opening_plies=2), new_episodes(WALK, 64))
    lengths = (~kept.chosen[:3]).sum(axis=0)
    assert set(lengths) == {0, 1, 2}
    again = played(stage_of(WALK, moves, plies=4, opening_plies=2), new_episodes(WALK, 64))[1]
    np.testing.assert_array_equal(again.chosen, kept.chosen)
    other = played(stage_of(WALK, moves, plies=4, opening_plies=2, seed=1), new_episodes(WALK, 64))[1]
    assert (other.chosen != kept.chosen).any()


def test_a_slow_environment_is_counted_as_waiting():
    slow = register("AzeroSlow-v0", Walk, limit=9, seconds=0.01)
    stage = stage_of(slow, [0, 0], plies=5)
    played(stage, new_episodes(slow, 2))
    assert stage.waited > 0.9 * 2 * 5 * 0.01


def test_what_is_stepped_while_a_search_is_under_way_is_not_counted_as_waiting():
    plies, seconds = 5, 0.01
    slow = register("AzeroSlow-v0", Walk, limit=9, seconds=seconds)

    def think(learner, observation, opening, number):
        long = jax.lax.fori_loop(0, 4_000_000, lambda turn, x: jnp.sin(x + turn), observation[:, 0, 0, 0] + number)
        nothing = jnp.zeros((len(observation), 1))
        return Thought((long > 2).astype(jnp.int32), nothing.astype(jnp.int16), nothing.astype(jnp.float16), long)

    mesh = jax.make_mesh((2,), ("games",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    split, same = jax.sharding.PartitionSpec("games"), jax.sharding.PartitionSpec()
    inputs = same, split, split, same
    think = jax.jit(jax.shard_map(think, mesh=mesh, in_specs=inputs, out_specs=split, check_vma=False))
    stage = Stage(SelfPlayConfig(games=4, plies=plies, opening_plies=0), 0, slow, think)
    state, _ = played(stage, new_episodes(slow, 4))
    played(stage, state)
    assert stage.waited < 0.5 * 4 * plies * seconds


TINY = dataclasses.replace(
    preset("", "gym:CartPole-v1").config,
    devices=2,
    network=NetworkConfig(width=16, blocks=1),
    search=SearchConfig(simulations=4),
    selfplay=SelfPlayConfig(games=8, plies=12, opening_plies=3),
    learn=LearnConfig(batch=32, reuse=1.0),
    replay=ReplayConfig(capacity=8 * 64, minimum=64),
    muzero=MuZeroConfig(unroll=2, td_steps=3, bins=11, value_range=400.0, reanalyse=0.25),
    report=ReportConfig(strength_every=0, checkpoint_every=1, keep_newest=9),
)


@pytest.fixture(scope="module")
def cartpole():
    return make_trainer(TINY, games.make("gym:CartPole-v1"))


def run_to(folder, trainer, iterations):
    budget = Budget(None, iterations, None, time.monotonic())
    folder.mkdir(exist_ok=True)
    said = []
    progress = Progress()
    progress.say = said.append
    outcome = run(TINY, trainer, folder, budget, lambda params, last: {"nothing": 0.0}, progress)
    progress.end()
    return outcome.iteration, said


def test_a_run_that_stops_and_goes_on_equals_one_that_never_stopped(cartpole, tmp_path):
    from azero import checkpoint

    iteration, said = run_to(tmp_path / "whole", cartpole, 4)
    assert iteration == 4
    assert not any("resuming" in line for line in said)
    assert run_to(tmp_path / "parts", cartpole, 2)[0] == 2
    iteration, said = run_to(tmp_path / "parts", cartpole, 4)
    assert iteration == 4
    assert any(line.endswith("after iteration 2") for line in said)
    for name in ("whole", "parts"):
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4]
    whole, parts = (checkpoint.restore(tmp_path / name, cartpole.init()).state for name in ("whole", "parts"))
    assert int(whole.iteration) == int(parts.iteration) == 4
    assert int(whole.games.ply.max()) > 0
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(parts))


def test_what_is_stored_is_what_was_played(cartpole):
    """Positions that follow each other in the store do so by the rules of the environment, seeds and all."""
    game = games.make("gym:CartPole-v1")
    state, told = cartpole.init(), 0.0
    for _ in range(3):
        state, metrics = cartpole.iterate(state)
        told += float(metrics.games * metrics.results["episode_return"])
    assert 0 <= float(metrics.extra["device_waits"]) <= 1
    assert float(metrics.games) > 0
    plies = jax.device_get(state.replay.plies)
    seen = jax.vmap(jax.vmap(lambda position: unpack(game, position)[0]))(plies.position)
    env = gymnasium.make("CartPole-v1")
    numbers = []
    for row in range(8):
        number = 0
        expected, _ = env.reset(seed=seed_of(TINY.seed, row, number))
        for ply in range(36):
            np.testing.assert_array_equal(seen[row, ply, 0, 0], expected)
            expected, reward, over, cut, _ = env.step(int(plies.made[row, ply]))
            assert not cut
            assert plies.came.reward[row, ply] == reward
            assert plies.ended[row, ply] == over
            assert plies.came.discount[row, ply] == (0 if over else np.float32(0.997))
            if over:
                number += 1
                expected, _ = env.reset(seed=seed_of(TINY.seed, row, number))
        numbers.append(number)
    assert sum(numbers) > 4
    assert list(metrics.results) == ["episode_return"]
    assert told == pytest.approx(plies.came.reward.sum() / game.reward_scale)


def test_episodes_by_hand():
    def plays(action):
        def answers(states, key):
            count = len(states.terminal)
            return Answer(np.full(count, action), np.full((count, 3), 1 / 3, np.float32), None, None)

        return answers

    ones = play_episodes(WALK, plays(0), 3)
    assert (ones.returns.tolist(), ones.lengths.tolist(), ones.cut.tolist()) == ([3] * 3, [3] * 3, [True] * 3)
    twos = play_episodes(WALK, plays(1), 3)
    assert (twos.returns.tolist(), twos.lengths.tolist(), twos.cut.tolist()) == ([1.5] * 3, [3] * 3, [False] * 3)
    threes = play_episodes(WALK, plays(2), 3)
    assert (threes.returns.tolist(), threes.lengths.tolist(), threes.cut.tolist()) == ([0.5] * 3, [2] * 3, [False] * 3)


def test_episodes_are_those_of_the_environment():
    game = games.make("gym:CartPole-v1")

    def leftwards(states, key):
        """Against the lean, which falls late; where it is asked, the pole has not fallen."""
        lean = states.board[:, 0, 0, 2]
        assert not states.terminal.any()
        return Answer((np.asarray(lean) > 0).astype(np.int32), np.full((len(lean), 2), 0.5, np.float32), None, None)

    found = play_episodes(game, leftwards, 6, seed=3)
    env = gymnasium.make("CartPole-v1")
    for number in range(6):
        seen, _ = env.reset(seed=int(np.random.SeedSequence((3, number)).generate_state(1)[0]))
        total, over = 0.0, False
        while not over:
            seen, reward, over, cut, _ = env.step(int(seen[2] > 0))
            total, over = total + reward, over or cut
        assert found.returns[number] == found.lengths[number] == total
    assert len(set(found.returns)) > 1
    by_chance = play_episodes(game, random_answers(game), 8, seed=1)
    np.testing.assert_array_equal(by_chance.returns, play_episodes(game, random_answers(game), 8, seed=1).returns)


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


def test_packed_positions_unpack_to_what_was_observed():
    _, kept = played(stage_of(WALK, [0, 1], plies=2), new_episodes(WALK, 2))
    position = packed(WALK, kept).position
    seen, legal = jax.vmap(jax.vmap(lambda one: unpack(WALK, one)))(position)
    np.testing.assert_array_equal(seen, kept.position)
    assert legal.all()
