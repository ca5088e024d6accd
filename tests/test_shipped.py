"""The checkpoints that come with azero: as strong as their cards say, small, and found from anywhere."""

import json
import re
from pathlib import Path

import jax
import pytest

from azero.analysis import strength
from azero.players import make_player, shipped, shipped_folder
from games.core import LabelledPositions

REFERENCE = ("connect_four", "connect_four_4x4", "tic_tac_toe")
# Shares of labelled positions that the raw network and the search (of so many simulations) keep at the least:
# one to two points below what was measured, for the part of the positions that is looked at here.
BOUNDS = {"tic_tac_toe": (0.99, 64, 0.99), "connect_four_4x4": (0.955, 64, 0.99), "connect_four": (0.945, 64, 0.97)}


def test_all_are_there():
    assert tuple(shipped()) == REFERENCE


@pytest.mark.parametrize("name", REFERENCE)
def test_size_card_and_format(name):
    folder = shipped_folder() / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "config.json", "README.md"}
    assert json.loads((folder / "config.json").read_text())["game"] == name
    card = (folder / "README.md").read_text()
    for section in ("How it was trained", "How strong it is", "How that was measured"):
        assert section in card


@pytest.mark.parametrize("name", REFERENCE)
def test_strength(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, simulations, search = BOUNDS[name]
    player, game = make_player(f"checkpoints/{name}:simulations={simulations}", name)
    every = game.oracle().positions()
    rows = slice(None, None, max(1, len(every.q) // 1000))
    some = LabelledPositions(*jax.tree.map(lambda leaf: leaf[rows], tuple(every)))
    assert strength(player.network, some)["kept_value"] > network
    assert strength(player.answers, some)["kept_value"] > search


def test_cards_name_no_place_of_one_machine():
    for name in REFERENCE:
        assert not re.search(r"/(tmp|root|home|work)/", (Path(shipped_folder()) / name / "README.md").read_text())
