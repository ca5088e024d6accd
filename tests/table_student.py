"""A student that is a table, a batch of its positions, and what M2 says of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from azero.config import DistillConfig
from azero.distill import Learner
from azero.distill.core import log_policy
from azero.network import Network
from azero.replay import Approval, Batch

POSITIONS, ACTIONS = 6, 4
LEGAL = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 1]], bool)


def table_apply(params, observation):
    """A student with a logit for each position and move, and a value for each position."""
    rows = observation.reshape(len(observation), -1).argmax(-1)
    return params["logits"][rows], jnp.tanh(params["value"][rows])


def table_init(key):
    del key
    return {"logits": jnp.zeros((POSITIONS, ACTIONS)), "value": jnp.zeros(POSITIONS)}


TABLE = Network(table_init, table_apply)
RANDOM = np.random.default_rng(0)
Q = np.where(LEGAL, RANDOM.uniform(-0.9, 0.9, LEGAL.shape), 0.0).astype(np.float32)
TEACHER = np.where(LEGAL, RANDOM.dirichlet(np.ones(ACTIONS) * 3, POSITIONS) + 0.02, 0.0).astype(np.float32)
TEACHER /= TEACHER.sum(1, keepdims=True)
VALUE = np.linspace(-0.8, 0.8, POSITIONS).astype(np.float32)


def batch_of(q=Q, policy=TEACHER) -> Batch:
    """Each position once."""
    view = jnp.eye(POSITIONS).reshape(POSITIONS, 1, 1, POSITIONS)
    approval = Approval(jnp.asarray(q), jnp.asarray(VALUE), jnp.full(POSITIONS, -1))
    return Batch(view, jnp.asarray(LEGAL), jnp.asarray(policy), jnp.asarray(VALUE), approval)


def policy_of(params) -> np.ndarray:
    return np.exp(log_policy(params["logits"], jnp.asarray(LEGAL)))


def one_hot(moves) -> np.ndarray:
    return np.eye(ACTIONS)[moves]


def best_of(q) -> np.ndarray:
    """A point mass on the best legal move."""
    return one_hot(np.where(LEGAL, q, -9).argmax(1))


def tilted(base, q, beta) -> np.ndarray:
    """base * exp(q / beta), normalised over the legal moves."""
    weights = np.where(LEGAL, base * np.exp(q / beta), 0)
    return weights / weights.sum(1, keepdims=True)


def exact(**options) -> DistillConfig:
    """A config whose gradients are expectations."""
    return DistillConfig(**{"baseline": "all_actions", "entropy": 0.0} | options)


def converged(loss, batch, steps=3000, update=None, models=None, rate=0.03) -> np.ndarray:
    """The policy of a student that follows this loss with exact gradients."""
    optimizer = optax.adam(rate)

    def step(carry, number):
        params, memory, models = carry
        key = jax.random.fold_in(jax.random.key(1), number)
        learner = Learner(params, models, number)
        gradient, losses = jax.grad(lambda p: loss(learner._replace(params=p), batch, key), has_aux=True)(params)
        changes, memory = optimizer.update(gradient, memory)
        params = optax.apply_updates(params, changes)
        if update is not None:
            models, _ = update(learner._replace(params=params), batch, losses, key, lambda tree: tree)
        return (params, memory, models), None

    params = table_init(None)
    carry, _ = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(steps)))(
        (params, optimizer.init(params), models)
    )
    np.testing.assert_allclose(np.tanh(carry[0]["value"]), VALUE, atol=0.02, err_msg="values of the mover's side")
    return policy_of(carry[0])
