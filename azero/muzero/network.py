"""MuZero's three networks as one: what a position is, what follows a move, and what it is worth."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from azero.config import Config
from azero.muzero.options import MuZeroConfig
from azero.muzero.support import atoms, expected
from azero.network import Dynamics, Latent, Layers, Network, Params, make_network
from games.core import Game

HEAD = 64  # hidden units of a head
BACK = 0.5  # of the gradient that goes back through a move of the model
SHARP = 10.0  # weights of detectors that are built in
NEVER = -40.0  # a logit; e^-40 is nothing beside the others, and a target rounded by 1e-6 costs nothing there


class Foreseen(NamedTuple):
    """What a model says of M positions and of the K moves that follow each."""

    policy: jax.Array  # logits float32 [M, K + 1, A]
    value: jax.Array  # logits float32 [M, K + 1, bins], for the player to move
    reward: jax.Array  # logits float32 [M, K, bins], of each move, for its mover
    discount: jax.Array  # float32 [M, K], of the position after each move
    observation: jax.Array | None  # logits float32 [M, K + 1, H, W, C], where the model foresees boards
    likeness: jax.Array | None  # float32 [M, K], cosine of each foreseen latent with that of what came, if asked for


class Detecting(NamedTuple):
    """A reward that is told from foreseen boards by detectors of lines, which may learn."""

    lines: np.ndarray  # int32 [L, length], cells
    built_in: bool  # they begin as what finds exactly these lines, else at random
    thaw: int | None  # iterations after which they learn; None never


class Unroller(NamedTuple):
    """A network with dynamics, and what learning needs of it besides."""

    network: Network
    unroll: Callable[[Params, jax.Array, jax.Array], Foreseen]
    # params, observations float32 [M, K + 1, H, W, C] of which the first is looked at (the others for the likeness
    # alone), moves int32 [M, K]
    held: Callable[[Params, jax.Array], Params] = lambda params, iteration: params
    # params, iterations finished -> the same, without a gradient to what does not learn yet


class _Trunk(nnx.Module):
    """A layer and residual blocks."""

    def __init__(self, layers: Layers, stem: Any):
        self.stem = stem
        self.blocks = layers.blocks()
        self.norm = layers.norm()

    def __call__(self, x: jax.Array, around: jax.Array | float = 0.0) -> jax.Array:
        x = nnx.relu(self.stem(x)) + around
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class _Head(nnx.Module):
    """From a latent to some numbers, which are 0 at first."""

    def __init__(self, layers: Layers, game: Game, outputs: int):
        height, width, _ = game.observation_shape
        features, self.flat = layers.config.width, layers.flat
        if not layers.flat:
            self.squeeze = nnx.Conv(features, 8, (1, 1), dtype=layers.dtype, rngs=layers.rngs)
            features = 8 * height * width
        self.hidden = nnx.Linear(features, HEAD, dtype=layers.dtype, rngs=layers.rngs)
        self.out = nnx.Linear(HEAD, outputs, kernel_init=nnx.initializers.zeros_init(), rngs=layers.rngs)

    def __call__(self, latent: jax.Array) -> jax.Array:
        x = nnx.relu(latent)
        if not self.flat:
            x = nnx.relu(self.squeeze(x)).reshape(x.shape[0], -1)
        return self.out(nnx.relu(self.hidden(x))).astype(jnp.float32)


class _Detectors(nnx.Module):
    """Chances of a reward of 1, from soft boards: a layer with a unit for each line, and one that asks for any."""

    def __init__(self, detecting: Detecting, cells: int, rngs: nnx.Rngs):
        count, length = detecting.lines.shape
        self.line = nnx.Linear(cells, count, rngs=rngs)
        self.any = nnx.Linear(count, 1, rngs=rngs)
        if detecting.built_in:
            of_line = (detecting.lines[:, :, None] == np.arange(cells)).any(axis=1).T
            self.line.kernel[...] = SHARP * jnp.asarray(of_line, jnp.float32)
            self.any.kernel[...] = jnp.full((count, 1), SHARP)
            for layer, threshold in ((self.line, length - 0.5), (self.any, 0.5)):
                assert layer.bias is not None
                layer.bias[...] = jnp.full(layer.bias.shape, -SHARP * threshold)

    def __call__(self, stones: jax.Array) -> jax.Array:
        """The logit [M] from stones [M, cells] of the one who moved, 0 to 1."""
        return self.any(nnx.sigmoid(self.line(stones)))[..., 0]


class _Model(nnx.Module):
    """Representation, dynamics and prediction."""

    def __init__(self, config: Config, game: Game, detecting: Detecting | None, rngs: nnx.Rngs):
        layers = Layers(config.network, rngs)
        width, bins = config.network.width, config.muzero.bins
        self.shape, self.actions, self.flat = game.observation_shape, game.num_actions, layers.flat
        self.represents = _Trunk(layers, layers.stem(game.observation_shape))
        self.follows = _Trunk(layers, layers.layer(width + (game.num_actions if layers.flat else 1), width))
        if not layers.flat:  # a move becomes a plane of the board
            self.plane = nnx.Linear(game.num_actions, self.shape[0] * self.shape[1], rngs=rngs)
        self.policy = _Head(layers, game, game.num_actions)
        self.value = _Head(layers, game, bins)
        self.reward = _Head(layers, game, bins)
        self.discount = _Head(layers, game, 1)
        self.detecting, self.bins = detecting is not None, bins
        if detecting is not None:
            self.detectors = _Detectors(detecting, self.shape[0] * self.shape[1], rngs)
        if config.model == "learned_explicit_reward" or detecting is not None:
            self.decoder = layers.layer(width, math.prod(self.shape) if layers.flat else self.shape[2])
        if config.muzero.consistency:
            self.projection = nnx.Linear(width, width, rngs=rngs)
            self.prediction = nnx.Linear(width, width, rngs=rngs)

    def represent(self, observation: jax.Array) -> Latent:
        return self.represents(observation.reshape(observation.shape[0], -1) if self.flat else observation)

    def follow(self, latent: Latent, action: jax.Array) -> tuple[Latent, jax.Array, jax.Array]:
        """Latents after moves, the logits [M, bins] of the rewards, and the discounts [M]."""
        move = jax.nn.one_hot(action, self.actions)
        if not self.flat:
            move = self.plane(move).reshape(-1, *self.shape[:2], 1)
        latent = self.follows(jnp.concatenate([latent, move], axis=-1), latent)
        reward = self.detected(latent) if self.detecting else self.reward(latent)
        return latent, reward, self.discount(latent)[..., 0]

    def detected(self, latent: Latent) -> jax.Array:
        """Logits [M, bins] of rewards: 0, the middle atom, or 1, the last one."""
        stones = nnx.sigmoid(self.decode(latent))[..., 1].reshape(latent.shape[0], -1)
        logit = self.detectors(stones)
        logits = jnp.full((*logit.shape, self.bins), NEVER)
        return logits.at[:, self.bins // 2].set(-nnx.softplus(logit)).at[:, -1].set(-nnx.softplus(-logit))

    def decode(self, latent: Latent) -> jax.Array:
        return self.decoder(nnx.relu(latent)).reshape(-1, *self.shape).astype(jnp.float32)

    def likeness(self, foreseen: Latent, came: Latent) -> jax.Array:
        """Chen and He: Exploring simple siamese representation learning (2021): the side that came is held still."""
        left = self.prediction(nnx.relu(self.projection(foreseen)))
        right = jax.lax.stop_gradient(self.projection(came))
        left, right = left.reshape(left.shape[0], -1), right.reshape(right.shape[0], -1)
        size = jnp.linalg.norm(left, axis=-1) * jnp.linalg.norm(right, axis=-1)
        return (left * right).sum(axis=-1) / jnp.maximum(size, 1e-6)


def make_unroller(config: Config, game: Game, detecting: Detecting | None = None) -> Unroller:
    """The network of a config whose model is learned.

    Args:
      detecting: tell rewards, of 0 and 1, by detectors; `muzero.value_range` must be 1.

    Raises:
      ValueError: the reward is to be judged by what is known of it, and nothing is known for this game.
    """
    judge = None
    if config.model == "learned_explicit_reward":
        if game.judge is None:
            raise ValueError(
                f"model learned_explicit_reward needs a game whose reward can be told from a board, and {game.name} "
                "has no reward function; take model learned"
            )
        judge = jax.vmap(game.judge)
    options = config.muzero
    fixed = atoms(options.value_range, options.bins)

    def build(key: jax.Array) -> _Model:
        return _Model(config, game, detecting, nnx.Rngs(key))

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(jax.random.key(0))))

    def model(params: Params) -> _Model:
        return nnx.merge(graph, nnx.State(params))

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(build(key), nnx.Param))

    def represent(params: Params, observation: jax.Array) -> Latent:
        return model(params).represent(observation)

    def predict(params: Params, latent: Latent) -> tuple[jax.Array, jax.Array]:
        made = model(params)
        return made.policy(latent), expected(made.value(latent), fixed)

    def step(params: Params, latent: Latent, action: jax.Array) -> tuple[Latent, jax.Array, jax.Array, jax.Array]:
        made = model(params)
        after, logits, discount = made.follow(latent, action)
        discount = jnp.clip(discount, -1, 1)
        if judge is None:
            return after, expected(logits, fixed), discount, jnp.zeros(discount.shape, bool)
        reward, terminal = judge(board_of(game, made.decode(after)))
        return after, reward, jnp.where(terminal, 0.0, discount), terminal

    def apply(params: Params, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        return predict(params, represent(params, observation))

    def unroll(params: Params, observation: jax.Array, moves: jax.Array) -> Foreseen:
        return _unrolled(model(params), options, boards, observation, moves)

    def held(params: Params, iteration: jax.Array) -> Params:
        if detecting is None:
            return params
        still = jnp.bool_(True) if detecting.thaw is None else iteration < detecting.thaw
        own = params["detectors"]
        kept = jax.tree.map(lambda leaf: jnp.where(still, jax.lax.stop_gradient(leaf), leaf), own)
        return {**params, "detectors": kept}

    def decode(params: Params, latent: Latent) -> jax.Array:
        return model(params).decode(latent)

    boards = judge is not None or detecting is not None
    network = Network(init, apply, Dynamics(represent, step, predict), decode if boards else None)
    return Unroller(network, unroll, held)


def network_of(config: Config, game: Game) -> Network:
    """The network of any config, with dynamics where its model is learned."""
    return make_network(config.network, game) if config.model == "rules" else make_unroller(config, game).network


def holds_numbers(game: Game) -> np.ndarray:
    """bool [C], of the planes of an observation: it holds any number, and not bits."""
    return np.isin(np.arange(game.observation_shape[2]), game.count_planes)


def board_of(game: Game, logits: jax.Array) -> jax.Array:
    """The observations float32 [M, H, W, C] that logits of them stand for."""
    return jnp.where(holds_numbers(game), logits, (logits > 0).astype(jnp.float32))


def _unrolled(made: _Model, options: MuZeroConfig, boards: bool, observation: jax.Array, moves: jax.Array) -> Foreseen:
    latent = made.represent(observation[:, 0])
    latents, rewards, discounts = [latent], [], []
    for number in range(moves.shape[1]):
        latent = BACK * latent + (1 - BACK) * jax.lax.stop_gradient(latent)
        latent, reward, discount = made.follow(latent, moves[:, number])
        latents.append(latent)
        rewards.append(reward)
        discounts.append(discount)
    likeness = None
    if options.consistency:
        came = [made.represent(observation[:, number]) for number in range(1, len(latents))]
        likeness = jnp.stack([made.likeness(*pair) for pair in zip(latents[1:], came, strict=True)], axis=1)
    return Foreseen(
        policy=jnp.stack([made.policy(latent) for latent in latents], axis=1),
        value=jnp.stack([made.value(latent) for latent in latents], axis=1),
        reward=jnp.stack(rewards, axis=1),
        discount=jnp.stack(discounts, axis=1),
        observation=jnp.stack([made.decode(latent) for latent in latents], axis=1) if boards else None,
        likeness=likeness,
    )
