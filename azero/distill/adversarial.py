"""`adversarial`: a discriminator tells M2's answers from the student's, who is reinforced for being taken for M2.

Ho, Ermon: Generative Adversarial Imitation Learning, 2016; with the discriminator and the reward of Fu, Luo, Levine:
Adversarial Inverse Reinforcement Learning, 2018: D(s, a) = sigmoid(f(s, a)), f = h(s, a) - log pi(a | s), with h a
second network of the student's own size; the reward is f = log D - log(1 - D). The best h is log M2, whoever the
student is, so it has not to be chased. The student imitates M2 for the first iterations, or the discriminator has too
easy a time.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from azero.config import DistillConfig
from azero.distill.core import (
    Learner,
    Loss,
    Losses,
    Mean,
    Models,
    Student,
    Update,
    cross_entropy_to,
    expectation,
    log_policy,
    make_loss,
    over_taught,
)
from azero.distill.reinforce import improvement, safeguard_models, safeguard_update
from azero.network import Network, Params
from azero.replay import Batch

LEARNING_RATE = 1e-3


def _optimizer() -> optax.GradientTransformation:
    return optax.adam(LEARNING_RATE)


def evidence(network: Network, params: Params, batch: Batch, logs: jax.Array) -> jax.Array:
    """f, float32 [M, A]: the logit of an answer's being M2's, not the student's; 0 where illegal.

    Args:
      logs: log pi float32 [M, A] of the student, who gets no gradient through them.
    """
    told, _ = network.apply(params, batch.observation)
    return jnp.where(batch.legal, told - jax.lax.stop_gradient(logs), 0.0)


def discriminator_models(config: DistillConfig, network: Network) -> Any:
    """init: (params, key) -> the discriminator, its optimizer, and what the safeguards carry along."""

    def init(params: Params, key: jax.Array) -> dict[str, Any]:
        first = network.init(key)
        models: dict[str, Any] = {"discriminator": first, "optimizer": _optimizer().init(first)}
        return models | safeguard_models(config)(params, key)

    return init


def adversarial(config: DistillConfig, network: Network) -> Loss:
    """Follows the discriminator, after `config.imitate_first` iterations of cross-entropy."""
    improved = improvement(config, network)

    def of_policy(learner: Learner, batch: Batch, student: Student, key: jax.Array) -> tuple[jax.Array, dict]:
        reward = evidence(network, learner.models["discriminator"], batch, student.logs)
        reinforced, extra = improved(learner, batch, student, reward, key)
        imitated = cross_entropy_to(batch, student)
        return jnp.where(learner.iteration <= config.imitate_first, imitated, reinforced), extra

    return make_loss(config, network, of_policy)


def discriminate(config: DistillConfig, network: Network) -> Update:
    """A gradient step of the discriminator: the expectation over M2's policy and the student's, of what it mistakes."""
    safeguard = safeguard_update(config)

    def update(learner: Learner, batch: Batch, losses: Losses, key: jax.Array, mean: Mean) -> tuple[Models, dict]:
        logits, _ = network.apply(learner.params, batch.observation)
        logs = log_policy(logits, batch.legal)
        student = jnp.exp(logs)

        def mistaken(params: Params) -> tuple[jax.Array, jax.Array]:
            told = evidence(network, params, batch, logs)
            missed = expectation(batch.policy, jax.nn.softplus(-told)) + expectation(student, jax.nn.softplus(told))
            right = expectation(batch.policy, told > 0) + expectation(student, told <= 0)
            return over_taught(batch, missed), over_taught(batch, right) / 2

        models = learner.models
        gradient, told_apart = mean(jax.grad(mistaken, has_aux=True)(models["discriminator"]))
        steps, optimizer = _optimizer().update(gradient, models["optimizer"])
        models = models | {"discriminator": optax.apply_updates(models["discriminator"], steps), "optimizer": optimizer}
        metrics = {"discriminator_accuracy": told_apart}
        if safeguard is not None:
            models, more = safeguard(learner._replace(models=models), batch, losses, key, mean)
            metrics |= more
        return models, metrics

    return update
