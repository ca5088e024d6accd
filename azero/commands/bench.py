"""azero bench: search and self-play beside their peers, strength against time, and the floor of the machine."""

import dataclasses
import difflib
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import tyro

import games
from azero.commands import bench_tables
from azero.commands.arguments import parse
from azero.config import Config, NetworkConfig, SearchConfig
from azero.presets import PRESETS, preset
from azero.startup import cores, start_jax

Json = tyro.conf.FlagCreatePairsOff[bool]
Presets = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PRESET...")]
BATCHES = {"go_9x9": 128, "go_19x19": 32, "chess": 256, "shogi": 128}  # 512 of the others


@dataclasses.dataclass(frozen=True)
class SearchArguments:
    """azero's search beside mctx's: the same inputs in one run, call by call in turn.

    Parts: tree has trivial rules and a trivial network with the game's number of actions, rules the real rules and the
    trivial network, network the real rules and a network with fresh parameters. The trees of all three have the shapes
    of real games' trees.
    """

    game: tuple[str, ...] = ("connect_four", "othello", "go_9x9")
    """One or more names from `azero games`."""
    batch: tuple[int, ...] = ()
    """Games at once: one number for all games or one for each; 512, on go_9x9 128, on chess 256."""
    simulations: tuple[int, ...] = (16, 32, 64, 128, 512)
    """One or more numbers of simulations."""
    part: tuple[Literal["tree", "rules", "network"], ...] = ("tree", "rules", "network")
    """What is measured."""
    network: str = "mlp:2x256"
    """Of the part network: KIND:BLOCKSxWIDTH, such as resnet:10x128, resnet:10x128:bfloat16; or preset."""
    algorithm: Literal["gumbel", "puct"] = "gumbel"
    """Gumbel AlphaZero or PUCT."""
    lanes: int = 1
    """Gumbel, azero only: root moves searched side by side."""
    devices: int = 0
    """Devices over which the games are split, the same for both; 0 takes all, on a CPU one for each core."""
    repeats: int = 15
    """The most pairs of calls in one cell of the table."""
    minutes: float = 12.0
    """For the whole table: where it is short there are fewer pairs."""
    json: Json = False
    """A JSON list of rows on stdout."""


@dataclasses.dataclass(frozen=True)
class SelfplayArguments:
    """The whole self-play step beside the same on mctx, and beside the loop of pgx's AlphaZero example.

    All have the same network, simulations, games and devices, and take turns. Games that pgx does not have go without
    its example, games of chance without it and mctx.
    """

    presets: tuple[str, ...] = ("tic_tac_toe", "connect_four_4x4", "connect_four")
    """One or more presets."""
    sides: tuple[Literal["azero", "mctx", "pgx"], ...] = ("azero", "mctx", "pgx")
    """Who plays: azero's own trees, the same with search.backend mctx, pgx's example."""
    simulations: tuple[int, ...] = ()
    """One or more numbers of simulations; the preset's if none is given."""
    games: tuple[int, ...] = ()
    """One or more numbers of games at once; the preset's if none is given."""
    network: str = "preset"
    """KIND:BLOCKSxWIDTH, such as resnet:3x32, in place of the preset's."""
    plies: int = 0
    """Moves in each game in one call; 0 takes the preset's. A search.cache begins each call empty."""
    devices: int = 0
    """Devices over which the games are split; 0 takes all, on a CPU one for each core."""
    repeats: int = 10
    """The most rounds for one row."""
    minutes: float = 10.0
    """For all rows: where it is short there are fewer rounds."""
    json: Json = False
    """A JSON list of rows on stdout."""


@dataclasses.dataclass(frozen=True)
class LearningArguments:
    """Strength against the time spent on learning, for a preset and several seeds.

    The clock counts compiling and stands still while strength is measured: by the network's own moves, and by the
    search that the preset trains with.
    """

    preset: tyro.conf.Positional[str] = "connect_four"
    """The preset."""
    minutes: float = 5.0
    """Of training, for each seed."""
    every: float = 30.0
    """Seconds between measurements."""
    seeds: int = 3
    """Runs, with seeds from 0 on."""
    devices: int = 0
    """Devices over which the games are split; 0 takes all, on a CPU one for each core."""
    json: Json = False
    """A JSON list of rows on stdout."""


@dataclasses.dataclass(frozen=True)
class FloorArguments:
    """What a preset's network needs, what the machine does at best, and what self-play reaches of it."""

    presets: Presets = ("connect_four",)
    """One or more presets."""
    games: int = 0
    """Games at once; 0 takes the preset's."""
    plies: int = 4
    """Moves in each game in one call of self-play."""
    devices: int = 0
    """Devices over which the games are split; 0 takes all, on a CPU one for each core."""
    repeats: int = 10
    """The most rounds of each measurement."""
    json: Json = False
    """A JSON list, an object for each preset, on stdout."""


