"""The loop: A <- Distill(Amplify(A)).

TrainState is all there is to a run: a checkpoint is exactly that pytree. Every random key is made anew from
(seed, purpose, iteration, step, device), so none is carried or saved and a resumed run equals one never stopped.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from azero.config import Config, LearnConfig
from azero.distill import Distiller, Learner, Losses, Models
from azero.hosted import GROUPS, Hosted, Stage, Thought, make_think, new_episodes, packed
from azero.muzero.sequences import Sequences
from azero.network import Network, Params, parameter_count
from azero.replay import Replay
from azero.selfplay import Games, Trajectory, make_selfplay, new_games
from azero.store import Lessons, make_lessons
from games.core import Game

PURPOSES = ("init", "games", "play", "learn", "models", "gather", "demonstrations", "store")
AXIS = "games"
GRADIENT = 3.0  # evaluations that a position costs in a gradient step: forward, and backward twice as much


class TrainState(NamedTuple):
    """A state of training. Games and replay lie split over the devices, the rest is the same on each."""

    iteration: jax.Array  # int32 [], iterations finished
    params: Params
    average: Params  # moving average of the parameters, which plays in matches
    optimizer: Any
    games: Games | Hosted  # leaves [B, ...]
    replay: Replay | Sequences  # leaves [N, ...] or [B, N, ...]
    models: Models = None  # what the distiller learns beside the network


class Metrics(NamedTuple):
    """Of one iteration, float32 []."""

    policy_loss: jax.Array  # the distiller's own; of cross-entropies KL(M2 || M1), nats
    value_loss: jax.Array
    target_entropy: jax.Array  # of M2's policy, nats
    policy_kl: jax.Array  # KL(M2 || M1), nats
    gradient_norm: jax.Array
    parameter_norm: jax.Array  # after the last step
    games: jax.Array  # that ended in this iteration
    plies: jax.Array  # moves per game: moves made over games ended
    results: dict[str, jax.Array]  # of games that ended: shares first_wins and draws; of episodes: episode_return
    window: jax.Array  # positions that were drawn from
    full_share: jax.Array  # share of this iteration's moves that were searched fully
    extra: dict[str, jax.Array]  # what the distiller says besides


class Trainer(NamedTuple):
    """init: () -> TrainState. begin: params -> the same with other parameters.

    iterate: TrainState -> (TrainState, Metrics); the state handed in is used up.
    """

    init: Callable[[], TrainState]
    begin: Callable[[Params], TrainState]
    iterate: Callable[[TrainState], tuple[TrainState, Metrics]]
    network: Network
    updates: int  # gradient steps in one iteration
    parameters: int  # numbers in the network
    devices: list[jax.Device]  # over which games and replay are split
    evaluations: float  # of the network in one iteration; a gradient step counts GRADIENT for each of its positions
    oversight: dict[str, float]  # what is asked of M2 in one iteration, by kind of answer


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


def make_trainer(config: Config, game: Game, lessons: Callable[..., Lessons] = make_lessons) -> Trainer:
    """The trainer of this config: play, target, store, learn.

    Args:
      lessons: (config, game, devices) -> what is learned, how and from what.

    Raises:
      ValueError: what the config asks for cannot be had of this game, or not on these devices.
    """
    mesh = device_mesh(config)
    devices = mesh.size
    if game.host:
        _check_groups(config, devices)
    network, distiller, store = lessons(config, game, devices)
    amplify = distiller.amplifier(config.search, True)
    cheap_config = dataclasses.replace(config.search, simulations=config.selfplay.cheap_simulations)
    cheap = distiller.amplifier(cheap_config, False) if config.selfplay.full_share < 1 else None
    entries = config.replay.actions
    teach, act, cache = distiller.teach, distiller.act, distiller.cache
    play = make_selfplay(config.selfplay, game, amplify, teach, entries, cheap, act, cache)
    positions = config.selfplay.games * config.selfplay.plies
    updates = max(1, round(positions * config.learn.reuse / config.learn.batch))
    optimizer = make_optimizer(config.learn, updates)

    split, same = PartitionSpec(AXIS), PartitionSpec()
    # Typed as Any, for in this one place the fields of a state hold where they lie instead of what they are.
    specs: Any = {"games": split, "replay": split}
    state_specs = TrainState._make(specs.get(name, same) for name in TrainState._fields)

    def init() -> TrainState:
        return begin(network.init(make_key(config.seed, "init")))

    def begin(params: Params) -> TrainState:
        count = config.selfplay.games
        key = make_key(config.seed, "games")
        games: Any = new_episodes(game, count) if game.host else new_games(game, config.selfplay, count, key)
        return TrainState(
            iteration=jnp.zeros((), jnp.int32),
            params=params,
            average=jax.tree.map(jnp.copy, params),
            optimizer=optimizer.init(params),
            games=games,
            replay=store.empty(),
            models=distiller.init(params, make_key(config.seed, "models")),
        )

    def learner(state: TrainState) -> Learner:
        return Learner(state.params, state.models, state.iteration)

    def drawn_from(replay: Any) -> jax.Array:
        """How many of the newest positions of a device are learned from, int32 []."""
        if distiller.newest_only:
            return jnp.int32(positions // devices)
        return store.window(replay)

    def play_and_store(state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        key = make_key(config.seed, "play", state.iteration, jax.lax.axis_index(AXIS))
        games: Any = state.games
        return stored(state, *play(learner(state), games, key))

    def store_hosted(state: TrainState, games: Hosted, trajectory: Trajectory) -> tuple[TrainState, dict[str, Any]]:
        return stored(state, games, packed(game, trajectory))

    def stored(state: TrainState, games: Any, trajectory: Trajectory) -> tuple[TrainState, dict[str, Any]]:
        _, bootstrap = network.apply(state.params, jax.vmap(game.observe)(games.state))
        key = make_key(config.seed, "store", state.iteration, jax.lax.axis_index(AXIS))
        replay = store.add(state.replay, learner(state), trajectory, bootstrap, key)
        ended = jax.lax.psum(trajectory.ended.sum(), AXIS).astype(jnp.float32)
        played = {
            "games": ended,
            "plies": positions / jnp.maximum(ended, 1),
            "results": {name: jax.lax.psum(each, AXIS) / jnp.maximum(ended, 1) for name, each in won(trajectory)},
            "full_share": jax.lax.pmean(trajectory.weights.any(-1).mean(), AXIS),
            "window": drawn_from(replay).astype(jnp.float32) * devices,
        }
        return state._replace(iteration=state.iteration + 1, games=games, replay=replay), played

    def won(trajectory: Trajectory) -> Iterator[tuple[str, jax.Array]]:
        """Names and sums of what is told of the games that ended. Of episodes every move counts, as in `plies`."""
        if game.num_players == 1:
            yield "episode_return", trajectory.reward.sum() / game.reward_scale
        else:
            yield "first_wins", (trajectory.outcome > 0).sum()
            yield "draws", (trajectory.ended & (trajectory.outcome == 0)).sum()

    def mean(tree: Any) -> Any:
        return jax.lax.pmean(tree, AXIS)

    def learn(state: TrainState, update: jax.Array) -> tuple[TrainState, tuple[Losses, jax.Array]]:
        key = make_key(config.seed, "learn", state.iteration, update, jax.lax.axis_index(AXIS))
        batch = store.draw(state.replay, drawn_from(state.replay), config.learn.batch // devices, key)
        loss_key, update_key = jax.random.split(jax.random.fold_in(key, 2))  # draw has split the key in two

        def loss(params: Params) -> tuple[jax.Array, Losses]:
            return distiller.loss(learner(state)._replace(params=params), batch, loss_key)

        gradient, losses = mean(jax.grad(loss, has_aux=True)(state.params))
        steps, opt_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, steps)
        taken = steps_taken(opt_state)
        decay = jnp.minimum(config.learn.ema, (1.0 + taken) / (10.0 + taken))  # the average forgets its start
        average = jax.tree.map(lambda mean, leaf: mean + (1 - decay) * (leaf - mean), state.average, params)
        state = state._replace(params=params, average=average, optimizer=opt_state)
        if distiller.update is not None:
            models, more = distiller.update(learner(state), batch, losses, update_key, mean)
            state = state._replace(models=models)
            losses = losses._replace(extra=losses.extra | mean(more))
        return state, (losses, optax.tree.norm(gradient))

    def on_all_devices(function: Callable[..., Any], inputs: Any) -> Callable[..., Any]:
        mapped = jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=(state_specs, same), check_vma=False)
        return jax.jit(mapped, donate_argnums=0)

    def on_host() -> tuple[Stage, Callable[..., Any]]:
        """The environments of a game that the host steps, and the play step that has it do so."""
        think = make_think(config.selfplay, game, amplify, teach, entries, cheap)

        def search(learner: Learner, observation: jax.Array, opening: jax.Array, number: jax.Array) -> Thought:
            key = make_key(config.seed, "play", learner.iteration, number, jax.lax.axis_index(AXIS))
            return think(learner, observation, opening, key)

        inputs = same, split, split, same
        mapped = jax.shard_map(search, mesh=mesh, in_specs=inputs, out_specs=split, check_vma=False)
        stage = Stage(config.selfplay, config.seed, game, jax.jit(mapped))
        store_step = on_all_devices(store_hosted, (state_specs, split, PartitionSpec(None, AXIS)))

        def play_step(state: Any) -> Any:
            return store_step(state, *stage.play(learner(state), state.games))

        return stage, play_step

    stage, play_step = on_host() if game.host else (None, on_all_devices(play_and_store, (state_specs,)))
    learn_step = on_all_devices(learn, (state_specs, same))

    def iterate(state: TrainState) -> tuple[TrainState, Metrics]:
        began = time.perf_counter()
        state, played = play_step(state)
        gathered: dict[str, Any] = {}
        if distiller.gather is not None:
            key = make_key(config.seed, "gather", int(state.iteration))
            models, gathered = distiller.gather(learner(state), jax.device_get(state.games.state), key)
            state = state._replace(models=models)
        learned = []
        # A loop on the host: inside one on the device XLA's CPU backend runs convolutions backward 20 times slower.
        for update in range(updates):
            state, losses = learn_step(state, update)
            learned.append(losses)
        losses, norms = jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(), *learned)
        norm = parameter_norm(state.params)
        if stage is not None:
            norm.block_until_ready()
            gathered["device_waits"] = stage.waited / (time.perf_counter() - began)
        parts = losses.policy, losses.value, losses.entropy, losses.kl
        return state, Metrics(*parts, norms, norm, **played, extra=losses.extra | gathered)

    parameter_norm = jax.jit(optax.tree.norm)
    parameters = parameter_count(jax.eval_shape(network.init, jax.random.key(0)))
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), state_specs)
    return Trainer(
        init=jax.jit(init, out_shardings=shardings),
        begin=jax.jit(begin, out_shardings=shardings),
        iterate=iterate,
        network=network,
        updates=updates,
        parameters=parameters,
        devices=list(mesh.devices.flat),
        evaluations=evaluations_of(config, distiller, updates),
        oversight={kind: positions * config.selfplay.full_share * asked for kind, asked in distiller.oversight.items()},
    )


def _check_groups(config: Config, devices: int) -> None:
    if config.selfplay.games % (GROUPS * devices):
        raise ValueError(
            f"selfplay.games of {config.selfplay.games} does not split evenly into {GROUPS} groups on {devices} "
            f"devices; while the host steps one, the devices search for the other"
        )


def evaluations_of(config: Config, distiller: Distiller, updates: int) -> float:
    """Evaluations of the network in one iteration, by what each costs; see GRADIENT."""
    full, share = 1 + config.search.simulations, config.selfplay.full_share
    searched = share * full + (1 - share) * (1 + config.selfplay.cheap_simulations) if distiller.searches else 1
    games, plies = config.selfplay.games, config.selfplay.plies
    played = games * plies * (searched + distiller.cost.position) + games
    learned = updates * config.learn.batch * (GRADIENT + distiller.cost.sample)
    return played + learned + distiller.cost.iteration


def steps_taken(opt_state: Any) -> jax.Array:
    """Gradient steps taken so far, int32 []."""
    return optax.tree.get_all_with_path(opt_state, "count")[0][1]
