"""The manifest of a checkpoint: what the folder holds, so that nothing is read that is not as it was written."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from azero import __version__

PACKAGES = ("jax", "flax", "optax", "numpy", "orbax-checkpoint")
SHOWN = 3  # lines told when there are many


class CheckpointError(Exception):
    """A checkpoint or run directory cannot be written, read or used. One line, naming the path and the reason."""


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file aside and puts it in place in one step.

    Raises:
      CheckpointError: the disk refuses.
    """
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None


def claim(path: Path, plan: Mapping[str, Any], what: str, growing: Sequence[str] = ()) -> None:
    """Writes the plan of the work of a folder, or finds the same one there.

    Args:
      path: of its file; its folder is made.
      plan: for JSON.
      what: the folder holds, for the message.
      growing: entries that may differ; they are written anew.

    Raises:
      ValueError: one line: the folder holds other work, or something else.
    """
    asked = json.loads(json.dumps(plan))
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name another folder")
    if not path.exists() and folder.is_dir() and any(not inside.name.startswith(".") for inside in folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no {what}; name another folder")
    if path.exists():
        try:
            found = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        there, wanted = (_flat({name: one[name] for name in one if name not in growing}) for one in (found, asked))
        other = [name for name in sorted(there.keys() | wanted.keys()) if there.get(name) != wanted.get(name)]
        if other:
            said = few([f"its {name} {_is(there.get(name))}, not {_said(wanted.get(name))}" for name in other])
            raise ValueError(f"{folder} holds another {what}: {said}; name another folder")
        if found == asked:
            return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asked, indent=1) + "\n")


def write(path: Path, iteration: int, strength: float | None, leaves: Mapping[str, Any]) -> None:
    """Writes manifest.json for the files below `path` and a state of these leaves (name -> shape and dtype)."""
    manifest: dict[str, Any] = {"iteration": iteration, "strength": strength, "leaves": leaves}
    manifest["versions"] = {"azero": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}
    manifest["files"] = {name: _entry(file) for name, file in _files(path).items()}
    (path / "manifest.json").write_text(json.dumps(manifest | {"sha256": _seal(manifest)}, indent=1))


def listed(path: Path, iteration: int | None, names: Sequence[str] = ()) -> dict[str, Any]:
    """The manifest, if it is sound and each file (or each of `names`) is there with its size; else CheckpointError."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        sound = manifest.pop("sha256") == _seal(manifest)
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    except OSError as error:
        empty = path.is_dir() and not any(path.iterdir())
        raise CheckpointError(f"checkpoint {path} {'is empty' if empty else f'is not one: {_reason(error)}'}") from None
    if not sound:
        raise CheckpointError(f"checkpoint {path} has a corrupted manifest.json")
    if iteration not in (None, manifest["iteration"]):
        raise CheckpointError(f"checkpoint {path} is one of iteration {manifest['iteration']}")
    files = _files(path)
    for name in names or manifest["files"]:
        size, found = manifest["files"][name]["size"], files[name].stat().st_size if name in files else None
        if found != size:
            state = "no" if found is None else "a truncated" if found < size else "an overlong"
            raise CheckpointError(f"checkpoint {path} has {state} {name}")
    foreign = [name for name in files if name.startswith("state/") and name not in manifest["files"]]
    if foreign and not names:
        raise CheckpointError(f"checkpoint {path} has a foreign {foreign[0]}")
    return manifest


def verified(path: Path, iteration: int | None, names: Sequence[str] = ()) -> dict[str, Any]:
    """The manifest, if every file (or each of `names`) is as it was saved; else CheckpointError."""
    manifest = listed(path, iteration, names)
    for name in names or manifest["files"]:
        with failure(f"cannot read checkpoint {path}"):
            if _entry(path / name) != manifest["files"][name]:
                raise CheckpointError(f"checkpoint {path} has a corrupted {name}")
    return manifest


def complete(path: Path) -> dict[str, Any] | None:
    """The manifest of a checkpoint that has all its files, else None."""
    try:
        return listed(path, int(path.name))
    except CheckpointError:
        return None


@contextlib.contextmanager
def failure(doing: str) -> Iterator[None]:
    """Turns whatever goes wrong into a CheckpointError that says while doing what."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{doing}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What the system said, or a library, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no reason given'}"


def few(lines: Sequence[str]) -> str:
    """The first few of many lines, and how many more there are."""
    return "; ".join(lines[:SHOWN]) + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")


def _flat(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Entries by dotted names, those of groups one by one."""
    flat: dict[str, Any] = {}
    for name, value in plan.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": one for inner, one in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def _is(value: Any) -> str:
    """`is` or `are`, and the value."""
    return f"{'are' if isinstance(value, list) and len(value) > 1 else 'is'} {_said(value)}"


def _said(value: Any) -> str:
    """A value of JSON in words."""
    if isinstance(value, list):
        return " and ".join(map(_said, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _files(path: Path) -> dict[str, Path]:
    """Every file below a folder but its manifest, by relative name."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / "manifest.json")
    return {file.relative_to(path).as_posix(): file for file in files}


def _entry(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        return {"size": file.stat().st_size, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def _seal(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest, so that damage to it is told from a state that does not fit."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
