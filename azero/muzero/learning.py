"""How a model learns: unrolled along the moves that were made, each step against what came of them."""

import jax
import jax.numpy as jnp

from azero.config import Config
from azero.distill import Distiller, make_distiller
from azero.distill.core import Learner, Losses, expectation
from azero.muzero.network import Foreseen, Unroller, holds_numbers
from azero.muzero.sequences import Unrolled
from azero.muzero.support import atoms, expected, two_hot
from games.core import Game


def make_learned(config: Config, game: Game, unroller: Unroller) -> Distiller:
    """The distiller of a learned model: the search is asked as ever, the loss is that of the whole unroll."""
    options, fixed = config.muzero, atoms(config.muzero.value_range, config.muzero.bins)

    def loss(learner: Learner, batch: Unrolled, key: jax.Array) -> tuple[jax.Array, Losses]:
        del key
        params = unroller.held(learner.params, learner.iteration)
        foreseen = unroller.unroll(params, batch.observation, batch.moves)
        parts = _parts(game, batch, foreseen, fixed)
        # As a share of the range: what is far off in one game is near in another, and runs stop where it is beyond all.
        value = jnp.square((expected(foreseen.value[:, 0], fixed) - batch.value[:, 0]) / options.value_range)
        policy = parts.pop("policy")
        whole = policy + config.distill.value_weight * parts["value_crossed"] + parts["reward"] + parts["discount"]
        whole += parts.get("board", 0.0) + options.consistency * parts.get("likeness", 0.0)
        return whole, _losses(batch, foreseen, policy, value.mean(), parts)

    made = make_distiller(config, game, unroller.network)
    return made._replace(loss=loss, cost=made.cost._replace(sample=3.0 * options.unroll))


def _parts(game: Game, batch: Unrolled, foreseen: Foreseen, fixed: jax.Array) -> dict[str, jax.Array]:
    """The losses of an unroll, float32 []: of the first position whole, of the K after it their mean."""
    steps = batch.moves.shape[1]
    share = jnp.full(steps + 1, 1 / steps).at[0].set(1.0)

    def over(rows: jax.Array, counted: jax.Array) -> jax.Array:
        """The mean over a batch of rows [M, K or K + 1], where bool [M, K or K + 1] says so."""
        return (jnp.where(counted, rows, 0.0) * share[-rows.shape[1] :] * batch.weight[:, None]).sum(axis=1).mean()

    def crossed(target: jax.Array, logits: jax.Array) -> jax.Array:
        return -expectation(target, jax.nn.log_softmax(logits))

    parts = {
        "policy": over(crossed(batch.policy, foreseen.policy), batch.inside),
        "value_crossed": over(crossed(two_hot(batch.value, fixed), foreseen.value), batch.inside),
        "reward": over(crossed(two_hot(batch.reward, fixed), foreseen.reward), batch.moved),
        "discount": over(jnp.square(foreseen.discount - batch.discount), batch.moved),
    }
    if foreseen.likeness is not None:
        parts["likeness"] = over(-foreseen.likeness, batch.moved & batch.inside[:, 1:])
    if foreseen.observation is not None:
        parts["board"] = over(_of_boards(game, foreseen.observation, batch.observation), batch.inside)
    return parts


def _of_boards(game: Game, logits: jax.Array, observation: jax.Array) -> jax.Array:
    """Cross-entropy of the cells in nats, and squared error of the counts, [M, K + 1]: their means over the board."""
    cells = jnp.logaddexp(0.0, logits) - observation * logits
    return jnp.where(holds_numbers(game), jnp.square(logits - observation), cells).mean(axis=(2, 3, 4))


def _losses(
    batch: Unrolled, foreseen: Foreseen, policy: jax.Array, value: jax.Array, parts: dict[str, jax.Array]
) -> Losses:
    taught = batch.policy[:, 0].any(axis=-1)
    rows = jnp.maximum(taught.sum(), 1)
    spread = jnp.where(taught, jax.scipy.special.entr(batch.policy[:, 0]).sum(axis=-1), 0).sum() / rows
    logs = jax.nn.log_softmax(foreseen.policy[:, 0])
    crossed = jnp.where(taught, -expectation(batch.policy[:, 0], logs), 0).sum() / rows
    return Losses(policy, value, spread, crossed - spread, {f"{name}_loss": part for name, part in parts.items()})
