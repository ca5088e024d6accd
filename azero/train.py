"""The loop: A <- Distill(Amplify(A)).

TrainState is all there is to a run: a checkpoint is exactly that pytree. Every random key is made anew from
(seed, purpose, iteration, step, device), so none is carried or saved and a resumed run equals one never stopped.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from azero.config import Config, LearnConfig
from azero.distill import Losses, distill_loss
from azero.network import Network, Params, make_network, parameter_count
from azero.replay import Replay, add, draw, empty, window
from azero.search import make_search
from azero.selfplay import Games, make_selfplay, new_games
from azero.targets import samples
from games.core import Game

PURPOSES = ("init", "games", "play", "learn")
AXIS = "games"


class TrainState(NamedTuple):
    """A state of training. Games and replay lie split over the devices, the rest is the same on each."""

    iteration: jax.Array  # int32 [], iterations finished
    params: Params
    average: Params  # moving average of the parameters, which plays in matches
    optimizer: Any
    games: Games  # leaves [B, ...]
    replay: Replay  # leaves [N, ...]


class Metrics(NamedTuple):
    """Of one iteration, float32 []."""

    policy_loss: jax.Array  # KL divergence of the network from the search's policy, nats
    value_loss: jax.Array
    target_entropy: jax.Array  # nats
    gradient_norm: jax.Array
    parameter_norm: jax.Array  # after the last step
    games: jax.Array  # that ended in this iteration
    plies: jax.Array  # moves per game: moves made over games ended
    first_wins: jax.Array  # share of ended games that the first player won
    draws: jax.Array  # share of ended games
    window: jax.Array  # positions that were drawn from
    full_share: jax.Array  # share of this iteration's moves that were searched fully


class Trainer(NamedTuple):
    """init: () -> TrainState. iterate: TrainState -> (TrainState, Metrics); the state handed in is used up."""

    init: Callable[[], TrainState]
    iterate: Callable[[TrainState], tuple[TrainState, Metrics]]
    network: Network
    updates: int  # gradient steps in one iteration
    parameters: int  # numbers in the network
    devices: list[jax.Device]  # over which games and replay are split


def make_key(seed: int, purpose: str, *numbers: jax.Array | int) -> jax.Array:
    """The key of this purpose and these numbers (iteration, step, device)."""
    key = jax.random.fold_in(jax.random.key(seed), PURPOSES.index(purpose))
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key


def make_schedule(config: LearnConfig, updates: int) -> optax.Schedule:
    """Gradient step -> learning rate: a linear warm-up to the peak, then the inverse square root of the iteration."""

    def rate(step: jax.Array) -> jax.Array:
        iteration = step / updates
        fallen = jnp.sqrt(1 + iteration / config.decay) if config.decay else 1.0
        return config.learning_rate * jnp.minimum(1.0, (step + 1) / (config.warmup + 1)) / fallen

    return rate


def make_optimizer(config: LearnConfig, updates: int) -> optax.GradientTransformation:
    """AdamW after clipping, with the schedule of `make_schedule` for iterations of `updates` steps."""

    def decayed(params: Params) -> Any:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(make_schedule(config, updates), weight_decay=config.weight_decay, mask=decayed),
    )


def device_mesh(config: Config) -> Mesh:
    """One axis over the devices that the config asks for: 0 takes as many as games and batch split over evenly.

    Raises:
      ValueError: there are fewer, or games or batch do not split evenly over those asked for.
    """
    devices = jax.devices()
    sizes = {"selfplay.games": config.selfplay.games, "learn.batch": config.learn.batch}
    even = math.gcd(*sizes.values())
    count = config.devices or max(count for count in range(1, len(devices) + 1) if even % count == 0)
    if count > len(devices):
        raise ValueError(f"devices is {count}, but there are {len(devices)} ({devices[0].platform})")
    for name, size in sizes.items():
        if size % count:
            raise ValueError(f"{name} of {size} does not split evenly over {count} devices")
    return jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices[:count])


def make_trainer(config: Config, game: Game) -> Trainer:
    """The trainer of this config: play, target, store, learn."""
    mesh = device_mesh(config)
    devices = mesh.size
    network = make_network(config.network, game)
    search = make_search(config.search, game, network, explore=True)
    cheap_config = dataclasses.replace(config.search, simulations=config.selfplay.cheap_simulations)
    cheap = make_search(cheap_config, game, network, explore=False) if config.selfplay.full_share < 1 else None
    play = make_selfplay(config.selfplay, game, search, config.distilled, config.replay.actions, cheap)
    positions = config.selfplay.games * config.selfplay.plies
    updates = max(1, round(positions * config.learn.reuse / config.learn.batch))
    optimizer = make_optimizer(config.learn, updates)

    split, same = PartitionSpec(AXIS), PartitionSpec()
    # Typed as Any, for in this one place the fields of a state hold where they lie instead of what they are.
    specs: Any = {"games": split, "replay": split}
    state_specs = TrainState._make(specs.get(name, same) for name in TrainState._fields)

    def init() -> TrainState:
        params = network.init(make_key(config.seed, "init"))
        return TrainState(
            iteration=jnp.zeros((), jnp.int32),
            params=params,
            average=jax.tree.map(jnp.copy, params),
            optimizer=optimizer.init(params),
            games=new_games(game, config.selfplay, config.selfplay.games, make_key(config.seed, "games")),
            replay=empty(game, config.replay, devices),
        )

    def play_and_store(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        key = make_key(config.seed, "play", state.iteration, jax.lax.axis_index(AXIS))
        games, trajectory = play(state.params, state.games, key)
        _, bootstrap = network.apply(state.params, jax.vmap(game.observe)(games.state))
        replay = add(state.replay, samples(config.targets, trajectory, bootstrap))
        ended = jax.lax.psum(trajectory.ended.sum(), AXIS).astype(jnp.float32)
        wins = jax.lax.psum((trajectory.outcome > 0).sum(), AXIS)
        draws = jax.lax.psum((trajectory.ended & (trajectory.outcome == 0)).sum(), AXIS)
        played = {
            "games": ended,
            "plies": positions / jnp.maximum(ended, 1),
            "first_wins": wins / jnp.maximum(ended, 1),
            "draws": draws / jnp.maximum(ended, 1),
            "full_share": jax.lax.pmean(trajectory.weights.any(-1).mean(), AXIS),
            "window": window(replay, config.replay, devices).astype(jnp.float32) * devices,
        }
        return state._replace(iteration=state.iteration + 1, games=games, replay=replay), played

    def learn(state: TrainState, update: jax.Array) -> tuple[TrainState, tuple[Losses, jax.Array]]:
        key = make_key(config.seed, "learn", state.iteration, update, jax.lax.axis_index(AXIS))
        size = window(state.replay, config.replay, devices)
        batch = draw(state.replay, game, size, config.learn.batch // devices, key)
        gradient, losses = jax.grad(lambda params: distill_loss(config.distill, network, params, batch), has_aux=True)(
            state.params
        )
        gradient, losses = jax.lax.pmean((gradient, losses), AXIS)
        steps, opt_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, steps)
        taken = steps_taken(opt_state)
        decay = jnp.minimum(config.learn.ema, (1.0 + taken) / (10.0 + taken))  # the average forgets its start
        average = jax.tree.map(lambda mean, leaf: mean + (1 - decay) * (leaf - mean), state.average, params)
        state = state._replace(params=params, average=average, optimizer=opt_state)
        return state, (losses, optax.tree.norm(gradient))

    def on_all_devices(function: Callable[..., Any], inputs: Any) -> Callable[..., Any]:
        mapped = jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=(state_specs, same), check_vma=False)
        return jax.jit(mapped, donate_argnums=0)

    play_step = on_all_devices(play_and_store, (state_specs,))
    learn_step = on_all_devices(learn, (state_specs, same))

    def iterate(state: TrainState) -> tuple[TrainState, Metrics]:
        state, played = play_step(state)
        learned = []
        # A loop on the host: inside one on the device XLA's CPU backend runs convolutions backward 20 times slower.
        for update in range(updates):
            state, losses = learn_step(state, update)
            learned.append(losses)
        losses, norms = jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(), *learned)
        norm = parameter_norm(state.params)
        return state, Metrics(losses.policy, losses.value, losses.entropy, norms, norm, **played)

    parameter_norm = jax.jit(optax.tree.norm)
    parameters = parameter_count(jax.eval_shape(network.init, jax.random.key(0)))
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), state_specs)
    return Trainer(
        jax.jit(init, out_shardings=shardings), iterate, network, updates, parameters, list(mesh.devices.flat)
    )


def steps_taken(opt_state: Any) -> jax.Array:
    """Gradient steps taken so far, int32 []."""
    return optax.tree.get_all_with_path(opt_state, "count")[0][1]
