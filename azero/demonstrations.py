"""Demonstrations: game records of somebody, and their imitation, the first line of A <- Distill(H).

Whatever of a record cannot be played is reported and skipped.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from azero.network import Network, Params
from azero.overseers import Demonstrations, Plies, gathered, replayed
from azero.records import read_records
from azero.replay import Batch, Replay, Sample, draw, pack, stored_policy
from games.core import Game, State

logger = logging.getLogger(__name__)

GAMES_AT_ONCE = 256
ROWS_AT_ONCE = 1024  # positions packed or judged in one call
MOST_JUDGED = 4096  # held-out positions that are judged
CHECKS = 20  # times that the held-out loss is measured
PATIENCE = 5  # measurements without a better one that end the imitation


@dataclasses.dataclass(frozen=True)
class CloneConfig:
    """Imitation of demonstrations."""

    steps: int = 2000
    """Gradient steps at the most."""
    batch: int = 256
    """Positions in one gradient step."""
    learning_rate: float = 1e-3
    """AdamW's, at first; it falls to 0 by a cosine."""


class CloneReport(NamedTuple):
    """What came of an imitation. Accuracy: share of held-out positions in which the network's first move was made."""

    games: int
    positions: int
    skipped: int  # games that could not be read
    held_out_games: int
    held_out_positions: int  # that were judged
    steps: int  # gradient steps of the parameters with the least held-out loss, which are kept
    accuracy_before: float
    accuracy_after: float
    loss_before: float  # held-out: cross-entropy, nats, and squared error of the value
    loss_after: float


def read_games(game: Game, path: str | Path) -> Demonstrations:
    """The games of a file, whose format its name tells (azero.records).

    The outcome is the one that the record tells, else that of the rules, else unknown. A game that cannot be read or
    that holds an illegal move is left out, with a warning that names the line and the reason.

    Raises:
      ValueError: one line: the file cannot be opened, holds no game that can be read, or is of a format
        that does not fit the game or that needs an extra.
    """
    found = read_records(game, path := Path(path))
    if not found:
        raise ValueError(f"{path} holds no game")
    readable = [record for record in found if not record.problem]
    problems = [(record.line, record.problem) for record in found if record.problem]
    played: list[Plies] = []
    bad: dict[int, tuple[int, str]] = {}  # by number of the game: ply and reason
    for start in range(0, len(readable), GAMES_AT_ONCE):
        made, wrong = replayed(game, [record.moves for record in readable[start : start + GAMES_AT_ONCE]], start)
        played, bad = played + made, bad | wrong
    problems += [(readable[number].lines[ply], f"move {ply + 1}: {why}") for number, (ply, why) in bad.items()]
    problems.sort()
    if len(problems) == len(found):
        first = f"line {problems[0][0]}: {problems[0][1]}"
        raise ValueError(f"{path}: none of its {len(found)} games can be read; {first}")
    for line, reason in problems:
        logger.warning("%s: line %d: %s; this game is left out", path, line, reason)
    told = np.array([record.result for record in readable], np.float32)
    return gathered(played, told, without=list(bad), skipped=len(problems))


