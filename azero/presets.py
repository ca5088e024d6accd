"""A tuned Config for each game, with what it reached and where."""

import dataclasses
import difflib

from azero.config import (
    Config,
    LearnConfig,
    MuZeroConfig,
    NetworkConfig,
    ReplayConfig,
    ReportConfig,
    SearchConfig,
    SelfPlayConfig,
    TargetConfig,
)
from azero.kinds import DistillConfig
from games import GYM


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
        search=SearchConfig(simulations=16, cache=64),
        selfplay=SelfPlayConfig(games=512, plies=16, opening_plies=10),
        learn=LearnConfig(learning_rate=2e-3),
        replay=ReplayConfig(capacity=500_000, minimum=50_000),
    )


def _gym(name: str, value_range: float = 400.0, width: int = 64) -> Config:
    """An environment that the host steps, with a model that is learned. Rewards stay what they are, so what a search
    finds is weighed in their units."""
    return Config(
        game=name,
        model="learned",
        network=NetworkConfig(width=width, blocks=1),
        search=SearchConfig(simulations=16, value_scale=0.02, rescale_values=False),
        selfplay=SelfPlayConfig(games=32, plies=32, opening_plies=8),
        learn=LearnConfig(batch=256, reuse=4.0, learning_rate=2e-3, warmup=50, ema=0.99),
        replay=ReplayConfig(capacity=200_000, minimum=20_000),
        muzero=MuZeroConfig(td_steps=30, value_range=value_range, bins=101, reanalyse=0.5),
        report=ReportConfig(strength_every=20),
    )


LAPTOP = "laptop"  # the name of the preset that suits any board on a CPU
UNMEASURED = "sized for one accelerator, not measured on one"
ON_A_CPU = f"{UNMEASURED}; on a CPU take --preset {LAPTOP}"


def _on_a_laptop(points: str) -> str:
    """What was measured on a CPU, with the other preset."""
    return f"{UNMEASURED}; on 2 CPU cores --preset {LAPTOP} takes {points} of the points from random play in 5 minutes"


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
        "2 minutes on 2 CPU cores: network 97.6 %, 16 simulations 99.7 % of decisive positions, worst of 3 seeds",
    ),
    "connect_four_5x4": Preset(
        _small_connect("connect_four_5x4"),
        10.0,
        "5 minutes on 2 CPU cores: network 94.4 %, 64 simulations 99.5 % of decisive positions, one seed",
    ),
    "connect_four": Preset(
        Config(
            game="connect_four",
            network=NetworkConfig(width=256, blocks=3),
            search=SearchConfig(simulations=16, cache=64),
            selfplay=SelfPlayConfig(games=512, plies=32, opening_plies=16),
            targets=TargetConfig(value_lambda=0.95),
            learn=LearnConfig(batch=1024, reuse=4.0, learning_rate=2e-3, ema=0.9995),
            replay=ReplayConfig(capacity=2_000_000, minimum=100_000),
        ),
        15.0,
        "15 minutes on 2 CPU cores: network 93.1 %, 128 simulations 97.7 % of 6,300 labelled positions; "
        "in 45 minutes 96.3 % and 98.9 %, the last six at a quarter of the learning rate",
    ),
    "cartpole": Preset(
        Config(
            game="cartpole",
            network=NetworkConfig(width=64, blocks=1),
            search=SearchConfig(simulations=16),
            selfplay=SelfPlayConfig(games=128, plies=32, opening_plies=8),
            targets=TargetConfig(value_lambda=0.95),
            learn=LearnConfig(batch=512, reuse=4.0, learning_rate=2e-3, warmup=50, ema=0.99),
            replay=ReplayConfig(capacity=200_000, minimum=20_000),
            report=ReportConfig(strength_every=20),
        ),
        2.0,
        "140 iterations, 75 s of CPU time: network 499.9 or more of 500, with search 500 (100 episodes, 3 seeds)",
    ),
    "cliff_walking": Preset(
        Config(
            game="cliff_walking",
            network=NetworkConfig(width=64, blocks=1),
            search=SearchConfig(simulations=32, value_scale=10.0, rescale_values=False),
            selfplay=SelfPlayConfig(games=128, plies=32, opening_plies=64),
            targets=TargetConfig(value_lambda=0.95),
            learn=LearnConfig(batch=512, reuse=4.0, learning_rate=2e-3, warmup=50, ema=0.99),
            replay=ReplayConfig(capacity=200_000, minimum=20_000),
        ),
        2.0,
        "114 to 131 iterations, 60 s of CPU time: the network takes the best path, a return of -13 (3 seeds)",
    ),
    "blackjack": Preset(
        Config(
            game="blackjack",
            network=NetworkConfig(width=64, blocks=1),
            search=SearchConfig(simulations=4, value_scale=0.02, rescale_values=False),
            selfplay=SelfPlayConfig(games=512, plies=16, opening_plies=0),
            targets=TargetConfig(value_lambda=1.0),
            learn=LearnConfig(batch=1024, reuse=2.0, warmup=50, ema=0.999),
            replay=ReplayConfig(capacity=500_000, minimum=50_000),
        ),
        2.0,
        "2 minutes on 2 CPU cores: the network returns -0.04, of -0.043 at best (20,000 episodes, one seed)",
    ),
    "backgammon": Preset(
        Config(
            game="backgammon",
            network=NetworkConfig(width=128, blocks=1),
            search=SearchConfig(simulations=16, considered=8),
            selfplay=SelfPlayConfig(games=256, plies=32, opening_plies=0),
            targets=TargetConfig(value_lambda=0.8),
            learn=LearnConfig(batch=1024, reuse=2.0, learning_rate=1e-3, ema=0.995),
            replay=ReplayConfig(capacity=1_000_000, minimum=100_000),
            report=ReportConfig(strength_every=20),
        ),
        60.0,
        "926 iterations, 7.6 million moves, 21 min of CPU time: 200 of 200 games against random play (+2.69 points a "
        "game), 10 of 200 against GNU Backgammon (-1.71)",
    ),
    "2048": Preset(
        Config(
            game="2048",
            network=NetworkConfig(width=256, blocks=2),
            search=SearchConfig(simulations=16),
            selfplay=SelfPlayConfig(games=256, plies=32, opening_plies=0),
            targets=TargetConfig(value_lambda=0.95),
            distill=DistillConfig(value_weight=30.0),  # values of moves lie close together
            learn=LearnConfig(batch=1024, reuse=4.0, learning_rate=2e-3, ema=0.995),
            replay=ReplayConfig(capacity=1_000_000, minimum=100_000),
            report=ReportConfig(strength_every=20),
        ),
        60.0,
        "626 to 1,100 iterations, 15 to 26 min on one core: with 64 simulations 38,700 to 44,100 points (three seeds, "
        "50 episodes each), the tile 2048 in 76 to 90 % of them, with 16 in half; expectimax of depth 2 has 10,300",
    ),
    "othello": Preset(_board("othello", 64, 6, 32), 240.0, _on_a_laptop("100 %")),
    "hex": Preset(_board("hex", 64, 6, 32), 240.0, _on_a_laptop("97 %")),
    "go_9x9": Preset(_board("go_9x9", 64, 6, 32), 480.0, _on_a_laptop("99 %")),
    "go_19x19": Preset(_board("go_19x19", 128, 10, 16), 1440.0, ON_A_CPU),
    "chess": Preset(_board("chess", 128, 10, 16), 1440.0, ON_A_CPU),
    "gardner_chess": Preset(_board("gardner_chess", 64, 6, 32), 240.0, _on_a_laptop("100 %")),
    "animal_shogi": Preset(_board("animal_shogi", 64, 4, 32), 120.0, _on_a_laptop("98 %")),
    "shogi": Preset(_board("shogi", 128, 10, 16), 1440.0, ON_A_CPU),
}


