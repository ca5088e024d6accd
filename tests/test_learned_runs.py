"""Runs of a learned model by the commands that a user types: exact resume, players, figures."""

import json

import jax
import numpy as np
import pytest

from azero.checkpoint import iterations
from azero.cli import main
from azero.compare.measures import measure
from azero.leaves import read
from azero.players import make_player

TINY = [
    *("--model", "learned", "--devices", "2", "--network.width", "16", "--network.blocks", "1"),
    *("--search.simulations", "4", "--selfplay.games", "16", "--selfplay.plies", "8", "--learn.batch", "64"),
    *("--learn.reuse", "1", "--replay.capacity", "512", "--replay.minimum", "64", "--report.checkpoint-every", "1"),
    *("--report.strength-every", "0", "--report.keep-newest", "4", "--muzero.unroll", "2", "--muzero.bins", "11"),
    *("--muzero.reanalyse", "0.25", "--muzero.priority", "0.5"),
]


def train(run, count):
    return main(["train", "tic_tac_toe", "--run", str(run), *TINY, "--iterations", str(count)])


def arrays(run, iteration):
    """Every leaf of a checkpoint."""
    folder = run / "checkpoints" / str(iteration)
    leaves = json.loads((folder / "manifest.json").read_text())["leaves"]
    like = {name: np.zeros(leaf["shape"], np.dtype(leaf["dtype"])) for name, leaf in leaves.items()}
    return read(folder / "state", like)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = tmp_path_factory.mktemp("learned") / "whole"
    assert train(run, 4) == 0
    return run


def test_stopped_and_resumed_equals_never_stopped(whole, tmp_path, capsys):
    run = tmp_path / "parts"
    assert train(run, 2) == 0
    assert iterations(run) == [1, 2]
    capsys.readouterr()
    assert train(run, 4) == 0
    assert f"resuming {run} after iteration 2" in capsys.readouterr().err
    assert [json.loads(line)["iteration"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3, 4]
    ours, theirs = arrays(run, 4), arrays(whole, 4)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert any(name.startswith("replay.plies") for name in ours)


def test_no_two_iterations_are_alike(whole):
    """Other keys, other games."""
    made = [arrays(whole, iteration)["replay.plies.made"] for iteration in (1, 2)]
    new = made[1][:, 8:16]
    assert (made[0][:, :8] != new).any()


def test_it_plays_is_judged_and_analysed_like_any_other(whole, tmp_path, capsys):
    capsys.readouterr()
    assert main(["eval", str(whole), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["oracle"]["network"]["positions"] == 4520
    assert 0 < found["oracle"]["search"]["kept_value"] < 1
    match = ["eval", str(whole), f"policy:{whole}", "--games", "4", "--out", str(tmp_path / "match"), "--json"]
    assert main(match) == 0
    assert json.loads(capsys.readouterr().out)["games"] == 4
    file = tmp_path / "positions.txt"
    file.write_text("b2 a1\n")
    assert main(["analyze", str(whole), "--positions", str(file)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(said["visits"]) == 4
    assert not said["legal"][0] or not said["legal"][6]
    player, _ = make_player(str(whole))
    assert player.searching is not None


def test_a_comparison_searches_in_the_model_it_learned(whole):
    figures = measure(whole)
    player, game = make_player(str(whole))
    answer = player.answers(jax.vmap(game.init)(jax.random.split(jax.random.key(0), 1)), jax.random.key(0))
    assert answer.policy.shape == (1, 9)
    assert 0 < figures["search.sampled.regret.all"] < 2
    assert figures["network.sampled.regret.all"] != figures["search.sampled.regret.all"]
