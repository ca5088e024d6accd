"""The folder of a study: its plan, and one file for each part of the work, so that it goes on where it stopped."""

from pathlib import Path
from typing import Any

from azero import manifest


def claim(folder: Path, plan: dict[str, Any]) -> None:
    """Writes the plan into the folder, or finds the same one there.

    Raises:
      ValueError: the folder holds another study, or something else.
    """
    manifest.claim(folder / "study.json", plan, "study")
    (folder / "cells").mkdir(exist_ok=True)
