"""Environments for other people's agents: their libraries' own checks, and what those do not look at."""

import itertools
import re
import subprocess
import sys
import types
import warnings

import gymnasium
import jax
import numpy as np
import pettingzoo.test
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.utils import average_total_reward
from test_pgx_adapter import make_env
from toy_games import ALONE, TWICE, Kind, make_toy

import azero
import games
from azero.answers import GIVEN_UP, Answer
from azero.envs import GameEnv, aec, against, seats
from azero.players import Player
from games.core import Game
from games.notation import jitted

X_WINS = [0, 3, 1, 4, 2]  # moves of tic_tac_toe
O_WINS = [0, 3, 1, 4, 8, 5]
DRAW = [0, 1, 2, 4, 3, 5, 7, 6, 8]
RESTLESS = Kind(again=0.5, rewards=0.3, ends=0.1)  # the same player may move again, and rewards come in mid-game


@pytest.fixture
def alone(monkeypatch):
    """The name of a countdown for one player, a pgx-style env."""
    module = types.ModuleType("their_games")
    module.Alone = lambda: make_env(players=1)
    monkeypatch.setitem(sys.modules, "their_games", module)
    games.make.cache_clear()
    yield "their_games:Alone"
    games.make.cache_clear()


@pytest.fixture
def toy(monkeypatch):
    """Gives both kinds of environments a game that is not in the list."""

    def give(game: Game, opponent: Player | None = None):
        monkeypatch.setattr(against, "make", lambda name: game)
        monkeypatch.setattr(seats, "make", lambda name: game)
        if opponent is not None:
            monkeypatch.setattr(against, "make_player", lambda text, name: (opponent, game))

    return give


def scripted(actions, reasons=None) -> Player:
    """A player whose answers are these, one after the other."""
    left = iter(actions)

    def answers(states, key):
        return Answer(np.array([next(left)], np.int32), np.zeros((1, 9), np.float32), None, None, reasons)

    return Player("scripted", answers)


def episode(env, seed=None):
    """Views and rewards of a game in which an agent of gymnasium's plays: random legal moves."""
    seen, rewards = [env.reset(seed=seed)[0]], []
    over = False
    while not over:
        mask = seen[-1]["action_mask"]
        view, reward, over, truncated, info = env.step(env.action_space.sample(mask))
        assert not truncated
        assert (info["action_mask"] == view["action_mask"]).all()
        assert "illegal" not in info
        seen.append(view)
        rewards.append(reward)
    return seen, rewards


def turns(env, choose, seed=None):
    """Plays a game of an AEC environment: (agent, view, reward, over) of every turn."""
    env.reset(seed=seed)
    told = []
    for agent in env.agent_iter():
        view, reward, over, _, _ = env.last()
        told.append((agent, view, reward, over))
        env.step(None if over else choose(agent, view))
    return told


def returns(game, played, seat):
    """What a player earned in a game, by the rules alone."""
    total = 0.0
    state = jitted(game.init)(played.key)
    for number, action in enumerate(played.actions, start=1):
        after = jitted(game.step)(state, np.int32(action), jax.random.fold_in(played.key, number))
        total += float(after.reward) * (1 if int(state.to_play) == seat else -1)
        state = after
    return total


@pytest.mark.parametrize(
    "program",
    [
        "import azero, sys; assert 'gymnasium' not in sys.modules; import gymnasium",
        "import gymnasium, azero",
        "import azero, importlib.util as u; assert u.find_spec('gymnasium'); import gymnasium",
        "import azero.cli, sys; azero.cli.main(['--help']); assert 'gymnasium' not in sys.modules; import gymnasium",
    ],
)
def test_importing_azero_registers_whoever_comes_first(program):
    check = "; print([name for name in gymnasium.registry if name.startswith('azero/')], gymnasium.__loader__)"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=True)
    ids = [azero.environment_id(name) for name in games.FOR_TWO]
    assert f"{ids} <_frozen_importlib_external.SourceFileLoader" in done.stdout
    assert done.stderr == ""


def test_ids_follow_a_rule():
    assert azero.environment_id("connect_four_4x4") == "azero/ConnectFour4x4-v0"
    assert azero.environment_id("go_19x19") == "azero/Go19x19-v0"
    assert all(re.fullmatch(r"azero/[A-Za-z0-9]+-v0", azero.environment_id(name)) for name in games.names())


@pytest.mark.parametrize("first", [True, False, None])
def test_gymnasium_finds_nothing_to_say(first):
    check_env(gymnasium.make("azero/TicTacToe-v0", first=first, render_mode="ansi").unwrapped)


