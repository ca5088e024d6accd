"""`visits` and `improved`: cross-entropy to the policy that the search found (AlphaGo Zero, equation 1)."""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import Learner, Lesson, Loss, Student, Teach, cross_entropy_to, entropy, make_loss, over_taught
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
    """KL(policy || pi), which has the gradient of the cross-entropy, with the policy that was kept of M2's answers."""

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        del learner, key
        return cross_entropy_to(batch, student) - over_taught(batch, entropy(batch.policy)), {}

    return make_loss(config, network, of_policy)
