"""Strength against exact values, exhaustive play, files of positions, and the trees searched in them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_folder import write_reference

import games
from azero import cli
from azero.analysis import ask, describe, grade, losing_lines, read_positions, strength, trace, tree_lines
from azero.answers import (
    Answer,
    BadPosition,
    network_answers,
    oracle_answers,
    random_answers,
    tree_answers,
    tree_traced,
)
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network
from azero.score import wilson
from azero.search import by_network
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
    stages, levels = ("begin", "middle", "end"), ("easy", "medium", "hard")
    assert set(report["by_set"]) == {*stages, *(f"{stage}-{level}" for stage in stages for level in levels)}
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
    middle = labelled.sets == "middle-hard"
    assert report["by_set"]["middle-hard"]["kept_value_sampled"] == pytest.approx(shares[middle].mean(), abs=1e-6)


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


NETWORK = make_network(NetworkConfig(width=16, blocks=1), games.make("tic_tac_toe"))
PARAMS = NETWORK.init(KEY)
LINES = ["a1 a2 b1 b2", "", "a1"]
DEPTH = 3


@pytest.fixture(scope="module", params=["gumbel", "puct"])
def traced(game, request):
    """Answers to LINES, and what `trace` says of them, two at a time."""
    config = SearchConfig(algorithm=request.param, simulations=60)
    texts, states = read_positions(game, LINES)
    model = by_network(game, NETWORK)
    found = list(trace(game, tree_traced(config, model, PARAMS), texts, states, DEPTH, batch=2))
    answer = tree_answers(config, model)(PARAMS, states, KEY)
    return describe(game, texts, states, answer), found


def test_a_tree_belongs_to_the_answer(traced):
    answers, found = traced
    assert len(found) == len(LINES)
    for answer, described in zip(answers, found, strict=True):
        tree = described.pop("tree")
        assert list(described) == list(answer)
        for name in ("position", "move", "visits", "legal"):
            assert described[name] == answer[name]
        np.testing.assert_allclose(described["policy"], answer["policy"], atol=1e-4)
        assert sorted(filter(None, answer["visits"])) == sorted(move["visits"] for move in tree["moves"])
        described["tree"] = tree


def test_a_mate_in_one_is_seen_in_the_tree(traced):
    _, (mate, *_) = traced
    best = mate["tree"]["moves"][0]
    assert mate["move"] == best["move"] == "c1"
    assert (best["q"], best["value"]) == (1.0, None)
    assert "moves" not in best
    shown = list(tree_lines(mate))
    assert shown[0].startswith("a1 a2 b1 b2: plays c1, expects +")
    assert [line for line in shown if line.endswith("* c1")] == [shown[3]]
    assert "+1.000    over  * c1" in shown[3]


def walk(node, depth=0):
    yield node, depth
    for move in node.get("moves", []):
        yield from walk(move, depth + 1)


def test_the_numbers_of_a_tree_add_up(game, traced):
    for described in traced[1]:
        nodes = list(walk(described["tree"]))
        assert described["tree"]["visits"] == 61
        assert {depth for _, depth in nodes} == set(range(DEPTH + 1))
        for node, depth in nodes:
            assert ("moves" in node) == (depth < DEPTH and node["value"] is not None)
            if "moves" not in node:
                continue
            visits = [move["visits"] for move in node["moves"]]
            assert visits == sorted(visits, reverse=True)
            assert sum(visits) == node["visits"] - 1
            assert min(visits, default=1) > 0
            priors = [move["prior"] for move in node["moves"]]
            assert sum(priors) + node["untried"]["prior"] == pytest.approx(1, abs=1e-4)
            for move in node["moves"]:
                if "moves" in move:  # the mean of the network's value and of what was found below, for the other side
                    below = sum(reply["visits"] * reply["q"] for reply in move["moves"])
                    assert move["q"] == pytest.approx(-(move["value"] + below) / move["visits"], abs=1e-4)
        root = described["tree"]
        assert len(root["moves"]) + root["untried"]["moves"] == sum(described["legal"])


def test_values_in_a_tree_are_the_networks(game, traced):
    _, states = read_positions(game, ["a1 b2", "a1"])
    values = network_answers(game, NETWORK)(PARAMS, states, KEY).value
    root = traced[1][2]["tree"]
    (reply,) = [move for move in root["moves"] if move["move"] == "b2"]
    assert (reply["value"], root["value"]) == (pytest.approx(values[0], abs=1e-5), pytest.approx(values[1], abs=1e-5))


def test_the_first_position_that_cannot_be_traced_is_named(game):
    texts, states = read_positions(game, ["a1", "a2", "a3"])
    states.legal[2] = False
    traced = tree_traced(SearchConfig(simulations=4), by_network(game, NETWORK), PARAMS)
    with pytest.raises(BadPosition, match="row 2: there is no legal move"):
        list(trace(game, traced, texts, states, 1, batch=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("analysis") / "ttt", "tic_tac_toe")


def analyze(capsys, tmp_path, *words):
    (tmp_path / "positions").write_text("a1 a2 b1 b2\nb2\n")
    code = cli.main(["analyze", *map(str, words), "--positions", str(tmp_path / "positions")])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_analyze_shows_trees_as_text_and_as_json(capsys, tmp_path, folder):
    code, text, _ = analyze(capsys, tmp_path, folder, "--simulations", 30, "--tree", 2)
    assert code == 0
    assert text.count("visits  prior") == 2
    assert text.startswith("a1 a2 b1 b2: plays c1, expects +")
    code, out, _ = analyze(capsys, tmp_path, folder, "--simulations", 30, "--tree", 2, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [row["position"] for row in found] == ["a1 a2 b1 b2", "b2"]
    assert text.splitlines() == [line for row in found for line in tree_lines(row)]
    _, plain, _ = analyze(capsys, tmp_path, folder, "--simulations", 30)
    for row, line in zip(found, plain.splitlines(), strict=True):
        del row["tree"]
        assert list(row) == list(json.loads(line))
        assert row["visits"] == json.loads(line)["visits"]


@pytest.mark.parametrize(
    ("player", "depth", "message"),
    [
        ("FOLDER", 0, "--tree shows 1 move or more, not 0"),
        ("FOLDER", -3, "--tree shows 1 move or more, not -3"),
        ("FOLDER:backend=mctx", 2, "trees of backend mctx are not kept"),
        ("policy:FOLDER", 2, "does not search, so there is no tree to show"),
        ("random", 2, "random does not search"),
    ],
)
def test_trees_that_cannot_be_shown(capsys, tmp_path, folder, player, depth, message):
    words = player.replace("FOLDER", str(folder)), "--tree", depth, "--game", "tic_tac_toe"
    code, out, err = analyze(capsys, tmp_path, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
