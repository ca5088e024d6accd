"""`imitation`: cross-entropy on answers drawn from M2, on positions of M2's games or of the student's (DAgger).

Ross, Gordon, Bagnell: A Reduction of Imitation Learning to No-Regret Online Learning, 2011. Its minimiser is that of
`visits` or `improved`; only the noise of the draws is added.
"""

import jax
import jax.numpy as jnp

from azero.config import DistillConfig
from azero.distill.core import Act, Learner, Lesson, Teach, log_policy
from azero.network import Network
from azero.search import Amplified
from games.core import Game, State


def drawn_answers(config: DistillConfig) -> Teach:
    """`config.answers` draws from M2's policy to the power 1 / temperature; what is kept are their shares."""

    def teach(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> Lesson:
        del learner
        policy = amplified.policy
        logits = jnp.where(states.legal & (policy > 0), jnp.log(policy) / config.temperature, -jnp.inf)
        drawn = jax.random.categorical(key, logits, axis=-1, shape=(config.answers, len(policy)))
        return Lesson(jax.nn.one_hot(drawn, policy.shape[-1]).mean(axis=0))

    return teach


def movers(config: DistillConfig, game: Game, network: Network) -> Act | None:
    """Who makes the moves of self-play, as `config.states` says."""
    if config.states == "teacher":
        return None

    def act(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> jax.Array:
        share = 0.5 ** (learner.iteration / config.teacher_half_life) if config.states == "mixture" else 0.0
        coin_key, move_key = jax.random.split(key)
        by_teacher = jax.random.bernoulli(coin_key, share, amplified.action.shape)
        logits, _ = network.apply(learner.params, jax.vmap(game.observe)(states))
        own = jax.random.categorical(move_key, log_policy(logits, states.legal)).astype(jnp.int32)
        return jnp.where(by_teacher, amplified.action, own)

    return act
