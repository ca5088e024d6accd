"""The ways to distil and the options that belong to each. Imports no JAX, so that help answers at once."""

import dataclasses
from collections.abc import Set
from typing import Any, Literal, get_args

Kind = Literal[
    "auto", "visits", "improved", "imitation", "best_answer", "reinforce", "mixed", "reward_model", "adversarial",
    "outcome",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)[1:]


Baseline = Literal["auto", "none", "mean", "value", "search_value", "leave_one_out", "all_actions"]


@dataclasses.dataclass(frozen=True)
class DistillConfig:
    """Distillation: what the policy learns from the amplified model, M2. docs/reference/distillers.md explains it."""

    kind: Kind = "auto"
    """How the policy learns; auto takes visits with PUCT and improved with Gumbel."""
    value_weight: float = 1.0
    """Weight of the squared error of the value against the loss of the policy."""
    temperature: float = 1.0
    """visits, imitation: the policy of M2 to the power 1 / temperature is imitated."""
    answers: int = 1
    """imitation: answers of M2 for a position; kinds that reinforce: answers of the student in a gradient step."""
    states: Literal["teacher", "student", "mixture"] = "teacher"
    """imitation: who makes the moves: M2, the student (DAgger), or M2 in a share of the moves that falls."""
    teacher_half_life: float = 20.0
    """imitation with states mixture: iterations in which the share of M2's moves halves."""
    form: Literal["log", "literal"] = "log"
    """best_answer: the gradient of log p(X*), or of p(X*) itself."""
    baseline: Baseline = "auto"
    """Kinds that reinforce: what is taken from the reward of an answer; all_actions is the exact expectation. auto is
    search_value, for rewards that are no values (reward_model, adversarial) all_actions."""
    approval: Literal["tree", "fresh"] = "tree"
    """reinforce, mixed: a move's value in the tree of its position, or a fresh search of the position after it."""
    entropy: float = 0.01
    """Kinds that reinforce, outcome: weight of the policy's entropy, nats."""
    kl: float | None = None
    """Safeguard: weight of KL(student || reference). Where none is given, it is 0.1 for reward_model, whose improvement
    is KL-regularised, and 0 for the others."""
    kl_target: float = 0.0
    """Safeguard: the weight kl is moved until KL(student || reference) is this many nats; 0 keeps it."""
    reference: Literal["search", "start"] = "search"
    """Safeguard: the imitation policy: M2's own, or the network that the run began with."""
    quantilize: float = 0.0
    """Safeguard: distil the q-quantilizer of the reward over the imitation policy; q between 0 and 1, 0 is off."""
    halfway: float = 0.0
    """Safeguard: distil the policy proportional to student * exp(reward / halfway); 0 is off."""
    imitation_weight: float = 0.5
    """mixed: lambda, the weight of imitation against 1 - lambda of reinforcement."""
    imitation_half_life: float = 0.0
    """mixed: iterations in which lambda halves; 0 keeps it."""
    mixture: Literal["policy", "margin"] = "policy"
    """mixed: cross-entropy and REINFORCE, or DQfD: values of moves with a large margin for M2's answer."""
    margin: float = 0.8
    """mixed with mixture margin: how far M2's answer shall stand above every other move, in value."""
    imitate_first: int = 5
    """adversarial: iterations of imitation before the discriminator is obeyed."""
    clip: float = 0.2
    """outcome: how far the chance of a move may leave that of the policy that made it (PPO)."""


@dataclasses.dataclass(frozen=True)
class RewardConfig:
    """distill.kind reward_model: comparisons of moves -> Bradley-Terry reward networks -> policy."""

    labels: Literal["search", "oracle", "overseer", "file"] = "search"
    """Who says which of two moves is better: M2, exact values, a program, or a person's file of comparisons."""
    file: str = ""
    """labels file: its comparisons.jsonl."""
    overseer: str = ""
    """labels overseer: its name, such as rules or negamax:depth=2."""
    temperature: float = 0.2
    """P(a before b) = sigmoid((q(a) - q(b)) / temperature), of the labels and of the reward networks."""
    noise: float = 0.0
    """Share of labels that say the contrary."""
    comparisons: int = 512
    """Comparisons in a round of labelling."""
    every: int = 1
    """Iterations between rounds, each on positions of the newest games; 0 labels once and freezes the rewards."""
    states: Literal["teacher", "student"] = "teacher"
    """Whose games those are: self-play's, which M2 plays, or games that the student plays by itself."""
    pairs: Literal["random", "disagreement"] = "random"
    """Which two moves are compared: any two, or those on whose order the networks differ most."""
    line: int = 1
    """Moves in each of the two lines of play that are compared; 1 compares moves."""
    ensemble: int = 3
    """Reward networks."""
    combine: Literal["mean", "min", "pessimistic"] = "mean"
    """Safeguard: the networks' mean, their least, or their mean less pessimism times their standard deviation."""
    pessimism: float = 1.0
    """combine pessimistic: standard deviations."""
    enters: Literal["signal", "leaf", "terminal"] = "signal"
    """Where the reward enters: what is distilled; also the search's leaves; also in place of the rules' results."""
    width: int = 64
    """Units of a layer of a reward network."""
    blocks: int = 1
    """Residual blocks of a reward network."""
    learning_rate: float = 1e-3
    """Adam, on the comparisons."""
    steps: int = 32
    """Gradient steps on the comparisons in an iteration."""
    batch: int = 256
    """Comparisons in such a step."""
    capacity: int = 50_000
    """Comparisons kept; the oldest go first."""
    held_out: float = 0.1
    """Share of the comparisons that is never learned from, to watch the fit."""