def imitate(
    network: Network, params: Params, game: Game, shown: Demonstrations, config: CloneConfig, key: jax.Array
) -> tuple[Params, CloneReport]:
    """Cross-entropy on the moves shown and squared error to the outcomes known, each position under a random symmetry.

    A tenth of the games is held out, and the parameters with the least loss on it are returned.

    Args:
      params: to begin with; they are not used up.

    Raises:
      ValueError: there are fewer than two games, or a number in the config is not above 0.
    """
    for field in dataclasses.fields(config):
        if not 0 < getattr(config, field.name) < np.inf:
            raise ValueError(f"imitation's {field.name} must be above 0, not {getattr(config, field.name)}")
    games = int(shown.games[-1]) + 1
    if games < 2:
        raise ValueError("imitation needs 2 games or more, for it holds some out, and there is 1")
    held_key, key = jax.random.split(key)
    held_games = np.asarray(jax.random.permutation(held_key, games))[: max(1, round(games / 10))]
    held = np.isin(shown.games, held_games)
    judged = np.flatnonzero(held)[:: -(-int(held.sum()) // MOST_JUDGED)]
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-4))
    store = _store(game, shown, np.flatnonzero(~held))
    learn = _learner(network, game, store, optimizer, config.batch, key)
    judge = _judge(network, list(_batches(game, shown, judged)))
    first = best = judge(params)
    kept, kept_step = params, 0
    moments = optimizer.init(params)
    every = max(1, config.steps // CHECKS)
    for step in range(1, config.steps + 1):
        params, moments = learn(params, moments, step)
        if step % every == 0 or step == config.steps:
            if (now := judge(params))[0] < best[0]:
                best, kept, kept_step = now, params, step
            elif step - kept_step >= PATIENCE * every:
                break
    sizes = games, len(shown.actions), shown.skipped, len(held_games), len(judged), kept_step
    return kept, CloneReport(*sizes, first[1], best[1], first[0], best[0])


def _learner(
    network: Network, game: Game, store: Sample, optimizer: optax.GradientTransformation, batch: int, key: jax.Array
) -> Callable[[Params, optax.OptState, int], tuple[Params, optax.OptState]]:
    """One gradient step: params, moments, its number -> params, moments."""
    rows = len(store.value)
    replay = Replay(store, jnp.zeros(1, jnp.int32), jnp.full(1, rows, jnp.int32))

    def loss(params: Params, drawn: Batch) -> jax.Array:
        policy, value, known, _ = _errors(network, params, drawn)
        return policy.mean() + value.sum() / jnp.maximum(known.sum(), 1)

    @jax.jit
    def learn(params: Params, moments: optax.OptState, step: jax.Array, replay: Replay) -> tuple[Params, Any]:
        drawn = draw(replay, game, jnp.int32(rows), batch, jax.random.fold_in(key, step))
        steps, moments = optimizer.update(jax.grad(loss)(params, drawn), moments, params)
        return optax.apply_updates(params, steps), moments

    return lambda params, moments, step: learn(params, moments, jnp.int32(step), replay)


def _judge(network: Network, batches: Sequence[Batch]) -> Callable[[Params], tuple[float, float]]:
    """Params -> loss and accuracy over all of the batches."""
    errors = jax.jit(functools.partial(_errors, network))

    def judge(params: Params) -> tuple[float, float]:
        parts = [jax.device_get(errors(params, batch)) for batch in batches]
        policy, value, known, hits = (np.concatenate(part) for part in zip(*parts, strict=True))
        return float(policy.mean() + value.sum() / max(known.sum(), 1)), float(hits.mean())

    return judge


def _errors(network: Network, params: Params, batch: Batch) -> tuple[jax.Array, ...]:
    """Of each position: cross-entropy, squared error of the value (0 where not known), known, first move made."""
    logits, value = network.apply(params, batch.observation)
    logits = jnp.where(batch.legal, logits, jnp.finfo(jnp.float32).min)
    cross_entropy = -jnp.where(batch.policy > 0, batch.policy * jax.nn.log_softmax(logits), 0.0).sum(-1)
    known = ~jnp.isnan(batch.value)
    error = jnp.square(value - jnp.where(known, batch.value, value))
    return cross_entropy, error, known, logits.argmax(-1) == batch.policy.argmax(-1)


def _batches(game: Game, shown: Demonstrations, rows: np.ndarray) -> Iterator[Batch]:
    """Some of the positions, ROWS_AT_ONCE at a time, each with all its weight on the move made."""
    observe = jax.jit(jax.vmap(game.observe))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        states: State = jax.tree.map(lambda leaf, part=part: leaf[part], shown.states)
        policy = jax.nn.one_hot(shown.actions[part], game.num_actions)
        yield Batch(observe(states), jnp.asarray(states.legal), policy, jnp.asarray(shown.outcome[part]))


def _store(game: Game, shown: Demonstrations, rows: np.ndarray) -> Sample:
    """Some of the positions, as `draw` takes them."""
    bits = jax.jit(jax.vmap(functools.partial(pack, game)))
    parts = [
        Sample(bits(batch.observation, batch.legal), *stored_policy(batch.policy, 1), batch.value)
        for batch in _batches(game, shown, rows)
    ]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
