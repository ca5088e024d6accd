"""The labelled positions of Connect Four, against the rules, a plain search and the solver."""

import functools
import importlib.util
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from plain_connect import plain_boards, plain_moves

import games
from games import oracles
from games.core import ILLEGAL, State
from games.oracles import bitboards, connect_four

SCRIPT = Path(__file__).parent.parent / "scripts" / "label_connect_four.py"


@functools.cache
def labelled() -> tuple[connect_four.Labels, np.ndarray]:
    labels = connect_four.load_labels()
    return labels, connect_four.key_after(labels.moves)


def test_labelled_set_fills_its_cells() -> None:
    oracle = games.make("connect_four").oracle
    assert oracle is not None
    assert oracle().q is None
    positions = oracle().positions()
    names, counts = np.unique(positions.sets, return_counts=True)
    assert set(names) == {f"{s}-{d}" for s in ("begin", "middle", "end") for d in ("easy", "medium", "hard")}
    assert len(positions.q) >= 6_000
    assert (counts == counts[0]).all()
    for row, name in zip(positions.q.tolist(), positions.sets, strict=True):
        legal = [value for value in row if value != ILLEGAL]
        share = legal.count(max(legal)) / len(legal)
        assert share < 1
        assert name.split("-")[1] == ("hard" if share < 0.34 else "easy" if share > 0.66 else "medium")
    stones = np.bitwise_count(np.asarray(positions.states.board.bits)).sum(axis=(1, 2))
    begins = {"begin": (0, 13), "middle": (14, 27), "end": (28, 41)}
    for count, name in zip(stones, positions.sets, strict=True):
        low, high = begins[name.split("-")[0]]
        assert low <= count <= high


def test_labelled_set_holds_each_position_once_up_to_mirror_image() -> None:
    _, keys = labelled()
    assert len(connect_four.one_of_each_pair(keys)) == len(keys)


def test_labelled_states_are_what_the_games_own_steps_reach() -> None:
    labels, _ = labelled()
    game = games.make("connect_four")
    positions = oracles.connect_oracle("connect_four", connect_four.SHAPE).positions()

    def replay(moves: jax.Array) -> State:
        def one(state: State, move: jax.Array) -> tuple[State, jax.Array]:
            after = game.step(state, move, jax.random.key(0))
            ok = (move < 0) | (state.legal[move] & ~after.terminal)
            return jax.tree.map(lambda new, old: jax.numpy.where(move >= 0, new, old), after, state), ok

        state, ok = jax.lax.scan(one, game.init(jax.random.key(0)), moves)
        return state._replace(terminal=state.terminal | ~ok.all())

    reached = jax.device_get(jax.jit(jax.vmap(replay))(labels.moves.astype(np.int32)))
    started = labels.moves[:, 0] >= 0
    for one, other in zip(jax.tree.leaves(reached), jax.tree.leaves(positions.states), strict=True):
        np.testing.assert_array_equal(one[started], other[started])
    np.testing.assert_array_equal(positions.q != ILLEGAL, reached.legal)


def test_labelled_values_are_the_signs_of_the_scores() -> None:
    labels, keys = labelled()
    q = oracles.connect_oracle("connect_four", connect_four.SHAPE).positions().q
    np.testing.assert_array_equal(q == ILLEGAL, labels.scores == ILLEGAL)
    legal = q != ILLEGAL
    np.testing.assert_array_equal(q[legal], np.sign(labels.scores[legal]))
    # A score counts the winner's stones; nobody wins before he has put his next one.
    stones = connect_four.plies(keys)[:, None]
    mover_stones, other_stones = stones // 2, (stones + 1) // 2
    assert (labels.scores <= np.where(legal, 22 - (mover_stones + 1), 0)).all()
    assert (np.where(legal, labels.scores, 0) >= -(22 - (other_stones + 1))).all()
    wins_at_once = bitboards.moves_from(connect_four.RULES, keys).won
    np.testing.assert_array_equal(wins_at_once, labels.scores == 22 - (mover_stones + 1))