REWARD_KL = 0.1  # without it the student follows what the reward networks do not know (docs/log.md, 2026-11-21)
SAFEGUARDS = ("kl", "kl_target", "reference", "quantilize", "halfway")
REINFORCING = ("answers", "baseline", "entropy", *SAFEGUARDS)
APPLIES: dict[str, tuple[str, ...]] = {
    "visits": ("temperature",),
    "improved": (),
    "imitation": ("answers", "temperature", "states", "teacher_half_life"),
    "best_answer": ("form",),
    "reinforce": (*REINFORCING, "approval"),
    "mixed": (*REINFORCING, "approval", "imitation_weight", "imitation_half_life", "mixture", "margin"),
    "reward_model": REINFORCING,
    "adversarial": (*REINFORCING, "imitate_first"),
    "outcome": ("entropy", "clip"),
}
# An option that means something only where another has a certain value: option -> (the other, its values).
NEEDS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "distill.teacher_half_life": ("distill.states", ("mixture",)),
    "distill.margin": ("distill.mixture", ("margin",)),
    "reward.file": ("reward.labels", ("file",)),
    "reward.overseer": ("reward.labels", ("overseer",)),
    "reward.pessimism": ("reward.combine", ("pessimistic",)),
}


def check_options(kind: str, distill: DistillConfig, reward: RewardConfig, given: Set[str] = frozenset()) -> None:
    """Refuses options that do not apply to a kind, or not to each other.

    Args:
      kind: one of KINDS.
      given: dotted names of options that were asked for by name, so that they count even with their default values.

    Raises:
      ValueError: one line that names the option and where it applies.
    """
    distilling = (_changed(distill) | _in_group("distill", given)) - {"kind", "value_weight"}
    rewarding = _changed(reward) | _in_group("reward", given)
    for option in sorted(distilling - set(APPLIES[kind])):
        kinds = ", ".join(name for name in KINDS if option in APPLIES[name])
        raise ValueError(f"distill.{option} does not apply to distill.kind {kind}; it belongs to {kinds}")
    if kind != "reward_model":
        for name in sorted(rewarding):
            raise ValueError(f"reward.{name} does not apply to distill.kind {kind}; it belongs to reward_model")
    changed = {f"distill.{name}" for name in distilling} | {f"reward.{name}" for name in rewarding}
    groups = {"distill": distill, "reward": reward}
    for path, (other, values) in NEEDS.items():
        group, name = other.split(".")
        if path in changed and getattr(groups[group], name) not in values:
            raise ValueError(f"{path} needs {other} {' or '.join(values)}, not {getattr(groups[group], name)}")
    for source in ("file", "overseer"):
        if reward.labels == source and not getattr(reward, source):
            raise ValueError(f"reward.labels {source} needs reward.{source}")
    if reward.labels == "file":
        for name in sorted(rewarding & {"noise", "comparisons", "every", "states", "pairs", "line"}):
            raise ValueError(f"reward.{name} does not apply to reward.labels file, whose comparisons are made")
    if reward.ensemble < 2 and (reward.pairs == "disagreement" or reward.combine != "mean"):
        raise ValueError(
            f"reward.pairs disagreement and reward.combine need reward.ensemble of 2 or more, not {reward.ensemble}"
        )
    if reward.held_out > 0.5:
        raise ValueError(f"reward.held_out must be at most 0.5, not {reward.held_out}")
    _check_together(kind, distill, distilling)


def baseline_of(kind: str, distill: DistillConfig) -> Baseline:
    """The baseline that `auto` stands for."""
    if distill.baseline != "auto":
        return distill.baseline
    return "all_actions" if kind in ("reward_model", "adversarial") else "search_value"


def kl_of(kind: str, distill: DistillConfig) -> float:
    """The weight of the divergence that `kl` stands for."""
    if distill.kl is not None:
        return distill.kl
    return REWARD_KL if kind == "reward_model" else 0.0


def _check_together(kind: str, distill: DistillConfig, asked: Set[str]) -> None:
    if distill.baseline == "leave_one_out" and distill.answers < 2:
        raise ValueError(f"distill.baseline leave_one_out needs distill.answers of 2 or more, not {distill.answers}")
    if "baseline" in APPLIES[kind] and baseline_of(kind, distill) == "all_actions" and distill.answers > 1:
        raise ValueError(f"distill.baseline all_actions draws no answers; leave out distill.answers {distill.answers}")
    if distill.imitation_half_life and not distill.imitation_weight:
        raise ValueError("distill.imitation_half_life needs distill.imitation_weight above 0")
    if distill.kl_target and not kl_of(kind, distill):
        raise ValueError("distill.kl_target needs distill.kl above 0, the weight to begin with")
    targeted = [name for name in ("quantilize", "halfway") if getattr(distill, name)]
    if targeted and (distill.answers > 1 or distill.baseline != "auto"):
        raise ValueError(f"distill.{targeted[0]} distils a whole policy; distill.answers and baseline do not apply")
    if distill.mixture == "margin" and (unused := sorted(asked & set(REINFORCING))):
        raise ValueError(f"distill.{unused[0]} does not apply to distill.mixture margin, which draws no answers")
    if distill.reference != "search" and not (kl_of(kind, distill) or distill.quantilize):
        raise ValueError("distill.reference needs distill.kl or distill.quantilize")


def _in_group(group: str, given: Set[str]) -> set[str]:
    """The fields of a group among dotted names."""
    return {path.removeprefix(f"{group}.") for path in given if path.startswith(f"{group}.")}


def _changed(config: DistillConfig | RewardConfig) -> set[str]:
    """The fields that are not at their defaults."""
    return {field.name for field in dataclasses.fields(config) if getattr(config, field.name) != field.default}
