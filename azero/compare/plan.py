"""What a comparison is to do, and the folder that it does it in."""

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from azero.checkpoint import differences
from azero.compare.variants import Variant
from azero.config import Config, from_dict, to_dict
from azero.manifest import few, write_text

PLAN = "compare.json"
GROWING = ("variants", "seeds")  # what a later call may add to


class Plan(NamedTuple):
    """One comparison."""

    config: Config  # what all variants have in common; its seed is that of the first run of each
    variants: tuple[Variant, ...]
    seeds: int  # runs of each variant
    minutes: float | None  # of each run; or
    evaluations: float | None  # of the network in each run


class Run(NamedTuple):
    """One run of a comparison."""

    variant: Variant
    seed: int
    folder: Path  # an ordinary run directory

    @property
    def name(self) -> str:
        """Its name within the comparison."""
        return f"{self.variant.slug}/{self.folder.name}"


def seeds(plan: Plan) -> range:
    """The seeds of each variant's runs."""
    return range(plan.config.seed, plan.config.seed + plan.seeds)


def runs(plan: Plan, folder: Path) -> list[Run]:
    """All runs, the first seed of every variant first, so that a comparison that is stopped is still a fair one."""
    return [
        Run(variant, seed, folder / "runs" / variant.slug / f"seed-{seed}")
        for seed in seeds(plan)
        for variant in plan.variants
    ]


def check_labels(plan: Plan) -> None:
    """Refuses comparisons of moves that nobody can make, before any run is begun.

    That takes the rules of the game, and with them JAX, which is left to the runs here: a process of its own looks.

    Raises:
      ValueError: one line that names the variant.
    """
    for variant in plan.variants:
        if variant.config.distilled == "reward_model" and variant.config.reward.labels != "search":
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                if fault := alone.submit(_labels_fault, variant.config).result():
                    raise ValueError(f"variant {variant.text}: {fault}")


def _labels_fault(config: Config) -> str:
    """What is wrong with the labels of a config, "" if nothing."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    from azero.distill.labelling import check_labels
    from games import make

    try:
        check_labels(config, make(config.game))
    except ValueError as error:
        return str(error)
    return ""


def document(plan: Plan) -> dict[str, Any]:
    """The plan as compare.json has it."""
    budget = {"minutes": plan.minutes} if plan.minutes is not None else {"evaluations": plan.evaluations}
    return {
        "game": plan.config.game,
        "budget": budget,
        "variants": [variant.text for variant in plan.variants],
        "seeds": plan.seeds,
        "config": to_dict(plan.config),
    }


def refuse_other(folder: Path, asked: dict[str, Any]) -> None:
    """Refuses a folder of something else; writes nothing. Variants and seeds may be more than the folder has.

    Args:
      asked: what is to be done there, as `document` or of a study.

    Raises:
      ValueError: one line that names what differs.
    """
    file = folder / PLAN
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give another folder with --out")
    if not file.exists():
        if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise ValueError(f"{folder} is not empty and holds no comparison; give another with --out")
        return
    saved = _read(file)
    changed = differences(_fixed(saved), _fixed(asked))
    missing = [text for text in saved.get("variants", ()) if text not in asked.get("variants", ())]
    if missing and not changed:
        changed.append(f"it has variants that are not asked for: {' '.join(missing)}")
    if not changed and saved["seeds"] > asked["seeds"]:
        changed.append(f"seeds: {saved['seeds']} (there) -> {asked['seeds']} (asked)")
    if changed:
        said = few(changed).replace(" (run) -> ", " (there) -> ")
        raise ValueError(f"{folder} holds another comparison: {said}. Give another folder with --out")


def claim(folder: Path, asked: dict[str, Any]) -> None:
    """Writes the plan into the folder, which `refuse_other` has let pass."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PLAN, json.dumps(asked, indent=2) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        saved = json.loads(file.read_text())
        if "config" in saved:  # fields that came later have their defaults
            saved["config"] = to_dict(from_dict(saved["config"]))
        if not isinstance(saved["seeds"], int) or not isinstance(saved["game"], str):
            raise ValueError("game or seeds")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is not the plan of a comparison: {error}") from None
    return dict(saved)


def _fixed(plan: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plan.items() if name not in GROWING}
