"""`azero train GAME`: learn a game by self-play."""

import dataclasses
import importlib.util
import json
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

import games
from azero.checks import check
from azero.commands.arguments import parse
from azero.config import Config, from_dict, to_dict
from azero.presets import LAPTOP, preset
from azero.startup import cores, start_jax

if TYPE_CHECKING:  # they import JAX
    from azero.report import Progress
    from azero.run import First
    from azero.train import Trainer, TrainState
    from games.core import Game


@dataclasses.dataclass(frozen=True)
class Train:
    """Learn a game by self-play. A run directory that exists goes on from its newest good checkpoint.

    Ctrl-C finishes the iteration, saves and leaves with exit code 130; a second one leaves at once.
    """

    game: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GAME")]
    """A name from `azero games`, or package.module:Env for a pgx-style env of your own."""
    config_tree: Annotated[Config, tyro.conf.arg(name="")]
    run: str = ""
    """Run directory; runs/GAME if none is given."""
    minutes: float | None = None
    """Stop after this many minutes of this call; where none of the three budgets is given, the preset's."""
    iterations: int | None = None
    """Stop when the run has this many iterations in all."""
    evaluations: float | None = None
    """Stop before the run has made more evaluations of the network than this, gradient steps included by their cost."""
    preset: str = ""
    """Start from another game's preset, or from laptop, which suits any board on a CPU; by default the game's own."""
    config: str = ""
    """A config.json whose fields replace those of the preset."""
    override_config: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with a run although its config differs."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the outcome as one JSON document on stdout."""


def main(words: Sequence[str]) -> int:
    """Runs the command; see azero.cli."""
    started = time.monotonic()
    base, minutes = _defaults(words)
    arguments = _parse(words, base)
    if arguments.game not in games.names() and ":" not in arguments.game:
        games.make(arguments.game)  # says what is wrong with the name
    config = dataclasses.replace(arguments.config_tree, game=arguments.game)
    check(config, _given(words))
    if config.report.wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("report.wandb needs the extra: pip install 'azero[wandb]'")
    for name in ("minutes", "iterations", "evaluations"):
        if (value := getattr(arguments, name)) is not None and not 0 < value < math.inf:
            raise ValueError(f"--{name} must be above 0, not {value}")
    if arguments.minutes is None and arguments.iterations is None and arguments.evaluations is None:
        arguments = dataclasses.replace(arguments, minutes=minutes)
    return _train(config, arguments, started)


def _parse(words: Sequence[str], base: Config) -> Train:
    return parse(Train, words, "train", Train(game=tyro.MISSING, config_tree=base))


def _given(words: Sequence[str]) -> set[str]:
    """The dotted names of the options among the words."""
    options = (word.removeprefix("--") for word in words if word.startswith("--"))
    return {option.partition("=")[0].replace("-", "_") for option in options}


def _first(
    config: Config, game: "Game", trainer: "Trainer", progress: "Progress", checkpoints: Sequence[int]
) -> "First":
    """What a run without checkpoints begins with: A <- Distill(H), if there is an H, else the network as it is.

    Raises:
      ValueError: the demonstrations cannot be read, or there is no such overseer.
    """
    import jax

    from azero.demonstrations import CloneConfig, imitate, read_games
    from azero.overseers import make_overseer, overseer_games
    from azero.train import make_key

    if checkpoints or not (config.demonstrations or config.overseer):
        return lambda state: state
    key, learn_key = jax.random.split(make_key(config.seed, "demonstrations"))
    if config.demonstrations:
        shown = read_games(game, config.demonstrations)
    else:
        overseer = make_overseer(config.overseer, game)
        shown = overseer_games(game, overseer, config.overseer_games, key, config.selfplay.opening_plies)

    def imitated(state: "TrainState") -> "TrainState":
        progress.say(f"imitating {len(shown.actions):,} moves of {config.demonstrations or config.overseer} ...")
        params, report = imitate(trainer.network, jax.device_get(state.params), game, shown, CloneConfig(), learn_key)
        progress.say(
            f"{report.games:,} games ({report.skipped} left out): the move made is the network's first in "
            f"{report.accuracy_before:.1%} of held-out positions before, {report.accuracy_after:.1%} after"
        )
        return trainer.begin(jax.device_get(params))

    return imitated


