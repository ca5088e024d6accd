"""Game records of every format, bad ones among them, and what imitating them teaches."""

import logging
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from random_play import play

import games
from azero import demonstrations
from azero.config import NetworkConfig
from azero.demonstrations import CloneConfig, imitate, read_games
from azero.network import Network, Params, make_network
from azero.overseers import Demonstrations, make_overseer, overseer_games
from games.core import ILLEGAL, Game, State
from games.notation import play_text

CONNECT = games.make("connect_four")
SMALL = games.make("connect_four_4x4")
UNKNOWN = float("nan")
WON = "1121314"  # by player 0, in connect_four
SGF = """\
(;GM[1]FF[4]SZ[9]RE[B+R]C[with \\] and ( and ;B[aa\\] in it]
;B[ee];W[ce](;B[gg];W[])(;B[aa];W[bb]))
a note between the games
(;GM[1]SZ[9:9];Black[ee];White[tt]RE[W+2.5])
(;SZ[9]
;B[ee]
;W[ee])
(;SZ[9];B[cc];W[dd])
(;SZ[9]
AB[cc][gg];W[ee])
(;GM[1];B[ee])
(;SZ[9];B[ee];B[cc])
(;SZ[9];B[zz])
(;SZ[9]RE[0];B[aa];W[bb]
(;SZ[9];B[cc])
"""
PGN = """\
[Event "mate"]
[Result "1-0"]

1. e4 e5 2. Bc4 (2. Nf3 Nc6) Nc6 {a
comment} 3. Qh5 Nf6?? 4. Qxf7# 1-0

[Event "illegal"]
[Result "1/2-1/2"]

1. e4 e5 2. Ke3 Nc6 1/2-1/2


[SetUp "1"]
[FEN "8/8/8/8/8/8/4K3/4k2R w - - 0 1"]

1. Rh2 *

[Event "breaks off"]

1. d4 d5 *

[Event "agreed"]
[Result "1/2-1/2"]

1. e4 e6 1/2-1/2

[Variant "Nonesuch"]

1. e4 e5 *

[Event "not played"]

*
"""


