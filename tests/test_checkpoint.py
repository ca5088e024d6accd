"""Checkpoints: bit for bit, whole or not at all, and clear about what is wrong."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from jax.sharding import NamedSharding, PartitionSpec
from saved_states import CONFIG, KEEP, State, assert_good, assert_same, bits, flip, mesh, save, state_of

from azero import checkpoint
from azero.checkpoint import CheckpointError, Keep

# --- round trip -------------------------------------------------------------------------------------------------------


def every_kind() -> dict[str, Any]:
    params = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "odd name/['x'].y": jnp.ones(2)}
    return {
        "iteration": jnp.int32(3),
        "params": State(jnp.float32(0.1), params),
        "optimizer": optax.chain(optax.clip(1.0), optax.adamw(1e-3)).init(params),
        "special": jnp.array([jnp.nan, -0.0, jnp.inf, 1e-45]),
        "bf16": jnp.linspace(-3, 3, 5, dtype=jnp.bfloat16),
        "f16": jnp.linspace(-3, 3, 5, dtype=jnp.float16),
        "u32": jnp.array([0, 2**32 - 1], jnp.uint32),
        "u8": jnp.arange(256, dtype=jnp.uint8),
        "i16": jnp.array([-(2**15), 7], jnp.int16),
        "bool": jnp.array([[True, False]]),
        "no elements": jnp.zeros((0, 3), jnp.bfloat16),
        "key": jax.random.key(5),
        "keys": jax.random.split(jax.random.key(6), 3),
        "nothing": None,
        "numpy": [
            np.arange(6, dtype=np.int16).reshape(2, 3).T,
            np.array(2**40),
            np.float64(1e-300),
            np.bool_(True),
            np.zeros((2, 0)),
        ],
    }


def test_round_trip_bit_for_bit(tmp_path: Path) -> None:
    state = every_kind()
    path = checkpoint.save(tmp_path, 3, state, {}, {}, None, KEEP)
    found = checkpoint.restore(tmp_path, state)
    assert (found.iteration, found.notes) == (3, [])
    assert_same(found.state, state)
    kinds = [(type(a), type(b)) for a, b in zip(jax.tree.leaves(found.state), jax.tree.leaves(state), strict=True)]
    assert all(a is b for a, b in kinds), kinds
    assert sorted(entry.name for entry in path.iterdir()) == sorted(
        ["state", "weights.safetensors", "config.json", "manifest.json"]
    )
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["leaves"]["bf16"] == {"shape": [5], "dtype": "bfloat16"}
    assert manifest["leaves"]["optimizer.1.0.mu.w"] == {"shape": [2, 3], "dtype": "float32"}
    assert set(manifest["versions"]) >= {"azero", "jax", "flax", "optax", "numpy"}


def test_restore_from_shapes_alone_and_donate(tmp_path: Path) -> None:
    save(tmp_path, 4)
    found = checkpoint.restore(tmp_path, jax.eval_shape(lambda: state_of(0))).state
    assert_same(found, state_of(4))
    stepped = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)(found)
    assert_same(stepped, jax.tree.map(lambda leaf: leaf + 1, state_of(4)))
    assert_good(tmp_path, 4)


def test_weights_keep_dtypes_and_order(tmp_path: Path) -> None:
    arrays = {
        "bf16": jnp.linspace(0, 1, 4, dtype=jnp.bfloat16),
        "scalar": jnp.float32(2),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "empty": np.zeros((0, 2), np.float32),
    }
    checkpoint.save(tmp_path, 1, state_of(1), arrays, CONFIG, None, KEEP)
    found = checkpoint.weights(tmp_path)
    assert {name: bits(array) for name, array in found.arrays.items()} == {n: bits(a) for n, a in arrays.items()}
    assert (found.config, found.iteration, found.notes) == (CONFIG, 1, [])


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2)])
def test_sharded(tmp_path: Path, before: int, after: int) -> None:
    def place(devices: int, value: int) -> dict[str, jax.Array]:
        split, whole = (NamedSharding(mesh(devices), spec) for spec in (PartitionSpec("d"), PartitionSpec()))
        games = jnp.arange(8 * 3, dtype=jnp.int16).reshape(8, 3) * value
        return {"games": jax.device_put(games, split), "w": jax.device_put(jnp.float32(value), whole)}

    saved, like = place(before, 5), place(after, 0)
    checkpoint.save(tmp_path, 1, saved, {}, {}, None, KEEP)
    found = checkpoint.restore(tmp_path, like).state
    assert_same(found, saved)
    for name in like:
        assert found[name].sharding == like[name].sharding
    assert len(found["games"].addressable_shards) == after


def test_leaf_that_is_no_array(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="leaf a of the state is a int"):
        checkpoint.save(tmp_path, 1, {"a": 3}, {}, {}, None, KEEP)


# --- what is wrong is said --------------------------------------------------------------------------------------------


def test_misfit_names_the_leaves(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    state = state_of(0)
    like = {"w": jnp.zeros((7, 4)), "b": jnp.zeros(5, jnp.int8)}
    with pytest.raises(CheckpointError, match=r"checkpoints/2 does not fit") as caught:
        checkpoint.restore(tmp_path, state._replace(params=like))
    assert "params.w: shape [7, 3] (checkpoint) -> [7, 4] (asked)" in str(caught.value)
    assert "params.b: dtype uint8 (checkpoint) -> int8 (asked)" in str(caught.value)
    many = {f"x{i}": jnp.zeros(1) for i in range(9)}
    with pytest.raises(CheckpointError, match=r"params.x0 is missing from the checkpoint; .*; and 8 more$"):
        checkpoint.restore(tmp_path, state._replace(params=many))


def test_differences() -> None:
    now = {"game": "tic_tac_toe", "search": {"simulations": 64, "depth": [1, 2]}, "empty": {}}
    assert checkpoint.differences(CONFIG, CONFIG) == []
    assert checkpoint.differences({"a": [1, 2]}, {"a": (1, 2)}) == []
    assert checkpoint.differences(CONFIG, now) == [
        "search.simulations: 32 (run) -> 64 (asked)",
        "search.depth: absent (run) -> [1, 2] (asked)",
        "empty: absent (run) -> {} (asked)",
    ]


def spoil_truncate(path: Path) -> None:
    file = max((path / "state").rglob("*"), key=lambda entry: entry.stat().st_size * entry.is_file())
    os.truncate(file, file.stat().st_size - 1)


def spoil_empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def spoil_foreign(path: Path) -> None:
    spoil_empty(path)
    (path / "model.bin").write_bytes(b"another program's")


def spoil_copy(path: Path) -> None:
    shutil.rmtree(path)
    shutil.copytree(path.with_name("1"), path)


def spoil_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a folder")


def spoil_link(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("nowhere")


SPOILS = {
    "has a truncated state/": spoil_truncate,
    "is empty": spoil_empty,
    "is not one: No such file": spoil_foreign,
    "is one of iteration 1": spoil_copy,
    "Not a directory": spoil_file,
    "No such file": spoil_link,
    "manifest.json": lambda path: (path / "manifest.json").unlink(),
    "corrupted manifest.json": lambda path: (path / "manifest.json").write_text("[1]"),
    "has no weights.safetensors": lambda path: (path / "weights.safetensors").unlink(),
    "has a truncated config.json": lambda path: (path / "config.json").write_text(""),
    "has an overlong config.json": lambda path: (path / "config.json").write_text("x" * 10_000),
    "has a foreign state/more": lambda path: (path / "state" / "more").write_text("x"),
}


@pytest.mark.parametrize("said", SPOILS)
def test_falls_back_with_a_note(tmp_path: Path, said: str) -> None:
    for number in (1, 2):
        save(tmp_path, number)
    SPOILS[said](tmp_path / "checkpoints" / "2")
    (note,) = assert_good(tmp_path, 1)
    assert said in note
    assert "checkpoints/2" in note
    assert "\n" not in note
    assert checkpoint.iterations(tmp_path) == [1]
    with pytest.raises(CheckpointError, match="checkpoints/2"):
        checkpoint.restore(tmp_path, state_of(0), 2)
    save(tmp_path, 2)  # training comes by again and mends it
    assert assert_good(tmp_path, 2) == []


def test_flipped_bit_in_every_file(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path, number)
    path = tmp_path / "checkpoints" / "2"
    files = sorted(file for file in path.rglob("*") if file.is_file())
    assert len(files) > 6
    for file in files:
        whole = file.read_bytes()
        flip(file)
        (note,) = assert_good(tmp_path, 1)
        name = file.relative_to(path).as_posix()
        assert note == f"checkpoint {path} has a corrupted {name}"
        playing = checkpoint.weights(tmp_path)
        expected = 1 if name in ("weights.safetensors", "config.json", "manifest.json") else 2
        assert (playing.iteration, len(playing.notes)) == (expected, 2 - expected), name
        file.write_bytes(whole)
    assert assert_good(tmp_path, 2) == []


def test_none_is_good(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^no checkpoint in .*checkpoints$"):
        checkpoint.restore(tmp_path, state_of(0))
    for number in (1, 2):
        flip(save(tmp_path, number) / "config.json")
    with pytest.raises(CheckpointError, match=r"^no good checkpoint in .*2 has a corrupted config.json; .*/1 has a"):
        checkpoint.restore(tmp_path, state_of(0))
    with pytest.raises(CheckpointError, match=r"^no good checkpoint in"):
        checkpoint.weights(tmp_path)
    with pytest.raises(CheckpointError, match=r"^no checkpoint of iteration 7 in .*; there are: 2; 1$"):
        checkpoint.restore(tmp_path, state_of(0), 7)


def test_foreign_names_are_ignored(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for name in ("01", "x", "2.orbax-checkpoint-tmp", ".5.partial-1", "-3"):
        (tmp_path / "checkpoints" / name).mkdir()
    assert checkpoint.iterations(tmp_path) == [1]
    assert checkpoint.iterations(tmp_path / "nowhere") == []
    assert assert_good(tmp_path, 1) == []


def test_reference_folder(tmp_path: Path) -> None:
    path = save(tmp_path / "run", 12)
    reference = tmp_path / "tic_tac_toe"
    reference.mkdir()
    for name in ("weights.safetensors", "config.json"):
        shutil.copy(path / name, reference)
    found = checkpoint.weights(reference)
    assert (found.iteration, found.config, list(found.arrays)) == (12, CONFIG, ["w"])
    with pytest.raises(CheckpointError, match="holds iteration 12, not 3"):
        checkpoint.weights(reference, 3)
    safetensors.numpy.save_file(found.arrays, reference / "weights.safetensors")
    assert checkpoint.weights(reference).iteration is None
    flip_at_start = (reference / "weights.safetensors").read_bytes()[:50]
    (reference / "weights.safetensors").write_bytes(flip_at_start)
    with pytest.raises(CheckpointError, match=f"^cannot read checkpoint {reference}"):
        checkpoint.weights(reference)
    shutil.copy(path / "weights.safetensors", reference)
    (reference / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"No such file or directory .*config.json"):
        checkpoint.weights(reference)
    with pytest.raises(CheckpointError, match=r"has neither checkpoints/ nor weights"):
        checkpoint.weights(path / "state")
    with pytest.raises(CheckpointError, match="is not a folder"):
        checkpoint.weights(tmp_path / "nowhere")


# --- retention --------------------------------------------------------------------------------------------------------


def test_retention(tmp_path: Path) -> None:
    strengths = {2: 0.3, 4: 0.9, 6: 0.1, 8: None, 10: float("nan"), 12: 0.2, 14: 0.0}
    for number, strength in strengths.items():
        save(tmp_path, number, strength, Keep(newest=2, every=6))
    assert checkpoint.iterations(tmp_path) == [4, 6, 12, 14]
    assert_good(tmp_path, 14)


def test_the_newest_is_never_deleted(tmp_path: Path) -> None:
    for number in range(1, 5):
        save(tmp_path, number, -float(number), Keep(newest=1))
        assert checkpoint.iterations(tmp_path) == sorted({1, number})
    with pytest.raises(ValueError, match="newest must be at least 1"):
        save(tmp_path, 5, None, Keep(newest=0))


def test_training_that_fell_back_keeps_what_it_saves(tmp_path: Path) -> None:
    for number in (10, 20, 30):
        save(tmp_path, number)
    flip(tmp_path / "checkpoints" / "30" / "config.json")
    save(tmp_path, 25, None, Keep(newest=1))  # 30 is newer, but bad: 25 must not go for it
    assert len(assert_good(tmp_path, 25)) == 1
    save(tmp_path, 30, None, Keep(newest=1))
    assert assert_good(tmp_path, 30) == []
    assert checkpoint.iterations(tmp_path) == [30]
