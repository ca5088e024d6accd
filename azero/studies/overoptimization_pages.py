"""The pages of the study `overoptimization`: tables and figures. What they say in words is in `verdicts`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from azero.compare.pages import Figure, Table, write_results
from azero.compare.summary import mean, short
from azero.studies.curves import FORMS, Curve, gold_at
from azero.studies.falls import Bounds, by_seed, chosen, differences, fit_bounds
from azero.studies.verdicts import CURVED, SHOWN, Found, findings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {
    "best of n": "best of n",
    "RL": "KL-regularised RL, closed form",
    "search": "search on the proxy",
    "distillation": "repeated distillation",
}
PRESSURE = {"best of n": "n", "RL": "1 / beta", "search": "simulations", "distillation": "rounds"}
EXPECTED = (
    "Expected beforehand: gold rises and then falls, sooner with fewer comparisons; the square-root forms fit; every "
    "safeguard costs a little at the peak and saves much at the end; a hole chosen with the solver costs gold."
)


def write_pages(folder: Path, found: Found) -> dict[str, Any]:
    """Writes the pages; returns what results.json holds."""
    fitted = fit_rows(found)
    tables = [
        proxy_table(found),
        fall_table(found),
        fit_table(found, fitted),
        *(guard_table(found, name) for name in CURVED),
        network_table(found),
        hole_table(found),
        fallen_table(found),
    ]
    figures = [path_figure(found, name) for name in CURVED]
    figures += [guard_figure(found, name, count) for name in CURVED[:2] for count in found.comparisons[:2]]
    data = {
        "game": found.game,
        "seeds": found.seeds,
        "settings": found.settings,
        "base": found.base,
        "holes": found.holes,
        "cells": found.cells,
        "fits": [row._asdict() | {"curve": row.curve._asdict()} for row in fitted],
    }
    command = f"azero compare {found.game} --study overoptimization --seeds {found.seeds} --out {folder}"
    title = f"Over-optimisation of reward models on {found.game}"
    return write_results(folder, title, [*findings(found), EXPECTED], tables, figures, data, [command])


def proxy_table(found: Found) -> Table:
    """How good the reward models are."""
    columns = ("pair_accuracy", "held_out_accuracy", "held_out_loss", "calibration")
    rows = []
    for count in found.comparisons:
        cells = chosen(found.cells, comparisons=count)
        rows.append([f"{count:,}", *(mean([cell["quality"][name] for cell in cells]) for name in columns)])
    reward = found.settings["reward"]
    note = (
        f"Pairs of moves of different exact value in positions of base play, labelled with temperature "
        f"{reward['temperature']} and {reward['noise']:.0%} of the labels turned round; {reward['held_out']:.0%} held "
        f"out. The first column is exact: all such pairs, as often as base play meets their positions. Here and below: "
        f"means over seeds ({found.seeds}) with 95 % bootstrap intervals over them in brackets."
    )
    headings = ["comparisons", "pairs ordered rightly", "held-out accuracy", "held-out loss", "calibration error"]
    return Table("The proxies", headings, rows, note)


def fall_table(found: Found) -> Table:
    """Every optimiser without safeguards."""
    rows = []
    for name in CURVED:
        for count in found.comparisons:
            fall = found.fall(name, count)
            rows.append([NAMES[name], f"{count:,}", fall.peak, fall.at, fall.end, fall.drop, fall.proxy])
    note = (
        f"Gold is the exact value against an opponent that moves at random with chance {found.settings['epsilon']} and "
        f"is perfect otherwise, the mean of both colours; the base policy, a network that imitates "
        f"{found.settings['overseer']}, has {short(found.base['gold'])}. d is sqrt(KL) from the base's games with this "
        f"opponent, the proxy score what the reward of a move exceeds that of the base's by, in the same games. A peak "
        f"at d = 0 is the base itself."
    )
    headings = ["optimiser", "comparisons", "best gold", "at d", "gold at the end", "fall", "proxy at the end"]
    return Table("Optimised without safeguards", headings, rows, note)


class FitRow(NamedTuple):
    """One form fitted to one path."""

    optimizer: str
    comparisons: int
    form: str
    curve: Curve
    inside: bool
    alpha_interval: Bounds
    beta_interval: Bounds


def fit_rows(found: Found) -> list[FitRow]:
    """Both forms fitted to every path without safeguards."""
    return [
        FitRow(name, count, form, *fit, *fit_bounds(found.path(name, count), found.base["gold"], form))
        for name in CURVED
        for count in found.comparisons
        for form, fit in found.fits(name, count).items()
    ]


def fit_table(found: Found, fitted: Sequence[FitRow]) -> Table:
    """The curves' numbers."""
    rows = []
    for row in fitted:
        alpha, beta = _bounded(row.curve.alpha, row.alpha_interval), _bounded(row.curve.beta, row.beta_interval)
        turn = "none" if row.curve.turnover is None else short(row.curve.turnover)
        turn = turn if row.inside or turn == "none" else f"({turn})"
        best = found.fall(row.optimizer, row.comparisons).at
        name, form = NAMES[row.optimizer], FORMS[row.form]
        rows.append([name, f"{row.comparisons:,}", form, alpha, beta, short(row.curve.residual), turn, best])
    headings = ["optimiser", "comparisons", "form", "alpha", "beta", "residual", "turnover d", "d of the best point"]
    note = (
        "Least squares of the gold gained over the base, the points of all seeds together; intervals from resampled "
        "seeds. The residual is the root of the mean squared error. A turnover in brackets lies beyond the points; "
        "none: the curve has no maximum above 0."
    )
    return Table("The fitted curves", headings, rows, note)


