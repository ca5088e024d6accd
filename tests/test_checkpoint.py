"""Checkpoints: bit for bit, whole or not at all, and clear about what is wrong."""

import contextlib
import gc
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

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


# --- faults -----------------------------------------------------------------------------------------------------------


def test_every_step_of_saving_leaves_a_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder as a crash would leave it before each rename, flush and removal, restored from."""
    run, seen = tmp_path / "run", list[Path]()

    def look() -> None:
        copy = tmp_path / "seen" / str(len(seen))
        with monkeypatch.context() as plain:
            for (module, name), call in calls.items():
                plain.setattr(module, name, call)
            shutil.copytree(run, copy)
            for path in copy.glob("checkpoints/.*"):
                path.rename(path.with_name(path.name.replace(f"-{os.getpid()}", "-999999999")))
        seen.append(copy)

    def watched(call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            look()
            return call(*arguments, **options)

        return wrapper

    for number in (1, 2):
        save(run, number)
    calls = {(module, name): getattr(module, name) for module, name in ((os, "rename"), (os, "fsync"), (os, "rmdir"))}
    for (module, name), call in calls.items():
        monkeypatch.setattr(module, name, watched(call))
    save(run, 2)  # replaced
    replaced = len(seen)
    save(run, 3, None, Keep(newest=1))  # a new one, the others go
    monkeypatch.undo()
    look()
    assert len(seen) > 30
    for index, copy in enumerate(seen):
        number = checkpoint.restore(copy, state_of(0)).iteration
        assert number == 2 if index < replaced else number in (2, 3)
        assert assert_good(copy, number) == []
        visible = [path.name for path in copy.glob("checkpoints/[0-9]*")]
        assert sorted(visible) == [str(whole) for whole in checkpoint.iterations(copy)]
    for copy in seen[::7]:
        save(copy, 4)
        assert not list(copy.glob("checkpoints/.*"))


WRITER = """
import sys
sys.path[:0] = {path!r}
import test_checkpoint as test
from pathlib import Path
from azero import checkpoint
run = Path(sys.argv[1])
with checkpoint.lock(run):
    number = checkpoint.restore(run, test.state_of(0)).iteration
    while True:
        test.save(run, number, None, test.Keep(newest=2))  # again, then on
        number += 1
        test.save(run, number, None, test.Keep(newest=2))
        print(number, flush=True)
