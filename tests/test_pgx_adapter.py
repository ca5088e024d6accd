"""Envs of the user's own: what the adapter makes of a good one, and the line it gives for each broken rule."""

import dataclasses
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_play import play

import games
from games.core import value_before

LAST = 6


def make_env(**faults: Any) -> Any:
    """A countdown for two (or one) as a pgx.Env: take 1 or 2 of 6, who takes the last wins; with faults on wish.

    pgx is imported here and not above, as the adapter does it.
    """
    import pgx
    from pgx._src.struct import dataclass

    players = faults.get("players", 2)
    observed = faults.get("observe", lambda left: (jnp.arange(LAST) < left).reshape(2, 3, 1))

    @dataclass
    class State(pgx.State):
        current_player: Any
        observation: Any
        rewards: Any
        terminated: Any
        truncated: Any
        legal_action_mask: Any
        _step_count: Any
        _left: Any

        @property
        def env_id(self) -> str:
            return "countdown"

    class Countdown(pgx.Env):
        id, version, num_players = "countdown", "v0", players

        def _init(self, key: jax.Array) -> Any:
            if faults.get("init_on_host"):
                key = float(jax.random.uniform(key))
            first = jax.random.bernoulli(key).astype(jnp.int32) * (players - 1) if "key" not in faults else 0
            no, count = jnp.zeros((), bool), jnp.int32(0)
            mask = jnp.ones(2, faults.get("mask_dtype", bool))
            return State(first, jnp.zeros(()), jnp.zeros(players), no, no, mask, count, jnp.int32(LAST))

        def _step(self, state: Any, action: jax.Array, key: jax.Array) -> Any:
            left = jnp.maximum(state._left - 1 - action, 0)
            over, mover = left == 0, state.current_player
            others = faults.get("loss", -1.0) if players == 2 else 0.0
            rewards = jnp.where(over, jnp.full(players, others).at[mover].set(1.0), 0.0)
            mask = jnp.ones(2, bool) & faults.get("open", True)
            left = left.astype(faults.get("branch_dtype", jnp.int32))
            return state.replace(
                current_player=(mover + 1) % players,
                _left=left,
                terminated=over,
                rewards=rewards,
                legal_action_mask=mask,
            )

        def _observe(self, state: Any, player_id: jax.Array) -> jax.Array:
            return observed(state._left)

        def step(self, state: Any, action: jax.Array, key: Any = None) -> Any:
            after = super().step(state, action, key)
            after = after.replace(_left=after._left.astype(faults.get("left_dtype", jnp.int32)))
            return after.replace(_left=after._left - 1) if faults.get("moves_on") else after

    return Countdown()


@pytest.fixture
def custom(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of a user's, to which the tests add envs."""
    module = types.ModuleType("their_games")
    monkeypatch.setitem(sys.modules, "their_games", module)
    games.make.cache_clear()
    yield module
    games.make.cache_clear()


def test_good_env(custom: types.ModuleType) -> None:
    custom.Countdown = make_env  # a class or function that makes one
    game = games.make("their_games:Countdown")
    assert game.num_players == 2
    assert game.num_actions == 2
    assert game.observation_shape == (2, 3, 1)
    states, _ = play(game, 64, 8)
    assert not states.to_play[0].any()  # whomever the env drew, player 0 moves first
    assert set(states.board.first[0]) == {0, 1}
    assert (states.to_play[1] == 1).all()
    assert states.terminal[LAST].all()
    ends = states.terminal[1:] & ~states.terminal[:-1]
    assert (states.reward[1:][ends] == 1).all()  # the last mover wins, whatever number pgx knows him by
    assert not states.reward[1:][~ends].any()
    assert (states.discount[1:] == np.where(states.terminal[1:], 0, -1)).all()
    first = jax.tree.map(lambda leaf: leaf[0, 0], states)
    assert game.notation.move(first, game.notation.action(first, "1")) == "1"
    assert game.notation.board(first) == "0 0 0\n0 0 0"


def test_instance_and_cut_off(custom: types.ModuleType) -> None:
    custom.countdown = make_env()
    custom.countdown.max_plies = 2
    game = games.make("their_games:countdown")
    states, _ = play(game, 8, 4)
    assert game.max_plies == 2
    assert states.terminal[2].all()
    assert not states.discount[2].any()
    assert not states.reward[3].any()
    assert states.legal[2].all()


def test_one_player(custom: types.ModuleType) -> None:
    custom.Alone = lambda: make_env(players=1)
    game = games.make("their_games:Alone")
    states, _ = play(game, 4, 8)
    assert not states.to_play.any()
    assert (states.discount == np.where(states.terminal, 0, 1)).all()
    assert value_before(states.reward[1], states.discount[1], np.float32(0.5)).tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("observe", "shape", "counts"),
    [
        (lambda left: jnp.stack([left / 6, jnp.float32(1)]), (1, 1, 2), (0, 1)),
        (lambda left: jnp.arange(6).reshape(2, 3) < left, (2, 3, 1), ()),
        (lambda left: jnp.full((2, 2, 2), left / 6).at[..., 0].set(1), (2, 2, 2), (1,)),
    ],
)
def test_observations(custom: types.ModuleType, observe: Any, shape: Any, counts: Any) -> None:
    custom.Seen = lambda: make_env(observe=observe)
    game = games.make("their_games:Seen")
    assert game.observation_shape == shape
    assert game.count_planes == counts
    planes = game.observe(game.init(jax.random.key(0)))
    assert planes.shape == shape
    assert planes.dtype == jnp.float32


