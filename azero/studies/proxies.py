"""Reward models of known quality: fitted to an exact labeller's comparisons, and read off in every position."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import RewardConfig
from azero.distill.comparisons import Comparisons, add_comparisons, no_comparisons, play_lines
from azero.distill.labelling import drawn_labels
from azero.distill.reward_networks import combined, ensemble_values, make_fit, make_reward, rewards_of_moves
from azero.exact import Board
from azero.network import Params
from games.core import State

BATCH = 8192  # positions in one call
PATIENCE = 10  # rounds without a smaller held-out loss after which a fit ends
ROWS, MOVES, LABELS, INIT, FIT, WATCH = range(6)  # purposes of the key of a fit


class Proxy(NamedTuple):
    """K reward networks, as tables over all N positions of a board; NumPy."""

    reward: np.ndarray  # float32 [K, N, A], of each move for its mover, -1 to 1; 0 where illegal
    value: np.ndarray  # float32 [K, N], of each position for the player to move
    quality: dict[str, float]  # `held_out_loss`, `held_out_accuracy`, `calibration`, and exact `pair_accuracy`


Combine = Literal["first", "mean", "min", "pessimistic"]
Proxies = Callable[[int, int], Proxy]  # (comparisons, seed) -> Proxy


def make_proxies(board: Board, visits: np.ndarray, options: RewardConfig, rounds: int) -> Proxies:
    """Reward networks from comparisons of two moves in positions that a policy meets.

    Moves of one exact value are not asked about: who finds two answers equal says so, and such pairs are left out
    (Christiano et al. 2017, section 2.2.2, of pairs that cannot be compared). Labels follow the exact values, with
    the temperature and the noise of `options`. The comparisons that are held out steer the weight decay of the fit
    and say which round's networks are taken: those with the least loss on them, or the unfitted ones. One
    compilation serves every number of comparisons up to `options.capacity`.

    Args:
      visits: float64 [N], how often the policy meets each position.
      rounds: of `options.steps` gradient steps, at the most.
    """
    game = board.game
    reward = make_reward(options, game)
    fit = make_fit(options, game, reward)

    @jax.jit
    def read(rewards: Params, states: State) -> tuple[jax.Array, jax.Array]:
        given = rewards_of_moves(game, reward, rewards, states)
        values = ensemble_values(reward, rewards, jax.vmap(game.observe)(states))
        return jnp.moveaxis(jnp.where(states.legal, given, 0.0), 0, 1), values.T

    def proxy(count: int, seed: int) -> Proxy:
        key = jax.random.fold_in(jax.random.key(seed), count)
        models = fit.init(jax.random.fold_in(key, INIT))
        models["comparisons"] = _asked(board, visits, options, count, key)
        watch_key = jax.random.fold_in(key, WATCH)  # the same comparisons in each round
        models, metrics = fit.watch(models, watch_key)
        best, least, waited = models["rewards"], jax.device_get(metrics), 0
        for number in range(rounds):
            models = fit.learn(models, jax.random.fold_in(jax.random.fold_in(key, FIT), number))
            models, metrics = fit.watch(models, watch_key)
            waited += 1
            if metrics["pair_loss"] < least["pair_loss"]:
                best, least, waited = models["rewards"], jax.device_get(metrics), 0
            if waited == PATIENCE:
                break
        given, values = in_parts(lambda states: read(best, states), board.states)
        given, values = np.moveaxis(given, 1, 0), values.T
        quality = {
            "held_out_loss": float(least["pair_loss"]),
            "held_out_accuracy": float(least["pair_accuracy"]),
            "calibration": float(least["pair_calibration"]),
            "pair_accuracy": pair_accuracy(board, given[0], visits),
        }
        return Proxy(given, values, quality)

    return proxy


def pair_accuracy(board: Board, reward: np.ndarray, visits: np.ndarray) -> float:
    """Share of the pairs of moves of different exact value that a reward orders rightly, a tie counting for half.

    Args:
      reward: float [N, A], for the mover.
      visits: float [N], weight of each position.
    """
    right = pairs = 0.0
    for first in range(board.q.shape[1]):
        for second in range(first):
            differ = board.legal[:, first] & board.legal[:, second] & (board.q[:, first] != board.q[:, second])
            weight = np.where(differ, visits, 0.0)
            truth = np.where(board.q[:, first] > board.q[:, second], 1.0, -1.0)
            agrees = np.sign(reward[:, first] - reward[:, second]) * truth
            right, pairs = right + float(weight @ (1 + agrees)) / 2, pairs + float(weight.sum())
    return right / pairs


def one_reward(options: RewardConfig, proxy: Proxy, combine: Combine) -> tuple[np.ndarray, np.ndarray]:
    """Reward float32 [N, A] and values float32 [N] from those of K networks.

    He who moves into a position may be deceived by it: values are combined as he sees them.

    Args:
      combine: as in RewardConfig; "first" takes the first network alone.
    """
    if combine == "first":
        return proxy.reward[0], proxy.value[0]
    chosen = dataclasses.replace(options, combine=combine)
    reward, seen_before = (combined(chosen, jnp.asarray(each)) for each in (proxy.reward, -proxy.value))
    return np.asarray(reward), -np.asarray(seen_before)


def in_parts(answer: Callable[[State], Any], states: State) -> Any:
    """What is answered to any number of states [N], asked for in parts of one size: leaves NumPy [N, ...]."""
    count = len(states.terminal)
    size = min(BATCH, count)
    parts = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        parts.append(jax.device_get(answer(jax.tree.map(lambda leaf, rows=rows: jnp.asarray(leaf[rows]), states))))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def _asked(board: Board, visits: np.ndarray, options: RewardConfig, count: int, key: jax.Array) -> Comparisons:
    """So many comparisons, labelled."""
    keys = [jax.random.fold_in(key, purpose) for purpose in range(3)]
    rng = np.random.default_rng(np.asarray(jax.random.key_data(keys[ROWS])))
    rows = drawn(rng, np.where(board.decisive, visits, 0.0), (count,))
    states = jax.tree.map(lambda leaf: jnp.asarray(leaf[rows]), board.states)
    moves = _unequal_moves(rng, board.q[rows], board.legal[rows])
    worth = jnp.asarray(board.q[rows, moves], jnp.float32)
    labels = drawn_labels(options, worth[0], worth[1], keys[LABELS])
    pair = play_lines(board.game, states, jnp.asarray(moves), 1, lambda at, _: at.to_play, keys[MOVES])
    return add_comparisons(board.game, no_comparisons(board.game, options.capacity), pair, labels)


def _unequal_moves(rng: np.random.Generator, q: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """Two legal moves of different exact value in each of M decisive positions, int32 [2, M], each as likely."""
    first = np.where(legal, rng.random(q.shape), -1).argmax(axis=1)
    differ = legal & (q != q[np.arange(len(q)), first][:, None])
    second = np.where(differ, rng.random(q.shape), -1).argmax(axis=1)
    return np.stack([first, second]).astype(np.int32)


def drawn(rng: np.random.Generator, weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows int64 of this shape, each drawn in proportion to its weight float [N]."""
    total = np.cumsum(weight)
    rows: np.ndarray = np.searchsorted(total, rng.random(shape) * total[-1], side="right")
    return np.minimum(rows, len(weight) - 1)
