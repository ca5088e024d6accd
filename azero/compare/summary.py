"""Figures of many runs -> one mean and interval for each variant. Imports no JAX."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

RESAMPLES = 10_000
SEED = 0
TAILS = (2.5, 97.5)  # percentiles


class Mean(NamedTuple):
    """A figure over seeds."""

    mean: float
    low: float | None  # 95 % interval; None with one seed, or where a value is infinite
    high: float | None
    values: list[float]  # of the seeds that have it

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{short(self.mean)} (-)"
        same = self.low == self.high
        return short(self.mean) if same else f"{short(self.mean)} ({short(self.low)} to {short(self.high)})"


def mean(values: Sequence[float]) -> Mean:
    """The mean with its percentile bootstrap interval (Efron 1979): RESAMPLES draws, always the same.

    Raises:
      ValueError: there are no values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    numbers = np.asarray(values, float)
    if len(numbers) == 1 or not np.isfinite(numbers).all():
        return Mean(float(numbers.mean()), None, None, numbers.tolist())
    drawn = np.random.default_rng(SEED).integers(len(numbers), size=(RESAMPLES, len(numbers)))
    low, high = np.percentile(numbers[drawn].mean(axis=1), TAILS)
    return Mean(float(numbers.mean()), float(low), float(high), numbers.tolist())


def aggregate(runs: Sequence[Mapping[str, float | None]]) -> dict[str, Mean]:
    """The figures of a variant's runs, each over the seeds that have it, in the order of the first run."""
    names = dict.fromkeys(name for run in runs for name in run)
    columns = {name: [value for run in runs if (value := run.get(name)) is not None] for name in names}
    return {name: mean(values) for name, values in columns.items() if values}


def as_json(means: Mapping[str, Mean]) -> dict[str, Any]:
    """For JSON: `mean`, `interval` (two numbers or None) and `values` of each figure."""
    return {
        name: {
            "mean": found.mean,
            "interval": None if found.low is None else [found.low, found.high],
            "values": found.values,
        }
        for name, found in means.items()
    }


def short(number: float) -> str:
    """A number with three digits or so, and thousands in full: 0.0012, 0.012, 1.46, 12,345."""
    if not math.isfinite(number):
        return str(number)
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}"
    places = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.01 else 4
    return f"{number:.{places}f}"
