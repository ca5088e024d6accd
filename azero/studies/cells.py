"""The folder of a study: its plan, and one file for each part of the work, so that it goes on where it stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azero import manifest
from azero.checkpoint import lock


@contextmanager
def claimed(folder: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Writes the plan into the folder, or finds the same one there, and holds the folder for this process.

    Raises:
      ValueError: the folder holds another study, or something else; then nothing is written.
      CheckpointError: another process works there.
    """
    manifest.claim(folder / "study.json", plan, "study")
    with lock(folder):
        (folder / "cells").mkdir(exist_ok=True)
        yield
