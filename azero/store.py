"""What self-play leaves to learn from: single positions with their targets, or whole sequences for a learned model."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from azero import replay
from azero.config import Config
from azero.distill import Distiller, Learner, make_distiller
from azero.hosted import states_of
from azero.muzero import sequences
from azero.muzero.learning import make_learned
from azero.muzero.network import Unroller, make_unroller
from azero.network import Network, make_network
from azero.search import make_search
from azero.selfplay import Trajectory
from azero.targets import samples
from games.core import Game


class Store(NamedTuple):
    """A ring, each device with its part. `Kept` is a Replay or a Sequences."""

    empty: Callable[[], Any]  # () -> Kept
    add: Callable[[Any, Learner, Trajectory, jax.Array, jax.Array], Any]
    # Kept, learner, trajectory [T, B], network's value of the positions after it [B], key -> Kept
    window: Callable[[Any], jax.Array]  # Kept -> int32 [], how many of the newest positions are drawn from
    draw: Callable[[Any, jax.Array, int, jax.Array], Any]  # Kept, of how many, count, key -> a batch for the loss


Lessons = tuple[Network, Distiller, Store]


def make_lessons(config: Config, game: Game, devices: int) -> Lessons:
    """The network, the way to learn and the store that belong together.

    Raises:
      ValueError: the config asks for what this game does not have.
    """
    if config.model == "rules":
        network = make_network(config.network, game)
        distiller = make_distiller(config, game, network)
        return network, distiller, of_positions(config, game, devices, distiller.approves)
    return of_model(config, game, devices, make_unroller(config, game))


def of_model(config: Config, game: Game, devices: int, unroller: Unroller) -> Lessons:
    """A learned model, and all that it learns by."""
    distiller = make_learned(config, game, unroller)
    return unroller.network, distiller, of_sequences(config, game, devices, unroller.network, distiller)


def of_positions(config: Config, game: Game, devices: int, approval: bool) -> Store:
    """Positions with their targets."""

    def add(
        kept: replay.Replay, learner: Learner, trajectory: Trajectory, after: jax.Array, key: jax.Array
    ) -> replay.Replay:
        del learner, key
        return replay.add(kept, samples(config.targets, trajectory, after))

    return Store(
        empty=lambda: replay.empty(game, config.replay, devices, approval),
        add=add,
        window=lambda kept: replay.window(kept.samples.value.shape[0], kept.added[0], config.replay, devices),
        draw=lambda kept, size, count, key: replay.draw(kept, game, size, count, key),
    )


def of_sequences(config: Config, game: Game, devices: int, network: Network, distiller: Distiller) -> Store:
    """Sequences, of which a share is searched anew in every iteration."""
    asked = round(config.muzero.reanalyse * config.selfplay.games * config.selfplay.plies / devices)
    seen = game._replace(observe=lambda state: state.board)  # of a stored position the observation is all there is
    search = make_search(config.search, seen, network, explore=True)

    def window(kept: sequences.Sequences) -> jax.Array:
        games, room = kept.priority.shape
        return replay.window(games * room, games * kept.added[0], config.replay, devices)

    def add(
        kept: sequences.Sequences, learner: Learner, trajectory: Trajectory, after: jax.Array, key: jax.Array
    ) -> sequences.Sequences:
        del after
        kept = sequences.add(kept, trajectory)
        if asked:
            kept = reanalysed(kept, learner, key)
        return sequences.errors(kept, config) if config.muzero.priority else kept

    def reanalysed(kept: sequences.Sequences, learner: Learner, key: jax.Array) -> sequences.Sequences:
        draw_key, search_key, teach_key = jax.random.split(key, 3)
        row, place, view, legal = sequences.some(kept, game, window(kept), asked, draw_key)
        states = states_of(view, game.num_actions)._replace(legal=legal)
        amplified = search(learner.params, states, search_key)
        policy = distiller.teach(learner, states, amplified, teach_key).policy
        return sequences.refreshed(kept, row, place, policy, amplified.value, config.replay.actions)

    return Store(
        empty=lambda: sequences.empty(game, config, devices),
        add=add,
        window=window,
        draw=lambda kept, size, count, key: sequences.draw(kept, game, config, size, count, key),
    )
