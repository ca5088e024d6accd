"""Comparisons, the reward networks that are fitted to them, and where their reward enters."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.config import Config, DistillConfig, RewardConfig, SearchConfig, SelfPlayConfig
from azero.distill import Learner, make_distiller
from azero.distill.comparisons import (
    add_comparisons,
    no_comparisons,
    observed,
    play_lines,
    read_comparisons,
)
from azero.distill.labelling import drawn_labels, make_values, two_moves
from azero.distill.own_games import begin_own_games, make_own_play
from azero.distill.proxy import judged_by, unended, without_results
from azero.distill.reward_networks import (
    calibration_error,
    combined,
    drawn_rows,
    ensemble_values,
    make_fit,
    make_reward,
    parts,
    preference,
    rewards_of_moves,
)
from azero.network import Network, make_network
from azero.search import by_rules, make_tree_search
from games.notation import play_text
from games.oracles import table_positions

GAME = games.make("connect_four_4x4")
CELLS = int(np.prod(GAME.observation_shape[:2]))
SMALL = RewardConfig(width=32, ensemble=2, batch=128, steps=40, capacity=12_000, comparisons=12_000, temperature=0.1)


@functools.cache
def positions():
    """Positions with two legal moves or more, evenly from all there are."""
    states = table_positions("connect_four_4x4").states
    rows = np.flatnonzero(states.legal.sum(-1) > 1)
    rows = np.random.default_rng(3).permutation(rows)[:3000]
    return jax.tree.map(lambda leaf: leaf[rows], states)


observe = jax.jit(jax.vmap(GAME.observe))
moved = jax.jit(jax.vmap(GAME.step, in_axes=(0, None, 0)))
WEIGHTS = 0.6 * np.random.default_rng(1).normal(size=GAME.observation_shape)


def planted(states) -> np.ndarray:
    """A reward that is linear in the board but for its bounds, float [M] for the player to move."""
    return np.tanh((np.asarray(observe(states)) * WEIGHTS).sum((1, 2, 3)))


def filled(config, labels):
    """A store of comparisons of two moves, labelled by labels(value of the first, of the second, key)."""
    states = jax.tree.map(lambda leaf: np.concatenate([leaf] * 4), positions())

    @jax.jit
    def ends():
        return play_lines(GAME, states, two_moves(states.legal, jax.random.key(2)), 1, None, jax.random.key(3))

    pair = ends()
    worth = np.asarray(pair.sign) * planted(
        jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), pair.states)
    ).reshape(2, -1)
    first = jax.jit(labels)(worth[0], worth[1], jax.random.key(4))
    return jax.jit(lambda: add_comparisons(GAME, no_comparisons(GAME, config.capacity), pair, first))()


@functools.cache
def fitted(noise: float, noiseless: bool):
    """Models fitted to a planted reward, and what was measured of them."""
    config = dataclasses.replace(SMALL, noise=noise)
    reward = make_reward(config, GAME)
    fit = make_fit(config, GAME, reward)
    labels = functools.partial(drawn_labels, config)
    store = filled(config, (lambda a, b, key: (a > b).astype(jnp.float32)) if noiseless else labels)
    models = fit.init(jax.random.key(5)) | {"comparisons": store}
    for number in range(30):
        models = fit.learn(models, jax.random.key(number))
        models, metrics = fit.watch(models, jax.random.key(100 + number))
    return config, reward, models, jax.device_get(metrics)


def planted_of_moves(states) -> np.ndarray:
    """The planted reward of each move for its mover, float [M, A]."""
    keys = jax.random.split(jax.random.key(0), len(states.legal))
    return np.stack([-planted(moved(states, move, keys)) for move in range(4)], axis=1)


def test_a_planted_reward_gives_its_order_back():
    """Noiseless comparisons: on new positions the networks order moves as the planted reward does."""
    config, reward, models, metrics = fitted(0.0, True)
    states = jax.tree.map(lambda leaf: leaf[-200:], positions())
    given = jax.jit(lambda: combined(config, rewards_of_moves(GAME, reward, models["rewards"], states)))()
    right = planted_of_moves(states)
    legal = np.asarray(states.legal)
    pairs = [(a, b) for a in range(4) for b in range(a)]
    agreed = [
        (np.sign(given[:, a] - given[:, b]) == np.sign(right[:, a] - right[:, b]))[
            legal[:, a] & legal[:, b] & (np.abs(right[:, a] - right[:, b]) > 0.1)
        ]
        for a, b in pairs
    ]
    assert np.concatenate(agreed).mean() > 0.95
    assert metrics["pair_accuracy"] > 0.93


def test_the_chances_match_the_share_of_turned_labels():
    """Of pairs that are clear, a quarter of the labels is turned: three in four is what the networks say of them."""
    for noise in (0.0, 0.25):
        config, reward, models, metrics = fitted(noise, False)
        assert metrics["pair_calibration"] < 0.1
        states = jax.tree.map(lambda leaf: leaf[-200:], positions())
        given = np.asarray(jax.jit(lambda: rewards_of_moves(GAME, reward, models["rewards"], states))())  # noqa: B023 - called at once
        right = planted_of_moves(states)
        gap = right[:, 0] - right[:, 1]
        clear = (np.abs(gap) > 0.5) & states.legal[:, 0] & states.legal[:, 1]
        chance = 1 / (1 + np.exp(-(given[..., 0] - given[..., 1]) * np.sign(gap) / config.temperature))
        assert chance.mean(0)[clear].mean() == pytest.approx(1 - noise, abs=0.06)


def test_the_calibration_error_by_hand():
    chance = jnp.array([0.95, 0.95, 0.15, 0.15])
    assert calibration_error(chance, jnp.array([True, True, False, False])) == pytest.approx(0.1, abs=1e-6)
    assert calibration_error(chance, jnp.array([False, False, True, True])) == pytest.approx(0.9, abs=1e-6)


def test_labels_have_the_chances_of_bradley_and_terry():
    config = RewardConfig(temperature=0.5, noise=0.1)
    value = jnp.full(20_000, 0.3)
    share = float(drawn_labels(config, value, value - 0.4, jax.random.key(0)).mean())
    chance = 1 / (1 + np.exp(-0.4 / 0.5))
    expected = 0.9 * chance + 0.1 * (1 - chance)
    assert share == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 20_000))


def test_held_out_comparisons_are_never_learned_from():
    """A pair that is compared again, also the other way round, stays on its side."""
    config = dataclasses.replace(SMALL, held_out=0.2, capacity=3000)
    states = jax.tree.map(lambda leaf: leaf[:1000], positions())
    moves = two_moves(states.legal, jax.random.key(2))
    store = no_comparisons(GAME, 3000)
    play = jax.jit(lambda moves: play_lines(GAME, states, moves, 1, None, jax.random.key(3)))
    for chosen in (moves, moves[::-1]):
        store = add_comparisons(GAME, store, play(chosen), jnp.zeros(1000))
    part = parts(config, store)
    assert 0.15 < part.held_out / 2000 < 0.25
    assert part.learned + part.held_out == 2000
    sides = [np.asarray(drawn_rows(part, jax.random.key(0), (20_000,), held_out=side)) for side in (False, True)]
    assert not set(sides[0] % 1000) & set(sides[1] % 1000)
    assert len(set(sides[0])) + len(set(sides[1])) > 1990
    assert max(sides[0].max(), sides[1].max()) < 2000, "none of the empty places"
    for count in range(2, 30):  # of which none may fall under the share to be held out
        few = parts(dataclasses.replace(config, held_out=0.01), store._replace(added=jnp.int32(count)))
        assert few.held_out == 1, "not made twice, and none of them in the first hundredth"
        assert few.learned == count - 1
    assert parts(dataclasses.replace(config, held_out=0.0), store).held_out == 0
    few = parts(config, store._replace(added=jnp.int32(1)))
    assert set(np.asarray(drawn_rows(few, jax.random.key(0), (50,), held_out=True))) == {0}


def test_the_store_is_a_ring():
    states = jax.tree.map(lambda leaf: leaf[:6], positions())
    pair = play_lines(GAME, states, two_moves(states.legal, jax.random.key(0)), 1, None, jax.random.key(1))
    store = no_comparisons(GAME, 4)
    store = add_comparisons(GAME, store, jax.tree.map(lambda leaf: leaf[:, :3], pair), jnp.array([1.0, 0.0, 1.0]))
    store = add_comparisons(GAME, store, jax.tree.map(lambda leaf: leaf[:, 3:], pair), jnp.array([0.0, 0.0, 0.0]))
    assert int(store.added) == 6
    np.testing.assert_array_equal(store.first, [0, 0, 1, 0])  # comparisons 4, 5, 2, 3
    views = jax.vmap(jax.vmap(GAME.observe))(pair.states)
    np.testing.assert_array_equal(
        observed(GAME, store, jnp.arange(4)), jnp.swapaxes(views, 0, 1)[jnp.array([4, 5, 2, 3])]
    )


def test_lines_of_play_keep_their_sides():
    """From 112233, player 0 wins with 4: the line ends, with +1 for him; after 1 it goes on."""
    state = play_text(GAME, "112233")
    states = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)

    def leftmost(states, key):
        del key
        return states.legal.argmax(-1).astype(jnp.int32)

    pair = play_lines(GAME, states, jnp.array([[3], [0]]), 3, leftmost, jax.random.key(0))
    assert pair.ended.tolist() == [[True], [False]]
    assert pair.result.tolist() == [[1.0], [0.0]]
    assert pair.sign[1, 0] == -1, "after three moves the opponent is to move"
    one = play_lines(GAME, states, jnp.array([[3], [0]]), 2, leftmost, jax.random.key(0))
    assert one.sign[1, 0] == 1
    both = play_lines(GAME, states, jnp.array([[1], [0]]), 2, lambda s, k: jnp.full(2, 3), jax.random.key(0))
    assert both.result[1, 0] == 0, "the opponent's 4 ends nothing"


def write(tmp_path, *lines) -> str:
    path = tmp_path / "comparisons.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(path)


GOOD = {
    "game": "connect_four_4x4", "position": "1223", "move_a": "2", "move_b": "4", "preferred": "a", "source": "Ada",
}  # fmt: skip


def test_a_file_of_comparisons_is_read(tmp_path):
    states, moves, first = read_comparisons(GAME, write(tmp_path, GOOD, "", GOOD | {"preferred": "b"}))
    assert moves.tolist() == [[1, 1], [3, 3]]
    assert first.tolist() == [1.0, 0.0]
    np.testing.assert_array_equal(GAME.notation.board(jax.tree.map(lambda leaf: leaf[0], states)).count("x"), 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: must be an object of texts named game, position"),
        ({"game": "connect_four_4x4"}, "line 2: must be an object of texts"),
        (GOOD | {"more": "x"}, "line 2: must be an object of texts"),
        (GOOD | {"move_a": 2}, "line 2: must be an object of texts"),
        (GOOD | {"game": "othello"}, "line 2: is of game 'othello', not of connect_four_4x4"),
        (GOOD | {"preferred": "2"}, 'line 2: "preferred" must be "a" or "b", not \'2\''),
        (GOOD | {"position": "1223x"}, "line 2: "),
        (GOOD | {"position": "1223", "move_a": "9"}, "line 2: "),
        (GOOD | {"position": "1111", "move_a": "1"}, "line 2: "),
        (GOOD | {"move_b": "2"}, "line 2: move_a and move_b are both '2'"),
        (GOOD | {"position": "1122334"}, "line 2: the game is over"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, bad, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is looked at below
        read_comparisons(GAME, write(tmp_path, GOOD, bad))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_no_comparisons_and_no_file(tmp_path):
    with pytest.raises(ValueError, match="holds no comparisons"):
        read_comparisons(GAME, write(tmp_path, ""))
    with pytest.raises(ValueError, match=r"cannot read comparisons .*: No such file"):
        read_comparisons(GAME, str(tmp_path / "none"))


def test_an_ensemble_is_combined_for_him_who_sees_it():
    values = jnp.array([[0.1], [0.4], [0.7]])
    assert combined(RewardConfig(), values)[0] == pytest.approx(0.4)
    assert combined(RewardConfig(combine="min"), values)[0] == pytest.approx(0.1)
    deviation = np.std([0.1, 0.4, 0.7])
    pessimistic = combined(RewardConfig(combine="pessimistic", pessimism=2.0), values)[0]
    assert pessimistic == pytest.approx(0.4 - 2 * deviation, abs=1e-6)


def test_labels_of_the_oracle_and_of_an_overseer():
    """112233: the mover wins; after 1122334 nobody asks."""
    state = play_text(GAME, "112233")
    states = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
    for options in ({"labels": "oracle"}, {"labels": "overseer", "overseer": "negamax:depth=1"}):
        values = make_values(Config(reward=RewardConfig(**options)), GAME, None)
        assert np.asarray(values(None, states, jax.random.key(0))).tolist() == [1.0]
    go = games.make("connect_four")
    with pytest.raises(
        ValueError, match=r"reward.labels oracle needs the exact value of every position, which connect_four"
    ):
        make_values(Config(reward=RewardConfig(labels="oracle")), go, None)


def test_without_results_a_finished_game_is_worth_what_the_judge_says():
    """The judge hates full columns of his own; the rules' win is no longer one, and no reward is ever paid."""
    rules = without_results(GAME)
    state = unended(play_text(GAME, "112233"))
    won = jax.jit(rules.step)(state, jnp.int32(3), jax.random.key(0))
    assert (float(won.reward), float(won.discount), bool(won.terminal)) == (0.0, -1.0, False)
    stays = jax.jit(rules.step)(won, jnp.int32(0), jax.random.key(0))
    assert (float(stays.reward), float(stays.discount), bool(stays.terminal)) == (0.0, 1.0, False)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(stays.board.board), jax.device_get(won.board.board))

    even = Network(None, lambda params, views: (jnp.zeros((len(views), 4)), jnp.zeros(len(views))))

    def judge(rewards, states):  # the player to move after a finished game is thought to have won it
        del rewards
        return jnp.where(states.board.terminal, 0.8, 0.0)

    search = make_tree_search(
        SearchConfig(simulations=32), by_rules(rules, judged_by(rules, even, judge)), explore=False
    )
    states = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)
    found = jax.device_get(search((None, None), states, jax.random.key(0)))
    assert found.q[0, 3] == pytest.approx(-0.8, abs=1e-5), "he who moved there is thought to have lost"
    assert found.action[0] != 3
    plain = make_tree_search(
        SearchConfig(simulations=32), by_rules(GAME, judged_by(GAME, even, lambda r, s: jnp.zeros(1))), False
    )
    inner = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state.board)
    assert jax.device_get(plain((None, None), inner, jax.random.key(0))).action[0] == 3


