"""What an agent is shown of a game: the observation of the player to move, and the moves that it has."""

from typing import Any

import numpy as np
from gymnasium import spaces

from games import names
from games.core import Game, State
from games.notation import jitted

MODES = ("ansi",)
SEEDS = 2**31  # seeds of games and players are below it
ILLEGAL_REWARD = -1.0  # of an agent that makes an illegal move: it loses the game

View = dict[str, np.ndarray]


def observation_space(game: Game) -> spaces.Space[Any]:
    """`observation` float32 [H, W, C] and `action_mask` int8 [A].

    Planes are 0 or 1 in each cell and counts in the games of azero are shares of 1; a count in a user's own env may
    be any number.
    """
    low, high = np.zeros(game.observation_shape, np.float32), np.ones(game.observation_shape, np.float32)
    if game.name not in names():
        low[..., list(game.count_planes)] = -np.inf
        high[..., list(game.count_planes)] = np.inf
    mask = spaces.Box(0, 1, (game.num_actions,), np.int8)
    return spaces.Dict({"observation": spaces.Box(low, high, dtype=np.float32), "action_mask": mask})


def view(game: Game, state: State, seat: int | None) -> View:
    """What the player in this seat sees. Where it is not its turn, or nobody's (None), that is zeros throughout."""
    if bool(state.terminal) or int(state.to_play) != seat:
        empty = np.zeros(game.observation_shape, np.float32)
        return {"observation": empty, "action_mask": np.zeros(game.num_actions, np.int8)}
    # Copies: users keep what they were shown, and a view of JAX's memory cannot be written to.
    return {
        "observation": np.array(jitted(game.observe)(state), np.float32),
        "action_mask": np.array(state.legal, np.int8),
    }


def check_mode(mode: str | None) -> str | None:
    """The way to render, or ValueError."""
    if mode is not None and mode not in MODES:
        raise ValueError(f"render_mode {mode!r} is not there; it is ansi or None")
    return mode


def read_action(game: Game, action: Any) -> int:
    """An action as a number; ValueError where the game has none such."""
    number = int(action)
    if number != action or not 0 <= number < game.num_actions:
        raise ValueError(f"{action!r} is not an action of {game.name}; actions are 0 to {game.num_actions - 1}")
    return number
