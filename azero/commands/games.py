"""azero games: the games that there are."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from azero.commands.arguments import parse
from azero.commands.table import print_table


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Every game: its sizes, how moves are written, and whether its exact values are known."""

    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """One JSON document on stdout."""


def main(words: Sequence[str]) -> int:
    """Prints the games; 0."""
    arguments = parse(Arguments, words, "games")
    from azero.startup import start_jax

    start_jax()
    games = describe_games()
    if arguments.json:
        json.dump(games, sys.stdout, indent=2)
        print()
    else:
        _print_games(games)
    return 0


def describe_games() -> list[dict[str, Any]]:
    """For each game its name, sizes, notation and what one stored position takes."""
    import jax
    import numpy as np

    from azero.config import ReplayConfig
    from azero.presets import PRESETS
    from azero.replay import bytes_per_position
    from games import make, names

    described = []
    for name in names():
        game = make(name)
        start = jax.jit(game.init)(jax.random.key(0))
        action = int(np.flatnonzero(np.asarray(start.legal))[0])
        described.append(
            {
                "name": name,
                "players": game.num_players,
                "actions": game.num_actions,
                "observation_shape": list(game.observation_shape),
                "max_plies": game.max_plies,
                "symmetries": len(game.symmetries.cells),
                "oracle": game.oracle is not None,
                "notation": game.notation.move(start, action),
                "replay_bytes_per_position": bytes_per_position(game, ReplayConfig()),
                "preset_minutes": PRESETS[name].minutes,
                "preset_reached": PRESETS[name].reached,
            }
        )
    return described


def _print_games(games: list[dict[str, Any]]) -> None:
    headings = ("game", "moves", "observation", "plies", "symm.", "oracle", "a move", "bytes")
    rows = []
    for game in games:
        shape = "x".join(map(str, game["observation_shape"]))
        oracle = "yes" if game["oracle"] else "no"
        sizes = (game["max_plies"], game["symmetries"], oracle, game["notation"], game["replay_bytes_per_position"])
        rows.append((game["name"], game["actions"], shape, *sizes))
    print_table("", headings, rows, left=("game", "observation", "oracle", "a move"))
    print("plies: of the longest game; oracle: exact values are known; bytes: of one position in the replay store")
    print("\nWhat the presets reached:")
    for game in games:
        print(f"  {game['name']}: {game['preset_reached']}")
