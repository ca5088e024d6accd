"""Self-play: T moves in each of B games with the amplified model.

Playout cap randomisation (Wu: Accelerating Self-Play Learning in Go, 2019, section 3.1): a share of the moves is
searched fully and teaches the policy; the others are searched cheaply, without noise, so that more games end in the
same time. One coin a ply decides for all games of a device: with a coin for each game the batch would wait for its
full searches at every ply. Over plies and iterations the share is the same.

KataGo drops the positions of cheap moves. Here they are kept without a policy target, for the outcome of the game
says as much of their value as of any other's, and keeping them costs no byte.

A game that reaches its time limit is cut off, not over. The position in which it is cut off is searched like any
other, and taught, but no move is made there. Its target is then what the search found, and those of the positions
before lead back to that: never to 0, and never to the game that begins in its place.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.config import SelfPlayConfig
from azero.distill.core import Act, Amplifier, Learner, NewCache, Teach
from azero.replay import Approval, Position, pack, stored_policy
from azero.search import Amplified, Cache
from games.core import Game, State, rows_where


class Games(NamedTuple):
    """Games in flight."""

    state: State  # leaves [B, ...]
    ply: jax.Array  # int32 [B], moves made so far
    opening: jax.Array  # int32 [B], the game's first moves that are drawn at random


class Trajectory(NamedTuple):
    """T moves of B games."""

    position: Position  # leaves [T, B, ...], before the move
    actions: jax.Array  # int16 [T, B, K], the moves of largest weight in the policy target
    weights: jax.Array  # float16 [T, B, K], their weights; all 0 where the search was cheap
    search_value: jax.Array  # float32 [T, B], for the player to move
    made: jax.Array  # int16 [T, B], the move made
    chosen: jax.Array  # bool [T, B], the player chose the move; False where an opening drew it, or the game was cut off
    reward: jax.Array  # float32 [T, B], of the move, for its mover
    discount: jax.Array  # float32 [T, B], of the state after the move: -1, +1 or 0
    outcome: jax.Array  # float32 [T, B], reward of the first player where a game ended, else 0
    ended: jax.Array  # bool [T, B]
    approval: Approval | None = None  # leaves [T, B, ...], if the lesson has one


InFlight = tuple[Games, Cache | None]


def new_games(game: Game, config: SelfPlayConfig, count: int, key: jax.Array) -> Games:
    """`count` games at their start."""
    keys = jax.vmap(jax.random.split)(jax.random.split(key, count))
    opening = jax.vmap(lambda k: jax.random.randint(k, (), 0, config.opening_plies + 1))(keys[:, 0])
    return Games(jax.vmap(game.init)(keys[:, 1]), jnp.zeros(count, jnp.int32), opening)


def random_legal(legal: jax.Array, key: jax.Array) -> jax.Array:
    """One move drawn evenly from legal bool [B, A]: int32 [B]."""
    return jax.random.categorical(key, jnp.where(legal, 0.0, -jnp.inf)).astype(jnp.int32)


def make_answer(
    config: SelfPlayConfig, amplify: Amplifier, cheap: Amplifier | None
) -> Callable[[Learner, State, jax.Array, jax.Array], tuple[Amplified, jax.Array]]:
    """(learner, states [B], key of the coin, key) -> M2's answers, and whether they are from a full search, bool [].

    Args:
      cheap: as in `make_selfplay`.
    """

    def answer(learner: Learner, states: State, coin_key: jax.Array, key: jax.Array) -> tuple[Amplified, jax.Array]:
        if cheap is None:
            return amplify(learner, states, key), jnp.ones((), bool)
        full = jax.random.bernoulli(coin_key, config.full_share)
        return jax.lax.cond(full, amplify, cheap, learner, states, key), full

    return answer


def make_selfplay(
    config: SelfPlayConfig,
    game: Game,
    amplify: Amplifier,
    teach: Teach,
    entries: int,
    cheap: Amplifier | None = None,
    act: Act | None = None,
    new_cache: NewCache = lambda states: None,
) -> Callable[[Learner, Games, jax.Array], tuple[Games, Trajectory]]:
    """Self-play: (learner, games [B], key) -> (games [B], Trajectory [T, B]).

    Finished games restart in place; unfinished ones are handed back to go on.

    Args:
      amplify: M2, which makes the moves.
      teach: what is kept of its answers.
      entries: how many moves of a policy target are kept.
      cheap: the search of the moves beyond `config.full_share`; None searches all moves with `amplify`.
      act: who makes the moves, if not M2 alone.
      new_cache: where M2 finds what the network said earlier in the same T moves, if it can use that.
    """
    observe = jax.vmap(game.observe)
    step = jax.vmap(game.step)
    answer = make_answer(config, amplify, cheap)

    def choose(
        learner: Learner, cache: Cache | None, games: Games, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array, Amplified]:
        search_key, opening_key, act_key = jax.random.split(key, 3)
        coin_key = search_key  # not looked at where all searches are full
        if cheap is not None:
            coin_key, search_key = jax.random.split(search_key)
        amplified, full = answer(learner._replace(cache=cache), games.state, coin_key, search_key)
        in_opening = games.ply < games.opening
        own = act(learner, games.state, amplified, act_key) if act else amplified.action
        action = jnp.where(in_opening, random_legal(games.state.legal, opening_key), own)
        return action, ~in_opening, full, amplified

    def play_ply(learner: Learner, carry: InFlight, key: jax.Array) -> tuple[InFlight, Trajectory]:
        games, cache = carry
        choice_key, step_key, new_key, teach_key = jax.random.split(key, 4)
        count = games.ply.shape[0]
        before = games.state
        action, chosen, full, amplified = choose(learner, cache, games, choice_key)
        after = step(before, action, jax.random.split(step_key, count))
        if game.time_limit:
            cut = games.ply >= game.time_limit
            chosen &= ~cut
            after = _cut_off(after, cut)
        lesson = teach(learner, before, amplified, teach_key)
        actions, weights = stored_policy(jnp.where(full, lesson.policy, 0.0), entries)
        approval = None
        if lesson.approval is not None:
            q = jnp.take_along_axis(lesson.approval, actions.astype(jnp.int32), axis=-1).astype(jnp.float16)
            approval = Approval(q, amplified.value, jnp.where(chosen, action, -1).astype(jnp.int16))
        played = Trajectory(
            position=jax.vmap(lambda view, legal: pack(game, view, legal))(observe(before), before.legal),
            actions=actions,
            weights=weights,
            search_value=amplified.value,
            made=action.astype(jnp.int16),
            chosen=chosen,
            reward=after.reward,
            discount=after.discount,
            outcome=jnp.where(after.terminal, after.reward * (1 - 2 * before.to_play), 0.0),
            ended=after.terminal,
            approval=approval,
        )
        going_on = Games(after, games.ply + 1, games.opening)
        fresh = new_games(game, config, count, new_key)
        return (rows_where(after.terminal, fresh, going_on), amplified.cache), played

    def play(learner: Learner, games: Games, key: jax.Array) -> tuple[Games, Trajectory]:
        keys = jax.random.split(key, config.plies)
        carry = games, new_cache(games.state)
        (games, _), trajectory = jax.lax.scan(lambda carry, ply_key: play_ply(learner, carry, ply_key), carry, keys)
        return games, trajectory

    return play


def _cut_off(after: State, cut: jax.Array) -> State:
    """The states [B] after a move; where bool [B] a game is cut off before it, its end, without a reward."""
    nothing = jnp.zeros_like(after.reward)
    return after._replace(
        reward=jnp.where(cut, nothing, after.reward),
        discount=jnp.where(cut, nothing, after.discount),
        terminal=after.terminal | cut,
    )