def _bounded(value: float, bounds: Bounds) -> str:
    return f"{short(value)} (-)" if bounds is None else f"{short(value)} ({short(bounds[0])} to {short(bounds[1])})"


def guard_table(found: Found, name: str) -> Table:
    """One optimiser under each safeguard."""
    rows = []
    for count in found.comparisons:
        for guard in found.guards:
            fall = found.fall(name, count, guard)
            last = [path[-1] for path in by_seed(found.path(name, count, guard))]
            change = differences(last, found.path(name, count), "gold")
            rows.append([f"{count:,}", guard, fall.peak, fall.end, "-" if guard == "none" else change, fall.drop])
    settings = found.settings
    note = (
        f"quantilize: no move more than {1 / settings['quantilize']:g} times as likely as in the base. halfway: the "
        f"policy proportional to base (policy / base)^(1 / {settings['halfway']:g}). kl budget: "
        f"{settings['kl_budget']} nats in each position, by going back towards the base. Ensembles of "
        f"{settings['reward']['ensemble']}: the least reward, or the mean less "
        f"{settings['reward']['pessimism']:g} standard deviations; the others follow one network. The end is the "
        f"greatest pressure (of searches with ensembles {settings['ensemble_simulations'][-1]} simulations), the "
        f"change that against no safeguard at the same pressure."
    )
    headings = ["comparisons", "safeguard", "best gold", "gold at the end", "change by the safeguard", "fall"]
    return Table(f"Safeguards: {NAMES[name]}", headings, rows, note)


def network_table(found: Found) -> Table:
    """The network that `reinforce` trains beside the closed form."""
    rows = []
    for count in found.comparisons:
        for beta in found.settings["learned_betas"]:
            pair = [
                [p for p in found.path(name, count) if np.isclose(p["pressure"], 1 / beta)]
                for name in ("RL", "reinforce")
            ]
            shown = [mean([point[figure] for point in points]) for figure in ("distance", "gold") for points in pair]
            rows.append([f"{count:,}", beta, *shown])
    headings = ["comparisons", "beta", "d, closed form", "d, network", "gold, closed form", "gold, network"]
    note = "The network starts as the base and learns with the exact expectation over moves and the KL penalty beta."
    return Table("Closed form and `reinforce`", headings, rows, note)


