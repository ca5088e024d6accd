"""What a run writes of its iterations, where the disk takes it and where not."""

import gc
import json
import struct

import pytest
from saved_states import largest_file
from tensorboardX.proto.event_pb2 import Event, SessionLog

from azero.checkpoint import CheckpointError
from azero.report import Writer, read_metrics


def events(folder):
    """The events of all files, in the order in which they were written."""
    found = []
    for path in sorted(folder.glob("tensorboard/*tfevents*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            (length,) = struct.unpack("Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_rows_and_scalars_go_on_after_the_iteration_that_was_saved(tmp_path):
    with Writer(tmp_path, 0, wandb=False) as writer:
        for iteration in (1, 2, 3):
            writer.add(iteration, {"loss": iteration / 4, "plies": 9.0})
    with Writer(tmp_path, 2, wandb=False) as writer:
        writer.add(3, {"loss": 7.0})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == read_metrics(tmp_path)
    assert rows == [*({"iteration": n, "loss": n / 4, "plies": 9.0} for n in (1, 2)), {"iteration": 3, "loss": 7.0}]
    seen = events(tmp_path)
    starts = [number for number, event in enumerate(seen) if event.session_log.status == SessionLog.START]
    assert [seen[number].step for number in starts] == [1, 3]  # what is from here on in the first file is hidden
    scalars = [(event.step, each.tag, each.simple_value) for event in seen for each in event.summary.value]
    first = [(n, name, value) for n in (1, 2, 3) for name, value in (("loss", n / 4), ("plies", 9.0))]
    assert scalars == [*first, (3, "loss", 7.0)]


def test_weights_and_biases_takes_a_run_and_its_continuation(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not there; install it: pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "config.json").write_text('{"game": "tic_tac_toe"}')
    for iteration in (1, 2):
        with Writer(tmp_path, iteration - 1, wandb=True) as writer:
            writer.add(iteration, {"loss": 0.5 / iteration})
    sent = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(sent) == 2
    assert {path.stem for path in sent} == {f"run-{(tmp_path / '.wandb_id').read_text()}"}, "one run to its reader"
    assert [row["loss"] for row in read_metrics(tmp_path)] == [0.5, 0.25]
    assert all(b"tic_tac_toe" in path.read_bytes() and b"loss" in path.read_bytes() for path in sent)


def write(folder, numbers):
    with Writer(folder, 0, wandb=False) as writer:
        for iteration in range(1, 200):
            writer.add(iteration, numbers)


@pytest.mark.parametrize(
    ("numbers", "refused"),
    [({"a": 1.0}, "tensorboard/events"), ({f"a{place}": 1 / 3 for place in range(60)}, "metrics.jsonl")],
)
def test_a_row_that_the_disk_refuses_is_one_error(tmp_path, capfd, numbers, refused):
    """A short row is shorter as text, a long one as an event, so that each of the two files is the first to be full."""
    with largest_file(5_000), pytest.raises(CheckpointError, match=f"^cannot write .*{refused}.*: File too large$"):
        write(tmp_path, numbers)
    gc.collect()
    assert capfd.readouterr().err == ""
    kept = read_metrics(tmp_path)
    assert [row["iteration"] for row in kept] == list(range(1, len(kept) + 1))
    assert len(kept) > 1