def test_gymnasium_finds_nothing_to_say_of_a_game_for_one(alone):
    env = gymnasium.make("azero/TicTacToe-v0", game=alone)
    check_env(env.unwrapped)
    _, rewards = episode(env, seed=0)
    assert rewards[-1] == 1
    assert not any(rewards[:-1])
    assert len(rewards) >= 3


def test_gymnasium_makes_vectors():
    envs = gymnasium.make_vec("azero/TicTacToe-v0", num_envs=3, vectorization_mode="sync", first=True)
    views, _ = envs.reset(seed=1)
    assert views["observation"].shape == (3, 3, 3, 2)
    views, rewards, *_ = envs.step(np.array([0, 4, 8]))
    assert (views["observation"][..., 0].sum((1, 2)) == 1).all()
    assert not rewards.any()
    envs.close()


def test_a_hundred_games_of_gymnasiums_agent_against_perfect_play():
    env = gymnasium.make("azero/TicTacToe-v0", opponent="oracle")
    env.action_space.seed(0)
    results, firsts = [], []
    for number in range(100):
        seen, rewards = episode(env, seed=None if number else 0)
        assert not any(rewards[:-1])
        results.append(rewards[-1])
        stones = seen[0]["observation"].sum((0, 1))
        firsts.append(stones[1] == 0)
        assert stones.tolist() in ([0, 0], [0, 1])  # the opponent's first move is made
        for before, after in itertools.pairwise(seen[:-1]):  # plane 0 stays the agent's
            more = after["observation"] - before["observation"]
            assert more.sum((0, 1)).tolist() == [1, 1]
            assert (more >= 0).all()
        assert not seen[-1]["observation"].any()
        assert not seen[-1]["action_mask"].any()
    assert set(results) == {0.0, -1.0}  # perfect play is never beaten, and beats chance
    assert 25 < sum(firsts) < 75


def test_the_agent_wins_and_loses_from_its_own_side(toy):
    game = games.make("tic_tac_toe")
    for seat, moves, reward in [(0, X_WINS, 1), (1, X_WINS, -1), (0, O_WINS, -1), (1, O_WINS, 1), (1, DRAW, 0)]:
        toy(game, scripted(moves[1 - seat :: 2]))
        env = GameEnv("tic_tac_toe", first=seat == 0)
        env.reset(seed=0)
        for number, action in enumerate(moves[seat::2]):
            view, got, over, _, _ = env.step(action)
            assert (got == 0) or over, number
        assert (got, over) == (reward, True)
        assert not view["action_mask"].any()


def test_seeds_decide_all_chances():
    env = gymnasium.make("azero/ConnectFour4x4-v0", opponent="random")

    def story(seed):
        env.action_space.seed(0)
        return [
            view["observation"].tobytes() for number in range(2) for view in episode(env, None if number else seed)[0]
        ]

    assert story(5) == story(5)
    assert len({tuple(story(seed)) for seed in range(4)}) == 4


def test_illegal_moves_lose():
    env = gymnasium.make("azero/TicTacToe-v0", first=True, render_mode="ansi")
    env.reset(seed=0)
    view, *_ = env.step(4)
    assert not view["action_mask"][4]
    assert (env.unwrapped.action_masks() == view["action_mask"]).all()
    board = env.render()
    view, reward, over, truncated, info = env.step(4)
    assert (reward, over, truncated, info["illegal"]) == (-1, True, False, True)
    assert not view["action_mask"].any()
    assert env.render() == board
    assert board.count("x") == board.count("o") == 1
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_an_opponent_that_gives_up_has_lost(toy):
    toy(games.make("tic_tac_toe"), scripted([3, GIVEN_UP], reasons=["bored"]))
    env = GameEnv("tic_tac_toe", first=True)
    env.reset(seed=0)
    assert env.step(0)[1:3] == (0, False)
    _, reward, over, _, info = env.step(1)
    assert (reward, over, info["given_up"]) == (1, True, "bored")


