"""The floor: what a preset's network needs, what the machine can do, and what self-play reaches of it."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import games
from azero.bench.measure import Say, caller, compiled, in_turn, over_games, same, split, split_mesh
from azero.bench.search import PARTS, evaluation_plan, network_program, search_program, subject
from azero.bench.selfplay import own_side, player
from azero.bench.toy import positions
from azero.config import Config, NetworkConfig, SearchConfig
from azero.network import Params, make_network
from azero.search import by_rules
from azero.search.gumbel import make_gumbel
from azero.search.puct import make_puct
from azero.search.tree import plant
from games.core import Game

PRODUCT = {"cpu": 2048}  # rows and columns of the matmul that tells the peak
COPIED = {"cpu": 1 << 26}  # numbers in the copy: 256 MiB
PRODUCT_ELSEWHERE, COPIED_ELSEWHERE = 8192, 1 << 28
CHAIN = 8  # layers one after the other in the product of the network's own shape


def network_flops(params: Params, cells: int) -> int:
    """Floating-point operations of the products in one evaluation; a multiply-add is two.

    Args:
      params: the network's, or their shapes.
      cells: of the board: a convolution keeps its size.
    """
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    return sum(2 * leaf.size * (cells if leaf.ndim == 4 else 1) for leaf in kernels)


def node_bytes(config: SearchConfig, game: Game) -> int:
    """What a node of a tree takes, on the mean over the room that a search has."""
    judge: Any = None  # nothing is evaluated here
    make = make_gumbel if config.algorithm == "gumbel" else make_puct
    algorithm = make(config, by_rules(game, judge), explore=True)

    def grown() -> Any:
        states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 1))
        return plant(states, jnp.zeros((1, game.num_actions)), jnp.zeros(1), algorithm.room, algorithm.edges)

    tree = jax.eval_shape(grown)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)) // algorithm.room


def needs(config: Config) -> dict[str, Any]:
    """FLOPs and bytes of one simulation.

    `bytes` of an evaluation is what XLA counts for the compiled batch of one device over its positions: parameters,
    activations that are written and read back, the answers. `node_bytes` is what the tree adds for a simulation.
    """
    game = games.make(config.game)
    mesh = split_mesh(config.devices, config.selfplay.games)
    network = make_network(config.network, game)
    params = jax.eval_shape(network.init, jax.random.key(0))
    rows = config.selfplay.games // mesh.size
    views = jax.ShapeDtypeStruct((rows, *game.observation_shape), jnp.float32)
    cost = jax.jit(network.apply).lower(params, views).compile().cost_analysis()
    height, width, _ = game.observation_shape
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "flops": network_flops(params, height * width),
        "bytes": cost["bytes accessed"] / rows if cost else None,
        "node_bytes": node_bytes(config.search, game),
    }


def machine(config: Config, repeats: int) -> dict[str, Any]:
    """What one device and all devices together do at best: FLOP/s of a large product and of products of the
    network's own shape, bytes/s of a copy (read and written)."""
    game = games.make(config.game)
    meshes = {"one": split_mesh(1, 1), "all": split_mesh(config.devices, config.selfplay.games)}
    rows = config.selfplay.games // meshes["all"].size
    platform = meshes["one"].devices.flat[0].platform
    size = PRODUCT.get(platform, PRODUCT_ELSEWHERE)
    count = COPIED.get(platform, COPIED_ELSEWHERE)
    dtype = jnp.dtype(config.network.dtype)
    layer, shape, flops = _own_product(config.network, game, rows)

    def product(_: Any, square: jax.Array, key: jax.Array) -> jax.Array:
        del key
        return square @ square

    def copy(_: Any, numbers: jax.Array, key: jax.Array) -> jax.Array:
        del key
        return -numbers

    tasks: dict[str, tuple[Callable[..., Any], tuple[int, ...], Any, float]] = {
        "product_flops": (product, (size, size), dtype, 2 * size**3),
        "own_product_flops": (layer, shape, dtype, flops),
        "copy_bytes": (copy, (count,), jnp.dtype(jnp.float32), 2 * 4 * count),
    }
    return {
        name: {which: _rate(*task, mesh, repeats) for which, mesh in meshes.items()} for name, task in tasks.items()
    }


def _rate(task: Callable[..., Any], shape: tuple[int, ...], dtype: Any, work: float, mesh: Mesh, repeats: int) -> float:
    """Work a second, in the best of `repeats` calls: (params, ones [...] of `shape` on each device, key) -> result."""
    ones = split(mesh, jnp.ones((shape[0] * mesh.size, *shape[1:]), dtype))
    program = compiled(over_games(task, mesh), (), ones, same(mesh, jnp.int32(0)))
    seconds, _ = in_turn([caller(program, (), ones)], mesh, repeats, time.monotonic() + 60)
    return work * mesh.size / float(seconds.min())


