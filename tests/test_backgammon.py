"""Backgammon: its rules by hand, against OpenSpiel's and pgx's, and its chances."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pgx import backgammon as pgx_rules
from random_play import play

import games
from games.backgammon import (
    BAR,
    CHECKERS,
    FACES,
    LONGEST,
    PASS,
    POINTS,
    ROLLED,
    ROLLS,
    SCALE,
    START,
    Table,
    probabilities,
    state_of,
    turn_begins,
)
from games.core import State

GAME = games.make("backgammon")
assert GAME.chance
STATE_OF = jax.jit(state_of)
AFTER = jax.jit(jax.vmap(GAME.chance.after))
# Ignored by mypy: a game may lack chance, and backgammon does not.
ALL_AFTER = jax.jit(lambda state: jax.vmap(GAME.chance.after, (None, 0))(state, jnp.arange(PASS + 1)))  # type: ignore  # it has chance
BATCH = 64


def position(
    mine: dict[int, int], other: dict[int, int], dice: list[int], bar: tuple[int, int] = (0, 0), ply: int = 0
) -> State:
    """A position by points as the mover counts them; the checkers that are nowhere are off the board."""
    points = np.zeros(POINTS, np.int8)
    for sign, checkers in ((1, mine), (-1, other)):
        for point, count in checkers.items():
            points[point - 1] = sign * count
    off = [CHECKERS - sum(side.values()) - waiting for side, waiting in zip((mine, other), bar, strict=True)]
    left = [dice.count(face + 1) for face in range(FACES)]
    return STATE_OF(Table(points, np.int8(bar), np.int8(off), np.int8(left), np.int16(ply)), 0)


def legal(state: State) -> set[str]:
    return {GAME.notation.move(state, action) for action in np.flatnonzero(state.legal).tolist()}


def moved(state: State, text: str) -> State:
    """The afterstate."""
    action = GAME.notation.action(state, text)
    return jax.tree.map(lambda leaf: leaf[0], AFTER(jax.tree.map(lambda leaf: leaf[None], state), np.int32([action])))


def test_start() -> None:
    state = GAME.init(jax.random.key(0))
    assert state.board.points.tolist() == START.tolist()
    assert START[START > 0].sum() == CHECKERS == -START[START < 0].sum()
    assert sum((point + 1) * count for point, count in enumerate(START.tolist()) if count > 0) == 167  # pips


@pytest.mark.parametrize(
    ("mine", "other", "dice", "bar", "moves"),
    [
        # The three opening moves by a 1 and the four by a 3 that are open.
        ({24: 2, 13: 5, 8: 3, 6: 5}, {1: 2, 12: 5, 17: 3, 19: 5}, [3, 1], (0, 0),
         {"24/23", "8/7", "6/5", "24/21", "13/10", "8/5", "6/3"}),
        # On the bar nothing else moves; 20 is closed by two, 22 is open to a hit.
        ({13: 5, 8: 3, 6: 6}, {20: 2, 22: 1, 3: 12}, [5, 3], (1, 0), {"bar/22*"}),
        ({13: 5, 8: 3, 6: 6}, {20: 2, 22: 2, 3: 11}, [5, 3], (1, 0), {"pass"}),
        # Both dice can be played only if the 5 goes first from 10, not the 1, after which 9/4 is closed.
        ({10: 1, 1: 14}, {4: 2, 3: 13}, [5, 1], (0, 0), {"10/5"}),
        # Only one die can be played, either of them: it has to be the 6.
        ({10: 1, 2: 14}, {1: 7, 3: 8}, [6, 1], (0, 0), {"10/4"}),
        # Only one can be played, and it is the smaller.
        ({10: 1, 2: 14}, {1: 4, 3: 4, 4: 4, 8: 2}, [6, 1], (0, 0), {"10/9"}),
        # Bearing off: by the exact die, by a larger one only from the rearmost point.
        ({5: 2, 3: 2}, {24: 15}, [6, 3], (0, 0), {"5/off(6)", "5/2", "3/off"}),
        ({5: 2, 3: 2}, {24: 15}, [4, 4, 4, 4], (0, 0), {"5/1"}),
        ({4: 2, 3: 2}, {24: 15}, [5, 4], (0, 0), {"4/off(5)", "4/off"}),
        ({7: 1, 1: 2}, {24: 15}, [2, 2, 2, 2], (0, 0), {"7/5"}),
    ],
)  # fmt: skip
def test_moves(mine: Any, other: Any, dice: list[int], bar: tuple[int, int], moves: set[str]) -> None:
    assert legal(position(mine, other, dice, bar)) == moves


def test_dice_that_cannot_be_played_are_laid_down() -> None:
    between = moved(position({10: 1, 2: 14}, {1: 7, 3: 8}, [6, 1]), "10/4")
    assert not between.board.left.any()
    assert probabilities(between).sum() == pytest.approx(1)
    assert moved(position({10: 1, 1: 14}, {4: 2, 3: 13}, [5, 1]), "10/5").board.left.tolist() == [1, 0, 0, 0, 0, 0]


def test_a_hit_sends_to_the_bar() -> None:
    between = moved(position({13: 5, 8: 3, 6: 6}, {20: 2, 22: 1, 3: 12}, [3], (1, 0)), "bar/22*")
    assert between.board.bar.tolist() == [0, 1]
    assert between.board.points[21] == 1
    after = GAME.chance.happen(between, jnp.int32(0))
    assert after.board.bar.tolist() == [1, 0]
    assert (int(after.to_play), float(after.discount)) == (1, -1.0)


@pytest.mark.parametrize(
    ("other", "bar", "worth"),
    [
        ({24: 14}, (0, 0), 1),  # one is off
        ({24: 15}, (0, 0), 2),
        ({24: 14}, (0, 1), 3),
        ({24: 14, 6: 1}, (0, 0), 3),
        ({24: 14, 7: 1}, (0, 0), 2),
        ({23: 13, 6: 1}, (0, 0), 1),
    ],
)
def test_what_a_win_is_worth(other: dict[int, int], bar: tuple[int, int], worth: int) -> None:
    between = moved(position({1: 1}, other, [6, 5], bar), "1/off(6)")
    assert bool(between.terminal)
    assert float(between.reward) == pytest.approx(worth * SCALE)
    assert float(between.discount) == 0


def test_too_long_a_game_is_a_draw() -> None:
    between = moved(position({6: 2}, {24: 15}, [2, 1], ply=LONGEST - 1), "6/4")
    assert bool(between.terminal)
    assert float(between.reward) == 0
    assert not bool(moved(position({6: 2}, {24: 15}, [2, 1], ply=LONGEST - 2), "6/4").terminal)


def test_rolls() -> None:
    """Six doubles of 1/36, fifteen others of 2/36; the first roll is no double."""
    assert len(ROLLS) == 21
    assert ROLLED.sum() == pytest.approx(1)
    assert sorted((36 * ROLLED).round().astype(int).tolist()) == [1] * 6 + [2] * 15
    first = jax.vmap(GAME.init)(jax.random.split(jax.random.key(1), 3000)).board.left
    assert (first.sum(axis=1) == 2).all()
    assert (first.max(axis=1) == 1).all()
    _, counts = np.unique(np.asarray(first), axis=0, return_counts=True)
    assert len(counts) == 15
    assert np.abs(counts - 200).max() < 4 * np.sqrt(200)
    between = moved(position({10: 1, 2: 14}, {1: 7, 3: 8}, [6, 1]), "10/4")
    rolled = jax.vmap(GAME.chance.happen, (None, 0))(between, jnp.arange(21)).board.left
    for (high, low), left in zip(ROLLS.tolist(), rolled.tolist(), strict=True):
        assert left == [(4 if high == low else 1) if face in (high, low) else 0 for face in range(FACES)]
        assert turn_begins(np.array(left))


@pytest.fixture(scope="module")
def random_games() -> tuple[State, np.ndarray]:
    return play(GAME, BATCH, 400)


def test_checkers_are_kept(random_games: tuple[State, np.ndarray]) -> None:
    states, actions = random_games
    for side, sign in enumerate((1, -1)):
        table = states.board
        there = np.maximum(sign * table.points.astype(int), 0).sum(-1) + table.bar[..., side] + table.off[..., side]
        assert (there == CHECKERS).all()
    assert (actions == PASS).any()
    assert states.terminal[-1].mean() > 0.9
    assert set(np.round(np.abs(states.reward[1:][states.terminal[1:]]) / SCALE).astype(int).tolist()) == {0, 1, 2, 3}
    goes_on = states.discount == 1
    assert (states.to_play[1:][goes_on[1:]] == states.to_play[:-1][goes_on[1:]]).all()


def pgx_action(action: np.ndarray) -> np.ndarray:
    """pgx counts points upwards, has the bar at 1 and passes by 0 to 5."""
    source, face = np.divmod(action, FACES)
    return np.where(action == PASS, 0, np.where(source == BAR, 1, POINTS + 1 - source) * FACES + face)


def pgx_board(table: Table) -> np.ndarray:
    """Points, then the bars, then those that are off, int32 [..., 28]."""
    others = [table.bar[..., :1], -table.bar[..., 1:], table.off[..., :1], -table.off[..., 1:]]
    return np.concatenate([table.points[..., ::-1], *others], axis=-1).astype(np.int32)


def test_single_moves_against_pgx(random_games: tuple[State, np.ndarray]) -> None:
    """The same boards follow. pgx does not ask that both dice be played, so it has more legal moves."""
    states, actions = random_games
    live = ~states.terminal[:-1]
    tables: Table = jax.tree.map(lambda leaf: leaf[:-1][live], states.board)
    legal_here, made = states.legal[:-1][live], actions[live]
    boards, plays = pgx_board(tables), pgx_action(made)

    def dice(left: np.ndarray) -> list[int]:
        listed = np.repeat(np.arange(FACES), left).tolist()
        return listed + [-1] * (4 - len(listed))

    playable = np.array([dice(left) for left in tables.left], np.int32)
    masks = np.asarray(jax.jit(jax.vmap(pgx_rules._legal_action_mask))(boards, playable))
    renamed = masks[:, pgx_action(np.arange(PASS + 1))]
    assert (renamed | ~legal_here).all()
    fewer = (renamed != legal_here).any(axis=1)
    assert 0 < fewer.mean() < 0.2
    one_die = (tables.left > 0).sum(axis=1) == 1
    assert not fewer[one_die].any()
    assert np.array_equal(legal_here[:, PASS], masks[:, 0])
    moving = made != PASS
    after = np.asarray(jax.jit(jax.vmap(pgx_rules._move))(boards[moving], plays[moving]))
    states = jax.tree.map(lambda leaf: leaf[:-1][live][moving], states)
    assert np.array_equal(after, pgx_board(AFTER(states, made[moving]).board))


def test_whole_turns_against_open_spiel() -> None:
    """Every position of random games there: the boards that a turn may lead to. There, a double is played in two."""
    pyspiel = pytest.importorskip("pyspiel", reason="Open Spiel is not there; install it: pip install open_spiel")
    random = np.random.default_rng(0)
    asked: list[Table] = []
    expected: list[set[bytes]] = []
    for _ in range(4):
        other = pyspiel.load_game("backgammon(scoring_type=full_scoring)").new_initial_state()
        while not other.is_terminal():
            if other.is_chance_node():
                outcomes, likely = zip(*other.chance_outcomes(), strict=True)
                other.apply_action(int(random.choice(outcomes, p=np.array(likely) / sum(likely))))
                continue
            player = other.current_player()
            asked.append(spiel_table(other, player, two_dice=True))
            children = [spiel_table(other.child(action), player) for action in other.legal_actions()]
            expected.append({seen(table) for table in children})
            other.apply_action(int(random.choice(other.legal_actions())))
    assert len(asked) > 300
    for table, boards in zip(asked, expected, strict=True):
        assert {seen(reached) for reached in turn_ends(table)} == boards


def spiel_table(other: Any, player: int, two_dice: bool = False) -> Table:
    """A position of OpenSpiel as this player sees it; of a double two dice."""
    tensor = np.array(other.observation_tensor(player))[-8:].astype(np.int8)
    sides = [np.array([other.board(who, point) for point in range(POINTS)]) for who in (player, 1 - player)]
    points = (sides[0] - sides[1]).astype(np.int8)
    left = np.bincount(tensor[6:] - 1, minlength=FACES) if two_dice else np.zeros(FACES)
    return Table(
        points[::-1] if player == 0 else points, tensor[[0, 3]], tensor[[1, 4]], left.astype(np.int8), np.int16(0)
    )


def seen(table: Table) -> bytes:
    """The board without the dice."""
    return np.concatenate([table.points, table.bar, table.off]).astype(np.int8).tobytes()


def turn_ends(table: Table) -> list[Table]:
    """The boards on which the moves with these dice may end."""
    going_on, ends = [table], []
    while going_on:
        state = STATE_OF(going_on.pop(), 0)
        boards = jax.device_get(ALL_AFTER(state).board)
        for action in np.flatnonzero(state.legal).tolist():
            reached = Table(*(leaf[action] for leaf in boards))
            (going_on if reached.left.any() else ends).append(reached)
    return ends
