"""Runs on disk: stopping, resuming, faults. Real processes where a process must die."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from azero.checkpoint import iterations, lock
from azero.cli import main

ITERATIONS = 6
TINY = [
    *("--devices", "2", "--network.width", "16", "--network.blocks", "1", "--search.simulations", "4"),
    *("--selfplay.games", "16", "--selfplay.plies", "8", "--learn.batch", "64", "--replay.capacity", "1024"),
    *("--replay.minimum", "64", "--report.checkpoint-every", "1", "--report.strength-every", "3"),
]


def arguments(run: Path, *more: str) -> list[str]:
    return ["train", "tic_tac_toe", "--run", str(run), *TINY, *more]


def start(run: Path, *more: str) -> subprocess.Popen:
    """A process of the command, on two devices as in this one, so that compiled programs are shared."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from azero.cli import main; sys.exit(main())", *arguments(run, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )


def arrays(run: Path) -> dict[str, np.ndarray]:
    """Every leaf of the newest checkpoint."""
    newest = run / "checkpoints" / str(iterations(run)[-1])
    manifest = json.loads((newest / "manifest.json").read_text())
    like = {name: np.zeros(leaf["shape"], np.dtype(leaf["dtype"])) for name, leaf in manifest["leaves"].items()}
    from azero.leaves import read

    return read(newest / "state", like)