def _own_product(config: NetworkConfig, game: Game, rows: int) -> tuple[Callable[..., Any], tuple[int, ...], float]:
    """The products of the network's inner layers alone, CHAIN of them; the shape they work on and their FLOPs."""
    height, width, _ = game.observation_shape
    inner = config.width
    shape = (rows, inner) if config.kind == "mlp" else (rows, height, width, inner)
    kernel = jnp.full((inner, inner) if config.kind == "mlp" else (3, 3, inner, inner), 1 / inner, config.dtype)

    def layers(_: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        del key
        for _ in range(CHAIN):
            if config.kind == "mlp":
                x = x @ kernel
            else:
                x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return x

    cells = 1 if config.kind == "mlp" else height * width
    return layers, shape, 2.0 * CHAIN * rows * cells * kernel.size


def where_time_goes(config: Config, repeats: int) -> dict[str, float]:
    """Seconds of one move in all games, by ablation.

    `selfplay` is the whole of it. `network` are its evaluations alone, `tree` a search with trivial rules and network,
    `rules` what the real rules add to that, `rest` what the search takes beyond these three (the observations, and
    what the network loses in its company), `outside` what self-play takes beyond the search. There is no cache: the
    network is shown every position that it is asked for.
    """
    mesh = split_mesh(config.devices, config.selfplay.games)
    config = dataclasses.replace(config, search=dataclasses.replace(config.search, cache=0))
    program, params, first = own_side(config, mesh, "azero")
    calls = [player(program, params, first)]
    for name in PARTS:
        part = subject(config.game, name, config.network)
        weights, states = same(mesh, part.params), split(mesh, positions(part.game, config.selfplay.games))
        calls.append(caller(search_program(part, config.search, mesh, weights, states), weights, states))
    assert part.network is not None  # the last part has one
    views = split(mesh, jax.jit(jax.vmap(part.game.observe))(states))
    plan = evaluation_plan(config.search, part.game.num_actions)
    calls.append(caller(network_program(part.network, plan, mesh, weights, views), weights, views))
    seconds, _ = in_turn(calls, mesh, repeats, time.monotonic() + 300)
    whole, tree, rules, search, network = np.median(seconds, axis=0)
    whole = whole / config.selfplay.plies
    return {
        "selfplay": float(whole),
        "network": float(network),
        "tree": float(tree),
        "rules": float(rules - tree),
        "rest": float(search - network - rules),
        "outside": float(whole - search),
    }


def measure_floor(config: Config, repeats: int, say: Say) -> dict[str, Any]:
    """The floor of one preset, for JSON: `needs`, `machine`, `seconds` of a move in all games, and what is reached.

    Args:
      config: `devices` and `selfplay.plies`, how many moves in each game one call makes, are taken from here.
      repeats: of every measurement, the most.
    """
    mesh = split_mesh(config.devices, config.selfplay.games)
    say(f"{config.game}: what the network needs")
    wanted = needs(config)
    say(f"{config.game}: what the machine does at best")
    peak = machine(config, repeats)
    say(f"{config.game}: where the time goes")
    seconds = where_time_goes(config, repeats)
    evaluations = config.selfplay.games * (1 + config.search.simulations) / seconds["selfplay"]
    reached = evaluations * wanted["flops"]
    device = mesh.devices.flat[0]
    return {
        "game": config.game,
        "games": config.selfplay.games,
        "simulations": config.search.simulations,
        "network": dataclasses.asdict(config.network),
        "devices": mesh.size,
        "device": device.device_kind,
        "platform": device.platform,
        "needs": wanted,
        "machine": peak,
        "seconds": seconds,
        "moves_per_second": config.selfplay.games / seconds["selfplay"],
        "evaluations_per_second": evaluations,
        "flops_reached": reached,
        "share_of_product": reached / peak["product_flops"]["all"],
        "share_of_own_product": reached / peak["own_product_flops"]["all"],
        "share_of_copy": _moved(wanted, evaluations) / peak["copy_bytes"]["all"],
    }


def _moved(wanted: dict[str, Any], evaluations: float) -> float:
    """Bytes a second that the evaluations and the new nodes move, if each is moved once."""
    return evaluations * ((wanted["bytes"] or 0) + wanted["node_bytes"])
