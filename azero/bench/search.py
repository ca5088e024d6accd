"""azero's own search beside mctx's, on the same inputs, call by call in turn."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import games
from azero.bench.measure import (
    Clock,
    Program,
    Say,
    caller,
    compiled,
    figures,
    in_turn,
    over_games,
    same,
    short,
    split,
    split_mesh,
)
from azero.bench.toy import network_beside, positions, toy_evaluate, toy_game, with_toy
from azero.config import NetworkConfig, SearchConfig
from azero.network import Network, Params, make_network
from azero.presets import preset
from azero.search import Amplified, Evaluate, by_rules, make_tree_search
from azero.search.halving import steps
from games.core import Game

PARTS = ("tree", "rules", "network")
BACKENDS = ("mctx", "azero")
GROWTH_FROM = 32  # simulations


class Cell(NamedTuple):
    """One measurement."""

    game: str
    batch: int
    simulations: int
    part: str


class Subject(NamedTuple):
    """What is searched and who judges it."""

    game: Game
    evaluate: Evaluate
    network: Network | None
    params: Params


def check_has_no_chance(name: str) -> None:
    """
    Raises:
      ValueError: of this game the toy has no trees.
    """
    if games.make(name).chance:
        raise ValueError(f"{name} is a game of chance, which the trees of this benchmark are not: selfplay measures it")


def subject(name: str, part: str, network: NetworkConfig | None) -> Subject:
    """A part of the work.

    Args:
      part: "tree", trivial rules and network with the game's number of actions; "rules", its rules and a trivial
        network; "network", its rules and a network with fresh parameters. The trees have the same shapes.
      network: None takes the game's preset's.
    """
    game = games.make(name)
    if part == "tree":
        return Subject(toy_game(game.num_actions), toy_evaluate(game.num_actions), None, ())
    game = with_toy(game)
    if part == "rules":
        return Subject(game, toy_evaluate(game.num_actions), None, ())
    judge = make_network(network or preset("", name).config.network, game)
    return Subject(game, network_beside(game, judge), judge, jax.jit(judge.init)(jax.random.key(6)))


def search_program(part: Subject, config: SearchConfig, mesh: Mesh, params: Params, states: Any) -> Program:
    """The search of one backend with self-play's noise: (params, states [B], number) -> Amplified [B]."""
    search = make_tree_search(config, by_rules(part.game, part.evaluate), explore=True)
    return compiled(over_games(search, mesh), params, states, same(mesh, jnp.int32(0)))


def evaluation_plan(config: SearchConfig, actions: int) -> list[tuple[int, int]]:
    """(positions for each game, how often): the batches that a search asks the network for, the root's first."""
    if config.backend == "mctx" or config.algorithm == "puct" or config.lanes == 1:
        return [(1, 1 + config.simulations)]
    considered = min(config.considered, actions, config.simulations)
    return [(1, 1), *steps(considered, config.simulations, min(config.lanes, considered))]


def network_program(
    network: Network, plan: Sequence[tuple[int, int]], mesh: Mesh, params: Params, views: Any
) -> Program:
    """The network's evaluations of a search and nothing else: (params, observations [B], number) -> float32 [B]."""

    def evaluations(params: Params, views: jax.Array, key: jax.Array) -> jax.Array:
        total = jax.random.uniform(key, (views.shape[0],))
        for size, times in plan:
            wide = jnp.repeat(views, size, axis=0)

            # Each evaluation needs the one before, or it would be made once for all.
            def once(_: int, total: jax.Array, wide: jax.Array = wide) -> jax.Array:
                logits, value = network.apply(params, wide + 1e-6 * total[:, None, None, None])
                return jnp.tanh(value + logits.sum(axis=-1))

            total = jax.lax.fori_loop(0, times, once, jnp.repeat(total, size))[: views.shape[0]]
        return total

    return compiled(over_games(evaluations, mesh), params, views, same(mesh, jnp.int32(0)))