def learner_of(config):
    """A distiller and a learner at its start."""
    network = make_network(config.network, GAME)
    distiller = make_distiller(config, GAME, network)
    params = network.init(jax.random.key(0))
    return distiller, Learner(params, distiller.init(params, jax.random.key(1)), jnp.int32(1))


@pytest.mark.parametrize("options", [{}, {"line": 3}, {"pairs": "disagreement"}, {"labels": "oracle", "every": 0}])
def test_comparisons_are_gathered_when_they_are_due(options):
    reward = RewardConfig(**{"width": 8, "comparisons": 32, "steps": 2, "capacity": 200, "every": 2} | options)
    config = Config(
        game=GAME.name, distill=DistillConfig(kind="reward_model"), reward=reward,
        search=SearchConfig(simulations=4), selfplay=SelfPlayConfig(games=16),
    )  # fmt: skip
    distiller, learner = learner_of(config)
    states = jax.device_get(jax.tree.map(lambda leaf: leaf[:16], positions()))
    asked = []
    for iteration in (1, 2, 3, 4):
        learner = learner._replace(iteration=jnp.int32(iteration))
        models, metrics = distiller.gather(learner, states, jax.random.key(iteration))
        learner = learner._replace(models=models)
        asked.append(int(metrics["asked_comparisons"]))
        assert all(np.isfinite(value) for value in metrics.values())
    assert asked == ([32, 32, 32, 32] if reward.every == 0 else [32, 64, 64, 96])


