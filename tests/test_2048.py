"""2048: its rules against plain Python and against pgx's, its chances, its symmetries."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pgx
import pytest
from pgx.play2048 import State as PgxState
from random_play import random_actions

import games
from azero.episodes import play_episodes
from azero.expectimax import expectimax_answers
from games.core import State
from games.two_thousand_forty_eight import (
    CELLS,
    DISCOUNT,
    MOVES,
    SCALE,
    Rows,
    board_of,
    exponents,
    probabilities,
    slide,
    state_of,
)

GAME = games.make("2048")
CHANCE = GAME.chance
PGX_MOVES = [1, 2, 3, 0]  # left, up, right, down, in our order
STEP = jax.jit(GAME.step)
BATCH, PLIES = 64, 700


@functools.cache
def played() -> tuple[State, np.ndarray, State, np.ndarray]:
    """Random games: states [T + 1, B], actions [T, B], afterstates [T, B], what was seen [T + 1, B, ...]."""
    assert CHANCE is not None

    def ply(states: State, key: jax.Array) -> Any:
        actions = random_actions(key, states.legal)
        between = jax.vmap(CHANCE.after)(states, actions)
        after = jax.vmap(GAME.step)(states, actions, jax.random.split(key, BATCH))
        return after, (after, actions, between)

    @jax.jit
    def run(key: jax.Array) -> Any:
        first = jax.vmap(GAME.init)(jax.random.split(key, BATCH))
        _, (later, actions, between) = jax.lax.scan(ply, first, jax.random.split(key, PLIES))
        states = jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), first, later)
        return states, actions, between, jax.vmap(jax.vmap(GAME.observe))(states)

    states, actions, between, seen = jax.device_get(run(jax.random.key(0)))
    return states, actions, between, seen


def cells(rows: np.ndarray) -> np.ndarray:
    """Exponents [..., 4, 4] of boards uint16 [..., 4], read bit by bit."""
    return np.stack([(rows.astype(int) >> shift) & 15 for shift in (0, 4, 8, 12)], axis=-1)


def position(*rows: tuple[int, ...]) -> State:
    """A position from its tiles."""
    tiles = np.array(rows)
    return state_of(board_of(jnp.asarray(np.where(tiles > 0, np.log2(np.maximum(tiles, 1)), 0).astype(int))))


@pytest.mark.parametrize(
    ("line", "slid", "points"),
    [
        ((2, 2, 2, 2), (4, 4, 0, 0), 8),
        ((0, 2, 0, 2), (4, 0, 0, 0), 4),
        ((4, 2, 2, 0), (4, 4, 0, 0), 4),  # a merged tile does not merge again
        ((2, 2, 4, 8), (4, 4, 8, 0), 4),
        ((2, 2, 2, 0), (4, 2, 0, 0), 4),  # the two that lie in the direction of the move
        ((8, 0, 0, 8), (16, 0, 0, 0), 16),
        ((2, 4, 2, 4), (2, 4, 2, 4), 0),
        ((1024, 1024, 0, 0), (2048, 0, 0, 0), 2048),
        ((32768, 32768, 0, 0), (32768, 32768, 0, 0), 0),  # the largest there is
    ],
)
def test_lines_slide_as_worked_by_hand(line: tuple[int, ...], slid: tuple[int, ...], points: int) -> None:
    def log(tiles: tuple[int, ...]) -> list[int]:
        return [tile.bit_length() - 1 if tile else 0 for tile in tiles]

    assert slide(log(line)) == (log(slid), points)
    assert CHANCE is not None
    left = CHANCE.after(position(line, (0,) * 4, (0,) * 4, (0,) * 4), jnp.int32(MOVES.index("left")))
    np.testing.assert_array_equal(exponents(left.board)[0], log(slid))
    assert float(left.reward) == points * SCALE


def slid_plainly(board: np.ndarray, action: int) -> tuple[np.ndarray, int]:
    """A board [4, 4] of exponents after a move, in plain Python that shares nothing with the game's."""
    turns = {"left": 0, "up": 1, "right": 2, "down": 3}[MOVES[action]]
    turned, points = np.rot90(board, turns), 0
    rows = []
    for row in turned.tolist():
        tiles, merged = [tile for tile in row if tile], []
        index = 0
        while index < len(tiles):
            if index + 1 < len(tiles) and tiles[index] == tiles[index + 1] != 15:
                merged.append(tiles[index] + 1)
                points += 2 ** (tiles[index] + 1)
                index += 2
            else:
                merged.append(tiles[index])
                index += 1
        rows.append(merged + [0] * (4 - len(merged)))
    return np.rot90(np.array(rows), -turns), points


