"""Checkpoints: killed, full, read-only, locked, and what loading must not do."""

import contextlib
import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest
from saved_states import KEEP, assert_good, assert_refused, largest_file, save, state_of

from azero import checkpoint
from azero.checkpoint import CheckpointError, Keep

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
import saved_states as test
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


@pytest.mark.parametrize("size", [0, 100, 400, 1000])
def test_writing_that_fails(tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, 1)
    many = {f"leaf {number}": jnp.ones(1000) for number in range(40)}  # many writes fail at once
    with largest_file(size):  # nothing may be compiled under it, for the compile cache is files too
        assert_refused(tmp_path, "File too large")
        with pytest.raises(CheckpointError, match=r"^cannot save checkpoint .*: File too large$"):
            checkpoint.save(tmp_path, 2, many, {}, {}, None, KEEP)
    save(tmp_path, 2)
    assert assert_good(tmp_path, 2) == []
    gc.collect()
    assert capfd.readouterr().err == ""  # no traceback of orbax on the terminal


REFUSED = """
import os, subprocess, sys
sys.path[:0] = {path!r}
import pytest, saved_states as test
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
    with pytest.raises(test.CheckpointError, match="cannot lock .*: Read-only file system"):
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
        pytest.raises(CheckpointError, match=r"cannot lock .*: File exists"),
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
                pytest.raises(CheckpointError, match=f"^{run} is in use by process {holder.pid}$"),
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
import saved_states as test
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
