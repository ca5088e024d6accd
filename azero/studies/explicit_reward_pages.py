"""What the study `explicit_reward` found: figures with intervals, sentences, pages. Imports no JAX."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from azero.compare.pages import Figure, Table, write_results
from azero.compare.summary import Mean, mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARMS = {
    "rules": "the rules, which know r",
    "learned": "a learned model, its reward learned from samples",
    "explicit": "a learned model whose foreseen boards are judged by r",
    "detectors_frozen": "a learned model whose reward is told by built-in detectors of every line, which never learn",
    "detectors_thawed": "the same, but the detectors learn from iteration {thaw} on",
    "detectors_random": "the same parameters, at random at first",
}
SETS = ("inside", "outside")
MEASURES = ("network_regret", "search_regret", "search_follows_r", "search_follows_other")


class Cell(NamedTuple):
    """One arm trained once."""

    arm: str  # of ARMS
    seed: int
    figures: dict[str, dict[str, float]]  # by set
    learned: dict[str, float]  # the last iteration's losses
    seconds: float


def figure(cells: Sequence[Cell], arm: str, among: str, name: str) -> Mean | None:
    """One figure of an arm over seeds; None where it has none."""
    values = [cell.figures[among][name] for cell in cells if cell.arm == arm and name in cell.figures[among]]
    return mean(values) if values else None


def findings(cells: Sequence[Cell], left_out: str) -> list[str]:
    """Sentences, made from the numbers."""

    def said(arm: str, among: str, name: str) -> str:
        return str(figure(cells, arm, among, name))

    first = (
        f"Where r and r' differ, because a {left_out} line counts by r alone, search takes a move that is best by r in "
        + ", ".join(f"{arm} {said(arm, 'outside', 'search_follows_r')}" for arm in ARMS)
        + " of the decisions, and one that is best by r' in "
        + ", ".join(f"{arm} {said(arm, 'outside', 'search_follows_other')}" for arm in ARMS)
        + "."
    )
    second = (
        "The exact regret under r of a move found by search is, inside of what was trained on and outside of it, "
        + "; ".join(
            f"{arm} {said(arm, 'inside', 'search_regret')} and {said(arm, 'outside', 'search_regret')}" for arm in ARMS
        )
        + "."
    )
    return [first, second, _harder(cells), _expected(cells)]


def _harder(cells: Sequence[Cell]) -> str:
    learned, frozen, random = (
        figure(cells, arm, "inside", "search_regret") for arm in ("learned", "detectors_frozen", "detectors_random")
    )
    assert learned is not None
    assert frozen is not None
    assert random is not None
    return (
        f"Building the reward in was expected to make training harder, not easier: inside of what was trained on the "
        f"regret is {frozen} with built-in detectors, {random} with the same parameters at random and {learned} with a "
        f"free reward head, so that it was {_confirmed(frozen, learned)} against the free head and "
        f"{_confirmed(frozen, random)} against random detectors."
    )


def _confirmed(built_in: Mean, other: Mean) -> str:
    if None in (built_in.low, other.low):
        return f"{'confirmed' if built_in.mean > other.mean else 'not confirmed'} by one seed"
    assert built_in.low is not None
    assert built_in.high is not None
    assert other.low is not None
    assert other.high is not None
    if built_in.low > other.high:
        return "confirmed"
    return "refuted" if built_in.high < other.low else "left open (the intervals overlap)"


def _expected(cells: Sequence[Cell]) -> str:
    explicit, learned = (figure(cells, arm, "outside", "search_follows_r") for arm in ("explicit", "learned"))
    boards = figure(cells, "explicit", "outside", "boards")
    assert explicit is not None
    assert learned is not None
    held = explicit.mean > learned.mean
    return (
        "It was expected that the known reward carries over to the lines that were never completed, as far as boards "
        f"are foreseen right: there {boards} of the whole boards are, and the explicit reward follows r "
        f"{'more' if held else 'no more'} often than the learned one ({explicit} against {learned})."
    )


def tables(cells: Sequence[Cell], settings: dict[str, Any], sizes: dict[str, int]) -> list[Table]:
    """The decisions, the boards, the training."""

    def row(arm: str, names: Sequence[str]) -> list[str]:
        found = [figure(cells, arm, among, name) for among in SETS for name in names]
        return [arm, *("-" if one is None else str(one) for one in found)]

    note = (
        f"Inside: {sizes['inside']:,} positions of masked play in which r and r' agree on every move; outside: "
        f"{sizes['outside']:,} positions in which no move is best by both. Regret is exact, under r. Moves are the "
        f"most likely ones; search is {settings['simulations']} simulations in the arm's own model."
    )
    heads = [f"{among}: {name.replace('_', ' ').replace('other', 'r prime')}" for among in SETS for name in MEASURES]
    seen = [f"{among}: {name}" for among in SETS for name in ("cells", "boards")]
    losses = sorted({name for cell in cells for name in cell.learned})
    learned = []
    for arm in ARMS:
        found = [[cell.learned[name] for cell in cells if cell.arm == arm and name in cell.learned] for name in losses]
        seconds = mean([cell.seconds for cell in cells if cell.arm == arm])
        learned.append([arm, *("-" if not values else str(mean(values)) for values in found), f"{seconds.mean:.0f}"])
    what = [[arm, words.format(**settings)] for arm, words in ARMS.items()]
    return [
        Table("Decisions", ("arm", *heads), [row(arm, MEASURES) for arm in ARMS], note),
        Table(
            f"Boards foreseen right {settings['foreseen']} random moves ahead",
            ("arm", *seen),
            [row(arm, ("cells", "boards")) for arm in ARMS if figure(cells, arm, "inside", "boards")],
            "Share of single cells of the two planes, and of whole boards.",
        ),
        Table("The last iteration of training", ("arm", *losses, "seconds"), learned),
        Table("The arms", ("arm", "what its trees are searched with"), what),
    ]


def shares(cells: Sequence[Cell]) -> Figure:
    """Which reward the decisions outside follow."""

    def draw(axes: "Axes") -> None:
        for place, (name, label) in enumerate((("search_follows_r", "r"), ("search_follows_other", "r'"))):
            found = [figure(cells, arm, "outside", name) for arm in ARMS]
            heights = [one.mean if one else 0.0 for one in found]
            at = [number + 0.4 * place - 0.2 for number in range(len(ARMS))]
            axes.bar(at, heights, 0.38, label=f"best by {label}")
            for x, one in zip(at, found, strict=True):
                if one is not None and one.low is not None and one.high is not None:
                    axes.plot([x, x], [one.low, one.high], color="black")
        axes.set(xticks=range(len(ARMS)), ylabel="share of decisions outside", ylim=(0, 1))
        axes.set_xticklabels([arm.replace("_", "\n") for arm in ARMS])
        axes.legend()

    return Figure("follows", "Decisions where no move is best by both rewards, by search; bars: 95 % intervals.", draw)


def write_pages(
    folder: Path, game: str, seeds: int, settings: dict[str, Any], sizes: dict[str, int], cells: Sequence[Cell]
) -> dict[str, Any]:
    """The pages of the study; returns what results.json holds."""
    data = {
        "game": game,
        "seeds": seeds,
        "settings": settings,
        "positions": sizes,
        "cells": [cell._asdict() for cell in cells],
    }
    command = f"azero compare {game} --study explicit_reward --seeds {seeds} --out {folder}"
    title = f"A known reward against a learned one on {game}"
    found = findings(cells, settings["left_out"])
    return write_results(folder, title, found, tables(cells, settings, sizes), [shares(cells)], data, [command])