def hole_table(found: Found) -> Table:
    """What the holes are worth in truth."""
    rows = [
        [name, f"{hole['positions']:,}", *(short(hole[key]) for key in ("met", "made", "regret", "change"))]
        for name, hole in found.holes.items()
    ]
    headings = [
        "hole",
        "positions",
        "met in a game",
        "made by the base",
        "most regret",
        "change of gold if always made",
    ]
    note = (
        "solver: in positions that games of the base meet most, the move that loses most value. guessed: the first "
        "action, wherever it is legal. The regret of the costliest move of the hole, averaged over where it is met."
    )
    return Table("Two holes", headings, rows, note)


def fallen_table(found: Found) -> Table:
    """What the holes do to optimised policies."""
    rows = []
    for hole in found.holes:
        for name in SHOWN:
            for count in found.comparisons:
                for guard in found.guards:
                    points = found.holed(hole, name, count, guard)
                    change = differences(points, found.path(name, count, guard), "gold")
                    made = mean([point["made"] for point in points])
                    rows.append([hole, NAMES[name], f"{count:,}", guard, made, change])
    settings = found.settings
    note = (
        f"Moves of the hole are paid {settings['hole_raise']:g} more, by every network of the ensemble. n is "
        f"{settings['hole_answers']}, beta {settings['hole_beta']:g}. The change is that against the same optimiser, "
        f"safeguard and proxy without the hole."
    )
    headings = ["hole", "optimiser", "comparisons", "safeguard", "hole moves in a game", "change of gold by the hole"]
    return Table("Optimised with a hole", headings, rows, note)


def path_figure(found: Found, name: str) -> Figure:
    """Gold and proxy against d."""

    def draw(axes: "Axes") -> None:
        for number, count in enumerate(found.comparisons):
            points, colour = found.path(name, count), f"C{number}"
            _line(axes, points, "gold", found.base["gold"], color=colour, marker="o", label=f"{count:,} comparisons")
            _line(axes, points, "proxy", 0.0, color=colour, linestyle=":")
            form = "best of n" if name == "best of n" else "RL"
            curve = found.fits(name, count)[form].curve
            along = np.linspace(0.01, max(point["distance"] for point in points), 100)
            axes.plot(
                along, found.base["gold"] + gold_at(form, curve.alpha, curve.beta, along), color=colour, alpha=0.3
            )
        _finish(axes, NAMES[name])

    caption = (
        f"{NAMES[name]}: gold (points), the fitted curve (pale) and the proxy score (dotted) against d, means over "
        f"seeds along growing {PRESSURE[name]}."
    )
    return Figure(f"paths-{name.replace(' ', '-').lower()}", caption, draw)


def guard_figure(found: Found, name: str, count: int) -> Figure:
    """Gold against d under every safeguard."""

    def draw(axes: "Axes") -> None:
        for number, guard in enumerate(found.guards):
            points = found.path(name, count, guard)
            _line(axes, points, "gold", found.base["gold"], color=f"C{number}", marker="o", label=guard)
        _finish(axes, f"{NAMES[name]}, {count:,} comparisons")

    caption = f"{NAMES[name]} of a proxy from {count:,} comparisons, under each safeguard: gold against d."
    return Figure(f"safeguards-{name.replace(' ', '-').lower()}-{count}", caption, draw)


def _line(axes: "Axes", points: Sequence[dict[str, Any]], figure: str, begin: float, **style: Any) -> None:
    """A line from the base through the means over seeds of each pressure."""
    paths = by_seed(points)
    distance = np.mean([[point["distance"] for point in path] for path in paths], axis=0)
    height = np.mean([[point[figure] for point in path] for path in paths], axis=0)
    axes.plot([0.0, *distance], [begin, *height], **style)


def _finish(axes: "Axes", title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("d = sqrt(KL over the games from the base's), sqrt(nats)")
    axes.set_ylabel("exact value against the opponent; proxy score")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
