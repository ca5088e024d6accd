"""The tables and plots of a comparison, from means over seeds. Imports no JAX."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from azero.compare.pages import Figure, Table
from azero.compare.summary import Mean, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Means = Mapping[str, Mapping[str, Mean]]  # variant -> figure -> mean
Columns = Sequence[tuple[str, str]]  # heading, figure
LABEL = 46  # characters of a line beside a bar

MAIN: Columns = (
    ("regret, network sampled", "network.sampled.regret.decisive"),
    ("regret, network argmax", "network.argmax.regret.decisive"),
    ("regret, search sampled", "search.sampled.regret.decisive"),
    ("regret, search argmax", "search.argmax.regret.decisive"),
    ("value against 0.3, sampled", "network.sampled.value_against.0.3"),
    ("value against 0.3, argmax", "network.argmax.value_against.0.3"),
    ("points against random, network", "network.argmax.score_against_random"),
    ("points against random, search", "search.argmax.score_against_random"),
    ("Elo, sampled", "elo.sampled"),
    ("Elo, argmax", "elo.argmax"),
    ("KL(M2, M1), own", "kl.own"),
)
COSTS: Columns = (
    ("iterations", "cost.iterations"),
    ("evaluations", "cost.evaluations"),
    ("seconds", "cost.seconds"),
    ("µs an evaluation", "cost.microseconds"),
    ("distributions asked", "asked.distributions"),
    ("samples asked", "asked.samples"),
    ("scalars asked", "asked.scalars"),
    ("comparisons asked", "asked.comparisons"),
)
FIXED_POINT: Columns = (
    ("amplification gain, sampled", "amplification_gain.sampled.decisive"),
    ("amplification gain, argmax", "amplification_gain.argmax.decisive"),
    ("distillation loss, sampled", "distillation_loss.sampled.decisive"),
    ("distillation loss, argmax", "distillation_loss.argmax.decisive"),
    ("KL(M2, M1), own", "kl.own"),
    ("KL(M2, M1), all", "kl.all"),
    ("novelty", "novelty"),
    ("signs of value", "sign"),
)
WHO = (("network", "sampled"), ("network", "argmax"), ("search", "sampled"), ("search", "argmax"))
PLACES = ("all", "decisive", "own")
EPSILONS = ("0.1", "0.3", "0.6")
MEANING = (
    ("M1, M2", "The network, and the tree search over it with the settings of the run, without noise."),
    ("sampled, argmax", "Moves drawn from the policy, or its most likely move. Of a search it is the policy it finds."),
    ("all, decisive, own", "All positions, evenly; those whose moves differ in value, evenly; those that the policy "
     "meets when it plays both sides, as often as it meets them. Where only some positions have exact values, these "
     "are the labelled ones."),
    ("regret", "By how much a move falls short of the exact value of its position, which is -1, 0 or 1; 0 is perfect."),
    ("blunder", "Chance of a move that has regret."),
    ("value against 0.3", "Exact expected result, -1 to 1, both colours, against a player that moves at random with "
     "chance 0.3 and else keeps the value."),
    ("exploitability", "What a best response wins against the policy; 0 is perfect."),
    ("amplification gain", "Regret of the network less regret of the search over it, in decisive positions."),
    ("distillation loss", "Regret of the newest network less regret of the search over the checkpoint kept before it, "
     "in decisive positions; below 0 the network is better than what it learned from."),
    ("KL(M2, M1)", "How far the search moves away from its network, nats; 0 is the fixed point."),
    ("novelty", "Share of the network's own moves to which its search gives a chance below 0.01."),
    ("signs of value", "Share of the positions won by one side in which the network's value has the right sign."),
    ("Elo", "From the scores of the networks against each other, seed by seed, the mean being 0; exact where all "
     "positions are solved, else from 64 games a pair."),
    ("evaluations", "Of the network: one for each leaf of a search, three for each position in a gradient step."),
    ("seconds, µs an evaluation", "Wall time of a run with starting and compiling; and without them, for each "
     "evaluation."),
    ("asked", "What the overseer was asked: whole distributions over moves, single moves, values, comparisons."),
    ("intervals", "In brackets: 95 %, bootstrap over seeds (percentiles of 10,000 resamples); - with one seed, "
     "nothing where all seeds agree."),
)  # fmt: skip


def all_tables(means: Means, failed: Sequence[tuple[str, int, str]]) -> list[Table]:
    """The tables, the one to read first.

    Args:
      failed: variant, seed, why.
    """
    tables = [
        _table("Strength", means, MAIN, "Regret in decisive positions. Lower regret is better, higher values and Elo."),
        _table("Cost of a run", means, COSTS, "Iterations and evaluations are what the budget bought."),
    ]
    if failed:
        note = "They are left out of all means. The same command tries them again."
        tables.append(Table("Failed runs", ("variant", "seed", "why"), failed, note))
    tables += [
        _table("How near the fixed point", means, FIXED_POINT),
        *(_table(f"{name.capitalize()} everywhere", means, _everywhere(name)) for name in ("regret", "blunder")),
        _table("Against players that err", means, _opponents()),
        Table("What the columns mean", ("column", "meaning"), MEANING),
    ]
    return [table for table in tables if table is not None]


def all_figures(means: Means) -> list[Figure]:
    """The plots that there are figures for."""
    sampled, argmax = ("sampled", "network.sampled.regret.decisive"), ("argmax", "network.argmax.regret.decisive")
    opponents = [(f"epsilon {epsilon}", f"network.sampled.value_against.{epsilon}") for epsilon in EPSILONS]
    plots = (
        ("regret", "Regret of the network alone in decisive positions; 0 is perfect", "regret", (sampled, argmax)),
        ("opponents", "Exact value of the network's sampled play against players that err", "value", opponents),
        ("cost", "Wall time for each evaluation of the network", "µs", (("", "cost.microseconds"),)),
    )
    figures = []
    for name, caption, unit, columns in plots:
        shown = [column for column in columns if any(column[1] in figures for figures in means.values())]
        if shown:
            whiskers = "" if name == "cost" and not _has_intervals(means) else " Whiskers: 95 % over seeds, if several."
            figures.append(Figure(name, f"{caption}.{whiskers}", functools.partial(_bars, means, shown, unit)))
    return figures


def _has_intervals(means: Means) -> bool:
    return any(found.low is not None for figures in means.values() for found in figures.values())


def _everywhere(name: str) -> Columns:
    return [(f"{who} {way}, {place}", f"{who}.{way}.{name}.{place}") for who, way in WHO for place in PLACES]


def _opponents() -> Columns:
    against = [
        (f"{who} {way}, {epsilon}", f"{who}.{way}.value_against.{epsilon}") for who, way in WHO for epsilon in EPSILONS
    ]
    return [*against, *((f"exploitability, {who} {way}", f"{who}.{way}.exploitability") for who, way in WHO)]


def _table(title: str, means: Means, columns: Columns, note: str = "") -> Table | None:
    """The columns for which there is a figure; None if there is none."""
    shown = [(heading, name) for heading, name in columns if any(name in figures for figures in means.values())]
    if not shown:
        return None
    rows = [
        [text, short(max(len(found.values) for found in figures.values()))]
        + [str(figures[name]) if name in figures else "-" for _, name in shown]
        for text, figures in means.items()
    ]
    return Table(title, ("variant", "seeds", *(heading for heading, _ in shown)), rows, note)


def _wrapped(name: str) -> str:
    """A variant's name in short lines, broken where options begin."""
    lines = [""]
    for part in re.split(r"(?<=[:,])", name):
        if lines[-1] and len(lines[-1] + part) > LABEL:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _bars(means: Means, columns: Columns, unit: str, axes: "Axes") -> None:
    """A group of bars for each variant, one below the other, a bar for each column, with whiskers."""
    thick = 0.8 / len(columns)
    for number, (label, name) in enumerate(columns):
        shown = [(place, found[name]) for place, found in enumerate(means.values()) if name in found]
        heights = [place - 0.4 + (number + 0.5) * thick for place, _ in shown]
        axes.barh(heights, [found.mean for _, found in shown], thick * 0.95, label=label)
        for height, (_, found) in zip(heights, shown, strict=True):
            if found.low is not None and found.high is not None:
                axes.hlines(height, found.low, found.high, color="black", linewidth=1)
    axes.set_yticks(range(len(means)), [_wrapped(name) for name in means], fontsize="x-small")
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    if len(columns) > 1:
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
