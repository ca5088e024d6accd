"""`outcome`: the baseline without amplification: an actor-critic on the results of games, and no search in training.

The student plays against itself with moves drawn from its own policy. The advantage of a move is the TD(lambda) return
less the student's value (targets.value_lambda); the gradient is PPO's (Schulman et al. 2017, equation 7), for the few
steps that an iteration's games are learned from.
"""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import (
    Amplifier,
    Learner,
    Lesson,
    Loss,
    Student,
    Teach,
    expectation,
    log_policy,
    make_loss,
    over_taught,
)
from azero.network import Network
from azero.replay import Batch
from azero.search import Amplified
from games.core import Game, State


def own_answer(game: Game, network: Network) -> Amplifier:
    """M2 is M1: a move drawn from the network's policy."""

    def answer(learner: Learner, states: State, key: jax.Array) -> Amplified:
        logits, value = network.apply(learner.params, jax.vmap(game.observe)(states))
        logs = log_policy(logits, states.legal)
        action = jax.random.categorical(key, logs).astype(jnp.int32)
        visits = jax.nn.one_hot(action, game.num_actions, dtype=jnp.int32)
        q = jnp.where(states.legal, value[:, None], 0.0)
        return Amplified(action, jnp.exp(logs), visits, q, value)

    return answer


def own_policy() -> Teach:
    """The policy that the moves were drawn from; nobody is asked for anything."""

    def teach(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> Lesson:
        del learner, states, key
        return Lesson(amplified.policy, amplified.q)

    return teach


def outcome(config: DistillConfig, network: Network) -> Loss:
    """The clipped policy gradient of the moves made; moves of random openings teach no policy."""

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        del learner, key
        assert batch.approval is not None
        logs = student.logs
        made = jnp.maximum(batch.approval.action, 0)[:, None]
        old = jnp.take_along_axis(batch.policy, made, axis=-1)[:, 0]
        ratio = jnp.exp(jnp.take_along_axis(logs, made, axis=-1)[:, 0]) / jnp.maximum(old, jnp.finfo(jnp.float16).tiny)
        advantage = batch.value - jax.lax.stop_gradient(student.value)
        clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
        gained = jnp.minimum(ratio * advantage, clipped * advantage)
        own = batch.approval.action >= 0
        spread = over_taught(batch, -expectation(jnp.exp(logs), logs))
        policy = -jnp.where(own, gained, 0.0).sum() / jnp.maximum(own.sum(), 1) - config.entropy * spread
        return policy, {"policy_entropy": spread}

    return make_loss(config, network, of_policy)
