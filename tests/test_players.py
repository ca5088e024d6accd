"""Players: the text that names them, and what they answer."""

import dataclasses
import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_folder import write_reference

import games
from azero import players as module
from azero.answers import (
    BadPosition,
    human_answers,
    in_batches,
    network_answers,
    playout_judge,
    random_answers,
    rollout_answers,
    search_answers,
)
from azero.config import NetworkConfig, SearchConfig
from azero.match import answers_in_batches
from azero.network import Network, make_network
from azero.openings import random_openings
from azero.players import ROLLOUT, make_player, make_players, parse_player
from games.core import ILLEGAL
from games.notation import play_text

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("players") / "c4", "connect_four")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("players") / "ttt", "tic_tac_toe")


def batch_of(game, *texts):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(play_text(game, text) for text in texts))


def test_text_is_taken_apart(folder):
    plain = parse_player(f"{folder}")
    assert (plain.kind, plain.folder, plain.iteration, plain.options) == ("network", folder, None, {})
    full = parse_player(f"{folder}@120:simulations=200,algorithm=puct")
    assert (full.kind, full.folder, full.iteration) == ("network", folder, 120)
    assert full.options == {"simulations": "200", "algorithm": "puct"}
    assert parse_player(f"policy:{folder}@7")[1:] == ("policy", folder, 7, {})
    assert parse_player("rollout:simulations=5")[1:] == ("rollout", None, None, {"simulations": "5"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not name a player"),
        ("policy:", "does not name a player"),
        ("rnadom", "'rnadom' is no player and no folder; did you mean random?"),
        ("ploicy:FOLDER", "did you mean policy?"),
        ("FOLDER@new", "after @ comes the number of a step, not 'new'"),
        ("FOLDER:simulatons=3", "unknown option 'simulatons'; did you mean simulations?"),
        ("FOLDER:simulations", "an option is written name=value, not 'simulations'"),
        ("FOLDER:", "an option is written name=value"),
        ("FOLDER:simulations=3,simulations=4", "simulations is given twice"),
        ("policy:FOLDER:simulations=3", "unknown option 'simulations'; it has none"),
        ("random:simulations=3", "unknown option 'simulations'"),
        ("policy:FOLDER:reuse=true", "unknown option 'reuse'; it has none"),
        ("gtp", "names no command; an engine is written like gtp:gnugo --mode gtp"),
    ],
)
def test_text_that_does_not_parse(folder, text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse_player(text.replace("FOLDER", str(folder)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "game", "message"),
    [
        ("FOLDER:simulations=0", None, "search.simulations must be above 0, not 0"),
        ("FOLDER:simulations=many", None, "simulations must be of type int, not 'many'"),
        ("FOLDER:algorithm=pukt", None, "must be one of gumbel, puct"),
        ("FOLDER:considered=0", None, "search.considered must be above 0, not 0"),
        ("FOLDER:backend=mtcx", None, "search.backend must be one of azero, mctx, not 'mtcx'"),
        ("FOLDER:reuse=perhaps", None, "reuse must be of type bool, not 'perhaps'"),
        ("FOLDER:backend=mctx,reuse=true", None, "trees of backend mctx are not kept"),
        ("expectimax", "tic_tac_toe", "the rules of tic_tac_toe do not say what chance does"),
        ("expectimax:depth=0", "2048", "depth of expectimax must be 1 or more, not 0"),
        ("expectimax:depth=two", "2048", "depth must be of type int, not 'two'"),
        ("rollout:simulations=-1", "tic_tac_toe", "search.simulations must be above 0, not -1"),
        ("FOLDER@8", None, "holds iteration 7, not 8"),
        ("FOLDER", "tic_tac_toe", "plays connect_four, not tic_tac_toe"),
        ("EMPTY", None, "no checkpoint to play with"),
        ("FILE", None, "is not a folder"),
        ("oracle", "connect_four", "no table of exact values of connect_four"),
        ("random", None, "say which with --game"),
        ("random", "tic_tac_two", "unknown game 'tic_tac_two'; did you mean tic_tac_toe?"),
    ],
)
def test_player_that_cannot_be_made(folder, tmp_path, text, game, message):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "empty").mkdir()
    places = {"FOLDER": folder, "EMPTY": tmp_path / "empty", "FILE": tmp_path / "file"}
    for name, place in places.items():
        text = text.replace(name, str(place))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make_player(text, game)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(folder, tmp_path):
    config = (folder / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"width": 16', '"width": 17'))
    (tmp_path / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match="has shape"):
        make_player(str(tmp_path))


def test_game_is_found_from_any_player(folder):
    (first, second), game = make_players(["random", f"policy:{folder}"])
    assert game.name == "connect_four"
    assert first.network is None
    assert second.bare


def test_simulations_go_to_searches_that_do_not_say(small):
    states = batch_of(games.make("tic_tac_toe"), "b2")
    made, _ = make_players([f"{small}", f"{small}:simulations=5", f"policy:{small}"], simulations=11)
    visits = [player.answers(states, KEY).visits for player in made]
    assert [None if count is None else int(count.sum()) for count in visits] == [11, 5, None]


def test_shipped_checkpoints_are_found_by_name(tmp_path, monkeypatch):
    write_reference(tmp_path / "connect_four_4x4", "connect_four_4x4")
    monkeypatch.setattr(module, "shipped_folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    assert module.shipped() == ["connect_four_4x4"]
    for text in ("connect_four_4x4", "checkpoints/connect_four_4x4", "policy:checkpoints/connect_four_4x4@7"):
        _, game = make_player(text)
        assert game.name == "connect_four_4x4"
    with pytest.raises(ValueError, match="did you mean checkpoints/connect_four_4x4"):
        make_player("checkpoints/connect_four_4x5")


def test_network_moves_where_its_logits_are_highest_among_legal_moves():
    game = games.make("connect_four")
    network = make_network(NetworkConfig(width=16), game)
    params = network.init(jax.random.key(5))
    states = batch_of(game, "", "777777", "111111222222333333")
    answer = network_answers(game, network)(params, states, KEY)
    logits, value = network.apply(params, jax.vmap(game.observe)(states))
    for number in range(3):
        legal = np.flatnonzero(states.legal[number])
        scores = np.asarray(logits[number])[legal]
        assert answer.action[number] == legal[scores.argmax()]
        expected = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(answer.policy[number][legal], expected, rtol=1e-5)
        assert answer.policy[number].sum() == pytest.approx(1)
    np.testing.assert_allclose(answer.value, value, atol=1e-6)
    assert answer.visits is None


@pytest.mark.parametrize("text", ["FOLDER", "policy:FOLDER"])
def test_rows_and_batches_do_not_mix(small, text):
    player, game = make_player(text.replace("FOLDER", str(small)))
    states = random_openings(game, 10, 5, KEY).states
    together = player.answers(states, KEY)
    parted = in_batches(player.answers, 4)(states, KEY)
    rows = np.array([7, 0, 3])
    some = in_batches(player.answers, 4)(states, KEY, rows)
    np.testing.assert_array_equal(parted.action, together.action)
    np.testing.assert_allclose(parted.value, together.value, atol=1e-5)
    np.testing.assert_array_equal(some.action, together.action[rows])
    assert parted.policy.shape == (10, 9)


def test_batches_compile_one_size(folder):
    game = games.make("connect_four")
    sizes = []

    def answers(states, key):
        sizes.append(states.terminal.shape[0])
        return random_answers(game)(states, key)

    states = random_openings(game, 10, 6, KEY).states
    assert len(in_batches(answers, 4)(states, KEY).action) == 10
    assert sizes == [4, 4, 4]
    sizes.clear()
    assert len(in_batches(answers, 4, fill=False)(states, KEY).action) == 10
    assert sizes == [4, 4, 2]


def test_random_moves_are_legal_and_all_come_up():
    game = games.make("tic_tac_toe")
    states = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], 300, 0), play_text(game, "a1 b2 c3"))
    answer = random_answers(game)(states, KEY)
    legal = np.flatnonzero(states.legal[0])
    assert set(answer.action.tolist()) == set(legal.tolist())
    np.testing.assert_allclose(answer.policy[:, legal], 1 / 6)
    assert answer.value is None


