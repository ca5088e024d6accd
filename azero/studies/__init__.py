"""Experiments beyond the comparison's table: `azero compare GAME --study NAME`. Names cost no import of JAX."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Study = Callable[[str, int, Path, Callable[[str], None]], dict[str, Any]]
# (game, seeds, folder, say) -> what results.json in the folder holds; a study that was stopped goes on there


def _study(name: str) -> Study:
    """The function `name` of the module `name`, imported when it is called."""

    def run(game: str, seeds: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
        found: dict[str, Any] = getattr(importlib.import_module(f"azero.studies.{name}"), name)(
            game, seeds, folder, say
        )
        return found

    return run


STUDIES: dict[str, Study] = {name: _study(name) for name in ("mimicry", "overoptimization", "explicit_reward")}