def written(folder: Path, text: str, name: str = "games.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def moves_of(game: Game, shown: Demonstrations, number: int) -> list[str]:
    """The moves of one of the games, in the game's notation."""
    rows = np.flatnonzero(shown.games == number)
    states = [jax.tree.map(lambda leaf, row=row: leaf[row], shown.states) for row in rows]
    return [game.notation.move(state, int(shown.actions[row])) for state, row in zip(states, rows, strict=True)]


def assert_same(one: Demonstrations, other: Demonstrations) -> None:
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(left, right)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_plain_text_is_one_game_a_line(tmp_path):
    path = written(tmp_path, f"# two games\n\n{WON}\n  4453  # to be continued\r\n")
    shown = read_games(CONNECT, path)
    assert ["".join(moves_of(CONNECT, shown, number)) for number in (0, 1)] == [WON, "4453"]
    assert shown.games.tolist() == [0] * 7 + [1] * 4
    np.testing.assert_array_equal(shown.outcome, [1, -1, 1, -1, 1, -1, 1] + [UNKNOWN] * 4)
    last = play_text(CONNECT, WON[:-1])
    for left, right in zip(jax.tree.leaves(last), jax.tree.leaves(shown.states), strict=True):
        np.testing.assert_array_equal(left, right[6])
    assert shown.skipped == 0
    assert shown.actions.dtype == shown.games.dtype == np.int32
    assert shown.outcome.dtype == np.float32


def test_an_illegal_move_leaves_the_other_games_whole(tmp_path, caplog):
    good = [WON, "44444", "7654321"]
    shown = read_games(CONNECT, written(tmp_path, "\n".join([*good[:2], "333333333", good[2]])))
    assert warnings_of(caplog) == [f"{tmp_path}/games.txt: line 3: move 7: column 3 is full; this game is left out"]
    assert shown.skipped == 1
    caplog.clear()
    whole = read_games(CONNECT, written(tmp_path, "\n".join(good)))
    assert not warnings_of(caplog)
    assert_same(shown._replace(skipped=0), whole)


def test_every_bad_line_is_named(tmp_path, caplog):
    shown = read_games(CONNECT, written(tmp_path, f"44x\n\n{WON}5\n{WON}\n4 4\n"))
    said = [message.partition("games.txt: ")[2] for message in warnings_of(caplog)]
    assert said == [
        "line 1: move 3: 'x' is not a column; columns are 1 to 7; this game is left out",
        "line 3: move 8: 5 comes after the end of the game; this game is left out",
        "line 5: move 2: ' ' is not a column; columns are 1 to 7; this game is left out",
    ]
    assert (shown.skipped, shown.games[-1], len(shown.actions)) == (3, 0, 7)


def test_many_games_are_read_as_if_one_by_one(tmp_path, monkeypatch):
    """Random games, 45 in batches of 16, against the games one at a time; and read again."""
    states, actions = play(SMALL, 45, SMALL.max_plies)
    lengths = np.where(states.terminal.any(0), states.terminal.argmax(0), SMALL.max_plies)
    lines = ["".join(str(move + 1) for move in actions[: lengths[game], game]) for game in range(45)]
    lines[20] = lines[20] + "1"
    monkeypatch.setattr(demonstrations, "GAMES_AT_ONCE", 16)
    shown = read_games(SMALL, path := written(tmp_path, "\n".join(lines)))
    assert_same(shown, read_games(SMALL, path))
    del lines[20]
    assert ["".join(moves_of(SMALL, shown, number)) for number in range(44)] == lines
    for number, line in enumerate(lines):
        end = play_text(SMALL, line)
        first = float(end.reward) * (1 if len(line) % 2 else -1)
        rows = shown.games == number
        np.testing.assert_array_equal(shown.outcome[rows] * (1 - 2 * shown.states.to_play[rows]), [first] * len(line))
    halves = [read_games(SMALL, written(tmp_path, "\n".join(half))) for half in (lines[:21], lines[21:])]
    joined = [np.concatenate([half.actions for half in halves]), np.concatenate([half.outcome for half in halves])]
    np.testing.assert_array_equal(shown.actions, joined[0])
    np.testing.assert_array_equal(shown.outcome, joined[1])


def test_sgf(tmp_path, caplog):
    game = games.make("go_9x9")
    shown = read_games(game, written(tmp_path, SGF, "games.SGF"))
    assert moves_of(game, shown, 0) == ["e5", "c5", "g3", "pass"]
    assert moves_of(game, shown, 1) == ["e5", "pass"]
    assert moves_of(game, shown, 2) == ["c7", "d6"]
    np.testing.assert_array_equal(shown.outcome, [1, -1, 1, -1, -1, 1, UNKNOWN, UNKNOWN])
    said = [
        message.partition("games.SGF: ")[2].removesuffix("; this game is left out") for message in warnings_of(caplog)
    ]
    assert said == [
        "line 7: move 2: e5 is not a legal move here",
        "line 10: setup stones (AB) are not read; a game begins on an empty board",
        "line 11: the board has size 19 (no SZ), not 9",
        "line 12: move 2: B moves out of turn",
        "line 13: move 1: '[zz]' is not a square; squares are a1 to j9",
        "line 14: the file ends before the closing bracket of this game",
    ]
    assert shown.skipped == 6


def test_two_passes_are_scored_where_the_record_says_nothing(tmp_path):
    game = games.make("go_9x9")
    shown = read_games(game, written(tmp_path, "(;SZ[9];B[ee];W[];B[])\n(;SZ[9]RE[W+T];B[ee];W[];B[])", "games.sgf"))
    assert shown.outcome.tolist() == [1, -1, 1, -1, 1, -1], "the board is Black's; the second record says otherwise"


def test_pgn(tmp_path, caplog):
    game = games.make("chess")
    shown = read_games(game, written(tmp_path, PGN, "games.pgn"))
    assert moves_of(game, shown, 0) == ["e2e4", "e7e5", "f1c4", "b8c6", "d1h5", "g8f6", "h5f7"]
    assert moves_of(game, shown, 1) == ["d2d4", "d7d5"]
    assert moves_of(game, shown, 2) == ["e2e4", "e7e6"]
    np.testing.assert_array_equal(shown.outcome, [1, -1, 1, -1, 1, -1, 1, UNKNOWN, UNKNOWN, 0, 0])
    illegal, elsewhere, variant, nothing = (message.partition("games.pgn: ")[2] for message in warnings_of(caplog))
    assert illegal.startswith("line 7: move 3: illegal san: 'Ke3'")
    assert elsewhere.startswith("line 13: it does not begin at the start position")
    assert variant.startswith("line 27: it does not begin at the start position")
    assert nothing.startswith("line 31: there are no moves")


def test_pgn_without_its_parser_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "chess", None)
    with pytest.raises(ValueError, match=r"pip install 'azero\[pgn\]'"):
        read_games(games.make("chess"), written(tmp_path, PGN, "games.pgn"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("games.txt", "", "games.txt holds no game"),
        ("games.txt", "# nothing\n\n", "games.txt holds no game"),
        ("games.txt", "9\n44x\n", "none of its 2 games can be read; line 1: move 1: '9' is not a column"),
        ("games.txt", "\udcff\udcfe\x00", "none of its 1 games can be read; line 1: move 1"),
        ("games.sgf", SGF, ".sgf is read for go_9x9, go_19x19, othello, hex; connect_four takes plain move text"),
        ("games.pgn", PGN, ".pgn is read for chess; connect_four takes plain move text"),
        ("absent/games.txt", None, "cannot read .*No such file"),
        (".", None, "cannot read .*Is a directory"),
    ],
)
def test_a_useless_file_is_refused_in_one_line(tmp_path, caplog, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message) as caught:
        read_games(CONNECT, path)
    assert "\n" not in str(caught.value)
    assert not warnings_of(caplog)


