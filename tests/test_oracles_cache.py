"""The cache of exact tables: solved once, and never believed when damaged."""

import types
from pathlib import Path

import numpy as np
import pytest

from games.connect import SHAPES
from games.core import WIN
from games.oracles import bitboards, tables

FOUR_BY_FOUR = bitboards.connect_rules("connect_four_4x4", SHAPES["connect_four_4x4"])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 9 // 10] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    np.savez(path, keys=np.array([{}], object), values=np.zeros(1), plies=np.zeros(1))


def without_values(path: Path) -> None:
    np.savez(path, keys=np.zeros(tables.POSITIONS["connect_four_4x4"], np.uint64))


def of_another_game(path: Path) -> None:
    np.savez(path, **tables.solve(bitboards.tic_tac_toe_rules())._asdict())


def one_position_less(path: Path) -> None:
    table = tables.solve(FOUR_BY_FOUR)
    np.savez(path, **{name: part[:-1] for name, part in table._asdict().items()})


def unordered(path: Path) -> None:
    table = tables.solve(FOUR_BY_FOUR)
    table.keys[[5, 6]] = table.keys[[6, 5]]
    np.savez(path, **table._asdict())


def of_a_won_game(path: Path) -> None:
    table = tables.solve(FOUR_BY_FOUR)
    table.values[0] = WIN
    np.savez(path, **table._asdict())


DAMAGE = (
    flip_a_bit,
    truncate,
    empty,
    pickled,
    without_values,
    of_another_game,
    one_position_less,
    unordered,
    of_a_won_game,
)


def test_a_table_is_solved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = tables.cached_table(FOUR_BY_FOUR, tmp_path / "new")
    monkeypatch.setattr(tables, "solve", None)
    read = tables.cached_table(FOUR_BY_FOUR, tmp_path / "new")
    for one, other in zip(built, read, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["connect_four_4x4-1.npz"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_built_anew(tmp_path: Path, damage: types.FunctionType) -> None:
    good = tables.cached_table(FOUR_BY_FOUR, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    damage(path)
    again = tables.cached_table(FOUR_BY_FOUR, tmp_path)
    for one, other in zip(good, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    table = tables.cached_table(bitboards.tic_tac_toe_rules(), tmp_path / "file" / "oracles")
    assert len(table.keys) == tables.POSITIONS["tic_tac_toe"]
    assert "not kept" in caplog.text


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables.os, "replace", disk_full)
    tables.cached_table(bitboards.tic_tac_toe_rules(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_solution_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tables.solve(bitboards.tic_tac_toe_rules())
    monkeypatch.setattr(tables, "solve", lambda rules: wrong)
    with pytest.raises(ValueError, match="134289 positions"):
        tables.cached_table(FOUR_BY_FOUR, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZERO_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert tables.cache_folder() == Path("/a/b")
    monkeypatch.delenv("AZERO_CACHE")
    assert tables.cache_folder() == Path("/c/azero")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tables.cache_folder() == tmp_path / ".cache" / "azero"
