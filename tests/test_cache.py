"""The evaluation cache: the same answers from fewer evaluations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.checks import check
from azero.config import Config, DistillConfig, NetworkConfig, RewardConfig, SearchConfig, SelfPlayConfig
from azero.distill import Learner, make_distiller
from azero.network import make_network
from azero.search import empty_cache, make_search
from azero.search.cache import ENDS, MOST, make_recall
from azero.selfplay import make_selfplay, new_games

GAME = games.make("connect_four_4x4")
NETWORK = make_network(NetworkConfig(width=16, blocks=1), GAME)
PARAMS = NETWORK.init(jax.random.key(0))
BATCH = 64
ALL = jnp.ones(BATCH, bool)


def positions(texts):
    """A batch of positions, of which every text is one, over and over."""
    made = [games.notation.play_text(GAME, text) for text in texts]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves)[jnp.arange(BATCH) % len(texts)], *made)


def some_positions(seed: int):
    """A batch of positions a few random moves from the start, some there more than once."""

    def play(key):
        def move(state, key):
            action = jax.random.categorical(key, jnp.where(state.legal, 0.0, -jnp.inf))
            return GAME.step(state, action, key), None

        return jax.lax.scan(move, GAME.init(key), jax.random.split(key, 5))[0]

    return jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(seed), BATCH))


class Watched:
    """A network that notes how often it is asked and on how many positions."""

    def __init__(self):
        self.asked = []
        self.recall = jax.jit(make_recall(self.look))

    def look(self, params, states):
        jax.debug.callback(lambda rows: self.asked.append(len(rows)), states.to_play)
        return NETWORK.apply(params, jax.vmap(GAME.observe)(states))

    def __call__(self, cache, states, wanted=ALL):
        """The cache, what was said, and how many places each evaluation had that it took."""
        self.asked.clear()
        cache, *said = self.recall(cache, PARAMS, states, wanted)
        jax.effects_barrier()
        assert set(self.asked) <= {-(-MOST // part) for part in ENDS}
        return cache, said, list(self.asked)


@pytest.fixture(scope="module")
def ask():
    return Watched()


def says(states):
    return NETWORK.apply(PARAMS, jax.vmap(GAME.observe)(states))


def assert_said(said, states, rows=slice(None)):
    for one, other in zip(said, says(states), strict=True):
        np.testing.assert_allclose(one[rows], other[rows], atol=1e-6)


def cache_of(states, slots=None):
    cache = empty_cache(SearchConfig(cache=1), states)
    return cache if slots is None else jax.tree.map(lambda leaf: leaf[:slots], cache)


def test_the_network_is_shown_what_it_has_not_seen(ask):
    few, others = positions(["", "1", "12"]), positions(["", "21", "12", "4", "44"])
    cache, said, asked = ask(cache_of(few), few)
    assert asked == [10], "64 rows of three positions are three positions"
    assert_said(said, few)
    cache, said, asked = ask(cache, few)
    assert asked == []
    assert_said(said, few)
    cache, said, asked = ask(cache, others)
    assert asked == [10]
    assert_said(said, others)


@pytest.mark.parametrize(("new", "shown"), [(9, [10]), (10, [10]), (11, [20]), (21, [40]), (40, [40]), (49, [40, 10])])
def test_new_positions_are_shown_a_few_at_a_time(ask, new, shown):
    assert (MOST, ENDS) == (40, (1, 2, 4)), "the figures above go by these"
    states = some_positions(1)
    _, firsts = np.unique(np.asarray(states.board.bits).reshape(BATCH, -1), axis=0, return_index=True)
    assert MOST < 49 <= len(firsts) < BATCH
    wanted = np.isin(np.arange(BATCH), firsts[:new])
    _, said, asked = ask(cache_of(states), states, jnp.asarray(wanted))
    assert asked == shown
    assert_said(said, states, wanted)


def test_positions_that_come_twice_in_a_batch_are_shown_once(ask):
    states = some_positions(1)
    different = len(np.unique(np.asarray(states.board.bits).reshape(BATCH, -1), axis=0))
    assert MOST < different < BATCH
    _, said, asked = ask(cache_of(states), states)
    assert len(asked) == 2
    assert sum(asked) - different < MOST // 2
    assert_said(said, states)


def test_rows_that_nobody_wants_are_not_shown(ask):
    states = some_positions(1)
    wanted = jnp.arange(BATCH) % 4 == 0
    cache, said, asked = ask(cache_of(states), states, wanted)
    assert asked == [20]
    assert_said(said, states, np.flatnonzero(wanted))
    assert ask(cache, states, ~ALL)[2] == []


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_positions_that_share_a_slot_keep_their_own_answers(ask, slots):
    cache = cache_of(some_positions(1), slots)
    for seed in (1, 2, 1):
        states = some_positions(seed)
        cache, said, asked = ask(cache, states)
        assert_said(said, states)
        assert sum(asked) > 0, "the other batch has taken the slots"


def test_a_state_counts_whole(ask):
    """Nothing but bit for bit the same state is the same: another player to move, another reward."""
    states = positions(["1"])
    cache, _, _ = ask(cache_of(states), states)
    assert ask(cache, states)[2] == []
    for other in (
        states._replace(to_play=1 - states.to_play),
        states._replace(reward=states.reward + 0.5),
        states._replace(discount=-states.discount),
        states._replace(board=jax.tree.map(lambda leaf: leaf.at[:, 0, 0].add(1), states.board)),
    ):
        assert ask(cache, other)[2] == [10]


def test_a_network_that_answers_nan_is_not_hidden():
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, PARAMS)
    states = positions(["", "1"])
    search = jax.jit(make_search(SearchConfig(simulations=8), GAME, NETWORK, explore=False))
    assert np.isnan(search(broken, states, jax.random.key(0), cache_of(states)).value).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [(GAME.name, {}), (GAME.name, {"lanes": 4}), (GAME.name, {"algorithm": "puct"}), ("2048", {})],
    ids=["gumbel", "lanes", "puct", "chance"],
)
def test_a_search_finds_the_same_with_a_cache(name, options):
    game = games.make(name)
    network = NETWORK if game.name == GAME.name else make_network(NetworkConfig(width=16, blocks=1), game)
    params = network.init(jax.random.key(0))
    states = some_positions(3)
    if game.name != GAME.name:
        states = jax.vmap(game.init)(jax.random.split(jax.random.key(1), BATCH))
    search = jax.jit(make_search(SearchConfig(simulations=24, **options), game, network, explore=True))
    plain = search(params, states, jax.random.key(2))
    cache = empty_cache(SearchConfig(cache=4), states)
    for _ in range(2):  # the second finds all in the cache
        found = search(params, states, jax.random.key(2), cache)
        np.testing.assert_array_equal(found.visits, plain.visits)
        np.testing.assert_array_equal(found.action, plain.action)
        np.testing.assert_allclose(found.policy, plain.policy, atol=1e-5)
        np.testing.assert_allclose(found.value, plain.value, atol=1e-5)
        cache = found.cache


def played(options: dict, cheap: bool = False):
    """Two iterations of self-play, each with a network of its own: what was played, and which caches there were."""
    config = Config(
        game=GAME.name,
        search=SearchConfig(simulations=12, **options),
        selfplay=SelfPlayConfig(games=32, plies=10, opening_plies=2, full_share=0.5 if cheap else 1.0),
    )
    distiller = make_distiller(config, GAME, NETWORK)
    amplify = distiller.amplifier(config.search, True)
    less = distiller.amplifier(dataclasses.replace(config.search, simulations=4), False) if cheap else None
    caches = []

    def new_cache(states):
        caches.append(distiller.cache(states))
        return caches[-1]

    play = jax.jit(make_selfplay(config.selfplay, GAME, amplify, distiller.teach, 4, less, new_cache=new_cache))
    going = new_games(GAME, config.selfplay, 32, jax.random.key(3))
    made = []
    for number in range(2):
        params = NETWORK.init(jax.random.key(number))
        going, trajectory = play(Learner(params, None, jnp.int32(number)), going, jax.random.key(number))
        made.append(trajectory)
    return made, caches


def test_self_play_on_mctx_has_no_cache():
    (first, _), caches = played({"cache": 4, "backend": "mctx"})
    assert caches == [None]
    assert np.isfinite(first.search_value).all()


@pytest.mark.parametrize("cheap", [False, True])
def test_self_play_is_the_same_and_begins_each_iteration_with_an_empty_cache(cheap):
    plain, none = played({}, cheap)
    cached, some = played({"cache": 4}, cheap)
    assert none == [None]
    assert some[0] is not None
    for one, other in zip(cached, plain, strict=True):
        np.testing.assert_array_equal(one.made, other.made)
        np.testing.assert_allclose(one.search_value, other.search_value, atol=1e-5)
    assert np.abs(plain[0].search_value - plain[1].search_value).max() > 0.1


def test_a_cache_has_room_for_the_searches_of_some_moves_and_no_more_than_allowed():
    states = positions([""])
    assert empty_cache(SearchConfig(cache=64, simulations=15), states).row.shape == (8 * BATCH * 16,)
    assert empty_cache(SearchConfig(cache=64, simulations=16), states).row.shape == (16 * BATCH * 16,)
    small = empty_cache(SearchConfig(cache=1, simulations=10_000), states)
    taken = sum(leaf.size * leaf.dtype.itemsize for leaf in small)
    assert 2**19 < taken <= 2**20


def test_where_no_cache_can_be_used_there_is_none():
    states = positions([""])
    assert empty_cache(SearchConfig(), states) is None
    assert empty_cache(SearchConfig(cache=64, backend="mctx"), states) is None
    with pytest.raises(ValueError, match=r"search\.cache must be 0 or more, not -1"):
        check(Config(search=SearchConfig(cache=-1)))
    network = make_network(NetworkConfig(width=8, blocks=1), GAME)
    for model, backend in (("learned", "azero"), ("rules", "mctx")):
        useless = Config(model=model, search=SearchConfig(cache=64, backend=backend))
        check(useless)  # a preset's
        with pytest.raises(ValueError, match=rf"^search\.cache needs .*, not {backend} and {model}$"):
            check(useless, {"search.cache"})
    config = Config(game=GAME.name, search=SearchConfig(cache=64))
    assert make_distiller(config, GAME, network).cache(states) is not None
    for kind, enters in (("outcome", "signal"), ("reward_model", "terminal")):
        other = dataclasses.replace(config, distill=DistillConfig(kind=kind), reward=RewardConfig(enters=enters))
        assert make_distiller(other, GAME, network).cache(states) is None
