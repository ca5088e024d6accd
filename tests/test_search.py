"""Amplification: what a search must find whatever the network says, row by row and move after move."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_games import WITHIN_ONE, make_toy, no_text, roots

import games
from azero.bench import measure
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network
from azero.search import Amplified, by_rules, make_kept_search, make_search, make_tree_search
from games.core import Game, Notation, State, no_symmetries
from games.notation import play_text

GAME = games.make("connect_four")
NETWORK = make_network(NetworkConfig(width=16, blocks=1), GAME)
KEY = jax.random.key(5)
# The answers are the same; it compiles in half the time.
QUICKLY = {"xla_backend_optimization_level": 0}

FOREST, JUDGE = make_toy(7, WITHIN_ONE)
GUMBEL = SearchConfig(simulations=32, considered=4)
LANES = SearchConfig(simulations=32, considered=4, lanes=16)
PUCT = SearchConfig(simulations=32, algorithm="puct")
LEAF = 0.6  # in the tree worked by hand


def batch(texts):
    states = [play_text(GAME, text) for text in texts]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def searched(config, texts, explore=False, seed=0):
    params = NETWORK.init(jax.random.key(seed))
    inputs = params, batch(texts), jax.random.key(seed)
    search = jax.jit(make_search(config, GAME, NETWORK, explore))
    return search.lower(*inputs).compile(compiler_options=QUICKLY)(*inputs)


@functools.cache
def compiled(config: SearchConfig, stop_early: bool, count: int):
    """A search of `count` random trees, without noise: (None, states, key) -> Amplified."""
    search = jax.jit(make_tree_search(config, by_rules(FOREST, JUDGE), False, stop_early))
    return search.lower(None, rows(np.zeros(count, int)), KEY).compile(compiler_options=QUICKLY)


@functools.cache
def forest() -> State:
    return roots(FOREST, 512, 12)


def rows(chosen: np.ndarray) -> State:
    return jax.tree.map(lambda leaf: leaf[chosen], forest())


def assert_same(found: Amplified, expected: Amplified) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)


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


@pytest.mark.parametrize(("config", "stop_early"), [(LANES, True), (PUCT, False)], ids=["gumbel in lanes", "puct"])
def test_rows_do_not_mix(config, stop_early):
    search = compiled(config, stop_early, 512)
    expected = search(None, forest(), KEY)
    assert expected.visits.any()
    order = np.argsort(expected.visits.sum(axis=-1), kind="stable")[::-1]  # who is done first is last, and then first
    assert_same(search(None, rows(order), KEY), jax.tree.map(lambda leaf: leaf[order], expected))
    order = order[::-1]
    assert_same(search(None, rows(order), KEY), jax.tree.map(lambda leaf: leaf[order], expected))
    # 512 rows are 96 and their padding, be it with terminal positions or with others.
    alone = compiled(config, stop_early, 96)(None, rows(np.arange(96)), KEY)
    assert_same(alone, jax.tree.map(lambda leaf: leaf[:96], expected))
    over = int(np.flatnonzero(forest().terminal)[0])
    beside_over = search(None, rows(np.r_[:96, np.full(416, over)]), KEY)
    assert_same(jax.tree.map(lambda leaf: leaf[:96], beside_over), alone)


def test_without_exploration_the_answer_does_not_depend_on_the_key():
    search = compiled(PUCT, False, 512)
    assert_same(search(None, forest(), jax.random.key(1)), search(None, forest(), jax.random.key(2)))


@pytest.mark.parametrize(
    ("config", "plain"),
    [(GUMBEL, GUMBEL), (LANES, GUMBEL), (PUCT, PUCT)],
    ids=["gumbel", "gumbel in lanes", "puct"],
)
def test_stopping_early_saves_simulations_and_changes_no_move(config, plain):
    states = forest()
    full = compiled(plain, False, 512)(None, states, KEY)
    early = compiled(config, True, 512)(None, states, KEY)
    np.testing.assert_array_equal(early.action, full.action)
    stopped = np.asarray(early.visits.sum(axis=-1) < 32)
    assert (full.visits.sum(axis=-1) == 32).all()
    assert (early.visits <= full.visits).all()
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one[~stopped], other[~stopped], atol=1e-6), early, full)
    assert 0.02 < stopped.mean() < 0.98
    assert stopped[states.legal.sum(axis=-1) == 1].all()
    # A move that wins at once and is also the network's first: no other can catch up.
    mates = mates_of_largest_prior(states)
    assert mates.sum() >= 10
    assert stopped[mates].mean() > 0.5


def mates_of_largest_prior(states: State) -> np.ndarray:
    """bool [B]: there are several moves, and the one of the largest logit wins at once."""
    logits, _ = JUDGE(None, states, KEY)
    best = jnp.where(states.legal, logits, -jnp.inf).argmax(axis=-1).astype(jnp.int32)
    after = jax.vmap(FOREST.step, (0, 0, None))(states, best, KEY)
    return np.asarray(after.terminal & (after.reward == 1) & ~states.terminal & (states.legal.sum(axis=-1) > 1))


def two_moves(root_value: float, forced: bool) -> tuple[Game, State, jax.Array]:
    """A tree for ever of two moves, n -> 2n + 1 and 2n + 2; with `forced` only the first is legal at the root.

    Positions have fixed values, for the player to move: the node of interest `root_value`, its first child 0.9, its
    second `LEAF`, and the child of the first child 0.3. The prior of the first move is 0.8 everywhere.
    """

    def legal(node: jax.Array) -> jax.Array:
        return jnp.array([True, False]) | ((node > 0) | (not forced))

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        node = 2 * state.board + 1 + action
        return state._replace(board=node, to_play=1 - state.to_play, legal=legal(node), discount=jnp.float32(-1))

    def init(key: jax.Array) -> State:
        zero = jnp.zeros((), jnp.float32)
        return State(jnp.int32(0), jnp.int32(0), legal(jnp.int32(0)), zero, zero, jnp.zeros((), bool))

    top = 1 if forced else 0
    values = (
        jnp.zeros(64)
        .at[jnp.array([top, 2 * top + 1, 2 * top + 2, 4 * top + 3])]
        .set(jnp.array([root_value, 0.9, LEAF, 0.3]))
    )
    game = Game(
        "two moves",
        2,
        2,
        (1, 1, 1),
        64,
        init,
        step,
        no_text,
        no_symmetries(1, 2),
        Notation(*[no_text] * 2, "", no_text),
    )
    return game, jax.tree.map(lambda leaf: leaf[None], init(KEY)), values


@pytest.mark.parametrize(
    ("fpu", "value", "second_is_tried"), [("parent", 0.6, True), ("parent", 0.4, False), ("loss", 0.6, False)]
)
@pytest.mark.parametrize("forced", [False, True], ids=["at the root", "below it"])
def test_first_play_urgency_by_hand(fpu, value, second_is_tried, forced):
    # After the first move was tried once, it counts -0.9: (-0.9 + 1) / 2 + 1.768 * 0.8 / 2 = 0.757. The bonus is
    # sqrt(2) * (1.25 + log(19655 / 19652)) = 1.768. The second, as a loss: 0 + 1.768 * 0.2 = 0.354. As the mean found
    # so far, of the network's 0.6 and of -0.9: (-0.15 + 1) / 2 + 0.354 = 0.779; with 0.4 instead of 0.6, 0.729.
    # The network's value alone would make it 1.154 and 1.054, the tried moves' alone 0.404.
    game, states, values = two_moves(value, forced)
    logits = jnp.log(jnp.array([0.8, 0.2]))

    def evaluate(params, states, key):
        return jnp.broadcast_to(logits, (*states.board.shape, 2)), values[states.board]

    config = SearchConfig(algorithm="puct", simulations=3 if forced else 2, fpu=fpu)
    found = jax.jit(make_tree_search(config, by_rules(game, evaluate), False))(None, states, KEY)
    # The second simulation ends in the second child, or two moves down from the first, where the mover has 0.3.
    returns = [-0.9, -LEAF if second_is_tried else 0.3]
    if not forced:
        assert found.visits.tolist() == [[1, 1] if second_is_tried else [2, 0]]
        return
    assert found.visits.tolist() == [[3, 0]]
    np.testing.assert_allclose(found.q[0, 0], np.mean([-value, *np.negative(returns)]), atol=1e-6)


GAME_OF_MOVES = """
import resource, sys
import jax, jax.numpy as jnp
import games
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network
from azero.search import make_search

