"""How far gold rises and falls along the paths of the optimisers: aggregates over seeds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from azero.compare.summary import Mean, mean
from azero.studies.curves import FORMS, Curve, fitted

Point = dict[str, Any]  # a Score with its seed, comparisons, optimizer, pressure and safeguard

RESAMPLES = 1000
TAILS = (2.5, 97.5)  # percentiles


class Fall(NamedTuple):
    """Gold along a path of growing pressure, over seeds. The base stands at the begin of every path."""

    peak: Mean  # the best gold on the path
    at: Mean  # d where it was
    end: Mean  # gold at the greatest pressure
    drop: Mean  # peak less end
    gain: Mean  # end less the base
    proxy: Mean  # proxy score at the greatest pressure


class Fit(NamedTuple):
    """A form fitted to the points of all seeds."""

    curve: Curve
    inside: bool  # it turns down, within the d of the points


Bounds = tuple[float, float] | None  # 95 %, from resampled seeds; None with one seed


def chosen(points: Sequence[Point], **wanted: Any) -> list[Point]:
    """The points with these fields."""
    return [point for point in points if all(point[name] == value for name, value in wanted.items())]


def by_seed(points: Sequence[Point]) -> list[list[Point]]:
    """The points of each seed, pressure growing."""
    seeds = sorted({point["seed"] for point in points})
    return [sorted(chosen(points, seed=seed), key=lambda point: float(point["pressure"])) for seed in seeds]


def fall(points: Sequence[Point], base_gold: float) -> Fall:
    """The rise and fall along one path, whose points these are, of all seeds."""
    columns: dict[str, list[float]] = {name: [] for name in Fall._fields}
    for path in by_seed(points):
        gold = np.array([base_gold, *(point["gold"] for point in path)])
        best = int(gold.argmax())
        columns["peak"].append(float(gold[best]))
        columns["at"].append(path[best - 1]["distance"] if best else 0.0)
        columns["end"].append(float(gold[-1]))
        columns["drop"].append(float(gold[best] - gold[-1]))
        columns["gain"].append(float(gold[-1] - base_gold))
        columns["proxy"].append(path[-1]["proxy"])
    return Fall(**{name: mean(values) for name, values in columns.items()})


def differences(points: Sequence[Point], others: Sequence[Point], figure: str) -> Mean:
    """A figure of points less that of others at the same seed, comparisons, optimizer and pressure."""
    names = ("seed", "comparisons", "optimizer", "pressure")
    known = {tuple(other[name] for name in names): other[figure] for other in others}
    per_seed: dict[int, list[float]] = {}
    for point in points:
        other = known[tuple(point[name] for name in names)]
        per_seed.setdefault(point["seed"], []).append(point[figure] - other)
    return mean([float(np.mean(values)) for values in per_seed.values()])


def fits(points: Sequence[Point], base_gold: float) -> dict[str, Fit]:
    """Each form of a curve, fitted to the gold that is gained along one path."""
    distance, gain = np.concatenate(_gained(points, base_gold)).T
    curves = {form: fitted(form, distance, gain) for form in FORMS}
    return {form: Fit(curve, (curve.turnover or np.inf) <= distance.max()) for form, curve in curves.items()}


def fit_bounds(points: Sequence[Point], base_gold: float, form: str) -> tuple[Bounds, Bounds]:
    """Intervals of alpha and of beta."""
    tables = _gained(points, base_gold)
    if len(tables) == 1:
        return None, None
    picks = np.random.default_rng(0).integers(len(tables), size=(RESAMPLES, len(tables)))
    again = [fitted(form, *np.concatenate([tables[row] for row in rows]).T)[:2] for rows in picks]
    low, high = np.percentile(np.array(again), TAILS, axis=0).tolist()
    return (low[0], high[0]), (low[1], high[1])


def _gained(points: Sequence[Point], base_gold: float) -> list[np.ndarray]:
    """d and gold gained, float64 [M, 2], of each seed."""
    return [np.array([[point["distance"], point["gold"] - base_gold] for point in path]) for path in by_seed(points)]


def sure(found: Mean, above: float = 0.0) -> bool:
    """The whole interval lies above; with one seed, the value does."""
    return (found.mean if found.low is None else found.low) > above