def test_playouts_are_worth_what_random_play_is():
    game = games.make("tic_tac_toe")
    text = "a1 a2 b1 b2 c2"  # the second player is to move; every order of the four empty squares is as likely
    outcomes = []
    for order in itertools.permutations(["c1", "a3", "b3", "c3"]):
        for count in range(1, 5):
            state = play_text(game, " ".join([text, *order[:count]]))
            if bool(state.terminal):
                outcomes.append(float(state.reward) * (1 if count % 2 else -1))
                break
    assert abs(np.mean(outcomes)) > 0.1  # so that a wrong sign shows
    states = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], 4000, 0), play_text(game, text))
    _, values = jax.jit(playout_judge(game))(None, states, KEY)
    assert set(np.unique(values).tolist()) <= {-1.0, 0.0, 1.0}
    assert float(values.mean()) == pytest.approx(np.mean(outcomes), abs=0.05)


def test_rollout_wins_at_once_and_stops_a_win():
    game = games.make("tic_tac_toe")
    states = batch_of(game, "a1 a2 b1 b2", "a1 b2 b1")
    answer = rollout_answers(dataclasses.replace(ROLLOUT, simulations=200), game)(states, KEY)
    c1 = game.notation.action(play_text(game, "a1"), "c1")
    assert answer.action.tolist() == [c1, c1]
    assert answer.value[0] > 0.8
    assert answer.visits.sum(-1).tolist() == [200, 200]


