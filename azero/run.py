"""A training run on disk: iterate until the budget is spent, measure, report, keep."""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from azero import checkpoint
from azero.config import Config, from_dict, to_dict
from azero.manifest import write_text
from azero.network import Params, named
from azero.report import Progress, Writer, duration, model_card, past_seconds
from azero.train import Metrics, Trainer, TrainState

EXPLODED = 100.0  # a loss above this is no longer learning: a blank network has a KL of 1 to 5 nats


class TrainingError(RuntimeError):
    """Training cannot go on."""


class Budget(NamedTuple):
    """When to stop: whichever is reached first."""

    minutes: float | None  # of this call, from `started`
    iterations: int | None  # of the run in all
    evaluations: float | None  # of the network, of the run in all
    started: float  # time.monotonic() at which the minutes began


class Outcome(NamedTuple):
    """How a call of `run` ended."""

    iteration: int
    strength: dict[str, float]  # the last measurement
    interrupted: int  # number of the signal that ended it, 0 if none did


First = Callable[[TrainState], TrainState]
# a new run's state -> the state that it begins with

Measure = Callable[[Params, bool], dict[str, float]]
# (params, whether this is the end of the run) -> named figures; the first says how strong, higher is better


def saved_config(folder: Path) -> Config | None:
    """The config of the run in this folder; None if there is no run yet. Writes nothing.

    Raises:
      ValueError: the folder is a file, or belongs to something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"run directory {folder} is a file; give another with --run")
    file = folder / "config.json"
    if file.exists():
        try:
            return from_dict(json.loads(file.read_text()))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{file} is not the config of a run: {error}") from None
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(f"run directory {folder} is not empty and not a run; give another with --run")
    return None


def refuse_other(folder: Path, saved: Config, config: Config) -> None:
    """Raises ValueError, naming the fields, if a run's config is not the one asked for."""
    changed = checkpoint.differences(to_dict(saved), to_dict(config))
    if changed:
        raise ValueError(
            f"run {folder} has another config: {'; '.join(changed)}. Give another --run, or --override-config"
        )


def run(
    config: Config,
    trainer: Trainer,
    folder: Path,
    budget: Budget,
    measure: Measure,
    progress: Progress,
    first: First = lambda state: state,
) -> Outcome:
    """Trains until the budget is spent or a signal comes; goes on where the run's newest good checkpoint stands.

    Raises:
      TrainingError: a loss is not finite or has exploded; the last good checkpoint stays.
      CheckpointError: no state can be read or written.
    """
    state = _start(trainer, folder, progress, first)
    write_text(folder / "config.json", json.dumps(to_dict(config), indent=2) + "\n")
    moves = config.selfplay.games * config.selfplay.plies
    iteration = saved = begun = int(state.iteration)
    before = past_seconds(folder)
    strength: dict[str, float] = {}
    longest = 0.0
    with _signals() as signals, Writer(folder, iteration, config.report.wandb) as writer:
        progress.begin(config, trainer, iteration, budget)
        while not signals and not _spent(budget, trainer, iteration, longest):
            began = time.monotonic()
            state, metrics = trainer.iterate(state)
            numbers = _finite(metrics, iteration + 1)
            iteration += 1
            now = time.monotonic()
            longest = max(longest, now - began) if longest else 1e-3  # the first iteration compiles
            numbers |= {"seconds": before + now - budget.started, "moves_per_second": moves / (now - began)}
            numbers |= {"evaluations": iteration * trainer.evaluations}
            numbers |= {f"asked_{kind}": iteration * count for kind, count in trainer.oversight.items()}
            measured = _due(config.report.strength_every, iteration)
            if measured:
                strength = measure(state.average, False)
                numbers |= strength
            writer.add(iteration, numbers)
            progress.iteration(iteration, numbers)
            if _due(config.report.checkpoint_every, iteration):
                _save(folder, config, state, strength if measured else {})
                saved = iteration
        if iteration == begun and not signals:
            _say_nothing_fitted(budget, trainer, iteration, progress)
        if saved != iteration:
            _save(folder, config, state, {})
        if not signals:
            progress.stage("measuring strength")
            strength = measure(state.average, True)
            _save(folder, config, state, strength)
    seconds = before + time.monotonic() - budget.started
    card = model_card(config, trainer, iteration, seconds, strength, whole=not signals)
    write_text(folder / "README.md", card)
    return Outcome(iteration, strength, signals[0] if signals else 0)


