"""The runs of a folder as the page shows them: how they learned, and the checkpoints that can be played."""

import functools
import json
import math
from pathlib import Path
from typing import Any

from azero import checkpoint
from azero.web.roster import RUNS, run_config, run_folders

SHOWN = {
    "policy_loss": "policy loss",
    "value_loss": "value loss",
    "kept_value": "kept value (network)",
    "kept_value_search": "kept value (search)",
    "score": "score against random moves",
}  # fields of metrics.jsonl
POINTS = 400  # of a curve at most
LARGEST_FILE = 64 * 2**20  # bytes that are read for the curves, the newest
LISTED_PART = 2**18  # and for the list of runs


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """Every run with its game, iterations done, seconds, and newest strength; the newest run first."""
    listed = []
    for name, folder in run_folders(runs).items():
        config, file = run_config(folder), folder / "metrics.jsonl"
        listed.append({"name": name, "game": config.game if config else None} | _reached(file, *_version(file)))
    return listed


@functools.lru_cache(2 * RUNS)
def _reached(file: Path, changed: int, size: int) -> dict[str, Any]:
    """Where a run stands, read once for each version of its file."""
    rows = read_rows(file, LISTED_PART)
    last = rows[-1] if rows else {}
    measures = [field for field in SHOWN if "loss" not in field]
    strength: dict[str, Any] = next(
        (row for row in reversed(rows) if any(row.get(field) is not None for field in measures)), {}
    )
    return {
        "iterations": last.get("iteration", 0),
        "seconds": last.get("seconds"),
        "strength": {SHOWN[field]: strength[field] for field in measures if strength.get(field) is not None},
    }


def describe_run(name: str, folder: Path) -> dict[str, Any]:
    """A run's curves and checkpoints.

    Returns:
      `name`, `game`; `curves`, by field a `label` and `points` [iteration, seconds, value]; `checkpoints`, each with
      the `iteration` and the `player` to ask for.
    """
    config, file = run_config(folder), folder / "metrics.jsonl"
    steps = checkpoint.iterations(folder)[-RUNS:]
    return {
        "name": name,
        "game": config.game if config else None,
        "curves": _curves(file, *_version(file)),
        "checkpoints": [{"iteration": step, "player": f"run:{name}:{step}"} for step in reversed(steps)],
    }


@functools.lru_cache(16)
def _curves(file: Path, changed: int, size: int) -> dict[str, Any]:
    """A run's curves, read once for each version of its file."""
    rows, curves = read_rows(file, LARGEST_FILE), {}
    for field, label in SHOWN.items():
        points = [
            [row["iteration"], row["seconds"], row[field]]
            for row in rows
            if all(_number(row.get(one)) for one in ("iteration", "seconds", field))
        ]
        if points:
            curves[field] = {"label": label, "points": thinned(points)}
    return curves


def _version(file: Path) -> tuple[int, int]:
    """When a file changed last, in nanoseconds, and its size; zeros if it is not there."""
    try:
        found = file.stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return 0, 0


def read_rows(file: Path, most: int) -> list[dict[str, Any]]:
    """The rows of a run's metrics, of the last `most` bytes; lines that cannot be read, as one that is being written,
    are left out."""
    rows = []
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - most))
            for line in stream.read(most).splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    rows.append({name: value if _number(value) else None for name, value in row.items()})
    except OSError:
        return []
    return rows


def thinned(points: list[Any]) -> list[Any]:
    """At most POINTS of them, evenly, with the first and the last."""
    if len(points) <= POINTS:
        return points
    return [points[round(number * (len(points) - 1) / (POINTS - 1))] for number in range(POINTS)]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