def test_afterstates_points_and_legal_moves_are_those_of_plain_python() -> None:
    states, actions, between, _ = played()
    boards, slid = cells(states.board.rows), cells(between.board.rows)
    for ply in range(0, PLIES, 3):
        for row in range(0, BATCH, 7):
            board = boards[ply, row]
            every = [slid_plainly(board, action) for action in range(4)]
            moves = [bool((after != board).any()) for after, _ in every]
            over = not any(moves)
            assert states.terminal[ply, row] == over
            assert states.legal[ply, row].tolist() == ([True] * 4 if over else moves)
            if over:
                np.testing.assert_array_equal(slid[ply, row], board)
                continue
            after, points = every[actions[ply, row]]
            np.testing.assert_array_equal(slid[ply, row], after)
            assert between.reward[ply, row] == np.float32(points * SCALE)
            assert between.discount[ply, row] == 1


def test_afterstates_points_and_legal_moves_are_those_of_pgx() -> None:
    """All positions of all games at once; pgx's tile comes by its own key, and is taken off again."""
    states, actions, between, _ = played()
    boards = cells(states.board.rows).reshape(PLIES + 1, BATCH, CELLS)
    env = pgx.make("2048")

    @jax.jit
    @jax.vmap
    def theirs(board: jax.Array, action: jax.Array) -> Any:
        before = PgxState(_board=board, legal_action_mask=jnp.ones(4, bool))
        after = env.step(before, jnp.array(PGX_MOVES)[action], jax.random.key(1))
        return after._board, after.rewards[0]

    going_on = ~states.terminal[:-1]
    before, moves = boards[:-1][going_on].astype(np.int32), actions[going_on]
    assert len(before) > 5000
    pgx_boards, points = theirs(before, moves)
    ours = cells(between.board.rows).reshape(PLIES, BATCH, CELLS)[going_on]
    new = np.asarray(pgx_boards) != ours
    assert (new.sum(axis=1) == 1).all()
    assert (ours[new] == 0).all()
    assert np.isin(np.asarray(pgx_boards)[new], (1, 2)).all()
    np.testing.assert_array_equal(between.reward[going_on] / SCALE, points)


def test_step_is_a_move_and_one_tile() -> None:
    states, _, between, _ = played()
    going_on = ~states.terminal[:-1]
    slid, after = cells(between.board.rows)[going_on], cells(states.board.rows)[1:][going_on]
    new = slid != after
    assert (new.sum(axis=(1, 2)) == 1).all()
    assert (slid[new] == 0).all()
    tiles = after[new]
    assert np.isin(tiles, (1, 2)).all()
    assert abs((tiles == 2).mean() - 0.1) < 4 * np.sqrt(0.09 / len(tiles))
    np.testing.assert_array_equal(states.reward[1:][going_on], between.reward[going_on])
    discount = np.where(states.terminal[1:], 0, DISCOUNT).astype(np.float32)
    np.testing.assert_array_equal(states.discount[1:][going_on], discount[going_on])


def test_chances_are_even_over_the_empty_cells_and_add_up() -> None:
    _, _, between, _ = played()
    alive = ~between.terminal
    some = jax.tree.map(lambda leaf: leaf[alive][::50], between)
    likely = np.asarray(jax.jit(jax.vmap(probabilities))(some))
    empty = cells(some.board.rows).reshape(-1, CELLS) == 0
    count = empty.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(likely[:, :CELLS], np.where(empty, 0.9 / count, 0), rtol=1e-6)
    np.testing.assert_allclose(likely[:, CELLS:], np.where(empty, 0.1 / count, 0), rtol=1e-6)


