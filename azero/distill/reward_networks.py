"""An ensemble of Bradley-Terry reward networks, fitted to comparisons.

Christiano et al.: Deep Reinforcement Learning from Human Preferences, 2017. A reward network says how good a position
is for the player to move, u(s) in [-1, 1]; the reward of a move is the position after it, seen by the mover. So the
same networks can pay for moves, judge the leaves of the search, and stand in place of the rules' results.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from azero.config import NetworkConfig, RewardConfig
from azero.distill.comparisons import Comparisons, kept, observed
from azero.distill.core import Models
from azero.network import Network, Params, make_network
from games.core import Game, State

WATCHED = 2048  # comparisons that the fit is measured on
BINS = 10  # of the calibration
OVERFITTED, UNDERFITTED = 1.1, 1.02  # held-out loss over training loss at which weight decay rises and falls
DECAY_STEP = 1.5


def make_reward(config: RewardConfig, game: Game) -> Network:
    """One reward network; its value is u(s), its policy is not used."""
    return make_network(NetworkConfig(kind="mlp", width=config.width, blocks=config.blocks), game)


def ensemble_values(reward: Network, rewards: Params, views: jax.Array) -> jax.Array:
    """u of each of K networks, float32 [K, M], of observations [M, H, W, C], for the players to move."""
    values: jax.Array = jax.vmap(lambda params: reward.apply(params, views)[1])(rewards)
    return values


def combined(config: RewardConfig, values: jax.Array) -> jax.Array:
    """One value [...] from those of K networks [K, ...], seen by whom they are good for."""
    if config.combine == "min":
        return values.min(axis=0)
    if config.combine == "pessimistic":
        return values.mean(axis=0) - config.pessimism * values.std(axis=0)
    return values.mean(axis=0)


def rewards_of_moves(game: Game, reward: Network, rewards: Params, states: State) -> jax.Array:
    """What each network gives for every move, for its mover: float32 [K, B, A]. The rules' results have no say."""
    count, actions = states.legal.shape
    keys = jax.random.split(jax.random.key(0), count)

    def ask(action: jax.Array) -> jax.Array:
        after = jax.vmap(game.step, in_axes=(0, None, 0))(states, action, keys)
        sign = jnp.where(after.to_play == states.to_play, 1.0, -1.0)
        return sign * ensemble_values(reward, rewards, jax.vmap(game.observe)(after))

    return jnp.moveaxis(jax.lax.map(ask, jnp.arange(actions)), 0, -1)


def preference(config: RewardConfig, reward: Network, rewards: Params, views: jax.Array, sign: jax.Array) -> jax.Array:
    """Bradley-Terry logits [K, M] that the first of two lines is better (Bradley, Terry 1952).

    Args:
      views: float32 [M, 2, H, W, C], their ends.
      sign: float32 [M, 2], as in Comparisons.
    """
    values = ensemble_values(reward, rewards, views.reshape(-1, *views.shape[2:])).reshape(-1, *sign.shape)
    seen = sign * values
    return (seen[..., 0] - seen[..., 1]) / config.temperature


def label_loss(logits: jax.Array, first: jax.Array) -> jax.Array:
    """- log P(label), nats [K, M], of logits [K, M] and labels [M]."""
    return jax.nn.softplus(jnp.where(first > 0.5, -logits, logits))


def calibration_error(chance: jax.Array, happened: jax.Array) -> jax.Array:
    """Mean distance of chances float32 [M] from what happened, bool [M], over BINS bins of the chance."""
    place = jnp.minimum((chance * BINS).astype(jnp.int32), BINS - 1)
    said = jnp.zeros(BINS).at[place].add(chance)
    seen = jnp.zeros(BINS).at[place].add(happened)
    return jnp.abs(said - seen).sum() / chance.shape[0]


class Parts(NamedTuple):
    """The comparisons of a store, those learned from first, then those held out."""

    order: jax.Array  # int32 [N]
    learned: jax.Array  # int32 [], how many are learned from
    held_out: jax.Array  # int32 []


def parts(config: RewardConfig, store: Comparisons) -> Parts:
    """A comparison is held out by what it compares, so that one made twice is never on both sides.

    Where none of few falls under the share to be held out, the next one is: the figures must not be of what is learned.
    """
    here = jnp.arange(len(store.first)) < kept(store)
    next_out = jnp.where(here, store.chance, jnp.inf).min()
    out = here & ((store.chance < config.held_out) | ((store.chance == next_out) & (config.held_out > 0)))
    order = jnp.argsort(jnp.where(here, out.astype(jnp.int32), 2), stable=True)
    return Parts(order, (here & ~out).sum(), out.sum())


