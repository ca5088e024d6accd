"""Policy-value networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.config import NetworkConfig
from azero.network import make_network, named, unnamed

GAME = games.make("connect_four_4x4")
CONFIGS = {
    "mlp": NetworkConfig(width=16, blocks=2),
    "mlp_plain": NetworkConfig(width=16, blocks=1, norm=False),
    "resnet": NetworkConfig(kind="resnet", width=8, blocks=2),
    "bfloat16": NetworkConfig(kind="resnet", width=8, blocks=1, dtype="bfloat16"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_shapes_dtypes_and_range(config):
    network = make_network(config, GAME)
    params = network.init(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    boards = jax.random.bernoulli(jax.random.key(1), 0.3, (5, 4, 4, 2)).astype(jnp.float32)
    logits, value = jax.jit(network.apply)(params, boards)
    assert (logits.shape, logits.dtype, value.shape, value.dtype) == ((5, 4), jnp.float32, (5,), jnp.float32)
    assert (jnp.abs(value) <= 1).all()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_position_is_judged_alone(config):
    """Normalisation by layer: the other rows of a batch do not matter."""
    network = make_network(config, GAME)
    params = network.init(jax.random.key(0))
    boards = jax.random.bernoulli(jax.random.key(1), 0.3, (4, 4, 4, 2)).astype(jnp.float32)
    together, _ = network.apply(params, boards)
    alone, _ = network.apply(params, boards[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-5 if config.dtype == "float32" else 2e-2)


def test_weights_have_names_and_come_back():
    network = make_network(CONFIGS["resnet"], GAME)
    params = network.init(jax.random.key(0))
    arrays = named(params)
    assert "blocks.1.first.kernel" in arrays
    back = unnamed(dict(reversed(arrays.items())), params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("value.bias"), "weight value.bias is missing"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), "weight extra is unknown"),
        (
            lambda arrays: arrays.update({"value.bias": np.zeros(3)}),
            r"value.bias has shape \(3,\), the network needs \(1,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message):
    params = make_network(CONFIGS["mlp"], GAME).init(jax.random.key(0))
    arrays = dict(named(params))
    change(arrays)
    with pytest.raises(ValueError, match=message):
        unnamed(arrays, params)
