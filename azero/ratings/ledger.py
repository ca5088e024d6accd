"""The matches of a rating, kept in ratings.json: what was played stays, what is missing is played."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from azero.manifest import write_text
from azero.match import Played, play_match
from azero.players import Player
from azero.ratings.entrants import Entrant
from azero.ratings.model import Match, Rating
from azero.score import MatchResult
from games.core import Game

FILE = "ratings.json"
Pair = tuple[str, str]


class Ledger(NamedTuple):
    """What a rating rests on."""

    game: str
    opening_plies: int
    seed: int
    entrants: dict[str, Entrant]  # by name
    matches: dict[Pair, Match]  # by the names of the two, in one order only


class Missing(NamedTuple):
    """Games that are still to be played."""

    first: str
    second: str
    pairs: int  # pairs of games
    before: int  # pairs that these two have played already


def read(folder: Path) -> tuple[Ledger, str, float] | None:
    """The ledger kept in a folder, with the anchor and its Elo; None where there is none.

    Raises:
      ValueError: the file is not one of ratings.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        kept = json.loads(file.read_text())
        matches = [_match(match) for match in kept["matches"]]
        ledger = Ledger(
            str(kept["game"]),
            int(kept["opening_plies"]),
            int(kept["seed"]),
            {one["name"]: Entrant(**one) for one in kept["entrants"]},
            {(match.first, match.second): match for match in matches},
        )
        return ledger, str(kept["anchor"]), float(kept["anchor_elo"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a file of ratings ({type(error).__name__}: {error})") from None


def _match(kept: Mapping[str, Any]) -> Match:
    pairs = tuple(map(float, kept["pairs"]))
    first, second = kept.get("gave_up", (0, 0))  # files of before they were counted have none
    return Match(**{**kept, "pairs": pairs, "gave_up": (int(first), int(second))})


def write(folder: Path, ledger: Ledger, anchor: str, anchor_elo: float, ratings: Iterable[Rating]) -> dict[str, Any]:
    """Writes ratings.json, whole or not at all; what it holds."""
    content = {
        "game": ledger.game,
        "opening_plies": ledger.opening_plies,
        "seed": ledger.seed,
        "anchor": anchor,
        "anchor_elo": anchor_elo,
        "ratings": [rating._asdict() for rating in ratings],
        "entrants": [entrant._asdict() for entrant in ledger.entrants.values()],
        "matches": [match._asdict() for match in ledger.matches.values()],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, json.dumps(content, indent=1) + "\n")
    return content


def refuse_other(folder: Path, kept: Ledger, asked: Mapping[str, Any]) -> None:
    """Raises ValueError where a setting that was asked for (None: it was not) is not that of the kept matches."""
    for name, value in asked.items():
        have = getattr(kept, name)
        if value is not None and value != have:
            what = name.replace("_", " ")
            raise ValueError(f"the matches in {folder} have {what} {have}, not {value}; give another --out for others")


def missing(ledger: Ledger, pairings: Iterable[Pair], pairs: int) -> list[Missing]:
    """What has to be played so that each of the pairings has `pairs` pairs of games."""
    todo = []
    for first, second in pairings:
        if (second, first) in ledger.matches:
            first, second = second, first
        kept = ledger.matches.get((first, second))
        before = len(kept.pairs) if kept else 0
        if before < pairs:
            todo.append(Missing(first, second, pairs - before, before))
    return todo


def play(
    game: Game,
    players: Mapping[str, Player],
    ledger: Ledger,
    todo: Missing,
    progress: Callable[[int, int], None] | None = None,
    record: Callable[[Played], None] | None = None,
) -> tuple[Ledger, MatchResult]:
    """The ledger with the missing games of one match, and what came of those.

    Args:
      progress, record: as in `play_match`.
    """
    names = todo.first, todo.second
    seed = match_seed(ledger.seed, *names, todo.before)
    one, other = players[todo.first], players[todo.second]
    result = play_match(game, one, other, 2 * todo.pairs, ledger.opening_plies, seed, progress, record=record)
    kept = ledger.matches.get(names, Match(*names, (), 0, 0, 0))
    return ledger._replace(matches=ledger.matches | {names: extended(kept, result)}), result


def extended(match: Match, result: MatchResult) -> Match:
    """A match with the games of a result added to it."""
    return match._replace(
        pairs=match.pairs + tuple(map(float, result.pairs)),
        wins=match.wins + result.wins,
        draws=match.draws + result.draws,
        losses=match.losses + result.losses,
        gave_up=(match.gave_up[0] + result.gave_up[0], match.gave_up[1] + result.gave_up[1]),
    )


def match_seed(seed: int, first: str, second: str, before: int) -> int:
    """The seed of some games: the same in whatever order matches are played, another for every match and addition."""
    text = json.dumps([seed, first, second, before])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
