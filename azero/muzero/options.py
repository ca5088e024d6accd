"""The settings of a learned model. Imports no JAX."""

import dataclasses
from collections.abc import Set
from typing import Literal

Kind = Literal["rules", "learned", "learned_explicit_reward"]


@dataclasses.dataclass(frozen=True)
class MuZeroConfig:
    """A learned model of the game, where `model` asks for one."""

    unroll: int = 5
    """Moves that the model follows in a gradient step."""
    td_steps: int = 10
    """Moves whose rewards are in a value target, before the value that the search found."""
    value_range: float = 1.0
    """Largest return there can be, in the game's own rewards."""
    bins: int = 51
    """Values and rewards are learned as distributions over this many numbers within the range, the middle one 0."""
    consistency: float = 0.0
    """Weight of the likeness between what the model foresees and what it makes of what came (EfficientZero)."""
    reanalyse: float = 0.0
    """Old positions that are searched anew with today's network, as a share of the positions played."""
    priority: float = 0.0
    """Positions are drawn by their value error to this power; 0 draws evenly."""


def check_model(
    kind: Kind, muzero: MuZeroConfig, distilled: str, algorithm: str, plies: int, given: Set[str] = frozenset()
) -> None:
    """Refuses settings that no learned model could have.

    Args:
      distilled: the way to distil.
      algorithm: of the search.
      plies: of self-play, in one iteration.
      given: dotted names of options that were asked for by name, so that they count even with their default values.

    Raises:
      ValueError: one line with the field, what it was and what it must be.
    """
    if kind == "rules":
        for declared in dataclasses.fields(MuZeroConfig):
            if f"muzero.{declared.name}" in given or getattr(muzero, declared.name) != declared.default:
                raise ValueError(f"muzero.{declared.name} does not apply to model rules; it belongs to learned models")
        return
    if distilled not in ("improved", "visits"):
        raise ValueError(f"model {kind} goes with distill.kind improved or visits, not {distilled}")
    if algorithm == "puct" and muzero.value_range > 1:
        raise ValueError("search.algorithm puct takes values of -1 to 1; muzero.value_range above 1 needs gumbel")
    if muzero.bins % 2 == 0:
        raise ValueError(f"muzero.bins must be odd, so that the middle one is 0, not {muzero.bins}")
    if plies <= muzero.unroll:
        raise ValueError(f"selfplay.plies must be above muzero.unroll of {muzero.unroll}, not {plies}")
