"""What networks and searches answer to every position of a solved board."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero import exact
from azero.answers import BadPosition, network_answers, random_answers, search_answers
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network

KEY = jax.random.key(0)

NETWORK = make_network(NetworkConfig(width=16, blocks=1), games.make("tic_tac_toe"))
PARAMS = NETWORK.init(KEY)
SEARCH = SearchConfig(simulations=12)


@pytest.fixture(scope="module")
def ttt():
    return exact.board("tic_tac_toe")


@pytest.fixture(scope="module")
def model(ttt):
    return exact.network_policy(ttt, functools.partial(network_answers(ttt.game, NETWORK), PARAMS), batch=1000)


def test_a_network_is_asked_about_every_position(ttt, model):
    policy, value = model
    logits, values = NETWORK.apply(PARAMS, jax.vmap(ttt.game.observe)(ttt.states))
    expected = jax.nn.softmax(logits, where=jnp.asarray(ttt.legal))
    np.testing.assert_allclose(policy, jnp.where(ttt.legal, expected, 0), atol=1e-6)
    np.testing.assert_allclose(value, values, atol=1e-6)
    assert (policy.dtype, value.dtype) == (np.float32, np.float32)
    assert 0.05 < exact.report(ttt, policy)["blunder"]["all"] < 0.95


def test_those_without_opinion_have_a_policy(ttt):
    policy, value = exact.network_policy(ttt, random_answers(ttt.game))
    assert value is None
    np.testing.assert_allclose(policy, exact.uniform(ttt), atol=1e-7)


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_a_search_in_tables_is_the_search_of_the_network(ttt, model, algorithm):
    config = dataclasses.replace(SEARCH, algorithm=algorithm)
    search = functools.partial(search_answers(config, ttt.game, NETWORK), PARAMS)
    policy, value = exact.network_policy(ttt, search)
    in_tables, value_in_tables = exact.amplified_policy(ttt, config, *model, batch=999)
    # Rounding differs, and may turn a choice between moves that are as good.
    same = np.isclose(policy, in_tables, atol=1e-4).all(axis=1) & np.isclose(value, value_in_tables, atol=1e-4)
    assert same.mean() > 0.995
    before, after = (exact.report(ttt, shares)["regret"]["all"] for shares in (model[0], in_tables))
    assert after < 0.7 * before


def test_exact_values_amplify_to_nearly_perfect_play(ttt):
    found, value = exact.amplified_policy(ttt, SEARCH, exact.uniform(ttt), ttt.value.astype(np.float32), batch=999)
    assert exact.report(ttt, exact.argmax(found))["regret"]["all"] < 0.02
    assert exact.report(ttt, exact.uniform(ttt))["regret"]["all"] > 0.6
    decided = ttt.value != 0
    assert (np.sign(value) == ttt.value)[decided].mean() > 0.95


def test_a_network_of_no_numbers_is_refused(ttt):
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, PARAMS)
    with pytest.raises(BadPosition, match="row 0: the network answers NaN"):
        exact.network_policy(ttt, functools.partial(network_answers(ttt.game, NETWORK), broken))


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four_4x4"])
def test_moves_lead_to_the_rows_that_the_rules_lead_to(name):
    board = exact.board(name)
    rows = np.random.default_rng(0).integers(len(board.q), size=2000)
    actions = np.array([np.random.default_rng(row).choice(np.flatnonzero(board.legal[row])) for row in rows], np.int32)
    before = jax.tree.map(lambda leaf: leaf[rows], board.states)
    after = jax.jit(jax.vmap(board.game.step, in_axes=(0, 0, None)))(before, actions, KEY)
    child = board.child[rows, actions]
    goes_on = child >= 0
    np.testing.assert_array_equal(after.terminal, ~goes_on)
    np.testing.assert_array_equal(after.reward, board.reward[rows, actions])
    assert 0 < goes_on.sum() < len(rows)
    np.testing.assert_array_equal(after.discount, np.where(goes_on, -1, 0))
    for found, kept in zip(jax.tree.leaves(after.board), jax.tree.leaves(board.states.board), strict=True):
        np.testing.assert_array_equal(np.asarray(found)[goes_on], kept[child[goes_on]])
    ply = np.searchsorted(board.first_row, np.arange(len(board.q)), side="right")
    np.testing.assert_array_equal(ply[child[goes_on]], ply[rows[goes_on]] + 1)
    assert board.first_row[-1] == len(board.q) == len(board.states.terminal)


@pytest.mark.parametrize("name", ["connect_four", "tictactoe"])
def test_only_solved_games_have_a_board(name):
    with pytest.raises(
        ValueError, match=f"'{name}' .* solved games are tic_tac_toe, connect_four_4x4, connect_four_5x4"
    ):
        exact.board(name)


def test_a_model_without_a_value_of_each_position_is_refused(ttt):
    for value in (np.zeros(3), np.full(len(ttt.q), np.nan)):
        with pytest.raises(ValueError, match="a value of each of the 4520 positions"):
            exact.amplified_policy(ttt, SEARCH, exact.uniform(ttt), value)
