"""azero's trees against mctx's: the same priors, values and noise give the same searches."""

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mctx._src.seq_halving import get_table_of_considered_visits
from toy_games import make_toy, roots

import games
from azero.config import SearchConfig
from azero.search import Amplified, Evaluate, by_rules, make_tree_search
from azero.search.halving import halving, steps
from games.core import Game, State

KEY = jax.random.key(5)
# The answers are the same; it compiles in half the time.
QUICKLY = {"xla_backend_optimization_level": 0}

GUMBEL = SearchConfig(simulations=32)
PUCT = SearchConfig(simulations=32, algorithm="puct")
TREES = {  # actions, settings, noise, and the lanes to compare with mctx
    "not rescaled, 4 considered": (20, SearchConfig(simulations=16, considered=4, rescale_values=False), True, (3,)),
    "fewer simulations than considered": (20, SearchConfig(simulations=10), True, (16,)),
    "1 simulation": (20, SearchConfig(simulations=1), True, (1,)),
    "1 considered": (20, SearchConfig(simulations=12, considered=1), True, (1,)),
    "puct, 20 moves": (20, PUCT, True, (1,)),
    "5 moves, no noise": (5, SearchConfig(simulations=40), False, (1,)),
    "puct, 5 moves, no noise": (5, PUCT, False, (1,)),
    "2 moves": (2, GUMBEL, True, (1,)),
    "1 move": (1, GUMBEL, True, (1,)),
}
GAMES = {  # random games, the most plies of each, settings, lanes
    "tic_tac_toe": (128, 9, GUMBEL, (1, 4)),
    "tic_tac_toe puct": (128, 9, PUCT, (1,)),
    "connect_four": (128, 42, SearchConfig(simulations=24, considered=5, rescale_values=False), (1,)),
    "connect_four puct": (128, 42, PUCT, (1,)),
    "othello": (32, 70, SearchConfig(simulations=24), (1,)),
    "othello puct": (32, 70, SearchConfig(simulations=20, algorithm="puct"), (1,)),
}


def searched(config: SearchConfig, game: Game, evaluate: Evaluate, explore: bool, states: State) -> Amplified:
    search = jax.jit(make_tree_search(config, by_rules(game, evaluate), explore))
    return search.lower(None, states, KEY).compile(compiler_options=QUICKLY)(None, states, KEY)


def linear(game: Game) -> Evaluate:
    """A random linear judge: no two moves and no two positions of a game are alike to it."""
    size = int(np.prod(game.observation_shape))
    weights = jax.random.normal(jax.random.key(3), (size, game.num_actions + 1))
    observe = jax.vmap(game.observe)

    def evaluate(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        answer = observe(states).reshape(-1, size) @ weights
        return answer[:, :-1] * 0.5 + jnp.arange(game.num_actions) * 1e-3, jnp.tanh(answer[:, -1] * 0.3)

    return evaluate


def assert_same(found: Amplified, expected: Amplified, clear: np.ndarray) -> None:
    """Visits are equal, actions too in the clear rows, bool [B], and the rest but for rounding."""
    np.testing.assert_array_equal(found.visits, expected.visits)
    np.testing.assert_allclose(found.policy, expected.policy, atol=1e-5)
    np.testing.assert_allclose(found.q, expected.q, atol=1e-5)
    np.testing.assert_allclose(found.value, expected.value, atol=1e-5)
    np.testing.assert_array_equal(found.action[clear], expected.action[clear])


def compare(
    config: SearchConfig, explore: bool, lanes: tuple[int, ...], game: Game, evaluate: Evaluate, states: State
) -> None:
    """Searches with mctx and with these numbers of lanes, and compares."""
    configs = [dataclasses.replace(config, backend="mctx"), *(dataclasses.replace(config, lanes=n) for n in lanes)]
    with ThreadPoolExecutor() as pool:  # compiling takes longest
        expected, *others = pool.map(lambda one: searched(one, game, evaluate, explore, states), configs)
    clear = np.ones(len(expected.action), bool)
    if config.algorithm == "puct" and not explore:  # mctx draws one of the most visited
        clear = (expected.visits == expected.visits.max(axis=-1, keepdims=True)).sum(axis=-1) == 1
        assert clear.mean() > 0.5
    for found in others:
        assert_same(found, expected, clear)


@functools.cache
def forest(actions: int) -> tuple[Game, Evaluate, State]:
    """Random trees in which depths, moves, ends, rewards and who moves next differ from row to row."""
    game, evaluate = make_toy(actions)
    return game, evaluate, roots(game, 256, 12)


@pytest.mark.parametrize("case", TREES)
def test_random_trees_are_searched_as_by_mctx(case: str) -> None:
    actions, config, explore, lanes = TREES[case]
    game, evaluate, states = forest(actions)
    assert states.terminal.any()
    assert (states.legal.sum(axis=-1) == 1).any()
    assert len(np.unique(states.legal.sum(axis=-1))) >= min(actions, 5)
    compare(config, explore, lanes, game, evaluate, states)


@pytest.mark.parametrize("case", GAMES)
def test_games_are_searched_as_by_mctx(case: str) -> None:
    count, plies, config, lanes = GAMES[case]
    game = games.make(case.split()[0])
    states = roots(game, count, plies)
    assert states.terminal.any()
    compare(config, True, lanes, game, linear(game), states)


@pytest.mark.parametrize("simulations", [1, 2, 3, 7, 16, 32, 50, 64, 200])
def test_halving_tables_are_those_of_mctx(simulations: int) -> None:
    visits, left = halving(20, simulations)
    np.testing.assert_array_equal(visits, get_table_of_considered_visits(20, simulations))
    for row, rest in zip(visits, left, strict=True):
        runs = [int((np.cumprod(row[i:] == row[i])).sum()) for i in range(simulations)]
        np.testing.assert_array_equal(rest, runs)


def test_lanes_promise_fifteen_batches_instead_of_sixty_four() -> None:
    plan = steps(16, 64, 16)
    assert plan == [(16, 1), (8, 2), (4, 4), (2, 8)]
    assert sum(times for _, times in plan) == 15
    assert sum(size * times for size, times in plan) == 64
    assert steps(16, 64, 1) == [(1, 64)]


def test_sixteen_lanes_search_as_mctx_does_and_in_fifteen_batches() -> None:
    game, judge, states = forest(20)
    config = SearchConfig(simulations=64, lanes=16)
    sizes = []

    def evaluate(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        jax.debug.callback(lambda size: sizes.append(int(size)), states.terminal.shape[0])
        return judge(params, states, key)

    search = jax.jit(make_tree_search(config, by_rules(game, evaluate), False))
    search = search.lower(None, states, KEY).compile(compiler_options=QUICKLY)
    assert_same(
        search(None, states, KEY),
        searched(dataclasses.replace(config, backend="mctx"), game, judge, False, states),
        np.ones(len(states.terminal), bool),
    )
    jax.effects_barrier()
    sizes.clear()
    wide = int(np.flatnonzero(states.legal.sum(axis=-1) >= 16)[0])
    jax.block_until_ready(search(None, jax.tree.map(lambda leaf: jnp.repeat(leaf[wide][None], 256, 0), states), KEY))
    jax.effects_barrier()
    assert sorted(size // 256 for size in sizes) == [1, *[2] * 8, *[4] * 4, *[8] * 2, 16]  # and the roots
