"""Games of chance: moves in two halves, and searches that go to every outcome by its probability."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest
from toy_games import _mixed, drawn, make_toy, no_text, roots

import games
from azero.config import NetworkConfig, SearchConfig
from azero.expectimax import expectimax_q
from azero.network import make_network
from azero.search import by_network, by_rules, make_kept_search, make_tree_search
from azero.search.gumbel import make_gumbel
from azero.search.puct import make_puct
from games.core import Chance, Game, Notation, State, fixed_if_terminal, no_symmetries, step_by_chance, value_before

KEY = jax.random.key(3)
QUICKLY = {"xla_backend_optimization_level": 0}
BOTH = pytest.mark.parametrize("algorithm", ["gumbel", "puct"])


class Place(NamedTuple):
    """The board."""

    hash: jax.Array  # uint32 []
    ply: jax.Array  # int32 []


def game_of(chance: Chance, init: Any, actions: int) -> Game:
    return Game(
        name="dice",
        num_players=2,
        num_actions=actions,
        observation_shape=(1, 1, 1),
        max_plies=100,
        init=init,
        step=step_by_chance(chance),
        observe=lambda state: jnp.zeros((1, 1, 1)),
        symmetries=no_symmetries(1, actions),
        notation=Notation(no_text, no_text, " ", no_text),
        chance=chance,
    )


def first_state(board: Any, actions: int) -> State:
    zero = jnp.zeros((), jnp.float32)
    return State(board, jnp.int32(0), jnp.ones(actions, bool), zero, zero, jnp.zeros((), bool))


def make_dice(actions: int, outcomes: int, plies: int) -> Game:
    """Random trees of so many plies. Some moves end the game before chance, some outcomes cannot happen, either half
    of a move is rewarded, and who moves next is chance's to say."""

    def after(state: State, action: jax.Array) -> State:
        number = _mixed(state.board.hash * jnp.uint32(31) + action.astype(jnp.uint32) + 1)
        over = drawn(number, 1) < -0.9
        moved = State(
            board=Place(number, state.board.ply),
            to_play=state.to_play,
            legal=state.legal,
            reward=0.3 * drawn(number, 4),
            discount=jnp.where(over, 0.0, 1.0),
            terminal=over,
        )
        return fixed_if_terminal(state, moved)

    def probabilities(between: State) -> jax.Array:
        weight = jnp.maximum(0.0, drawn(between.board.hash, 3000 + jnp.arange(outcomes)) + 0.6) + 1e-9
        weight = jnp.where(weight < 1e-6, 0.0, weight).at[0].add(0.1)
        return jnp.where(between.terminal, jnp.arange(outcomes) == 0, weight / weight.sum()).astype(jnp.float32)

    def happen(between: State, outcome: jax.Array) -> State:
        number = _mixed(between.board.hash * jnp.uint32(37) + outcome.astype(jnp.uint32) + 1)
        over = between.board.ply + 1 >= plies
        again = drawn(number, 2) < 0
        reached = State(
            board=Place(number, between.board.ply + 1),
            to_play=jnp.where(again, between.to_play, 1 - between.to_play),
            legal=jnp.ones(actions, bool),
            reward=0.3 * drawn(number, 4),
            discount=jnp.where(over, 0.0, jnp.where(again, 0.9, -0.9)),
            terminal=over,
        )
        return fixed_if_terminal(between, reached)

    def init(key: jax.Array) -> State:
        return first_state(Place(jax.random.bits(key), jnp.int32(0)), actions)

    return game_of(Chance(outcomes, after, probabilities, happen), init, actions)


def exact_q(game: Game, state: State, plies: int) -> jax.Array:
    """Expectimax: value float32 [A] of every move of one state, for the mover."""
    chance = game.chance
    assert chance is not None

    def value(state: State, left: int) -> jax.Array:
        if left == 0:
            return jnp.zeros(())
        return jnp.where(state.terminal, 0.0, q(state, left).max())

    def q(state: State, left: int) -> jax.Array:
        def of_move(action: jax.Array) -> jax.Array:
            between = chance.after(state, action)

            def of_outcome(outcome: jax.Array) -> jax.Array:
                reached = chance.happen(between, outcome)
                return value_before(reached.reward, reached.discount, value(reached, left - 1))

            found = jax.vmap(of_outcome)(jnp.arange(chance.outcomes))
            return value_before(between.reward, between.discount, chance.probabilities(between) @ found)

        return jax.vmap(of_move)(jnp.arange(game.num_actions))

    return q(state, plies)


