"""A comparison from its plan to its pages: runs, figures, head-to-head, means over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from azero.compare import tables
from azero.compare.pages import write_results
from azero.compare.plan import Plan, Run, document
from azero.compare.summary import Mean, aggregate, as_json
from azero.compare.training import Outcome, Say
from azero.manifest import CheckpointError

ENOUGH = 5  # seeds: with fewer the percentiles of the bootstrap are little more than the least and the largest value


class Measured(NamedTuple):
    """What was found."""

    figures: dict[Run, dict[str, float | None]]  # of the runs that could be measured
    duels: dict[int, dict[tuple[str, str], dict[str, float]]]  # seed -> pair of variants -> scores of the first
    failed: dict[Run, str]  # run -> why, in one line


def measure_all(outcomes: Sequence[Outcome], folder: Path, say: Say) -> Measured:
    """The figures of all runs that ended well. JAX computes from here on, so no run may be on."""
    from azero.compare.duels import WAYS, duels, ratings
    from azero.compare.measures import measure

    failed = {outcome.run: outcome.error for outcome in outcomes if outcome.error is not None}
    figures: dict[Run, dict[str, float | None]] = {}
    for number, outcome in enumerate(outcomes):
        run = outcome.run
        if run in failed:
            continue
        say(f"[{number + 1}/{len(outcomes)}] measuring {run.variant.text} seed {run.seed}")
        try:
            figures[run] = dict(measure(run.folder))
        except (CheckpointError, ValueError, RuntimeError) as error:  # the last is XLA's, such as no memory left
            failed[run] = f"cannot be measured: {str(error).splitlines()[0]}"
    met: dict[int, dict[tuple[str, str], dict[str, float]]] = {}
    for seed in dict.fromkeys(run.seed for run in figures):
        entrants = [run for run in figures if run.seed == seed]
        if len(entrants) > 1:
            say(f"head-to-head of seed {seed}: {len(entrants)} networks")
        met[seed] = duels(entrants, folder)
        for way in WAYS:
            rated = ratings({pair: scores[way] for pair, scores in met[seed].items() if way in scores})
            for run in entrants:
                figures[run][f"elo.{way}"] = rated.get(run.variant.text)
    return Measured(figures, met, failed)


def write(plan: Plan, folder: Path, measured: Measured, commands: Sequence[str]) -> dict[str, Any]:
    """Writes the pages; what results.json holds."""
    means = {
        variant.text: aggregate([found for run, found in measured.figures.items() if run.variant == variant])
        for variant in plan.variants
    }
    means = {text: found for text, found in means.items() if found}
    failed = [(run.variant.text, run.seed, error) for run, error in measured.failed.items()]
    data = document(plan) | {
        "aggregates": {text: as_json(found) for text, found in means.items()},
        "runs": [
            {"variant": run.variant.text, "seed": run.seed, "folder": str(run.folder.relative_to(folder))}
            | {"figures": found}
            for run, found in measured.figures.items()
        ],
        "failed": [{"variant": text, "seed": seed, "error": error} for text, seed, error in failed],
        "duels": [
            {"seed": seed, "first": pair[0], "second": pair[1], "score": scores}
            for seed, met in measured.duels.items()
            for pair, scores in met.items()
        ],
    }
    title = f"Ways to learn from the amplified model: {plan.config.game}, {_budget(plan)}, {_seeds(plan)}"
    return write_results(
        folder,
        title,
        findings(means, failed, plan),
        tables.all_tables(means, failed),
        tables.all_figures(means),
        data,
        commands,
    )


def findings(means: Mapping[str, Mapping[str, Mean]], failed: Sequence[Any], plan: Plan) -> list[str]:
    """What the figures say, in sentences."""
    said = []
    for name, words, best in (
        ("network.sampled.regret.decisive", "The network alone, its moves sampled, has the least regret with", min),
        ("search.argmax.regret.decisive", "With search and the most likely move the least regret has", min),
        ("elo.sampled", "Head-to-head the strongest network, its moves sampled, is that of", max),
        ("network.argmax.score_against_random", "Against random moves the network alone scores most with", max),
    ):
        found = {text: figures[name] for text, figures in means.items() if name in figures}
        if len(found) < 2:
            continue
        order = sorted(found, key=lambda text: found[text].mean, reverse=best is max)
        first, second = order[:2]
        apart = " (their intervals do not meet)" if _apart(found[first], found[second]) else _together(found[first])
        said.append(f"{words} {first}: {found[first]}; next comes {second}: {found[second]}{apart}.")
    if plan.seeds == 1:
        said.append("With one seed there are no intervals, and differences may be chance.")
    elif plan.seeds < ENOUGH:
        said.append(f"Bootstrap intervals over {plan.seeds} seeds are too narrow; take {ENOUGH} or more.")
    if failed:
        said.append(f"{len(failed)} of {len(plan.variants) * plan.seeds} runs failed.")
    idle = [text for text, figures in means.items() if figures["cost.iterations"].mean == 0]
    if idle:
        said.append(f"The budget was too small for one iteration of {', '.join(idle)}: those networks are untrained.")
    return said


def _apart(one: Mean, other: Mean) -> bool:
    """Whether two intervals have no number in common."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def _together(one: Mean) -> str:
    return "" if one.low is None else " (their intervals overlap)"


def _budget(plan: Plan) -> str:
    if plan.minutes is not None:
        return f"{plan.minutes:g} min a run"
    return f"{plan.evaluations:,.0f} evaluations of the network a run"


def _seeds(plan: Plan) -> str:
    return f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