def column_of(column):
    """A network that plays in this column for as long as it can."""
    logits = 50.0 * jax.nn.one_hot(column, 4)

    def apply(params, views):
        return jnp.broadcast_to(logits, (len(views), 4)), jnp.zeros(len(views))

    return Network(lambda key: jnp.zeros(1), apply)


def stones_before(store, count):
    """Stones in each column of the positions that were compared in, int [count, 4]: what both lines have."""
    ends = np.asarray(observed(GAME, store, jnp.arange(count)))[..., :2].any(axis=-1)  # [count, 2, rows, columns]
    return (ends[:, 0] & ends[:, 1]).sum(axis=1)


def test_comparisons_are_of_positions_that_the_student_plays_into():
    """Four moves in one column are all that fit, and then anywhere: five moves from the start are within them."""
    met = {}
    for states in ("teacher", "student"):
        reward = RewardConfig(
            width=8, ensemble=1, comparisons=300, steps=1, capacity=600, labels="oracle", every=2, states=states
        )
        config = Config(
            game=GAME.name, distill=DistillConfig(kind="reward_model"), reward=reward,
            selfplay=SelfPlayConfig(games=64, plies=5),
        )  # fmt: skip
        distiller = make_distiller(config, GAME, column_of(1))
        learner = Learner(None, distiller.init(None, jax.random.key(1)), jnp.int32(1))
        inflight = jax.device_get(jax.tree.map(lambda leaf: leaf[:64], positions()))
        models, _ = distiller.gather(learner, inflight, jax.random.key(5))
        met[states] = stones_before(models["comparisons"], 300)
    assert (met["teacher"].sum(axis=1) > 4).mean() > 0.9, "those of the games in flight"
    assert set(met["student"][:, 1]) == {0, 1, 2, 3, 4}, "every position of a game is met"
    assert (np.delete(met["student"], 1, axis=1) == 0).all()

    learner = learner._replace(models=models)
    again, _ = distiller.gather(learner._replace(iteration=jnp.int32(3)), inflight, jax.random.key(6))
    jax.tree.map(np.testing.assert_array_equal, again["own_games"], models["own_games"])
    again, _ = distiller.gather(learner._replace(iteration=jnp.int32(2)), inflight, jax.random.key(6))
    assert set(np.asarray(models["own_games"].ply)) == {5}
    assert (np.asarray(again["own_games"].ply) == 10).mean() > 0.9, "the games go on from round to round"
    plain = dataclasses.replace(config, reward=dataclasses.replace(reward, states="teacher"))
    costs = [make_distiller(each, GAME, make_network(each.network, GAME)).cost.iteration for each in (config, plain)]
    assert costs[0] - costs[1] == 64 * 5 / 2