def test_tiles_come_as_often_as_their_chances_say() -> None:
    state = position((0, 4, 8, 16), (32, 64, 128, 256), (2, 4, 8, 16), (32, 64, 128, 0))
    action = jnp.int32(MOVES.index("down"))
    assert CHANCE is not None
    likely = np.asarray(CHANCE.probabilities(CHANCE.after(state, action)))
    np.testing.assert_allclose(np.sort(likely[likely > 0]), [0.05, 0.05, 0.45, 0.45], rtol=1e-6)
    every = jax.vmap(CHANCE.happen, (None, 0))(CHANCE.after(state, action), jnp.flatnonzero(likely))
    keys = jax.random.split(jax.random.key(2), 20_000)
    drawn = jax.jit(jax.vmap(GAME.step, (None, None, 0)))(state, action, keys)
    which = (np.asarray(drawn.board.rows)[:, None] == np.asarray(every.board.rows)).all(axis=-1)
    assert (which.sum(axis=1) == 1).all()
    np.testing.assert_allclose(which.mean(axis=0), likely[likely > 0], atol=0.015)


def test_first_positions_have_two_tiles_anywhere() -> None:
    states, *_ = played()
    first = cells(states.board.rows[0])
    assert ((first > 0).sum(axis=(1, 2)) == 2).all()
    assert np.isin(first, (0, 1, 2)).all()
    assert (first > 0).any(axis=0).all()
    assert (states.discount[0] == np.float32(DISCOUNT)).all()
    assert not states.terminal[0].any()
    assert not states.reward[0].any()


def test_games_end_and_stay_as_they_are() -> None:
    states, *_ = played()
    assert states.terminal[-1].all()
    for row in range(BATCH):
        end = int(states.terminal[:, row].argmax())
        assert states.legal[end, row].all()
        np.testing.assert_array_equal(states.board.rows[end, row], states.board.rows[-1, row])
        assert not states.reward[end + 1 :, row].any()
        assert not states.discount[end:, row].any()


def test_what_is_seen_is_a_plane_for_every_tile() -> None:
    states, _, _, seen = played()
    np.testing.assert_array_equal(seen.argmax(axis=-1), cells(states.board.rows))
    np.testing.assert_array_equal(seen.sum(axis=-1), 1)


def test_rules_commute_with_symmetries() -> None:
    tables = GAME.symmetries
    assert tables.cells.shape == (8, CELLS)
    assert tables.actions.shape == (8, 4)
    assert len(np.unique(tables.actions, axis=0)) == 8
    states, _, _, _ = played()
    alive = np.flatnonzero(~states.terminal.reshape(-1))[::400]
    boards = states.board.rows.reshape(-1, 4)[alive]
    after = jax.jit(jax.vmap(jax.vmap(lambda rows, a: CHANCE.after(state_of(Rows(rows)), a), (None, 0)), (0, None)))
    moved = after(boards, np.arange(4))
    legal = jax.jit(jax.vmap(lambda rows: state_of(Rows(rows)).legal))
    for turned, actions in zip(tables.cells, tables.actions, strict=True):
        images = cells(boards).reshape(-1, CELLS)[:, turned].reshape(-1, 4, 4)
        rows = (images << np.array([0, 4, 8, 12])).sum(axis=-1).astype(np.uint16)
        np.testing.assert_array_equal(legal(rows), np.asarray(legal(boards))[:, actions])
        theirs = after(rows, np.arange(4))
        ours = cells(np.asarray(moved.board.rows))[:, actions].reshape(-1, 4, CELLS)[..., turned]
        np.testing.assert_array_equal(cells(np.asarray(theirs.board.rows)).reshape(-1, 4, CELLS), ours)
        np.testing.assert_array_equal(theirs.reward, np.asarray(moved.reward)[:, actions])


def test_moves_are_words_and_boards_are_tiles() -> None:
    state = position((2, 0, 0, 2), (0, 0, 0, 0), (0, 0, 0, 0), (2048, 0, 0, 4))
    notation = GAME.notation
    assert [notation.move(state, action) for action in range(4)] == ["up", "right", "down", "left"]
    assert notation.action(state, "Left") == 3
    with pytest.raises(ValueError, match="'x' is not a move; moves are up, right, down, left"):
        notation.action(state, "x")
    stuck = position((2, 4, 2, 4), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    with pytest.raises(ValueError, match="nothing moves up"):
        notation.action(stuck, "up")
    assert notation.board(state).split() == [*"2..2", *"........", "2048", ".", ".", "4"]
    assert len(set(map(len, notation.board(state).split("\n")))) == 1


def test_points_of_one_move_ahead_make_a_player() -> None:
    """Random play has some 1,100 points, the most points at once some 3,200."""
    found = play_episodes(GAME, expectimax_answers(GAME, 1), 24).figures()
    assert 2200 < found["mean_return"] < 4500
    assert found["min"] % 4 == 0
    assert found["cut"] == 0