def small_network() -> tuple[Network, Params]:
    network = make_network(NetworkConfig(width=128, blocks=1), SMALL)
    return network, network.init(jax.random.key(0))


def chosen(network: Network, params: Params, states: State) -> np.ndarray:
    """The network's first legal moves, int [B]."""
    logits, _ = jax.jit(network.apply)(params, jax.vmap(SMALL.observe)(states))
    return np.asarray(np.where(states.legal, logits, -np.inf)).argmax(-1)


def exact_regret(network: Network, params: Params) -> float:
    """Mean loss of exact value of the network's first moves, over decisive positions."""
    assert SMALL.oracle is not None
    found = SMALL.oracle().positions()
    moves = chosen(network, params, found.states)
    best = np.where(found.q == ILLEGAL, -1, found.q).max(-1)
    return float((best - found.q[np.arange(len(moves)), moves]).mean())


def test_imitation_of_rules_takes_over_their_play():
    """Openings of all lengths, for a rule player at its own game seldom meets positions that it knows how to win."""
    rules = make_overseer("rules", SMALL)
    shown = overseer_games(SMALL, rules, 4000, jax.random.key(5), opening_plies=15)
    network, params = small_network()
    learned, report = imitate(network, params, SMALL, shown, CloneConfig(1000, 256, 3e-3), jax.random.key(2))
    before, after = exact_regret(network, params), exact_regret(network, learned)
    print(report, before, after)
    assert (report.games, report.held_out_games, report.positions) == (4000, 400, len(shown.actions))
    assert report.accuracy_after > report.accuracy_before + 0.2
    assert report.loss_after < 0.6 * report.loss_before
    assert after < 0.7 * before
    fresh = overseer_games(SMALL, rules, 200, jax.random.key(6), opening_plies=15)
    agreement = np.mean(chosen(network, learned, fresh.states) == fresh.actions)
    assert abs(agreement - report.accuracy_after) < 0.06, "the held-out games were not learned from"


def few_games() -> Demonstrations:
    return overseer_games(SMALL, make_overseer("random", SMALL), 30, jax.random.key(0), 4)


def test_imitation_is_the_same_for_the_same_key():
    network, params = small_network()
    config = CloneConfig(steps=40, batch=64, learning_rate=1e-3)
    runs = [imitate(network, params, SMALL, few_games(), config, jax.random.key(seed)) for seed in (1, 1, 2)]
    assert runs[0][1] == runs[1][1] != runs[2][1]
    for left, right in zip(jax.tree.leaves(runs[0][0]), jax.tree.leaves(runs[1][0]), strict=True):
        np.testing.assert_array_equal(left, right)


def test_what_cannot_be_learned_is_stopped_early():
    """Moves at random: after the frequencies are learned the held-out loss only grows, and its least is kept."""
    network, params = small_network()
    config = CloneConfig(steps=600, batch=64, learning_rate=3e-3)
    _, report = imitate(network, params, SMALL, few_games(), config, jax.random.key(1))
    assert report.steps <= 300
    assert report.loss_after <= report.loss_before


def test_unknown_outcomes_teach_moves_alone():
    network, params = small_network()
    shown = few_games()
    unknown = shown._replace(outcome=np.full_like(shown.outcome, np.nan))
    config = CloneConfig(steps=40, batch=64, learning_rate=1e-3)
    learned, report = imitate(network, params, SMALL, unknown, config, jax.random.key(1))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learned))
    assert np.isfinite(report.loss_after)
    assert report.steps > 0, "something was learned"
    kernel, before = (np.asarray(some["value"]["kernel"]) for some in (learned, params))
    np.testing.assert_allclose(kernel, before, rtol=1e-5, atol=1e-6)  # but for weight decay, 1e-7 a step


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CloneConfig(steps=0), "imitation's steps must be above 0, not 0"),
        (CloneConfig(batch=-1), "imitation's batch must be above 0, not -1"),
        (CloneConfig(learning_rate=0.0), r"imitation's learning_rate must be above 0, not 0\.0"),
    ],
)
def test_bad_numbers_are_refused(config, message):
    network, params = small_network()
    with pytest.raises(ValueError, match=message):
        imitate(network, params, SMALL, few_games(), config, jax.random.key(0))


def test_one_game_is_too_few(tmp_path):
    network, params = small_network()
    shown = read_games(SMALL, written(tmp_path, "1234"))
    with pytest.raises(ValueError, match="needs 2 games or more"):
        imitate(network, params, SMALL, shown, CloneConfig(), jax.random.key(0))
