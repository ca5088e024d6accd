"""The folder of a study: its plan, and one file for each part of the work, so that it goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

from azero.manifest import write_text


def claim(folder: Path, plan: dict[str, Any]) -> None:
    """Writes the plan into the folder, or finds the same one there.

    Raises:
      ValueError: the folder holds another study.
    """
    path = folder / "study.json"
    plan = json.loads(json.dumps(plan))
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_text(path, json.dumps(plan, indent=1) + "\n")
        return
    found = json.loads(path.read_text())
    for name, wanted in plan.items():
        if found.get(name) != wanted:
            raise ValueError(
                f"{folder} holds another study: its {name} is {found.get(name)}, not {wanted}; name another folder"
            )
