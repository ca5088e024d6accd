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
Tree = TypeVar("Tree")

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


class Chance(NamedTuple):
    """A game's moves in two halves: what the player does, and what chance makes of it.

    The position between the halves, the afterstate, is a State too, still of the player who moved: its reward is that
    of the move, its discount 1 (0 if the move has ended the game), `legal` says nothing. What happens then follows
    the sign rule as a move of that player does: the reward is his, the discount says who moves next, from his side.
    So `step` is one half after the other: its reward is after's reward + after's discount * happen's reward, its
    discount the product of both. An ended game stays as it is, whatever happens.
    """

    outcomes: int  # O
    after: Callable[[State, jax.Array], State]  # state, action int32 [] -> afterstate
    probabilities: Callable[[State], jax.Array]  # afterstate -> float32 [O], sums to 1; 0 of what cannot happen
    happen: Callable[[State, jax.Array], State]  # afterstate, outcome int32 [] -> next position


class Host(NamedTuple):
    """An environment that the host alone can step: the game's `init` and `step` raise ValueError.

    A State of such a game holds as its board what was observed, float32 [H, W, C], and `observe` gives it back.
    """

    begin: Callable[[int], Any]  # how many -> that many environments side by side, games.hosted.Envs
    discount: float  # of the state after a move that goes on


class Game(NamedTuple):
    """A two-player (or one-player) game with a fixed number of actions."""

    name: str
    num_players: int
    num_actions: int
    observation_shape: tuple[int, int, int]  # (H, W, C)
    max_plies: int  # no game is longer, or is played for longer where there is a time limit
    init: Callable[[jax.Array], State]  # key -> first position
    step: Callable[[State, jax.Array, jax.Array], State]  # state, action int32 [], key -> next position
    observe: Callable[[State], jax.Array]  # state -> float32 [H, W, C], seen by the player to move
    symmetries: Symmetries
    notation: Notation
    count_planes: tuple[int, ...] = ()
    # channels that hold one number everywhere (a move count); every other channel is 0 or 1 in each cell,
    # so that an observation can be stored as bits
    oracle: Callable[[], Oracle] | None = None
    judge: Callable[[jax.Array], tuple[jax.Array, jax.Array]] | None = None
    # an observation float32 [H, W, C] -> what the reward float32 [] of the move before it was, for its maker, and
    # whether the game is over, bool []; where a board says both
    reward_scale: float = 1.0  # what the environment's unit of reward is in this game's rewards
    time_limit: int = 0
    # moves after which a game is cut off, not over: what was still to come is worth what it is; 0 where the rules
    # end every game. Rules and search know nothing of it
    chance: Chance | None = None  # None: `step` does not use its key, or keeps its chances to itself
    host: Host | None = None  # None: `init` and `step` run on any device


def value_before(reward: Value, discount: Value, value: Value) -> Value:
    """The sign rule: the value of a state, for its mover, from the state that a move led to.

    Args:
      reward: float32 [...], of the move, for the player who made it.
      discount: float32 [...], -1 if the opponent moves next, +1 if the same player does, 0 if the game is over.
      value: float32 [...], of the state after the move, for the player to move there.
    """
    return reward + discount * value


def rows_where(mask: jax.Array, new: Tree, old: Tree) -> Tree:
    """Rows of `new` where mask bool [B], else of `old`: pytrees of arrays [B, ...]."""

    def rows(one: jax.Array, other: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (one.ndim - 1)), one, other)

    return jax.tree.map(rows, new, old)


def no_symmetries(cells: int, actions: int) -> Symmetries:
    """The identity alone."""
    return Symmetries(np.arange(cells, dtype=np.int32)[None], np.arange(actions, dtype=np.int32)[None])


def step_by_chance(chance: Chance) -> Callable[[State, jax.Array, jax.Array], State]:
    """The `step` that is both halves of a move, with an outcome drawn by its probability."""

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        between = chance.after(state, action)
        outcome = jax.random.categorical(key, jnp.log(chance.probabilities(between)))
        after = chance.happen(between, outcome.astype(jnp.int32))
        return after._replace(
            reward=value_before(between.reward, between.discount, after.reward),
            discount=between.discount * after.discount,
        )

    return step


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
