"""Ratings by the Bradley-Terry model (1952), fitted by choix, with bootstrap intervals over pairs of games."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

ELO = 400 / math.log(10)  # what a unit of the model's logit is worth
ALPHA = 1e-6  # choix's regularisation: no more than its arithmetic needs
STEPS = 10_000  # of choix's iteration at most; it takes about ten
RESAMPLES = 1000
SPARE = 0.5  # games taken off a side that has won them all


class Match(NamedTuple):
    """All games between two players."""

    first: str
    second: str
    pairs: tuple[float, ...]  # points per game of the first in each pair of games with one opening: 0 to 1 by quarters
    wins: int  # of the first
    draws: int
    losses: int
    gave_up: tuple[int, int] = (0, 0)  # of these games, those that the first and the second gave up or forfeited


class Rating(NamedTuple):
    """How strong a player is."""

    player: str
    elo: float
    low: float | None  # 95 % interval of `elo`, that of the anchor being certain; None where it has no end
    high: float | None
    games: int
    score: float  # points per game


def rate(
    matches: Sequence[Match], anchor: str, anchor_elo: float = 0.0, seed: int = 0, resamples: int = RESAMPLES
) -> list[Rating]:
    """The ratings of all players whom a chain of matches connects with the anchor, the strongest first.

    A draw counts as half a win of each. Where one side has every point of all games between it and the others, no
    finite difference fits: half a game is taken off it, shared by those matches, and the interval has no end on that
    side. The intervals are percentiles of resamples, in which the pairs of each match are drawn with repetition, for
    the two games of a pair share an opening (`_resampled`). What is taken off is drawn there as well, Gamma(1/2) pairs,
    which is what is known of the chance of an event that was never seen (Jeffreys).

    Args:
      matches: two players meet in one of them at most.
      anchor: the player whose Elo is `anchor_elo`.
      seed: of the resamples.

    Raises:
      ValueError: the anchor has not played.
    """
    names = list(dict.fromkeys(name for match in matches for name in (match.first, match.second)))
    if anchor not in names:
        raise ValueError(f"the anchor {anchor} has played no match; players are {', '.join(names)}")
    known = connected(((match.first, match.second) for match in matches), anchor)
    matches = [match for match in matches if match.first in known]
    names = [name for name in names if name in known]
    fixed = names.index(anchor)
    seats = np.array([(names.index(match.first), names.index(match.second)) for match in matches])
    scores = [np.array(match.pairs) for match in matches]
    points = _points(len(names), seats, scores, [float(pairs.sum()) for pairs in scores])
    elo = _fit(points, np.full(len(names), SPARE))
    drawn = _resampled(seats, scores, elo, seed, resamples)
    low, high = np.percentile(drawn - drawn[:, [fixed]], (2.5, 97.5), axis=0, method="weibull") + anchor_elo
    above = _reaches(points > 0)
    unbeaten = above[:, fixed] & ~above[fixed]  # as far as the anchor is concerned
    unwinning = above[fixed] & ~above[:, fixed]
    games = points + points.T
    found = [
        Rating(
            name,
            float(elo[row] - elo[fixed] + anchor_elo),
            None if unwinning[row] else float(low[row]),
            None if unbeaten[row] else float(high[row]),
            round(games[row].sum()),
            float(points[row].sum() / games[row].sum()),
        )
        for row, name in enumerate(names)
    ]
    return sorted(found, key=lambda rating: -rating.elo)


def connected(pairings: Iterable[tuple[str, str]], player: str) -> set[str]:
    """The players to whom a chain of pairings leads from one of them, and that one."""
    links = [set(pairing) for pairing in pairings]
    found = {player}
    while near := {name for link in links if link & found for name in link} - found:
        found |= near
    return found


def _points(count: int, seats: np.ndarray, scores: Sequence[np.ndarray], sums: Sequence[float]) -> np.ndarray:
    """float64 [K, K]: what each player has taken off each other one, in points.

    Args:
      sums: of each match the sum of its pair scores, or what is put in its place.
    """
    points = np.zeros((count, count))
    for (first, second), pairs, total in zip(seats, scores, sums, strict=True):
        points[first, second] = 2 * total
        points[second, first] = 2 * (len(pairs) - total)
    return points


def _resampled(
    seats: np.ndarray, scores: Sequence[np.ndarray], start: np.ndarray, seed: int, resamples: int
) -> np.ndarray:
    """float64 [R, K]: Elo from resamples of the pairs of each match.

    The deviation of one more pair is added to the sum of those drawn, one that had the largest variance that the mean
    m of the match allows, m (1 - m): so much is not known where the pairs are few, or all alike. It is what
    `azero.score.pair_variance` reckons with.

    Args:
      start: Elo [K] to begin the fits from.
    """
    chance = np.random.default_rng(seed)
    count = len(start)
    spreads = [math.sqrt(pairs.mean() * (1 - pairs.mean())) for pairs in scores]
    found = np.empty((resamples, count))
    for row in range(resamples):
        sums = []
        for pairs, spread in zip(scores, spreads, strict=True):
            total = chance.choice(pairs, len(pairs)).sum() + chance.normal(0, spread)
            sums.append(min(max(total, 0.0), float(len(pairs))))
        points = _points(count, seats, scores, sums)
        found[row] = _fit(points, 2 * chance.gamma(0.5, size=count), start)
    return found


def _fit(points: np.ndarray, spare: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Elo [K], up to a constant, from points [K, K]; `spare` [K] are the games taken off sides that have won all."""
    import choix

    begin = None if start is None else start / ELO
    shared = _shared(points, spare)
    found: np.ndarray = choix.ilsr_pairwise_dense(shared, ALPHA, begin, STEPS, tol=1e-5)
    return found * ELO


def _shared(points: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """The points, with `spare` games taken off each side that has every point of its games with the others.

    Who has beaten somebody, or one who has, and so on, stands above him. Players in the order of how many they
    stand above: between two who differ in that, and only there, the upper side can have won all.
    """
    above = _reaches(points > 0)
    rank = above.sum(axis=1)
    points = points.copy()
    for cut, games in zip(np.unique(rank)[1:], spare, strict=False):
        upper = rank >= cut
        winners, losers = np.nonzero((points + points.T > 0) & upper[:, None] & ~upper)
        part = games / max(1, len(winners))
        taken = np.minimum(part, points[winners, losers] / 2)
        points[losers, winners] += taken
        points[winners, losers] -= taken
    return points


def _reaches(beats: np.ndarray) -> np.ndarray:
    """bool [K, K]: where a chain of `beats` [K, K] leads from the row to the column; everyone reaches himself."""
    reach: np.ndarray = beats | np.eye(len(beats), dtype=bool)
    for _ in range(len(beats).bit_length()):
        reach = reach @ reach
    return reach
