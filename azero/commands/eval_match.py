"""azero eval of two players: the match, its folder, and what is printed of it."""

import functools
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from azero.commands.arguments import read_lines
from azero.commands.eval import Arguments
from azero.commands.progress import shown
from azero.commands.table import print_table
from azero.match import check_sizes, play_match
from azero.openings import Openings, read_openings
from azero.players import Player
from azero.score import MatchResult, sprt
from azero.scorebook import scorebook
from games.core import Game


def match_report(arguments: Arguments, players: list[Player], game: Game) -> dict[str, Any]:
    """Plays the match of two players, or the rest of it; the report, for JSON.

    Raises:
      ValueError: one line: sizes that no match has, openings that cannot be read, or a folder of another match.
    """
    check_sizes(arguments.games, arguments.opening_plies)
    test = functools.partial(sprt, elo0=arguments.sprt[0], elo1=arguments.sprt[1]) if arguments.sprt else None
    if test:
        test(np.zeros(0))  # refuses what is no test
    openings, digest = _openings(arguments.openings, game)
    names = players[0].name, players[1].name
    settings = {
        "games": arguments.games, "opening_plies": arguments.opening_plies, "openings": digest,
        "seed": arguments.seed, "simulations": arguments.simulations,
    }  # fmt: skip
    folder = Path(arguments.out or _folder(game.name, names))

    def decided(pairs: np.ndarray) -> bool:
        return test is not None and test(pairs).accepted is not None

    with scorebook(folder, game, names, settings) as book:
        if book.played:
            print(f"{folder} has {len(book.played)} games of this match; it goes on from there", file=sys.stderr)
        with shown("playing") as progress:
            result = play_match(
                game, players[0], players[1], arguments.games, arguments.opening_plies, arguments.seed,
                progress, openings, list(book.played), book.add, decided if test else None,
            )  # fmt: skip
    report = {"game": game.name, "players": list(names)} | settings | match_fields(result)
    if test and arguments.sprt:
        bounds = {"elo0": arguments.sprt[0], "elo1": arguments.sprt[1]}
        report["sprt"] = bounds | test(np.array(result.pairs))._asdict()
    return report | {"games": len(result.pairs) * 2, "record": str(book.record)}


def match_fields(result: MatchResult) -> dict[str, Any]:
    """A match's result as plain lists and dictionaries."""
    by_colour = {colour: tally._asdict() for colour, tally in result.by_colour.items()}
    lists = {name: list(getattr(result, name)) for name in ("elo_interval", "gave_up", "pairs")}
    return result._asdict() | lists | {"by_colour": by_colour}


def print_match(report: dict[str, Any]) -> None:
    """The report in words."""
    first, second = report["players"]
    rows = []
    for name, row in ({"all": report} | report["by_colour"]).items():
        counts = [row[kind] for kind in ("wins", "draws", "losses")]
        score = (counts[0] + counts[1] / 2) / sum(counts)
        rows.append((name if name == "all" else f"moving {name}", sum(counts), *counts, f"{score:.3f}"))
    headings = ("", "games", "wins", "draws", "losses", "score")
    print_table(f"{report['game']}: {first} against {second}", headings, rows, left=("",))
    if report["won"]:
        mean, low, high = report["won"]
        print(f"won {mean:+.3f} points a game" + ("" if low is None else f", 95 % interval {low:+.3f} to {high:+.3f}"))
    low, high = report["elo_interval"]
    ends = ("-inf" if low is None else f"{low:+.0f}", "+inf" if high is None else f"{high:+.0f}")
    print(f"Elo difference {report['elo']:+.0f}, 95 % interval {ends[0]} to {ends[1]}")
    print(f"the first is the stronger one with a likelihood of {100 * report['superiority']:.1f} %")
    if len(report["pairs"]) > report["openings"]:
        print(f"{len(report['pairs'])} pairs of games have {report['openings']} different openings")
    for name, count in zip(report["players"], report["gave_up"], strict=True):
        if count:
            print(f"{name} gave up or forfeited {count} games; the record says why")
    if test := report.get("sprt"):
        accepted = {"elo0": f"at most {test['elo0']:+g}", "elo1": f"at least {test['elo1']:+g}"}
        verdict = accepted.get(test["accepted"], "not decided; more --games would go on")
        bounds = f"{test['lower']:+.2f} and {test['upper']:+.2f}"
        print(f"sequential test: {verdict} (LLR {test['llr']:+.2f} between {bounds})")
        print(
            "the Elo interval is that of a match of fixed length; one that was stopped leans to the side it stopped on"
        )
    print(f"the games are in {report['record']}")


def _openings(path: str, game: Game) -> tuple[Openings | None, str]:
    """The openings of a file, and what tells it from others; None where no file is named."""
    if not path:
        return None, ""
    lines = read_lines(path, "openings")
    try:
        return read_openings(game, lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _folder(game: str, names: tuple[str, str]) -> Path:
    """The folder of a match of these players, where none is named."""
    return Path("matches", game, "-".join(re.sub(r"[^A-Za-z0-9@=.]+", "_", name).strip("_") for name in names))
