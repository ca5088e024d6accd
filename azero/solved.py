"""Every position of a solved board, and what is answered to them.

Shape letters: N positions in which the game goes on, A actions, P plies, M of the positions.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import games
from azero.analysis import ask
from azero.answers import Answer, Answers, in_batches
from azero.config import SearchConfig
from azero.search import Model, make_tree_search
from games.core import ILLEGAL, Game, State, fixed_if_terminal
from games.oracles import solved_board
from games.oracles.tables import POSITIONS

BATCH = 8192  # positions in one call
AXIS = "positions"
SLACK = 1e-4  # by which a policy's sum may miss 1

Policy = np.ndarray  # float [N, A], chance of each move; 0 where illegal, each row sums to 1


class Board(NamedTuple):
    """All positions of a solved game in which the game goes on, in order of plies; NumPy.

    The opponent moves after each move. A position that several orders of moves lead to is one row, a position and
    its mirror image are two. Row 0 is the start.
    """

    game: Game
    states: State  # leaves [N, ...]
    q: np.ndarray  # int8 [N, A], exact value of each move for the mover, ILLEGAL where illegal
    distance: np.ndarray  # int16 [N, A], plies to the end under best play, the move included; -1 where illegal
    child: np.ndarray  # int32 [N, A], row of the position after the move; -1 if the game is over then, or illegal
    reward: np.ndarray  # float32 [N, A], of the move for its mover where it ends the game, else 0
    first_row: np.ndarray  # int64 [P + 1], rows of ply p: first_row[p] up to first_row[p + 1]

    @property
    def value(self) -> np.ndarray:
        """int8 [N], exact, for the mover."""
        return most(self.q)

    @property
    def legal(self) -> np.ndarray:
        """bool [N, A]."""
        legal: np.ndarray = self.q != ILLEGAL
        return legal

    @property
    def regret(self) -> np.ndarray:
        """float32 [N, A], by how much each move falls short of the position's value; 0 where illegal."""
        return np.where(self.legal, self.value[:, None] - self.q.astype(np.float32), 0)

    @property
    def decisive(self) -> np.ndarray:
        """bool [N], the legal moves differ in value."""
        return most(self.regret) > 0

    @property
    def plies(self) -> list[slice]:
        """The rows of each ply, from the first."""
        return [slice(*rows) for rows in zip(self.first_row[:-1], self.first_row[1:], strict=True)]


@functools.cache
def board(game_name: str) -> Board:
    """The board of this game, made once in a process.

    Raises:
      ValueError: not every position of this game is solved.
    """
    if game_name not in POSITIONS:
        raise ValueError(f"{game_name!r} is not solved in every position; solved games are {', '.join(POSITIONS)}")
    solved = solved_board(game_name)
    return Board(
        game=games.make(game_name),
        states=solved.states,
        q=solved.q,
        distance=solved.distance,
        child=solved.child,
        reward=solved.won.astype(np.float32),  # only the mover can win; a move that fills the board is worth 0
        first_row=solved.first_row,
    )


class _Tables(NamedTuple):
    """A board and a model of its positions, as a search looks them up."""

    legal: np.ndarray | jax.Array  # bool [N, A]
    child: np.ndarray | jax.Array  # int32 [N, A]
    reward: np.ndarray | jax.Array  # float32 [N, A]
    logits: np.ndarray | jax.Array  # float32 [N, A]
    value: np.ndarray | jax.Array  # float32 [N], for the mover


def network_policy(
    board: Board, answers: Answers, seed: int = 0, batch: int = BATCH
) -> tuple[Policy, np.ndarray | None]:
    """What is answered to every position: the policy float32 [N, A], and the values float32 [N] for the mover.

    Args:
      answers: of a network or a search; values are None if it has no opinion. Of a search over a
        network `amplified_policy` gives the same many times sooner.
      batch: positions in one call.

    Raises:
      BadPosition: it answers NaN.
      ValueError: its policy is none.
    """
    answer = ask(answers, jax.tree.map(jnp.asarray, board.states), seed, batch)
    return checked(board, answer.policy), answer.value


