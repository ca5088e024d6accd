"""The whole self-play step beside the same on mctx, and beside the loop of pgx's AlphaZero example."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

import games
from azero.bench.measure import (
    Clock,
    Program,
    Say,
    compiled,
    figures,
    in_turn,
    over_games,
    same,
    short,
    split,
    split_mesh,
)
from azero.bench.pgx_example import has_example, make_example
from azero.checkpoint import weights
from azero.config import Config, from_dict
from azero.distill import Learner, make_distiller
from azero.network import Network, Params, make_network, unnamed
from azero.players import shipped, shipped_folder
from azero.selfplay import make_selfplay, new_games
from azero.train import AXIS

SIDES = ("azero", "mctx", "pgx")  # our own trees; the same with search.backend mctx; pgx's example
CARRIED = (PartitionSpec(AXIS), PartitionSpec(None, AXIS))  # games [B, ...], what is kept of them [T, B, ...]


def parameters(config: Config, network: Network) -> Params:
    """Those of the checkpoint of this game and network that comes with azero, if there is one, else blank ones.

    What a search looks at depends on what the network knows, and with it how often it is the same.
    """
    if config.game in shipped():
        found = weights(shipped_folder() / config.game)
        if from_dict(found.config).network == config.network:
            return unnamed(found.arrays, jax.eval_shape(network.init, _key()))
    return jax.jit(network.init)(_key())


def own_side(config: Config, mesh: Mesh, backend: str) -> tuple[Program, Any, Any]:
    """azero's self-play on a backend: (learner, games, number) -> (games, Trajectory); the learner; the first games."""
    game = games.make(config.game)
    network = make_network(config.network, game)
    search = dataclasses.replace(config.search, backend="mctx" if backend == "mctx" else "azero")
    distiller = make_distiller(dataclasses.replace(config, search=search), game, network)
    amplify = distiller.amplifier(search, True)
    teach, act, cache = distiller.teach, distiller.act, distiller.cache
    play = make_selfplay(config.selfplay, game, amplify, teach, config.replay.actions, act=act, new_cache=cache)

    def begin(params: Params) -> Learner:
        return Learner(params, distiller.init(params, jax.random.key(0)), jnp.int32(0))

    learner = same(mesh, jax.jit(begin)(parameters(config, network)))
    first = split(mesh, jax.jit(lambda key: new_games(game, config.selfplay, config.selfplay.games, key))(_key()))
    return compiled(over_games(play, mesh, CARRIED), learner, first, same(mesh, jnp.int32(0))), learner, first


def pgx_side(config: Config, mesh: Mesh) -> tuple[Program, Any, Any]:
    """The same of pgx's example, with the network and the sizes of the config."""
    network = make_network(config.network, games.make(config.game))
    init, play = make_example(config.game, config.search, network, config.selfplay.plies)
    params = same(mesh, parameters(config, network))
    first = split(mesh, jax.jit(init)(jax.random.split(_key(), config.selfplay.games)))
    return compiled(over_games(play, mesh, CARRIED), params, first, same(mesh, jnp.int32(0))), params, first


def _key() -> jax.Array:
    return jax.random.key(2)


def player(program: Program, params: Any, first: Any) -> Callable[[jax.Array], Any]:
    """number -> games: plays on from where the call before left off."""
    at = first

    def play_on(number: jax.Array) -> Any:
        nonlocal at
        at = program.call(params, at, number)[0]
        return at

    return play_on


def _can_play(side: str, name: str) -> bool:
    if side == "azero":
        return True
    return games.make(name).chance is None and (side == "mctx" or has_example(name))


def measure_preset(
    config: Config, sides: Sequence[str], devices: int, repeats: int, until: float
) -> tuple[dict[str, Any], list[str]]:
    """One row, for JSON, and the sides that are in it."""
    mesh = split_mesh(devices, config.selfplay.games)
    chosen = [side for side in sides if _can_play(side, config.game)]
    made = [pgx_side(config, mesh) if side == "pgx" else own_side(config, mesh, side) for side in chosen]
    seconds, _ = in_turn([player(*each) for each in made], mesh, repeats, until)
    moves = config.selfplay.games * config.selfplay.plies
    device = mesh.devices.flat[0]
    row: dict[str, Any] = {
        "game": config.game,
        "games": config.selfplay.games,
        "simulations": config.search.simulations,
        "plies": config.selfplay.plies,
        "network": dataclasses.asdict(config.network),
        "algorithm": config.search.algorithm,
        "lanes": config.search.lanes,
        "devices": mesh.size,
        "device": device.device_kind,
        "platform": device.platform,
        "rounds": len(seconds),
    }
    for number, side in enumerate(chosen):
        row |= figures(side, moves / seconds[:, number])
        row[f"{side}_simulations_per_second"] = row[side] * config.search.simulations
        row[f"{side}_compile_seconds"] = made[number][0].compile_seconds
        row[f"{side}_peak_bytes"] = made[number][0].peak_bytes
        if side != "azero" and "azero" in chosen:
            row |= figures(f"ratio_{side}", seconds[:, number] / seconds[:, chosen.index("azero")])
    return row, chosen


def measure_selfplay(
    configs: Sequence[Config], sides: Sequence[str], devices: int, repeats: int, minutes: float, say: Say
) -> list[dict[str, Any]]:
    """A row for each config: moves a second of each side, median and range, and the ratios azero / side.

    Args:
      configs: `selfplay.plies` is how many moves in each game one call makes.
      sides: some of SIDES; games that pgx does not have go without its example, games of chance without both peers.
      devices, repeats, minutes: as in `azero.bench.search.measure_search`.
    """
    for config in configs:
        split_mesh(devices, config.selfplay.games)
        if not any(_can_play(side, config.game) for side in sides):
            raise ValueError(f"{config.game} is not played by {' or '.join(sides)}; azero plays every game")
    clock = Clock(time.monotonic() + 60 * minutes, len(configs))
    rows = []
    for number, config in enumerate(configs):
        began = time.monotonic()
        row, chosen = measure_preset(config, sides, devices, repeats, clock.until(number))
        speeds = ", ".join(f"{side} {short(row[side])}" for side in chosen)
        say(
            f"[{number + 1}/{len(configs)}] {config.game}, {config.selfplay.games} games, {config.search.simulations} "
            f"simulations: {speeds} moves/s ({row['rounds']} rounds), {time.monotonic() - began:.0f} s"
        )
        rows.append(row)
    return rows
