"""Ratings as ratings.csv, ratings.md and ratings.png. Imports matplotlib only where something is drawn."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azero.manifest import write_bytes, write_text
from azero.ratings.ledger import Ledger
from azero.ratings.model import Rating

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (8.0, 4.5)  # inches of the plot
DPI = 120
LONGEST = 40  # letters of a name in the plot: an engine's command line may leave it no room
HEADINGS = ("player", "Elo", "95 % interval", "games", "score", "trained")


def write_pages(folder: Path, ledger: Ledger, anchor: str, ratings: Sequence[Rating]) -> None:
    """Writes the three files, each whole or not at all.

    Raises:
      CheckpointError: the disk refuses.
    """
    write_text(folder / "ratings.csv", _csv(ledger, ratings))
    write_text(folder / "ratings.md", _markdown(ledger, anchor, ratings))
    write_bytes(folder / "ratings.png", _png(ledger, anchor, ratings))


def rows(ledger: Ledger, anchor: str, ratings: Sequence[Rating]) -> list[tuple[str, ...]]:
    """A row of text for each player, under HEADINGS."""
    return [
        (
            rating.player,
            f"{rating.elo:.0f}",
            "fixed" if rating.player == anchor else f"{_end(rating.low, '-inf')} to {_end(rating.high, '+inf')}",
            str(rating.games),
            f"{rating.score:.3f}",
            _minutes(ledger.entrants[rating.player].seconds),
        )
        for rating in ratings
    ]


def unrated(ledger: Ledger, ratings: Sequence[Rating]) -> list[str]:
    """Players who have played and have no rating: no chain of matches leads to them from the anchor."""
    rated = {rating.player for rating in ratings}
    return list(dict.fromkeys(name for pair in ledger.matches for name in pair if name not in rated))


def _end(elo: float | None, without: str) -> str:
    return without if elo is None else f"{elo:.0f}"


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.1f} min"


def _csv(ledger: Ledger, ratings: Sequence[Rating]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["player", "elo", "low", "high", "games", "score", "seconds"])
    for rating in ratings:
        numbers = [None if end is None else round(end, 1) for end in (rating.elo, rating.low, rating.high)]
        seconds = ledger.entrants[rating.player].seconds
        writer.writerow([rating.player, *numbers, rating.games, round(rating.score, 4), seconds])
    return text.getvalue()


def _markdown(ledger: Ledger, anchor: str, ratings: Sequence[Rating]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows(ledger, anchor, ratings)
    ]
    aside = unrated(ledger, ratings)
    games = sum(match.wins + match.draws + match.losses for match in ledger.matches.values())
    return "\n".join(
        [
            f"# Ratings in {ledger.game}",
            "",
            *lines,
            "",
            f"Bradley-Terry ratings from {len(ledger.matches)} matches of {games} games in all, openings of 0 to "
            f"{ledger.opening_plies} random moves, each played with both colours; a draw is half a win. The anchor "
            f"is {anchor}. Intervals: bootstrap over pairs of games.",
            *(
                []
                if not aside
                else ["", f"Not rated: {', '.join(aside)}. No chain of matches leads to them from the anchor."]
            ),
            "",
            "![Elo of the players](ratings.png)",
            "",
        ]
    )


def _png(ledger: Ledger, anchor: str, ratings: Sequence[Rating]) -> bytes:
    from matplotlib.figure import Figure

    sheet = Figure(figsize=SIZE, dpi=DPI, layout="constrained")  # outside pyplot: no state, no window, Agg alone
    axes = sheet.subplots()
    runs = curves(ledger, ratings)
    if runs:
        _draw_runs(axes, runs, ratings)
    else:
        _draw_players(axes, ratings)
    axes.set_title(f"{ledger.game}, {_short(anchor)} fixed, 95 % intervals")
    content = io.BytesIO()
    sheet.savefig(content, format="png")
    return content.getvalue()


def curves(ledger: Ledger, ratings: Sequence[Rating]) -> dict[str, list[tuple[float, Rating]]]:
    """Of each run that has players here: seconds of training and rating of its checkpoints, the earliest first."""
    found: dict[str, list[tuple[float, Rating]]] = {}
    for rating in ratings:
        entrant = ledger.entrants[rating.player]
        if entrant.run is not None and entrant.seconds is not None:
            found.setdefault(entrant.run, []).append((entrant.seconds, rating))
    return {run: sorted(points, key=lambda point: point[0]) for run, points in found.items()}


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 13]}...{name[-10:]}"


def _reach(ratings: Sequence[Rating]) -> list[list[float]]:
    """How far the intervals go down and up; not at all where they have no end."""
    down = [0.0 if one.low is None else max(0.0, one.elo - one.low) for one in ratings]
    up = [0.0 if one.high is None else max(0.0, one.high - one.elo) for one in ratings]
    return [down, up]


def _draw_runs(axes: "Axes", runs: dict[str, list[tuple[float, Rating]]], ratings: Sequence[Rating]) -> None:
    """Strength against training time; players that are no checkpoint of a run are level lines."""
    for run, points in runs.items():
        minutes = [seconds / 60 for seconds, _ in points]
        own = [rating for _, rating in points]
        style: dict[str, Any] = {"marker": "o", "markersize": 4, "capsize": 3, "label": _short(run)}
        axes.errorbar(minutes, [rating.elo for rating in own], yerr=_reach(own), **style)
    timed = {rating.player for points in runs.values() for _, rating in points}
    for rating in ratings:
        if rating.player not in timed:
            axes.axhline(rating.elo, color="grey", linestyle="dashed", linewidth=1)
            here = (0.01, rating.elo)
            axes.annotate(
                _short(rating.player),
                here,
                (0, 2),
                ("axes fraction", "data"),
                "offset points",
                color="grey",
                fontsize="small",
            )
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("Elo")
    axes.legend()


def _draw_players(axes: "Axes", ratings: Sequence[Rating]) -> None:
    """A point for each player, the strongest on top."""
    places = list(range(len(ratings)))[::-1]
    axes.errorbar([one.elo for one in ratings], places, xerr=_reach(ratings), fmt="o", capsize=3)
    axes.set_yticks(places, [_short(one.player) for one in ratings])
    axes.set_xlabel("Elo")
