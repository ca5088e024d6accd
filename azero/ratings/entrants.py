"""Players by names that mean the same for good, and the matches between them."""

import difflib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from azero import checkpoint
from azero.manifest import CheckpointError
from azero.players import parse_player, shipped_folder
from azero.report import read_metrics

ALL = re.compile(r"@all(?=:|$)")


class Entrant(NamedTuple):
    """A player as ratings know it."""

    name: str  # its text with the step that it plays: a run that has trained on is another player
    run: str | None = None  # the text without its step, if it is one of a run's checkpoints
    seconds: float | None = None  # wall time that the run had trained by then


def entrants(texts: Sequence[str]) -> list[Entrant]:
    """The players that texts name, each once; "runs/c4@all" is every checkpoint that a run keeps, oldest first.

    Raises:
      ValueError: one line: a text does not parse, or there is no such checkpoint.
    """
    found = [entrant(one) for text in texts for one in _expanded(text)]
    return list(dict.fromkeys(found))


def entrant(text: str) -> Entrant:
    """The player of one text.

    Raises:
      ValueError: as in `entrants`.
    """
    named = parse_player(text)
    if named.folder is None:
        return Entrant(text)
    try:
        step = checkpoint.weights(named.folder, named.iteration).iteration
    except CheckpointError as error:
        raise ValueError(f"{text}: {error}") from None
    place = f"checkpoints/{named.folder.name}" if named.folder.parent == shipped_folder() else str(named.folder)
    before = "policy:" if named.kind == "policy" else ""
    options = ",".join(f"{name}={value}" for name, value in named.options.items())
    after = f":{options}" if options else ""
    if step is None:
        return Entrant(f"{before}{place}{after}")
    seconds = _trained(named.folder, step)
    run = None if seconds is None else f"{before}{place}{after}"
    return Entrant(f"{before}{place}@{step}{after}", run, seconds)


def pairings(names: Sequence[str], ladder: bool) -> list[tuple[str, str]]:
    """Who meets whom: everyone everyone, or on a ladder each the next one."""
    return list(itertools.pairwise(names) if ladder else itertools.combinations(names, 2))


def nearest(name: str, names: Sequence[str]) -> str:
    """How an error ends in which a name is not known."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"players are {', '.join(names)}"


def _expanded(text: str) -> list[str]:
    """The texts of all checkpoints, where "@all" stands in place of a step."""
    match = ALL.search(text)
    if match is None:
        return [text]
    parse_player(text[: match.start()] + text[match.end() :])  # whatever else is wrong with it is said first
    place = text[: match.start()].removeprefix("policy:")
    steps = checkpoint.iterations(Path(place))
    if not steps:
        raise ValueError(f"{text}: there are no checkpoints in {Path(place) / 'checkpoints'}")
    return [f"{text[: match.start()]}@{step}{text[match.end() :]}" for step in steps]


def _trained(folder: Path, step: int) -> float | None:
    """Seconds of training before a step of a run; None where its metrics do not say."""
    seconds = [row.get("seconds") for row in read_metrics(folder) if row.get("iteration") == step]
    return float(seconds[0]) if seconds and seconds[0] is not None else None
