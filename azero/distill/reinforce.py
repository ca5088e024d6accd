"""`reinforce`: answers drawn from the student, M2's approval of them as the reward (REINFORCE, Williams 1992).

There is no episode: a position is a question, a move the whole answer, so this is a contextual bandit. All kinds
that follow a reward share `improvement`, with its baselines and safeguards.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import (
    RARE,
    Amplifier,
    Learner,
    Lesson,
    Loss,
    Losses,
    Models,
    Student,
    Teach,
    expectation,
    log_policy,
    make_loss,
    over_taught,
)
from azero.distill.safeguards import next_weight, safe_target
from azero.network import Network, Params
from azero.replay import Batch
from azero.search import Amplified
from games.core import Game, State, value_before

Approve = Callable[[Learner, State, jax.Array], jax.Array]
# (learner, states [B], key) -> how good each move is, float32 [B, A], for the mover; 0 where illegal


def approved(approve: Approve | None = None) -> Teach:
    """M2 is asked how good each move is; its policy is kept beside, for the safeguards."""

    def teach(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> Lesson:
        return Lesson(amplified.policy, approve(learner, states, key) if approve else amplified.q)

    return teach


def fresh_approval(game: Game, amplify: Amplifier) -> Approve:
    """A search of each position after a move: approval that owes nothing to the tree it came from, A times the cost."""

    def approve(learner: Learner, states: State, key: jax.Array) -> jax.Array:
        count, actions = states.legal.shape
        step_key, search_key = jax.random.split(key)
        keys = jax.random.split(step_key, count)

        def ask(action: jax.Array) -> jax.Array:
            after = jax.vmap(game.step, in_axes=(0, None, 0))(states, action, keys)
            value = amplify(learner, after, jax.random.fold_in(search_key, action)).value
            return value_before(after.reward, after.discount, value)

        q = jax.lax.map(ask, jnp.arange(actions)).T
        return jnp.where(states.legal, q, 0.0)

    return approve


def baseline(config: DistillConfig, reward: jax.Array, value: jax.Array, search_value: jax.Array) -> jax.Array:
    """What is taken from rewards float32 [M, k] of drawn answers; none of it depends on the answer it is taken from.

    Args:
      value, search_value: float32 [M], the student's and M2's value of the position.
    """
    if config.baseline == "value":
        return value[:, None]
    if config.baseline == "search_value":
        return search_value[:, None]
    if config.baseline == "mean":  # of the other positions
        rows, answers = reward.shape
        return (reward.sum() - reward.sum(axis=1, keepdims=True)) / max((rows - 1) * answers, 1)
    if config.baseline == "leave_one_out":
        return (reward.sum(axis=1, keepdims=True) - reward) / (reward.shape[1] - 1)
    return jnp.zeros((1, 1))


def score(
    config: DistillConfig, logs: jax.Array, reward: jax.Array, value: jax.Array, search_value: jax.Array, key: jax.Array
) -> jax.Array:
    """A loss float32 [M] whose gradient is that of - E_pi[reward], exactly or as REINFORCE estimates it.

    Args:
      logs: log pi float32 [M, A].
      reward: float32 [M, A], for the mover.
    """
    if config.baseline == "all_actions":
        return -expectation(jnp.exp(logs), reward)
    rows = jnp.arange(logs.shape[0])[:, None]
    drawn = jax.random.categorical(key, logs, axis=-1, shape=(config.answers, logs.shape[0])).T
    found = reward[rows, drawn]
    advantage = jax.lax.stop_gradient(found - baseline(config, found, value, search_value))
    return -(advantage * logs[rows, drawn]).mean(axis=1)


def reference_policy(policy: jax.Array, legal: jax.Array) -> jax.Array:
    """The imitation policy [M, A] with no legal move below RARE, so that no divergence from it is infinite."""
    floored = jnp.where(legal, jnp.maximum(policy, RARE), 0.0)
    return floored / floored.sum(axis=-1, keepdims=True)


Improve = Callable[[Learner, Batch, Student, jax.Array, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
# (learner, batch, student, reward float32 [M, A] for the mover, key) -> loss of the policy, and what to report of it


def improvement(config: DistillConfig, network: Network) -> Improve:
    """The loss of the policy under a reward, with its safeguards."""

    def improve(
        learner: Learner, batch: Batch, student: Student, reward: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        logs = student.logs
        policy = jnp.exp(logs)
        still = jax.lax.stop_gradient(policy)
        base = base_policy(config, network, learner.models, batch)
        target = safe_target(config, jax.lax.stop_gradient(logs), reward, base)
        value = jax.lax.stop_gradient(student.value)
        search_value = batch.value if batch.approval is None else batch.approval.value
        if target is None:
            followed = over_taught(batch, score(config, logs, reward, value, search_value, key))
        else:
            followed = over_taught(batch, -expectation(jax.lax.stop_gradient(target), logs))
        near = reference_policy(base, batch.legal)
        divergence = over_taught(batch, expectation(policy, logs - jnp.log(jnp.where(batch.legal, near, 1.0))))
        spread = over_taught(batch, -expectation(policy, logs))
        extra = {
            "reward": over_taught(batch, expectation(still, reward)),
            "reference_kl": divergence,
            "policy_entropy": spread,
        }
        # An addend of weight 0 is left out, for its gradient would still be computed.
        loss = followed - config.entropy * spread if config.entropy else followed
        return loss + penalty(config, learner.models) * divergence if config.kl else loss, extra

    return improve


def penalty(config: DistillConfig, models: dict[str, Any] | None) -> jax.Array | float:
    """The weight of KL(pi || base) as it now stands."""
    return models["kl"] if config.kl_target and models is not None else config.kl or 0.0


def base_policy(config: DistillConfig, network: Network, models: dict[str, Any] | None, batch: Batch) -> jax.Array:
    """The imitation policy of a batch, float32 [M, A]: M2's, or that of the network the run began with."""
    if config.reference == "start":
        assert models is not None
        logits, _ = network.apply(models["start"], batch.observation)
        return jnp.exp(log_policy(logits, batch.legal))
    return batch.policy


def asked_for_safeguards(config: DistillConfig) -> dict[str, float]:
    """What of M2 is asked for a position so that there is an imitation policy."""
    used = config.kl or config.quantilize
    return {"distributions": 1.0} if used and config.reference == "search" else {}


def safeguard_models(config: DistillConfig) -> Any:
    """init: (params, key) -> what the safeguards carry along."""

    def init(params: Params, key: jax.Array) -> dict[str, Any]:
        del key
        models: dict[str, Any] = {}
        if config.kl_target:
            models["kl"] = jnp.float32(config.kl)
        if config.reference == "start":
            models["start"] = jax.tree.map(jnp.copy, params)
        return models

    return init


def safeguard_update(config: DistillConfig) -> Any:
    """The step of what the safeguards carry along; None if nothing moves."""
    if not config.kl_target:
        return None

    def update(learner: Learner, batch: Batch, losses: Losses, key: jax.Array, mean: Any) -> tuple[Models, dict]:
        del batch, key, mean
        weight = next_weight(config, learner.models["kl"], losses.extra["reference_kl"])
        return learner.models | {"kl": weight}, {"kl_weight": weight}

    return update


def reinforce(config: DistillConfig, network: Network) -> Loss:
    """Follows M2's approval."""
    improved = improvement(config, network)

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        assert batch.approval is not None
        return improved(learner, batch, student, batch.approval.q, key)

    return make_loss(config, network, of_policy)
