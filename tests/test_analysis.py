"""Strength against exact values, exhaustive play, and files of positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.analysis import ask, describe, grade, losing_lines, read_positions, strength
from azero.answers import Answer, oracle_answers, random_answers
from azero.match import wilson
from games.core import ILLEGAL

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def game():
    return games.make("tic_tac_toe")


@pytest.fixture(scope="module")
def labelled(game):
    return game.oracle().positions()


def first_legal(states, key):
    """The first legal move, held to be a draw."""
    del key
    action = np.asarray(states.legal).argmax(-1).astype(np.int32)
    return Answer(action, np.eye(9, dtype=np.float32)[action], None, np.zeros(len(action), np.float32))


def test_the_oracle_is_always_right(game, labelled):
    report = strength(oracle_answers(game), labelled)
    assert report["positions"] == 4520
    assert report["kept_value"] == report["sign"] == 1
    assert report["kept_value_sampled"] == pytest.approx(1, abs=1e-6)
    assert set(report["by_set"]) == {"begin", "middle", "end"}
    assert sum(row["positions"] for row in report["by_set"].values()) == 4520
    assert sum(row["decided"] for row in report["by_set"].values()) == report["decided"]
    assert report["kept_value_interval"] == wilson(1.0, 4520)


def test_random_play_keeps_the_share_of_moves_that_keep(game, labelled):
    report = strength(random_answers(game), labelled)
    legal = labelled.q != ILLEGAL
    shares = (labelled.q == labelled.q.max(1, keepdims=True)).sum(1) / legal.sum(1)
    assert report["kept_value_sampled"] == pytest.approx(shares.mean(), abs=1e-6)
    low, high = report["kept_value_interval"]
    assert low < shares.mean() < high
    assert report["sign"] is None
    middle = labelled.sets == "middle"
    assert report["by_set"]["middle"]["kept_value_sampled"] == pytest.approx(shares[middle].mean(), abs=1e-6)


def test_a_value_for_the_wrong_side_is_always_wrong(game, labelled):
    right = oracle_answers(game)

    def wrong(states, key):
        answer = right(states, key)
        return answer._replace(value=-answer.value)

    report = strength(wrong, labelled)
    assert report["sign"] == 0
    assert report["kept_value"] == 1


def test_grades_by_hand():
    q = np.array([[1, 0, ILLEGAL], [-1, -1, 0], [-1, ILLEGAL, -1]], np.int8)
    policy = np.array([[0.75, 0.25, 0], [0.5, 0.25, 0.25], [0.5, 0, 0.5]], np.float32)
    answer = Answer(np.array([1, 2, 0], np.int32), policy, None, np.array([0.1, 0.9, 0.2], np.float32))
    graded = grade(answer, q)
    assert graded.kept.tolist() == [False, True, True]
    assert graded.kept_sampled.tolist() == [0.75, 0.25, 1.0]
    assert graded.decided.tolist() == [True, False, True]
    assert graded.sign[graded.decided].tolist() == [True, False]


def test_the_batch_size_changes_nothing(game, labelled):
    few = jax.tree.map(lambda leaf: leaf[:100], labelled)
    assert strength(first_legal, few, batch=7) == strength(first_legal, few, batch=100)


def all_lines(board, mover, seat):
    """(lines, lost) of tic-tac-toe in plain Python, where player `seat` takes the first empty cell."""
    wins = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
    empty = [cell for cell in range(9) if board[cell] is None]
    lines = lost = 0
    for cell in empty[:1] if mover == seat else empty:
        after = [*board[:cell], mover, *board[cell + 1 :]]
        if any(all(after[place] == mover for place in line) for line in wins):
            lines, lost = lines + 1, lost + (mover != seat)
        elif None not in after:
            lines += 1
        else:
            more = all_lines(after, 1 - mover, seat)
            lines, lost = lines + more[0], lost + more[1]
    return lines, lost


def test_every_line_is_tried(game):
    lines, lost = np.add(all_lines([None] * 9, 0, 0), all_lines([None] * 9, 0, 1)).tolist()
    assert lost > 0
    assert losing_lines(game, first_legal, batch=64) == {"unbeatable": False, "lines": lines, "losing_lines": lost}


def test_the_oracle_cannot_be_beaten(game):
    report = losing_lines(game, oracle_answers(game), batch=64)
    assert report["unbeatable"]
    assert report["losing_lines"] == 0
    assert report["lines"] > 100


def test_positions_of_connect_boards_are_digits_with_a_label():
    board = games.make("connect_four_4x4")
    texts, states = read_positions(board, ["12 a label 9", "", "  only a label", "1234\tx", "1"])
    assert texts == ["12", "", "", "1234", "1"]
    assert states.to_play.tolist() == [0, 0, 0, 0, 1]
    for text, bits in zip(texts, np.asarray(states.board.bits), strict=True):
        state = board.init(KEY)
        for move in text:
            state = board.step(state, jnp.int32(int(move) - 1), KEY)
        np.testing.assert_array_equal(bits, state.board.bits)


def test_positions_of_other_games_are_moves_with_spaces(game):
    texts, states = read_positions(game, [" b2  a1 ", "", "c3"])
    assert texts == ["b2 a1", "", "c3"]
    assert np.bitwise_count(states.board).sum(-1).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["b2", "b2 z9"], "line 2: move 2: 'z9' is not a square"),
        (["b2 b2"], "line 1: move 2: square b2 is taken"),
        (["a1", "", "a1 a2 b1 b2 c1"], "line 3: the game is over"),
        (["a1 a2 b1 b2 c1 c2", "b2 b2"], "line 1: move 6: c2 comes after the end of the game"),
        (["a1 a2 b1 b2 c1", "q"], "line 1: the game is over"),
    ],
)
def test_the_first_bad_line_is_named(game, lines, message):
    with pytest.raises(ValueError, match=message):
        read_positions(game, lines)


def test_no_lines_are_no_positions(game):
    assert read_positions(game, [])[0] == []


def test_description(game):
    texts, states = read_positions(game, ["a1 a2 b1 b2", "a1"])
    described = describe(game, texts, states, ask(oracle_answers(game), states))
    assert list(described[0]) == ["position", "move", "value", "policy", "visits", "legal"]
    assert (described[0]["position"], described[0]["move"], described[0]["value"]) == ("a1 a2 b1 b2", "c1", 1.0)
    assert described[1]["move"] == "b2"  # the one reply that does not lose
    assert described[1]["policy"] == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert described[1]["legal"] == [True] * 6 + [False] + [True] * 2
    assert described[1]["visits"] is None
