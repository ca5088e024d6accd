"""The import directions: each room imports only from rooms below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the ground up. A module imports from its own layer's package or from layers above it in this list.
LAYERS = (
    ("games",),
    (
        "azero",
        "azero.config",
        "azero.checks",
        "azero.kinds",
        "azero.options",
        "azero.presets",
        "azero.startup",
        "azero.manifest",
        "azero.muzero.options",
    ),
    ("azero.network", "azero.leaves", "azero.checkpoint", "azero.muzero.network", "azero.muzero.support"),
    ("azero.search",),
    ("azero.replay", "azero.overseers", "azero.records"),
    ("azero.selfplay", "azero.hosted", "azero.distill"),
    ("azero.targets", "azero.demonstrations"),
    ("azero.muzero",),
    ("azero.store",),
    ("azero.train", "azero.answers", "azero.expectimax"),
    ("azero.engines",),
    ("azero.players", "azero.openings", "azero.report", "azero.score"),
    ("azero.thinking", "azero.match", "azero.episodes", "azero.analysis", "azero.run", "azero.scorebook"),
    (
        "azero.ratings",
        "azero.engines.gtp_server",
        "azero.engines.uci_server",
        "azero.engines.clock",
        "azero.envs",
        "azero.engines.gtp_texts",
    ),
    ("azero.web",),
    ("azero.strength", "azero.solved", "azero.exact"),
    ("azero.compare",),
    ("azero.studies",),
    ("azero.bench",),
    ("azero.commands",),
    ("azero.cli",),
)
PEER = "azero/bench/pgx_example.py"  # what azero is measured against, made of the libraries' own calls
ONE_DOOR = {"pgx": "games/pgx_adapter.py", "mctx": "azero/search/mctx_backend.py", "orbax": "azero/leaves.py"}


def modules() -> dict[str, Path]:
    """Name -> file of every module of azero and games."""
    files = [path for folder in ("azero", "games") for path in (ROOT / folder).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever it stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def layer(name: str) -> int | None:
    """The layer of a module: that of the longest entry which it is or lies in."""
    fits = [
        (len(entry), number)
        for number, row in enumerate(LAYERS)
        for entry in row
        if name == entry or (entry != "azero" and name.startswith(f"{entry}."))
    ]
    return max(fits)[1] if fits else None


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_go_downwards(name):
    own = layer(name)
    assert own is not None, f"{name} has no place in LAYERS"
    known = modules()
    for other in imported(modules()[name]) & known.keys():
        if other == "azero":
            continue
        assert layer(other) <= own, f"{name} imports {other}, which lies above it"


@pytest.mark.parametrize("library", ONE_DOOR)
def test_each_foreign_library_has_one_door(library):
    users = {
        str(path.relative_to(ROOT))
        for path in modules().values()
        if any(name == library or name.startswith(f"{library}.") for name in imported(path))
    }
    assert users - {PEER} == {ONE_DOOR[library]}


def test_files_stay_readable():
    long = {name: lines for name, path in modules().items() if (lines := len(path.read_text().splitlines())) > 330}
    assert not long
