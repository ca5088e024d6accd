"""Games that the student plays by itself, without a search: what it meets there is what it will have to answer."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.distill.core import log_policy
from azero.network import Network, Params
from games.core import Game, State, rows_where


class OwnGames(NamedTuple):
    """The student's games in flight."""

    state: State  # leaves [B, ...], in none of which the game is over
    ply: jax.Array  # int32 [B], moves made so far


def begin_own_games(game: Game, count: int, key: jax.Array) -> OwnGames:
    """`count` games at their start."""
    return OwnGames(jax.vmap(game.init)(jax.random.split(key, count)), jnp.zeros(count, jnp.int32))


def make_own_play(
    game: Game, network: Network, plies: int
) -> Callable[[Params, OwnGames, jax.Array], tuple[OwnGames, State]]:
    """(the student's params, games [B], key) -> the games after `plies` moves more, and a position of each [B].

    Moves are drawn from the student's policy. The positions are those that it chose a move in, each of a game's `plies`
    as likely as the others. Games that end begin anew in place.
    """

    def choose(params: Params, states: State, key: jax.Array) -> jax.Array:
        logits, _ = network.apply(params, jax.vmap(game.observe)(states))
        return jax.random.categorical(key, log_policy(logits, states.legal)).astype(jnp.int32)

    def play(params: Params, games: OwnGames, key: jax.Array) -> tuple[OwnGames, State]:
        count = games.ply.shape[0]
        when_key, play_key = jax.random.split(key)
        when = jax.random.randint(when_key, (count,), 0, plies)

        def move(carry: tuple[OwnGames, State], number: jax.Array) -> tuple[tuple[OwnGames, State], None]:
            games, met = carry
            move_key, step_key, new_key = jax.random.split(jax.random.fold_in(play_key, number), 3)
            met = rows_where(when == number, games.state, met)
            action = choose(params, games.state, move_key)
            after = OwnGames(jax.vmap(game.step)(games.state, action, jax.random.split(step_key, count)), games.ply + 1)
            over = after.state.terminal
            if game.time_limit:
                over |= after.ply >= game.time_limit
            return (rows_where(over, begin_own_games(game, count, new_key), after), met), None

        (games, met), _ = jax.lax.scan(move, (games, games.state), jnp.arange(plies))
        return games, met

    return play
