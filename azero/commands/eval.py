"""azero eval: a match, one player against exact values, or its episodes of a game for one."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tyro

from azero.commands.arguments import parse
from azero.commands.table import print_table

if TYPE_CHECKING:
    from azero.players import Player
    from games.core import Game

LONGEST_EXHAUSTIVE = 16  # plies of games that are small enough for every line of play to be tried


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure strength: two players in a match, or one against the exact values of labelled positions. In a game for
    one player: the returns of its episodes."""

    players: tyro.conf.Positional[tuple[str, ...]] = ()
    """One player or two: runs/c4, policy:runs/c4, checkpoints/connect_four:simulations=200, rollout, random, oracle."""
    game: str | None = None
    """The game; needed where no player has a checkpoint."""
    games: int = 100
    """Games of a match, an even number: each opening is played with both colours. Episodes of a game for one."""
    opening_plies: int = 4
    """An opening is 0 to this many random moves."""
    openings: str = ""
    """A file of openings in their place, one a line, moves as in `azero analyze`."""
    sprt: tuple[float, float] | None = None
    """ELO0 ELO1: stop as soon as it is decided whether the first player is better by at most ELO0 or at least ELO1
    (a sequential test, 5 % of error of either kind); --games is then the most that are played."""
    out: str = ""
    """Folder of the match: every game, in its usual record too, and what was played; matches/GAME/PLAYER-PLAYER if
    none is given. The same command goes on with a match that was stopped."""
    seed: int = 0
    """Of the openings and of the players' chances."""
    simulations: int | None = None
    """Of searches whose text does not say; a run's own number otherwise."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """One JSON document on stdout."""


def main(words: Sequence[str]) -> int:
    """Prints the measurement; 0."""
    arguments = parse(Arguments, words, "eval")
    if len(arguments.players) not in (1, 2):
        raise ValueError(f"azero eval takes one player or two, not {len(arguments.players)}")
    from azero.startup import start_jax

    start_jax()
    from azero.players import make_players

    texts: Sequence[str] = arguments.players
    if len(texts) == 2:  # a run that trains on while they play must not become another player
        from azero.ratings.entrants import entrant

        texts = [entrant(text).name for text in texts]
    players, game = make_players(texts, arguments.game, arguments.simulations)
    if len(players) > game.num_players:
        raise ValueError(f"{game.name} is a game for one player: name one, not two")
    if game.num_players == 1:
        from azero.commands.eval_episodes import episodes_report, print_episodes

        report = episodes_report(arguments, players[0], game)
    elif len(players) == 2:
        from azero.commands.eval_match import match_report, print_match

        report = match_report(arguments, players, game)
    else:
        report = oracle_report(players[0], game, arguments.seed)
    if arguments.json:
        json.dump(report, sys.stdout, indent=2)
        print()
    elif game.num_players == 1:
        print_episodes(report, players[0])
    elif len(players) == 2:
        print_match(report)
    else:
        _print_oracle(report)
    return 0


def oracle_report(player: "Player", game: "Game", seed: int = 0) -> dict[str, Any]:
    """A player against the exact values of its game, for JSON.

    Returns:
      `game`, `player`, and `oracle` with `network`, the network's own answers (None if it has none), and `search`, what
      the player does beyond that (None for a network alone).
    """
    from azero.analysis import losing_lines, strength

    if game.oracle is None:
        raise ValueError(f"the exact values of {game.name} are not known; name a second player to play against")
    labelled = game.oracle().positions()
    report: dict[str, Any] = {}
    for kind, answers in (("network", player.network), ("search", None if player.bare else player.answers)):
        if answers is None:
            report[kind] = None
            continue
        print(f"asking {player.name} ({kind}) about {len(labelled.sets)} positions", file=sys.stderr)
        report[kind] = strength(answers, labelled, seed)
        if game.max_plies <= LONGEST_EXHAUSTIVE:
            report[kind] |= losing_lines(game, answers)
    return {"game": game.name, "player": player.name, "oracle": report}


def _print_oracle(report: dict[str, Any]) -> None:
    headings = ("set", "positions", "value kept, %", "by the policy, %", "sign of value, %")
    for kind, strength in report["oracle"].items():
        if strength is None:
            continue
        title = f"{report['game']}: {report['player']}, {kind}, against exact values (95 % interval)"
        rows = [
            (name, row["positions"], *(_share(row, share) for share in ("kept_value", "kept_value_sampled", "sign")))
            for name, row in ({"all": strength} | strength["by_set"]).items()
        ]
        print_table(title, headings, rows, left=("set",))
        if "unbeatable" in strength:
            lines = f"loses {strength['losing_lines']} of the {strength['lines']} lines of play"
            print(f"{'unbeatable' if strength['unbeatable'] else 'beatable'}: {lines}")
        print()


def _share(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{100 * row[name]:.1f} ({100 * low:.1f}-{100 * high:.1f})"
