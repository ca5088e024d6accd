"""azero compare: ways to learn from the amplified model under one budget, or a study beyond that table."""

import dataclasses
import difflib
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

import games
from azero.checks import check
from azero.commands.arguments import parse
from azero.presets import preset

if TYPE_CHECKING:
    from azero.compare.plan import Plan

INSTEAD = ("variants", "minutes", "evaluations", "config")  # what a study decides for itself


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare ways to learn from the amplified model: the same network, search, games and budget, against exact values.

    Writes results.json, results.md, plots and report.html. The same command goes on where it was stopped, tries failed
    runs again, and may have more variants or seeds than before.
    """

    game: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GAME")]
    """A name from `azero games`, or package.module:Env for a pgx-style env of your own."""
    variants: tuple[str, ...] = ()
    """KIND or KIND:OPTION=VALUE,...: a kind of distillation with options of distill.*, or others by their dotted names
    (reinforce:baseline=mean, reward_model:reward.ensemble=1); all kinds if none is given."""
    seeds: int = 3
    """Runs of each variant; intervals need two or more."""
    minutes: float | None = None
    """Budget of each run in minutes, starting and compiling included; this one or --evaluations."""
    evaluations: float | None = None
    """Budget of each run in evaluations of the network, gradient steps included by their cost."""
    out: str = ""
    """The folder; compare/GAME if none is given, of a study compare/GAME-STUDY."""
    config: str = ""
    """A config.json whose fields replace those of the game's preset, for all variants."""
    study: str = ""
    """An experiment beyond the table: mimicry, overoptimization or explicit_reward."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the means and intervals as one JSON document on stdout."""


def main(words: Sequence[str]) -> int:
    """Runs the command; see azero.cli. 1 if every run failed."""
    arguments = parse(Compare, words, "compare", Compare(game=tyro.MISSING))
    if arguments.seeds < 1:
        raise ValueError(f"--seeds must be 1 or more, not {arguments.seeds}")
    if arguments.game not in games.names() and ":" not in arguments.game:
        games.make(arguments.game)  # says what is wrong with the name
    command = shlex.join(["azero", "compare", *words])
    return _study(arguments, command) if arguments.study else _compare(arguments, command)


def _folder(arguments: Compare) -> Path:
    name = arguments.game.replace(":", "_") + (f"-{arguments.study}" if arguments.study else "")
    return Path(arguments.out or f"compare/{name}")


def _plan(arguments: Compare) -> "Plan":
    """What is to be done; raises ValueError where it makes no sense."""
    from azero.commands.train import read_config
    from azero.compare.plan import Plan
    from azero.compare.variants import read_variants

    given = {name: getattr(arguments, name) for name in ("minutes", "evaluations")}
    if all(value is None for value in given.values()):
        raise ValueError("azero compare needs a budget: --minutes or --evaluations")
    if all(value is not None for value in given.values()):
        raise ValueError("azero compare takes one budget, --minutes or --evaluations, not both")
    for name, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"--{name} must be above 0, not {value}")
    alone = arguments.game in games.names() and arguments.game not in games.FOR_TWO
    if alone or arguments.game.startswith(games.GYM):
        raise ValueError(f"{arguments.game} is a game for one, and azero compare measures games for two")
    base = preset("", arguments.game).config
    if arguments.config:
        base = read_config(arguments.config, base)
    base = dataclasses.replace(base, game=arguments.game)
    check(dataclasses.replace(base, seed=base.seed + arguments.seeds - 1))
    return Plan(base, read_variants(arguments.variants, base), arguments.seeds, **given)


def _compare(arguments: Compare, command: str) -> int:
    plan, folder = _plan(arguments), _folder(arguments)
    from azero.checkpoint import lock
    from azero.compare.comparison import measure_all, write
    from azero.compare.plan import check_labels, claim, document, refuse_other
    from azero.compare.training import train_all
    from azero.startup import cores, start_jax

    asked = document(plan)
    refuse_other(folder, asked)
    check_labels(plan)
    with lock(folder):
        claim(folder, asked)
        try:
            with _progress() as (say, share):
                outcomes = train_all(plan, folder, say, share)
            start_jax(devices=cores())  # not before: a run may need the whole of an accelerator
            measured = measure_all(outcomes, folder, _say)
        except KeyboardInterrupt:
            _say(f"interrupted; the same command goes on: {command}")
            raise
        results = write(plan, folder, measured, [command])
    for finding in results["findings"]:
        _say(finding)
    _say(f"the results are in {folder}: report.html, results.md, results.json")
    if arguments.json:
        names = ("game", "budget", "variants", "seeds", "aggregates", "failed")
        _print({"folder": str(folder)} | {name: results[name] for name in names})
    return 0 if measured.figures else 1


def _study(arguments: Compare, command: str) -> int:
    from azero.studies import STUDIES

    if arguments.study not in STUDIES:
        near = difflib.get_close_matches(arguments.study, STUDIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"studies are {', '.join(STUDIES)}"
        raise ValueError(f"unknown study {arguments.study!r}; {hint}")
    for name in INSTEAD:
        if getattr(arguments, name) not in (None, "", ()):
            raise ValueError(f"--{name} does not apply to --study {arguments.study}, which has its own")
    from azero.startup import cores, start_jax

    folder = _folder(arguments)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give another folder with --out")
    start_jax(devices=cores())
    try:
        results = STUDIES[arguments.study](arguments.game, arguments.seeds, folder, _say)
    except KeyboardInterrupt:
        _say(f"interrupted; the same command goes on: {command}")
        raise
    _say(f"the results are in {folder}: report.html, results.md, results.json")
    if arguments.json:
        _print(results)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=1)
    print()


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """Lines on stderr, and below them on a terminal a bar of the share of the work that is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = TextColumn("training"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=1.0)

        def say(line: str) -> None:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield say, lambda done: bar.update(task, completed=done)
