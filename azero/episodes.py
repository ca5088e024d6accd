"""Games for one player, from start to end, side by side: what they bring."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import GIVEN_UP, Answers, in_batches
from azero.hosted import states_of
from azero.score import Z
from games.core import Game, State


class Episodes(NamedTuple):
    """N episodes."""

    returns: np.ndarray  # float32 [N], sum of the rewards, undiscounted, in the environment's units
    lengths: np.ndarray  # int32 [N], moves
    cut: np.ndarray  # bool [N], cut off by the time limit
    last: State  # leaves [N, ...], the positions in which they ended

    def figures(self) -> dict[str, Any]:
        """For JSON: `episodes`, `mean_return` with its 95 % `interval` (None for one episode), `min`, `max`, `cut`,
        how many were cut off, and of their lengths `mean_length`, `min_length`, `max_length`.

        The interval is that of a normal distribution.
        """
        count = len(self.returns)
        mean = float(self.returns.mean(dtype=np.float64))
        interval = None
        if count > 1:
            half = Z * float(self.returns.std(dtype=np.float64, ddof=1)) / math.sqrt(count)
            interval = [mean - half, mean + half]
        return {
            "episodes": count,
            "mean_return": mean,
            "interval": interval,
            "min": float(self.returns.min()),
            "max": float(self.returns.max()),
            "cut": int(self.cut.sum()),
            "mean_length": float(self.lengths.mean()),
            "min_length": int(self.lengths.min()),
            "max_length": int(self.lengths.max()),
        }


def play_episodes(
    game: Game,
    answers: Answers,
    episodes: int,
    seed: int = 0,
    sampled: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Episodes:
    """Plays `episodes` games for one in one batch, to their ends or to the time limit.

    Every position is answered anew, for what a search kept of the moves before need not be what chance made of them.
    The chances of a game follow from the seed and its number, whoever plays it.

    Args:
      sampled: draw the moves from the policy of the answers, in place of those that they choose.
      progress: called after every ply with the games that have ended and their number.

    Raises:
      ValueError: the game is not for one, no episode is asked for, or the player gives up.
    """
    if game.num_players != 1:
        raise ValueError(f"{game.name} is a game for {game.num_players} players; episodes are of games for one")
    if episodes < 1:
        raise ValueError(f"episodes must be 1 or more, not {episodes}")
    init, step = _on_host(game, episodes, seed) if game.host else _batched(game.init, game.step)
    chances, thoughts = jax.random.split(jax.random.key(seed))
    ask = in_batches(answers, episodes)
    states = init(chances, np.arange(episodes))
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int32)
    over = np.zeros(episodes, bool)
    for ply in range(game.time_limit or game.max_plies):
        going_on = np.flatnonzero(~over)
        action_key, answer_key = jax.random.split(jax.random.fold_in(thoughts, ply))
        answer = ask(states, answer_key, going_on)
        chosen = _drawn(answer.policy, action_key) if sampled else answer.action
        if (chosen == GIVEN_UP).any():
            raise ValueError(f"a player gave up after {ply} moves: {answer.reason(int((chosen == GIVEN_UP).argmax()))}")
        actions = np.zeros(episodes, np.int32)
        actions[going_on] = chosen
        states = step(states, actions, chances, np.int32(ply))
        returns += np.asarray(states.reward, np.float64)  # of games that are over it is 0
        lengths[going_on] += 1
        over = np.asarray(states.terminal)
        if progress:
            progress(int(over.sum()), episodes)
        if over.all():
            break
    # Where a host has cut an episode off it is over, but what would have come is not worth 0.
    cut = ~over | (np.asarray(states.discount) != 0)
    return Episodes((returns / game.reward_scale).astype(np.float32), lengths, cut, jax.device_get(states))


def _drawn(policy: np.ndarray, key: jax.Array) -> np.ndarray:
    """One move from each policy [N, A]: int32 [N]."""
    noise = np.asarray(jax.random.gumbel(key, policy.shape))
    with np.errstate(divide="ignore"):
        return (np.log(policy) + noise).argmax(axis=-1).astype(np.int32)


def _on_host(game: Game, episodes: int, seed: int) -> tuple[Callable[..., State], ...]:
    """The same as `_batched`, of environments that the host steps; each is seeded from `seed` and its number."""
    assert game.host is not None
    envs, discount = game.host.begin(episodes), game.host.discount
    seeds = [int(np.random.SeedSequence((seed, number)).generate_state(1)[0]) for number in range(episodes)]

    def begin(key: jax.Array, numbers: np.ndarray) -> State:
        return states_of(envs.begin(np.ones(len(numbers), bool), seeds), game.num_actions)

    def go_on(states: State, actions: np.ndarray, key: jax.Array, ply: np.int32) -> State:
        after = envs.step(actions)
        worth: Any = np.where(envs.over & ~envs.cut, 0, discount)
        states = states_of(after.observation, game.num_actions)
        return states._replace(reward=after.reward, discount=worth, terminal=envs.over.copy())

    return begin, go_on


@functools.cache
def _batched(init: Callable[..., State], step: Callable[..., State]) -> tuple[Callable[..., State], ...]:
    """init: key, numbers of the games int [N] -> states [N]. step: states, actions int32 [N], key, ply -> states."""

    def keys(key: jax.Array, numbers: jax.Array) -> jax.Array:
        return jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)

    @jax.jit
    def begin(key: jax.Array, numbers: jax.Array) -> State:
        return jax.vmap(init)(keys(key, numbers))

    @jax.jit
    def go_on(states: State, actions: jax.Array, key: jax.Array, ply: jax.Array) -> State:
        numbers = jnp.arange(actions.shape[0])
        return jax.vmap(step)(states, actions, keys(jax.random.fold_in(key, 1 + ply), numbers))

    return begin, go_on