# A perceptron for any board, whose evaluations a CPU makes by the ten thousand in a second.
GENERAL: dict[str, Preset] = {
    LAPTOP: Preset(
        Config(
            network=NetworkConfig(width=256, blocks=3),
            search=SearchConfig(simulations=16),
            selfplay=SelfPlayConfig(games=256, plies=32, opening_plies=8),
            targets=TargetConfig(value_lambda=0.95),
            learn=LearnConfig(batch=1024, reuse=4.0, learning_rate=2e-3, ema=0.995),
            replay=ReplayConfig(capacity=1_000_000, minimum=50_000),
            report=ReportConfig(strength_every=20),
        ),
        15.0,
        "what the boards' own presets tell of it",
    ),
}

# Environments of Gymnasium that the host steps; their names stand in no list of games.
HOSTED: dict[str, Preset] = {
    "gym:CartPole-v1": Preset(
        _gym("gym:CartPole-v1"),
        5.0,
        "150 iterations, 100 to 135 s of CPU time: mean return 500 in 100 episodes, with search or without (3 seeds)",
    ),
    "gym:Acrobot-v1": Preset(
        _gym("gym:Acrobot-v1"),
        15.0,
        "496 iterations, 6 minutes of CPU time: mean return -120 in 100 episodes, -113 with search (1 seed)",
    ),
    "gym:LunarLander-v3": Preset(
        _gym("gym:LunarLander-v3", width=128),
        60.0,
        "315 iterations, 6 minutes of CPU time: mean return -90 in 64 episodes, 78 with search (1 seed)",
    ),
}


def preset(name: str, game: str) -> Preset:
    """The preset of this name ("" takes the game's own), set to play `game`.

    Raises:
      ValueError: there is none of this name; the message suggests one.
    """
    presets = PRESETS | HOSTED | GENERAL
    if name == "":
        name = game
        if name not in presets and name.startswith(GYM):
            return Preset(_gym(game), 60.0, "not measured: an environment of your own")
        if name not in presets:  # a user's own env
            return Preset(_board(game, 64, 4, 32), 60.0, "not measured: a game of your own")
    if name not in presets:
        near = difflib.get_close_matches(name, presets, n=1)
        hint = f"did you mean {near[0]}?" if near else f"presets are {', '.join(presets)}"
        raise ValueError(f"unknown preset {name!r}; {hint}")
    found = presets[name]
    return dataclasses.replace(found, config=dataclasses.replace(found.config, game=game))
