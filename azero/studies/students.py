"""Students of rising capacity for a solved board: from eight weights to the trainer's own network.

Shape letters: N positions of the board, A actions, F features, M of the positions.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import NetworkConfig
from azero.exact import Board
from azero.network import Params, make_network, named
from azero.presets import preset

WIDTHS = (4, 8, 16, 32, 64, 256)  # of one hidden layer
FEATURES = ("wins", "exposes", "threatens", "centre", "height", "own beside", "others beside", "parity")


class Student(NamedTuple):
    """A family of policies on one board."""

    name: str
    parameters: int  # numbers that its policy depends on
    inputs: np.ndarray  # float32 [N, ...], what it sees of each position
    init: Callable[[jax.Array], Params]
    apply: Callable[[Params, jax.Array], jax.Array]  # params, inputs [M, ...] -> logits float32 [M, A]
    rate: float  # Adam's first step size: the fewer weights, the longer their way


def ladder(board: Board) -> tuple[Student, ...]:
    """All students of a board, the smallest first.

    `features`: one weight for each of FEATURES, shared by all moves. `linear`: logits linear in the observation.
    `mlp-W`: one hidden layer of W units. `network`: the one that the game's preset trains.
    """
    planes = np.asarray(jax.jit(jax.vmap(board.game.observe))(board.states))
    students = [_on_features(move_features(board, planes)), _linear(board, planes)]
    for width in WIDTHS:
        students.append(_network(f"mlp-{width}", NetworkConfig(width=width, blocks=0, norm=False), board, planes, 0.01))
    students.append(_network("network", preset("", board.game.name).config.network, board, planes, 0.002))
    return tuple(sorted(students, key=lambda student: student.parameters))


def move_features(board: Board, planes: np.ndarray) -> np.ndarray:
    """What the smallest student sees of each move, float32 [N, A, F], 0 where illegal; F as in FEATURES.

    Whether it wins at once; whether some reply to it wins at once; the share of the replies after which the mover can
    win at once; how near the cell is to the centre, and how high, both 0 to 1; the share of the eight cells around it
    with the mover's stones, and with the opponent's; 1 where the row is of the parity that the mover wants to threaten
    on (the first player the odd rows, counted from 1 at the bottom), else -1. The last five are 0 of a move that ends
    the game.

    Args:
      planes: float32 [N, H, W, 2], the stones of the player to move and of the opponent.
    """
    count, height, width, _ = planes.shape
    cells = height * width
    mine, theirs = (planes[..., side].reshape(count, cells) for side in (0, 1))
    beside = [_around(planes[..., side]).reshape(count, cells) / 8 for side in (0, 1)]
    rows, columns = np.divmod(np.arange(cells), width)
    far = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    near, level = 1 - far / far.max(), height - 1 - rows
    can_win = np.asarray((board.reward > 0).any(axis=1))
    mover = np.asarray(board.states.to_play)
    found = np.zeros((*board.q.shape, len(FEATURES)), np.float32)
    found[..., 0] = board.reward > 0
    for action in range(board.q.shape[1]):
        before = np.flatnonzero(board.child[:, action] >= 0)
        after = board.child[before, action]
        cell = (theirs[after] - mine[before]).argmax(axis=1)  # the players have changed places
        replies = board.child[after]
        won = np.where(replies >= 0, can_win[replies], False).sum(axis=1) / board.legal[after].sum(axis=1)
        parity = np.where(level[cell] % 2 == mover[before], 1.0, -1.0)
        facts = (can_win[after], won, near[cell], level[cell] / (height - 1))
        sides = (beside[0][before, cell], beside[1][before, cell], parity)
        found[before, action, 1:] = np.stack([*facts, *sides], axis=1)
    return found


def _around(plane: np.ndarray) -> np.ndarray:
    """float32 [N, H, W]: stones on the eight cells around each."""
    _, height, width = plane.shape
    padded = np.pad(plane, ((0, 0), (1, 1), (1, 1)))
    shifts = [padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]
    around: np.ndarray = np.sum(shifts, axis=0) - plane
    return around


def _on_features(features: np.ndarray) -> Student:
    def init(key: jax.Array) -> Params:
        return 0.1 * jax.random.normal(key, features.shape[-1:])

    return Student("features", features.shape[-1], features, init, lambda params, seen: seen @ params, 0.05)


def _linear(board: Board, planes: np.ndarray) -> Student:
    flat = planes.reshape(len(planes), -1)
    shape = (flat.shape[1], board.game.num_actions)

    def init(key: jax.Array) -> Params:
        return {"kernel": 0.1 * jax.random.normal(key, shape), "bias": jnp.zeros(shape[1])}

    def apply(params: Params, seen: jax.Array) -> jax.Array:
        return seen @ params["kernel"] + params["bias"]

    return Student("linear", (shape[0] + 1) * shape[1], flat, init, apply, 0.03)


def _network(name: str, config: NetworkConfig, board: Board, planes: np.ndarray, rate: float) -> Student:
    network = make_network(config, board.game)
    shapes = named(jax.eval_shape(network.init, jax.random.key(0)))
    counted = sum(leaf.size for path, leaf in shapes.items() if not path.startswith("value"))
    return Student(name, counted, planes, network.init, lambda params, seen: network.apply(params, seen)[0], rate)