def test_late_scores_against_a_plain_search() -> None:
    labels, keys = labelled()
    late = np.flatnonzero(connect_four.plies(keys) >= 30)
    chosen = np.random.default_rng(2).choice(late, 300, replace=False)
    boards = plain_boards(connect_four.SHAPE, *connect_four.RULES.stones(keys[chosen]))
    for row, board in zip(chosen, boards, strict=True):
        stones = sum(map(len, board))
        expected = {}
        for column, (value, plies) in plain_moves(board, connect_four.SHAPE, {}).items():
            winners_stones = (stones + plies + 1) // 2
            expected[column] = value * (22 - winners_stones)
        scores = labels.scores[row]
        assert {c: scores[c] for c in np.flatnonzero(scores != ILLEGAL)} == expected


def test_labelled_file_is_small_and_needs_no_pickle() -> None:
    path = Path(connect_four.__file__).with_name(connect_four.FILE)
    assert path.stat().st_size < 500_000
    labels, _ = labelled()
    assert labels.moves.dtype == np.int8
    assert labels.scores.dtype == np.int8


def test_moves_past_the_end_are_refused() -> None:
    won = np.array([[0, 1, 0, 1, 0, 1, 0]], np.int8)
    with pytest.raises(ValueError, match="end of the game"):
        connect_four.key_after(won)
    with pytest.raises(ValueError, match="full column"):
        connect_four.key_after(np.zeros((1, 7), np.int8))


def test_difficulty_by_hand() -> None:
    rows = [
        ([1, 0, 0, ILLEGAL], "hard"),
        ([1, 1, -1, ILLEGAL], "easy"),
        ([0, 0, -1, -1], "medium"),
        ([1, -1, ILLEGAL, ILLEGAL], "medium"),
        ([-1, -1, -1, -1], ""),
        ([0, ILLEGAL, ILLEGAL, ILLEGAL], ""),
    ]
    levels = connect_four.difficulty(np.array([row for row, _ in rows], np.int8))
    assert levels.tolist() == [level for _, level in rows]


def test_the_uci_positions_regenerate_from_the_rules() -> None:
    both = connect_four.uci_positions()
    assert len(np.unique(both)) == connect_four.UCI_ALL == 134_934
    assert len(connect_four.one_of_each_pair(both)) == connect_four.UCI_POSITIONS == 67_557
    assert (connect_four.plies(both) == 8).all()
    np.testing.assert_array_equal(np.sort(connect_four.mirrored(both)), both)


def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("label_connect_four", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_labels_against_the_solver_without_its_book() -> None:
    bitbully = pytest.importorskip("bitbully", reason="bitbully is not there; install it: pip install bitbully")
    labels, keys = labelled()
    agent = bitbully.BitBully(opening_book=None)
    searchable = np.flatnonzero(connect_four.plies(keys) >= 16)
    for row in np.random.default_rng(3).choice(searchable, 200, replace=False):
        moves = labels.moves[row][labels.moves[row] >= 0].tolist()
        for column in np.flatnonzero(labels.scores[row] != ILLEGAL).tolist():
            board = bitbully.Board([*moves, column])
            if not board.is_game_over():
                assert labels.scores[row, column] == -agent.negamax(board)


def test_early_labels_against_the_solver() -> None:
    pytest.importorskip("bitbully", reason="bitbully is not there; install it: pip install bitbully")
    labels, keys = labelled()
    solver = script().Solver()
    early = np.flatnonzero(connect_four.plies(keys) <= 11)
    for row in np.random.default_rng(4).choice(early, 300, replace=False):
        moves = labels.moves[row][labels.moves[row] >= 0].tolist()
        np.testing.assert_array_equal(labels.scores[row], solver.move_scores(moves))


def test_the_uci_data_set_has_its_wins_losses_and_draws(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("bitbully", reason="bitbully is not there; install it: pip install bitbully")
    assert script().main(["--check-uci"]) == 0
    assert "44,473" in capsys.readouterr().out


def test_a_wrong_solver_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert not script().check_uci(types.SimpleNamespace(score=lambda cells: 0))
    assert capsys.readouterr().out.count("MISMATCH") == 3


def test_the_generator_gives_the_same_file_each_time(tmp_path: Path) -> None:
    pytest.importorskip("bitbully", reason="bitbully is not there; install it: pip install bitbully")
    module = script()
    files = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for file in files:
        module.main(["--per-cell", "1", "--output", str(file)])
    assert files[0].read_bytes() == files[1].read_bytes()
    with np.load(files[0], allow_pickle=False) as parts:
        assert parts["moves"].shape == (9, 42)
        assert parts["scores"].shape == (9, 7)
