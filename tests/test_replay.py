"""The sample store."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.config import ReplayConfig
from azero.presets import PRESETS
from azero.replay import (
    Approval,
    Position,
    Sample,
    add,
    bytes_per_position,
    draw,
    empty,
    pack,
    stored_policy,
    unpack,
    window,
)

GAME = games.make("connect_four")


def numbered(start: int, count: int) -> Sample:
    """Samples whose value is their number and whose board is empty."""
    position = jax.vmap(lambda _: pack(GAME, jnp.zeros(GAME.observation_shape), jnp.ones(7, bool)))(jnp.arange(count))
    actions, weights = stored_policy(jnp.tile(jnp.arange(7.0) / 21, (count, 1)), 7)
    return Sample(position, actions, weights, jnp.arange(start, start + count, dtype=jnp.float32))


def test_pack_and_unpack_are_inverse_with_count_planes():
    game = GAME._replace(observation_shape=(3, 5, 4), count_planes=(1, 3), num_actions=11)
    rng = np.random.default_rng(0)
    observation = rng.integers(0, 2, (3, 5, 4)).astype(np.float32)
    observation[..., 1], observation[..., 3] = 0.25, 17.0
    legal = rng.integers(0, 2, 11).astype(bool)
    got, got_legal = unpack(game, pack(game, jnp.asarray(observation), jnp.asarray(legal)))
    np.testing.assert_array_equal(got, observation)
    np.testing.assert_array_equal(got_legal, legal)


def test_the_ring_forgets_the_oldest_first():
    config = ReplayConfig(capacity=10, minimum=10, share=1.0)
    replay = empty(GAME, config, 1)
    for start in (0, 4, 8):
        replay = add(replay, numbered(start, 4))
    assert sorted(np.asarray(replay.samples.value)) == list(range(2, 12))
    assert int(window(replay.samples.value.shape[0], replay.added[0], config, 1)) == 10
    batch = draw(replay, GAME, jnp.int32(3), 300, jax.random.key(0))
    assert set(np.asarray(batch.value)) == {9.0, 10.0, 11.0}, "the newest three and no others"


def test_the_window_grows_with_what_was_played():
    config = ReplayConfig(capacity=100, minimum=8, share=0.5)
    replay = empty(GAME, config, 1)
    sizes = []
    for start in range(0, 40, 4):
        replay = add(replay, numbered(start, 4))
        sizes.append(int(window(replay.samples.value.shape[0], replay.added[0], config, 1)))
    assert sizes == [4, 8, 8, 8, 10, 12, 14, 16, 18, 20]


def test_an_iteration_larger_than_the_store_is_refused():
    replay = empty(GAME, ReplayConfig(capacity=3), 1)
    with pytest.raises(ValueError, match=r"replay\.capacity of 3 .* iteration's 4"):
        add(replay, numbered(0, 4))


def test_draw_turns_board_and_policy_together():
    observation = jnp.zeros(GAME.observation_shape).at[5, 0, 0].set(1.0)
    legal = jnp.ones(7, bool).at[1].set(False)
    actions, weights = stored_policy(jnp.array([0.5, 0, 0.25, 0, 0, 0, 0.25]), 7)
    sample = Sample(pack(GAME, observation, legal), actions, weights, jnp.float32(0.5))
    replay = add(empty(GAME, ReplayConfig(capacity=4), 1), jax.tree.map(lambda leaf: leaf[None], sample))
    batch = draw(replay, GAME, jnp.int32(1), 64, jax.random.key(1))
    mirrored = np.asarray(batch.observation[:, 5, 6, 0]) == 1
    assert 10 < mirrored.sum() < 54, "both images are drawn"
    np.testing.assert_array_equal(
        batch.observation[mirrored], np.asarray(observation)[None, :, ::-1].repeat(mirrored.sum(), 0)
    )
    np.testing.assert_allclose(batch.policy[mirrored][0], [0.25, 0, 0, 0, 0.25, 0, 0.5])
    np.testing.assert_allclose(batch.policy[~mirrored][0], [0.5, 0, 0.25, 0, 0, 0, 0.25])
    assert not batch.legal[mirrored, 5].any()
    assert not batch.legal[~mirrored, 1].any()


def test_approvals_turn_with_the_board():
    """By hand: move 6 was made, move 1 is thought best; in the mirror they are moves 0 and 5."""
    legal = jnp.ones(7, bool)
    actions, weights = stored_policy(jnp.array([0.1, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1]), 7)
    q = jnp.array([-0.5, 0.75, 0, 0.25, 0, 0, -0.25])
    observation = jnp.zeros(GAME.observation_shape).at[5, 0, 0].set(1.0)
    made = [6, -1]
    thought = [Approval(q[actions].astype(jnp.float16), jnp.float32(0.5), jnp.int16(move)) for move in made]
    samples = [Sample(pack(GAME, observation, legal), actions, weights, jnp.float32(n), thought[n]) for n in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *samples)
    replay = add(empty(GAME, ReplayConfig(capacity=4), 1, approval=True), stacked)
    batch = jax.device_get(draw(replay, GAME, jnp.int32(2), 64, jax.random.key(1)))
    mirrored = batch.observation[:, 5, 6, 0] == 1
    opened = batch.value == 1
    for turned in (False, True):
        rows = mirrored == turned
        assert rows.sum() > 10
        np.testing.assert_array_equal(batch.approval.q[rows], np.tile(q[::-1] if turned else q, (rows.sum(), 1)))
        assert set(batch.approval.action[rows & ~opened]) == {0 if turned else 6}
        assert set(batch.approval.action[rows & opened]) == {-1}, "drawn by an opening, whichever way it is turned"
    assert set(batch.approval.value) == {0.5}


def test_a_cut_policy_keeps_its_largest_entries_and_sums_to_one():
    actions, weights = stored_policy(jnp.array([0.1, 0.4, 0.2, 0.05, 0.25, 0, 0]), 3)
    assert actions.tolist() == [1, 4, 2]
    position = pack(GAME, jnp.zeros(GAME.observation_shape), jnp.ones(7, bool))
    sample = Sample(position, actions, weights, jnp.float32(0))
    replay = empty(GAME, ReplayConfig(capacity=1, actions=3), 1)
    replay = add(replay, jax.tree.map(lambda leaf: leaf[None], sample))
    batch = draw(replay, GAME, jnp.int32(1), 1, jax.random.key(0))
    np.testing.assert_allclose(batch.policy.sum(), 1.0, rtol=1e-5)
    assert (batch.policy > 0).sum() == 3


def test_a_position_without_a_policy_target_comes_back_without_one():
    samples = numbered(0, 4)
    samples = samples._replace(weights=samples.weights.at[1::2].set(0))
    replay = add(empty(GAME, ReplayConfig(capacity=4), 1), samples)
    batch = draw(replay, GAME, jnp.int32(4), 64, jax.random.key(0))
    taught = np.asarray(batch.value) % 2 == 0
    np.testing.assert_allclose(batch.policy.sum(-1), taught, atol=1e-5)
    assert set(np.asarray(batch.value)) == {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("name", [name for name in PRESETS if name in games.OWN_GAMES])
def test_a_million_positions_of_own_games_take_under_60_mb(name):
    assert bytes_per_position(games.make(name), PRESETS[name].config.replay) <= 60


def test_position_has_no_leaf_of_no_elements():
    """XLA gives an array of no elements another sharding than it was handed, and the next call would recompile."""
    position = pack(GAME, jnp.zeros(GAME.observation_shape), jnp.ones(7, bool))
    assert isinstance(position, Position)
    assert all(leaf.size for leaf in jax.tree.leaves(position))