"""


def start(script: str, *arguments: Any, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A process of its own that runs `script`, behind the command `before` if there is one."""
    script = textwrap.dedent(script).format(path=[str(Path(__file__).parent), *sys.path])
    command = [*before, sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_kill_at_random_moments(tmp_path: Path) -> None:
    runs = [tmp_path / str(index) for index in range(2)]
    for run in runs:
        save(run, 1)
    chance, last, hidden = random.Random(0), dict.fromkeys(runs, 1), 0
    for _ in range(2):
        writers = {run: start(WRITER, run) for run in runs}
        for run, writer in writers.items():
            assert writer.stdout is not None
            assert writer.stderr is not None
            line = writer.stdout.readline()
            assert line, writer.stderr.read()
            time.sleep(chance.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
            with writer:  # communicate() would lose lines that readline() has buffered
                rest, errors = writer.stdout.read(), writer.stderr.read()
            assert (writer.returncode, errors) == (-signal.SIGKILL, "")
            printed = int((line + rest).split()[-1])
            hidden += len(list(run.glob("checkpoints/.*")))
            found = checkpoint.restore(run, state_of(0)).iteration
            assert last[run] < printed <= found <= printed + 1
            assert assert_good(run, found) == []
            last[run] = found
    assert hidden  # at least one was killed while it wrote


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


@pytest.mark.parametrize("size", [0, 100, 400, 1000])
def test_writing_that_fails(tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, 1)
    with largest_file(size):
        assert_refused(tmp_path, "File too large")
        many = {f"leaf {number}": jnp.ones(1000) for number in range(40)}  # many writes fail at once
        with pytest.raises(CheckpointError, match=r"^cannot save checkpoint .*: File too large$"):
            checkpoint.save(tmp_path, 2, many, {}, {}, None, KEEP)
    save(tmp_path, 2)
    assert assert_good(tmp_path, 2) == []
    gc.collect()
    assert capfd.readouterr().err == ""  # no traceback of orbax on the terminal


REFUSED = """
import os, subprocess, sys
sys.path[:0] = {path!r}
import pytest, test_checkpoint as test
from pathlib import Path
run, fault = Path(sys.argv[1]), sys.argv[2]
test.save(run, 1)
if fault == "full":
    for room in range(0, 14_000, 3_500):  # so that it is one file that fails, then another
        (run / "ballast").unlink(missing_ok=True)
        disk = os.statvfs(run)
        with open(run / "ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - room)
        test.assert_refused(run, "No space left on device")
    (run / "ballast").unlink()
    test.save(run, 2)
else:
    subprocess.run(["mount", "-o", "remount,ro", str(run)], check=True)
    test.assert_refused(run, "Read-only file system")
    with pytest.raises(test.CheckpointError, match="cannot lock run directory .*: Read-only file system"):
        with test.checkpoint.lock(run):
            pass
print("done")
"""
PRIVATE = ["unshare", "--user", "--map-root-user", "--mount"]  # mounts that end with the process


def can_mount(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        trial = subprocess.run([*PRIVATE, "mount", "-t", "tmpfs", "none", str(path)], capture_output=True, check=False)
        return trial.returncode == 0
    return False


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_disk_full_or_read_only(tmp_path: Path, fault: str) -> None:
    if not can_mount(tmp_path):
        pytest.skip("no private mounts here: a full or read-only disk cannot be made")
    mount = ["sh", "-ec", f'mount -t tmpfs -o size=2m none "{tmp_path}"; exec "$0" "$@"']
    process = start(REFUSED, tmp_path, fault, before=[*PRIVATE, *mount])
    output, errors = process.communicate(timeout=120)
    assert (output, errors, process.returncode) == ("done\n", "", 0)


def test_unwritable_run(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(CheckpointError, match=r"cannot save checkpoint .*: Not a directory"):
        save(tmp_path / "run", 1)
    with (
        pytest.raises(CheckpointError, match=r"cannot lock run directory .*: File exists"),
        checkpoint.lock(tmp_path / "run"),
    ):
        pass


# --- the lock and the promises ----------------------------------------------------------------------------------------


HOLDER = """
import sys, time
sys.path[:0] = {path!r}
from azero import checkpoint
with checkpoint.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_lock(tmp_path: Path) -> None:
    run = tmp_path / "new"
    holder = start(HOLDER, run)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):
            with (
                pytest.raises(CheckpointError, match=f"^run directory {run} is in use by process {holder.pid}$"),
                checkpoint.lock(run),
            ):
                pass
    finally:
        holder.kill()
        holder.communicate()
    with checkpoint.lock(run):  # a crash has released it
        assert int((run / ".lock").read_text()) == os.getpid()
        with pytest.raises(CheckpointError, match=f"in use by process {os.getpid()}"), checkpoint.lock(run):
            pass
    with checkpoint.lock(run):
        pass


def test_other_living_process_keeps_its_folder(tmp_path: Path) -> None:
    folder = save(tmp_path, 1).parent
    mine, other, gone = (folder / f".7.partial-{process}" for process in (os.getpid(), os.getppid(), 999_999_999))
    for path in (mine, other, gone):
        path.mkdir()
    save(tmp_path, 2)
    assert [path.exists() for path in (mine, other, gone)] == [False, True, False]


AUDIT = """
import sys
sys.path[:0] = {path!r}
import test_checkpoint as test
from pathlib import Path
run = Path(sys.argv[1])
test.save(run, 1)
test.assert_good(run, 1)  # all that is imported late is imported
seen = []
watched = ("pickle.", "exec", "compile", "import", "marshal.", "ctypes.dlopen", "os.system", "subprocess.", "os.exec")
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)) if event.startswith(watched) else None)
import pickle
pickle.loads(pickle.dumps(Path))
assert seen, "the hook sees nothing"
seen.clear()
test.save(run, 2)
saving, seen = seen, []
test.checkpoint.restore(run, test.state_of(0))
test.checkpoint.weights(run)
print([event for event in saving if event[0].startswith(("pickle", "marshal"))], seen)
"""


def test_loading_runs_no_code(tmp_path: Path) -> None:
    process = start(AUDIT, tmp_path)
    output, errors = process.communicate(timeout=120)
    assert (output, errors) == ("[] []\n", "")
    for file in (tmp_path / "checkpoints" / "2").rglob("*"):
        assert file.is_dir() or not file.read_bytes().startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))


def test_importing_leaves_orbax_alone() -> None:
    process = start("import sys; sys.path[:0] = {path!r}; import azero.checkpoint; print('orbax' in str(sys.modules))")
    assert process.communicate(timeout=120) == ("False\n", "")
