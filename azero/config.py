"""One frozen tree of dataclasses: the source of defaults, of help and of the saved config. It imports no JAX, so that
help answers at once.
"""

import dataclasses
import difflib
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro

from azero.kinds import DistillConfig, RewardConfig
from azero.muzero.options import Kind, MuZeroConfig


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The policy-value network."""

    kind: Literal["mlp", "resnet"] = "mlp"
    """Residual perceptron over the whole board, or residual tower of 3 x 3 convolutions."""
    width: int = 512
    """Units of a hidden layer, or channels of a convolution."""
    blocks: int = 1
    """Residual blocks of two layers each, after the first layer."""
    norm: bool = True
    """Layer normalisation at the start of every block and before the heads."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the layers; bfloat16 pays on accelerators. Parameters are always float32."""


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """Amplification: the tree search."""

    backend: Literal["azero", "mctx"] = "azero"
    """azero's own trees, or mctx's: the same answers, slower."""
    algorithm: Literal["gumbel", "puct"] = "gumbel"
    """Gumbel AlphaZero (sequential halving at the root), or AlphaZero's PUCT."""
    simulations: int = 32
    """Simulations for one move."""
    considered: int = 16
    """Gumbel: root actions considered at the most."""
    lanes: int = 1
    """Gumbel: root moves searched side by side, with the same answers; 16 keeps an accelerator busy with few games."""
    cache: int = 0
    """Self-play: MiB on each device for what the network said in this iteration, so that it is seldom shown a
    position twice; 0 keeps nothing. Finds the same; pays where a small board brings games to the same positions."""
    value_scale: float = 0.1
    """Gumbel: weight of the completed values against the prior logits."""
    maxvisit_init: float = 50.0
    """Gumbel: visits added before the values are weighted."""
    rescale_values: bool = True
    """Gumbel: rescale the completed values of a node to [0, 1] before they are weighted."""
    c_init: float = 1.25
    """PUCT: weight of the prior."""
    fpu: Literal["loss", "parent"] = "loss"
    """PUCT: what a move not tried yet counts as, a loss or the mean value found at its position."""
    dirichlet_alpha: float = 0.0
    """PUCT: concentration of the root noise; 0 takes 10 / actions."""
    dirichlet_fraction: float = 0.25
    """PUCT: share of noise in the root prior, in self-play."""


@dataclasses.dataclass(frozen=True)
class SelfPlayConfig:
    """Games of the amplified model against itself."""

    games: int = 512
    """Games at once, over all devices."""
    plies: int = 32
    """Moves made in each game in one iteration; unfinished games go on in the next."""
    opening_plies: int = 8
    """A game begins with 0 to this many uniformly random moves (their searches are still learned from)."""
    full_share: float = 1.0
    """Share of the moves that are searched fully, and whose policy is learned from (playout cap randomisation)."""
    cheap_simulations: int = 8
    """Simulations for each of the other moves, which are searched without noise."""


@dataclasses.dataclass(frozen=True)
class TargetConfig:
    """What the value head learns."""

    value_lambda: float = 0.9
    """TD(lambda): 1 is the outcome of the game, 0 the value found by the next search."""


@dataclasses.dataclass(frozen=True)
class ReplayConfig:
    """The store of positions."""

    capacity: int = 1_000_000
    """Positions kept, over all devices."""
    minimum: int = 50_000
    """The window never shrinks below this many of the newest positions."""
    share: float = 0.5
    """The window grows to this share of all positions made so far, up to the capacity."""
    actions: int = 128
    """Entries of a policy target that are stored, the largest first; enough for every game with fewer actions."""


