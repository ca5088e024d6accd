"""What the points of games say of two players: counts, intervals, Elo, and when to stop counting."""

import math
from typing import NamedTuple

import numpy as np

Z = 1.959964  # two-sided 95 % of a normal distribution
ERROR = 0.05  # of a sequential test, of either kind


class Tally(NamedTuple):
    """Games won, drawn and lost."""

    wins: int
    draws: int
    losses: int


class MatchResult(NamedTuple):
    """A match, seen by the first of the two players."""

    wins: int
    draws: int
    losses: int
    score: float  # points per game: a win is 1, a draw 1/2
    elo: float  # difference that this score corresponds to; half a game is taken off a score of 0 or 1
    elo_interval: tuple[float | None, float | None]  # 95 %; None where it has no end
    superiority: float  # likelihood that the first player is the stronger
    by_colour: dict[str, Tally]  # "first": games in which the player moved first, "second": the others
    pairs: tuple[float, ...]  # points per game of each pair, in the order of the openings
    gave_up: tuple[int, int] = (0, 0)  # games that the first and the second player gave up or forfeited
    openings: int = 0  # different ones among the pairs; where there is chance, each pair has its own
    won: tuple[float, float | None, float | None] | None = None
    # in a game, in the game's units, and the ends of its 95 % interval; None where a win is just a win


class Sprt(NamedTuple):
    """A sequential probability ratio test (Wald 1945) of an Elo difference of at most `elo0` against one of `elo1`."""

    llr: float  # logarithm of the ratio of the likelihoods, of elo1 to elo0
    lower: float  # at or below it elo0 is accepted
    upper: float  # at or above it elo1 is
    accepted: str | None  # "elo0", "elo1", or None while more games are wanted


def match_result(as_first: np.ndarray, as_second: np.ndarray) -> MatchResult:
    """The result of a match from its points, float [pairs] each: 1, 1/2 or 0 for the first player.

    The pair is the unit of chance: its two games share an opening. The interval of the score is Wilson's, for as
    many games of win or loss as would leave the same uncertainty as the pairs do: n * m (1 - m) / v, with m the
    mean of n pairs and v their variance about it (`pair_variance`).

    Args:
      as_first, as_second: in the games that the player began, and in those with the same openings that it did not.
    """
    points = np.concatenate([as_first, as_second])
    score = float(points.mean())
    pairs = (as_first + as_second) / 2
    low, high = pair_interval(pairs)
    total = tally(points)
    spare = 0.5 / len(points)
    return MatchResult(
        *total,
        score=score,
        elo=elo(min(max(score, spare), 1 - spare)),
        elo_interval=(elo(low) if low > 0 else None, elo(high) if high < 1 else None),
        superiority=superiority(pairs),
        by_colour={"first": tally(as_first), "second": tally(as_second)},
        pairs=tuple(pairs.tolist()),
    )


def pair_variance(pairs: np.ndarray) -> float:
    """The variance of pair scores, float [n] in [0, 1], reckoned as if one more had had the largest that is possible.

    The largest variance that the mean m allows is m (1 - m), for m that of the pairs and of two halves more.
    """
    mean = (float(pairs.sum()) + 1.0) / (len(pairs) + 2)
    return (float(((pairs - pairs.mean()) ** 2).sum()) + mean * (1 - mean)) / len(pairs)


def pair_interval(pairs: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of pair scores, float [n] in [0, 1]; see `match_result`."""
    count, mean = len(pairs), float(pairs.mean())
    largest = mean * (1 - mean)
    if largest == 0:
        return wilson(mean, count)
    variance = (float(((pairs - mean) ** 2).sum()) + largest) / count
    return wilson(mean, count * largest / min(variance, largest))


def mean_of_pairs(won: np.ndarray) -> tuple[float, float | None, float | None]:
    """The mean over games and its 95 % interval, by the normal distribution; one pair has no interval.

    Args:
      won: float [n, 2], in both games of each pair.
    """
    pairs = won.mean(axis=1)
    mean = float(pairs.mean())
    if len(pairs) == 1:
        return mean, None, None
    reach = Z * float(pairs.std(ddof=1)) / math.sqrt(len(pairs))
    return mean, mean - reach, mean + reach


def superiority(pairs: np.ndarray) -> float:
    """The likelihood that the expected score is above 1/2, from pair scores: by the normal distribution."""
    deviations = (float(pairs.mean()) - 0.5) / math.sqrt(pair_variance(pairs) / len(pairs))
    return 0.5 * math.erfc(-deviations / math.sqrt(2))


def sprt(pairs: np.ndarray, elo0: float, elo1: float) -> Sprt:
    """The test after some pairs, with an error of 5 % of either kind.

    The scores of pairs are taken as normal with their own variance, so that what an opening decides counts for less
    than two games: LLR = n (s1 - s0) (2 m - s0 - s1) / (2 v), with s0 and s1 the scores that belong to the Elos.

    Args:
      pairs: float [n], in [0, 1]; n may be 0.

    Raises:
      ValueError: elo0 is not below elo1.
    """
    if not elo0 < elo1:
        raise ValueError(f"a sequential test needs two Elo differences, the smaller first, not {elo0:g} and {elo1:g}")
    bound = math.log((1 - ERROR) / ERROR)
    if not len(pairs):
        return Sprt(0.0, -bound, bound, None)
    low, high = expected_score(elo0), expected_score(elo1)
    spread = 2 * pair_variance(pairs)
    llr = len(pairs) * (high - low) * (2 * float(pairs.mean()) - low - high) / spread
    return Sprt(llr, -bound, bound, "elo1" if llr >= bound else "elo0" if llr <= -bound else None)


def wilson(share: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a probability, from a share of `count` trials (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    middle = share + Z**2 / (2 * count)
    reach = Z * math.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    scale = 1 + Z**2 / count
    low = 0.0 if share == 0 else (middle - reach) / scale
    high = 1.0 if share == 1 else (middle + reach) / scale
    return max(low, 0.0), min(high, 1.0)


def elo(score: float) -> float:
    """The Elo difference that an expected score between 0 and 1 corresponds to."""
    return 400 * math.log10(score / (1 - score))


def expected_score(difference: float) -> float:
    """The inverse of `elo`."""
    return 1 / (1 + 10 ** (-difference / 400))


def tally(points: np.ndarray) -> Tally:
    """Counts points of 1, 1/2 and 0."""
    return Tally(int((points == 1).sum()), int((points == 0.5).sum()), int((points == 0).sum()))
