"""The exact tables: their sizes, against a plain search, by hand, and against the games' own steps."""

import functools

import jax
import numpy as np
import pytest
from plain_connect import plain_boards, plain_moves, preference

import games
from games import oracles
from games.connect import SHAPES, Shape
from games.core import DRAW, ILLEGAL, LOSS, WIN, State, value_before
from games.oracles import bitboards, connect_four, tables
from games.tic_tac_toe import LINES

SOLVED = tuple(tables.POSITIONS)
FOUR_BY_FOUR = bitboards.connect_rules("connect_four_4x4", SHAPES["connect_four_4x4"])


def rows_of(states: State, rows: np.ndarray | slice) -> State:
    picked: State = jax.tree.map(lambda leaf: leaf[rows], states)
    return picked


@functools.cache
def all_positions(name: str) -> tuple[State, np.ndarray, np.ndarray]:
    """States, exact values and distances of all positions of a solved game."""
    states, q, _ = oracles.table_positions(name)
    oracle = games.make(name).oracle
    assert oracle is not None
    exact = oracle().q
    assert exact is not None
    values, plies = exact(states)
    np.testing.assert_array_equal(values, q)
    return states, values, plies


def state_after(name: str, actions: list[int]) -> State:
    game = games.make(name)
    state = game.init(jax.random.key(0))
    for action in actions:
        state = game.step(state, jax.numpy.int32(action), jax.random.key(0))
    return state


def exact_after(name: str, actions: list[int]) -> tuple[list[int], list[int]]:
    """Values and plies of each move after these actions."""
    oracle = games.make(name).oracle
    assert oracle is not None
    exact = oracle().q
    assert exact is not None
    values, plies = exact(jax.tree.map(lambda leaf: leaf[None], state_after(name, actions)))
    return values[0].tolist(), plies[0].tolist()


@pytest.mark.parametrize("name", SOLVED)
def test_table_holds_every_position_and_the_game_is_drawn(name: str) -> None:
    states, values, plies = all_positions(name)
    assert len(values) == tables.POSITIONS[name]
    assert not states.terminal.any()
    assert values[0].max() == DRAW
    assert plies[0].max() == games.make(name).max_plies
    np.testing.assert_array_equal(values != ILLEGAL, states.legal)
    np.testing.assert_array_equal(plies > 0, states.legal)


def test_solving_a_game_gives_the_same_table_as_reading_it() -> None:
    solved = tables.solve(FOUR_BY_FOUR)
    _, values, _ = all_positions("connect_four_4x4")
    assert sorted(solved.values.tolist()) == sorted(values.max(axis=1).tolist())


def test_tic_tac_toe_by_hand() -> None:
    assert exact_after("tic_tac_toe", []) == ([DRAW] * 9, [9] * 9)
    # x . o    x to move wins at 8. So would o: every other move loses in two.
    # . x o
    # . . .
    values, plies = exact_after("tic_tac_toe", [0, 2, 4, 5])
    assert values[8] == WIN
    assert plies[8] == 1
    assert [values[cell] for cell in (1, 3, 6, 7)] == [LOSS] * 4
    assert [plies[cell] for cell in (1, 3, 6, 7)] == [2] * 4
    assert values[0] == ILLEGAL
    assert plies[0] == -1
    # x x .    x to move wins at 2. Blocking at 5 makes o block at 2 and x the diagonal at 6: a draw when the
    # o o .    board is full, five plies on. Every other move loses in two.
    # . . .
    values, plies = exact_after("tic_tac_toe", [0, 3, 1, 4])
    assert values == [ILLEGAL, ILLEGAL, WIN, ILLEGAL, ILLEGAL, DRAW, LOSS, LOSS, LOSS]
    assert plies == [-1, -1, 1, -1, -1, 5, 2, 2, 2]


def test_connect_four_5x4_by_hand() -> None:
    # x has three of the bottom row, o two stones on them: 4 wins, and o threatens nothing.
    values, plies = exact_after("connect_four_5x4", [1, 1, 2, 2, 3, 3])
    assert values[0] == WIN
    assert plies[0] == 1
    assert values[4] == WIN
    assert plies[4] == 1


def test_tic_tac_toe_table_against_a_plain_search() -> None:
    states, values, plies = all_positions("tic_tac_toe")

    @functools.cache
    def moves(cells: tuple[int, ...]) -> dict[int, tuple[int, int]]:
        mover = 9 - cells.count(-1)
        found = {}
        for cell in (cell for cell in range(9) if cells[cell] == -1):
            after = (*cells[:cell], mover % 2, *cells[cell + 1 :])
            if any(all(after[c] == mover % 2 for c in line) for line in LINES):
                found[cell] = (WIN, 1)
            elif -1 not in after:
                found[cell] = (DRAW, 1)
            else:
                value, distance = max(moves(after).values(), key=preference)
                found[cell] = (-value, distance + 1)
        return found

    for row, (first, second) in enumerate(states.board.tolist()):
        cells = tuple(0 if first >> c & 1 else 1 if second >> c & 1 else -1 for c in range(9))
        expected = moves(cells)
        assert {c: (values[row, c], plies[row, c]) for c in np.flatnonzero(values[row] != ILLEGAL)} == expected


