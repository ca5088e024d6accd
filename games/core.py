"""What a game is: a record of pure functions over one State, and the sign rule.

Shape letters, used everywhere: B games, T plies, A actions, N tree nodes, M batch, H W C observation.
A State is one game; callers vmap. Rules know nothing of learning or search.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Board = Any
Value = TypeVar("Value", jax.Array, np.ndarray)

WIN, DRAW, LOSS = 1, 0, -1
ILLEGAL = -128  # the entry of an illegal move in a table of exact move values


class State(NamedTuple):
    """One position. Terminal states are fixed points of `step`, with reward 0."""

    board: Board  # pytree, private to the game; it holds no observation
    to_play: jax.Array  # int32 [], 0 or 1
    legal: jax.Array  # bool [A], the moves of the player to play; all True once terminal
    reward: jax.Array  # float32 [], of the last move, for the player who made it
    discount: jax.Array  # float32 [], what this state's value is worth to the state before: -1, +1 or 0
    terminal: jax.Array  # bool []


class Symmetries(NamedTuple):
    """Index tables of the S symmetries of a game; row 0 is the identity.

    A transformed plane is `plane.ravel()[cells[s]]`, a transformed policy `policy[actions[s]]`.
    """

    cells: np.ndarray  # int32 [S, H * W]
    actions: np.ndarray  # int32 [S, A]


class Notation(NamedTuple):
    """Moves as the game's players write them. On the host, one state at a time."""

    move: Callable[[State, int], str]  # the text of a legal action in this state
    action: Callable[[State, str], int]  # its inverse; ValueError says what is wrong with the text
    separator: str  # between the moves of a position's text: "" where a move is one character
    board: Callable[[State], str]  # the board as lines of text


class LabelledPositions(NamedTuple):
    """Positions whose every move has its exact value."""

    states: State  # leaves [M, ...]
    q: np.ndarray  # int8 [M, A], exact value of each move for the mover, ILLEGAL where there is none
    sets: np.ndarray  # str [M], the set each position belongs to ("begin-hard"); reports group by it


class Oracle(NamedTuple):
    """Exact knowledge of a game."""

    positions: Callable[[], LabelledPositions]  # the positions that strength is measured on
    q: Callable[[State], tuple[np.ndarray, np.ndarray]] | None
    # batch of states [B] -> exact values int8 [B, A] for the mover (ILLEGAL where illegal) and plies to the
    # end of the game under best play int16 [B, A] (-1 where illegal); None where only a set is labelled


class Game(NamedTuple):
    """A two-player (or one-player) game with a fixed number of actions."""

    name: str
    num_players: int
    num_actions: int
    observation_shape: tuple[int, int, int]  # (H, W, C)
    max_plies: int  # no game is longer
    init: Callable[[jax.Array], State]  # key -> first position
    step: Callable[[State, jax.Array, jax.Array], State]  # state, action int32 [], key -> next position
    observe: Callable[[State], jax.Array]  # state -> float32 [H, W, C], seen by the player to move
    symmetries: Symmetries
    notation: Notation
    count_planes: tuple[int, ...] = ()
    # channels that hold one number everywhere (a move count); every other channel is 0 or 1 in each cell,
    # so that an observation can be stored as bits
    oracle: Callable[[], Oracle] | None = None


def value_before(reward: Value, discount: Value, value: Value) -> Value:
    """The sign rule: the value of a state, for its mover, from the state that a move led to.

    Args:
      reward: float32 [...], of the move, for the player who made it.
      discount: float32 [...], -1 if the opponent moves next, +1 if the same player does, 0 if the game is over.
      value: float32 [...], of the state after the move, for the player to move there.
    """
    return reward + discount * value


def no_symmetries(cells: int, actions: int) -> Symmetries:
    """The identity alone."""
    return Symmetries(np.arange(cells, dtype=np.int32)[None], np.arange(actions, dtype=np.int32)[None])


def fixed_if_terminal(before: State, after: State) -> State:
    """`after`, unless `before` was terminal: then `before` again, with reward 0 and discount 0."""
    stay = before._replace(reward=jnp.zeros_like(before.reward), discount=jnp.zeros_like(before.discount))
    return jax.tree.map(lambda old, new: jnp.where(before.terminal, old, new), stay, after)


def after_move(board: Board, mover: jax.Array, legal: jax.Array, won: jax.Array, full: jax.Array) -> State:
    """The state after a move in a game of alternating turns in which only the mover can win.

    Args:
      board: the new board.
      mover: int32 [], who made the move.
      legal: bool [A], the moves of the other player.
      won: bool [], the mover has won.
      full: bool [], nobody can move any more.
    """
    terminal = won | full
    return State(
        board=board,
        to_play=1 - mover,
        legal=legal | terminal,
        reward=jnp.where(won, 1.0, 0.0).astype(jnp.float32),
        discount=jnp.where(terminal, 0.0, -1.0).astype(jnp.float32),
        terminal=terminal,
    )