def amplified_policy(
    board: Board, config: SearchConfig, policy: Policy, value: np.ndarray, seed: int = 0, batch: int = BATCH
) -> tuple[Policy, np.ndarray]:
    """What a search finds in every position where a model has this policy and these values: like `network_policy`.

    The same search as with a network, but in tables: a move is one look-up and so is the judgement of a leaf, for each
    position that a search can come to is a row of the board. The model is asked once a position instead of once a
    simulation; it need not be a network. A search is without noise, as in `search_answers`. All devices share the work.

    Args:
      policy, value: of the model, float [N, A] and [N] for the mover, from -1 to 1.

    Raises:
      ValueError: the policy is none, or there is not a value of each position.
    """
    if value.shape != board.q.shape[:1] or not np.isfinite(value).all():
        raise ValueError(f"a value of each of the {len(board.q)} positions is needed, all numbers, not {value.shape}")
    with np.errstate(divide="ignore"):
        logits = np.log(checked(board, policy).astype(np.float32))
    tables = _Tables(board.legal, board.child, board.reward, logits, value.astype(np.float32))
    states = board.states._replace(board=np.arange(len(board.q), dtype=np.int32))
    devices = jax.device_count()
    size = -(-min(batch, len(board.q)) // devices) * devices
    mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,))
    search = functools.partial(
        _table_search(config, board.game.name, mesh), jax.device_put(tables, NamedSharding(mesh, PartitionSpec()))
    )
    answer = in_batches(search, size)(jax.tree.map(jnp.asarray, states), jax.random.key(seed))
    assert answer.value is not None
    return checked(board, answer.policy), answer.value


@functools.cache
def _table_search(config: SearchConfig, game_name: str, mesh: Mesh) -> Callable[[_Tables, State, jax.Array], Answer]:
    """The search of this config, compiled once for all models; the board of a state is its row.

    The positions lie split over the mesh, the tables whole on each of its devices.
    """

    def look_up(tables: _Tables, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        return jnp.asarray(tables.logits)[states.board], jnp.asarray(tables.value)[states.board]

    def step(tables: _Tables, states: State, actions: jax.Array, key: jax.Array) -> State:
        del key
        return jax.vmap(functools.partial(_table_step, tables))(states, actions)

    search = make_tree_search(config, Model(games.make(game_name).num_actions, step, look_up), explore=False)
    same, split = PartitionSpec(), PartitionSpec(AXIS)
    spread = jax.jit(jax.shard_map(search, mesh=mesh, in_specs=(same, split, same), out_specs=split, check_vma=False))

    def answers(tables: _Tables, states: State, key: jax.Array) -> Answer:
        found = jax.device_get(spread(tables, states, key))
        return Answer(found.action, found.policy, found.visits, found.value)

    return answers


def _table_step(tables: _Tables, state: State, action: jax.Array) -> State:
    """`Game.step` where the board is a row of the tables."""
    child = tables.child[state.board, action]
    over = child < 0
    row = jnp.maximum(child, 0)
    after = State(
        board=row,
        to_play=1 - state.to_play,
        legal=tables.legal[row] | over,
        reward=tables.reward[state.board, action],
        discount=jnp.where(over, 0.0, -1.0),
        terminal=over,
    )
    return fixed_if_terminal(state, after)


def checked(board: Board, policy: Policy) -> Policy:
    """The policy itself.

    Raises:
      ValueError: it is not a distribution over the legal moves of each position; the message names the first row.
    """
    if policy.shape != board.q.shape:
        raise ValueError(f"a policy of {board.game.name} has shape {board.q.shape}, not {policy.shape}")
    wrong = np.flatnonzero(~(np.abs(total(policy) - 1) <= SLACK))
    wrong = wrong if len(wrong) else np.flatnonzero(policy < 0) // policy.shape[1]
    if len(wrong):
        raise ValueError(f"row {wrong[0]} of a policy must be chances that sum to 1, not {policy[wrong[0]].tolist()}")
    wrong = np.flatnonzero((policy != 0) & (board.q == ILLEGAL)) // policy.shape[1]
    if len(wrong):
        raise ValueError(f"row {wrong[0]} of a policy gives an illegal move a chance: {policy[wrong[0]].tolist()}")
    return policy


def most(rows: np.ndarray) -> np.ndarray:
    """The maximum of each row [M, A], column by column: NumPy takes 5 times as long along short rows."""
    return functools.reduce(np.maximum, rows.T)


def total(rows: np.ndarray) -> np.ndarray:
    """The sum of each row, float [M, A]: as a product, for the same reason."""
    return rows @ np.ones(rows.shape[1], rows.dtype)
