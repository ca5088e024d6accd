"""Matches: two players, many games at once, every opening played with both colours."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import Memory, Playing, forgetful
from azero.players import Player
from azero.selfplay import random_legal
from games.core import Game, State

Z = 1.959964  # two-sided 95 % of a normal distribution
MOST_AT_ONCE = 512  # states in one call of a player: bounds the memory of its trees
MEMORY = 2**30  # bytes of what the players may keep of their games between moves


class Tally(NamedTuple):
    """Games won, drawn and lost."""

    wins: int
    draws: int
    losses: int


class MatchResult(NamedTuple):
    """A match, seen by the first of the two players."""

    wins: int
    draws: int
    losses: int
    score: float  # points per game: a win is 1, a draw 1/2
    elo: float  # difference that this score corresponds to; half a game is taken off a score of 0 or 1
    elo_interval: tuple[float | None, float | None]  # 95 %; None where it has no end
    by_colour: dict[str, Tally]  # "first": games in which the player moved first, "second": the others


def play_match(
    game: Game,
    first: Player,
    second: Player,
    games: int,
    opening_plies: int = 4,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> MatchResult:
    """Plays `games` games between two players.

    Each opening is 0 to `opening_plies` uniformly random moves that do not end the game. It is played twice, with
    the players exchanged, so what it is worth to a colour counts for both alike.

    Args:
      games: even, at least 2.
      progress: called after every ply with the games that have ended and their number.

    Raises:
      ValueError: an odd number of games, or a game that is not for two.
    """
    if games < 2 or games % 2:
        raise ValueError(f"games must be an even number from 2 on (each opening is played twice), not {games}")
    if opening_plies < 0:
        raise ValueError(f"opening plies must be 0 or more, not {opening_plies}")
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players")
    key = jax.random.key(seed)
    openings = random_openings(game, games // 2, opening_plies, jax.random.fold_in(key, 0))
    parts = -(-games // 2 // _pairs_at_once((first, second), openings))
    points = []
    done = 0

    def tell(over: int) -> None:
        if progress:
            progress(done + over, games)

    for part, pairs in enumerate(np.array_split(np.arange(games // 2), parts)):
        rows = np.tile(pairs, 2)
        states = jax.tree.map(lambda leaf, rows=rows: leaf[rows], openings)
        points.append(_play(game, (first, second), states, key, part, tell))
        done += len(rows)
    return match_result(*(np.concatenate(half) for half in zip(*points, strict=True)))


def _pairs_at_once(players: tuple[Player, Player], openings: State) -> int:
    """How many pairs of games the memory allows; all where the players keep nothing."""
    pair = jax.tree.map(lambda leaf: leaf[:2], openings)
    kept = [jax.eval_shape(player.playing.begin, pair) for player in players if player.playing]
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))
    return max(1, min(len(openings.terminal), MEMORY // max(size, 1)))


def random_openings(game: Game, count: int, plies: int, key: jax.Array) -> State:
    """States [count] after 0 to `plies` random moves, evenly; a move that would end its game is left out."""
    return _opener(game.init, game.step, plies)(jax.random.split(key, count))


@functools.cache
def _opener(init: Callable[..., State], step: Callable[..., State], plies: int) -> Callable[[jax.Array], State]:
    def open_game(key: jax.Array) -> State:
        init_key, depth_key, moves_key = jax.random.split(key, 3)
        depth = jax.random.randint(depth_key, (), 0, plies + 1)

        def ply(number: jax.Array, state: State) -> State:
            move_key, step_key = jax.random.split(jax.random.fold_in(moves_key, number))
            after = step(state, random_legal(state.legal, move_key), step_key)
            stay = after.terminal | (number >= depth)
            return jax.tree.map(functools.partial(jnp.where, stay), state, after)

        return jax.lax.fori_loop(0, plies, ply, init(init_key))

    return jax.jit(jax.vmap(open_game))


def match_result(as_first: np.ndarray, as_second: np.ndarray) -> MatchResult:
    """The result of a match from its points, float [pairs] each: 1, 1/2 or 0 for the first player.

    The pair is the unit of chance: its two games share an opening. The interval of the score is Wilson's, for as
    many games of win or loss as would leave the same uncertainty as the pairs do: n * m (1 - m) / v, with m the
    mean of n pairs and v their variance about it, reckoned as if one more pair had had the largest variance that
    the mean allows, m (1 - m).

    Args:
      as_first, as_second: in the games that the player began, and in those with the same openings that it did not.
    """
    points = np.concatenate([as_first, as_second])
    score = float(points.mean())
    pairs = (as_first + as_second) / 2
    low, high = pair_interval(pairs)
    total = tally(points)
    spare = 0.5 / len(points)
    return MatchResult(
        *total,
        score=score,
        elo=elo(min(max(score, spare), 1 - spare)),
        elo_interval=(elo(low) if low > 0 else None, elo(high) if high < 1 else None),
        by_colour={"first": tally(as_first), "second": tally(as_second)},
    )


def pair_interval(pairs: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of pair scores, float [n] in [0, 1]; see `match_result`."""
    count, mean = len(pairs), float(pairs.mean())
    largest = mean * (1 - mean)
    if largest == 0:
        return wilson(mean, count)
    variance = (float(((pairs - mean) ** 2).sum()) + largest) / count
    return wilson(mean, count * largest / min(variance, largest))


