"""Amplification: what a search must find whatever the network says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network
from azero.search import make_search
from games.notation import play_text

GAME = games.make("connect_four")
NETWORK = make_network(NetworkConfig(width=16, blocks=1), GAME)


def batch(texts):
    states = [play_text(GAME, text) for text in texts]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def searched(config, texts, explore=False, seed=0):
    params = NETWORK.init(jax.random.key(seed))
    return jax.jit(make_search(config, GAME, NETWORK, explore))(params, batch(texts), jax.random.key(seed))


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_mate_in_one_is_found_and_valued(algorithm):
    # PUCT visits a move by its prior first: with a blank network it needs more simulations than Gumbel.
    config = SearchConfig(algorithm=algorithm, simulations=64 if algorithm == "gumbel" else 800)
    found = searched(config, ["112233", "121212"])
    assert found.action.tolist() == [3, 0]
    np.testing.assert_allclose(found.q[0, 3], 1.0)
    np.testing.assert_allclose(found.q[1, 0], 1.0)


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_visits_policy_and_legality(algorithm):
    config = SearchConfig(algorithm=algorithm, simulations=24)
    full = "111111"
    found = searched(config, ["", full], explore=True)
    assert found.visits.sum(-1).tolist() == [24, 24]
    np.testing.assert_allclose(found.policy.sum(-1), [1, 1], rtol=1e-5)
    for table in (found.visits, found.policy, found.q):
        assert float(jnp.abs(table[1, 0])) == 0, "the full column"
    assert int(found.action[1]) != 0


def test_values_are_for_the_player_to_move():
    # "3344": the first player makes three in a row open on both sides, and wins.
    # "33445": he has done so; whatever the second player does is lost, and so is every move's value for him.
    found = searched(SearchConfig(simulations=1024), ["3344", "33445"])
    assert float(found.value[0]) > 0.3
    assert float(found.q[1].max()) < -0.1
    assert float(found.value[1]) < -0.1


def test_without_exploration_the_answer_does_not_depend_on_the_key():
    config = SearchConfig(simulations=16)
    params = NETWORK.init(jax.random.key(0))
    search = jax.jit(make_search(config, GAME, NETWORK, explore=False))
    answers = [search(params, batch(["", "44"]), jax.random.key(seed)).action.tolist() for seed in (1, 2)]
    assert answers[0] == answers[1]


def test_rows_do_not_mix():
    config = SearchConfig(simulations=16)
    texts = ["", "112233", "4444", "121212"]
    one, other = searched(config, texts), searched(config, texts[::-1])
    np.testing.assert_array_equal(one.visits, other.visits[::-1])
    np.testing.assert_allclose(one.value, other.value[::-1], rtol=1e-5)