@dataclasses.dataclass(frozen=True)
class LearnConfig:
    """Gradient steps."""

    batch: int = 1024
    """Positions in one gradient step, over all devices."""
    reuse: float = 4.0
    """How many times each position is learned from on average; sets the steps of an iteration."""
    learning_rate: float = 1e-3
    """Peak of the schedule of AdamW."""
    warmup: int = 200
    """Gradient steps from 0 to the peak."""
    decay: int = 100
    """The rate is peak / sqrt(1 + iteration / decay): it needs no end to be known; 0 keeps it constant."""
    weight_decay: float = 1e-4
    """Decoupled, on matrices and kernels only."""
    clip: float = 1.0
    """Largest global norm of a gradient."""
    ema: float = 0.999
    """Decay of the moving average of parameters that plays in matches; 0 plays with the newest."""


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What a run says and keeps."""

    strength_every: int = 10
    """Iterations between measurements of strength; 0 measures at the end only."""
    checkpoint_every: int = 10
    """Iterations between checkpoints; the last iteration is always saved."""
    keep_newest: int = 2
    """Newest checkpoints kept."""
    keep_every: int = 0
    """Every n-th iteration's checkpoint is kept for good; 0 keeps none."""
    wandb: bool = False
    """Send metrics to Weights & Biases as well (extra `wandb`)."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All that decides what a run computes."""

    game: Annotated[str, tyro.conf.Suppress] = "tic_tac_toe"  # on the command line it stands alone
    """A name from `azero games`, or package.module:Env for a pgx-style env of your own."""
    model: Kind = "rules"
    """What the trees are searched with: the rules, a model learned from play (MuZero), or one whose foreseen boards are
    judged by the known reward."""
    seed: int = 0
    """The one source of randomness."""
    devices: int = 0
    """Devices over which games are spread; 0 takes all there are."""
    demonstrations: str = ""
    """A file of game records that the network imitates before it plays: move text, .sgf for Go, .pgn for chess."""
    overseer: str = ""
    """A program whose games are imitated instead: rules, negamax:depth=2, random."""
    overseer_games: int = 2000
    """How many of its games."""
    network: NetworkConfig = NetworkConfig()
    search: SearchConfig = SearchConfig()
    selfplay: SelfPlayConfig = SelfPlayConfig()
    targets: TargetConfig = TargetConfig()
    replay: ReplayConfig = ReplayConfig()
    distill: DistillConfig = DistillConfig()
    reward: RewardConfig = RewardConfig()
    muzero: MuZeroConfig = MuZeroConfig()
    learn: LearnConfig = LearnConfig()
    report: ReportConfig = ReportConfig()

    @property
    def distilled(self) -> str:
        """The way to distil, one of azero.kinds.KINDS."""
        if self.distill.kind != "auto":
            return self.distill.kind
        return "improved" if self.search.algorithm == "gumbel" else "visits"


def field(config: Any, path: str) -> Any:
    """The value at a dotted path: field(config, "search.simulations")."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """The config as plain dictionaries, for JSON."""
    return dataclasses.asdict(config)


def from_dict(data: dict[str, Any]) -> Config:
    """A config from `to_dict`; absent fields take their defaults.

    Raises:
      ValueError: a field is unknown or its value has the wrong type; the message names it.
    """
    return _read(Config, data, "")


def _read(kind: type, data: dict[str, Any], prefix: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values = {}
    for name, value in data.items():
        path = f"{prefix}{name}"
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            raise ValueError(f"unknown config field {path}" + (f"; did you mean {prefix}{near[0]}?" if near else ""))
        default = fields[name].default
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise ValueError(f"config field {path} must be a group of fields, not {value!r}")
            values[name] = _read(type(default), value, f"{path}.")
        else:
            none = default is None and value is None
            values[name] = None if none else _read_value(kind_of(fields[name]), value, fields[name].type, path)
    return kind(**values)


def kind_of(declared: dataclasses.Field[Any]) -> type:
    """The type of a field's values, where one is given."""
    kind: type = get_args(declared.type)[0] if declared.default is None else type(declared.default)
    return kind


def _read_value(kind: type, value: Any, annotation: Any, path: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"config field {path} must be of type {kind.__name__}, not {value!r}")
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    if choices and value not in choices:
        raise ValueError(f"config field {path} must be one of {', '.join(choices)}, not {value!r}")
    return value