@pytest.mark.parametrize("kind", [RESTLESS, TWICE, ALONE])
def test_rewards_follow_the_sign_rule_whoever_moves_next(toy, kind):
    game, _ = make_toy(4, (kind,))
    game = game._replace(num_players=1 if kind is ALONE else 2)
    chance = np.random.default_rng(0)
    toy(game, Player("first", lambda states, key: Answer(np.asarray(states.legal).argmax(-1), None, None, None)))
    env = GameEnv("toy")
    pair = aec("toy")
    repeated = 0
    for seed in range(15):
        _, rewards = episode(env, seed)
        carried = env.unwrapped._played
        assert sum(rewards) == pytest.approx(returns(game, carried, env.unwrapped.seat), abs=1e-5)

        told = turns(pair, lambda agent, view: chance.choice(np.flatnonzero(view["action_mask"])), seed)
        carried = pair.unwrapped._played
        for seat, agent in enumerate(pair.possible_agents):
            total = sum(reward for who, _, reward, _ in told if who == agent)
            assert total == pytest.approx(returns(game, carried, seat), abs=1e-5)
            assert [over for who, _, _, over in told if who == agent][-1:] == [True]
        movers = [who for who, _, _, over in told if not over]
        assert movers == [f"player_{int(state.to_play)}" for state in carried.states[:-1]]
        repeated += sum(one == other for one, other in itertools.pairwise(movers))
    assert repeated > 5


@pytest.mark.parametrize("game", ["tic_tac_toe", "connect_four_4x4"])
def test_pettingzoo_passes_it(game):
    # It warns of every dictionary, and of an empty board, as it does in PettingZoo's own games.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Observation is not a NumPy array|Observation space for each agent")
        warnings.filterwarnings("ignore", message="Observation numpy array is all zeros")
        pettingzoo.test.api_test(aec(game), num_cycles=50)
    pettingzoo.test.seed_test(lambda: aec(game), num_cycles=30)


def test_both_sides_see_their_own_stones_and_moves():
    env = aec("tic_tac_toe")
    chance = np.random.default_rng(1)
    for _ in range(20):
        own = {"player_0": np.zeros(9), "player_1": np.zeros(9)}

        def choose(agent, view, own=own):
            other = "player_1" if agent == "player_0" else "player_0"
            assert (view["observation"][..., 0].ravel() == own[agent]).all()
            assert (view["observation"][..., 1].ravel() == own[other]).all()
            assert (view["action_mask"] == 1 - own[agent] - own[other]).all()
            hidden = env.observe(other)
            assert not hidden["action_mask"].any()
            assert not hidden["observation"].any()
            action = chance.choice(np.flatnonzero(view["action_mask"]))
            own[agent][action] = 1
            return action

        told = turns(env, choose)
        assert len(told) == own["player_0"].sum() + own["player_1"].sum() + 2


@pytest.mark.parametrize(("moves", "rewards"), [(X_WINS, (1, -1)), (O_WINS, (-1, 1)), (DRAW, (0, 0))])
def test_rewards_reach_the_agents_that_they_belong_to(moves, rewards):
    env = aec("tic_tac_toe")
    script = iter(moves)
    told = turns(env, lambda agent, view: next(script))
    assert [agent for agent, *_ in told[: len(moves)]] == [f"player_{number % 2}" for number in range(len(moves))]
    assert not any(reward for _, _, reward, over in told if not over)
    ends = {agent: reward for agent, _, reward, over in told if over}
    assert ends == {"player_0": rewards[0], "player_1": rewards[1]}
    assert env.agents == []


def test_an_illegal_move_of_one_agent_is_a_win_of_the_other():
    env = aec("tic_tac_toe", render_mode="ansi")
    env.reset()
    env.step(4)
    assert env.render().count("x") == 1
    env.step(4)
    assert env.rewards == {"player_0": 1, "player_1": -1}
    assert env.terminations == {"player_0": True, "player_1": True}
    assert env.infos["player_1"] == {"illegal": True}
    assert env.render().count("o") == 0


def test_a_hundred_games_of_pettingzoos_agent():
    """It does not look at masks, so games end by illegal moves too; what one gains the other loses."""
    env = aec("connect_four_4x4")
    begun = []
    reset = env.reset
    env.reset = lambda *rest, **named: begun.append(reset(*rest, **named))
    assert average_total_reward(env, max_episodes=100) == 0
    assert len(begun) == 100


@pytest.mark.parametrize("action", [-1, 9, 2.5])
def test_actions_out_of_range(action):
    env = gymnasium.make("azero/TicTacToe-v0", first=True).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="actions are 0 to 8"):
        env.step(action)
    assert env.step(0)[2] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"game": "tic_tac_to"}, "did you mean tic_tac_toe"),
        ({"opponent": "randm"}, "did you mean random"),
        ({"opponent": "oracle", "game": "othello"}, "no table of exact values"),
        ({"render_mode": "human"}, "ansi or None"),
    ],
)
def test_what_is_not_there(words, message):
    with pytest.raises(ValueError, match=message) as caught:
        GameEnv(**{"game": "tic_tac_toe"} | words)
    assert "\n" not in str(caught.value)
    if "opponent" not in words:
        with pytest.raises(ValueError, match=message):
            aec(words.get("game", "tic_tac_toe"), words.get("render_mode"))
