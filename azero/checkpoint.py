"""Checkpoints: a state of training on disk, whole or not at all.

    <run>/checkpoints/<iteration>/
      state/               every leaf of the TrainState by its dotted name, written by orbax
      weights.safetensors  the parameters that play: all a player needs, without orbax and without the replay
      config.json          configuration and game
      manifest.json        iteration, strength, versions, size and sha256 of each file, shape and dtype of each leaf

A checkpoint is written aside, flushed to the disk and made visible by one rename; a crash leaves at most a hidden
folder, which the next save clears away. Nothing is read before it matches its manifest. The formats hold numbers and
text only: no pickle, and loading runs no code from the files. One process saves and restores a run (see `lock`).
"""

import contextlib
import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import safetensors
import safetensors.numpy

from azero import leaves
from azero.manifest import CheckpointError, complete, failure, few, verified, write

PLAYING = ("weights.safetensors", "config.json")  # the files a player reads
HIDDEN = re.compile(r"\.(\d+)\.(partial|replaced)-([1-9]\d{0,8})")  # iteration, why it is hidden, process

Content = TypeVar("Content")


class Keep(NamedTuple):
    """Which checkpoints stay. The best by strength always does, and so does the one just saved."""

    newest: int = 3  # how many of the newest, at least 1
    every: int = 0  # every n-th iteration for good; 0 keeps none


class Restored(NamedTuple):
    """A state of training read back."""

    iteration: int
    state: Any  # pytree like the one asked for
    notes: list[str]  # a line for each newer checkpoint passed over


class Weights(NamedTuple):
    """What a player needs."""

    arrays: dict[str, np.ndarray]
    config: dict[str, Any]
    iteration: int | None  # None if the file does not say
    notes: list[str]  # a line for each newer checkpoint passed over