@pytest.mark.parametrize(
    ("faults", "rule"),
    [
        ({"players": 3}, "num_players must be 1 or 2, not 3"),
        ({"init_on_host": True}, "init cannot be compiled by jax.jit"),
        ({"mask_dtype": jnp.int32}, r"legal_action_mask must be bool \[A\], not int32 \[2\]"),
        ({"branch_dtype": jnp.float32}, "step cannot be compiled by jax.jit: TypeError: .*_left"),
        ({"left_dtype": jnp.float32}, "step must keep the shape and dtype of _left: int32"),
        ({"loss": 0.0}, "rewards of two players must add up to 0"),
        ({"open": False}, "legal_action_mask must allow a move"),
        ({"moves_on": True}, "a step from a terminal state must change nothing, but _left changed"),
        ({"observe": lambda left: jnp.zeros((1, 2, 3, 4))}, "the observation must have 1 to 3 dimensions, not 4"),
        ({"observe": lambda left: jnp.arange(4.0).reshape(2, 2, 1)}, "plane 0 is neither"),
    ],
)
def test_broken_rules(custom: types.ModuleType, faults: dict[str, Any], rule: str) -> None:
    custom.Broken = lambda: make_env(**faults)
    with pytest.raises(ValueError, match=rule) as caught:
        games.make("their_games:Broken")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("their_games:Broken: ")


def test_step_that_reads_the_observation(custom: types.ModuleType) -> None:
    env = make_env()
    inner = env._step
    env._step = lambda state, action, key: inner(state, action + state.observation.astype(int).sum() * 0, key)
    custom.env = env
    with pytest.raises(ValueError, match="step without an observation cannot be compiled"):
        games.make("their_games:env")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("no_such_module_at_all:Env", "no module named 'no_such_module_at_all'"),
        ("their_games:Countdwn", "has nothing named 'Countdwn'; did you mean Countdown"),
        ("their_games:number", "must be a pgx.Env, not int"),
        ("their_games:raises", "making the env failed: RuntimeError: no"),
        ("their_games:", "has nothing named ''"),
        ("failing_module:Env", "importing failing_module failed: ZeroDivisionError"),
        ("their_games:endless", "max_plies must be a whole number above 0, not 0"),
    ],
)
def test_not_found(
    custom: types.ModuleType, name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises() -> None:
        raise RuntimeError("no")

    custom.Countdown, custom.number, custom.raises, custom.endless = make_env, 3, raises, make_env()
    custom.endless.max_plies = 0
    (tmp_path / "failing_module.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ValueError, match=line) as caught:
        games.make(name)
    assert "\n" not in str(caught.value)


def test_boards_carry_no_observation() -> None:
    """What pgx says twice is dropped: search keeps a board in every node."""
    for name in ("othello", "chess"):
        state = jax.eval_shape(games.make(name).init, jax.random.key(0))
        fields = {field.name for field in dataclasses.fields(state.board.env)}
        dropped = {field for field in fields if getattr(state.board.env, field) is None}
        assert dropped == fields - {"_step_count", "_x", "_player_order"}
