"""Small states whose content follows from their iteration, as tests of checkpoints save them."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from azero import checkpoint
from azero.checkpoint import CheckpointError, Keep

KEEP = Keep(newest=3)
CONFIG = {"game": "tic_tac_toe", "search": {"simulations": 32}}


class State(NamedTuple):
    iteration: jax.Array
    params: dict[str, jax.Array]


def state_of(number: int) -> State:
    """A small state whose content follows from its iteration."""
    values = jax.random.normal(jax.random.key(number), (7, 3))
    return State(jnp.int32(number), {"w": values, "b": jnp.full((5,), number, jnp.uint8)})


def save(run: Path, number: int, strength: float | None = None, keep: Keep = KEEP) -> Path:
    state = state_of(number)
    return checkpoint.save(run, number, state, {"w": state.params["w"]}, CONFIG, strength, keep)


def bits(leaf: Any) -> tuple[Any, ...]:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return leaf.shape, str(leaf.dtype), np.asarray(leaf).tobytes()


def assert_same(found: Any, saved: Any) -> None:
    assert str(jax.tree.structure(found)) == str(jax.tree.structure(saved))
    assert [bits(leaf) for leaf in jax.tree.leaves(found)] == [bits(leaf) for leaf in jax.tree.leaves(saved)]


def assert_good(run: Path, number: int) -> list[str]:
    found = checkpoint.restore(run, state_of(0))
    assert found.iteration == number
    assert_same(found.state, state_of(number))
    playing = checkpoint.weights(run, number)
    assert playing.arrays["w"].tobytes() == np.asarray(state_of(number).params["w"]).tobytes()
    assert (playing.config, playing.iteration) == (CONFIG, number)
    return found.notes


def mesh(devices: int) -> Mesh:
    if len(jax.devices()) < devices:
        pytest.skip(f"needs {devices} devices")
    return jax.make_mesh((devices,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def assert_refused(run: Path, reason: str, said: str = "cannot save checkpoint") -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        save(run, 2)
    assert str(caught.value).startswith(f"{said} {run}/checkpoints/2: ")
    assert "\n" not in str(caught.value)
    assert not list(run.glob("checkpoints/.*"))
    assert checkpoint.iterations(run) == [1]
    assert assert_good(run, 1) == []


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