def rows(run: Path) -> list[dict]:
    """The metrics, without what depends on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in row.items() if name not in ("seconds", "moves_per_second")} for row in lines
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nobody stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(arguments(run, "--iterations", str(ITERATIONS))) == 0
    return run


def assert_equal_runs(run: Path, other: Path) -> None:
    assert rows(run) == rows(other)
    one, two = arrays(run), arrays(other)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_a_run_leaves_all_that_it_promises(whole):
    assert [row["iteration"] for row in rows(whole)] == list(range(1, ITERATIONS + 1))
    assert iterations(whole)[-1] == ITERATIONS
    assert json.loads((whole / "config.json").read_text())["search"]["simulations"] == 4
    card = (whole / "README.md").read_text()
    for words in ("tic_tac_toe", f"| iterations | {ITERATIONS} |", "| seed | 0 |", "kept_value_search", "jax"):
        assert words in card
    assert list((whole / "tensorboard").iterdir())
    assert "kept_value" in rows(whole)[2]
    assert "kept_value" not in rows(whole)[1]


def test_killed_at_random_moments_and_resumed_equals_never_stopped(whole, tmp_path):
    run = tmp_path / "run"
    rng = random.Random(5)
    started_after = []
    for attempt in range(12):
        process = start(run, "--iterations", str(ITERATIONS))
        if attempt < 3:
            deadline = time.monotonic() + 120
            before = len(iterations(run)) and iterations(run)[-1]
            while process.poll() is None and time.monotonic() < deadline:
                if run.exists() and (done := iterations(run)) and done[-1] > before:
                    break
                time.sleep(0.005)
            time.sleep(rng.random() * 0.15)
            process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=240)
        if resumed := re.search(r"resuming .* after iteration (\d+)", said):
            started_after.append(int(resumed[1]))
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
    assert started_after, "nothing was resumed: the test would pass on a restart"
    assert all(after > 0 for after in started_after)
    assert started_after == sorted(started_after)
    assert_equal_runs(run, whole)


def test_ctrl_c_saves_and_the_rest_follows(whole, tmp_path):
    run = tmp_path / "run"
    process = start(run, "--iterations", "100000", "--report.checkpoint-every", "1000")
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() or not rows(run):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "go on: azero train tic_tac_toe" in said
    done = iterations(run)
    assert done == [rows(run)[-1]["iteration"]], "the iteration that was running is saved"


def test_a_second_ctrl_c_leaves_at_once(tmp_path):
    process = start(
        tmp_path / "run", "--iterations", "100000", "--selfplay.plies", "5000", "--replay.capacity", "80000"
    )
    deadline = time.monotonic() + 120
    said = ""
    while "compiling" not in said:
        assert time.monotonic() < deadline
        said += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGINT, 130)


def test_a_damaged_newest_checkpoint_is_passed_over_and_made_again(whole, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(arguments(run, "--iterations", "4")) == 0
    damaged = run / "checkpoints" / "4" / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    capsys.readouterr()
    assert main(arguments(run, "--iterations", str(ITERATIONS))) == 0
    said = capsys.readouterr().err
    assert "passed over" in said
    assert "weights.safetensors" in said
    assert "after iteration 3" in said
    assert_equal_runs(run, whole)


def test_an_exploding_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    run = tmp_path / "run"
    wild = ("--learn.learning-rate", "1e20", "--learn.warmup", "40", "--iterations", "50", "--learn.clip", "1e9")
    assert main(arguments(run, *wild)) == 1
    said = capsys.readouterr().err
    assert (found := re.search(r"(?:loss|norm) is \S+ in iteration (\d+)", said)), said
    kept = iterations(run)
    assert not kept or kept[-1] == int(found[1]) - 1
    for array in arrays(run).values() if kept else ():
        assert np.isfinite(array.astype(np.float64)).all()


def refused(capsys, run: Path, *more: str) -> str:
    """The one line with which a command is refused; nothing may be written."""
    before = sorted(path for path in run.parent.rglob("*") if path.name != ".lock")
    capsys.readouterr()
    code = main(arguments(run, "--iterations", "1", *more))
    said = capsys.readouterr()
    assert code == 2, said.err
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert sorted(path for path in run.parent.rglob("*") if path.name != ".lock") == before
    return said.err


def test_another_config_is_refused_with_the_fields_that_differ(whole, capsys):
    said = refused(capsys, whole, "--search.simulations", "8", "--seed", "3")
    assert "search.simulations: 4 (run) -> 8 (asked)" in said
    assert "seed: 0 (run) -> 3 (asked)" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--search.simulations", "0"), "search.simulations must be above 0, not 0"),
        (("--search.simulatons", "8"), "did you mean --search.simulations"),
        (("--devices", "64"), "devices is 64, but there are 4"),
        (("--minutes", "-1"), "--minutes must be above 0"),
        (("--preset", "tictactoe"), "did you mean tic_tac_toe"),
        (("--config", "missing.json"), "cannot read config missing.json"),
        (("--learn.batch", "63"), "learn.batch of 63 does not split evenly over 2 devices"),
        (("--replay.capacity", "100"), "replay.capacity must hold an iteration's 128 positions"),
        (("--minutes", "inf"), "--minutes must be above 0, not inf"),
        (("--seed", str(2**40)), "seed must be below 2**32"),
        (("--distill.kind", "visits", "--distill.form", "log"), "distill.form does not apply to distill.kind visits"),
        (("--reward.every=1",), "reward.every does not apply to distill.kind improved"),
        (("--distill.kind", "mixed", "--distill.margin=0.8"), "distill.margin needs distill.mixture margin"),
        (
            ("--distill.kind", "mixed", "--distill.mixture", "margin", "--distill.kl-target", "0"),
            "distill.kl_target does not apply to distill.mixture margin",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line(tmp_path, capsys, more, message):
    assert message in refused(capsys, tmp_path / "run", *more)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (("--minutes", "0.0001"), r"no iteration fitted into 0.0001 minutes: starting and compiling took \d+ s; give"),
        (("--evaluations", "800"), "no iteration fitted into 800 evaluations: one takes 2,192; give"),
    ],
)
def test_a_budget_that_no_iteration_fits_into_is_said_to_be_one(tmp_path, capsys, budget, message):
    run = tmp_path / "run"
    assert main(arguments(run, *budget)) == 0
    said = capsys.readouterr().err
    assert len(re.findall(message, said)) == 1, said
    assert iterations(run) == [0]


def test_settings_for_an_accelerator_are_learned_with_on_a_cpu_and_said_to_be_slow(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(arguments(run, "--network.dtype", "bfloat16", "--iterations", "1", "--report.strength-every", "0")) == 0
    assert "these settings are for an accelerator; on a CPU --preset laptop learns sooner" in capsys.readouterr().err
    assert [row["iteration"] for row in rows(run)] == [1]
    assert all(np.isfinite(row["policy_loss"]) for row in rows(run))
    assert {leaf.dtype for name, leaf in arrays(run).items() if name.startswith("params.")} == {np.dtype(np.float32)}


def test_a_game_that_does_not_exist_is_refused(tmp_path, capsys):
    assert main(["train", "conect_four", "--run", str(tmp_path / "run")]) == 2
    assert "unknown game 'conect_four'; did you mean connect_four" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_directory_that_is_a_file_or_somebody_elses_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused(capsys, tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    assert "not empty and not a run" in refused(capsys, tmp_path / "folder")


def test_a_second_process_on_the_same_run_is_refused(whole, capsys):
    with lock(whole):
        assert main(arguments(whole, "--iterations", str(ITERATIONS))) == 1
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err


def test_what_does_not_fit_is_refused_and_the_run_stays_as_it_was(whole, capsys):
    before = (whole / "config.json").read_text()
    assert main(arguments(whole, "--iterations", "9", "--network.width", "32", "--override-config")) == 1
    assert "does not fit" in capsys.readouterr().err
    assert main(arguments(whole, "--iterations", "9", "--devices", "4", "--override-config")) == 1
    assert "replay.cursor: shape [2] (checkpoint) -> [4] (asked)" in capsys.readouterr().err
    assert (whole / "config.json").read_text() == before
    assert iterations(whole)[-1] == ITERATIONS


def test_going_on_needs_no_options_again(whole, capsys):
    assert main(["train", "tic_tac_toe", "--run", str(whole), "--iterations", str(ITERATIONS)]) == 0
    said = capsys.readouterr().err
    assert f"after iteration {ITERATIONS}" in said
    assert "no iteration fitted" not in said, "none was asked for"


def test_more_devices_than_cores_are_refused_by_a_fresh_process(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    command = "import sys; from azero.cli import main; sys.exit(main())"
    words = ["train", "tic_tac_toe", "--run", str(tmp_path / "run"), "--devices", "4096", "--selfplay.games", "4096"]
    done = subprocess.run([sys.executable, "-c", command, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "devices is 4096, but there are" in done.stderr
    assert not (tmp_path / "run").exists()