def save(
    run: Path | str,
    iteration: int,
    state: Any,
    weights: Mapping[str, Any],
    config: Mapping[str, Any],
    strength: float | None,
    keep: Keep,
) -> Path:
    """Writes a checkpoint of `iteration`, in place of an earlier one of the same number, then thins out the older ones.

    state     pytree of arrays of any shape and dtype, jax or numpy, sharded or not
    weights   name -> array of the parameters that play
    config    JSON-able
    strength  higher is better; None (or NaN) if it was not measured

    Checkpoints of later iterations (left when training fell back to an older one) are not touched until reached.
    Raises CheckpointError if the disk refuses, with the earlier checkpoints intact; TypeError if a leaf is no array.
    """
    if keep.newest < 1 or keep.every < 0:
        raise ValueError(f"keep.newest must be at least 1 and keep.every at least 0, not {keep}")
    folder = _folder(run)
    final, partial = folder / str(iteration), folder / f".{iteration}.partial-{os.getpid()}"
    named = leaves.named(state)
    strength = None if strength is None or not math.isfinite(strength) else float(strength)
    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    files = {
        "weights.safetensors": safetensors.numpy.save(arrays, {"iteration": str(iteration)}),
        "config.json": json.dumps(dict(config), indent=2, allow_nan=False).encode(),
    }
    try:
        with failure(f"cannot save checkpoint {final}"):
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
            partial.mkdir()
            leaves.write(partial / "state", named)
            for name, content in files.items():
                (partial / name).write_bytes(content)
            write(partial, iteration, strength, leaves.shapes(named))
            _publish(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _recover(folder)
        raise
    with failure(f"cannot clear away older checkpoints in {folder}"):
        _retire(folder, iteration, keep)
    return final


def restore(run: Path | str, like: Any, iteration: int | None = None) -> Restored:
    """The newest good state of a run, or the one of `iteration`, bit for bit as it was saved.

    like: pytree of what to expect, arrays or ShapeDtypeStructs. Leaves come back with its shardings, and as numpy where
    it has numpy. A checkpoint that is truncated, corrupted, empty or foreign is passed over with a note. Raises
    CheckpointError if no good one is left, or if names, shapes or dtypes are not those of `like`, saying which.
    """
    path, manifest, notes = _newest(run, iteration, verified)
    expected = leaves.named(like)
    differing = leaves.misfits(manifest["leaves"], leaves.shapes(expected))
    if differing:
        raise CheckpointError(f"checkpoint {path} does not fit what is asked: {few(differing)}")
    with failure(f"cannot read checkpoint {path}"):
        found = leaves.read(path / "state", expected)
    return Restored(manifest["iteration"], jax.tree.unflatten(jax.tree.structure(like), list(found.values())), notes)


def weights(path: Path | str, iteration: int | None = None) -> Weights:
    """The playing parameters (numpy) of a run directory, newest good or of `iteration`, or of a folder that holds them.

    A run directory has checkpoints/; any other folder must hold weights.safetensors and config.json itself, as the
    reference checkpoints do. Checked against the manifest where there is one. Raises CheckpointError.
    """
    path = Path(path).absolute()
    if (path / "checkpoints").is_dir():
        _, (arrays, config, found), notes = _newest(path, iteration, _playing)
        return Weights(arrays, config, found, notes)
    if not (path / "weights.safetensors").is_file():
        missing = "has neither checkpoints/ nor weights.safetensors" if path.is_dir() else "is not a folder"
        raise CheckpointError(f"no checkpoint to play with: {path} {missing}")
    arrays, config, found = _playing(path)
    if iteration is not None and iteration != found:
        raise CheckpointError(f"{path} holds iteration {found}, not {iteration}")
    return Weights(arrays, config, found, [])


def iterations(run: Path | str) -> list[int]:
    """Iterations with a complete checkpoint (manifest, and every file with its size), ascending. Hashes nothing."""
    return [number for number in _numbers(_folder(run)) if complete(_folder(run) / str(number)) is not None]


@contextlib.contextmanager
def lock(run: Path | str) -> Iterator[None]:
    """Holds a folder (made if need be) for this process; raises CheckpointError if another process holds it.

    The system drops the lock with the process, however that ends.
    """
    run = Path(run)
    with failure(f"cannot lock {run}"):
        run.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with failure(f"cannot lock {run}"):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "(unknown)"
                raise CheckpointError(f"{run} is in use by process {holder}") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Fields that differ between a run's configuration and the one asked for, as dotted names with both values."""
    old, new = _fields(saved), _fields(now)
    names = [*old, *(name for name in new if name not in old)]
    changed = [name for name in names if name not in old or name not in new or old[name] != new[name]]
    return [f"{name}: {_shown(old, name)} (run) -> {_shown(new, name)} (asked)" for name in changed]


def _newest(
    run: Path | str, iteration: int | None, read: Callable[[Path, int], Content]
) -> tuple[Path, Content, list[str]]:
    """The newest folder that `read` accepts, what it read, and a line for each newer one; or the one of `iteration`."""
    folder = _folder(run)
    _recover(folder)
    numbers = _numbers(folder)
    if iteration is not None:
        if iteration not in numbers:
            others = few([str(number) for number in reversed(numbers)]) or "none"
            raise CheckpointError(f"no checkpoint of iteration {iteration} in {folder}; there are: {others}")
        return folder / str(iteration), read(folder / str(iteration), iteration), []
    notes: list[str] = []
    for number in reversed(numbers):
        try:
            return folder / str(number), read(folder / str(number), number), notes
        except CheckpointError as error:
            notes.append(str(error))
    raise CheckpointError(f"no good checkpoint in {folder}: {few(notes)}" if notes else f"no checkpoint in {folder}")


def _playing(path: Path, iteration: int | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any], int | None]:
    """Weights, configuration and iteration of one folder, checked if it is one of a run or has a manifest."""
    if iteration is not None or (path / "manifest.json").exists():
        verified(path, iteration, PLAYING)
    with failure(f"cannot read checkpoint {path}"):
        with safetensors.safe_open(path / "weights.safetensors", "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            said = (file.metadata() or {}).get("iteration")
        return arrays, dict(json.loads((path / "config.json").read_bytes())), None if said is None else int(said)


def _folder(run: Path | str) -> Path:
    # orbax takes absolute paths only.
    return Path(run).absolute() / "checkpoints"


def _numbers(folder: Path) -> list[int]:
    """Entries that are called like an iteration, ascending, sound or not."""
    with failure(f"cannot list checkpoints in {folder}"):
        names = os.listdir(folder) if folder.exists() else []
    return sorted(int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(partial: Path, final: Path) -> None:
    """Flushes a folder to the disk, then makes it visible; one of that number is set aside until it is."""
    for path in (*partial.rglob("*"), partial):
        _flush(path)
    replaced = final.with_name(f".{final.name}.replaced-{os.getpid()}")
    if os.path.lexists(final):
        os.rename(final, replaced)
    os.rename(partial, final)
    _flush(final.parent)
    _remove(replaced)


def _retire(folder: Path, iteration: int, keep: Keep) -> None:
    """Removes what `keep` does not ask for among the complete checkpoints up to `iteration`."""
    found = {number: complete(folder / str(number)) for number in _numbers(folder) if number <= iteration}
    strengths = {number: manifest["strength"] for number, manifest in found.items() if manifest}
    kept = {iteration, *list(strengths)[-keep.newest :]}
    kept |= {number for number in strengths if keep.every and number % keep.every == 0}
    measured = [(strength, number) for number, strength in strengths.items() if strength is not None]
    kept |= {max(measured)[1]} if measured else set()
    for number in strengths.keys() - kept:
        hidden = folder / f".{number}.partial-{os.getpid()}"
        os.rename(folder / str(number), hidden)  # so that a crash leaves no half of it in sight
        _remove(hidden)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _abandoned(folder: Path, kind: str) -> list[tuple[Path, int]]:
    """Hidden folders of this kind that no other living process is at work on, with their iterations."""
    found = []
    for name in os.listdir(folder) if folder.is_dir() else []:
        match = HIDDEN.fullmatch(name)
        if match and match[2] == kind and not _alive(int(match[3])):
            found.append((folder / name, int(match[1])))
    return found


def _alive(process: int) -> bool:
    """Whether another process of this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _recover(folder: Path) -> None:
    """Puts back a checkpoint that was set aside for one of its number which never came."""
    with contextlib.suppress(OSError):  # a read-only folder is left as it is
        for path, number in _abandoned(folder, "replaced"):
            if not os.path.lexists(folder / str(number)):
                os.rename(path, folder / str(number))


def _tidy(folder: Path) -> None:
    """Clears away what processes that are gone have left."""
    _recover(folder)
    for path, _ in _abandoned(folder, "partial") + _abandoned(folder, "replaced"):
        _remove(path)


def _fields(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value, with tuples as the lists that JSON makes of them."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping) and value
        fields |= _fields(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": json.loads(json.dumps(value))}
    return fields


def _shown(fields: Mapping[str, Any], name: str) -> str:
    return json.dumps(fields[name]) if name in fields else "absent"
