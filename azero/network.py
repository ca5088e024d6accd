"""Policy-value networks on flax nnx, as records of pure functions.

The network normalises by layer, never by batch: a position's answer depends on that position alone, so search,
self-play on many devices and exact resume need no running statistics.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from azero.config import NetworkConfig
from games.core import Game

Params = Any


Latent = jax.Array  # float32 [M, ...], what a network with dynamics makes of positions


class Dynamics(NamedTuple):
    """What a network has learned in place of the rules. Values and rewards are as a tree adds them up."""

    represent: Callable[[Params, jax.Array], Latent]  # params, observations float32 [M, H, W, C]
    step: Callable[[Params, Latent, jax.Array], tuple[Latent, jax.Array, jax.Array, jax.Array]]
    # params, latents, actions int32 [M] -> latents after the moves; as in a State, reward, discount and terminal [M]
    predict: Callable[[Params, Latent], tuple[jax.Array, jax.Array]]  # logits float32 [M, A], values float32 [M]


class Network(NamedTuple):
    """init: key -> params (a plain pytree of float32 arrays).

    apply: params, observations float32 [M, H, W, C] -> policy logits float32 [M, A] over all actions, legal or not,
    and values float32 [M] for the player to move, in [-1, 1] where there are no dynamics.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]]
    dynamics: Dynamics | None = None  # its trees are searched with these, if it has any, and else with the rules
    decode: Callable[[Params, Latent], jax.Array] | None = None
    # params, latents -> logits float32 [M, H, W, C] of the observations that they stand for, if it foresees boards


class Block(nnx.Module):
    """Two layers and a way around them."""

    def __init__(self, make_layer: Callable[[], Any], make_norm: Callable[[], Any]):
        self.norm = make_norm()
        self.first = make_layer()
        self.second = make_layer()

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.second(nnx.relu(self.first(self.norm(x))))


class Layers:
    """What a network is built of: dense layers over the whole board, or 3 x 3 convolutions."""

    def __init__(self, config: NetworkConfig, rngs: nnx.Rngs):
        self.config, self.rngs, self.dtype = config, rngs, jnp.dtype(config.dtype)
        self.flat = config.kind == "mlp"

    def layer(self, inputs: int, outputs: int) -> Any:
        if self.flat:
            return nnx.Linear(inputs, outputs, dtype=self.dtype, rngs=self.rngs)
        return nnx.Conv(inputs, outputs, (3, 3), dtype=self.dtype, rngs=self.rngs)

    def stem(self, shape: tuple[int, int, int]) -> Any:
        """The layer on an observation of this shape."""
        made = self.layer(math.prod(shape) if self.flat else shape[-1], self.config.width)
        # An empty board is all zeros; without a bias the normalisation would blow its gradient up a hundredfold.
        made.bias[...] = 0.1 * jax.random.normal(self.rngs.params(), made.bias.shape)
        return made

    def norm(self) -> Any:
        if not self.config.norm:
            return _same
        return nnx.LayerNorm(self.config.width, dtype=self.dtype, rngs=self.rngs)

    def blocks(self) -> nnx.List:
        width = self.config.width
        return nnx.List([Block(lambda: self.layer(width, width), self.norm) for _ in range(self.config.blocks)])


class _Tower(nnx.Module):
    """A first layer, residual blocks, and the two heads."""

    def __init__(self, config: NetworkConfig, game: Game, rngs: nnx.Rngs):
        height, width, _ = game.observation_shape
        layers = Layers(config, rngs)
        dtype, self.flat = layers.dtype, layers.flat
        self.stem = layers.stem(game.observation_shape)
        self.blocks = layers.blocks()
        self.norm = layers.norm()
        features = config.width
        if not self.flat:
            # Few channels before the heads' dense layers keep them small beside the tower.
            self.squeeze = nnx.Conv(config.width, 8, (1, 1), dtype=dtype, rngs=rngs)
            features = 8 * height * width
        self.policy = nnx.Linear(features, game.num_actions, dtype=jnp.float32, rngs=rngs)
        self.value_hidden = nnx.Linear(features, 64, dtype=dtype, rngs=rngs)
        self.value = nnx.Linear(64, 1, dtype=jnp.float32, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.flat:
            x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = nnx.relu(self.norm(x))
        if not self.flat:
            x = nnx.relu(self.squeeze(x)).reshape(x.shape[0], -1)
        value = self.value(nnx.relu(self.value_hidden(x)))
        return self.policy(x).astype(jnp.float32), jnp.tanh(value[..., 0].astype(jnp.float32))


def _same(x: jax.Array) -> jax.Array:
    return x


def make_network(config: NetworkConfig, game: Game) -> Network:
    """The network of this config for this game."""

    def build(key: jax.Array) -> _Tower:
        return _Tower(config, game, nnx.Rngs(key))

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(jax.random.key(0))))

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(build(key), nnx.Param))

    def apply(params: Params, observations: jax.Array) -> tuple[jax.Array, jax.Array]:
        return nnx.merge(graph, nnx.State(params))(observations)

    return Network(init, apply)


def parameter_count(params: Params) -> int:
    """Numbers in a pytree of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def named(params: Params) -> dict[str, jax.Array]:
    """The arrays under dotted names ("blocks.0.first.kernel"), as they lie in a weights file."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {".".join(str(part.key) for part in path): leaf for path, leaf in leaves}


def unnamed(arrays: Mapping[str, Any], like: Params) -> Params:
    """The inverse of `named`, with names and shapes checked against `like` (arrays or their shapes).

    Raises:
      ValueError: an array is missing, left over, or of another shape; the message names the first.
    """
    wanted = named(like)
    for name in sorted(wanted.keys() ^ arrays.keys()):
        raise ValueError(f"weight {name} is {'missing' if name in wanted else 'unknown to this network'}")
    for name, leaf in wanted.items():
        if arrays[name].shape != leaf.shape:
            raise ValueError(f"weight {name} has shape {arrays[name].shape}, the network needs {leaf.shape}")
    leaves = [jnp.asarray(arrays[name]) for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
