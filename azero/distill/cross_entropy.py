"""`visits` and `improved`: cross-entropy to the policy that the search found (AlphaGo Zero, equation 1)."""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import Learner, Lesson, Loss, Losses, Teach, expectation, log_policy, losses_of, over_taught
from azero.network import Network
from azero.replay import Batch
from azero.search import Amplified
from games.core import State


def visit_distribution(amplified: Amplified, temperature: float) -> jax.Array:
    """The shares of visits to the power 1 / temperature, float32 [B, A]."""
    share = amplified.visits / amplified.visits.max(axis=-1, keepdims=True)
    raised = jnp.where(share > 0, share ** (1 / temperature), 0.0)
    return raised / raised.sum(axis=-1, keepdims=True)


def whole_policy(config: DistillConfig, visits: bool) -> Teach:
    """M2 is asked for its whole distribution: over visits, or Gumbel's improved policy."""

    def teach(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> Lesson:
        del learner, states, key
        return Lesson(visit_distribution(amplified, config.temperature) if visits else amplified.policy)

    return teach


def cross_entropy(config: DistillConfig, network: Network) -> Loss:
    """- sum_a policy(a) log pi(a), with the policy that was kept of M2's answers."""

    def loss(learner: Learner, batch: Batch, key: jax.Array) -> tuple[jax.Array, Losses]:
        del key
        logits, value = network.apply(learner.params, batch.observation)
        logs = log_policy(logits, batch.legal)
        crossed = over_taught(batch, -expectation(batch.policy, logs))
        losses = losses_of(batch, logs, value, crossed)
        losses = losses._replace(policy=losses.kl)
        return crossed + config.value_weight * losses.value, losses

    return loss
