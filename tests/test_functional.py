"""Gymnasium's functional environments as games: what of the contract is not that of board games."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.phys2d.cartpole import CartPoleFunctional
from gymnasium.envs.tabular.blackjack import BlackjackFunctional
from random_play import play

import games
from azero.config import ReplayConfig
from azero.replay import bytes_per_position, pack, unpack
from games.core import State
from games.notation import play_moves

CARTPOLE, CLIFF, BLACKJACK = (games.make(name) for name in ("cartpole", "cliff_walking", "blackjack"))
OPTIMAL = "up " + "right " * 11 + "down"


def after(game, state: State, move: str, seed: int = 0) -> State:
    return jax.jit(game.step)(state, jnp.int32(game.notation.action(state, move)), jax.random.key(seed))


def returns(game, line: str) -> tuple[list[float], float]:
    """The rewards of a line of moves, in the environment's units, and its discounted return, in the game's."""
    states, _ = play_moves(game, line)
    rewards = [float(state.reward) for state in states[1:]]
    value = 0.0
    for state, reward in zip(reversed(states[1:]), reversed(rewards), strict=True):
        value = reward + float(state.discount) * value
    return [reward / game.reward_scale for reward in rewards], value


def hands(dealer: list[int], player: list[int]) -> State:
    """A round of Blackjack with these cards, the dealer's second one hidden."""
    state = BLACKJACK.init(jax.random.key(0))
    cards = [jnp.zeros(21).at[: len(hand)].set(jnp.array(hand, jnp.float32)) for hand in (dealer, player)]
    board = state.board._replace(dealer_hand=cards[0], player_hand=cards[1], player_cards=jnp.int32(len(player)))
    return state._replace(board=board)


def test_a_push_of_the_cart_worked_by_hand():
    # From rest upright a push of 10 N to the right: temp = 10 / 1.1; the pole turns by -temp / (0.5 (4/3 - 1/11)), the
    # cart gains temp - 0.6 turning / 1.1, with phys2d's 0.1 + 0.5 in place of CartPole-v1's 0.1 * 0.5.
    state = CARTPOLE.init(jax.random.key(0))._replace(board=jnp.zeros(4))
    pushed = after(CARTPOLE, state, "right")
    turning = -(10 / 1.1) / (0.5 * (4 / 3 - 1 / 11))
    speed = 10 / 1.1 - 0.6 * turning / 1.1
    np.testing.assert_allclose(pushed.board, [0, 0.02 * speed, 0, 0.02 * turning], rtol=1e-5)
    assert (float(pushed.reward) / CARTPOLE.reward_scale, float(pushed.discount)) == (1.0, pytest.approx(0.99))


@pytest.mark.parametrize("name", games.FUNCTIONAL)
def test_moves_are_the_environments_own(name):
    """A batch of random games, from starts of their own, gives what the environment's functions give one by one."""
    game = games.make(name)
    (states, planes), actions = play(game, 3, 12, record=lambda state: (state, game.observe(state)))
    assert planes.shape == (13, 3, *game.observation_shape)
    for row in range(3):
        live = ~states.terminal[:-1, row]
        assert (
            states.discount[1:, row][live] == np.where(states.terminal[1:, row][live], 0, states.discount[0, 0])
        ).all()
        assert not states.reward[1:, row][~live].any()
    if name != "cartpole":
        return
    env = CartPoleFunctional()
    for ply in range(12):
        for row in np.flatnonzero(~states.terminal[ply]).tolist():
            own = env.transition(states.board[ply, row], actions[ply, row])
            np.testing.assert_allclose(states.board[ply + 1, row], own, rtol=1e-5, atol=1e-6)
            assert states.terminal[ply + 1, row] == bool(env.terminal(own, None))


@pytest.mark.parametrize("name", games.FUNCTIONAL)
def test_starts_follow_from_the_key_and_compile_once(name):
    game = games.make(name)
    traces = []

    @jax.jit
    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        traces.append(None)
        return game.step(state, action, key)

    init = jax.jit(game.init)
    state = init(jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, state, init(jax.random.key(3)))
    for ply in range(5):
        state = step(state, jnp.int32(0), jax.random.key(ply))
    assert len(traces) == 1


def test_the_way_along_the_cliff():
    rewards, value = returns(CLIFF, OPTIMAL)
    assert rewards == [-1.0] * 13
    assert value / CLIFF.reward_scale == pytest.approx(-(1 - 0.95**13) / 0.05, rel=1e-5)
    end = play_moves(CLIFF, OPTIMAL)[0][-1]
    assert bool(end.terminal)
    assert float(end.discount) == 0


def test_a_fall_goes_back_to_the_start_and_on():
    states, _ = play_moves(CLIFF, "up right down")
    assert returns(CLIFF, "up right down")[0] == [-1.0, -1.0, -100.0]
    assert not bool(states[-1].terminal)
    np.testing.assert_array_equal(CLIFF.observe(states[-1]), CLIFF.observe(states[0]))
    assert CLIFF.notation.board(states[-1]) == CLIFF.notation.board(states[0])
    np.testing.assert_array_equal(CLIFF.observe(after(CLIFF, states[0], "left")), CLIFF.observe(states[0]))


def test_the_walker_is_one_hot_where_the_board_shows_it():
    for state in play_moves(CLIFF, "up up right right right down")[0]:
        seen = np.asarray(CLIFF.observe(state))[..., 0]
        shown = np.array([line.split() for line in CLIFF.notation.board(state).split("\n")]) == "@"
        np.testing.assert_array_equal(seen, shown)


