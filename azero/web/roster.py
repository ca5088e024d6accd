"""Who can be asked, under names that the server made: the page never names a file."""

import json
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from azero import checkpoint
from azero.config import Config, from_dict
from azero.players import Named, Player, make_players, parse_player, shipped
from azero.ratings.entrants import entrant
from azero.web.lines import Refused
from games import make
from games.core import Game

LEVELS = (0, 4, 16, 64, 256, 1024)  # simulations that can be asked for; 0 is the network alone
SLOW_LEVELS = (4, 16)  # of playouts in a slow game, where 16 take seconds
SLOW = 100_000  # plies of the longest game times actions, from which a game is slow to play out
DEFAULT_LEVEL = 64
MADE = 24  # players that are kept ready
LISTED = 5.0  # seconds for which a list of players is good
RUNS = 200  # runs and, of each, checkpoints that are listed
BARE = ("policy", "random", "oracle")  # answer without a search


class Entry(NamedTuple):
    """A player that the page offers."""

    id: str
    label: str
    text: str  # which names it for `make_players`, without a number of simulations
    kind: str  # network, rollout, policy, random or oracle
    levels: tuple[int, ...]  # simulations that it can be asked for; 0 alone if it does not search


class Roster:
    """The players that there are: the one the server was started with, those that come with azero, and the runs."""

    def __init__(self, player: str, game: Game, runs: Path):
        named = parse_player(player)
        options = {name: text for name, text in named.options.items() if name != "simulations"}
        place = player.rpartition(":")[0] if named.options else player
        text = ":".join([place, *([",".join(f"{name}={text}" for name, text in options.items())] if options else [])])
        self.first = Entry("served", player, text, named.kind, _levels(named.kind, game))
        self.game = game
        self.runs = runs
        self._made: OrderedDict[tuple[str, str, int], Player] = OrderedDict()
        self._listed: dict[str, tuple[float, list[Entry]]] = {}
        self._lock = threading.Lock()

    def entries(self, game: Game) -> list[Entry]:
        """Those that play this game, the best guess at a good opponent first."""
        then, found = self._listed.get(game.name, (-LISTED, []))
        if time.monotonic() - then > LISTED:
            found = self._find(game)
            self._listed[game.name] = time.monotonic(), found
        return found

    def _find(self, game: Game) -> list[Entry]:
        own = [self.first] if self.game.name == game.name else []
        own += [
            Entry(f"shipped:{name}", f"{name}, shipped with azero", f"checkpoints/{name}", "network", LEVELS)
            for name in shipped()
            if name == game.name and self.first.text not in (name, f"checkpoints/{name}")
        ]
        for name, folder in run_folders(self.runs).items():
            steps = checkpoint.iterations(folder)[-RUNS:]
            if steps and (config := run_config(folder)) and config.game == game.name:
                own += [
                    Entry(f"run:{name}:{step}", f"{name}, iteration {step}", f"{folder}@{step}", "network", LEVELS)
                    for step in reversed(steps)
                ]
        own.append(Entry("rollout", "random playouts, no network", "rollout", "rollout", _levels("rollout", game)))
        if has_table(game):
            own.append(Entry("oracle", "perfect play", "oracle", "oracle", (0,)))
        return [*own, Entry("random", "random moves", "random", "random", (0,))]

    def entry(self, game: Game, number: str) -> Entry:
        """The one with this id.

        Raises:
          Refused: nobody has it.
        """
        for entry in self.entries(game):
            if entry.id == number:
                return entry
        raise Refused(f"no player {number!r} of {game.name}; api/players lists them")

    def player(self, game: Game, entry: Entry, simulations: int) -> Player:
        """The player with this many simulations, made once.

        Raises:
          Refused: its checkpoint cannot be played.
        """
        key = (game.name, entry.text, simulations)
        with self._lock:
            if key not in self._made:
                try:
                    (self._made[key],), _ = make_players([entry.text], game.name, simulations or None)
                except ValueError as error:
                    raise Refused(str(error)) from None
                while len(self._made) > MADE:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]


def usual(entry: Entry) -> int:
    """The simulations that it is asked for where nobody says."""
    return DEFAULT_LEVEL if DEFAULT_LEVEL in entry.levels else entry.levels[0]


def level(entry: Entry, simulations: int) -> int:
    """The number of simulations, if this player can be asked for it; one that does not search has 0.

    Raises:
      Refused: it is none of its levels.
    """
    if entry.kind in BARE:
        return 0
    if simulations not in entry.levels:
        offered = ", ".join(map(str, entry.levels))
        raise Refused(f"simulations of {entry.label} are one of {offered}, not {simulations}")
    return simulations


def _levels(kind: str, game: Game) -> tuple[int, ...]:
    """The simulations that a kind of player can be asked for in this game."""
    if kind in BARE:
        return (0,)
    if kind == "network":
        return LEVELS
    return SLOW_LEVELS if game.max_plies * game.num_actions > SLOW else LEVELS[1:]


def has_table(game: Game) -> bool:
    """Whether the exact value of every move is known."""
    oracle = game.oracle() if game.oracle else None
    return oracle is not None and oracle.q is not None


def run_folders(runs: Path) -> dict[str, Path]:
    """The runs in a folder, by their names: those that learned last, the newest first."""
    if not runs.is_dir():
        return {}
    found = [(_changed(path), path.name, path) for path in runs.iterdir() if ":" not in path.name]
    found = sorted((one for one in found if one[0]), reverse=True)
    return {name: path for _, name, path in found[:RUNS]}


def _changed(folder: Path) -> int:
    """When a run's metrics grew last, in nanoseconds; 0 if it is no run."""
    file = folder / "metrics.jsonl"
    try:
        return file.stat().st_mtime_ns if file.is_file() else 0
    except OSError:
        return 0


def run_config(folder: Path) -> Config | None:
    """A run's config; None if it cannot be read."""
    try:
        return from_dict(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError, AttributeError):
        return None


def served(player: str | None, game_name: str | None, default: str) -> tuple[str, Game]:
    """The player that a server is started with, and its game.

    A run is served with the step that is its newest now, and named so.

    Args:
      default: the player where none is given and its game is not another.

    Raises:
      ValueError: it does not parse, has no checkpoint, or cannot be asked by a page.
    """
    if player is None:
        if game_name is None or game_name == default:
            player = f"checkpoints/{default}"
        else:
            make(game_name)
            player = f"checkpoints/{game_name}" if game_name in shipped() else "rollout"
    named = parse_player(player)
    if named.kind in ("human", "gnubg", "gtp", "uci"):
        raise ValueError(f"{player}: the page asks networks, rollout, oracle and random, no {named.kind} player")
    if named.folder is None and game_name is None:
        game_name = default
    _, game = make_players([player], game_name)
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players")
    if game.chance:
        raise ValueError(f"the page has no dice; {game.name} is played by azero play {game.name} --opponent {player}")
    return _at_step(player, named), game


def _at_step(player: str, named: Named) -> str:
    """A run with the step that is its newest now: one that is being trained must not change in mid-game."""
    folder = named.folder
    if folder is None or named.iteration is not None or ":" in str(folder) or not (folder / "checkpoints").is_dir():
        return player
    return entrant(player).name
