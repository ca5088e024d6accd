"""The exact value of every position of a small board game, by retrograde analysis.

All positions that play can reach are listed ply by ply, then valued from the last ply back to the first. A table
is kept in the user's cache folder, so that it is built once; a file there is only believed if it holds what was
to be found.
"""

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from games.core import DRAW, ILLEGAL, LOSS, WIN
from games.oracles.bitboards import Moves, Rules, moves_from

logger = logging.getLogger(__name__)

# How many positions in which the game goes on play can reach. All three games are drawn.
# Connect boards: J. Tromp's playground, less the positions in which the game is over.
POSITIONS = {"tic_tac_toe": 4_520, "connect_four_4x4": 134_289, "connect_four_5x4": 3_100_379}

VERSION = 1  # of the files in the cache; another number and they are built anew
CHUNK = 1 << 18  # positions looked at together: bounds the memory


class Table(NamedTuple):
    """Every reachable position in which the game goes on, with its exact value for the player to move."""

    keys: np.ndarray  # uint64 [N], ascending
    values: np.ndarray  # int8 [N], WIN, DRAW or LOSS
    plies: np.ndarray  # int8 [N], to the end of the game: the winner hurries, the loser holds out


def reachable(rules: Rules, plies: int) -> list[np.ndarray]:
    """The positions in which the game goes on, by the number of stones on the board.

    Args:
      rules: of the game.
      plies: the last number of stones to list.

    Returns:
      At each number from 0 up to `plies`, or up to the last at which a game can still go on: keys, uint64 [N],
      ascending, each position once.
    """
    layers = [np.zeros(1, np.uint64)]
    while len(layers) <= plies:
        found = [np.zeros(0, np.uint64)]
        for part in _chunks(layers[-1]):
            moves = moves_from(rules, part)
            found.append(np.unique(moves.after[moves.goes_on]))
        layer = np.unique(np.concatenate(found))
        if not len(layer):
            break
        layers.append(layer)
    return layers


def solve(rules: Rules) -> Table:
    """The table of a game, from the rules alone."""
    layers = reachable(rules, rules.max_plies)
    nothing = np.zeros(0, np.int8)
    after = Table(np.zeros(0, np.uint64), nothing, nothing)
    solved = []
    for layer in reversed(layers):
        parts = [_best(*move_values(after, moves_from(rules, part))) for part in _chunks(layer)]
        values, plies = (np.concatenate(part) for part in zip(*parts, strict=True))
        after = Table(layer, values, plies)
        solved.append(after)
    keys, values, plies = (np.concatenate(part) for part in zip(*solved, strict=True))
    order = np.argsort(keys)
    return Table(keys[order], values[order], plies[order])


def move_values(table: Table, moves: Moves) -> tuple[np.ndarray, np.ndarray]:
    """The exact values of the moves of N positions, from a table that holds the positions after them.

    Returns:
      values int8 [N, A] for the mover (ILLEGAL where illegal) and plies to the end of the game under best play,
      this move included, int16 [N, A] (-1 where illegal).

    Raises:
      ValueError: a position after a move is not in the table.
    """
    values = np.where(moves.legal, np.where(moves.won, WIN, DRAW), ILLEGAL).astype(np.int8)
    plies = np.where(moves.legal, 1, -1).astype(np.int16)
    rows = _rows(table, moves.after[moves.goes_on])
    values[moves.goes_on] = -table.values[rows]
    plies[moves.goes_on] = table.plies[rows] + np.int16(1)
    return values, plies


def exact_moves(rules: Rules, table: Table, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`move_values` of positions given by their keys, uint64 [N], any number of them."""
    values = np.zeros((len(keys), rules.num_actions), np.int8)
    plies = np.zeros((len(keys), rules.num_actions), np.int16)
    for start in range(0, len(keys), CHUNK):
        part = slice(start, start + CHUNK)
        values[part], plies[part] = move_values(table, moves_from(rules, keys[part]))
    return values, plies


def _chunks(keys: np.ndarray) -> list[np.ndarray]:
    return [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]


def _rows(table: Table, keys: np.ndarray) -> np.ndarray:
    """int64 [N]: where in the table these keys, uint64 [N], are."""
    if not len(keys):
        return np.zeros(0, np.int64)
    rows = np.searchsorted(table.keys, keys)
    if not len(table.keys) or (table.keys[np.minimum(rows, len(table.keys) - 1)] != keys).any():
        raise ValueError("a position that play cannot reach has no exact value")
    return rows


def _best(values: np.ndarray, plies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value int8 [N] and distance int8 [N] of positions from those of their moves, [N, A]."""
    hurry = np.where(values == WIN, -plies, np.where(values == LOSS, plies, 0)).astype(np.int32)
    move = np.argmax(values.astype(np.int32) * 1000 + hurry, axis=1)[:, None]
    return (
        np.take_along_axis(values, move, axis=1)[:, 0],
        np.take_along_axis(plies, move, axis=1)[:, 0].astype(np.int8),
    )


def check(name: str, table: Table) -> None:
    """Raises ValueError if this cannot be the table of the game of this name: the message says why."""
    types = [(part.dtype, part.shape) for part in table]
    wanted = [(np.dtype(kind), (POSITIONS[name],)) for kind in (np.uint64, np.int8, np.int8)]
    if types != wanted:
        raise ValueError(f"{name} has {POSITIONS[name]} positions, this table holds {types}")
    if (table.keys[1:] <= table.keys[:-1]).any():
        raise ValueError("its positions are not in order")
    if not np.isin(table.values, (WIN, DRAW, LOSS)).all() or (table.plies < 1).any():
        raise ValueError("it holds values that no position has")
    if table.keys[0] != 0 or table.values[0] != DRAW:
        raise ValueError(f"{name} is drawn, this table says otherwise")


def cache_folder() -> Path:
    """Where what takes long to make is kept: $AZERO_CACHE, else azero in $XDG_CACHE_HOME, else ~/.cache/azero."""
    if chosen := os.environ.get("AZERO_CACHE"):
        return Path(chosen)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "azero"
    return Path("~/.cache/azero").expanduser()


def cached_table(rules: Rules, folder: Path) -> Table:
    """The table of a game: read from the folder if a good file is there, else built, checked and kept there.

    A folder that cannot be written to is no error: the table is then built each time.

    Raises:
      ValueError: the table that was built is not that of the game, which is a defect of this program.
    """
    path = folder / f"{rules.name}-{VERSION}.npz"
    table = _read(rules.name, path)
    if table is None:
        logger.info("solving %s once; kept in %s", rules.name, path)
        table = solve(rules)
        check(rules.name, table)
        _write(table, path)
    return table


def _read(name: str, path: Path) -> Table | None:
    """The table in this file, or None if there is no file or it cannot be believed."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
            table = Table(parts["keys"], parts["values"], parts["plies"])
        check(name, table)
    except FileNotFoundError:
        return None
    # Damage anywhere in a zip of arrays shows as one of a dozen exceptions of zipfile, zlib, struct and numpy, even
    # as a MemoryError for a damaged size; whichever it is, the answer is to build the table again.
    except Exception as error:
        logger.warning("%s is damaged and is built anew (%s)", path, error)
        return None
    return table


def _write(table: Table, path: Path) -> None:
    """Puts the file there in one step, if the folder can be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **table._asdict())
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
    except OSError as error:
        logger.warning("%s is not kept for the next time (%s)", path.name, error)
