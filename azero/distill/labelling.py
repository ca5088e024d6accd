"""Who says which of two answers is better, and which two are asked about."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import Config, RewardConfig
from azero.distill.comparisons import Pair, add_comparisons, play_lines, read_comparisons
from azero.distill.core import Amplifier, Gather, Learner, Models, log_policy
from azero.distill.own_games import make_own_play
from azero.distill.reward_networks import Fit, rewards_of_moves
from azero.network import Network
from azero.overseers import make_overseer
from games.core import Game, State

CANDIDATES = 8  # pairs looked at for one that the networks disagree on
PAIRS, LINES, VALUES, LABELS, FIT, WATCH, OWN = range(7)  # purposes of an iteration's key
Values = Callable[[Learner, State, jax.Array], Any]
# (learner, states [M], key) -> values [M] for the player to move; where the game is over they are not looked at


def check_labels(config: Config, game: Game) -> None:
    """Refuses labels that there cannot be.

    Raises:
      ValueError: there is no such labeller for this game, or a file of comparisons that cannot be read.
    """
    match config.reward.labels:
        case "oracle":
            _exact(game)
        case "overseer":
            make_overseer(config.reward.overseer, game)
        case "file":
            read_comparisons(game, config.reward.file)


def _exact(game: Game) -> Callable[[State], tuple[np.ndarray, np.ndarray]]:
    oracle = game.oracle() if game.oracle else None
    if oracle is None or oracle.q is None:
        raise ValueError(f"reward.labels oracle needs the exact value of every position, which {game.name} has not")
    return oracle.q


def make_values(config: Config, game: Game, amplify: Amplifier) -> Values:
    """What a position is worth to him who labels.

    Raises:
      ValueError: there is no such labeller for this game.
    """
    labels = config.reward.labels
    if labels == "oracle":
        exact = _exact(game)
        return lambda learner, states, key: exact(jax.device_get(states))[0].max(axis=1).astype(np.float32)
    if labels == "overseer":
        overseer = make_overseer(config.reward.overseer, game)
        said = jax.jit(lambda states, key: jnp.where(states.legal, overseer.answers(states, key)[1], -2.0).max(axis=-1))
        return lambda learner, states, key: said(states, key)
    return jax.jit(lambda learner, states, key: amplify(learner, states, key).value)


def drawn_labels(config: RewardConfig, first: jax.Array, second: jax.Array, key: jax.Array) -> jax.Array:
    """1.0 where the first of two lines is said to be better, float32 [M]: Bradley-Terry in the values [M] of the two
    for him who began, and a share `noise` of them turned round."""
    chance_key, noise_key = jax.random.split(key)
    preferred = jax.random.bernoulli(chance_key, jax.nn.sigmoid((first - second) / config.temperature))
    return (preferred ^ jax.random.bernoulli(noise_key, config.noise, preferred.shape)).astype(jnp.float32)


def two_moves(legal: jax.Array, key: jax.Array) -> jax.Array:
    """Two different moves of each position, int32 [2, M], from legal [M, A] with two legal moves or more."""
    return jax.lax.top_k(jnp.where(legal, jax.random.gumbel(key, legal.shape), -jnp.inf), 2)[1].T.astype(jnp.int32)


def make_gather(config: Config, game: Game, network: Network, reward: Network, fit: Fit, amplify: Amplifier) -> Gather:
    """Once an iteration: new comparisons, if they are due, and the networks fitted to all there are.

    Args:
      reward: one of the reward networks.
      amplify: M2, as the labeller asks it.

    Raises:
      ValueError: no labeller, or a file of comparisons that cannot be read.
    """
    options = config.reward
    written = read_comparisons(game, options.file) if options.labels == "file" else None
    values = make_values(config, game, amplify)
    own_play = jax.jit(make_own_play(game, network, config.selfplay.plies))

    @jax.jit
    def chosen_pairs(learner: Learner, states: State, key: jax.Array) -> tuple[State, jax.Array]:
        """Positions with a choice, and two moves in each."""
        row_key, move_key = jax.random.split(key)
        open_still = ~states.terminal & (states.legal.sum(axis=-1) > 1)
        logits = jnp.where(open_still, 0.0, -jnp.inf)
        rows = jax.random.categorical(row_key, logits, shape=(options.comparisons,))
        asked = jax.tree.map(lambda leaf: leaf[rows], states)
        if options.pairs == "random":
            return asked, two_moves(asked.legal, move_key)
        given = rewards_of_moves(game, reward, learner.models["rewards"], asked)
        keys = jax.random.split(move_key, CANDIDATES)
        moves = jax.vmap(lambda each: two_moves(asked.legal, each))(keys)  # [C, 2, M]
        both = given[:, jnp.arange(options.comparisons), moves]  # [K, C, 2, M]
        chance = jax.nn.sigmoid((both[:, :, 0] - both[:, :, 1]) / options.temperature)
        best = chance.std(axis=0).argmax(axis=0)
        return asked, moves[best, :, jnp.arange(options.comparisons)].T

    @jax.jit
    def lines(learner: Learner, states: State, moves: jax.Array, key: jax.Array) -> Pair:
        def go_on(at: State, move_key: jax.Array) -> jax.Array:
            logits, _ = network.apply(learner.params, jax.vmap(game.observe)(at))
            return jax.random.categorical(move_key, log_policy(logits, at.legal)).astype(jnp.int32)

        return play_lines(game, states, moves, options.line, go_on, key)

    @jax.jit
    def labelled(pair: Pair, worth: jax.Array, key: jax.Array) -> jax.Array:
        worth = jnp.where(pair.ended, pair.result, pair.result + pair.sign * worth.reshape(pair.sign.shape))
        return drawn_labels(options, worth[0], worth[1], key)

    add = jax.jit(lambda store, pair, first: add_comparisons(game, store, pair, first))

    def asked(learner: Learner, states: State, keys: jax.Array) -> Models:
        """The models with a round of comparisons more."""
        if written is not None:
            positions, moves, first = written
            pair = lines(learner, positions, moves, keys[LINES])
        else:
            if options.states == "student":
                own, states = own_play(learner.params, learner.models["own_games"], keys[OWN])
                learner = learner._replace(models=learner.models | {"own_games": own})
            positions, moves = chosen_pairs(learner, states, keys[PAIRS])
            pair = lines(learner, positions, moves, keys[LINES])
            ends = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), pair.states)
            first = labelled(pair, values(learner, ends, keys[VALUES]), keys[LABELS])
        return learner.models | {"comparisons": add(learner.models["comparisons"], pair, first)}

    def gather(learner: Learner, states: State, key: jax.Array) -> tuple[Models, dict[str, jax.Array]]:
        keys = jax.random.split(key, 7)
        number = int(learner.iteration)
        again = options.every > 0 and number % options.every == 0 and written is None
        models = asked(learner, states, keys) if number == 1 or again else learner.models
        return fit.watch(fit.learn(models, keys[FIT]), keys[WATCH])

    return gather
