"""`best_answer`: toward X*, the answer that M2 approves of most.

The literal form, grad p(X*), is p(X*) grad log p(X*): the expected REINFORCE gradient with reward 1 for X* and 0 for
all else. Where p(X*) is small it hardly moves; the log form, grad log p(X*), does not wait.
"""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import Learner, Lesson, Loss, Student, Teach, expectation, make_loss, over_taught
from azero.network import Network
from azero.replay import Batch
from azero.search import Amplified
from games.core import State


def best(amplified: Amplified, legal: jax.Array) -> jax.Array:
    """X*, int32 [B]: the legal move of the highest approval; of equal ones the most visited, then the first."""
    q = jnp.where(legal, amplified.q, -jnp.inf)
    top = q == q.max(axis=-1, keepdims=True)
    return jnp.where(top, amplified.visits, -1).argmax(axis=-1)


def best_answer() -> Teach:
    """M2 is asked for X* alone."""

    def teach(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> Lesson:
        del learner, key
        return Lesson(jax.nn.one_hot(best(amplified, states.legal), amplified.q.shape[-1]))

    return teach


def literal(config: DistillConfig, network: Network) -> Loss:
    """- p(X*)."""

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        del learner, key
        return over_taught(batch, -expectation(batch.policy, jnp.exp(student.logs))), {}

    return make_loss(config, network, of_policy)
