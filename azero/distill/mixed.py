"""`mixed`: lambda * imitation + (1 - lambda) * reinforcement; and the form of DQfD, with its large margin.

Hester et al.: Deep Q-learning from Demonstrations, 2018, equation 1. There the network's outputs are values of moves:
here VALUE_LOGITS logits stand for one unit of value, learned from M2's approval, and M2's answer is held `margin`
above the others.
"""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import Learner, Loss, Student, cross_entropy_to, make_loss, over_taught
from azero.distill.reinforce import improvement
from azero.network import Network
from azero.replay import Batch

VALUE_LOGITS = 10.0


def imitation_share(config: DistillConfig, iteration: jax.Array) -> jax.Array | float:
    """lambda in this iteration, of which the first is 1."""
    if not config.imitation_half_life:
        return config.imitation_weight
    return config.imitation_weight * 0.5 ** ((iteration - 1) / config.imitation_half_life)


def mixed(config: DistillConfig, network: Network) -> Loss:
    """Cross-entropy to M2's policy beside REINFORCE on its approval."""
    improved = improvement(config, network)

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        assert batch.approval is not None
        share = imitation_share(config, learner.iteration)
        reinforced, extra = improved(learner, batch, student, batch.approval.q, key)
        return share * cross_entropy_to(batch, student) + (1 - share) * reinforced, extra

    return make_loss(config, network, of_policy)


def margin(config: DistillConfig, network: Network) -> Loss:
    """Squared error of the values of moves, and the large margin of M2's answer."""

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        del key
        assert batch.approval is not None
        q = student.logits / VALUE_LOGITS
        share = imitation_share(config, learner.iteration)
        error = jnp.where(batch.legal, jnp.square(q - batch.approval.q), 0.0).sum(axis=-1) / batch.legal.sum(axis=-1)
        answer = batch.policy.argmax(axis=-1)[:, None]
        others = jnp.arange(q.shape[-1]) != answer
        best = jnp.where(batch.legal, q + config.margin * others, -jnp.inf).max(axis=-1)
        missing = best - jnp.take_along_axis(q, answer, axis=-1)[:, 0]
        return over_taught(batch, share * missing + (1 - share) * error), {}

    return make_loss(config, network, of_policy)