def drawn_rows(part: Parts, key: jax.Array, shape: tuple[int, ...], held_out: bool) -> jax.Array:
    """Rows of the store, int32 of this shape, drawn evenly from one side; from both where that side is empty."""
    wanted, start = (part.held_out, part.learned) if held_out else (part.learned, 0)
    count = jnp.where(wanted == 0, part.learned + part.held_out, wanted)
    start = jnp.where(wanted == 0, 0, start)
    return part.order[start + jax.random.randint(key, shape, 0, jnp.maximum(count, 1))]


class Fit(NamedTuple):
    """The two steps of an iteration, jitted: (models, key) -> models; and models, metrics."""

    init: Callable[[jax.Array], Models]  # key -> the networks, their optimizer, their weight decay
    learn: Callable[[Models, jax.Array], Models]
    watch: Callable[[Models, jax.Array], tuple[Models, dict[str, jax.Array]]]


def make_fit(config: RewardConfig, game: Game, reward: Network) -> Fit:
    """Fits the networks in `models["rewards"]` to `models["comparisons"]`."""
    optimizer = optax.adam(config.learning_rate)

    def init(key: jax.Array) -> Models:
        rewards = jax.vmap(reward.init)(jax.random.split(key, config.ensemble))
        return {
            "rewards": rewards,
            "reward_optimizer": jax.vmap(optimizer.init)(rewards),
            "decay": jnp.ones(config.ensemble),
        }

    def loss(params: Params, store: Comparisons, rows: jax.Array) -> jax.Array:
        one = jax.tree.map(lambda leaf: leaf[None], params)
        logits = preference(config, reward, one, observed(game, store, rows), store.sign[rows])
        return label_loss(logits[0], store.first[rows]).mean()

    def step_one(
        params: Params, state: Any, decay: jax.Array, store: Comparisons, rows: jax.Array
    ) -> tuple[Params, Any]:
        steps, state = optimizer.update(jax.grad(loss)(params, store, rows), state)
        fall = config.learning_rate * decay
        return jax.tree.map(lambda leaf, step: leaf + step - fall * leaf, params, steps), state

    def learn(models: Models, key: jax.Array) -> Models:
        store: Comparisons = models["comparisons"]
        part = parts(config, store)

        def step(carry: tuple[Params, Any], step_key: jax.Array) -> tuple[tuple[Params, Any], None]:
            rows = drawn_rows(part, step_key, (config.ensemble, config.batch), held_out=False)
            return jax.vmap(step_one, in_axes=(0, 0, 0, None, 0))(*carry, models["decay"], store, rows), None

        carry = models["rewards"], models["reward_optimizer"]
        (rewards, state), _ = jax.lax.scan(step, carry, jax.random.split(key, config.steps))
        return models | {"rewards": rewards, "reward_optimizer": state}

    def watch(models: Models, key: jax.Array) -> tuple[Models, dict[str, jax.Array]]:
        store: Comparisons = models["comparisons"]
        part = parts(config, store)

        def measured(held_out: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
            rows = drawn_rows(part, key, (WATCHED,), held_out)
            logits = preference(config, reward, models["rewards"], observed(game, store, rows), store.sign[rows])
            first = store.first[rows] > 0.5
            return label_loss(logits, store.first[rows]).mean(axis=1), jax.nn.sigmoid(logits).mean(axis=0), first

        learned, *_ = measured(held_out=False)
        watched, chance, first = measured(held_out=True)
        ratio = watched / jnp.maximum(learned, 1e-6)
        factor = jnp.where(ratio > OVERFITTED, DECAY_STEP, jnp.where(ratio < UNDERFITTED, 1 / DECAY_STEP, 1.0))
        metrics = {
            "pair_loss": watched.mean(),
            "pair_accuracy": jnp.mean((chance > 0.5) == first),
            "pair_calibration": calibration_error(chance, first),
            "asked_comparisons": store.added.astype(jnp.float32),
        }
        return models | {"decay": jnp.clip(models["decay"] * factor, 1e-3, 10.0)}, metrics

    return Fit(init, jax.jit(learn), jax.jit(watch))
