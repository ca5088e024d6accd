"""What the study `overoptimization` found, in sentences that are made from its numbers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from azero.compare.summary import mean, short
from azero.studies.falls import Fall, Fit, Point, by_seed, chosen, differences, fall, fits, sure

CURVED = ("best of n", "RL", "search", "distillation")  # optimisers with a path of their own
SHOWN = ("best of n", "RL")  # optimisers that meet holes
FELL = 0.02  # gold, a fall worth the name


class Found(NamedTuple):
    """All figures of a study."""

    game: str
    seeds: int
    settings: dict[str, Any]
    base: dict[str, float]  # its Score
    holes: dict[str, dict[str, float]]
    cells: list[dict[str, Any]]

    @property
    def comparisons(self) -> list[int]:
        """Sizes of the proxies, growing."""
        return sorted({cell["comparisons"] for cell in self.cells})

    @property
    def guards(self) -> list[str]:
        """Safeguards, none first."""
        return list(dict.fromkeys(point["safeguard"] for point in self.cells[0]["points"]))

    def path(self, optimizer: str, count: int, guard: str = "none") -> list[Point]:
        """The points of one path, of all seeds."""
        return self._chosen("points", optimizer, count, guard)

    def holed(self, hole: str, optimizer: str, count: int, guard: str = "none") -> list[Point]:
        """The points of one optimiser with a hole, of all seeds."""
        return chosen(self._chosen("holes", optimizer, count, guard), hole=hole)

    def _chosen(self, kind: str, optimizer: str, count: int, guard: str) -> list[Point]:
        cells = chosen(self.cells, comparisons=count)
        return chosen([point for cell in cells for point in cell[kind]], optimizer=optimizer, safeguard=guard)

    def fall(self, optimizer: str, count: int, guard: str = "none") -> Fall:
        """How gold rose and fell along one path."""
        return fall(self.path(optimizer, count, guard), self.base["gold"])

    def fits(self, optimizer: str, count: int) -> dict[str, Fit]:
        """Both forms fitted to one path without safeguards."""
        return fits(self.path(optimizer, count), self.base["gold"])


def findings(found: Found) -> list[str]:
    """One sentence for each question of the study."""
    return [*_fallen(found), _forms(found), *_safeguards(found), _network(found), *_holes(found)]


def _fallen(found: Found) -> list[str]:
    """Which proxies were over-optimised, and by which optimiser."""
    sentences = []
    for name in CURVED:
        falls = {count: found.fall(name, count) for count in found.comparisons}
        fell = [count for count, each in falls.items() if sure(each.drop, FELL)]
        worse = [count for count, each in falls.items() if sure(each.gain._replace(**_negative(each.gain)))]
        first, last = falls[found.comparisons[0]], falls[found.comparisons[-1]]
        sentences.append(
            f"{_begin(name)}: gold fell by more than {FELL} from its best {_sizes(fell)}, and ended below the base's "
            f"{short(found.base['gold'])} {_sizes(worse)}; the fall was {first.drop} from {found.comparisons[0]:,} "
            f"comparisons and {last.drop} from {found.comparisons[-1]:,}."
        )
    return sentences


def _negative(gain: Any) -> dict[str, Any]:
    """The fields of a mean turned round."""
    bounds = {"low": None, "high": None} if gain.low is None else {"low": -gain.high, "high": -gain.low}
    return {"mean": -gain.mean, **bounds}


def _begin(name: str) -> str:
    return name[0].upper() + name[1:]


def _sizes(counts: Sequence[int]) -> str:
    return f"with {', '.join(f'{count:,}' for count in counts)} comparisons" if counts else "with no proxy"


def _forms(found: Found) -> str:
    """Which form fits which optimiser."""
    parts = []
    for name in CURVED:
        all_fits = [found.fits(name, count) for count in found.comparisons]
        errors = {form: float(np.mean([each[form].curve.residual for each in all_fits])) for form in all_fits[0]}
        best = min(errors, key=lambda form: errors[form])
        turning = sum(each[best].inside for each in all_fits)
        shown = " against ".join(short(errors[form]) for form in sorted(errors, key=lambda form: errors[form]))
        parts.append(
            f"{name} by the form of {best} (residual {shown}; it turns down within the points for {turning} of "
            f"{len(all_fits)} proxies)"
        )
    return f"Of the two forms, these fitted best: {'; '.join(parts)}."


def _safeguards(found: Found) -> list[str]:
    """What each safeguard did at the greatest pressure, and to the best gold."""
    sentences = []
    for guard in found.guards[1:]:
        better, worse, raised = [], [], 0
        for name in CURVED:
            for count in found.comparisons:
                last = [path[-1] for path in by_seed(found.path(name, count, guard))]
                change = differences(last, found.path(name, count), "gold")
                if sure(change):
                    better.append(change.mean)
                if sure(change._replace(**_negative(change))):
                    worse.append(change.mean)
                raised += found.fall(name, count, guard).peak.mean > found.fall(name, count).peak.mean
        sure_word = "surely " if found.seeds > 1 else ""  # one seed has no interval
        total = len(CURVED) * len(found.comparisons)
        sentences.append(
            f"Safeguard {guard}: at the greatest pressure gold was {sure_word}higher in {_average(better)} of {total} "
            f"pairs of optimiser and proxy and {sure_word}lower in {_average(worse)}; the best gold on the path was "
            f"higher in {raised}."
        )
    return sentences


def _average(changes: Sequence[float]) -> str:
    return f"{len(changes)} (by {short(float(np.mean(np.abs(changes))))} on average)" if changes else "0"


def _network(found: Found) -> str:
    """Whether the network that `reinforce` trains went where the closed form says."""
    gaps: dict[str, list[float]] = {"distance": [], "gold": []}
    for count in found.comparisons:
        known = {(point["seed"], round(point["pressure"], 6)): point for point in found.path("RL", count)}
        for point in found.path("reinforce", count):
            closed = known[point["seed"], round(point["pressure"], 6)]
            for figure in gaps:
                gaps[figure].append(abs(point[figure] - closed[figure]))
    return (
        f"A network trained by reinforce ended {short(float(np.mean(gaps['distance'])))} from the closed form in d and "
        f"{short(float(np.mean(gaps['gold'])))} in gold, on average over proxies and beta."
    )


def _holes(found: Found) -> list[str]:
    """What falling into each hole did."""
    sentences = []
    for hole, facts in found.holes.items():
        parts = []
        for name in SHOWN:
            changes, made = [], []
            for count in found.comparisons:
                points = found.holed(hole, name, count)
                changes.append(differences(points, found.path(name, count), "gold"))
                made += [point["made"] for point in points]
            per_seed = mean([float(np.mean(seed)) for seed in zip(*(each.values for each in changes), strict=True)])
            parts.append(
                f"{name} made {short(float(np.mean(made)))} of its moves a game and its gold changed by {per_seed}"
            )
        way = "lowers" if facts["change"] < 0 else "raises" if facts["change"] > 0 else "does not change"
        named = "hole chosen with the solver" if hole == "solver" else "guessed hole"
        sentences.append(
            f"The {named}: making its moves always {way} the base's gold ({short(facts['change'])}); with it in the "
            f"reward, {' and '.join(parts)}, the mean over proxies."
        )
    return sentences
