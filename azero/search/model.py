"""What a tree is searched with: how one position follows another, and what a position is worth."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.network import Network, Params
from azero.search.cache import Cache, Look, Recall, make_recall
from games.core import Chance, Game, State

Evaluate = Callable[[Params, State, jax.Array], tuple[jax.Array, jax.Array]]
# (params, states [B], key) -> logits float32 [B, A] over all actions, legal or not,
# and values float32 [B] for the player to move


class Model(NamedTuple):
    """The rules with a judge of positions, or what a network has learned in their place."""

    num_actions: int
    step: Callable[[Params, State, jax.Array, jax.Array], State]  # params, states [B], actions int32 [B], key
    evaluate: Evaluate
    root: Callable[[Params, State], State] = lambda params, states: states
    # params, positions [B] of the game -> as a tree holds them
    chance: Chance | None = None  # of batches; a tree then goes to every outcome by its probability, and not by `step`
    bounded: bool = (
        False  # every return is in [-1, 1], as in games for two by their rules; what is learned can overshoot
    )

    recall: Recall | None = None  # `evaluate` with a cache; None where that is not what a network says of the position

    def judge(
        self, cache: Cache | None, params: Params, states: State, wanted: jax.Array, key: jax.Array
    ) -> tuple[Cache | None, jax.Array, jax.Array]:
        """`evaluate` with a cache where there is one; rows that are not wanted, bool [B], may get any numbers.

        Raises:
          ValueError: there is a cache, but this model cannot use one.
        """
        if cache is None:
            return cache, *self.evaluate(params, states, key)
        if self.recall is None:
            raise ValueError("only a search with the rules and a network alone can use an evaluation cache")
        return self.recall(cache, params, states, wanted)

    @property
    def outcomes(self) -> int:
        """O, 0 without chance."""
        return self.chance.outcomes if self.chance else 0

    @property
    def nodes(self) -> int:
        """The most nodes that one simulation adds to a tree."""
        return 2 if self.chance else 1

    @property
    def widest(self) -> int:
        """The most edges that a node can have."""
        return max(self.num_actions, self.outcomes)


def by_rules(game: Game, evaluate: Evaluate) -> Model:
    """The rules of a game, and any judge of its positions."""
    step = jax.vmap(game.step)

    def follow(params: Params, states: State, actions: jax.Array, key: jax.Array) -> State:
        del params
        return step(states, actions, jax.random.split(key, actions.shape[0]))

    chance = _of_batches(game.chance) if game.chance else None
    return Model(game.num_actions, follow, evaluate, chance=chance, bounded=game.num_players == 2)


def _of_batches(chance: Chance) -> Chance:
    """The halves of moves for states [B]."""
    return chance._replace(
        after=jax.vmap(chance.after), probabilities=jax.vmap(chance.probabilities), happen=jax.vmap(chance.happen)
    )


def by_network(game: Game, network: Network) -> Model:
    """What the trees of this network are searched with: the rules, or its own dynamics where it has learned some."""
    if network.dynamics is None:
        return by_rules(game, network_evaluate(game, network))._replace(recall=make_recall(_look(game, network)))
    represent, follow, predict = network.dynamics

    def root(params: Params, states: State) -> State:
        return states._replace(board=represent(params, jax.vmap(game.observe)(states)))

    def step(params: Params, states: State, actions: jax.Array, key: jax.Array) -> State:
        """Which moves are legal there, and so all of them, the network cannot say; its prior does."""
        del key
        latent, reward, discount, terminal = follow(params, states.board, actions)
        return State(
            board=latent,
            to_play=jnp.where(discount < 0, 1 - states.to_play, states.to_play),
            legal=jnp.ones_like(states.legal),
            reward=reward,
            discount=discount,
            terminal=terminal,
        )

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        return _sound(*predict(params, states.board))

    return Model(game.num_actions, step, evaluate, root)


def network_evaluate(game: Game, network: Network) -> Evaluate:
    """The network as the judge of leaves."""
    look = _look(game, network)

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        return look(params, states)

    return evaluate


def _look(game: Game, network: Network) -> Look:
    """What a network says of positions of the game."""
    observe = jax.vmap(game.observe)
    return lambda params, states: _sound(*network.apply(params, observe(states)))


def _sound(logits: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same; where a logit is not a number the value is none either."""
    return logits, value + 0.0 * logits.sum(axis=-1)