def test_the_end_is_a_fixed_point():
    end = play_moves(CLIFF, OPTIMAL)[0][-1]
    fixed = end._replace(reward=np.float32(0), discount=np.float32(0))
    jax.tree.map(np.testing.assert_array_equal, after(CLIFF, end, "left"), fixed)


def test_discounted_returns_are_what_a_network_can_say():
    gamma = float(CARTPOLE.init(jax.random.key(0)).discount)
    assert CARTPOLE.reward_scale / (1 - gamma) < 1
    gamma = float(CLIFF.init(jax.random.key(0)).discount)
    fall, endless = 100 * CLIFF.reward_scale, CLIFF.reward_scale / (1 - gamma)
    assert fall + endless < 1  # a walk that falls once and then walks for ever
    assert (BLACKJACK.reward_scale, float(BLACKJACK.init(jax.random.key(0)).discount)) == (1, 1)


def test_only_what_is_cut_off_has_a_time_limit():
    assert [game.time_limit for game in (CARTPOLE, CLIFF, BLACKJACK)] == [500, 200, 0]
    state = CARTPOLE.init(jax.random.key(0))
    assert len(jax.tree.leaves(state.board)) == 1  # no count of moves: the rules know of no limit
    walker = play_moves(CLIFF, "left " * 201)[0][-1]
    assert not bool(walker.terminal)


def test_a_round_of_blackjack():
    natural = after(BLACKJACK, hands([10, 9], [1, 10]), "stick")
    assert (float(natural.reward), bool(natural.terminal), float(natural.discount)) == (1, True, 0)
    bust = after(BLACKJACK, hands([10, 9], [10, 10, 1]), "hit")
    assert bool(bust.terminal) == (float(bust.reward) == -1)
    assert float(bust.reward) == -1
    soft = after(BLACKJACK, hands([10, 9], [1, 2]), "hit")
    assert not bool(soft.terminal)
    assert (float(soft.reward), float(soft.discount)) == (0, 1)
    seen = np.asarray(BLACKJACK.observe(hands([7, 9], [1, 5]))).ravel()
    assert np.flatnonzero(seen).tolist() == [16 - 1, 32 + 7 - 1, 32 + 11 + 1]  # 16 with the ace as 11


def test_the_hidden_card_is_hidden_from_a_search_too():
    """What follows a move does not depend on the card that lies there, which the player cannot know."""
    for seed in range(5):
        for move in ("stick", "hit"):
            one, other = (after(BLACKJACK, hands([10, hidden], [10, 7]), move, seed) for hidden in (1, 10))
            jax.tree.map(np.testing.assert_array_equal, one, other)


def test_the_card_drawn_anew_is_as_likely_as_it_was():
    """Sticking pays on average what it pays in the environment itself, whose hidden card is dealt at the start."""
    env, games_played = BlackjackFunctional(), 20_000

    def pay(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = BLACKJACK.init(key)
        mine = BLACKJACK.step(state, jnp.int32(0), jax.random.fold_in(key, 2)).reward
        end = env.transition(state.board, jnp.int32(0), jax.random.fold_in(key, 1))
        return mine, env.reward(state.board, jnp.int32(0), end, key).astype(jnp.float32)

    mine, theirs = (
        np.asarray(pays) for pays in jax.jit(jax.vmap(pay))(jax.random.split(jax.random.key(0), games_played))
    )
    difference = mine - theirs
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(games_played)
    assert (mine != theirs).any()
    for result in (-1, 0, 1):
        assert abs((mine == result).mean() - (theirs == result).mean()) < 4 * np.sqrt(0.5 / games_played)


def test_text_boards():
    state = CARTPOLE.init(jax.random.key(0))._replace(board=jnp.array([-2.4, 0.5, 0.2, -1.0]))
    assert CARTPOLE.notation.board(state).split("\n") == [
        "    /",
        "   /",
        "  /",
        "[=]" + "-" * 48,
        "place -2.40  speed +0.50  lean +11.5  turning -57",
    ]
    assert BLACKJACK.notation.board(hands([10, 9], [1, 6])) == "dealer  10 ?\nplayer  1 6 = 17"
    over = hands([10, 9], [10, 6, 8])._replace(terminal=jnp.ones((), bool))
    assert BLACKJACK.notation.board(over) == "dealer  10 9 = 19\nplayer  10 6 8 = 24"


@pytest.mark.parametrize("name", games.FUNCTIONAL)
def test_moves_are_words(name):
    game = games.make(name)
    state = game.init(jax.random.key(0))
    words = [game.notation.move(state, action) for action in range(game.num_actions)]
    assert [game.notation.action(state, word.upper()) for word in words] == list(range(game.num_actions))
    with pytest.raises(ValueError, match=f"^'jump' is not a move; moves are {words[0]}, "):
        game.notation.action(state, "jump")


def test_observations_are_stored_as_they_are():
    state = CARTPOLE.init(jax.random.key(0))._replace(board=jnp.array([-1.234567, 2.5, 0.2, -3.25]))
    seen, legal = unpack(CARTPOLE, pack(CARTPOLE, CARTPOLE.observe(state), state.legal))
    np.testing.assert_array_equal(seen.ravel(), state.board)
    assert legal.all()
    assert bytes_per_position(CLIFF, ReplayConfig()) < 30