def wilson(share: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a probability, from a share of `count` trials (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    middle = share + Z**2 / (2 * count)
    reach = Z * math.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    scale = 1 + Z**2 / count
    low = 0.0 if share == 0 else (middle - reach) / scale
    high = 1.0 if share == 1 else (middle + reach) / scale
    return max(low, 0.0), min(high, 1.0)


def elo(score: float) -> float:
    """The Elo difference that an expected score between 0 and 1 corresponds to."""
    return 400 * math.log10(score / (1 - score))


def tally(points: np.ndarray) -> Tally:
    """Counts points of 1, 1/2 and 0."""
    return Tally(int((points == 1).sum()), int((points == 0.5).sum()), int((points == 0).sum()))


def _play(
    game: Game,
    players: tuple[Player, Player],
    states: State,
    key: jax.Array,
    part: int,
    tell: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Plays states [2 * P] to the end, in the first half of which the first of the players is player 0 of the game.

    Args:
      part: number of this part of the match, for its chances.
      tell: called with the number of games that have ended.

    Returns:
      Points of the first of the players, float64 [P] each: in the first half, and in the second.
    """
    count = len(states.terminal)
    size = min(count // 2, MOST_AT_ONCE)
    seat = np.arange(count) // (count // 2)  # of the first player
    playing = [player.playing or forgetful(player.answers) for player in players]
    memories = [each.begin(states) for each in playing]
    total = np.zeros(count)  # rewards of the first player
    for ply in range(1, game.max_plies + 1):
        over = np.asarray(states.terminal)
        tell(int(over.sum()))
        if over.all():
            break
        firsts_move = np.asarray(states.to_play) == seat
        actions = np.zeros(count, np.int32)
        ply_key = jax.random.fold_in(key, part * game.max_plies + ply)
        for number, mine in enumerate((firsts_move & ~over, ~firsts_move & ~over)):
            if mine.any():
                ask = actions_in_batches(playing[number], size, fill=not players[number].person)
                asked = memories[number], states, jax.random.fold_in(ply_key, number), np.flatnonzero(mine)
                actions[mine], memories[number] = ask(*asked)
        states = _stepper(game.step)(states, actions, jax.random.fold_in(ply_key, 2))
        memories = [each.moved(memory, actions) for each, memory in zip(playing, memories, strict=True)]
        total += np.where(over, 0.0, np.asarray(states.reward) * np.where(firsts_move, 1, -1))
    points = (np.sign(total) + 1) / 2
    return points[: count // 2], points[count // 2 :]


def actions_in_batches(
    playing: Playing, size: int, fill: bool = True
) -> Callable[[Memory, State, jax.Array, np.ndarray], tuple[np.ndarray, Memory]]:
    """Moves in any number of games, asked for `size` at a time, so that one size is compiled.

    Args:
      fill: the last batch is filled up with nobody's games.

    Returns:
      (memory, states [B], key, games int [N]) -> (moves int32 [N], memory).
    """

    def ask(memory: Memory, states: State, key: jax.Array, games: np.ndarray) -> tuple[np.ndarray, Memory]:
        parts = []
        for number, start in enumerate(range(0, len(games), size)):
            part = games[start : start + size]
            nobody = len(states.terminal)
            filled = np.pad(part, (0, size - len(part)), constant_values=nobody) if fill else part
            answer, memory = playing.answer(memory, states, jax.random.fold_in(key, number), filled)
            parts.append(answer.action[: len(part)])
        return np.concatenate(parts), memory

    return ask


@functools.cache
def _stepper(step: Callable[..., State]) -> Callable[[State, np.ndarray, jax.Array], State]:
    """(states [B], actions int32 [B], key) -> states [B]; the two games of a pair get the same chance."""

    @jax.jit
    def step_all(states: State, actions: jax.Array, key: jax.Array) -> State:
        keys = jax.random.split(key, actions.shape[0] // 2)
        return jax.vmap(step)(states, actions, jnp.concatenate([keys, keys]))

    return step_all
