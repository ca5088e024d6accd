"""Games as environments for agents that are not azero's: Gymnasium against a player, PettingZoo for two agents.

against.py  gymnasium.Env: one agent, and a PLAYER on the other side
seats.py    pettingzoo.AECEnv: an agent for each side (extra `envs`)
view.py     what both show an agent
"""

from typing import TYPE_CHECKING

from azero.envs.against import GameEnv

if TYPE_CHECKING:
    from pettingzoo import AECEnv

__all__ = ["GameEnv", "aec"]


def aec(game: str, render_mode: str | None = None) -> "AECEnv":
    """A PettingZoo AEC environment, in PettingZoo's wrappers that refuse calls out of order and actions out of range.

    Args:
      game: a name from `azero games`, or "package.module:Env".
      render_mode: "ansi" or None.

    Raises:
      ValueError: there is no such game or mode.
      ModuleNotFoundError: PettingZoo is not installed.
    """
    from azero.envs.seats import wrapped

    return wrapped(game, render_mode)
