"""The loop: self-play, replay and learning together."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

import games
from azero.checkpoint import Keep, restore, save
from azero.config import Config, DistillConfig, LearnConfig, NetworkConfig, ReplayConfig, SearchConfig, SelfPlayConfig
from azero.distill import Learner
from azero.distill.cross_entropy import cross_entropy
from azero.network import make_network
from azero.replay import draw
from azero.train import PURPOSES, device_mesh, make_key, make_schedule, make_trainer

TINY = Config(
    game="tic_tac_toe",
    devices=2,
    network=NetworkConfig(width=16, blocks=1),
    search=SearchConfig(simulations=4),
    selfplay=SelfPlayConfig(games=16, plies=6, opening_plies=3),
    learn=LearnConfig(batch=32, reuse=2.0, warmup=5),
    replay=ReplayConfig(capacity=512, minimum=64),
)


@functools.cache
def trainer(devices: int):
    return make_trainer(dataclasses.replace(TINY, devices=devices), games.make("tic_tac_toe"))


def after(devices: int, iterations: int):
    state = trainer(devices).init()
    for _ in range(iterations):
        state, metrics = trainer(devices).iterate(state)
    return jax.device_get(state), jax.device_get(metrics)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_iterations_run_on_one_device_and_on_many(devices):
    state, metrics = after(devices, 3)
    assert int(state.iteration) == 3
    assert state.replay.added.tolist() == [3 * 16 * 6 // devices] * devices, "each device keeps its own part"
    assert state.games.ply.shape == (16,)
    assert all(np.isfinite(value) for value in jax.tree.leaves(metrics))
    assert metrics.games > 0
    assert metrics.full_share == 1
    assert metrics.policy_loss < 2.2


def test_a_residual_tower_learns_on_several_devices():
    """Convolutions backward, then a sum over devices: with too few threads XLA hangs here (see azero.startup)."""
    network = NetworkConfig(kind="resnet", width=8, blocks=1)
    one = make_trainer(dataclasses.replace(TINY, devices=2, network=network), games.make("tic_tac_toe"))
    state, metrics = one.iterate(one.init())
    assert int(state.iteration) == 1
    assert np.isfinite(metrics.policy_loss)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    one, _ = after(2, 2)
    two, _ = after(2, 2)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    other = make_trainer(dataclasses.replace(TINY, seed=1), games.make("tic_tac_toe"))
    state, _ = other.iterate(other.init())
    assert not np.array_equal(one.replay.samples.position.cells[:96], state.replay.samples.position.cells[:96])


def test_two_iterations_two_devices_and_two_purposes_have_different_keys():
    keys = {
        tuple(jax.random.key_data(make_key(0, purpose, iteration, device)).tolist())
        for purpose in PURPOSES
        for iteration in range(3)
        for device in range(2)
    }
    assert len(keys) == len(PURPOSES) * 3 * 2


def test_each_iteration_plays_other_games():
    """Two stretches of play from the same state of training would be equal if a key were used twice."""
    state, _ = after(2, 2)
    cells = state.replay.samples.position.cells.reshape(2, 256, -1)  # [device, ring, ...]
    first, second = cells[:, :48], cells[:, 48:96]
    assert not np.array_equal(first, second)
    assert not np.array_equal(cells[0, :48], cells[1, :48]), "two devices play different games"


def test_nothing_is_compiled_after_the_first_iteration():
    state = trainer(2).init()
    state, _ = trainer(2).iterate(state)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(name) if name.endswith("backend_compile_duration") else None
    )
    try:
        for _ in range(2):
            state, _ = trainer(2).iterate(state)
    finally:
        jax.monitoring.clear_event_listeners()
    assert compiled == []


def test_gradients_are_averaged_over_devices():
    """The parameters are the same on every device although each drew its own batch."""
    state = trainer(2).init()
    for _ in range(2):
        state, _ = trainer(2).iterate(state)
    for leaf in jax.tree.leaves((state.params, state.average)):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 2
        np.testing.assert_array_equal(*copies)


def test_devices_are_as_many_as_games_and_batch_split_over():
    config = dataclasses.replace(TINY, devices=0, selfplay=SelfPlayConfig(games=18), learn=LearnConfig(batch=48))
    assert device_mesh(config).size == 3  # there are 4


def imitating(config, network):
    """The cross-entropy as a function of (params, batch)."""
    loss = cross_entropy(config, network)
    return lambda params, batch: loss(Learner(params, None, 0), batch, None)


def test_policy_losses_are_means_over_the_positions_with_a_policy_target():
    network = make_network(NetworkConfig(width=8, blocks=1), games.make("tic_tac_toe"))
    params = network.init(jax.random.key(0))
    state, _ = after(1, 1)
    batch = jax.device_get(draw(state.replay, games.make("tic_tac_toe"), 96, 8, jax.random.key(0)))
    taught = np.arange(8) < 3
    graded = jax.jit(jax.value_and_grad(imitating(DistillConfig(value_weight=0.0), network), has_aux=True))
    few = batch._replace(policy=batch.policy * taught[:, None], value=np.where(taught, batch.value, 9.0))
    (got, parts), gradient = graded(params, few)
    (expected, expected_parts), expected_gradient = graded(params, jax.tree.map(lambda leaf: leaf[:3], batch))
    np.testing.assert_allclose(
        [got, parts.policy, parts.entropy], [expected, expected_parts.policy, expected_parts.entropy], rtol=1e-5
    )
    jax.tree.map(lambda *leaves: np.testing.assert_allclose(*leaves, atol=1e-6), gradient, expected_gradient)
    assert parts.value > 30, "the value is learned of all"
    (got, parts), gradient = graded(params, batch._replace(policy=batch.policy * 0))
    assert got == parts.policy == parts.entropy == 0, "there may be none"
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))


def test_a_run_with_cheap_searches_resumes_bit_for_bit(tmp_path):
    selfplay = dataclasses.replace(TINY.selfplay, full_share=0.5, cheap_simulations=2)
    one = make_trainer(dataclasses.replace(TINY, selfplay=selfplay), games.make("tic_tac_toe"))
    state, metrics = one.iterate(one.init())
    weights = state.replay.samples.weights.reshape(2, 256, -1)[:, :48]  # [device, ring, ...]
    full = np.asarray(weights).any(-1).reshape(2, 6, 8)
    assert (full == full[:, :, :1]).all(), "the games of a device are searched alike"
    assert not np.array_equal(full[0], full[1]), "each device has its own coin"
    assert metrics.full_share == pytest.approx(full.mean())
    assert 0 < full.mean() < 1
    save(tmp_path, 1, state, {}, {}, None, Keep())
    whole, _ = one.iterate(state)
    resumed, _ = one.iterate(restore(tmp_path, one.init()).state)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(resumed))


def test_gumbel_can_distil_its_visits():
    """The stored target is then a multiple of one simulation, and not the improved policy."""
    config = dataclasses.replace(TINY, devices=1, distill=DistillConfig(kind="visits"))
    one = make_trainer(config, games.make("tic_tac_toe"))
    state, _ = one.iterate(one.init())
    weights = np.asarray(state.replay.samples.weights[:96], np.float32) * TINY.search.simulations
    np.testing.assert_allclose(weights, weights.round(), atol=1e-2)
    improved, _ = after(1, 1)
    weights = np.asarray(improved.replay.samples.weights[:96], np.float32) * TINY.search.simulations
    assert np.abs(weights - weights.round()).max() > 0.1


def test_the_learning_rate_warms_up_and_falls():
    rate = make_schedule(LearnConfig(learning_rate=0.1, warmup=9, decay=100), updates=10)
    assert [round(float(rate(step)), 4) for step in (0, 4, 9)] == [0.01, 0.0499, 0.0996]
    assert float(rate(10 * 300)) == pytest.approx(0.05), "half the peak after three times `decay` iterations"
    constant = make_schedule(LearnConfig(learning_rate=0.1, warmup=0, decay=0), updates=10)
    assert float(constant(10**6)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": 99}, "devices is 99, but there are 4"),
        ({"devices": 4, "selfplay": SelfPlayConfig(games=6)}, "selfplay.games of 6 does not split evenly over 4"),
        ({"devices": 4, "learn": LearnConfig(batch=6)}, "learn.batch of 6 does not split evenly over 4"),
    ],
)
def test_devices_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(dataclasses.replace(TINY, **change), games.make("tic_tac_toe"))


def test_a_network_can_learn_what_the_search_says_by_heart():
    """Overfit a store of few positions; asserted on the network's answers, not on the loss."""
    state, _ = after(1, 1)
    game = games.make("tic_tac_toe")
    drawn = jax.device_get(draw(state.replay, game, 96, 256, jax.random.key(0)))
    # The same board searched twice has two targets; each board once.
    _, rows = np.unique(drawn.observation.reshape(256, -1), axis=0, return_index=True)
    batch = jax.tree.map(lambda leaf: leaf[rows[:32]], drawn)
    assert len(batch.value) == 32
    network = make_network(NetworkConfig(width=64, blocks=1), game)
    params = network.init(jax.random.key(0))
    import optax

    optimizer = optax.adam(3e-3)
    memory = optimizer.init(params)

    @jax.jit
    def update(params, memory):
        gradient, _ = jax.grad(imitating(TINY.distill, network), has_aux=True)(params, batch)
        steps, memory = optimizer.update(gradient, memory)
        return optax.apply_updates(params, steps), memory

    for _ in range(300):
        params, memory = update(params, memory)
    logits, value = network.apply(params, batch.observation)
    policy = jax.nn.softmax(np.where(batch.legal, logits, -1e30))
    assert np.abs(policy - batch.policy).max() < 0.05
    assert np.abs(value - batch.value).max() < 0.1
