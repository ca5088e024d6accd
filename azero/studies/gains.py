"""What students came to: what was measured of each, intervals over seeds, and where two lessons' curves cross.

Shape letters: S seeds, C students, the smallest first.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

LESSONS = ("plain", "sharp", "halfway", "approval", "outcome")
IMITATED, REMEDIES = LESSONS[:2], LESSONS[2:]
STATES = ("all", "own")
PLAYS = ("sampled", "argmax")
MEASURES = ("regret", "0.1", "0.3", "0.6")  # decisive regret; value against the opponent that errs so often
RESAMPLES = 10_000


class Arm(NamedTuple):
    """One way to learn."""

    lesson: str  # of LESSONS
    states: str  # of STATES: each position as often, or as the student meets them against the opponent


class Cell(NamedTuple):
    """One student taught once."""

    student: str
    parameters: int
    arm: Arm
    seed: int
    figures: dict[str, Any]  # "sampled" and "argmax": `exact.report` of each
    seconds: float


class Spread(NamedTuple):
    """A mean over seeds, and where 95 % of the means of resampled seeds lie; None with one seed."""

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.mean:+.3f}"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    @property
    def sign(self) -> int:
        """-1 or 1 where the interval lies wholly on that side of 0, else 0; 0 without an interval."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


@functools.cache
def resamples(seeds: int) -> np.ndarray:
    """int64 [RESAMPLES, S]: seeds drawn with replacement, the same ones each time."""
    return np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))


def spread(values: np.ndarray) -> Spread:
    """Of float64 [S], by the percentile bootstrap."""
    if len(values) < 2:
        return Spread(float(values.mean()), None, None)
    low, high = np.percentile(values[resamples(len(values))].mean(axis=1), [2.5, 97.5])
    return Spread(float(values.mean()), float(low), float(high))


def crossing(gains: np.ndarray) -> tuple[int, tuple[int, int] | None]:
    """From which student on, and for all larger ones, the mean gain is 0 or more; C where the largest still loses.

    Args:
      gains: float64 [C, S], of the sharp teacher's student over the plain one's.

    Returns:
      Its index and the 95 % interval of it over resampled seeds, None with one seed.
    """
    seeds = gains.shape[1]
    point = int(_first_of_the_rest(gains.mean(axis=1)[:, None])[0])
    if seeds < 2:
        return point, None
    found = _first_of_the_rest(gains[:, resamples(seeds)].mean(axis=2))
    low, high = np.percentile(found, [2.5, 97.5], method="nearest")
    return point, (int(low), int(high))


def _first_of_the_rest(means: np.ndarray) -> np.ndarray:
    """int64 [K], of means [C, K]: 1 + the last index below 0, or 0."""
    below = means < 0
    last: np.ndarray = len(means) - below[::-1].argmax(axis=0)
    return np.where(below.any(axis=0), last, 0)


def measured(figures: dict[str, Any], play: str, measure: str) -> float:
    """One number of a student or teacher."""
    report = figures[play]
    found: float = report["regret"]["decisive"] if measure == "regret" else report["value_against"][measure]
    return found


class Found(NamedTuple):
    """All that was measured."""

    seeds: int
    parameters: dict[str, int]  # of each student by name, the smallest first
    figures: dict[tuple[str, Arm, int], dict[str, Any]]  # by student, arm and seed

    @property
    def students(self) -> list[str]:
        """Their names, the smallest first."""
        return list(self.parameters)


def collected(cells: Sequence[Cell], seeds: int) -> Found:
    """The cells of a whole study."""
    cells = sorted(cells, key=lambda cell: cell.parameters)
    parameters = {cell.student: cell.parameters for cell in cells}
    return Found(seeds, parameters, {(cell.student, cell.arm, cell.seed): cell.figures for cell in cells})


def values(found: Found, student: str, lesson: str, states: str, play: str, measure: str) -> np.ndarray:
    """float64 [S]."""
    figures = (found.figures[student, Arm(lesson, states), seed] for seed in range(found.seeds))
    return np.array([measured(one, play, measure) for one in figures])


def gain(found: Found, student: str, lesson: str, over: str, states: str, play: str, measure: str) -> np.ndarray:
    """float64 [S], seed by seed: above 0 where the lesson serves the student better than the other one."""
    ours, theirs = (values(found, student, name, states, play, measure) for name in (lesson, over))
    return theirs - ours if measure == "regret" else ours - theirs


def sharp_gains(found: Found, states: str, play: str, measure: str) -> np.ndarray:
    """float64 [C, S]: what the sharp teacher's student gains over the plain one's."""
    return np.stack([gain(found, name, "sharp", "plain", states, play, measure) for name in found.students])


def best(found: Found, student: str, states: str, play: str, measure: str, among: Sequence[str]) -> str:
    """The lesson with the best mean among these."""
    return max(among, key=lambda name: gain(found, student, name, "plain", states, play, measure).mean())