def judge(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits and values drawn from the place."""
    del params, key
    place = states.board.hash
    actions = jnp.arange(states.legal.shape[1])
    return drawn(place[:, None], 2000 + actions), 0.5 * drawn(place, 5)


def run(search: Any, *inputs: Any) -> Any:
    return jax.jit(search).lower(*inputs).compile(compiler_options=QUICKLY)(*inputs)


# A coin is tossed after a bet on it, which wins 1 or loses 1; who does not bet has a quarter. Worked by hand: with a
# fair coin a bet is worth 0. Who lets it fall once for each bet, and plans with that, thinks to know how it will fall.
HEADS, TAILS, NO_BET = range(3)


class Coin(NamedTuple):
    """The board."""

    heads: jax.Array  # float32 [], how likely they are
    bet: jax.Array  # int32 []


def make_coin() -> Game:
    def over(state: State, reward: jax.Array) -> State:
        return state._replace(reward=reward, discount=jnp.zeros(()), terminal=jnp.ones((), bool))

    def after(state: State, action: jax.Array) -> State:
        bet = state._replace(board=state.board._replace(bet=action), discount=jnp.ones(()))
        paid = over(bet, jnp.float32(0.25))
        return fixed_if_terminal(state, jax.tree.map(lambda one, two: jnp.where(action == NO_BET, one, two), paid, bet))

    def probabilities(between: State) -> jax.Array:
        heads = jnp.where(between.terminal, 1.0, between.board.heads)
        return jnp.stack([heads, 1 - heads])

    def happen(between: State, outcome: jax.Array) -> State:
        return fixed_if_terminal(between, over(between, jnp.where(between.board.bet == outcome, 1.0, -1.0)))

    def init(key: jax.Array) -> State:
        return first_state(Coin(jnp.float32(0.5), jnp.int32(0)), 3)

    return game_of(Chance(2, after, probabilities, happen), init, actions=3)


def coins(game: Game, heads: list[float]) -> State:
    states = jax.vmap(game.init)(jax.random.split(KEY, len(heads)))
    return states._replace(board=states.board._replace(heads=jnp.array(heads, jnp.float32)))


def knows_nothing(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.zeros(states.legal.shape), jnp.zeros(states.terminal.shape)


@BOTH
def test_a_bet_on_a_coin_is_worth_nothing_until_one_thinks_to_know_how_it_falls(algorithm: str) -> None:
    game = make_coin()
    states = coins(game, [0.5] * 64)
    config = SearchConfig(algorithm=algorithm, simulations=60, rescale_values=False, maxvisit_init=1)
    model = by_rules(game, knows_nothing)
    found = run(make_tree_search(config, model, False), None, states, KEY)
    assert (found.action == NO_BET).all()
    np.testing.assert_allclose(found.q[:, NO_BET], 0.25)
    for bet in (HEADS, TAILS):
        visits, q = np.asarray(found.visits[:, bet]), np.asarray(found.q[:, bet])
        assert (visits > 1).all()
        np.testing.assert_allclose(q[visits % 2 == 0], 0, atol=1e-6)  # both sides of the coin equally often
        odd = visits % 2 == 1
        np.testing.assert_allclose(np.abs(q[odd]), (1 / visits)[odd], atol=1e-5)
    if algorithm == "puct":
        return
    fallen = run(make_tree_search(config, model._replace(chance=None), False), None, states, KEY)
    assert 0.5 < (fallen.action != NO_BET).mean() < 1  # three times in four a bet seems to be won


def test_which_of_equal_outcomes_comes_first_is_the_keys_to_say() -> None:
    game = make_coin()
    search = make_tree_search(SearchConfig(simulations=3), by_rules(game, knows_nothing), False)
    found = run(search, None, coins(game, [0.5] * 256), KEY)
    assert (found.visits == 1).all()
    assert 0.3 < (found.q[:, HEADS] == 1).mean() < 0.7
    assert 0.3 < (found.q[:, TAILS] == 1).mean() < 0.7


def test_outcomes_are_visited_by_their_probability() -> None:
    """No outcome is a whole visit away from its share, whatever the moves' number of visits."""
    game = make_coin()
    heads = np.linspace(0, 1, 101).repeat(3)
    states = coins(game, heads.tolist())

    def likes_heads(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = 3 * drawn(jnp.arange(len(states.terminal), dtype=jnp.uint32)[:, None], jnp.arange(3))
        return logits, jnp.zeros(states.terminal.shape)

    config = SearchConfig(algorithm="puct", simulations=40)
    found = run(make_tree_search(config, by_rules(game, likes_heads), False), None, states, KEY)
    visits, q = np.asarray(found.visits[:, HEADS]), np.asarray(found.q[:, HEADS])
    assert len(np.unique(visits)) > 10
    won = (q * visits + visits) / 2
    np.testing.assert_allclose(won, np.round(won), atol=1e-4)
    assert (np.abs(won - heads * visits) < 1).all()


ACTIONS, OUTCOMES, PLIES = 3, 4, 2


@functools.cache
def dice() -> tuple[Game, State, np.ndarray]:
    """Random trees, 64 of them, and what their moves are worth."""
    game = make_dice(ACTIONS, OUTCOMES, PLIES)
    states = jax.vmap(game.init)(jax.random.split(KEY, 64))
    return game, states, np.asarray(jax.jit(jax.vmap(lambda state: exact_q(game, state, PLIES)))(states))


def stochastic_mctx(game: Game, states: State, simulations: int) -> np.ndarray:
    """What mctx's own search of chance says of the moves, float32 [B, A]."""
    chance = by_rules(game, knows_nothing).chance
    assert chance is not None

    def decide(params: object, key: jax.Array, action: jax.Array, states: State) -> tuple[Any, State]:
        between = chance.after(states, action)
        logits = jnp.log(chance.probabilities(between) + 1e-30)
        return mctx.DecisionRecurrentFnOutput(chance_logits=logits, afterstate_value=jnp.zeros(len(action))), between

    def toss(params: object, key: jax.Array, outcome: jax.Array, between: State) -> tuple[Any, State]:
        reached = chance.happen(between, outcome)
        # It has no reward for a move, so that of both halves is paid with the outcome.
        paid = value_before(between.reward, between.discount, reached.reward)
        discount = between.discount * reached.discount
        logits = jnp.zeros(reached.legal.shape)
        value = jnp.zeros(len(outcome))
        found = mctx.ChanceRecurrentFnOutput(action_logits=logits, value=value, reward=paid, discount=discount)
        return found, reached

    def search(states: State) -> jax.Array:
        logits, value = knows_nothing(None, states, KEY)
        found = mctx.stochastic_muzero_policy(
            params=None,
            rng_key=KEY,
            root=mctx.RootFnOutput(prior_logits=logits, value=value, embedding=states),
            decision_recurrent_fn=decide,
            chance_recurrent_fn=toss,
            num_simulations=simulations,
            qtransform=functools.partial(mctx.qtransform_by_min_max, min_value=-1.0, max_value=1.0),
            pb_c_init=0.4,
            dirichlet_fraction=0.0,
            temperature=0.0,
        )
        return found.search_tree.summary().qvalues[:, :ACTIONS]

    return np.asarray(run(search, states))


def assert_near(q: np.ndarray, exact: np.ndarray, within: float) -> None:
    """The best moves are worth what they are worth, and are told from those that are clearly worse."""
    best = exact.argmax(axis=1)
    row = np.arange(len(best))
    assert np.abs(q[row, best] - exact[row, best]).max() < within
    clear = np.sort(exact, axis=1)[:, -1] - np.sort(exact, axis=1)[:, -2] > 2 * within
    assert clear.mean() > 0.4
    assert (q.argmax(axis=1) == best)[clear].all()


GREEDY = {  # settings that leave no weight on moves that are worse
    "gumbel": SearchConfig(simulations=1500, considered=3, value_scale=0.3, maxvisit_init=10, rescale_values=False),
    "puct": SearchConfig(simulations=2000, algorithm="puct", c_init=0.4, fpu="parent"),
}


@BOTH
def test_searches_come_to_the_exact_expectation(algorithm: str) -> None:
    game, states, exact = dice()
    found = run(make_tree_search(GREEDY[algorithm], by_rules(game, knows_nothing), False), None, states, KEY)
    assert_near(np.asarray(found.q), exact, 0.05)


def test_mctx_comes_to_the_same() -> None:
    game, states, exact = dice()
    q, exact = stochastic_mctx(game, jax.tree.map(lambda leaf: leaf[:24], states), 200), exact[:24]
    best = exact.argmax(axis=1)[:, None]
    wrong = np.abs(np.take_along_axis(q - exact, best, axis=1))
    assert wrong.mean() < 0.05  # with a tenth of the simulations


def test_a_few_lanes_search_as_one_does() -> None:
    game, states, _ = dice()
    one = SearchConfig(simulations=24, considered=3)
    model = by_rules(game, judge)
    found = [
        run(make_tree_search(config, model, False), None, states, KEY)
        for config in (one, dataclasses.replace(one, lanes=3))
    ]
    np.testing.assert_array_equal(found[0].visits, found[1].visits)
    np.testing.assert_allclose(found[0].q, found[1].q, atol=1e-5)


class Sure(NamedTuple):
    """The board of a game in which only one thing can happen."""

    board: Any
    to_play: jax.Array
    discount: jax.Array


def make_sure(game: Game) -> Game:
    """The same game, as if chance had a part in it."""

    def inner(state: State) -> State:
        return state._replace(board=state.board.board)

    def outer(state: State) -> State:
        return state._replace(board=Sure(state.board, state.to_play, state.discount))

    def after(state: State, action: jax.Array) -> State:
        moved = outer(game.step(inner(state), action, KEY))
        going_on = jnp.where(moved.terminal, 0.0, 1.0)
        return moved._replace(to_play=state.to_play, discount=going_on, legal=jnp.ones_like(state.legal))

    def happen(between: State, outcome: jax.Array) -> State:
        board = between.board
        reached = between._replace(to_play=board.to_play, discount=board.discount, reward=jnp.zeros(()))
        legal = jax.vmap(lambda action: jnp.zeros((), bool))(jnp.arange(game.num_actions)) | legal_of(board.board)
        return fixed_if_terminal(between, reached._replace(legal=legal | between.terminal))

    def legal_of(place: Any) -> jax.Array:
        moves = jnp.arange(game.num_actions)
        number = drawn(place.hash, 1000 + moves)
        return (number > 2 * 0.3 - 1) | (number >= number.max())

    chance = Chance(1, after, lambda between: jnp.ones(1), happen)
    return game._replace(init=lambda key: outer(game.init(key)), step=step_by_chance(chance), chance=chance)


SURE = {
    "gumbel": SearchConfig(simulations=32),
    "gumbel, lanes": SearchConfig(simulations=32, lanes=4),
    "puct": SearchConfig(simulations=32, algorithm="puct"),
}


@pytest.mark.parametrize("case", SURE)
def test_where_only_one_thing_can_happen_the_search_is_that_without_chance(case: str) -> None:
    game, evaluate = make_toy(5, ((0.3, 0.1, 0.5, 0.2, 0.9),))
    states = roots(game, 64, 8)
    sure = make_sure(game)
    wrapped = states._replace(board=Sure(states.board, states.to_play, states.discount))

    def inner_evaluate(params: object, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return evaluate(params, states._replace(board=states.board.board), key)

    found = run(make_tree_search(SURE[case], by_rules(sure, inner_evaluate), False), None, wrapped, KEY)
    expected = run(make_tree_search(SURE[case], by_rules(game, evaluate), False), None, states, KEY)
    np.testing.assert_array_equal(found.visits, expected.visits)
    np.testing.assert_array_equal(found.action, expected.action)
    for name in ("policy", "q", "value"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)


def test_games_without_chance_have_trees_without_it() -> None:
    game = games.make("tic_tac_toe")
    model = by_network(game, make_network(NetworkConfig(width=8), game))
    assert (model.chance, model.outcomes, model.nodes, model.widest) == (None, 0, 1, 9)
    states = jax.eval_shape(jax.vmap(game.init), jax.random.split(KEY, 2))
    tree = make_kept_search(SearchConfig(simulations=5), model, searches=2).begin(None, states).tree
    assert tree.chance is None
    assert tree.room == 11


def test_trees_have_room_for_two_nodes_a_simulation() -> None:
    game, states, _ = dice()
    model = by_rules(game, knows_nothing)
    assert make_puct(SearchConfig(algorithm="puct", simulations=30), model, False).room == 61
    assert make_gumbel(SearchConfig(simulations=30), model, False).room == 61
    assert make_gumbel(SearchConfig(simulations=30, lanes=3), model, False).room == 67  # three more go ahead
    planner = make_kept_search(SearchConfig(simulations=30), model, searches=2)
    assert planner.begin(None, states).tree.room == 121


@functools.cache
def planner(algorithm: str) -> Any:
    game, _, _ = dice()
    made = make_kept_search(SearchConfig(algorithm=algorithm, simulations=40, considered=3), by_rules(game, judge))
    return made._replace(begin=jax.jit(made.begin), moved=jax.jit(made.moved), search=jax.jit(made.search))


@BOTH
def test_a_kept_tree_is_searched_on_where_chance_went_where_it_had_been(algorithm: str) -> None:
    game, states, _ = dice()
    plan, chance = planner(algorithm), by_rules(game, judge).chance
    assert chance is not None
    every = jnp.arange(64)
    first, kept = plan.search(None, plan.begin(None, states), states, every, KEY)
    assert kept.tree.size.max() > 1 + 40  # a simulation adds up to two nodes
    between = jax.jit(chance.after)(states, first.action)
    likely = jax.jit(chance.probabilities)(between)
    second = jnp.argsort(likely, axis=1)[:, -2].astype(jnp.int32)
    reached = jax.jit(chance.happen)(between, second)
    moved = plan.moved(kept, first.action)
    assert (moved.tree.chance.here[every * moved.tree.room + moved.at]).all()
    again, _ = plan.search(None, moved, reached, every, KEY)
    alive = ~np.asarray(reached.terminal)
    visits = np.asarray(again.visits.sum(axis=1))[alive]
    chosen = np.asarray(first.visits.max(axis=1))[alive]
    assert (visits > 40).mean() > 0.7
    # The outcome had its share of the visits, of which the first looked at the position itself.
    share = np.sort(np.asarray(likely), axis=1)[:, -2][alive] * chosen
    assert (np.abs(visits - 40 - np.maximum(share - 1, 0)) <= 1.001).all()
    # Where chance did something that the tree never met, it is planted anew; so it is after two moves in a row.
    strange = reached._replace(board=reached.board._replace(hash=reached.board.hash + 1))
    for other, at in ((strange, moved), (reached, plan.moved(moved, first.action))):
        fresh, _ = plan.search(None, at, other, every, KEY)
        assert (np.asarray(fresh.visits.sum(axis=1))[alive] == 40).all()


def test_mctx_is_refused() -> None:
    game, _, _ = dice()
    with pytest.raises(ValueError, match="backend mctx does not weigh what chance does"):
        make_tree_search(SearchConfig(backend="mctx"), by_rules(game, judge), False)


def test_a_step_is_both_halves_with_an_outcome_drawn_by_its_probability() -> None:
    game, states, _ = dice()
    chance = game.chance
    assert chance is not None
    state, action = jax.tree.map(lambda leaf: leaf[5], states), jnp.int32(1)

    @jax.jit
    def halves(state: State, action: jax.Array) -> Any:
        between = chance.after(state, action)
        every = jax.vmap(chance.happen, (None, 0))(between, jnp.arange(OUTCOMES))
        return between, chance.probabilities(between), every

    between, likely, every = jax.device_get(halves(state, action))
    assert (likely > 0).sum() > 1
    drawn_ones = jax.jit(jax.vmap(game.step, (None, None, 0)))(state, action, jax.random.split(KEY, 20_000))
    which = np.asarray(drawn_ones.board.hash)[:, None] == np.asarray(every.board.hash)
    assert (which.sum(axis=1) == 1).all()
    spread = np.sqrt(likely * (1 - likely) / 20_000)
    assert (np.abs(which.mean(axis=0) - likely) <= 4 * spread).all()
    index = which.argmax(axis=1)
    reward = between.reward + between.discount * every.reward[index]
    np.testing.assert_array_equal(drawn_ones.reward, reward)
    np.testing.assert_array_equal(drawn_ones.discount, between.discount * every.discount[index])
    np.testing.assert_array_equal(drawn_ones.to_play, every.to_play[index])


def test_expectimax_to_the_end_is_exact_and_short_of_it_counts_what_is_paid() -> None:
    game, states, exact = dice()
    some = jax.tree.map(lambda leaf: leaf[:8], states)
    # What chance pays for the last move is found one move further on.
    np.testing.assert_allclose(jax.jit(jax.vmap(expectimax_q(game, PLIES + 1)))(some), exact[:8], atol=1e-6)
    coin = make_coin()
    state = coin.init(KEY)._replace(legal=jnp.array([True, True, False]))
    state = state._replace(board=state.board._replace(heads=jnp.float32(0.75)))
    assert expectimax_q(coin, 1)(state).tolist() == [0, 0, -np.inf]
    assert expectimax_q(coin, 1, lambda between: 2.0 * between.board.bet)(state).tolist() == [0, 2, -np.inf]
    assert expectimax_q(coin, 2)(state).tolist() == [0.5, -0.5, -np.inf]


def test_expectimax_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(ValueError, match="the rules of tic_tac_toe do not say what chance does"):
        expectimax_q(games.make("tic_tac_toe"), 2)
    with pytest.raises(ValueError, match="depth of expectimax must be 1 or more, not 0"):
        expectimax_q(make_coin(), 0)