def test_oracle_wins_soonest_and_loses_latest():
    game = games.make("connect_four_4x4")
    player, _ = make_player("oracle", game.name)
    states = random_openings(game, 200, 10, KEY).states
    q, plies = game.oracle().q(jax.device_get(states))
    answer = player.answers(states, KEY)
    for number, action in enumerate(answer.action):
        best = q[number].max()
        assert q[number, action] == best == answer.value[number]
        alike = plies[number][q[number] == best]
        if best == 1:
            assert plies[number, action] == alike.min()
        if best == -1:
            assert plies[number, action] == alike.max()
        assert (answer.policy[number][q[number] == ILLEGAL] == 0).all()
    assert {1, -1} <= set(answer.value.tolist())


def test_human_is_asked_until_the_move_is_legal():
    game = games.make("connect_four")
    replies = iter(["9", "x", "1", " 4 ", "2"])
    asked = []

    def ask(question):
        asked.append(question)
        return next(replies)

    answer = human_answers(game, ask)(batch_of(game, "111111", "44"), KEY)
    assert answer.action.tolist() == [3, 1]
    assert [question.splitlines()[0] for question in asked[1:4]] == [
        "'9' is not a column; columns are 1 to 7", "'x' is not a column; columns are 1 to 7", "column 1 is full"
    ]  # fmt: skip


def test_search_settings_come_from_the_run_and_the_text(small):
    player, game = make_player(f"{small}:algorithm=puct,simulations=12,c_init=2.5")
    assert player.answers(batch_of(game, "b2", "a1 a2"), KEY).visits.sum(-1).tolist() == [12, 12]


@pytest.mark.parametrize("options", ["", ",reuse=false", ",backend=mctx"])
def test_a_player_searches_on_in_a_game_unless_it_is_told_not_to(small, options):
    player, game = make_player(f"{small}:algorithm=puct,simulations=80{options}")
    states = batch_of(game, "")
    step = jax.jit(jax.vmap(game.step, in_axes=(0, 0, None)))
    memory = player.playing.begin(states)
    for ply in range(5):
        action = player.answers(states, KEY).action
        if ply % 2 and memory is not None:  # the reply that was looked at most
            reply = memory.tree.node.edges.visits[memory.at[0]].argmax()
            action = memory.tree.action[memory.at[0]][reply[None]]
        if ply % 2 == 0:
            if not options and ply:
                known = memory.tree.node.edges.visits[memory.at[0]].sum()
                assert known > 0
            answer, memory = player.playing.answer(memory, states, KEY, np.zeros(1, np.int32))
            if options or not ply:
                assert answer.action[0] == action[0]
                assert answer.visits.sum() <= 80
            else:
                assert answer.visits.sum() > known
        memory = player.playing.moved(memory, action)
        states = step(states, action, KEY)
    assert (memory is None) == bool(options)


