"""Environments that the host steps: what self-play keeps, by hand, and runs that go on."""

import dataclasses
import json
import logging
import time

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hosted_envs import WALK, Walk, register

import games
from azero.answers import Answer, random_answers
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


def test_packed_positions_unpack_to_what_was_observed():
    _, kept = played(stage_of(WALK, [0, 1], plies=2), new_episodes(WALK, 2))
    position = packed(WALK, kept).position
    seen, legal = jax.vmap(jax.vmap(lambda one: unpack(WALK, one)))(position)
    np.testing.assert_array_equal(seen, kept.position)
    assert legal.all()
