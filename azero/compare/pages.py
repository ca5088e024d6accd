"""What a comparison or a study found, as files: results.json, results.md, a PNG for each figure, report.html.

Imports no JAX, and matplotlib only where something is drawn.
"""

import base64
import html
import importlib.metadata
import io
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import azero
from azero.manifest import write_bytes, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN = ("title", "findings", "commands", "versions", "machine", "commit")  # keys of results.json that are not the data's
PACKAGES = ("jax", "flax", "optax", "numpy", "matplotlib")
SIZE = (8.0, 4.5)  # inches of a figure
DPI = 120
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #8884; vertical-align: top; }
th { text-align: left; border-bottom: 2px solid #8888; }
td.number { text-align: right; white-space: nowrap; }
figure { margin: 0 0 1.5rem; } img { max-width: 100%; background: #fff; }
figcaption, .note { color: #777; max-width: 60rem; }
pre { background: #8881; padding: .7rem; overflow-x: auto; }
"""


class Table(NamedTuple):
    """Rows under headings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[object]]  # a cell for each heading; shown as str(cell)
    note: str = ""  # one paragraph below the table


class Figure(NamedTuple):
    """One plot."""

    name: str  # of its file, without .png: small letters, digits, _ and -
    caption: str
    draw: Callable[["Axes"], None]  # draws on empty axes


def write_results(
    folder: Path,
    title: str,
    findings: Sequence[str],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    data: Mapping[str, Any],
    commands: Sequence[str],
) -> dict[str, Any]:
    """Writes results.json, results.md, NAME.png of each figure and report.html, each whole or not at all.

    Args:
      folder: made if need be.
      findings: sentences; what was found comes first on each page.
      data: every figure that the pages rest on, for programs. Numbers and arrays of NumPy are written as plain ones,
        NaN as null, infinities as the words inf and -inf. It must not use the keys of OWN.
      commands: lines of a shell that make all of this again.

    Returns:
      What results.json holds: title, findings, commands, versions, machine, commit (None outside a repository of
      azero's own), and the data.

    Raises:
      ValueError: a row does not fit its headings, a figure's name is no file name or is given twice, a key of the
        data is taken. Nothing is written.
      CheckpointError: the disk refuses.
    """
    _check(tables, figures, data)
    head = {"title": title, "findings": list(findings), "commands": list(commands)}
    whole: dict[str, Any] = plain({**head, **origin(), **data})
    pictures = {figure.name: _png(figure) for figure in figures}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        write_bytes(folder / f"{name}.png", content)
    write_text(folder / "results.md", _markdown(whole, tables, figures))
    write_text(folder / "report.html", _page(whole, tables, figures, pictures))
    write_text(folder / "results.json", json.dumps(whole, indent=1, allow_nan=False) + "\n")
    return whole


def plain(value: Any) -> Any:
    """The same in what JSON has: see `write_results`."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def origin() -> dict[str, Any]:
    """`versions`, `machine` and `commit` of the program that runs."""
    versions = {"azero": azero.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        versions[name] = importlib.metadata.version(name)
    machine = {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()}
    return {"versions": versions, "machine": machine, "commit": _commit()}


def _commit() -> str | None:
    """The commit that azero is run from, with -dirty where files differ from it; None if it is not run from one."""
    root = Path(azero.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None


def _check(tables: Sequence[Table], figures: Sequence[Figure], data: Mapping[str, Any]) -> None:
    for table in tables:
        for number, row in enumerate(table.rows):
            if len(row) != len(table.headings):
                cells = f"{len(row)} cells, not {len(table.headings)} as the headings"
                raise ValueError(f"row {number} of table {table.title!r} has {cells}")
    names = [figure.name for figure in figures]
    for name in names:
        if not re.fullmatch(r"[a-z0-9_-]+", name):
            raise ValueError(f"a figure's name has small letters, digits, _ and - alone, not {name!r}")
        if names.count(name) > 1:
            raise ValueError(f"two figures are called {name!r}")
    for name in OWN:
        if name in data:
            raise ValueError(f"{name!r} in the data is a key that results.json has of its own; give it another name")


def _png(figure: Figure) -> bytes:
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=SIZE, dpi=DPI, layout="constrained")  # outside pyplot: no state, no window, Agg alone
    figure.draw(sheet.subplots())
    content = io.BytesIO()
    sheet.savefig(content, format="png")
    return content.getvalue()


def _made_with(whole: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in whole["versions"].items())
    machine = whole["machine"]
    commit = f"commit {whole['commit']}; " if whole["commit"] else ""
    return f"{commit}{versions}; {machine['cores']} cores, {machine['architecture']}, {machine['system']}."


def _markdown(whole: Mapping[str, Any], tables: Sequence[Table], figures: Sequence[Figure]) -> str:
    lines = [f"# {whole['title']}", "", " ".join(whole["findings"]), ""]
    for table in tables:
        lines += [f"## {table.title}", "", _row(table.headings), _row(["---"] * len(table.headings))]
        lines += [_row(row) for row in table.rows]
        lines += ["", *([table.note, ""] if table.note else [])]
    for figure in figures:
        lines += [f"![{figure.caption}]({figure.name}.png)", "", figure.caption, ""]
    return "\n".join([*lines, "## Commands", "", "```", *whole["commands"], "```", "", _made_with(whole), ""])


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _page(
    whole: Mapping[str, Any], tables: Sequence[Table], figures: Sequence[Figure], pictures: Mapping[str, bytes]
) -> str:
    title = html.escape(whole["title"])
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>",
        *(f"<p>{html.escape(finding)}</p>" for finding in whole["findings"]),
        *(_table(table) for table in tables),
    ]
    for figure in figures:
        caption, picture = html.escape(figure.caption), base64.b64encode(pictures[figure.name]).decode()
        image = f'<img alt="{caption}" src="data:image/png;base64,{picture}">'
        parts.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    commands = html.escape("\n".join(whole["commands"]))
    parts.append(f'<h2>Commands</h2><pre>{commands}</pre><p class="note">{html.escape(_made_with(whole))}</p>')
    return "\n".join([*parts, "</body></html>", ""])


def _table(table: Table) -> str:
    headings = "".join(f"<th>{html.escape(str(heading))}</th>" for heading in table.headings)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    grid = f'<div class="wide"><table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h2>{html.escape(table.title)}</h2>{grid}{note}"


def _cell(cell: object) -> str:
    text = str(cell)
    kind = ' class="number"' if re.match(r"[-+]?[\d.]", text) else ""
    return f"<td{kind}>{html.escape(text)}</td>"