game = games.make("connect_four_4x4")
network = make_network(NetworkConfig(width=16, blocks=1), game)
search = jax.jit(make_search(SearchConfig(simulations=8), game, network, explore=True))
begin = jax.jit(jax.vmap(game.init))
step = jax.jit(jax.vmap(game.step))
params = network.init(jax.random.key(0))
keys = jax.random.split(jax.random.key(0), 32)
for move in range(1000):
    if move % 16 == 0:
        states = begin(keys)
    found = search(params, states, jax.random.fold_in(jax.random.key(1), move))
    states = step(states, found.action, keys)
    if move in (199, 999):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(search._cache_size(), step._cache_size())
"""


def test_a_thousand_moves_compile_once_and_leave_nothing_in_memory():
    # A process of its own: what tests before this one have taken would hide a leak from the peak.
    out = subprocess.run([sys.executable, "-c", GAME_OF_MOVES], capture_output=True, text=True, check=True).stdout
    early, late, searches, steps = map(int, out.split())
    assert (searches, steps) == (1, 1)
    assert late < 1.01 * early


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"simulations": 0}, "search.simulations must be above 0, not 0"),
        ({"considered": 0, "backend": "mctx"}, "search.considered must be above 0, not 0"),
        ({"lanes": -1}, "search.lanes must be above 0, not -1"),
        ({"backend": "mtcx"}, "search.backend must be azero or mctx, not 'mtcx'"),
        ({"algorithm": "gumbl"}, "search.algorithm must be gumbel or puct, not 'gumbl'"),
        ({"fpu": "los"}, "search.fpu must be loss or parent, not 'los'"),
        ({"backend": "mctx", "algorithm": "puct", "fpu": "parent"}, "search.backend mctx counts a move not tried"),
    ],
)
def test_what_no_search_could_mean_is_refused(settings, message):
    model = by_rules(FOREST, JUDGE)
    with pytest.raises(ValueError, match=f"^{message}"):
        make_tree_search(SearchConfig(**settings), model, explore=False)
    if "backend" not in settings:
        with pytest.raises(ValueError, match=f"^{message}"):
            make_kept_search(SearchConfig(**settings), model)


@pytest.mark.slow
def test_a_search_of_chess_fits_into_3_gib():
    """All that the compiled search of 256 games with 200 simulations needs, with a network of 10 blocks."""
    game = games.make("chess")
    network = make_network(NetworkConfig(kind="resnet", width=128, blocks=10), game)
    params = jax.eval_shape(network.init, KEY)
    states = jax.eval_shape(lambda key: jax.vmap(game.init)(jax.random.split(key, 256)), KEY)
    search = make_search(SearchConfig(simulations=200), game, network, explore=True)
    assert 0.5 * 2**30 < measure.compiled(search, params, states, KEY).peak_bytes < 3 * 2**30
