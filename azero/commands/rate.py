"""azero rate: Elo ratings of many players, from the matches between them."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tyro

from azero.commands.arguments import parse
from azero.commands.progress import shown
from azero.commands.table import print_table

if TYPE_CHECKING:
    from azero.match import Played
    from azero.players import Player
    from azero.ratings.entrants import Entrant
    from azero.ratings.ledger import Ledger, Missing
    from azero.ratings.model import Rating
    from games.core import Game

OPENING_PLIES = 4


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Rate players by matches: everyone meets everyone. Matches that the folder holds already are not played again."""

    players: tyro.conf.Positional[tuple[str, ...]] = ()
    """Players, the first of which is the anchor: random, rollout:simulations=100, runs/c4@all (every checkpoint that
    the run keeps), runs/c4@120. The newest step of a run is looked up once."""
    out: Path = Path("ratings")
    """Folder of ratings.json, ratings.csv, ratings.md and ratings.png."""
    game: str | None = None
    """The game; needed where no player has a checkpoint."""
    games: int = 100
    """Games of each match, an even number: each opening is played with both colours."""
    ladder: tyro.conf.FlagCreatePairsOff[bool] = False
    """Each player meets only the next one of the line, not every other."""
    opening_plies: int | None = None
    """An opening is 0 to this many random moves; 4, or what the folder's matches have."""
    anchor: str | None = None
    """The player whose Elo is fixed; the folder's, or the first."""
    anchor_elo: float | None = None
    """Its Elo; the folder's, or 0."""
    seed: int | None = None
    """Of the openings and of the players' chances; the folder's, or 0."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """One JSON document on stdout: what ratings.json holds."""


class _Plan(NamedTuple):
    """What the folder holds, and what is asked for beyond that."""

    ledger: "Ledger"
    anchor: str
    anchor_elo: float
    todo: "list[Missing]"


def main(words: Sequence[str]) -> int:
    """Prints the ratings; 0."""
    arguments = parse(Arguments, words, "rate")
    _check(arguments)
    from azero.startup import start_jax

    start_jax()
    from azero.checkpoint import lock
    from azero.match import check_sizes
    from azero.ratings.entrants import entrants
    from azero.ratings.ledger import write
    from azero.ratings.model import rate
    from azero.ratings.pages import unrated, write_pages

    check_sizes(arguments.games, arguments.opening_plies or 0)
    named = entrants(arguments.players)
    if len(named) < 2:
        raise ValueError(f"azero rate takes two players or more, not {named[0].name} alone")
    plan = _plan(arguments, named)
    game, players = _players(arguments, plan)
    with lock(arguments.out):
        plan = _plan(arguments, named)  # another process may have played meanwhile
        ledger = _play(arguments, plan._replace(ledger=plan.ledger._replace(game=game.name)), game, players)
        ratings = rate(list(ledger.matches.values()), plan.anchor, plan.anchor_elo)
        content = write(arguments.out, ledger, plan.anchor, plan.anchor_elo, ratings)
        write_pages(arguments.out, ledger, plan.anchor, ratings)
    aside = unrated(ledger, ratings)
    if aside:
        why = f"no chain of matches leads to them from the anchor {plan.anchor}"
        print(f"not rated: {', '.join(aside)}; {why}", file=sys.stderr)
    if arguments.json:
        json.dump(content, sys.stdout, indent=1)
        print()
    else:
        _print(arguments.out, ledger, plan.anchor, ratings)
    return 0


def _check(arguments: Arguments) -> None:
    if not arguments.players:
        raise ValueError("azero rate takes two players or more, or every checkpoint of a run: runs/c4@all")
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"{arguments.out} is a file; give a folder with --out")


def _plan(arguments: Arguments, named: "Sequence[Entrant]") -> _Plan:
    """Raises ValueError where what is asked for does not go with what the folder holds."""
    from azero.ratings.entrants import entrant, nearest, pairings
    from azero.ratings.ledger import Ledger, missing, read, refuse_other
    from azero.ratings.model import connected

    asked = {"game": arguments.game, "opening_plies": arguments.opening_plies, "seed": arguments.seed}
    kept = read(arguments.out)
    if kept is None:
        plies = OPENING_PLIES if arguments.opening_plies is None else arguments.opening_plies
        kept = Ledger(arguments.game or "", plies, arguments.seed or 0, {}, {}), named[0].name, 0.0
    else:
        refuse_other(arguments.out, kept[0], asked)
    ledger, anchor, elo = kept
    ledger = ledger._replace(entrants=ledger.entrants | {one.name: one for one in named})
    if arguments.anchor is not None:
        anchor = arguments.anchor if arguments.anchor in ledger.entrants else entrant(arguments.anchor).name
    if anchor not in ledger.entrants:
        raise ValueError(f"the anchor {anchor} is not among the players; {nearest(anchor, list(ledger.entrants))}")
    meetings = pairings([one.name for one in named], arguments.ladder)
    if named[0].name not in connected([*ledger.matches, *meetings], anchor):  # and those whom it meets
        raise ValueError(
            f"no chain of matches leads from the anchor {anchor} to {named[0].name}: name {anchor} among the players, "
            f"or say --anchor {named[0].name}"
        )
    todo = missing(ledger, meetings, arguments.games // 2)
    return _Plan(ledger, anchor, elo if arguments.anchor_elo is None else arguments.anchor_elo, todo)


def _players(arguments: Arguments, plan: _Plan) -> "tuple[Game, dict[str, Player]]":
    """The game, and those who still have games to play: a checkpoint that is gone stays rated by those it played."""
    from azero.players import make_players
    from games import make

    names = list(dict.fromkeys(name for match in plan.todo for name in (match.first, match.second)))
    if not names:
        return make(plan.ledger.game), {}
    players, game = make_players(names, plan.ledger.game or None)
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players")
    return game, dict(zip(names, players, strict=True))


def _play(arguments: Arguments, plan: _Plan, game: "Game", players: "dict[str, Player]") -> "Ledger":
    """Plays what is missing; after each match all that has been played is kept."""
    from azero.ratings.ledger import play, write

    ledger, repeats = plan.ledger, 0
    for number, match in enumerate(plan.todo, start=1):
        ended: list[Played] = []
        with shown("playing") as progress:
            ledger, result = play(game, players, ledger, match, progress, ended.append)
        write(arguments.out, ledger, plan.anchor, plan.anchor_elo, ())
        whole = ledger.matches[match.first, match.second]
        score = f"{2 * sum(whole.pairs):g} of {2 * len(whole.pairs)}"
        print(f"{number}/{len(plan.todo)}: {match.first} scores {score} against {match.second}", file=sys.stderr)
        _print_given_up(match, ended)
        repeats += result.openings < match.pairs
    if repeats:
        few = f"in {repeats} of the {len(plan.todo)} matches some openings were the same"
        print(f"{few}: players without chances repeat games there, and intervals come out narrow", file=sys.stderr)
    return ledger


def _print_given_up(match: "Missing", ended: "list[Played]") -> None:
    for loser, points in ((match.first, 0.0), (match.second, 1.0)):
        reasons = [one.given_up for one in ended if one.given_up and one.points == points]
        if reasons:
            print(f"  {loser} gave up or forfeited {len(reasons)} games, the first: {reasons[0]}", file=sys.stderr)


def _print(folder: Path, ledger: "Ledger", anchor: str, ratings: "list[Rating]") -> None:
    from azero.ratings.pages import HEADINGS, rows

    print_table(ledger.game, HEADINGS, rows(ledger, anchor, ratings), left=("player",))
    print(f"\nkept in {folder}: ratings.json, ratings.csv, ratings.md, ratings.png")