def main(words: Sequence[str]) -> int:
    """Runs one benchmark; see azero.cli."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    name, *rest = words
    if name not in BENCHMARKS:
        near = difflib.get_close_matches(name, BENCHMARKS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(BENCHMARKS)}"
        raise ValueError(f"unknown benchmark {name!r}; {hint}")
    kind, measure, show = BENCHMARKS[name]
    arguments = parse(kind, rest, f"bench {name}")
    found = measure(arguments)
    if arguments.json:
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        show(found)
    return 0


def _help() -> str:
    lines = [f"  {name:10}{kind.__doc__.splitlines()[0]}" for name, (kind, _, _) in BENCHMARKS.items()]
    return "\n".join(
        ["usage: azero bench BENCHMARK [ARGUMENTS]", "", *lines, "", "azero bench BENCHMARK --help shows all"]
    )


def _search(arguments: SearchArguments) -> list[dict[str, Any]]:
    named = [game for game in arguments.game if ":" not in game]
    for game in named:
        _known(game, games.names(), "game")
    _above_zero(arguments, "batch", "simulations", "lanes", "repeats", "minutes")
    _not_empty(arguments, "game", "simulations", "part")
    batches = arguments.batch or tuple(BATCHES.get(game, 512) for game in arguments.game)
    if len(batches) == 1:
        batches *= len(arguments.game)
    if len(batches) != len(arguments.game):
        raise ValueError(f"--batch takes one number or one for each game ({len(arguments.game)}), not {len(batches)}")
    network = read_network(arguments.network)
    _start(arguments.devices)
    from azero.bench.search import Cell, measure_search

    cells = [
        Cell(game, batch, simulations, part)
        for game, batch in zip(arguments.game, batches, strict=True)
        for simulations in arguments.simulations
        for part in arguments.part
    ]
    config = SearchConfig(algorithm=arguments.algorithm, lanes=arguments.lanes)
    return measure_search(cells, config, network, arguments.devices, arguments.repeats, arguments.minutes, _say)


def _selfplay(arguments: SelfplayArguments) -> list[dict[str, Any]]:
    _above_zero(arguments, "simulations", "games", "repeats", "minutes")
    _not_below_zero(arguments, "plies")
    _not_empty(arguments, "presets", "sides")
    network = read_network(arguments.network)
    configs = []
    for name in arguments.presets:
        base = _preset(name)
        for simulations in arguments.simulations or (base.search.simulations,):
            for count in arguments.games or (base.selfplay.games,):
                configs.append(
                    dataclasses.replace(
                        base,
                        network=network or base.network,
                        search=dataclasses.replace(base.search, simulations=simulations),
                        selfplay=dataclasses.replace(
                            base.selfplay, games=count, plies=arguments.plies or base.selfplay.plies
                        ),
                    )
                )
    _start(arguments.devices)
    from azero.bench.selfplay import measure_selfplay

    return measure_selfplay(configs, arguments.sides, arguments.devices, arguments.repeats, arguments.minutes, _say)


def _learning(arguments: LearningArguments) -> list[dict[str, Any]]:
    _above_zero(arguments, "minutes", "every", "seeds")
    base = dataclasses.replace(_preset(arguments.preset), devices=arguments.devices)
    _start(arguments.devices)
    from azero.bench.learning import measure_learning

    rows = []
    for seed in range(arguments.seeds):
        config = dataclasses.replace(base, seed=seed)
        rows += measure_learning(config, arguments.minutes, arguments.every, _say)
    return rows


def _floor(arguments: FloorArguments) -> list[dict[str, Any]]:
    _above_zero(arguments, "plies", "repeats")
    _not_below_zero(arguments, "games")
    _not_empty(arguments, "presets")
    configs = []
    for name in arguments.presets:
        base = _preset(name)
        selfplay = dataclasses.replace(
            base.selfplay, games=arguments.games or base.selfplay.games, plies=arguments.plies
        )
        configs.append(dataclasses.replace(base, devices=arguments.devices, selfplay=selfplay))
    _start(arguments.devices)
    from azero.bench.floor import measure_floor
    from azero.bench.search import check_has_no_chance

    for config in configs:
        check_has_no_chance(config.game)
    return [measure_floor(config, arguments.repeats, _say) for config in configs]


def read_network(text: str) -> NetworkConfig | None:
    """KIND:BLOCKSxWIDTH[:DTYPE] -> a network's config; "preset" -> None.

    Raises:
      ValueError: it is neither.
    """
    if text == "preset":
        return None
    found = re.fullmatch(r"(mlp|resnet):(\d+)x(\d+)(?::(float32|bfloat16))?", text)
    if not found or int(found[3]) == 0:
        raise ValueError(f"--network must be preset or KIND:BLOCKSxWIDTH, such as mlp:2x256, not {text!r}")
    kind: Any = found[1]
    dtype: Any = found[4] or "float32"
    return NetworkConfig(kind=kind, blocks=int(found[2]), width=int(found[3]), dtype=dtype)


def _preset(name: str) -> Config:
    _known(name, PRESETS, "preset")
    return preset(name, name).config


def _known(name: str, names: Sequence[str] | dict[str, Any], what: str) -> None:
    """Refuses a name that there is not; here, for games.make waits for JAX."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise ValueError(f"unknown {what} {name!r}; {hint}")


def _above_zero(arguments: Any, *names: str) -> None:
    _not_below_zero(arguments, "devices")
    for name in names:
        value = getattr(arguments, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not 0 < number < math.inf:
                raise ValueError(f"--{name} must be above 0, not {number}")


def _not_below_zero(arguments: Any, name: str) -> None:
    if getattr(arguments, name) < 0:
        raise ValueError(f"--{name} must be 0 or more, not {getattr(arguments, name)}")


def _not_empty(arguments: Any, *names: str) -> None:
    for name in names:
        if not getattr(arguments, name):
            raise ValueError(f"--{name} needs at least one")


def _start(devices: int) -> None:
    """Starts JAX with the devices asked for, on a CPU one for each core unless told otherwise."""
    start_jax(devices or cores())
    import jax

    jax.config.update("jax_enable_compilation_cache", False)  # the time to compile is part of what is measured


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


BENCHMARKS: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], None]]] = {
    "search": (SearchArguments, _search, bench_tables.show_search),
    "selfplay": (SelfplayArguments, _selfplay, bench_tables.show_selfplay),
    "learning": (LearningArguments, _learning, bench_tables.show_learning),
    "floor": (FloorArguments, _floor, bench_tables.show_floor),
}
