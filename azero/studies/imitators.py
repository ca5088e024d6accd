"""A small network that learns a policy from tables over all positions: by imitation, or by reinforcement."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from azero.config import DistillConfig, NetworkConfig
from azero.distill.core import Learner, Loss, log_policy
from azero.distill.cross_entropy import cross_entropy
from azero.distill.reinforce import reinforce
from azero.exact import Board, Policy, reach
from azero.network import Network, Params, make_network
from azero.replay import Approval, Batch
from azero.studies.proxies import BATCH, drawn, in_parts


class Steps(NamedTuple):
    """How long a network learns at a time."""

    number: int = 200  # gradient steps
    batch: int = 512  # positions in one
    learning_rate: float = 2e-3  # of Adam, begun anew each time


class Imitator(NamedTuple):
    """A network and the ways it learns; everything is float32."""

    init: Callable[[jax.Array], Params]  # key -> params
    policy: Callable[[Params], Policy]  # params -> [N, A]
    imitate: Callable[[Params, Policy, np.ndarray, np.random.Generator], Params]
    # params, the policy [N, A] that is imitated, weights [N] of the positions, generator -> params
    reinforce: Callable[[Params, np.ndarray, Policy, float, np.random.Generator], Params]
    # params, reward [N, A], base policy [N, A], beta, generator -> params: E[reward] - beta KL(policy || base) on the
    # network's own states, found anew for each of a few spells


SPELLS = 4  # of reinforcement, each on the states of the policy that it begins with


def make_imitator(board: Board, config: NetworkConfig, steps: Steps) -> Imitator:
    """The network of this config on this board."""
    network = make_network(config, board.game)
    seen = jnp.asarray(in_parts(jax.jit(jax.vmap(board.game.observe)), board.states))
    legal = jnp.asarray(board.legal)

    @jax.jit
    def answers(params: Params, seen: jax.Array, legal: jax.Array) -> jax.Array:
        def answer(row: tuple[jax.Array, jax.Array]) -> jax.Array:
            return jnp.exp(log_policy(network.apply(params, row[0][None])[0][0], row[1]))

        policy: jax.Array = jax.lax.map(answer, (seen, legal), batch_size=min(BATCH, len(seen)))
        return policy

    def policy(params: Params) -> Policy:
        return np.asarray(answers(params, seen, legal))

    def batches(policy: jax.Array, reward: jax.Array, rows: jax.Array) -> Batch:
        nothing = jnp.zeros(rows.shape)
        approval = Approval(reward[rows], nothing, jnp.zeros(rows.shape, jnp.int32))
        return Batch(seen[rows], legal[rows], policy[rows], nothing, approval)

    imitated = _descent(cross_entropy(DistillConfig(value_weight=0.0), network), batches, steps)
    reinforced = _descent(_scaled_reinforce(network), batches, steps)
    no_reward = jnp.zeros(board.q.shape)

    def imitate(params: Params, target: Policy, weights: np.ndarray, rng: np.random.Generator) -> Params:
        rows = jnp.asarray(drawn(rng, weights, (steps.number, steps.batch)), jnp.int32)
        return imitated(params, jnp.asarray(target, jnp.float32), no_reward, rows)

    def follow(
        params: Params, reward: np.ndarray, base: Policy, beta: float, rng: np.random.Generator
    ) -> Params:  # fmt: skip
        for _ in range(SPELLS):
            own = policy(params)
            rows = jnp.asarray(drawn(rng, reach(board, own, own), (steps.number, steps.batch)), jnp.int32)
            params = reinforced(params, jnp.asarray(base, jnp.float32), jnp.asarray(reward / beta, jnp.float32), rows)
        return params

    return Imitator(network.init, policy, imitate, follow)


def _scaled_reinforce(network: Network) -> Loss:
    """E[reward / beta] - KL(policy || base): one program for every beta, and Adam does not see the difference."""
    return reinforce(DistillConfig(baseline="all_actions", entropy=0.0, kl=1.0, value_weight=0.0), network)


def _descent(loss: Loss, batches: Callable[..., Batch], steps: Steps) -> Callable[..., Params]:
    """(params, policy [N, A], reward [N, A], rows int32 [steps, batch]) -> params."""
    optimizer = optax.adam(steps.learning_rate)

    @jax.jit
    def descend(params: Params, policy: jax.Array, reward: jax.Array, rows: jax.Array) -> Params:
        def objective(params: Params, batch: Batch) -> jax.Array:
            return loss(Learner(params, None, jnp.zeros((), jnp.int32)), batch, jax.random.key(0))[0]

        def step(carry: tuple[Params, Any], chosen: jax.Array) -> tuple[tuple[Params, Any], None]:
            params, state = carry
            gradient = jax.grad(objective)(params, batches(policy, reward, chosen))
            change, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, change), state), None

        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), rows)
        return params

    return descend
