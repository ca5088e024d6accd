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


def halfway_policy(logs: jax.Array, reward: jax.Array, tau: float) -> jax.Array:
    """The logarithm of pi * exp(reward / tau) normalised, float32 [M, A], from that of pi."""
    return jax.nn.log_softmax(logs + reward / tau)


def under(logs: jax.Array, cap: jax.Array) -> jax.Array:
    """The distribution nearest to a target, in KL(result || target), that is at most cap [M, A] everywhere.

    It is min(c * target, cap) with the c that makes it sum to 1. The cap sums to 1 or more, or is 0 and so the result.

    Args:
      logs: of the target [M, A]; however unlikely its moves are, their shares of what the cap leaves count.
    """

    def one(logs: jax.Array, cap: jax.Array) -> jax.Array:
        reach = jnp.where(
            cap > 0, jnp.log(jnp.where(cap > 0, cap, 1.0)) - logs, -jnp.inf
        )  # log c at which a move is full
        order = jnp.argsort(reach)
        full = jnp.concatenate([jnp.zeros(1), jnp.cumsum(cap[order])])[:-1]
        rest = jax.lax.cumlogsumexp(logs[order], reverse=True)
        scale = jnp.log(jnp.maximum(1 - full, jnp.finfo(jnp.float32).tiny)) - rest
        fits = scale <= reach[order] + 1e-6
        chosen = jnp.where(fits.any(), scale[jnp.argmax(fits)], jnp.inf)
        return jnp.where(cap > 0, jnp.exp(jnp.minimum(chosen, reach) + logs), 0.0)

    found = jax.vmap(one)(logs, cap)
    return found / jnp.maximum(found.sum(axis=-1, keepdims=True), jnp.finfo(jnp.float32).tiny)


def safe_target(config: DistillConfig, logs: jax.Array, reward: jax.Array, base: jax.Array) -> jax.Array | None:
    """The policy that is distilled under `quantilize` and `halfway`, float32 [M, A]; None where both are off.

    Args:
      logs: log pi float32 [M, A] of the student.
      reward: float32 [M, A], for the mover.
      base: the imitation policy.
    """
    if config.halfway:
        target = halfway_policy(logs, reward, config.halfway)
        return under(target, base / config.quantilize) if config.quantilize else jnp.exp(target)
    return quantilizer(base, reward, config.quantilize) if config.quantilize else None


def next_weight(config: DistillConfig, weight: jax.Array, divergence: jax.Array) -> jax.Array:
    """The weight of the penalty after a step: up where KL(pi || base) is above its target, down where it is below."""
    error = jnp.clip(divergence / config.kl_target - 1, -1.0, 1.0)
    return jnp.clip(weight * jnp.exp(RATE * error), 1e-4, 1e2)