def _folder(arguments: Train) -> Path:
    return Path(arguments.run or f"runs/{arguments.game.replace(':', '_')}")


def _defaults(words: Sequence[str]) -> tuple[Config, float]:
    """What the options that are not on the command line are: config and minutes.

    A run that exists has its own config, so that the command that goes on need not repeat it; else there is the
    preset, and over it the file of --config. The words are read twice: first for what they ask for here.
    """
    first = preset("", "tic_tac_toe")
    try:
        asked = _parse([word for word in words if word not in ("-h", "--help")], first.config)
    except ValueError:
        return first.config, first.minutes  # the second reading says what is wrong
    known = asked.game in games.names() or ":" in asked.game
    chosen = preset(asked.preset, asked.game if known else "tic_tac_toe")
    if asked.config:
        return read_config(asked.config, chosen.config), chosen.minutes
    saved = _read_saved(_folder(asked)) if not asked.preset else None
    return saved or chosen.config, chosen.minutes


def _read_saved(folder: Path) -> Config | None:
    """The config of a run, if there is one that can be read; what is wrong with it is said later."""
    try:
        return from_dict(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError, AttributeError):
        return None


def read_config(file: str, base: Config) -> Config:
    """`base` with the fields of a JSON file over it."""
    try:
        fields = json.loads(Path(file).read_text())
    except OSError as error:
        raise ValueError(f"cannot read config {file}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"config {file} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"config {file} must hold a JSON object")
    return from_dict(_merged(to_dict(base), fields))


def _merged(base: dict, fields: dict) -> dict:
    """`base` with `fields` over it, group by group."""
    groups = {name: _merged(base[name], value) for name, value in fields.items() if isinstance(base.get(name), dict)}
    return base | fields | groups


def _train(config: Config, arguments: Train, started: float) -> int:
    start_jax(devices=cores())
    from azero import checkpoint
    from azero.report import Progress, in_words
    from azero.run import Budget, TrainingError, refuse_other, run, saved_config
    from azero.strength import make_measure
    from azero.train import make_trainer

    folder = _folder(arguments)
    saved = saved_config(folder)
    if saved is not None and not arguments.override_config:
        refuse_other(folder, saved, config)
    game = games.make(config.game)
    trainer = make_trainer(config, game)  # refuses what cannot be before anything is written
    progress = Progress()
    if config.network.dtype == "bfloat16" and trainer.devices[0].platform == "cpu":
        progress.say(f"these settings are for an accelerator; on a CPU --preset {LAPTOP} learns sooner")
    first = _first(config, game, trainer, progress, checkpoint.iterations(folder))
    budget = Budget(arguments.minutes, arguments.iterations, arguments.evaluations, started)
    with checkpoint.lock(folder):
        try:
            outcome = run(config, trainer, folder, budget, make_measure(config, game, trainer.network), progress, first)
        except ValueError as error:  # the command was right, so it is not for its user to mend
            raise TrainingError(str(error)) from error
        finally:
            progress.end()
    figures = in_words(outcome.strength) or "not measured"
    progress.say(f"the run is in {folder}, iteration {outcome.iteration}; strength: {figures}")
    against = "" if game.oracle or game.num_players == 1 else " random"
    play = () if game.host else (f"azero play {config.game} --opponent {folder}",)
    for command in (f"azero eval {folder}{against}", *play):
        progress.say(f"  next: {command}")
    if outcome.interrupted:
        progress.say(f"  go on: azero train {config.game} --run {folder}")
    if arguments.json:
        answer = {"run": str(folder), "game": config.game, "iteration": outcome.iteration, **outcome.strength}
        json.dump(answer, sys.stdout)
        print()
    return 128 + outcome.interrupted if outcome.interrupted in (signal.SIGINT, signal.SIGTERM) else 0
