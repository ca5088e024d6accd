"""Self-play, and what of it is searched fully."""

import jax
import jax.numpy as jnp
import numpy as np

import games
from azero.config import DistillConfig, NetworkConfig, ReplayConfig, SearchConfig, SelfPlayConfig, TargetConfig
from azero.distill import Learner, Lesson
from azero.distill.cross_entropy import cross_entropy
from azero.network import make_network
from azero.replay import add, draw, empty
from azero.search import Amplified, make_search
from azero.selfplay import make_selfplay, new_games
from azero.targets import samples

GAME = games.make("tic_tac_toe")
NETWORK = make_network(NetworkConfig(width=8, blocks=1), GAME)
PARAMS = NETWORK.init(jax.random.key(0))
LEARNER = Learner(PARAMS, None, jnp.int32(0))
GAMES = 4


def sure(slot: int):
    """A search that plays the first legal move and teaches the last (-1) or first (0) one beyond doubt."""

    def search(learner, states, key):
        del learner, key
        order = jnp.argsort(~states.legal, axis=-1, stable=True)  # legal moves first
        legal = states.legal.sum(-1)
        taught = order[jnp.arange(GAMES), slot % legal]
        policy = jax.nn.one_hot(taught, GAME.num_actions)
        return Amplified(order[:, 0], policy, policy.astype(jnp.int32), jnp.zeros_like(policy), jnp.full(GAMES, 0.5))

    return search


def taught(learner, states, amplified, key):
    """The policy of the search, as it is."""
    return Lesson(amplified.policy)


def played(search, cheap, share: float, plies: int):
    """The trajectory of some games of tic_tac_toe."""
    config = SelfPlayConfig(games=GAMES, plies=plies, opening_plies=2, full_share=share)
    play = make_selfplay(config, GAME, search, taught, 9, cheap)

    @jax.jit
    def run():
        start = new_games(GAME, config, GAMES, jax.random.key(0))
        return play(LEARNER, start, jax.random.key(1))[1]

    return jax.device_get(run())


@jax.jit
def gradient(trajectory):
    """Of the loss, on samples drawn from a store that holds this trajectory."""
    replay = add(empty(GAME, ReplayConfig(capacity=400), 1), samples(TargetConfig(), trajectory, jnp.zeros(GAMES)))
    batch = draw(replay, GAME, replay.added[0], 64, jax.random.key(3))
    loss = cross_entropy(DistillConfig(), NETWORK)
    return jax.grad(lambda params: loss(Learner(params, None, 0), batch, None)[0])(PARAMS)


def test_full_and_cheap_plies_run_their_own_simulations():
    def counted(simulations: int, explore: bool):
        search = make_search(SearchConfig(simulations=simulations), GAME, NETWORK, explore)

        def with_count(learner, states, key):
            amplified = search(learner.params, states, key)
            return amplified._replace(value=amplified.visits.sum(-1).astype(jnp.float32))

        return with_count

    trajectory = played(counted(12, True), counted(3, False), 0.5, 32)
    simulations = trajectory.search_value
    assert set(simulations.ravel()) == {3, 12}
    assert (simulations == simulations[:, :1]).all(), "one coin for all games of a ply"
    np.testing.assert_array_equal(trajectory.weights.any(-1), simulations == 12)
    np.testing.assert_allclose(trajectory.weights.astype(np.float32).sum(-1), simulations == 12, atol=1e-2)


def test_the_share_is_the_one_asked_for():
    for share in (0.25, 0.8):
        trajectory = played(sure(0), sure(0), share, 2000)
        full = trajectory.weights.any(-1)[:, 0]
        deviation = np.sqrt(share * (1 - share) / 2000)
        assert abs(full.mean() - share) < 4 * deviation
        after_full = full[1:][full[:-1]].mean()
        assert abs(after_full - share) < 4 * deviation / np.sqrt(share), "a coin does not depend on the one before"


def test_policies_of_cheap_searches_are_not_learned():
    right = played(sure(0), sure(0), 0.5, 40)
    wrong = played(sure(0), sure(-1), 0.5, 40)
    jax.tree.map(np.testing.assert_array_equal, right, wrong)
    jax.tree.map(np.testing.assert_array_equal, gradient(right), gradient(wrong))
    other = played(sure(-1), sure(0), 0.5, 40)
    bias, other_bias = gradient(right)["policy"]["bias"], gradient(other)["policy"]["bias"]
    assert np.abs(bias - other_bias).max() > 0.01, "those of full searches are"


def test_without_a_cheap_search_every_move_is_full_and_nothing_branches():
    config = SelfPlayConfig(games=GAMES, plies=3)
    state = new_games(GAME, config, GAMES, jax.random.key(0))
    programs = [
        str(jax.make_jaxpr(make_selfplay(config, GAME, sure(0), taught, 9, cheap))(LEARNER, state, jax.random.key(1)))
        for cheap in (None, sure(-1))
    ]
    assert ["cond[" in program for program in programs] == [False, True]
    trajectory = played(sure(0), None, 1.0, 20)
    assert trajectory.weights.any(-1).all()
