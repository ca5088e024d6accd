"""The page that the tests of a file share, and the folder behind it: a plugin of pytest."""

import json

import httpx
import numpy as np
import pytest
from reference_folder import write_reference
from safetensors.numpy import load_file
from served_page import served

from azero import checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    write_reference(folder / "ttt", "tic_tac_toe")
    run = folder / "runs" / "short"
    run.mkdir(parents=True)
    config = (folder / "ttt" / "config.json").read_text()
    (run / "config.json").write_text(config)
    weights = load_file(folder / "ttt" / "weights.safetensors")
    checkpoint.save(run, 7, {"step": np.zeros(1)}, weights, json.loads(config), None, checkpoint.Keep())
    rows = [{"iteration": n, "seconds": 2.0 * n, "policy_loss": 1 / n, "kept_value": 0.5} for n in range(1, 1001)]
    text = "\n".join(map(json.dumps, rows))
    (run / "metrics.jsonl").write_text(f'{text}\n{{"iteration": 1001, "seconds": 1, "policy_loss": NaN}}\n{{"iterat')
    (folder / "runs" / "no_run").mkdir()
    return folder


@pytest.fixture(scope="module")
def page(place):
    with served(f"{place / 'ttt'}:simulations=9", "tic_tac_toe", place) as found:
        yield found


@pytest.fixture(scope="module")
def client(page):
    with httpx.Client(base_url=page[0], timeout=300) as made:
        yield made
