"""What a run says: metrics.jsonl and TensorBoard, progress on the terminal, the model card."""

import json
import os
import platform
import secrets
import socket
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import flax
import jax
import optax
from rich.console import Console
from rich.live import Live
from rich.table import Table

from azero import __version__
from azero.config import Config
from azero.manifest import failure, write_text
from azero.train import Trainer

SHOWN_EVERY = 10.0  # seconds between plain lines


def past_seconds(folder: Path) -> float:
    """The wall time that earlier calls spent on this run, from the last line of its metrics."""
    rows = read_metrics(folder)
    return float(rows[-1]["seconds"]) if rows else 0.0


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; a last line cut off by a crash is left out."""
    path = folder / "metrics.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


class Writer:
    """Appends a row for each iteration to metrics.jsonl, TensorBoard and, if asked, Weights & Biases.

    Rows of iterations after `iteration` are of a future that a crash undid: they are removed.
    """

    def __init__(self, folder: Path, iteration: int, wandb: bool):
        self._wandb = _wandb(folder) if wandb else None
        kept = [row for row in read_metrics(folder) if row["iteration"] <= iteration]
        path = folder / "metrics.jsonl"
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        self._lines: TextIO = path.open("a", buffering=1)
        self._events = _Events(folder / "tensorboard", iteration)

    def add(self, iteration: int, numbers: dict[str, float]) -> None:
        """Writes one row; raises CheckpointError if the disk refuses."""
        with failure(f"cannot write {self._lines.name}"):
            self._lines.write(json.dumps({"iteration": iteration, **numbers}) + "\n")
        with failure(f"cannot write {self._events.path}"):
            self._events.add(iteration, numbers)
        if self._wandb is not None:
            self._wandb.log(numbers, step=iteration)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for each in (self._lines, self._events):
            # What the disk refused is still to be written, and refused again; that has been said.
            with suppress(OSError) if error else nullcontext():
                each.close()
        if self._wandb is not None and error is None:
            self._wandb.finish()


class _Events:
    """Scalars as TensorBoard reads them.

    tensorboardX's own writer has a thread for it, which meets a full disk where nobody looks.
    """

    def __init__(self, folder: Path, iteration: int):
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._records = RecordWriter(str(self.path))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        # Hides what a future that a crash undid has left in earlier files.
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=iteration + 1, session_log=start))

    def add(self, iteration: int, numbers: dict[str, float]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._write(Event(wall_time=time.time(), step=iteration, summary=Summary(value=values)))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()

    def close(self) -> None:
        self._records.close()


def _wandb(folder: Path) -> Any:
    import wandb

    # A run keeps the name that it was given there, for two folders may be called alike.
    name = folder / ".wandb_id"  # wandb makes a folder of its own beside it
    if not name.exists():
        name.write_text(secrets.token_hex(4))
    config = json.loads((folder / "config.json").read_text())
    return wandb.init(
        project="azero", name=folder.name, config=config, dir=str(folder), resume="allow", id=name.read_text()
    )


class Progress:
    """Tells on stderr how a run goes: a live table on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._rows: dict[str, str] = {}
        self._said = 0.0
        self._strength = ""

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def begin(self, config: Config, trainer: Trainer, iteration: int, budget: Any) -> None:
        """What is about to run."""
        moves = config.selfplay.games * config.selfplay.plies
        self.say(
            f"azero trains {config.game}: {config.network.kind} of {trainer.parameters:,} parameters, "
            f"{config.search.algorithm} of {config.search.simulations} simulations, distils {_target(config)}"
        )
        self.say(
            f"{len(trainer.devices)} {trainer.devices[0].platform} device(s); an iteration is {moves:,} moves of "
            f"self-play and {trainer.updates} gradient steps of {config.learn.batch}; the first one compiles"
        )
        self._from, self._budget = iteration, budget
        if self._live:
            self._live.start()
            self._console.show_cursor(True)  # a second Ctrl-C ends the process where it stands
        self.stage("compiling")

    def stage(self, name: str) -> None:
        """What is being done now."""
        self._rows["stage"] = name
        self._show()
        if not self._live:
            self.say(f"{name} ...")

    def iteration(self, iteration: int, numbers: dict[str, float]) -> None:
        """The figures of a finished iteration."""
        measured = ("kept_value", "mean_return", "score")
        kept = {name: value for name, value in numbers.items() if name.startswith(measured)}
        if kept:
            self._strength = in_words(kept)
        left = self._left(iteration)
        self._rows = {
            "stage": "self-play and learning",
            "iteration": str(iteration),
            "speed": f"{numbers['moves_per_second']:,.0f} moves/s, {numbers['games']:,.0f} games in this iteration",
            "losses": f"policy {numbers['policy_loss']:.3f}  value {numbers['value_loss']:.3f}",
            "games": f"{numbers['plies']:.1f} plies, {_results(numbers)}",
            "strength": self._strength or "not measured yet",
            "time left": left,
        }
        self._show()
        if not self._live and (kept or time.monotonic() - self._said > SHOWN_EVERY):
            self._said = time.monotonic()
            words = [f"iteration {iteration}", self._rows["speed"], self._rows["losses"], f"{left} left"]
            self.say("  ".join([*words, *([self._strength] if kept else [])]))

    def end(self) -> None:
        """Leaves the terminal as it was."""
        if self._live:
            self._live.stop()

    def _left(self, iteration: int) -> str:
        passed = time.monotonic() - self._budget.started
        ends = []
        if self._budget.minutes is not None:
            ends.append(self._budget.minutes * 60 - passed)
        if self._budget.iterations is not None and iteration > self._from:
            ends.append(passed / (iteration - self._from) * (self._budget.iterations - iteration))
        return duration(max(0.0, min(ends))) if ends else "no end set"

    def _show(self) -> None:
        if self._live:
            table = Table.grid(padding=(0, 2))
            for name, value in self._rows.items():
                table.add_row(f"[bold]{name}", value)
            self._live.update(table)


