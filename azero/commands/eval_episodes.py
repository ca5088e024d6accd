"""azero eval of one player in a game for one: its episodes, and what is printed of them."""

import sys
from typing import Any

from azero.commands.eval import Arguments
from azero.commands.progress import shown
from azero.commands.table import print_table
from azero.episodes import play_episodes
from azero.players import Player
from games.core import Game

PARTS = {"network": "network, its likeliest move", "network_sampled": "network, drawn from its policy"}


def episodes_report(arguments: Arguments, player: Player, game: Game) -> dict[str, Any]:
    """Plays the episodes; for JSON.

    Returns:
      `game`, `player`, `seed`, `time_limit`, and `episodes` with `network`, the network's likeliest moves,
      `network_sampled`, moves drawn from its policy (None if it has none), and `search`, what the player does beyond
      that (None for a network alone). Each has the fields of `Episodes.figures`; returns are in the environment's
      units.

    Raises:
      ValueError: no episodes are asked for, or the player is a person.
    """
    if player.person:
        raise ValueError(f"{player.name} is no player that azero eval could ask; azero play {game.name} is for people")
    if arguments.games < 1:
        raise ValueError(f"--games must be 1 or more, not {arguments.games}")
    ways = {
        "network": (player.network, False),
        "network_sampled": (player.network, True),
        "search": (None if player.bare else player.answers, False),
    }
    report: dict[str, Any] = {}
    for name, (answers, sampled) in ways.items():
        report[name] = None
        if answers is None:
            continue
        print(f"playing {arguments.games} episodes of {game.name}: {_called(name, player)}", file=sys.stderr)
        with shown("playing") as progress:
            report[name] = play_episodes(game, answers, arguments.games, arguments.seed, sampled, progress).figures()
    said = {"game": game.name, "player": player.name, "seed": arguments.seed, "time_limit": game.time_limit}
    return said | {"episodes": report}


def print_episodes(report: dict[str, Any], player: Player) -> None:
    """The report in words."""
    rows = []
    for name, part in report["episodes"].items():
        if part is None:
            continue
        interval = "-" if part["interval"] is None else "{:.3f} to {:.3f}".format(*part["interval"])
        extremes = (f"{part['min']:g}", f"{part['max']:g}")
        lengths = f"{part['mean_length']:.1f} ({part['min_length']} to {part['max_length']})"
        rows.append((_called(name, player), f"{part['mean_return']:.3f}", interval, *extremes, lengths, part["cut"]))
    headings = ("", "mean return", "95 % interval", "min", "max", "moves", "cut off")
    count = next(part["episodes"] for part in report["episodes"].values() if part)
    print_table(f"{report['game']}: {report['player']}, {count} episodes", headings, rows, left=("",))
    if limit := report["time_limit"]:
        print(f"an episode is cut off after {limit} moves")


def _called(name: str, player: Player) -> str:
    """What a part of the report is called."""
    return PARTS.get(name, "with its search" if player.network else player.name)
