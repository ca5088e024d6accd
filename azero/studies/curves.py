"""The curves of over-optimisation: gold gained against d = sqrt(KL).

Gao, Schulman, Hilton: Scaling Laws for Reward Model Overoptimization, 2022. For the best of n,
R = d (alpha - beta d); for reinforcement learning, R = d (alpha - beta log d).
"""

import math
from typing import NamedTuple

import numpy as np

FORMS = {"best of n": "d (alpha - beta d)", "RL": "d (alpha - beta log d)"}


class Curve(NamedTuple):
    """A form fitted to points by least squares."""

    alpha: float
    beta: float
    residual: float  # root of the mean squared error, in gold
    turnover: float | None  # d of the maximum; None where the curve does not turn down


def gold_at(form: str, alpha: float, beta: float, distance: np.ndarray) -> np.ndarray:
    """What a curve says of each d > 0, float64 [M]."""
    return distance * (alpha - beta * _bend(form, distance))


def fitted(form: str, distance: np.ndarray, gain: np.ndarray) -> Curve:
    """The curve of a form in FORMS that is nearest to the points; both pass through no gain at d = 0.

    Args:
      distance: float64 [M], d; points at 0 say nothing and are left out.
      gain: float64 [M], gold less that of the base.

    Raises:
      ValueError: there are fewer than two different d above 0, or no such form.
    """
    if form not in FORMS:
        raise ValueError(f"there is no form {form!r} of a curve; forms are {', '.join(FORMS)}")
    away = distance > 0
    distance, gain = distance[away], gain[away]
    if len(np.unique(distance)) < 2:
        raise ValueError(f"a curve with two numbers needs points at two different d above 0, not {len(distance)}")
    terms = np.stack([distance, -distance * _bend(form, distance)], axis=1)
    (alpha, beta), *_ = np.linalg.lstsq(terms, gain, rcond=None)
    error = gain - terms @ np.array([alpha, beta])
    return Curve(float(alpha), float(beta), float(np.sqrt(np.mean(error**2))), turnover(form, alpha, beta))


def turnover(form: str, alpha: float, beta: float) -> float | None:
    """The d at which a curve is highest: alpha / 2 beta, or exp(alpha / beta - 1). None where it has no such point."""
    if beta <= 0 or (form == "best of n" and alpha <= 0):
        return None
    exponent = alpha / beta - 1
    if form == "best of n":
        return float(alpha / (2 * beta))
    return math.exp(exponent) if exponent < 50 else None


def _bend(form: str, distance: np.ndarray) -> np.ndarray:
    return distance if form == "best of n" else np.log(distance)
