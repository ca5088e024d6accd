"""A folder of weights like the checkpoints that come with azero; its small network has learned nothing."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

import games
from azero.config import Config, NetworkConfig, SearchConfig, to_dict
from azero.network import make_network, named


def write_reference(folder: Path, game: str) -> Path:
    """Writes the folder, of iteration 7 and 8 simulations, and gives it back."""
    config = Config(game=game, network=NetworkConfig(width=16, blocks=1), search=SearchConfig(simulations=8))
    params = make_network(config.network, games.make(game)).init(jax.random.key(3))
    folder.mkdir(parents=True)
    arrays = {name: np.asarray(array) for name, array in named(params).items()}
    save_file(arrays, folder / "weights.safetensors", metadata={"iteration": "7"})
    (folder / "config.json").write_text(json.dumps(to_dict(config)))
    return folder


def write_run(run: Path, reference: Path, rows: list[dict]) -> Path:
    """A run's folder with the config of a reference and these rows of metrics, and no checkpoint."""
    run.mkdir(parents=True)
    shutil.copy(reference / "config.json", run)
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run
