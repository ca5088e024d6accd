"""The search against exact knowledge: solved positions, and mates in one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_play import play

import games
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network
from azero.search import Amplified, by_rules, make_search, make_tree_search
from games import oracles
from games.core import DRAW, ILLEGAL, LabelledPositions, State

SOLVED = games.make("connect_four_4x4")
AT_ONCE = 4096  # positions searched together
SAMPLE = 16_384


def keys(states: State) -> jax.Array | np.ndarray:
    """A number below 2^20 for each position: the first player's stones plus the taken cells."""
    first, second = states.board.bits[:, 0, 0], states.board.bits[:, 1, 0]
    return first + (first | second)


@functools.cache
def positions() -> LabelledPositions:
    return oracles.table_positions(SOLVED.name)


@functools.cache
def exact_search(config: SearchConfig, spread: float):
    """Search whose leaves have their exact values; prior logits are drawn from [-spread, spread]."""
    values = np.zeros(1 << 20, np.int8)
    values[keys(positions().states)] = positions().q.max(axis=1)
    values = jnp.asarray(values)

    def evaluate(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        number = keys(states)
        share = (number[:, None] * 4 + jnp.arange(4, dtype=jnp.uint32)) * jnp.uint32(2654435761)
        share = ((share ^ (share >> 15)) * jnp.uint32(2246822519) >> 8) / 2.0**23 - 1
        return spread * share, values[number].astype(jnp.float32)

    search = make_tree_search(config, by_rules(SOLVED, evaluate), False)

    @jax.jit
    def answer(states: State) -> tuple[jax.Array, jax.Array, jax.Array]:
        logits = jnp.where(states.legal, evaluate(None, states, None)[0], -jnp.inf)
        found = search(None, states, jax.random.key(0))
        return found.action, found.policy, jax.nn.softmax(logits)

    return answer


def exact_answers(config: SearchConfig, spread: float, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of these positions: value lost by the move that was chosen int [M], value gained by the policy against the
    prior float [M], and exact value of the position int8 [M]."""
    search = exact_search(config, spread)
    filled = np.resize(rows, -(-len(rows) // AT_ONCE) * AT_ONCE)
    parts = [
        search(jax.tree.map(lambda leaf, part=part: leaf[part], positions().states))
        for part in np.split(filled, len(filled) // AT_ONCE)
    ]
    action, policy, prior = (np.concatenate(column)[: len(rows)] for column in zip(*parts, strict=True))
    q = positions().q[rows]
    best = q.max(axis=1)
    lost = best - q[np.arange(len(rows)), action].astype(int)
    gained = ((policy.astype(float) - prior) * np.where(q == ILLEGAL, 0, q)).sum(axis=1)
    return lost, gained, best


def sample() -> np.ndarray:
    return np.random.default_rng(0).permutation(len(positions().q))[:SAMPLE]


def everything() -> np.ndarray:
    return np.arange(len(positions().q))


@pytest.mark.parametrize(("value_scale", "exceptions"), [(1.0, 0), (0.1, 4)])
def test_positions_with_a_forced_result_get_an_optimal_move_at_64_simulations(value_scale, exceptions):
    # A move's value is the mean of its leaves, and a bad reply among them makes it wrong: with the default scale,
    # which shares the visits out more evenly, a drawn move can come to look as good as a won one. So it is with mctx.
    lost, gained, best = exact_answers(SearchConfig(simulations=64, value_scale=value_scale), 0.0, everything())
    decided = best != DRAW
    assert decided.sum() == 49_505
    assert (lost[decided] > 0).sum() <= exceptions
    assert gained[decided].min() >= -1e-6
    assert (lost > 0).mean() < 1e-3


def test_the_policy_improves_in_every_position_when_each_move_has_its_exact_value():
    # Four simulations over four moves: no value is a mean over deeper ones. Where fewer are legal, some are.
    _, gained, best = exact_answers(SearchConfig(simulations=4), 1.0, everything())
    assert len(best) == 134_289
    assert gained.min() >= -1e-6
    assert gained[best != DRAW].mean() > 0.05


def test_the_policy_improves_nearly_everywhere_at_64_simulations():
    _, gained, _ = exact_answers(SearchConfig(simulations=64), 1.0, sample())
    assert (gained < -1e-6).mean() < 1e-3


def test_puct_makes_the_policy_worse_more_often_than_gumbel():
    """As docs/reference/search.md tells."""
    worse = {}
    for algorithm in ("gumbel", "puct"):
        _, gained, _ = exact_answers(SearchConfig(simulations=64, algorithm=algorithm), 1.0, sample())
        worse[algorithm] = int((gained < -1e-6).sum())
    assert worse["gumbel"] < worse["puct"] < 0.01 * SAMPLE


@functools.cache
def mates() -> tuple[State, np.ndarray]:
    """64 positions of Connect Four in which some move wins at once, and which moves do, bool [64, 7]."""
    game = games.make("connect_four")
    states, _ = play(game, 64, 30, seed=3)
    step = jax.vmap(jax.vmap(game.step, (None, 0, None)), (0, None, None))
    flat = jax.tree.map(lambda leaf: jnp.asarray(leaf.reshape(-1, *leaf.shape[2:])), states)
    after = jax.jit(step)(flat, jnp.arange(7), jax.random.key(0))
    wins = np.asarray(flat.legal & (after.reward == 1) & ~flat.terminal[:, None])
    chosen = np.random.default_rng(0).choice(np.flatnonzero(wins.any(axis=1)), 64, replace=False)
    return jax.tree.map(lambda leaf: leaf[chosen], flat), wins[chosen]


def test_mates_in_one_are_found_at_32_simulations():
    # Without noise: with it, a move is drawn on purpose that need not be the best.
    states, wins = mates()
    game = games.make("connect_four")
    network = make_network(NetworkConfig(width=32, blocks=1), game)
    search = jax.jit(make_search(SearchConfig(simulations=32), game, network, explore=False))

    def found(seed: int) -> Amplified:
        return search(network.init(jax.random.key(seed)), states, jax.random.key(100 + seed))

    hits = np.array([wins[np.arange(64), found(seed).action] for seed in range(16)])
    assert hits.mean() >= 0.97
