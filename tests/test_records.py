"""Games written in their usual record and read back, and what other programs write."""

import random

import jax
import numpy as np
import pytest
from random_play import play

import games
from azero.demonstrations import read_games
from azero.records import Written, read_records, record_format, write_records
from games.core import Game

NAMES = ("a [bracket\\] and \\", "policy:runs/c4@120")


def whole_game(game: Game, seed: int) -> tuple[list[str], float]:
    """The moves of a random game, and the rewards of player 0."""
    states, actions = play(game, 1, game.max_plies, seed)
    states = jax.tree.map(lambda leaf: leaf[:, 0], states)
    moves, total = [], 0.0
    for ply, action in enumerate(actions[:, 0]):
        before, after = (jax.tree.map(lambda leaf, at=at: leaf[at], states) for at in (ply, ply + 1))
        if before.terminal:
            break
        moves.append(game.notation.move(before, int(action)))
        total += float(after.reward) * (1 if before.to_play == 0 else -1)
    return moves, total


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe", "othello", "hex", "go_9x9"])
def test_random_games_are_read_back_as_they_were_written(name, tmp_path):
    game = games.make(name)
    played = [whole_game(game, seed) for seed in range(3)]
    path = tmp_path / f"games{record_format(game)}"
    write_records(game, path, [Written(NAMES, moves, result, "by ] two") for moves, result in played])
    found = read_records(game, path)
    assert [list(record.moves) for record in found] == [moves for moves, _ in played]
    assert not any(record.problem for record in found)
    if path.suffix == ".sgf":
        assert [np.sign(record.result) for record in found] == [np.sign(result) for _, result in played]
    shown = read_games(game, path)
    assert shown.skipped == 0
    assert len(shown.actions) == sum(len(moves) for moves, _ in played)


def test_chess_is_written_as_pgn_with_moves_as_players_read_them(tmp_path):
    chess = pytest.importorskip("chess", reason="python-chess is not there; install it: pip install chess")
    game = games.make("chess")
    generator = random.Random(0)
    played = []
    for _ in range(20):
        board = chess.Board()
        while not board.is_game_over() and len(board.move_stack) < 120:
            board.push(generator.choice(list(board.legal_moves)))
        played.append([move.uci() for move in board.move_stack])
    path = tmp_path / f"games{record_format(game)}"
    assert path.suffix == ".pgn"
    results = [1.0, 0.0, -1.0]
    write_records(game, path, [Written(("w", "b"), moves, results[n % 3], "forfeit") for n, moves in enumerate(played)])
    found = read_records(game, path)
    assert [list(record.moves) for record in found] == played
    assert [record.result for record in found] == [results[number % 3] for number in range(20)]
    text = path.read_text()
    assert '[White "w"]' in text
    assert '[Result "1/2-1/2"]' in text
    assert "1. " in text


def test_points_stand_where_the_format_has_them(tmp_path):
    """SGF counts rows from the top; so does Othello's notation, Go's from the bottom. Hex has its own names."""
    for name, moves, expected in (
        ("go_9x9", ["a9", "j1", "pass"], ";B[aa];W[ii];B[]"),
        ("othello", ["d3", "c3"], ";B[dc];W[cc]"),
        ("hex", ["c2", "swap"], ";B[c2];W[swap-pieces]"),
    ):
        game = games.make(name)
        path = tmp_path / f"{name}.sgf"
        write_records(game, path, [Written(("x", "o"), moves, 1.0)])
        assert expected in path.read_text()
        assert "RE[B+]" in path.read_text()
        assert list(read_records(game, path)[0].moves) == moves


def test_a_pass_that_an_othello_record_leaves_out_is_put_in(tmp_path):
    path = tmp_path / "games.sgf"
    path.write_text("(;GM[2]SZ[8];B[dc];B[cc])\n(;SZ[8];B[dc])\n(;GM[1]SZ[8];B[dc])")
    passed, nameless, other = read_records(games.make("othello"), path)
    assert list(passed.moves) == ["d3", "pass", "c3"]
    assert nameless.problem == "no GM is not Othello, which is GM[2]"
    assert other.problem == "GM[1] is not Othello, which is GM[2]"
