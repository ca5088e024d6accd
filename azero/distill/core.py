"""What a way to distil is: a record of pure functions.

M1 is the network, M2 the model amplified from it. A question is a position, an answer a move, approval what M2 thinks
of an answer. Every kind learns values in the same way; kinds differ in what they ask of M2 and in how the policy
learns from what it says.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from azero.config import DistillConfig, SearchConfig
from azero.network import Network, Params
from azero.replay import Batch
from azero.search import Amplified, Cache
from games.core import State

Models = Any  # what a kind learns beside the policy-value network, a pytree; None where it learns nothing else
NO_LOGIT = jnp.finfo(jnp.float32).min  # of an illegal move
RARE = 1e-4  # a reference gives every legal move at least this chance, so that no divergence is infinite


class Learner(NamedTuple):
    """All that self-play may look at."""

    params: Params
    models: Models
    iteration: jax.Array  # int32 [], iterations finished
    cache: Cache | None = None  # what the network has said in this iteration, for an M2 that makes use of it


class Lesson(NamedTuple):
    """What is kept of the answers to B positions."""

    policy: jax.Array  # float32 [B, A], what M2 would answer, as far as it was asked; sums to 1
    approval: jax.Array | None = None  # float32 [B, A], how good M2 finds each move, for the mover


class Losses(NamedTuple):
    """Means over a batch, float32 []; those of the policy over the positions that teach one, 0 if none does."""

    policy: jax.Array  # the kind's own loss of the policy; of cross-entropies the KL divergence from the target, nats
    value: jax.Array  # squared error
    entropy: jax.Array  # of M2's policy as it was kept, nats
    kl: jax.Array  # KL(M2 || M1) of the same, nats
    extra: dict[str, jax.Array]  # what this kind has to say besides


class Student(NamedTuple):
    """What M1 says of a batch."""

    logits: jax.Array  # float32 [M, A]
    logs: jax.Array  # log pi, float32 [M, A]
    value: jax.Array  # float32 [M], for the player to move


Amplifier = Callable[[Learner, State, jax.Array], Amplified]  # (learner, states [B], key) -> M2's answers
Amplifiers = Callable[[SearchConfig, bool], Amplifier]  # (search, explore) -> M2
Teach = Callable[[Learner, State, Amplified, jax.Array], Lesson]
Act = Callable[[Learner, State, Amplified, jax.Array], jax.Array]  # (learner, states, answers, key) -> moves int32 [B]
Loss = Callable[[Learner, Any, jax.Array], tuple[jax.Array, Losses]]  # (learner, a batch of its store, key)
Mean = Callable[[Any], Any]  # the mean of a pytree over all devices
NewCache = Callable[[State], Cache | None]  # games in flight [B] -> an empty cache for an iteration of self-play
OfPolicy = Callable[[Learner, Batch, "Student", jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
# (learner, batch, what the student says of it, key) -> the loss of the policy, float32 [], and what to report besides
Update = Callable[[Learner, Batch, Losses, jax.Array, Mean], tuple[Models, dict[str, jax.Array]]]
# (learner after its step, the batch, its losses, key, mean) -> the models after theirs, and metrics
Gather = Callable[[Learner, State, jax.Array], tuple[Models, dict[str, jax.Array]]]
# (learner, the games in flight [B], key), once an iteration on the host -> models, and metrics


class Cost(NamedTuple):
    """What a kind spends beside self-play's search and the network's gradient steps, in evaluations of the network."""

    position: float = 0.0  # for a position of self-play
    sample: float = 0.0  # for a position of a gradient step
    iteration: float = 0.0


class Distiller(NamedTuple):
    """One way to learn from the amplified model."""

    amplifier: Amplifiers
    teach: Teach
    loss: Loss
    act: Act | None = None  # who moves in self-play; None is M2
    init: Callable[[Params, jax.Array], Models] = lambda params, key: None
    update: Update | None = None
    gather: Gather | None = None
    cache: NewCache = lambda states: None
    approves: bool = False  # its lessons have approvals
    newest_only: bool = False  # learns from the games of the newest iteration alone
    searches: bool = True  # M2 is a search of `search.simulations`; else the network's own answer
    cost: Cost = Cost()
    oversight: Mapping[str, float] = MappingProxyType(
        {}
    )  # what is asked of M2 for a position of self-play, by kind of answer


def log_policy(logits: jax.Array, legal: jax.Array) -> jax.Array:
    """log pi float32 [M, A] from logits [M, A]: illegal moves get no probability, and no gradient."""
    return jax.nn.log_softmax(jnp.where(legal, logits, NO_LOGIT))


def expectation(weights: jax.Array, values: jax.Array) -> jax.Array:
    """sum_a weights * values, float32 [M]; what has no weight counts for nothing, be it infinite."""
    return jnp.where(weights > 0, weights * values, 0.0).sum(axis=-1)


def entropy(policy: jax.Array) -> jax.Array:
    """Of distributions [M, A], nats, float32 [M]."""
    return jax.scipy.special.entr(policy).sum(axis=-1)


def over_taught(batch: Batch, rows: jax.Array) -> jax.Array:
    """The mean of float32 [M] over the positions of a batch that teach the policy; 0 if none does."""
    taught = batch.policy.any(axis=-1)
    return jnp.where(taught, rows, 0.0).sum() / jnp.maximum(taught.sum(), 1)


def make_loss(config: DistillConfig, network: Network, of_policy: OfPolicy) -> Loss:
    """A kind's loss: of its policy, and the squared error of the values, which is the same for all."""

    def loss(learner: Learner, batch: Batch, key: jax.Array) -> tuple[jax.Array, Losses]:
        logits, value = network.apply(learner.params, batch.observation)
        logs = log_policy(logits, batch.legal)
        policy, extra = of_policy(learner, batch, Student(logits, logs, value), key)
        losses = losses_of(batch, logs, value, policy, extra)
        return policy + config.value_weight * losses.value, losses

    return loss


def cross_entropy_to(batch: Batch, student: Student) -> jax.Array:
    """- sum_a policy(a) log pi(a) with the policy kept of M2's answers, float32 []."""
    return over_taught(batch, -expectation(batch.policy, student.logs))


def losses_of(
    batch: Batch, logs: jax.Array, value: jax.Array, policy: jax.Array, extra: dict[str, jax.Array]
) -> Losses:
    """The record of a batch.

    Args:
      logs: log pi float32 [M, A] of the student.
      value: its values float32 [M].
      policy: the kind's loss of the policy, float32 [].
    """
    spread = over_taught(batch, entropy(batch.policy))
    crossed = over_taught(batch, -expectation(batch.policy, logs))
    return Losses(policy, jnp.square(value - batch.value).mean(), spread, crossed - spread, extra)
