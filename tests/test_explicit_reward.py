"""The study `explicit_reward`: its masked game, its two rewards, its detectors, its figures."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.config import LearnConfig, NetworkConfig, SelfPlayConfig
from azero.muzero.network import Detecting, make_unroller
from azero.muzero.options import MuZeroConfig
from azero.studies.explicit_reward import (
    Questions,
    Settings,
    asked,
    config_of,
    detecting,
    explicit_reward,
    judged,
    questions,
    wandered,
)
from azero.studies.explicit_reward_pages import ARMS, Cell, findings, tables
from games.connect import SHAPES
from games.lines import line_judge, lines
from games.masked import masked
from games.oracles.bitboards import connect_rules
from games.oracles.tables import solve

KEY = jax.random.key(0)
NAME = "connect_four_4x4"
GAME, SHAPE = games.make(NAME), SHAPES[NAME]
RISING = lines(4, 4, 4, ("rising",))
TINY = Settings(
    iterations=2,
    thaw=1,
    simulations=4,
    positions=60,
    network=NetworkConfig(width=16, blocks=1),
    muzero=MuZeroConfig(unroll=2, td_steps=4, bins=5),
    selfplay=SelfPlayConfig(games=16, plies=6, opening_plies=6),
    learn=LearnConfig(batch=32, reuse=1.0),
)


def test_lines_by_hand():
    assert {name: len(lines(4, 5, 4, (name,))) for name in ("row", "column", "falling", "rising")} == {
        "row": 8, "column": 5, "falling": 2, "rising": 2,
    }  # fmt: skip
    np.testing.assert_array_equal(RISING, [[12, 9, 6, 3]])
    assert len(lines(6, 7, 4)) == 69


def test_no_masked_game_completes_the_line():
    plain, other = wandered(GAME, 4000), masked(GAME, RISING)
    states = wandered(other, 4000)
    view = np.asarray(jax.vmap(GAME.observe)(states)).reshape(-1, 16, 2)
    assert not view[:, RISING[0]].all(axis=1).any()
    # Whoever could complete it is not allowed to, and loses no other move by it.
    after = np.asarray(
        jax.vmap(jax.vmap(lambda s, a: GAME.observe(GAME.step(s, a, KEY)), (None, 0)), (0, None))(states, jnp.arange(4))
    )
    completes = after.reshape(-1, 4, 16, 2)[:, :, RISING[0], 1].all(axis=-1)
    room = view.reshape(-1, 4, 4, 2)[:, 0].sum(-1) == 0
    assert completes[room].sum() > 20
    np.testing.assert_array_equal(states.legal, room & ~completes)
    assert (np.asarray(plain.legal) == (np.asarray(jax.vmap(GAME.observe)(plain))[:, 0].sum(-1) == 0)).all()


def test_a_position_with_no_other_move_is_over_and_drawn():
    """Where lines are single cells every move completes one."""
    other = masked(GAME, np.arange(16)[:, None])
    state = other.init(KEY)
    assert (bool(state.terminal), float(state.reward), float(state.discount)) == (True, 0.0, 0.0)
    assert state.legal.all()
    jax.tree.map(np.testing.assert_array_equal, other.step(state, jnp.int32(1), KEY), state)


def test_the_two_rewards_differ_where_the_line_counts():
    whole = connect_rules(NAME, SHAPE)
    other = connect_rules("other", SHAPE, ("row", "column", "falling"))
    count = {"whole": len(solve(whole).keys), "other": len(solve(other).keys)}
    assert count["whole"] == 134_289
    assert count["other"] > count["whole"], "games go on where the line would have ended them"
    found = questions(GAME, SHAPE, TINY)
    assert len(found["inside"].q) == 60
    assert 0 < len(found["outside"].q) <= 60, "a board of one such line alone has few"
    inside, outside = found["inside"], found["outside"]
    np.testing.assert_array_equal(inside.q, inside.other)
    best = outside.q == outside.q.max(axis=1, keepdims=True)
    best_other = outside.other == outside.other.max(axis=1, keepdims=True)
    assert not (best & best_other).any()
    np.testing.assert_array_equal(outside.q, GAME.oracle().q(outside.states)[0])
    np.testing.assert_array_equal(np.asarray(outside.states.legal), outside.q > -2)


def test_answers_are_judged_by_hand():
    none = -128
    one = Questions(None, np.array([[1, 0, none], [0, -1, -1]], np.int8), np.array([[0, 1, none], [0, -1, 0]], np.int8))
    assert judged(one, np.array([0, 2])) == {"regret": 0.5, "follows_r": 0.5, "follows_other": 0.5}
    assert judged(one, np.array([1, 0])) == {"regret": 0.5, "follows_r": 0.5, "follows_other": 1.0}


def test_detectors_that_are_built_in_find_every_line_and_learn_when_they_may():
    shape = SHAPES[NAME]
    config = config_of(GAME, "detectors_frozen", 0, TINY)
    cells = lines(4, 4, 4)
    unrollers = {thaw: make_unroller(config, GAME, Detecting(cells, True, thaw)) for thaw in (None, 5)}
    params = unrollers[None].network.init(KEY)
    stones = (jax.random.uniform(KEY, (4000, 16)) < 0.6).astype(jnp.float32)
    line, some = params["detectors"]["line"], params["detectors"]["any"]
    logit = jax.nn.sigmoid(stones @ line["kernel"] + line["bias"]) @ some["kernel"] + some["bias"]
    judge = line_judge(cells)
    held = jax.vmap(lambda row: judge(jnp.stack([jnp.zeros(16), row], -1).reshape(4, 4, 2))[0])(stones)
    assert 100 < int(held.sum()) < 3900
    np.testing.assert_array_equal(logit[:, 0] > 0, held > 0)

    def gradient(thaw, iteration):
        def loss(params):
            detectors = unrollers[thaw].held(params, jnp.int32(iteration))["detectors"]
            return sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(detectors))

        return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(jax.grad(loss)(params)["detectors"]))

    assert gradient(None, 10**6) == 0
    assert gradient(5, 4) == 0
    assert gradient(5, 5) > 0
    assert detecting(shape, "learned", TINY) is None
    assert not detecting(shape, "detectors_random", TINY).built_in


def test_a_network_is_asked_alone_and_with_search():
    sets = questions(GAME, SHAPE, TINY)
    config = config_of(GAME, "explicit", 0, TINY)
    network = make_unroller(config, GAME).network
    found = asked(GAME, network, network.init(KEY), sets, TINY)
    assert set(found) == {"inside", "outside"}
    for figures in found.values():
        assert 0 <= figures["search_regret"] <= 2
        assert 0 < figures["cells"] < 1, "an untrained decoder is right now and then"
        assert figures["boards"] < 0.1
    assert found["outside"]["search_follows_r"] + found["outside"]["search_follows_other"] <= 1


def test_pages_say_what_the_numbers_say():
    def cell(arm, seed, follows, regret):
        figures = dict.fromkeys(("network_regret", "search_follows_other", "cells", "boards"), 0.1)
        outside = figures | {"search_follows_r": follows, "search_regret": 0.5}
        return Cell(
            arm,
            seed,
            {"inside": figures | {"search_follows_r": 0.9, "search_regret": regret}, "outside": outside},
            {"value_loss": 0.1},
            3.0,
        )

    regrets = {"detectors_frozen": 0.4, "detectors_random": 0.4, "learned": 0.2}
    cells = [
        cell(arm, seed, 0.8 if arm == "explicit" else 0.3, regrets.get(arm, 0.1) + 0.01 * seed)
        for arm in ARMS
        for seed in range(3)
    ]
    said = findings(cells, "rising")
    assert "confirmed against the free head and left open (the intervals overlap) against random detectors" in said[2]
    assert "follows r more often than the learned one (0.800 against 0.300)" in said[3]
    settings = dataclasses.asdict(TINY)
    made = tables(cells, settings, {"inside": 60, "outside": 60})
    assert [len(table.rows) for table in made] == [6, 6, 6, 6]
    assert all(len(row) == len(table.headings) for table in made for row in table.rows)


@pytest.mark.parametrize(
    ("game", "seeds", "message"), [("othello", 1, "small board of four in a row"), (NAME, 0, "1 seed or more")]
)
def test_what_cannot_be_studied_is_refused(game, seeds, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        explicit_reward(game, seeds, tmp_path, print)


@pytest.mark.slow
def test_the_whole_study_and_going_on(tmp_path):
    lines_said = []
    found = explicit_reward(NAME, 1, tmp_path, lines_said.append, TINY)
    assert len(found["cells"]) == len(ARMS)
    assert {path.stem for path in (tmp_path / "cells").iterdir()} == {f"{arm}-0" for arm in ARMS}
    (tmp_path / "cells" / "explicit-0.json").unlink()
    lines_said.clear()
    again = explicit_reward(NAME, 1, tmp_path, lines_said.append, TINY)
    assert [line.split("] ")[1].split(",")[0] for line in lines_said if line.startswith("[")] == ["explicit"]
    figures = [{cell["arm"]: cell["figures"] for cell in one["cells"]} for one in (found, again)]
    assert figures[0] == figures[1], "the same seed, the same student"
    assert json.loads((tmp_path / "results.json").read_text())["seeds"] == 1
