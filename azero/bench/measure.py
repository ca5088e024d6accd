"""What every benchmark does: split games over devices, compile, and time programs in turn."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from azero.train import AXIS

LONG = 5.0  # seconds; of a round that takes longer the first one counts, for what is cold in it is lost in the rest
LEAST = 3  # rounds that count, however late it is, where a round is not long

SPLIT = PartitionSpec(AXIS)  # arrays [B, ...], each device with its own games

Say = Callable[[str], None]  # takes a line about how it goes


class Program(NamedTuple):
    """A compiled function."""

    call: Callable[..., Any]
    compile_seconds: float  # tracing, lowering and compiling, nothing from a cache if there is none
    peak_bytes: int  # arguments, results and workspace, over all devices


class Clock(NamedTuple):
    """A time to be shared out evenly among measurements."""

    ends: float  # time.monotonic()
    shares: int

    def until(self, number: int) -> float:
        """When measurement `number`, from 0 on, should have ended: it has an even share of the time that is left."""
        now = time.monotonic()
        return now + max(0.0, self.ends - now) / (self.shares - number)


def split_mesh(devices: int, games: int) -> Mesh:
    """One axis over `devices` devices; 0 takes as many of those there are as the games split over evenly.

    Raises:
      ValueError: there are fewer, or the games do not split evenly over those asked for.
    """
    there = jax.devices()
    count = devices or max(count for count in range(1, len(there) + 1) if games % count == 0)
    if count > len(there):
        raise ValueError(f"--devices is {count}, but there are {len(there)} ({there[0].platform})")
    if games % count:
        raise ValueError(f"a batch of {games} does not split evenly over {count} devices")
    return jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,), devices=there[:count])


def split(mesh: Mesh, games: Any) -> Any:
    """Arrays [B, ...] laid out over the devices."""
    return jax.device_put(games, NamedSharding(mesh, SPLIT))


def same(mesh: Mesh, arrays: Any) -> Any:
    """Arrays that every device has whole."""
    return jax.device_put(arrays, NamedSharding(mesh, PartitionSpec()))


def over_games(function: Callable[..., Any], mesh: Mesh, results: Any = SPLIT) -> Callable[..., Any]:
    """(params, games [B, ...], number) -> results, each device with its own games.

    Args:
      function: (params, games, key) -> results; the key is of the number and the device.
      results: how they lie over the devices.
    """

    def on_device(params: Any, games: Any, number: jax.Array) -> Any:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), number), jax.lax.axis_index(AXIS))
        return function(params, games, key)

    whole = PartitionSpec()
    specs = (whole, SPLIT, whole)
    return jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=results, check_vma=False)


def compiled(function: Callable[..., Any], *arguments: Any) -> Program:
    """The function compiled for arguments like these."""
    began = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - began
    need: Any = program.memory_analysis()
    held = need.argument_size_in_bytes + need.output_size_in_bytes - need.alias_size_in_bytes
    devices = len(jax.tree.leaves(program.input_shardings)[0].device_set)
    return Program(program, seconds, (held + need.temp_size_in_bytes) * devices)


def caller(program: Program, *arguments: Any) -> Callable[[jax.Array], Any]:
    """number -> result, of a program whose last argument is the number."""

    def call(number: jax.Array) -> Any:
        return program.call(*arguments, number)

    return call


def in_turn(
    calls: Sequence[Callable[[jax.Array], Any]], mesh: Mesh, repeats: int, until: float
) -> tuple[np.ndarray, list[Any]]:
    """Times calls one after the other, round after round.

    Args:
      calls: number -> result, all of one round with the same number.
      repeats: the most rounds that count.
      until: time.monotonic() at which the last round should have ended; see LEAST and LONG.

    Returns:
      seconds float64 [rounds, calls], and the results of the first round. The first round warms up and counts only
      where it is long.
    """
    numbers = [same(mesh, jnp.int32(number)) for number in range(repeats + 1)]
    rounds: list[list[float]] = []
    first: list[Any] = []
    for number in numbers:
        seconds = []
        for call in calls:
            began = time.perf_counter()
            result = jax.block_until_ready(call(number))
            seconds.append(time.perf_counter() - began)
            if len(first) < len(calls):
                first.append(result)
        rounds.append(seconds)
        took = sum(seconds)
        least = 1 if took > LONG else 1 + LEAST
        if len(rounds) >= least and time.monotonic() + took > until:
            break
    return np.array(rounds[1:] or rounds), first


def figures(name: str, values: np.ndarray) -> dict[str, Any]:
    """Values for JSON: `name` is their median, `name`_range the least and the greatest."""
    return {name: float(np.median(values)), f"{name}_range": [float(values.min()), float(values.max())]}


def short(number: float) -> str:
    """Three digits and k, M, G or T: 15500 -> 15.5k."""
    if not number or not math.isfinite(number):
        return str(number)
    power = min(max(int(math.log10(abs(number)) // 3), 0), 4)
    scaled = number / 1000**power
    digits = max(0, 2 - max(0, int(math.log10(abs(scaled))))) if abs(scaled) >= 0.1 else 3
    return f"{scaled:.{digits}f}{('', 'k', 'M', 'G', 'T')[power]}"
