"""`visits` and `improved`: cross-entropy to the policy that the search found (AlphaGo Zero, equation 1)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.network import Network, Params
from azero.replay import Batch


class Losses(NamedTuple):
    """Means over a batch, float32 []; those of the policy over the positions with a policy target, 0 if none has."""

    policy: jax.Array  # KL divergence of the network's policy from the target, nats
    value: jax.Array  # squared error
    entropy: jax.Array  # of the target, nats


def distill_loss(config: DistillConfig, network: Network, params: Params, batch: Batch) -> tuple[jax.Array, Losses]:
    """The loss of one batch and its parts. Illegal moves get no probability and no gradient."""
    logits, value = network.apply(params, batch.observation)
    log_policy = jax.nn.log_softmax(jnp.where(batch.legal, logits, jnp.finfo(jnp.float32).min))
    taught = jnp.maximum(batch.policy.any(-1).sum(), 1)
    cross_entropy = -jnp.where(batch.policy > 0, batch.policy * log_policy, 0.0).sum() / taught
    entropy = jax.scipy.special.entr(batch.policy).sum() / taught
    value_error = jnp.square(value - batch.value).mean()
    return cross_entropy + config.value_weight * value_error, Losses(cross_entropy - entropy, value_error, entropy)
