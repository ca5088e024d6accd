"""Games that are cut off at a time limit: what self-play keeps of them, and what is taught, worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.config import NetworkConfig, SearchConfig, SelfPlayConfig, TargetConfig
from azero.distill import Learner, Lesson
from azero.network import make_network
from azero.search import Amplified, make_search
from azero.selfplay import make_selfplay, new_games
from azero.targets import value_targets
from games.core import Game, Notation, State, fixed_if_terminal, no_symmetries

REWARD, GAMMA = 0.25, 0.5


def walk(goal: int, time_limit: int) -> Game:
    """A walk for one in steps of 1; each earns REWARD; it ends at the goal."""

    def state(place: jax.Array, reward: float) -> State:
        over = place >= goal
        return State(
            place, jnp.int32(0), jnp.ones(2, bool), jnp.float32(reward),
            jnp.where(over, 0.0, GAMMA).astype(jnp.float32), over,
        )  # fmt: skip

    def step(before: State, action: jax.Array, key: jax.Array) -> State:
        return fixed_if_terminal(before, state(before.board + 1, REWARD))

    nothing = Notation(lambda *_: "", lambda *_: 0, " ", lambda _: "")
    return Game(
        "walk", 1, 2, (1, 1, 1), 99, lambda key: state(jnp.int32(0), 0.0), step,
        lambda state: state.board.astype(jnp.float32).reshape(1, 1, 1), no_symmetries(1, 2), nothing, (0,),
        time_limit=time_limit,
    )  # fmt: skip


def value_of(place):
    """What the search says of a place."""
    return (place + 1) / 10


def searched(params, states: State, key: jax.Array) -> Amplified:
    policy = jnp.ones((states.board.shape[0], 2)) / 2
    return Amplified(jnp.zeros(states.board.shape, jnp.int32), policy, policy, policy, value_of(states.board))


def played(game: Game, plies: int, rows: int = 1, start: tuple[int, ...] = (0,)):
    """Games with these many moves behind them, and the trajectory that follows."""
    config = SelfPlayConfig(games=rows, plies=plies, opening_plies=0)
    play = make_selfplay(config, game, searched, lambda learner, states, amplified, key: Lesson(amplified.policy), 2)
    begun = new_games(game, config, rows, jax.random.key(0))
    ply = jnp.array(start, jnp.int32)
    begun = begun._replace(ply=ply, state=begun.state._replace(board=ply))
    return jax.device_get(jax.jit(play)(Learner(None, None, jnp.int32(0)), begun, jax.random.key(1)))


def targets(trajectory, mix: float = 1.0, bootstrap: float = 9.0) -> np.ndarray:
    rows = trajectory.reward.shape[1]
    return np.asarray(value_targets(TargetConfig(mix), trajectory, jnp.full(rows, bootstrap)))


def test_a_return_across_a_cut():
    # Places 0 and 1 are left, place 2 is where the game is cut off: it is worth what the search says, 0.3. Place 1 is
    # worth 0.25 + 0.5 * 0.3, place 0 then 0.25 + 0.5 * 0.4. A second game follows and nothing of it comes back.
    games_after, trajectory = played(walk(99, 2), 6)
    assert trajectory.search_value[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    assert trajectory.chosen[:, 0].tolist() == [True, True, False] * 2
    assert trajectory.ended[:, 0].tolist() == [False, False, True] * 2
    assert trajectory.reward[:, 0].tolist() == [0.25, 0.25, 0] * 2
    assert targets(trajectory)[:, 0].tolist() == pytest.approx([0.45, 0.4, 0.3] * 2)
    assert not trajectory.outcome.any()
    assert (games_after.ply.tolist(), games_after.state.board.tolist()) == ([0], [0])


def test_a_cut_between_two_iterations():
    # The last position of the window is the one at the limit: it is bootstrapped, and cut off in the next window.
    games_after, trajectory = played(walk(99, 2), 2)
    assert targets(trajectory, bootstrap=0.8)[:, 0].tolist() == pytest.approx([0.25 + 0.5 * 0.65, 0.65])
    assert games_after.ply.tolist() == [2]
    assert played(walk(99, 2), 1, start=(2,))[1].chosen.tolist() == [[False]]


def test_lambda_mixes_on_this_side_of_the_cut():
    # Place 1: nothing but the search stands after it, 0.3, whatever the mix. Place 0: half 0.4, half the search's 0.2.
    trajectory = played(walk(99, 2), 3)[1]
    assert targets(trajectory, 0.5)[:, 0].tolist() == pytest.approx([0.25 + 0.5 * 0.3, 0.4, 0.3])


def test_a_return_across_a_termination():
    # The goal is place 2, which is worth nothing more: no position is kept of it, and no limit is asked, also where
    # the game ends with the last move that the limit allows.
    for limit in (0, 2, 50):
        trajectory = played(walk(2, limit), 4)[1]
        assert trajectory.search_value[:, 0].tolist() == pytest.approx([0.1, 0.2] * 2)
        assert trajectory.ended[:, 0].tolist() == [False, True] * 2
        assert trajectory.chosen.all()
        assert targets(trajectory)[:, 0].tolist() == pytest.approx([0.375, 0.25] * 2)


def test_rows_are_cut_off_each_in_its_time():
    trajectory = played(walk(99, 3), 4, rows=2, start=(0, 2))[1]
    assert trajectory.ended.T.tolist() == [[False, False, False, True], [False, True, False, False]]
    # Row 1: place 2 leads to 0.4 at the cut; then places 0 and 1 of a game that is bootstrapped with 9.
    expected = [0.25 + 0.5 * 0.4, 0.4, 0.25 + 0.5 * (0.25 + 0.5 * 9), 0.25 + 0.5 * 9]
    assert targets(trajectory)[:, 1].tolist() == pytest.approx(expected)


def test_games_without_a_limit_play_as_if_there_were_none():
    """Board games: the same program and the same trajectory as with a limit that is never reached, bit for bit."""
    game = games.make("tic_tac_toe")
    network = make_network(NetworkConfig(width=8, blocks=1), game)
    config = SelfPlayConfig(games=4, plies=12, opening_plies=2)
    learner = Learner(network.init(jax.random.key(0)), None, jnp.int32(0))
    found, evaluations = [], []
    for limit in (0, 10):
        limited = game._replace(time_limit=limit)
        search = make_search(SearchConfig(simulations=4), limited, network, explore=True)
        play = make_selfplay(
            config,
            limited,
            lambda learner, states, key, search=search: search(learner.params, states, key),
            lambda learner, states, amplified, key: Lesson(amplified.policy),
            9,
        )
        start = new_games(limited, config, 4, jax.random.key(0))
        evaluations.append(str(jax.make_jaxpr(play)(learner, start, jax.random.key(1))).count("dot_general"))
        found.append(jax.jit(play)(learner, start, jax.random.key(1)))
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert evaluations[0] == evaluations[1] > 0