def measure_cell(
    cell: Cell, config: SearchConfig, network: NetworkConfig | None, devices: int, repeats: int, until: float
) -> dict[str, Any]:
    """One row, for JSON; see docs/reference/commands.md for what its fields mean."""
    part = subject(cell.game, cell.part, network)
    mesh = split_mesh(devices, cell.batch)
    params, states = same(mesh, part.params), split(mesh, positions(part.game, cell.batch))
    config = dataclasses.replace(config, simulations=cell.simulations)
    peer = dataclasses.replace(config, backend="mctx")
    programs = [search_program(part, each, mesh, params, states) for each in (peer, config)]
    calls = [caller(program, params, states) for program in programs]
    if part.network is not None:
        views = split(mesh, jax.jit(jax.vmap(part.game.observe))(states))
        plan = evaluation_plan(config, part.game.num_actions)
        calls.append(caller(network_program(part.network, plan, mesh, params, views), params, views))
    seconds, results = in_turn(calls, mesh, repeats, until)
    row = _described(cell, config, network, mesh) | _compared(cell, seconds, results)
    row["compile_seconds"] = {name: each.compile_seconds for name, each in zip(BACKENDS, programs, strict=True)}
    row["peak_bytes"] = {name: each.peak_bytes for name, each in zip(BACKENDS, programs, strict=True)}
    row["device_peak_bytes"] = (mesh.devices.flat[0].memory_stats() or {}).get("peak_bytes_in_use")
    if part.network is not None:
        row |= figures("network_seconds", seconds[:, 2])
        shares = 1 - seconds[:, 2:] / seconds[:, :2]
        row["not_network"] = {name: float(np.median(shares[:, side])) for side, name in enumerate(BACKENDS)}
    return row


def _described(cell: Cell, config: SearchConfig, network: NetworkConfig | None, mesh: Mesh) -> dict[str, Any]:
    device = mesh.devices.flat[0]
    chosen = network or preset("", cell.game).config.network
    return cell._asdict() | {
        "actions": games.make(cell.game).num_actions,
        "algorithm": config.algorithm,
        "lanes": config.lanes,
        "network": dataclasses.asdict(chosen) if cell.part == "network" else None,
        "devices": mesh.size,
        "device": device.device_kind,
        "platform": device.platform,
    }


def _compared(cell: Cell, seconds: np.ndarray, results: Sequence[Amplified]) -> dict[str, Any]:
    """Simulations a second of both backends and their ratio, and whether they found the same."""
    work = cell.batch * cell.simulations
    alike = (np.asarray(results[0].visits) == np.asarray(results[1].visits)).all(axis=-1)
    return {
        **figures("mctx", work / seconds[:, 0]),
        **figures("azero", work / seconds[:, 1]),
        **figures("ratio", seconds[:, 0] / seconds[:, 1]),
        "pairs": len(seconds),
        "same_visits": float(alike.mean()),
    }


def measure_search(
    cells: Sequence[Cell],
    config: SearchConfig,
    network: NetworkConfig | None,
    devices: int,
    repeats: int,
    minutes: float,
    say: Say,
) -> list[dict[str, Any]]:
    """A row for each cell.

    Args:
      config: the algorithm; backend and simulations are those of the cells.
      network: of the part "network"; None takes each game's preset's.
      devices: 0 takes all, or as many as the batch splits over evenly.
      repeats: the most pairs of calls in one cell.
      minutes: for all cells together; there are fewer pairs where it is short. A cell has at least its least.
    """
    for cell in cells:  # refuses what cannot be before anything is measured
        split_mesh(devices, cell.batch)
        check_has_no_chance(cell.game)
    clock = Clock(time.monotonic() + 60 * minutes, len(cells))
    rows = []
    for number, cell in enumerate(cells):
        began = time.monotonic()
        row = measure_cell(cell, config, network, devices, repeats, clock.until(number))
        low, high = row["ratio_range"]
        say(
            f"[{number + 1}/{len(cells)}] {cell.game}, {cell.batch} games, {cell.simulations} simulations, "
            f"{cell.part}: azero {short(row['azero'])}/s, {row['ratio']:.2f} times mctx ({low:.2f}-{high:.2f}, "
            f"{row['pairs']} pairs), {time.monotonic() - began:.0f} s"
        )
        rows.append(row)
    return rows


def growth(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Simulations a second at the most simulations against those at 32, or at the fewest, of each game and part."""
    for key in dict.fromkeys((row["game"], row["batch"], row["part"]) for row in rows):
        mine = {row["simulations"]: row for row in rows if (row["game"], row["batch"], row["part"]) == key}
        few, many = GROWTH_FROM if GROWTH_FROM in mine else min(mine), max(mine)
        if few < many:
            shares = {name: mine[many][name] / mine[few][name] for name in BACKENDS}
            yield dict(zip(("game", "batch", "part"), key, strict=True)) | {"few": few, "many": many} | shares


def breakdown(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Where the time of each search goes, in seconds: what each part adds to the one before."""
    found = {(row["game"], row["batch"], row["simulations"], row["part"]): row for row in rows}
    for game, batch, simulations, last in found:
        if last != "network" or any((game, batch, simulations, part) not in found for part in PARTS):
            continue
        for name in BACKENDS:
            work = batch * simulations
            tree, rules, network = (work / found[game, batch, simulations, part][name] for part in PARTS)
            parts = {"tree": tree, "rules": rules - tree, "network": network - rules}
            cell = {"game": game, "batch": batch, "simulations": simulations, "backend": name}
            yield cell | parts | {"all": network}
