"""A tuned Config for each game, with what it reached and where."""

import dataclasses
import difflib

from azero.config import (
    Config,
    LearnConfig,
    NetworkConfig,
    ReplayConfig,
    SearchConfig,
    SelfPlayConfig,
    TargetConfig,
)


@dataclasses.dataclass(frozen=True)
class Preset:
    """A named Config."""

    config: Config
    minutes: float  # what `azero train` takes where no budget is given
    reached: str  # how strong it got, in how long, on what


def _board(game: str, channels: int, blocks: int, plies: int) -> Config:
    """A residual tower for the larger boards, sized for one accelerator."""
    return Config(
        game=game,
        network=NetworkConfig(kind="resnet", width=channels, blocks=blocks, dtype="bfloat16"),
        search=SearchConfig(simulations=32),
        selfplay=SelfPlayConfig(games=1024, plies=plies, opening_plies=4),
        learn=LearnConfig(batch=4096, reuse=2.0),
        targets=TargetConfig(value_lambda=0.95),
        replay=ReplayConfig(capacity=1_000_000, minimum=200_000),
    )


def _small_connect(game: str) -> Config:
    """Four in a row on a board that a CPU learns in minutes."""
    return Config(
        game=game,
        network=NetworkConfig(width=256, blocks=2),
        search=SearchConfig(simulations=16),
        selfplay=SelfPlayConfig(games=512, plies=16, opening_plies=10),
        learn=LearnConfig(learning_rate=2e-3),
        replay=ReplayConfig(capacity=500_000, minimum=50_000),
    )


NOT_MEASURED = "not measured yet: sized for one accelerator"

PRESETS: dict[str, Preset] = {
    "tic_tac_toe": Preset(
        Config(
            game="tic_tac_toe",
            network=NetworkConfig(width=128, blocks=1),
            search=SearchConfig(simulations=32),
            selfplay=SelfPlayConfig(games=256, plies=16, opening_plies=6),
            learn=LearnConfig(batch=512, reuse=4.0, warmup=50, ema=0.99),
            replay=ReplayConfig(capacity=100_000, minimum=10_000),
        ),
        1.0,
        "1 minute on 2 CPU cores: keeps the value in 100 % of all positions, with search or without (3 seeds)",
    ),
    "connect_four_4x4": Preset(
        _small_connect("connect_four_4x4"),
        5.0,
        "5 minutes on 2 CPU cores: network 96.1 %, 64 simulations 99.8 % of decisive positions, worst of 3 seeds",
    ),
    "connect_four_5x4": Preset(
        _small_connect("connect_four_5x4"),
        10.0,
        "not measured yet: the settings of connect_four_4x4",
    ),
    "connect_four": Preset(
        Config(
            game="connect_four",
            network=NetworkConfig(width=256, blocks=3),
            search=SearchConfig(simulations=16),
            selfplay=SelfPlayConfig(games=512, plies=32, opening_plies=16),
            targets=TargetConfig(value_lambda=0.95),
            learn=LearnConfig(batch=1024, reuse=4.0, learning_rate=2e-3, ema=0.9995),
            replay=ReplayConfig(capacity=2_000_000, minimum=100_000),
        ),
        15.0,
        "15 minutes on 2 CPU cores: network 88.0 %, 128 simulations 95.3 % of 6,300 labelled positions; "
        "in an hour 95.0 % and 98.4 %",
    ),
    "othello": Preset(_board("othello", 64, 6, 32), 240.0, NOT_MEASURED),
    "hex": Preset(_board("hex", 64, 6, 32), 240.0, NOT_MEASURED),
    "go_9x9": Preset(_board("go_9x9", 64, 6, 32), 480.0, NOT_MEASURED),
    "go_19x19": Preset(_board("go_19x19", 128, 10, 16), 1440.0, NOT_MEASURED),
    "chess": Preset(_board("chess", 128, 10, 16), 1440.0, NOT_MEASURED),
    "gardner_chess": Preset(_board("gardner_chess", 64, 6, 32), 240.0, NOT_MEASURED),
    "animal_shogi": Preset(_board("animal_shogi", 64, 4, 32), 120.0, NOT_MEASURED),
    "shogi": Preset(_board("shogi", 128, 10, 16), 1440.0, NOT_MEASURED),
}


def preset(name: str, game: str) -> Preset:
    """The preset of this name ("" takes the game's own), set to play `game`.

    Raises:
      ValueError: there is none of this name; the message suggests one.
    """
    if name == "":
        name = game
        if name not in PRESETS:  # a user's own env
            return Preset(_board(game, 64, 4, 32), 60.0, "not measured: a game of your own")
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"presets are {', '.join(PRESETS)}"
        raise ValueError(f"unknown preset {name!r}; {hint}")
    found = PRESETS[name]
    return dataclasses.replace(found, config=dataclasses.replace(found.config, game=game))
