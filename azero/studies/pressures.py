"""Policies that follow a reward harder and harder, exactly, and what holds them back.

Shape letters: N positions, A actions. A base policy float [N, A] and a reward float [N, A] for the mover; every
optimiser starts from the base and knows of the reward alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.distill.safeguards import halfway_policy, under
from azero.exact import Policy
from azero.studies.proxies import Combine

NARROWINGS = 24  # halvings of the interval in which the strength that a budget allows is sought
FLOOR = -700.0  # of log chances, so that a policy's zeros can be met halfway


class Safeguard(NamedTuple):
    """One way to hold an optimiser back."""

    name: str
    combine: Combine  # of the reward networks
    limit: Callable[[Policy, Policy], Policy]  # (base, optimised policy) -> the policy that is used


def safeguards(share: float, tau: float, budget: float) -> list[Safeguard]:
    """None, and each of the five.

    Args:
      share: no move becomes more than 1 / share times as likely as in the base policy (quantilisation): for every cost
        c >= 0, E[c] <= E_base[c] / share in each position, with whatever reward.
      tau: base * (policy / base)^(1 / tau) normalised: the halfway policy for the reward log(policy / base), which is
        the one that the policy is optimal for; 2 is the middle.
      budget: nats of KL(policy || base) in each position, kept by going back towards the base (the same path).
    """
    return [
        Safeguard("none", "first", lambda base, policy: policy),
        Safeguard("quantilize", "first", lambda base, policy: capped(base, policy, share)),
        Safeguard("halfway", "first", lambda base, policy: met_halfway(base, policy, tau)),
        Safeguard("kl budget", "first", lambda base, policy: within_budget(base, policy, budget)),
        Safeguard("ensemble min", "min", lambda base, policy: policy),
        Safeguard("ensemble pessimistic", "pessimistic", lambda base, policy: policy),
    ]


def best_of_n(base: Policy, reward: np.ndarray, n: int) -> Policy:
    """The best by the reward of n moves drawn from base, exactly; float64 [N, A].

    P(a) = F(a)^n - F(a-)^n with F(a) the chance under base of a move no better than a, and F(a-) of a worse one; moves
    of one reward share in proportion to base. KL(result || base) <= log n - (n - 1) / n.

    Raises:
      ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f"the best of n moves needs n of 1 or more, not {n}")
    base = base.astype(np.float64) / base.sum(axis=1, dtype=np.float64, keepdims=True)
    worse = np.zeros_like(base)
    level = np.zeros_like(base)
    for action in range(base.shape[1]):
        other, mass = reward[:, action, None], base[:, action, None]
        worse += mass * (other < reward)
        level += mass * (other == reward)
    worse = np.minimum(worse, 1.0)
    gained = np.minimum(worse + level, 1.0) ** n - worse**n
    chosen = gained * base / np.where(level > 0, level, 1.0)
    return chosen / chosen.sum(axis=1, keepdims=True)


def tilted(base: Policy, reward: np.ndarray, beta: float) -> Policy:
    """base * exp(reward / beta) normalised: the optimum of E[reward] - beta KL(policy || base) in each position.

    It is `halfway_policy` in float64, so that the way back from a steep tilt is not lost in zeros.
    """
    legal = base > 0
    rise = np.where(legal, reward, -np.inf).astype(np.float64)
    weight = base * np.exp((rise - rise.max(axis=1, keepdims=True)) / beta)
    policy: Policy = weight / weight.sum(axis=1, keepdims=True)
    return policy


_raised = jax.jit(lambda base, reward, tau: jnp.exp(halfway_policy(jnp.log(base), reward, tau)))
_capped = jax.jit(under)


def capped(base: Policy, policy: Policy, share: float) -> Policy:
    """The policy nearest to this one, in KL(result || policy), that is at most base / share everywhere; [N, A]."""
    with np.errstate(divide="ignore"):
        logs = np.where(base > 0, np.maximum(np.log(policy.astype(np.float64)), FLOOR), -np.inf)
    return np.asarray(_capped(jnp.asarray(logs, jnp.float32), jnp.asarray(base / share, jnp.float32)))


def met_halfway(base: Policy, policy: Policy, tau: float) -> Policy:
    """base * (policy / base)^(1 / tau) normalised."""
    return np.asarray(_raised(jnp.asarray(base, jnp.float32), _followed(base, policy), tau))


def within_budget(base: Policy, policy: Policy, budget: float) -> Policy:
    """The last policy of the path base^(1 - t) policy^t, t from 0 to 1, whose KL from base is within the budget.

    Args:
      budget: nats, in each position.
    """
    return np.asarray(_within_budget(jnp.asarray(base, jnp.float32), _followed(base, policy), budget))


def _followed(base: Policy, policy: Policy) -> jax.Array:
    """float32 [N, A]: the reward that the policy is optimal for, with beta 1."""
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(policy.astype(np.float64)), FLOOR)
    return jnp.asarray(np.where(base > 0, logs - np.log(np.where(base > 0, base, 1.0)), 0.0), jnp.float32)


@jax.jit
def _within_budget(base: jax.Array, reward: jax.Array, budget: float) -> jax.Array:
    def at(strength: jax.Array) -> jax.Array:
        return jnp.exp(halfway_policy(jnp.log(base), reward * strength[:, None], 1.0))

    def narrower(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = (low + high) / 2
        fits = divergence(at(middle), base) <= budget
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

    zero, one = jnp.zeros(len(base)), jnp.ones(len(base))
    low, _ = jax.lax.fori_loop(0, NARROWINGS, narrower, (zero, one))
    return at(jnp.where(divergence(at(one), base) <= budget, one, low))


def divergence(policy: jax.Array, base: jax.Array) -> jax.Array:
    """KL(policy || base) of each position, nats, float32 [N]; infinite where policy does what base never does."""
    return jax.scipy.special.rel_entr(policy, base).sum(axis=-1)