@pytest.mark.parametrize(("name", "fewest_stones"), [("connect_four_4x4", 6), ("connect_four_5x4", 10)])
def test_connect_table_against_a_plain_search(name: str, fewest_stones: int) -> None:
    shape = SHAPES[name]
    rules = bitboards.connect_rules(name, shape)
    _, values, plies = all_positions(name)
    keys = rules.key(*oracles._bits(name, all_positions(name)[0]))
    late = np.flatnonzero(bitboards.plies_played(rules, keys) >= fewest_stones)
    chosen = np.random.default_rng(0).choice(late, 40, replace=False)
    for row, board in zip(chosen, plain_boards(shape, *rules.stones(keys[chosen])), strict=True):
        expected = plain_moves(board, shape, {})
        assert {c: (values[row, c], plies[row, c]) for c in np.flatnonzero(values[row] != ILLEGAL)} == expected


@pytest.mark.parametrize("name", SOLVED)
def test_exact_values_obey_the_sign_rule_along_the_games_own_steps(name: str) -> None:
    game = games.make(name)
    states, values, plies = all_positions(name)
    random = np.random.default_rng(1)
    chosen = random.choice(len(values), 2_000, replace=False)
    states, values, plies = rows_of(states, chosen), values[chosen], plies[chosen]
    actions = np.array([random.choice(np.flatnonzero(legal)) for legal in states.legal])
    after = jax.device_get(
        jax.vmap(game.step, (0, 0, None))(states, jax.numpy.asarray(actions, jax.numpy.int32), jax.random.key(0))
    )
    assert game.oracle is not None
    exact = game.oracle().q
    assert exact is not None
    values_after, plies_after = exact(after)
    row = np.arange(len(actions))
    assert after.terminal.any()
    assert not after.terminal.all()
    assert (values_after[after.terminal] == ILLEGAL).all()
    assert (plies_after[after.terminal] == -1).all()
    best_after = np.where(after.terminal, 0, values_after.max(axis=1))
    np.testing.assert_array_equal(values[row, actions], value_before(after.reward, after.discount, best_after))
    ended = np.where(after.terminal, 1, plies[row, actions])
    np.testing.assert_array_equal(plies[row, actions], ended)
    drawn = ~after.terminal & (best_after == DRAW)
    np.testing.assert_array_equal(plies[row, actions][drawn], plies_after.max(axis=1)[drawn] + 1)


def test_a_position_out_of_reach_has_no_exact_value() -> None:
    only_the_second_player_has_moved = FOUR_BY_FOUR.key(np.zeros(1, np.uint64), np.ones(1, np.uint64))
    with pytest.raises(ValueError, match="cannot reach"):
        tables.exact_moves(FOUR_BY_FOUR, oracles._table("connect_four_4x4"), only_the_second_player_has_moved)


def test_unknown_boards_have_no_oracle() -> None:
    with pytest.raises(ValueError, match="no oracle"):
        oracles.connect_oracle("connect_four_5x5", Shape(5, 5, 4))
    with pytest.raises(ValueError, match="no oracle"):
        oracles.connect_oracle("connect_four_4x4", Shape(5, 4, 4))
    with pytest.raises(ValueError, match="no table"):
        oracles.table_positions("connect_four")


@pytest.mark.parametrize("name", ["connect_four_4x4", "connect_four_5x4"])
def test_strength_is_measured_on_a_fixed_sample_of_decisive_positions(name: str) -> None:
    oracle = games.make(name).oracle
    assert oracle is not None
    sample, again = oracle().positions(), oracle().positions()
    jax.tree.map(np.testing.assert_array_equal, sample.states, again.states)
    np.testing.assert_array_equal(sample.q, again.q)
    assert sample.q.shape == (oracles.DECISIVE_SAMPLE, games.make(name).num_actions)
    assert all(len(set(row[row != ILLEGAL].tolist())) > 1 for row in sample.q)
    assert len(np.unique(np.asarray(sample.states.board.bits).reshape(len(sample.q), -1), axis=0)) == len(sample.q)
    # As often in each stage as among all decisive positions, within four standard errors.
    everything = oracles.table_positions(name)
    decisive = connect_four.difficulty(everything.q) != ""
    for stage in connect_four.STAGES:
        share = (everything.sets[decisive] == stage).mean()
        error = np.sqrt(share * (1 - share) / len(sample.sets))
        assert abs((sample.sets == stage).mean() - share) <= 4 * error