def _target(config: Config) -> str:
    """What is distilled, in words."""
    words = {"visits": "the visit distribution", "improved": "the improved policy"}
    return words.get(config.distilled, f"by {config.distilled}")


def _results(numbers: dict[str, float]) -> str:
    """How the games of an iteration ended."""
    if "episode_return" in numbers:
        return f"return {numbers['episode_return']:,.1f}"
    return f"first player wins {numbers['first_wins']:.0%}, draws {numbers['draws']:.0%}"


def in_words(strength: dict[str, float]) -> str:
    """Figures of strength in a line: returns as they are, all others are shares."""
    return "  ".join(
        f"{name} {value:,.2f}" if "return" in name else f"{name} {value:.1%}" for name, value in strength.items()
    )


def duration(seconds: float) -> str:
    """Seconds as people write them: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def model_card(
    config: Config, trainer: Trainer, iteration: int, seconds: float, strength: dict[str, float], whole: bool
) -> str:
    """README.md of a run.

    Args:
      strength: the last measurement.
      whole: it was made at the end, over all positions; else on the way, over a part of them.
    """
    devices = trainer.devices
    figures = [f"| {name} | {value:.4f} |" for name, value in strength.items()] or ["| not measured | |"]
    return "\n".join(
        [
            f"# {config.game}, iteration {iteration}",
            "",
            f"A {config.network.kind} policy-value network of {trainer.parameters:,} parameters, trained by azero.",
            "",
            "| | |",
            "|---|---|",
            f"| game | {config.game} |",
            f"| search | {config.search.algorithm}, {config.search.simulations} simulations |",
            f"| distilled | {_target(config)} |",
            f"| iterations | {iteration} |",
            f"| wall time | {duration(seconds)} |",
            f"| seed | {config.seed} |",
            f"| devices | {len(devices)} x {devices[0].device_kind} ({devices[0].platform}), "
            f"{os.cpu_count()} cores, {platform.machine()} |",
            f"| versions | azero {__version__}, jax {jax.__version__}, flax {flax.__version__}, "
            f"optax {optax.__version__}, Python {platform.python_version()} |",
            "",
            "Strength at the end of training:" if whole else "Strength at the last measurement on the way:",
            "",
            "| measure | value |",
            "|---|---|",
            *figures,
            "",
            "The whole config is in config.json, every iteration's figures in metrics.jsonl.",
            "",
        ]
    )
