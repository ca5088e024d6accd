"""The page that the tests of a file share, and the folder behind it: a plugin of pytest."""

import json

import httpx
import numpy as np
import pytest
from reference_folder import write_reference, write_run
from safetensors.numpy import load_file
from served_page import served

from azero import checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    write_reference(folder / "ttt", "tic_tac_toe")
    rows = [{"iteration": n, "seconds": 2.0 * n, "policy_loss": 1 / n, "kept_value": 0.5} for n in range(1, 1001)]
    run = write_run(folder / "runs" / "short", folder / "ttt", rows)
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"iteration": 1001, "seconds": 1, "policy_loss": NaN}\n{"iterat')
    weights = load_file(folder / "ttt" / "weights.safetensors")
    config = json.loads((run / "config.json").read_text())
    checkpoint.save(run, 7, {"step": np.zeros(1)}, weights, config, None, checkpoint.Keep())
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
