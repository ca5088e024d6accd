"""The study of mimicry: its teachers, its students, what they are taught, and that it goes on where it stopped."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from azero import exact
from azero.distill.core import log_policy
from azero.studies import STUDIES
from azero.studies.gains import LESSONS, Spread, crossing, spread
from azero.studies.mimicry import ARMS, Arm, Settings, classroom, mimicry, policy_loss, teach
from azero.studies.students import FEATURES, Student, ladder, move_features
from azero.studies.teachers import own_positions, plain_teacher, sharp_teacher, worth_in_play

SMALL = Settings(steps=20, rounds=2, batch=32, students=("features",))


@pytest.fixture(scope="module")
def board():
    return exact.board("tic_tac_toe")


def row_after(board, actions):
    row = 0
    for action in actions:
        row = board.child[row, action]
    assert row >= 0
    return row


def random_policy(board, seed):
    weights = np.where(board.legal, np.random.default_rng(seed).random(board.q.shape), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("game", ["tic_tac_toe", "connect_four_4x4"])
@pytest.mark.parametrize("teacher", [plain_teacher, sharp_teacher])
def test_teachers_have_no_regret(game, teacher):
    solved = exact.board(game)
    report = exact.report(solved, teacher(solved))
    assert set(report["regret"].values()) == {0.0}
    assert set(report["blunder"].values()) == {0.0}


def test_the_sharp_teacher_opens_where_one_reply_holds(board):
    # Each opening draws. Of eight replies one holds against a corner (the centre), four against the centre (the
    # corners) and four against an edge.
    np.testing.assert_allclose(plain_teacher(board)[0], np.full(9, 1 / 9))
    np.testing.assert_allclose(sharp_teacher(board)[0], [0.25, 0, 0.25, 0, 0, 0, 0.25, 0, 0.25])


def test_the_sharp_teacher_wins_at_once():
    solved = exact.board("connect_four_4x4")
    wins = solved.reward > 0
    slower = (solved.q == 1) & ~wins
    both = wins.any(axis=1) & slower.any(axis=1)
    assert both.any()
    assert not (sharp_teacher(solved)[both] * slower[both]).any()


def test_a_forced_reply_is_not_sharp():
    # One reply holds after either move, but after one of them there is no other reply.
    solved = exact.board("connect_four_4x4")
    keeps = solved.q == solved.value[:, None]
    replies = np.where(solved.child >= 0, solved.legal.sum(axis=1)[solved.child], 0)
    holding = np.where(solved.child >= 0, keeps.sum(axis=1)[solved.child], 0)
    one_of_two = keeps & (holding == 1) & (replies == 2)
    forced = keeps & (holding == 1) & (replies == 1)
    both = one_of_two.any(axis=1) & forced.any(axis=1)
    assert both.any()
    assert not (sharp_teacher(solved)[both] * forced[both]).any()


def test_the_sharp_teacher_is_the_stronger_one():
    solved = exact.board("connect_four_4x4")
    for epsilon in exact.EPSILONS:
        opponent = exact.optimal_opponent(solved, epsilon)
        sharp, plain = (exact.value_against(solved, make(solved), opponent) for make in (sharp_teacher, plain_teacher))
        assert sharp > plain + 0.02


def test_worth_in_play_is_the_value_of_the_game(board):
    policy, opponent = random_policy(board, 0), exact.optimal_opponent(board, 0.3)
    worth = (policy * worth_in_play(board, policy, opponent)).sum(axis=1)
    first, second = exact.values_under(board, policy, opponent), exact.values_under(board, opponent, policy)
    for ply, rows in enumerate(board.plies):
        np.testing.assert_allclose(worth[rows], (first, second)[ply % 2][rows], atol=1e-12)
    perfect = plain_teacher(board)
    np.testing.assert_allclose(worth_in_play(board, perfect, perfect), np.where(board.legal, board.q, 0), atol=1e-12)


def test_outcome_follows_the_gradient_of_the_result(board):
    # Policy gradient theorem against finite differences of the exact value, in logits of some positions.
    logits = np.random.default_rng(1).normal(size=board.q.shape)
    opponent = exact.optimal_opponent(board, 0.3)
    legal = jnp.asarray(board.legal)

    def policy_of(logits):
        weights = np.where(board.legal, np.exp(logits), 0.0)
        return weights / weights.sum(axis=1, keepdims=True)

    policy = policy_of(logits)
    worth, seen = worth_in_play(board, policy, opponent), own_positions(board, policy, opponent)

    def loss(logits, row):
        logs = log_policy(logits[None], legal[row][None])
        return policy_loss(logs, jnp.asarray(worth[row][None], jnp.float32), "outcome", 1.0)

    assert seen.sum() == pytest.approx(1)
    turns = 0.0  # of the one who learns, in a game, the mean over both colours
    for players in ((policy, opponent), (opponent, policy)):
        visits = exact.reach(board, *players)
        mine = range(0 if players[0] is policy else 1, len(board.plies), 2)
        turns += sum(visits[board.plies[ply]].sum() for ply in mine) / 2
    for row in (0, row_after(board, [4]), row_after(board, [0, 4]), row_after(board, [0, 4, 8])):
        gradient = -np.asarray(jax.grad(loss)(jnp.asarray(logits[row], jnp.float32), row)) * seen[row] * turns
        for action in np.flatnonzero(board.legal[row])[:3]:
            shifted = []
            for step in (1e-4, -1e-4):
                moved = logits.copy()
                moved[row, action] += step
                shifted.append(exact.value_against(board, policy_of(moved), opponent))
            assert gradient[action] == pytest.approx((shifted[0] - shifted[1]) / 2e-4, rel=1e-3, abs=1e-7)


def tabular(board):
    """A student with a number for each move of each position: no capacity is lacking."""
    rows = np.arange(len(board.q), dtype=np.int32)
    zeros = jnp.zeros(board.q.shape)
    return Student("table", zeros.size, rows, lambda key: zeros, lambda params, seen: params[seen], 0.3)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lesson_reaches_its_goal_where_capacity_is_no_limit(board, lesson):
    settings = Settings(steps=400, rounds=20, batch=512)
    room = classroom(board, tabular(board), settings)
    policy = teach(room, Arm(lesson, "all"), seed=0)
    if lesson == "outcome":  # beats what the perfect but blind teacher gets from an opponent who errs
        worth = exact.value_against(board, policy, room.opponent)
        assert worth > exact.value_against(board, plain_teacher(board), room.opponent) + 0.02
        return
    assert exact.report(board, exact.argmax(policy))["regret"]["all"] < 0.01
    if lesson in ("plain", "sharp"):
        target = room.tables[lesson]
        assert np.abs(policy - target).sum(axis=1).mean() / 2 < 0.05


def test_own_positions_are_the_students(board):
    corner = np.tile(np.eye(9)[0], (len(board.q), 1))
    policy = np.where(board.legal[:, :1], corner, exact.uniform(board))
    seen = own_positions(board, policy, exact.uniform(board))
    assert seen[0] > 0
    assert seen[row_after(board, [4])] > 0  # as the second player
    assert seen[row_after(board, [4, 0])] == 0  # not its turn there, for it was second
    assert seen[row_after(board, [4, 0, 8])] > 0
    assert seen[row_after(board, [4, 1, 8])] == 0  # it would have taken the corner


def test_features_by_hand():
    solved = exact.board("connect_four_4x4")
    planes = np.asarray(jax.vmap(solved.game.observe)(solved.states))
    features = move_features(solved, planes)
    threatened = features[row_after(solved, [0, 1, 0, 1, 0])]  # three of the first player's in column 1
    facts = dict(zip(FEATURES, threatened.T, strict=True))
    np.testing.assert_array_equal(facts["wins"], 0)
    np.testing.assert_array_equal(facts["exposes"], [0, 1, 1, 1])
    np.testing.assert_allclose(facts["height"], [1, 2 / 3, 0, 0])
    np.testing.assert_array_equal(facts["parity"], [1, -1, -1, -1])
    np.testing.assert_allclose(facts["own beside"], [0, 1 / 8, 2 / 8, 0])
    np.testing.assert_allclose(facts["others beside"], [1 / 8, 2 / 8, 0, 0])
    # With a third stone in column 2 he threatens to win there: two of the four replies let him (one blocks, one wins).
    assert facts["threatens"][1] == pytest.approx(2 / 4)
    winning = features[row_after(solved, [0, 1, 0, 1, 0, 2])]
    np.testing.assert_array_equal(winning[:, 0], [1, 0, 0, 0])


def test_students_rise_in_capacity(board):
    students = ladder(board)
    counts = [student.parameters for student in students]
    assert counts == sorted(counts)
    # 18 inputs: a linear student has 19 x 9 weights, one hidden layer of four units 19 x 4 + 5 x 9.
    by_name = {student.name: student.parameters for student in students}
    assert (by_name["features"], by_name["linear"], by_name["mlp-4"]) == (8, 171, 121)
    for student in students:
        params = jax.eval_shape(student.init, jax.random.key(0))
        seen = jax.ShapeDtypeStruct((5, *student.inputs.shape[1:]), student.inputs.dtype)
        assert jax.eval_shape(student.apply, params, seen).shape == (5, 9)


def test_crossing_by_hand():
    gains = np.array([[-1.0, -1.0], [0.5, 0.5], [-0.1, -0.1], [0.0, 0.0]])
    assert crossing(gains) == (3, (3, 3))
    assert crossing(gains[:3]) == (3, (3, 3))  # the largest is still worse
    assert crossing(gains[1:2]) == (0, (0, 0))
    assert crossing(gains[:, :1]) == (3, None)
    mixed = np.array([[-1.0, -1.0], [-1.0, 1.5]])  # a resample of the first seed alone has no crossing
    assert crossing(mixed) == (1, (1, 2))


def test_spread_by_hand():
    assert spread(np.array([2.0])) == Spread(2.0, None, None)
    found = spread(np.array([1.0, 3.0]))
    assert found == Spread(2.0, 1.0, 3.0)
    assert found.sign == 1
    assert Spread(-2.0, -3.0, -1.0).sign == -1
    assert Spread(1.0, -1.0, 3.0).sign == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mimicry")
    said = []
    return folder, mimicry("tic_tac_toe", 2, folder, said.append, SMALL), said


def test_a_small_study_runs_to_its_pages(finished):
    folder, found, said = finished
    assert len(said) == 2 * len(ARMS)
    assert found["students"] == {"features": len(FEATURES)}
    assert len(found["cells"]) == 2 * len(ARMS)
    assert found["teachers"]["sharp"]["sampled"]["regret"]["all"] == 0
    assert json.loads((folder / "results.json").read_text()) == found
    page = (folder / "results.md").read_text()
    assert "Neither teacher has any regret" in page
    assert {path.stem for path in folder.glob("*.png")} == {
        f"{measure}-{states}-{play}"
        for measure in ("value", "regret")
        for states in ("all", "own")
        for play in ("sampled", "argmax")
    }
    regrets = {
        (cell["arm"]["lesson"], cell["arm"]["states"]): cell["figures"]["sampled"]["regret"]["all"]
        for cell in found["cells"]
        if cell["seed"] == 0
    }
    assert len(set(regrets.values())) == len(ARMS)  # each arm learned something of its own


def test_a_stopped_study_goes_on(finished):
    folder, found, _ = finished
    paths = sorted((folder / "cells").glob("*.json"))
    lost = folder / "cells" / "features-sharp-own-1.json"
    before = {path: path.stat().st_mtime_ns for path in paths if path != lost}
    old = json.loads(lost.read_text())
    lost.unlink()
    said = []
    again = mimicry("tic_tac_toe", 2, folder, said.append, SMALL)
    assert len(said) == 1
    assert "sharp on own positions, seed 1" in said[0]
    assert {path: path.stat().st_mtime_ns for path in paths if path != lost} == before
    assert json.loads(lost.read_text())["figures"] == old["figures"]
    assert again["findings"] == found["findings"]


def test_another_study_in_the_folder_is_refused(finished):
    folder, _, _ = finished
    with pytest.raises(ValueError, match=r"holds another study: its settings\.\w+ (is|are) .*; name another folder"):
        mimicry("tic_tac_toe", 2, folder, print, Settings(steps=10, rounds=2, batch=32, students=("features",)))
    with pytest.raises(ValueError, match="its game is tic_tac_toe, not connect_four_4x4"):
        mimicry("connect_four_4x4", 2, folder, print, SMALL)


@pytest.mark.parametrize(
    ("seeds", "settings", "message"),
    [
        (0, SMALL, "1 seed or more, not 0"),
        (1, Settings(steps=10, rounds=3), "3 rounds do not divide 10 steps"),
        (1, Settings(students=("huge",)), "no student 'huge'; students are features, "),
    ],
)
def test_bad_input_is_named(tmp_path, seeds, settings, message):
    with pytest.raises(ValueError, match=message):
        mimicry("tic_tac_toe", seeds, tmp_path / "study", print, settings)
    assert not (tmp_path / "study").exists()


def test_a_game_without_a_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="not solved in every position"):
        STUDIES["mimicry"]("connect_four", 1, tmp_path / "study", print)
