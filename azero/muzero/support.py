"""Numbers as distributions over a few fixed ones.

A number is pressed together by a scale that grows like a root, and then shared between the two fixed numbers next to
it. Schrittwieser et al. 2020, appendix F; the scale is that of Pohlen et al.: Observe and look further (2018).
"""

import jax
import jax.numpy as jnp

EPSILON = 0.001  # keeps the scale invertible where it is flat


def pressed(x: jax.Array) -> jax.Array:
    """sign(x) (sqrt(|x| + 1) - 1) + EPSILON x."""
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1) - 1) + EPSILON * x


def stretched(y: jax.Array) -> jax.Array:
    """The inverse of `pressed`."""
    size = jnp.abs(y)
    # The root of EPSILON s^2 + s - (1 + EPSILON + size) = 0 is s = sqrt(|x| + 1), in the form that loses no digits.
    rest = 1 + EPSILON + size
    root = 2 * rest / (1 + jnp.sqrt(1 + 4 * EPSILON * rest))
    return jnp.sign(y) * (jnp.square(root) - 1)


def atoms(largest: float, bins: int) -> jax.Array:
    """The fixed numbers, pressed: float32 [bins], evenly from -pressed(largest) to pressed(largest); bins is odd."""
    end = pressed(jnp.float32(largest))
    return end * jnp.linspace(-1, 1, bins)


def two_hot(x: jax.Array, among: jax.Array) -> jax.Array:
    """Numbers float32 [...] as weights [..., bins] of the two atoms next to them; those beyond the ends are clipped."""
    place = (jnp.clip(pressed(x), among[0], among[-1]) - among[0]) / (among[1] - among[0])
    return jnp.maximum(0, 1 - jnp.abs(place[..., None] - jnp.arange(among.shape[0])))


def expected(logits: jax.Array, among: jax.Array) -> jax.Array:
    """The number float32 [...] that a distribution of logits [..., bins] stands for."""
    return stretched((jax.nn.softmax(logits) * among).sum(axis=-1))
