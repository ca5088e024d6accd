"""Safeguards: how far a policy may follow a reward, measured from a base policy.

kl        a penalty beta * KL(pi || base), whose optimum is base * exp(reward / beta) normalised; or beta follows a
target quantilize  the q-quantilizer: base's own mass, from the best moves down, until a share q is taken (Taylor
2016) halfway     the policy proportional to pi * exp(reward / tau), from which the student is never far Both targets
at once: what lies nearest to the halfway policy among those that no cost can make 1 / q times as bad as base.
"""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig

RATE = 0.01  # of the weight of the penalty, for a step in which the divergence is twice its target


def quantilizer(base: jax.Array, reward: jax.Array, share: float) -> jax.Array:
    """The best `share` of the mass of base, float32 [M, A].

    For every cost c >= 0, E[c] <= E_base[c] / share, and KL(result || base) <= log(1 / share). Moves of equal reward
    at the border are taken in proportion to base.

    Args:
      base: float32 [M, A], sums to 1; illegal moves have 0.
      reward: float32 [M, A].
      share: above 0, at most 1.
    """

    def one(base: jax.Array, reward: jax.Array) -> jax.Array:
        order = jnp.argsort(-reward)
        falling = -reward[order]
        mass = jnp.concatenate([jnp.zeros(1), jnp.cumsum(base[order])])
        above = mass[jnp.searchsorted(falling, -reward, side="left")]
        down_to = mass[jnp.searchsorted(falling, -reward, side="right")]
        level = jnp.maximum(down_to - above, jnp.finfo(jnp.float32).tiny)
        return base * jnp.clip((share - above) / level, 0.0, 1.0)

    taken = jax.vmap(one)(base, reward)
    return taken / jnp.maximum(taken.sum(axis=-1, keepdims=True), jnp.finfo(jnp.float32).tiny)


def halfway_policy(policy: jax.Array, reward: jax.Array, tau: float) -> jax.Array:
    """policy * exp(reward / tau) normalised, float32 [M, A]."""
    return jax.nn.softmax(jnp.log(policy) + jnp.where(policy > 0, reward, 0.0) / tau)


def under(target: jax.Array, cap: jax.Array) -> jax.Array:
    """The distribution nearest to target, in KL(result || target), that is at most cap [M, A] everywhere.

    It is min(c * target, cap) with the c that makes it sum to 1. The cap sums to 1 or more.
    """

    def one(target: jax.Array, cap: jax.Array) -> jax.Array:
        reach = jnp.where(target > 0, cap / jnp.where(target > 0, target, 1.0), jnp.inf)  # c at which a move is full
        order = jnp.argsort(reach)
        full = jnp.concatenate([jnp.zeros(1), jnp.cumsum(cap[order])])
        rest = jnp.concatenate([jnp.cumsum(target[order][::-1])[::-1], jnp.zeros(1)])
        scale = (1 - full) / jnp.where(rest > 0, rest, 1.0)
        limit = jnp.concatenate([reach[order], jnp.full(1, jnp.inf)])
        fits = (scale <= limit) & (scale >= 0) & (rest > 0)
        chosen = scale[jnp.argmax(fits)]
        return jnp.where(fits.any(), jnp.minimum(chosen * target, cap), cap / jnp.maximum(cap.sum(), 1e-30))

    found = jax.vmap(one)(target, cap)
    return found / found.sum(axis=-1, keepdims=True)


def safe_target(config: DistillConfig, policy: jax.Array, reward: jax.Array, base: jax.Array) -> jax.Array | None:
    """The policy that is distilled under `quantilize` and `halfway`, float32 [M, A]; None where both are off.

    Args:
      policy: the student's.
      reward: float32 [M, A], for the mover.
      base: the imitation policy.
    """
    if config.halfway:
        target = halfway_policy(policy, reward, config.halfway)
        return under(target, base / config.quantilize) if config.quantilize else target
    return quantilizer(base, reward, config.quantilize) if config.quantilize else None


def next_weight(config: DistillConfig, weight: jax.Array, divergence: jax.Array) -> jax.Array:
    """The weight of the penalty after a step: up where KL(pi || base) is above its target, down where it is below."""
    error = jnp.clip(divergence / config.kl_target - 1, -1.0, 1.0)
    return jnp.clip(weight * jnp.exp(RATE * error), 1e-4, 1e2)
