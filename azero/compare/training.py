"""The runs of a comparison: each is `azero train` in a process of its own, so that none takes another down."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import azero
from azero.compare.plan import Plan, Run, runs
from azero.config import to_dict
from azero.manifest import write_bytes, write_text
from azero.report import duration, past_seconds, read_metrics

OUTCOMES = "outcomes.json"
COMMAND = """
import sys
from azero.compare.lifeline import end_with_parent
end_with_parent()
from azero.cli import main
sys.exit(main())
"""
LEAST = 0.01  # minutes: what a run is given that has spent its time, but was stopped before it had saved
LOOK = 1.0  # seconds between looks at a run

Say = Callable[[str], None]
Share = Callable[[float], None]  # told how much of all the work is done, 0 to 1


class Outcome(NamedTuple):
    """How a run ended."""

    run: Run
    error: str | None  # in one line; None if it did what it should


def train_all(plan: Plan, folder: Path, say: Say, share: Share) -> list[Outcome]:
    """Runs what has not been run yet, and goes on with what was stopped or has failed.

    KeyboardInterrupt (Ctrl-C, or a signal to end) lets the run that is on save its iteration first; the next call goes
    on from there. A second one ends that run at once.
    """
    wanted = runs(plan, folder)
    done = _outcomes(folder)
    left = [run for run in wanted if done.get(run.name, "never run") is not None]
    if len(left) < len(wanted):
        say(f"{len(wanted) - len(left)} of {len(wanted)} runs are finished already")
    spent: list[float] = []
    for run in left:
        number = wanted.index(run) + 1
        remaining = _time_left(plan, spent, len(left) - len(spent))
        say(f"[{number}/{len(wanted)}] {run.variant.text} seed {run.seed}{remaining}")
        began = time.monotonic()

        def look(run: Run = run) -> None:
            share((len(wanted) - len(left) + len(spent) + min(1.0, _progress(plan, run))) / len(wanted))

        done[run.name] = _train(plan, run, look)
        spent.append(time.monotonic() - began)
        write_text(folder / OUTCOMES, json.dumps(done, indent=1) + "\n")
        if done[run.name] is not None:
            say(f"[{number}/{len(wanted)}] {run.variant.text} seed {run.seed} failed: {done[run.name]}")
    return [Outcome(run, done[run.name]) for run in wanted]


def _outcomes(folder: Path) -> dict[str, str | None]:
    """Name of a run that has ended -> its error, None if there was none."""
    try:
        return dict(json.loads((folder / OUTCOMES).read_text()))
    except (OSError, ValueError):
        return {}  # each run is asked again, and what it has done it does not do twice


def _time_left(plan: Plan, spent: list[float], runs_left: int) -> str:
    if not spent and plan.minutes is None:
        return ""
    each = sum(spent) / len(spent) if spent else 60 * (plan.minutes or 0)
    return f", about {duration(each * runs_left)} of training left"


def _progress(plan: Plan, run: Run) -> float:
    """The share of its budget that a run has spent."""
    rows = read_metrics(run.folder)
    if not rows:
        return 0.0
    if plan.minutes is not None:
        return float(rows[-1]["seconds"]) / (60 * plan.minutes)
    return float(rows[-1]["evaluations"]) / (plan.evaluations or 1)


def _train(plan: Plan, run: Run, look: Callable[[], None]) -> str | None:
    """Runs one process to its end; what went wrong, in one line."""
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    config = run.folder.parent / "config.json"
    write_text(config, json.dumps(to_dict(run.variant.config), indent=2) + "\n")
    log = run.folder.with_name(f"{run.folder.name}.log")
    # The file anew: whoever may still have the old one open says nothing in the name of this process.
    write_bytes(log, log.read_bytes() if log.exists() else b"")
    with log.open("ab") as said:
        began = said.tell()
        code = _finish(_start(command(plan, run, config), said), look)
    return None if code == 0 else _error(code, log, began)


def command(plan: Plan, run: Run, config: Path) -> list[str]:
    """The words after `azero` of a run; of its minutes those that are left, for `azero train` counts from each call."""
    words = ["train", plan.config.game, "--config", str(config), "--seed", str(run.seed), "--run", str(run.folder)]
    if plan.minutes is None:
        return [*words, "--evaluations", repr(plan.evaluations)]
    return [*words, "--minutes", repr(max(plan.minutes - past_seconds(run.folder) / 60, LEAST))]


def _start(words: list[str], said: Any) -> subprocess.Popen[bytes]:
    """A process of the command line that this program is of, and that ends with it.

    Ctrl-C on the terminal reaches this program alone.
    """
    paths = [str(Path(azero.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        stdin=subprocess.PIPE,  # nothing is written to it: what tells is its end
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        process_group=0,
    )


def _finish(process: "subprocess.Popen[bytes]", look: Callable[[], None]) -> int:
    """Waits for the process; its exit code."""
    try:
        with _ends_as_interrupt():
            while True:
                look()
                try:
                    return process.wait(LOOK)
                except subprocess.TimeoutExpired:
                    continue
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()


@contextmanager
def _ends_as_interrupt() -> Iterator[None]:
    """A signal to end this program is as Ctrl-C, so that the run that is on is not left behind.

    Ctrl-C itself is among them, for a shell that starts a program in the background has it ignored.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone can be told of signals
        yield
        return
    old = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _error(code: int, log: Path, began: int) -> str:
    """The last line that a process wrote to its log, in what it wrote from `began` on."""
    lines = [line for line in log.read_bytes()[began:].decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("azero: ") if lines else "it said nothing"
    if code < 0:
        return f"ended by signal {signal.Signals(-code).name}; its last line: {last}"
    return last if code in (1, 2) else f"exit code {code}; its last line: {last}"
