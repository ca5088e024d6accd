"""Episodes of games for one: returns in the environment's units, lengths, limits."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.answers import GIVEN_UP, Answer, random_answers
from azero.cli import main
from azero.commands import play
from azero.commands.eval import Arguments
from azero.commands.eval_episodes import episodes_report
from azero.commands.play import _Table as Table
from azero.config import Config, NetworkConfig, SearchConfig
from azero.episodes import Episodes, play_episodes
from azero.network import make_network
from azero.players import make_player, search_player
from azero.strength import make_measure
from games.core import Game, Notation, State, no_symmetries

SCALE = 1 / 8


def lottery(time_limit: int) -> Game:
    """Action 0 earns 2 units and ends the game; 1 earns 1 and goes on; so does 2, which earns 0 or 10 by chance."""

    def state(last: jax.Array, reward: jax.Array | float, over: jax.Array | bool) -> State:
        return State(
            last, jnp.int32(0), jnp.ones(3, bool), jnp.float32(reward), jnp.where(over, 0, 1.0), jnp.asarray(over)
        )

    def step(before: State, action: jax.Array, key: jax.Array) -> State:
        units = jnp.array([2.0, 1.0, 10.0 * jax.random.bernoulli(key)])[action]
        return state(action, jnp.where(before.terminal, 0, units * SCALE), before.terminal | (action == 0))

    nothing = Notation(lambda *_: "", lambda *_: 0, " ", lambda _: "")
    return Game(
        "lottery", 1, 3, (1, 1, 1), 6, lambda key: state(jnp.int32(1), 0.0, False), step,
        lambda state: state.board.reshape(1, 1, 1), no_symmetries(1, 3), nothing,
        reward_scale=SCALE, time_limit=time_limit,
    )  # fmt: skip


def always(action: int, policy=(0.0, 1.0, 0.0)):
    """Plays one action, in the policy of others."""

    def answers(states: State, key: jax.Array) -> Answer:
        count = len(states.terminal)
        return Answer(np.full(count, action), np.tile(np.array(policy, np.float32), (count, 1)), None, None)

    return answers


def in_turn(ends: list[int]):
    """Ends game i with its move number ends[i]; it is asked about games that go on, and filled up with the last."""
    asked = []

    def answers(states: State, key: jax.Array) -> Answer:
        assert not np.asarray(states.terminal).any()
        ply = len(asked)
        live = [end for end in ends if end > ply]
        live += live[-1:] * (len(ends) - len(live))
        asked.append(live)
        action = np.array([0 if end == ply + 1 else 1 for end in live])
        return Answer(action, np.zeros((len(ends), 3), np.float32), None, None)

    return answers


def test_returns_and_lengths_are_each_games_own():
    # A game that ends with move n earns n - 1 units and 2; the fourth, of 9 moves, is cut off after 5.
    played = play_episodes(lottery(5), in_turn([1, 3, 2, 9]), 4)
    assert played.returns.tolist() == [2, 4, 3, 5]
    assert played.returns.dtype == np.float32
    assert played.lengths.tolist() == [1, 3, 2, 5]
    assert played.cut.tolist() == [False, False, False, True]


def test_where_there_is_no_limit_the_longest_game_is():
    played = play_episodes(lottery(0), always(1), 2)
    assert played.lengths.tolist() == [6, 6]


def test_chances_are_those_of_the_seed_and_the_game():
    few, many = (play_episodes(lottery(20), always(2), count, seed=3).returns for count in (3, 8))
    assert few.tolist() == many[:3].tolist()
    assert len(set(many.tolist())) > 1
    assert play_episodes(lottery(20), always(2), 3, seed=4).returns.tolist() != few.tolist()


def test_moves_are_drawn_from_the_policy_where_that_is_asked():
    policy = (0.25, 0.75, 0.0)
    assert play_episodes(lottery(1), always(1, policy), 50).returns.tolist() == [1] * 50
    returns = play_episodes(lottery(1), always(2, policy), 400, sampled=True).returns
    assert set(returns.tolist()) == {1, 2}
    assert abs((returns == 2).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)


def test_figures_by_hand():
    # Mean 4, standard deviation sqrt((4 + 1 + 9) / 2), and 1.96 of it over sqrt(3) to either side.
    cut = np.array([False, True, False])
    figures = Episodes(np.array([2, 3, 7], np.float32), np.array([4, 5, 9], np.int32), cut, None).figures()
    half = 1.959964 * np.sqrt(7) / np.sqrt(3)
    assert figures.pop("interval") == pytest.approx([4 - half, 4 + half])
    assert figures == {
        "episodes": 3, "mean_return": 4, "min": 2, "max": 7, "cut": 1,
        "mean_length": 6, "min_length": 4, "max_length": 9,
    }  # fmt: skip
    assert Episodes(np.ones(1, np.float32), np.ones(1, np.int32), cut[:1], None).figures()["interval"] is None


@pytest.mark.parametrize(
    ("game", "answers", "count", "message"),
    [
        (
            games.make("tic_tac_toe"),
            always(1),
            2,
            "^tic_tac_toe is a game for 2 players; episodes are of games for one",
        ),
        (lottery(5), always(1), 0, "^episodes must be 1 or more, not 0"),
        (lottery(5), always(GIVEN_UP), 2, "^a player gave up after 0 moves"),
    ],
)
def test_what_cannot_be_played_is_refused(game, answers, count, message):
    with pytest.raises(ValueError, match=message):
        play_episodes(game, answers, count)


def test_blackjack_by_chance_returns_what_it_is_known_to():
    """Sticking or hitting by the toss of a coin loses 0.39 a round."""
    game = games.make("blackjack")
    played = play_episodes(game, random_answers(game), 4000)
    assert abs(played.returns.mean() + 0.39) < 4 * 0.92 / np.sqrt(4000)
    assert set(played.returns.tolist()) == {-1, 0, 1}
    assert not played.cut.any()


def test_a_run_is_measured_by_what_its_network_returns():
    game = games.make("cliff_walking")._replace(time_limit=3)
    config = Config(game="cliff_walking", search=SearchConfig(simulations=2))
    network = make_network(NetworkConfig(width=8, blocks=1), game)
    params = network.init(jax.random.key(0))
    measure = make_measure(config, game, network)
    # From the start to the right is the cliff; up is the way.
    favoured = {
        name: params | {"policy": params["policy"] | {"bias": 50.0 * jnp.eye(4)[action]}}
        for name, action in (("up", 0), ("right", 1))
    }
    assert measure(favoured["right"], False) == {"mean_return": -300.0}
    assert measure(favoured["up"], False) == {"mean_return": -3.0}
    last = measure(favoured["up"], True)
    assert list(last) == ["mean_return", "mean_return_search"]


def test_the_report_has_the_network_twice_and_the_search():
    game = games.make("cliff_walking")._replace(time_limit=4)
    config = Config(game="cliff_walking", network=NetworkConfig(width=8, blocks=1), search=SearchConfig(simulations=2))
    params = make_network(config.network, game).init(jax.random.key(0))
    player = search_player(config, game, params)
    report = episodes_report(Arguments(("run",), games=3), player, game)
    assert (report["game"], report["player"], report["seed"], report["time_limit"]) == ("cliff_walking", "search", 0, 4)
    assert [part["episodes"] for part in report["episodes"].values()] == [3, 3, 3]
    bare = episodes_report(Arguments(("run",), games=3), player._replace(bare=True), game)
    assert bare["episodes"]["network"] == report["episodes"]["network"]
    assert bare["episodes"]["search"] is None
    json.dumps(report)


def azero(capsys, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    return code, *capsys.readouterr()


def test_eval_of_a_player_without_a_network(capsys):
    code, out, _ = azero(capsys, "eval", "random", "--game", "blackjack", "--games", "20", "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["game"], report["player"], report["time_limit"]) == ("blackjack", "random", 0)
    assert (report["episodes"]["network"], report["episodes"]["network_sampled"]) == (None, None)
    assert report["episodes"]["search"]["episodes"] == 20
    code, out, _ = azero(capsys, "eval", "random", "--game", "blackjack", "--games", "20")
    assert code == 0
    assert "blackjack: random, 20 episodes" in out
    assert "95 % interval" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("random", "random"), "cartpole is a game for one player: name one, not two"),
        (("human",), "human is no player that azero eval could ask; azero play cartpole is for people"),
        (("random", "--games", "0"), "--games must be 1 or more, not 0"),
    ],
)
def test_eval_refuses_in_one_line(capsys, words, message):
    code, out, err = azero(capsys, "eval", *words, "--game", "cartpole")
    assert (code, out) == (2, "")
    assert err == f"azero: {message}\n"


@pytest.mark.parametrize(
    ("game", "typed", "last"),
    [
        ("cliff_walking", "up\n" + "right\n" * 11 + "down\n", "a return of -13 in 13 moves"),
        ("cliff_walking", "right\nundo\nup\nsit\nquit\n", "goodbye"),
        ("cartpole", "left\n" * 12, "a return of 10 in 10 moves"),
    ],
)
def test_a_person_plays_alone(capsys, monkeypatch, game, typed, last):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    code, out, _ = azero(capsys, "play", game, "--opponent", "random")
    assert code == 0
    assert out.splitlines()[0] == f"{game} with hints by random; help says what can be typed"
    assert out.splitlines()[-1].endswith(last)


def test_a_hint_is_of_the_cards_that_lie_there():
    """Nothing is kept of what was searched below a move, of which chance has made something else."""
    opponent, game = make_player("rollout:simulations=8", "blackjack")
    table = Table(game, opponent, play.Arguments("blackjack"))
    table.mind.answer()
    table.played.move(1)
    table.mind.catch_up()
    assert table.mind.memory is None


def test_nobody_moves_second_in_a_game_for_one(capsys):
    code, out, err = azero(capsys, "play", "cartpole", "--second", "--opponent", "random")
    assert (code, out, err) == (2, "", "azero: cartpole is a game for one: --second does not apply\n")