def test_games_of_the_student_that_end_begin_anew():
    play = jax.jit(make_own_play(GAME, column_of(0), 40))
    games, met = play(None, begin_own_games(GAME, 64, jax.random.key(0)), jax.random.key(1))
    assert not games.state.terminal.any()
    assert not met.terminal.any()
    stones = np.asarray(observe(games.state))[..., :2].any(axis=-1).sum(axis=(1, 2))
    np.testing.assert_array_equal(stones, games.ply)
    assert len(set(stones.tolist())) > 4


def test_pairs_of_disagreement_are_those_on_which_the_networks_differ_more():
    found = {}
    for pairs in ("random", "disagreement"):
        reward = RewardConfig(
            width=16, ensemble=3, comparisons=200, steps=1, capacity=200, pairs=pairs, labels="oracle"
        )
        config = Config(game=GAME.name, distill=DistillConfig(kind="reward_model"), reward=reward)
        distiller, learner = learner_of(config)
        states = jax.device_get(jax.tree.map(lambda leaf: leaf[:100], positions()))
        store = distiller.gather(learner, states, jax.random.key(7))[0]["comparisons"]
        network = make_reward(reward, GAME)
        views = observed(GAME, store, jnp.arange(200))
        logits = preference(reward, network, learner.models["rewards"], views, store.sign)
        found[pairs] = float(jax.nn.sigmoid(logits).std(axis=0).mean())
    assert found["disagreement"] > 1.1 * found["random"]


def test_values_of_an_ensemble_are_for_the_player_to_move():
    reward = make_reward(SMALL, GAME)
    rewards = jax.vmap(reward.init)(jax.random.split(jax.random.key(0), 2))
    states = jax.tree.map(lambda leaf: leaf[:5], positions())
    views = jax.vmap(GAME.observe)(states)
    values = ensemble_values(reward, rewards, views)
    assert values.shape == (2, 5)
    given = rewards_of_moves(GAME, reward, rewards, states)
    after = moved(states, 1, jax.random.split(jax.random.key(0), 5))
    expected = -ensemble_values(reward, rewards, jax.vmap(GAME.observe)(after))
    np.testing.assert_allclose(given[:, :, 1], expected, atol=1e-5)