@pytest.mark.parametrize("options", ["simulations=40", "simulations=40,reuse=false"])
def test_a_player_leaves_a_sure_move_in_a_game_only(small, options):
    player, game = make_player(f"{small}:{options}")
    states = batch_of(game, "a1 a2 a3 b2 b1 b3 c2 c1")  # one square is left
    answer, _ = player.playing.answer(player.playing.begin(states), states, KEY, np.zeros(1, np.int32))
    assert answer.action[0] == game.notation.action(play_text(game, "a1 a2 a3 b2 b1 b3 c2 c1"), "c3")
    assert answer.visits.sum() < 40
    assert player.answers(states, KEY).visits.sum() == 40


def test_moves_of_some_games_at_a_time(small):
    player, game = make_player(f"{small}:simulations=4,considered=2")
    states = random_openings(game, 7, 3, KEY).states
    begin = player.playing.begin(states)
    games_ = np.array([6, 0, 3, 1, 5])
    actions, reasons, memory = answers_in_batches(player.playing, 2)(begin, states, KEY, games_)
    assert reasons == [""] * 5
    assert actions.tolist() == player.answers(states, KEY).action[games_].tolist()
    assert np.flatnonzero(memory.at == 0).tolist() == [0, 1, 3, 5, 6]


def broken(game):
    """A network that answers NaN once six squares are taken."""
    sound = make_network(NetworkConfig(width=8, blocks=0), game)

    def apply(params, views):
        logits, value = sound.apply(params, views)
        return logits, jnp.where(views[..., :2].sum(axis=(1, 2, 3)) >= 6, jnp.nan, value)

    return Network(sound.init, apply), sound.init(KEY)


@pytest.mark.parametrize("algorithm", ["gumbel", "puct", None])
def test_the_first_position_without_an_answer_is_named(algorithm):
    game = games.make("tic_tac_toe")
    network, params = broken(game)
    config = SearchConfig(algorithm=algorithm or "gumbel", simulations=3, considered=2)
    ways = search_answers(config, game, network) if algorithm else network_answers(game, network)
    answers = functools.partial(ways, params)
    late = "a1 a2 a3 b2 b1 b3 c2"
    states = batch_of(game, "a1", "a2", late, "b2", late)
    with pytest.raises(BadPosition, match=r"^row 2: the network answers NaN$"):
        answers(states, KEY)
    with pytest.raises(BadPosition, match=r"^row 4: the network answers NaN$"):
        in_batches(answers, 5)(states, KEY, np.array([1, 0, 4, 2]))
    if algorithm:  # NaN at leaves alone
        with pytest.raises(BadPosition, match=r"^row 3: the network answers NaN$"):
            answers(batch_of(game, "a1", "a2", "b2", "a1 b2 c3 b3 b1"), KEY)


def test_the_first_position_without_a_move_is_named(small):
    player, game = make_player(f"{small}")
    states = random_openings(game, 5, 2, KEY).states
    stuck = states._replace(legal=states.legal.at[jnp.array([2, 4])].set(False))
    with pytest.raises(BadPosition, match=r"^row 2: there is no legal move, but the game is not over$"):
        player.answers(stuck, KEY)
    with pytest.raises(BadPosition, match=r"^row 4: there is no legal move"):
        in_batches(player.answers, 2)(stuck, KEY, np.array([0, 1, 3, 4, 2]))
    with pytest.raises(BadPosition, match=r"^row 1: there is no legal move"):
        player.playing.answer(player.playing.begin(stuck), stuck, KEY, np.array([3, 4]))