def _due(every: int, iteration: int) -> bool:
    return every > 0 and iteration % every == 0


def _start(trainer: Trainer, folder: Path, progress: Progress, first: First) -> TrainState:
    """The newest good state of the run, or a new one."""
    state = trainer.init()
    if not checkpoint.iterations(folder) and not _has_checkpoints(folder):
        return first(state)
    restored = checkpoint.restore(folder, state)
    for note in restored.notes:
        progress.say(f"passed over: {note}")
    progress.say(f"resuming {folder} after iteration {restored.iteration}")
    return restored.state


def _has_checkpoints(folder: Path) -> bool:
    """Whether anything lies where checkpoints belong: then starting anew in silence would be wrong."""
    path = folder / "checkpoints"
    return path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir())


def _spent(budget: Budget, trainer: Trainer, iteration: int, longest: float) -> bool:
    """Whether another iteration, if it takes `longest` seconds, would overrun the budget."""
    if budget.evaluations is not None and (iteration + 1) * trainer.evaluations > budget.evaluations:
        return True
    if budget.iterations is not None and iteration >= budget.iterations:
        return True
    if budget.minutes is None:
        return False
    return time.monotonic() + longest - budget.started >= budget.minutes * 60


def _say_nothing_fitted(budget: Budget, trainer: Trainer, iteration: int, progress: Progress) -> None:
    """Says why a call that was to train made no iteration; a run that had all its iterations was not to train."""
    taken = time.monotonic() - budget.started
    if budget.minutes is not None and taken >= budget.minutes * 60:
        progress.say(
            f"no iteration fitted into {budget.minutes:g} minutes: starting and compiling took {duration(taken)}; "
            "give more --minutes"
        )
    elif budget.evaluations is not None and iteration == 0:
        progress.say(
            f"no iteration fitted into {budget.evaluations:,.0f} evaluations: one takes {trainer.evaluations:,.0f}; "
            "give more --evaluations"
        )


def _finite(metrics: Metrics, iteration: int) -> dict[str, float]:
    """The metrics as numbers.

    Raises:
      TrainingError: one of the losses is no use any more.
    """
    said = jax.device_get(metrics)._asdict()
    numbers = {name: float(value) for name, value in (said.pop("extra") | said.pop("results") | said).items()}
    limits = {"policy_loss": EXPLODED, "value_loss": EXPLODED, "gradient_norm": math.inf, "parameter_norm": math.inf}
    for name, limit in limits.items():
        if not math.isfinite(numbers[name]) or numbers[name] > limit:
            raise TrainingError(
                f"{name} is {numbers[name]:g} in iteration {iteration}; stopped. The last good checkpoint stays: "
                "lower learn.learning_rate or learn.clip"
            )
    return numbers


def _save(folder: Path, config: Config, state: TrainState, strength: dict[str, float]) -> None:
    weights = {name: np.asarray(leaf) for name, leaf in named(state.average).items()}
    keep = checkpoint.Keep(config.report.keep_newest, config.report.keep_every)
    checkpoint.save(
        folder, int(state.iteration), state, weights, to_dict(config), next(iter(strength.values()), None), keep
    )


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that asked for an end. The first lets the iteration finish; a second ends the process at once.

    Python calls its handlers between two lines of the main thread, which may compile for long, and once for two signals
    of a kind that came meanwhile. So another thread is told of each as it comes.
    """
    received: list[int] = []
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def receive(number: int, frame: Any) -> None:
        del frame
        received.append(number)
        signal.signal(number, signal.SIG_DFL)

    def watch() -> None:
        seen: list[int] = []
        while came := os.read(reading, 1):
            if came[0] in seen and came[0] in old:
                os._exit(128 + came[0])
            seen.append(came[0])
        os.close(reading)

    old = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield received
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        for number, handler in old.items():
            signal.signal(number, handler)
