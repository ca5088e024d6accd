"""Learning, asserted against exact values. Iterations are counted, not minutes, so that slow machines pass too."""

import json

import jax
import pytest

import games
from azero.analysis import losing_lines, strength
from azero.cli import main
from azero.match import play_match
from azero.players import make_player


def trained(tmp_path, game: str, iterations: int, *more: str):
    """A run of `iterations`, and its player."""
    run = tmp_path / game
    words = ["train", game, "--run", str(run), "--iterations", str(iterations), "--devices", "2", *more]
    assert main([*words, "--report.strength-every", "0", "--report.checkpoint-every", "0"]) == 0
    return run


def measured(run, simulations: int) -> tuple[dict, dict]:
    """Strength of the raw network and of the search."""
    player, game = make_player(f"{run}:simulations={simulations}")
    labelled = game.oracle().positions()
    return strength(player.network, labelled), strength(player.answers, labelled)


def test_tic_tac_toe_is_learned(tmp_path):
    run = trained(tmp_path, "tic_tac_toe", 40)
    network, search = measured(run, 64)
    assert network["positions"] == 4520
    assert network["kept_value"] > 0.985
    assert search["kept_value"] > 0.999
    assert network["sign"] > 0.95
    player, game = make_player(f"policy:{run}")
    lines = losing_lines(game, player.network or player.answers)
    assert lines["losing_lines"] == 0


@pytest.mark.slow
def test_tic_tac_toe_is_learned_from_visits_too(tmp_path):
    """PUCT and its visit distribution; a blank network keeps the value in about half of the positions."""
    run = trained(tmp_path, "tic_tac_toe", 30, "--search.algorithm", "puct")
    assert json.loads((run / "config.json").read_text())["search"]["algorithm"] == "puct"
    network, search = measured(run, 64)
    assert network["kept_value"] > 0.93
    assert search["kept_value"] > 0.97


@pytest.mark.slow
def test_connect_four_4x4_is_learned(tmp_path):
    run = trained(tmp_path, "connect_four_4x4", 300)
    network, search = measured(run, 64)
    assert network["kept_value"] > 0.95
    assert search["kept_value"] > 0.99


@pytest.mark.slow
def test_tic_tac_toe_is_learned_without_the_rules_in_the_tree(tmp_path):
    run = trained(tmp_path, "tic_tac_toe", 200, "--model", "learned")
    assert json.loads((run / "config.json").read_text())["model"] == "learned"
    network, search = measured(run, 32)
    assert network["kept_value"] > 0.98
    assert search["kept_value"] > 0.98
    player, game = make_player(str(run))
    assert play_match(game, player, make_player("random", "tic_tac_toe")[0], 1000, opening_plies=0).losses == 0
    assert losing_lines(game, player.answers)["losing_lines"] == 0


def test_a_blank_network_would_fail_these_tests():
    """What the bounds above are to be compared with."""
    from azero.answers import network_answers
    from azero.network import make_network
    from azero.presets import PRESETS

    game = games.make("tic_tac_toe")
    network = make_network(PRESETS["tic_tac_toe"].config.network, game)
    params = network.init(jax.random.key(0))
    blank = network_answers(game, network)
    report = strength(lambda states, key: blank(params, states, key), game.oracle().positions())
    assert report["kept_value"] < 0.8
