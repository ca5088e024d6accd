"""Subtree reuse: what is kept is what was there, and searching on in it is searching on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_games import no_text

import games
from azero.config import SearchConfig
from azero.openings import random_openings
from azero.search import by_rules, make_kept_search, make_tree_search
from azero.search.puct import make_choose
from azero.search.reuse import SEARCHES, subtrees
from azero.search.simulate import make_simulate
from azero.search.tree import NONE
from games.core import ILLEGAL, Game, Notation, State, no_symmetries

GAME = games.make("connect_four_4x4")
KEY = jax.random.key(0)
SIMULATIONS = 24
GAMES = 6
STATES = random_openings(GAME, GAMES, 5, jax.random.key(1)).states
STARTS = jax.tree.map(lambda leaf: jnp.stack([leaf] * GAMES), GAME.init(KEY))
ALL = np.arange(GAMES, dtype=np.int32)
STEP = jax.jit(jax.vmap(GAME.step, in_axes=(0, 0, None)))
jitted_subtrees = jax.jit(subtrees)
BOTH = pytest.mark.parametrize("algorithm", ["gumbel", "puct"])


def judge(params, states, key):
    """Logits and values that follow from the stones alone, as if at random."""
    del params, key
    stones = states.board.bits.reshape(states.terminal.shape[0], -1)
    code = (stones * jnp.uint32(2654435761) + jnp.arange(stones.shape[1], dtype=jnp.uint32) * 40503).sum(-1)
    mixed = code[:, None] * (jnp.arange(GAME.num_actions + 1, dtype=jnp.uint32) * 2 + jnp.uint32(2246822519))
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(3266489917)
    share = (mixed ^ (mixed >> 13)).astype(jnp.float32) / 2.0**32
    return 3 * share[:, 1:], share[:, 0] - 0.5


@functools.cache
def planner(algorithm, simulations=SIMULATIONS, lanes=1):
    config = SearchConfig(algorithm=algorithm, simulations=simulations, considered=4, lanes=lanes)
    made = make_kept_search(config, by_rules(GAME, judge))
    return made._replace(begin=jax.jit(made.begin), moved=jax.jit(made.moved), search=jax.jit(made.search))


@functools.cache
def searched(algorithm):
    """What is kept of one search of every game, and its answers."""
    amplified, kept = planner(algorithm).search(None, planner(algorithm).begin(None, STATES), STATES, ALL, KEY)
    return amplified, kept


def nodes(tree, game, root=0):
    """Everything a tree holds of the nodes from `root` on, by the moves that lead there."""
    tree = jax.device_get(tree)
    found = {}

    def visit(number, path):
        entry = game * tree.room + number
        node = jax.tree.map(lambda leaf: leaf[entry], tree.node)
        actions = tree.action[entry][: node.tried].tolist()
        following = tree.next[entry] - game * tree.room
        found[path] = {
            "edges": {a: tuple(leaf[i].item() for leaf in node.edges) for i, a in enumerate(actions)},
            "node": tuple(leaf.item() for leaf in node[1:]),
            "state": [leaf[entry].tolist() for leaf in jax.tree.leaves(tree.state)],
            "untried": tree.untried[entry].tolist(),
            "best": tree.best[entry].item(),
            "next": None if following < 0 else actions[tree.child[entry].tolist().index(following)],
        }
        for edge, action in enumerate(actions):
            child = int(tree.child[entry][edge])
            assert tree.parent[game * tree.room + child] == entry
            assert tree.edge[game * tree.room + child] == edge
            visit(child, (*path, action))

    visit(root, ())
    return found


@BOTH
def test_a_reused_tree_is_the_subtree_it_came_from(algorithm):
    amplified, kept = searched(algorithm)
    by_visits = np.argsort(-np.asarray(amplified.visits), axis=1)
    one_move = planner(algorithm).moved(kept, by_visits[ALL, ALL % 3])
    order = np.array([4, 1, 0, 5, 2, 3], np.int32)
    sizes = set()
    for after in (one_move, planner(algorithm).moved(one_move, ALL % 4)):
        tree = jitted_subtrees(after.tree, order, after.at[order])
        assert (np.asarray(tree.parent).reshape(GAMES, -1)[:, 0] == NONE).all()
        for place, game in enumerate(order.tolist()):
            sizes.add(int(tree.size[place]))
            if after.at[game] == NONE:
                assert tree.size[place] == 0
            else:
                there, here = nodes(kept.tree, game, int(after.at[game])), nodes(tree, place)
                assert here == there
                assert len(here) == tree.size[place]
    assert max(sizes) > 8
    assert len(sizes) > 4


def test_room_beyond_the_kept_nodes_is_as_it_was_planted():
    kept = planner("puct").begin(None, STARTS)
    for _ in range(SEARCHES):
        amplified, kept = planner("puct").search(None, kept, STARTS, ALL, KEY)
    assert kept.tree.size[-1] == kept.tree.room  # so that nothing of the old trees is blank by chance
    after = planner("puct").moved(kept, amplified.action)
    tree = jitted_subtrees(after.tree, ALL, after.at)
    new = planner("puct").begin(None, STATES).tree
    unused = (np.arange(tree.room) >= np.asarray(tree.size)[:, None]).reshape(-1)
    for leaf, empty in zip(jax.tree.leaves(tree[1:]), jax.tree.leaves(new[1:]), strict=True):
        assert leaf.dtype == empty.dtype
        empty_row = np.asarray(empty)[1]  # any that is not a root
        np.testing.assert_array_equal(np.asarray(leaf)[unused], np.broadcast_to(empty_row, leaf.shape)[unused])


@BOTH
def test_no_node_is_a_tree_without_nodes(algorithm):
    _, kept = searched(algorithm)
    tree = jitted_subtrees(kept.tree, ALL, jnp.full(GAMES, NONE))
    assert np.asarray(tree.size).tolist() == [0] * GAMES
    assert (np.asarray(tree.parent) == NONE).all()


def test_searching_on_is_as_if_nothing_had_been_dropped():
    """PUCT chooses at a root as below it: simulations from the node in the whole tree add the same to it."""
    amplified, kept = searched("puct")
    after = planner("puct").moved(kept, amplified.action)
    states = STEP(STATES, amplified.action, KEY)
    going = ~np.asarray(states.terminal)
    assert going.sum() >= 4
    _, reused = planner("puct").search(None, after, states, ALL, KEY)

    simulate = make_simulate(by_rules(GAME, judge), make_choose(SearchConfig(algorithm="puct")))
    starts, nowhere = ALL * kept.tree.room + after.at, jnp.full(GAMES, NONE)

    @jax.jit
    def simulations(tree):
        def one(number, tree):
            return simulate(tree, None, starts, nowhere, going, jax.random.fold_in(KEY, number))[0]

        return jax.lax.fori_loop(0, SIMULATIONS, one, tree)

    whole = simulations(kept.tree)
    for game in np.flatnonzero(going).tolist():
        assert nodes(reused.tree, game) == nodes(whole, game, int(after.at[game]))


def test_two_searches_of_a_position_are_one_of_twice_the_simulations():
    _, kept = searched("puct")
    twice, _ = planner("puct").search(None, kept, STATES, ALL, KEY)
    config = SearchConfig(algorithm="puct", simulations=2 * SIMULATIONS)
    once = jax.jit(make_tree_search(config, by_rules(GAME, judge), explore=False))(None, STATES, KEY)
    jax.tree.map(np.testing.assert_array_equal, twice, once)


@BOTH
def test_the_first_search_is_the_plain_one(algorithm):
    config = SearchConfig(algorithm=algorithm, simulations=SIMULATIONS, considered=4)
    plain = jax.jit(make_tree_search(config, by_rules(GAME, judge), explore=False))(None, STATES, KEY)
    jax.tree.map(np.testing.assert_array_equal, searched(algorithm)[0], plain)


def test_gumbel_counts_every_simulation_on_top_of_those_kept():
    amplified, kept = searched("gumbel")
    after = planner("gumbel").moved(kept, amplified.action)
    states = STEP(STATES, amplified.action, KEY)
    more, _ = planner("gumbel").search(None, after, states, ALL, KEY)
    made = np.asarray(amplified.visits)[ALL, amplified.action] - 1
    going = ~np.asarray(states.terminal)
    np.testing.assert_array_equal(np.asarray(more.visits).sum(1)[going], (made + SIMULATIONS)[going])


@BOTH
def test_games_do_not_mix(algorithm):
    """Some of the games, in another order and with places that nobody fills, get the same; the others keep theirs."""
    amplified, kept = searched(algorithm)
    after = planner(algorithm).moved(kept, amplified.action)
    states = STEP(STATES, amplified.action, KEY)
    every, trees = planner(algorithm).search(None, after, states, ALL, KEY)
    asked = np.array([4, GAMES, 2, 0, GAMES, 5], np.int32)
    theirs = jax.tree.map(lambda leaf: leaf[np.minimum(asked, GAMES - 1)], states)
    some, partly = planner(algorithm).search(None, after, theirs, asked, KEY)
    for place, game in enumerate(asked.tolist()):
        if game < GAMES:
            np.testing.assert_array_equal(some.visits[place], every.visits[game])
            assert nodes(partly.tree, game) == nodes(trees.tree, game)
            assert partly.at[game] == 0
    for game in {1, 3}:
        assert nodes(partly.tree, game) == nodes(kept.tree, game)
        assert partly.at[game] == after.at[game]


def test_a_tree_is_planted_anew_where_the_old_one_does_not_serve():
    amplified, kept = searched("gumbel")
    fresh = np.full(GAMES, SIMULATIONS)

    def visits(kept, states):
        return np.asarray(planner("gumbel").search(None, kept, states, ALL, KEY)[0].visits).sum(1)

    other = random_openings(GAME, GAMES, 5, jax.random.key(7)).states
    alike = np.array([(a == b).all() for a, b in zip(STATES.board.bits, other.board.bits, strict=True)])
    assert alike.sum() < 3
    np.testing.assert_array_equal(visits(kept, other)[~alike], fresh[~alike])  # chance led elsewhere
    np.testing.assert_array_equal(visits(kept, STATES), 2 * fresh)
    nowhere = planner("gumbel").moved(kept, np.full(GAMES, GAME.num_actions, np.int32))
    np.testing.assert_array_equal(nowhere.at, NONE)  # a move that was not tried
    np.testing.assert_array_equal(planner("gumbel").moved(nowhere, amplified.action).at, NONE)
    np.testing.assert_array_equal(visits(nowhere, STATES), fresh)


def test_a_tree_that_leaves_no_room_for_a_search_is_planted_anew():
    # 24 simulations, room for 97 nodes: counts are of 8 bits and go up to 127.
    kept = planner("puct").begin(None, STATES)
    totals = []
    for _ in range(6):
        amplified, kept = planner("puct").search(None, kept, STATES, ALL, KEY)
        totals.append(np.asarray(amplified.visits).sum(1).tolist())
    assert totals == [[SIMULATIONS * times] * GAMES for times in (1, 2, 3, 4, 1, 2)]


def test_lanes_change_nothing():
    begin = planner("gumbel", lanes=4).begin(None, STATES)
    amplified, _ = planner("gumbel", lanes=4).search(None, begin, STATES, ALL, KEY)
    jax.tree.map(np.testing.assert_array_equal, amplified, searched("gumbel")[0])


def forced_then_two():
    """A game of one forced move, then of two at every turn: the first is worth 0.8 and likely; the other looks a
    little better and turns out to be lost."""

    def state(number, to_play):
        legal = jnp.array([True, False]) | (number > 0)
        return State(number, to_play, legal, jnp.float32(0), jnp.float32(-1), jnp.zeros((), bool))

    def step(before, action, key):
        turn = jnp.where(action == 0, 100, 200)
        number = jnp.where(before.board == 0, 1, jnp.where(before.board == 1, turn, before.board + 1))
        return state(number.astype(jnp.int32), 1 - before.to_play)

    def evaluate(params, states, key):
        number = states.board
        worth = jnp.where(number == 1, 0.5, jnp.where(number == 203, -1.0, jnp.where(number >= 200, 0.81, 0.8)))
        prior = jnp.log(jnp.array([0.99, 0.01]))
        return jnp.broadcast_to(prior, (*number.shape, 2)), jnp.where(states.to_play == 1, worth, -worth)

    notation = Notation(no_text, no_text, "", no_text)
    start = state(jnp.int32(0), jnp.int32(0))
    symmetries = no_symmetries(1, 2)
    return Game("two", 2, 2, (1, 1, 1), 64, lambda key: start, step, no_text, symmetries, notation), evaluate


def test_stopping_early_in_a_kept_tree_changes_no_move():
    """The sure move leads by what was kept, and is not yet due in the round of halving that is left."""
    game, evaluate = forced_then_two()
    config, one = SearchConfig(simulations=8, considered=2), np.zeros(1, np.int32)
    start = jax.tree.map(lambda leaf: leaf[None], game.init(KEY))
    found = {}
    for early in (False, True):
        made = make_kept_search(config, by_rules(game, evaluate), stop_early=early)
        full = make_kept_search(config, by_rules(game, evaluate))
        first, kept = full.search(None, full.begin(None, start), start, one, KEY)
        after = jax.vmap(game.step, (0, 0, None))(start, first.action, KEY)
        found[early] = jax.device_get(made.search(None, made.moved(kept, first.action), after, one, KEY)[0])
    assert found[True].visits.sum() < found[False].visits.sum()
    assert found[True].action == found[False].action == [0]


def test_trees_of_mctx_are_not_kept():
    with pytest.raises(ValueError, match="trees of backend mctx are not kept"):
        make_kept_search(SearchConfig(backend="mctx"), by_rules(GAME, judge))


def test_whole_games_find_more_mates_compile_once_and_keep_memory_flat():
    count, simulations = 64, 6
    states = random_openings(GAME, count, 2, jax.random.key(3)).states
    config = SearchConfig(algorithm="puct", simulations=simulations)
    made = make_kept_search(config, by_rules(GAME, judge))
    search, moved = jax.jit(made.search, donate_argnums=1), jax.jit(made.moved, donate_argnums=0)
    plain = jax.jit(make_tree_search(config, by_rules(GAME, judge), explore=False))
    exact = GAME.oracle().q
    kept = jax.jit(made.begin)(None, states)
    every = np.arange(count, dtype=np.int32)
    mates, found, found_anew, arrays = 0, 0, 0, []
    for ply in range(16):
        amplified, kept = search(None, kept, states, every, jax.random.fold_in(KEY, ply))
        assert np.asarray(amplified.visits).sum(1).max() < kept.tree.room
        q, plies = exact(jax.device_get(states))
        mate = (q == 1) & (plies == 1) & (q != ILLEGAL) & ~np.asarray(states.terminal)[:, None]
        anew = plain(None, states, jax.random.fold_in(KEY, ply))
        mates += mate.any(1).sum()
        found += mate[every, amplified.action].sum()
        found_anew += mate[every, anew.action].sum()
        kept = moved(kept, amplified.action)
        states = STEP(states, amplified.action, KEY)
        arrays.append(sum(leaf.nbytes for leaf in jax.live_arrays()))
    assert np.asarray(states.terminal).all()
    assert search._cache_size() == moved._cache_size() == 1
    assert len(set(arrays[2:])) == 1
    assert mates > 50
    assert found > found_anew + mates // 10
