"""The leaves of a pytree: their names, shapes and dtypes, and their numbers on disk by orbax."""

import gc
import logging
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

# orbax takes a third of a second to import, so it is imported where numbers are written or read.

STRAGGLERS = 0.3  # seconds in which writes end that were under way when another failed

Result = TypeVar("Result")


def named(state: Any) -> dict[str, Any]:
    """Dotted name -> leaf, in the order of the pytree; TypeError if a leaf is no array or two names are alike."""
    paths = jax.tree_util.tree_leaves_with_path(state)
    leaves = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
    for name, leaf in leaves.items():
        if not hasattr(leaf, "dtype"):
            raise TypeError(f"leaf {name} of the state is a {type(leaf).__name__}, not an array")
    if len(leaves) < len(paths):
        raise TypeError("two leaves of the state have the same dotted name")
    return leaves


def shapes(leaves: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Shape and dtype of each leaf, as JSON holds them."""
    return {name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype)} for name, leaf in leaves.items()}


def misfits(saved: Mapping[str, Mapping], asked: Mapping[str, Mapping]) -> list[str]:
    """A line for each name, shape or dtype that differs between two results of `shapes`."""
    lines = [f"{name} is missing from the checkpoint" for name in asked if name not in saved]
    lines += [f"{name} is in the checkpoint only" for name in saved if name not in asked]
    for name in [name for name in asked if name in saved]:
        for what in ("shape", "dtype"):
            if saved[name][what] != asked[name][what]:
                lines.append(f"{name}: {what} {saved[name][what]} (checkpoint) -> {asked[name][what]} (asked)")
    return lines


def write(path: Path, leaves: Mapping[str, Any]) -> None:
    """Writes leaves (arrays or numpy scalars, any dtype, sharded or not) to a new folder and waits for the disk."""
    import orbax.checkpoint as orbax

    # orbax refuses arrays of no elements and numpy scalars: the manifest holds the first, the second become arrays.
    stored = {n: np.asarray(a) if isinstance(a, np.generic) else a for n, a in leaves.items() if math.prod(a.shape)}
    # Uncompressed is half the time, and ocdbt puts small arrays together in few files.
    handler = orbax.PyTreeCheckpointHandler(use_ocdbt=True, use_compression=False)
    with orbax.Checkpointer(handler) as checkpointer:
        _quietly(lambda: checkpointer.save(path, args=orbax.args.PyTreeSave(stored)))


def read(path: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Reads leaves written by `write`, with the kind (jax, numpy, numpy scalar) and sharding of those expected."""
    import orbax.checkpoint as orbax

    def abstract(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray | np.generic):
            return np.empty(leaf.shape, leaf.dtype)
        sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    def empty(leaf: Any) -> Any:
        return leaf if isinstance(leaf, np.ndarray) else jax.device_put(np.empty(leaf.shape, leaf.dtype), leaf.sharding)

    wanted = {name: abstract(leaf) for name, leaf in expected.items()}
    stored = {name: leaf for name, leaf in wanted.items() if math.prod(leaf.shape)}
    arguments = orbax.checkpoint_utils.construct_restore_args(stored)
    wish = orbax.args.PyTreeRestore(item=stored, restore_args=arguments)
    with orbax.Checkpointer(orbax.PyTreeCheckpointHandler()) as checkpointer:
        found = _quietly(lambda: checkpointer.restore(path, args=wish))
    leaves = {name: found[name] if name in found else empty(leaf) for name, leaf in wanted.items()}
    return {n: leaf[()] if isinstance(expected[n], np.generic) else leaf for n, leaf in leaves.items()}


def _quietly(job: Callable[[], Result]) -> Result:
    """What an orbax job gives. If it fails, the reason alone, as OSError where the system gave one.

    orbax raises at the first write that fails, while others are under way; each of these, and its log, would print a
    traceback of its own, and write on into a folder that is being removed. So they are waited for and not heard.
    """
    loggers, hook = [logging.getLogger(name) for name in ("absl", "asyncio")], sys.unraisablehook
    for logger in loggers:
        logger.addFilter(_refuse)
    sys.unraisablehook = lambda unraisable: None if "loop is closed" in str(unraisable.exc_value) else hook(unraisable)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            try:
                return job()
            except Exception as error:
                failed = _plain(error)
            time.sleep(STRAGGLERS)
            gc.collect()  # a task whose error nobody asked for logs it when it goes
    finally:
        sys.unraisablehook = hook
        for logger in loggers:
            logger.removeFilter(_refuse)
    raise failed


def _refuse(record: logging.LogRecord) -> bool:
    return False


def _plain(error: Exception) -> Exception:
    """The error without its history; tensorstore gives the number of a system error as text."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    number = int(code[1]) if code else error.errno if isinstance(error, OSError) else None
    return OSError(number, os.strerror(number)) if number else RuntimeError(f"{type(error).__name__}: {error}")
