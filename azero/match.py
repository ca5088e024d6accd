"""Matches: two players, many games at once, every opening played with both colours."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.answers import GIVEN_UP, NO_MOVE, Memory, Playing, forgetful
from azero.openings import Openings, random_openings
from azero.players import Player
from azero.score import MatchResult, match_result, mean_of_pairs
from games.core import Game, State, rows_where

MOST_AT_ONCE = 512  # states in one call of a player: bounds the memory of its trees
MEMORY = 2**30  # bytes of what the players may keep of their games between moves
PAIRS_TO_DECIDE = 16  # pairs after which it is asked whether the match is decided


class Played(NamedTuple):
    """A game of a match."""

    pair: int  # number of its opening
    seat: int  # of the first of the two players: 0 where it moves first
    opening: int  # how many of the moves are the opening's
    moves: tuple[int, ...]
    points: float  # of the first of the two players: 1, 1/2 or 0
    given_up: str = ""  # why the loser gave it up or forfeited it
    won: float | None = None  # by the first of the two players, in the game's units; None where a win is just a win
    texts: tuple[str, ...] = ()  # the moves as the game writes them, where chance keeps them from being made again


def play_match(
    game: Game,
    first: Player,
    second: Player,
    games: int,
    opening_plies: int = 4,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    openings: Openings | None = None,
    done: Sequence[Played] = (),
    record: Callable[[Played], None] | None = None,
    decided: Callable[[np.ndarray], bool] | None = None,
) -> MatchResult:
    """Plays `games` games between two players.

    Each opening is played twice, with the players exchanged, so what it is worth to a colour counts for both alike.

    Args:
      games: even, at least 2.
      opening_plies: an opening is 0 to so many uniformly random moves that do not end the game; none where chance
        begins each game in its own way.
      progress: called after every ply with the games that have ended and their number.
      openings: in place of random ones, one for each pair of games.
      done: games that were played before.
      record: called with every game as soon as it has ended.
      decided: pair scores float [n] -> whether no more games are wanted.

    Raises:
      ValueError: an odd number of games, more than there are openings for, or a game that is not for two.
    """
    check_sizes(games, opening_plies)
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players")
    key = jax.random.key(seed)
    if openings is None:
        openings = random_openings(game, games // 2, opening_plies, jax.random.fold_in(key, 0))
    if games > 2 * len(openings.actions):
        count = len(openings.actions)
        raise ValueError(f"there are {count} openings, enough for {2 * count} games, not for {games}")
    over = {(one.pair, one.seat): one for one in done if one.pair < games // 2}
    size = _pairs_at_once((first, second), openings)
    if decided is not None:
        size = min(size, PAIRS_TO_DECIDE)

    def tell(more: int) -> None:
        if progress:
            progress(len(over) + more, games)

    end = 0
    while end < games // 2:
        # Whole blocks of openings: of games that end soon alone, as after a stop, nothing may be decided.
        start, end = end, min(end + size, games // 2)
        rows = [(pair, seat) for seat in (0, 1) for pair in range(start, end) if (pair, seat) not in over]
        if rows:
            ended = _play(game, (first, second), openings, rows, key, record, tell)
            over |= {(one.pair, one.seat): one for one in ended}
        if decided is not None and decided(_points(over, end).mean(axis=1)):
            break
    points = _points(over, end)
    lost = [one.points for one in over.values() if one.given_up and one.pair < end]
    different = {openings.actions[pair].tobytes() for pair in range(end)}
    return match_result(points[:, 0], points[:, 1])._replace(
        gave_up=(lost.count(0.0), lost.count(1.0)),
        openings=end if game.chance else len(different),
        won=None if game.reward_scale == 1 else mean_of_pairs(_by_pair(over, end, lambda one: one.won)),
    )


def check_sizes(games: int, opening_plies: int) -> None:
    """ValueError for sizes that no match has."""
    if games < 2 or games % 2:
        raise ValueError(f"games must be an even number from 2 on (each opening is played twice), not {games}")
    if opening_plies < 0:
        raise ValueError(f"opening plies must be 0 or more, not {opening_plies}")


def _points(over: dict[tuple[int, int], Played], end: int) -> np.ndarray:
    """Points of the first player, float64 [end, 2], in the first pairs: where it moved first, and second."""
    return _by_pair(over, end, lambda one: one.points)


def _by_pair(over: dict[tuple[int, int], Played], end: int, found: Callable[[Played], Any]) -> np.ndarray:
    """What is found in both games of the first pairs, float64 [end, 2]."""
    return np.array([[found(over[pair, seat]) for seat in (0, 1)] for pair in range(end)], np.float64)


def _pairs_at_once(players: tuple[Player, Player], openings: Openings) -> int:
    """How many pairs of games the players gain by, and the memory allows; all where they keep nothing."""
    pair = jax.tree.map(lambda leaf: leaf[:1].repeat(2, axis=0), openings.states)
    kept = [jax.eval_shape(player.playing.begin, pair) for player in players if player.playing]
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))
    wanted = [player.playing.at_once // 2 for player in players if player.playing and player.playing.at_once]
    return max(1, min([len(openings.actions), MEMORY // max(size, 1), *wanted]))


class _Table:
    """Games that are played side by side."""

    def __init__(self, game: Game, players: tuple[Player, Player], openings: Openings, rows: Sequence[tuple[int, int]]):
        """Args: rows: of each game the number of its opening, and the seat of the first of the players."""
        self.game, self.rows = game, rows
        self.pairs, self.seats = (np.array(column) for column in zip(*rows, strict=True))
        self.states: State = jax.tree.map(lambda leaf: leaf[self.pairs], openings.states)
        self.playing = [player.playing or forgetful(player.answers) for player in players]
        self.memories = [each.begin(self.states) for each in self.playing]
        opened = openings.actions[self.pairs]
        for actions in opened.T:
            self._tell(actions)
        self.moves: list[list[int]] = [row[row != NO_MOVE].tolist() for row in opened]
        self.begun = [len(moves) for moves in self.moves]
        self.texts: list[list[str]] = [[] for _ in rows]
        self.total = np.zeros(len(rows))  # rewards of the first player
        self.reasons = [""] * len(rows)
        self.given_up = np.zeros(len(rows), bool)

    def make(self, actions: np.ndarray, key: jax.Array) -> None:
        """A move in each game, int32 [B] or NO_MOVE."""
        mover = np.asarray(self.states.to_play)
        if self.game.chance:
            self._write(actions)
        self.states = _stepper(self.game.step)(self.states, actions, self.pairs, key)
        self._tell(actions)
        rewards = np.asarray(self.states.reward) * np.where(mover == self.seats, 1, -1)
        for row in np.flatnonzero(actions != NO_MOVE).tolist():
            self.moves[row].append(int(actions[row]))
            self.total[row] += rewards[row]

    def _write(self, actions: np.ndarray) -> None:
        """Notes the texts of moves that are about to be made."""
        states = jax.device_get(self.states)
        for row in np.flatnonzero(actions != NO_MOVE).tolist():
            state = jax.tree.map(lambda leaf, row=row: leaf[row], states)
            self.texts[row].append(self.game.notation.move(state, int(actions[row])))

    def _tell(self, actions: np.ndarray) -> None:
        """Tells the players of the moves made."""
        told = zip(self.playing, self.memories, strict=True)
        self.memories = [each.moved(memory, actions) for each, memory in told]

    def over(self) -> np.ndarray:
        """bool [B], the games that have ended."""
        return np.asarray(self.states.terminal) | self.given_up

    def chosen(self, players: tuple[Player, Player], key: jax.Array) -> np.ndarray:
        """The players' moves in the games that go on, int32 [B], NO_MOVE in the others and in those given up."""
        over, firsts = self.over(), np.asarray(self.states.to_play) == self.seats
        size = min(-(-len(over) // 2), MOST_AT_ONCE)
        actions = np.full(len(over), NO_MOVE, np.int32)
        for number, asked in enumerate((firsts & ~over, ~firsts & ~over)):
            if not asked.any():
                continue
            ask = answers_in_batches(self.playing[number], size, fill=not players[number].person)
            games, ask_key = np.flatnonzero(asked), jax.random.fold_in(key, number)
            actions[games], reasons, self.memories[number] = ask(self.memories[number], self.states, ask_key, games)
            for row, reason in zip(games.tolist(), reasons, strict=True):
                if actions[row] == GIVEN_UP:
                    self.given_up[row], self.reasons[row], self.total[row] = True, reason, 1 if number else -1
        return actions

    def played(self, row: int) -> Played:
        """A game that has ended."""
        points = float((np.sign(self.total[row]) + 1) / 2)
        won = None if self.game.reward_scale == 1 else float(self.total[row] / self.game.reward_scale)
        return Played(
            *self.rows[row], self.begun[row], tuple(self.moves[row]), points, self.reasons[row],
            won, tuple(self.texts[row]),
        )  # fmt: skip


def _play(
    game: Game,
    players: tuple[Player, Player],
    openings: Openings,
    rows: Sequence[tuple[int, int]],
    key: jax.Array,
    record: Callable[[Played], None] | None,
    tell: Callable[[int], None],
) -> list[Played]:
    """Plays games side by side to their ends.

    Args:
      rows: as in `_Table`.
      tell: called with the number of games that have ended.
    """
    table = _Table(game, players, openings, rows)
    key = jax.random.fold_in(key, 1 + int(table.pairs[0]))
    ended: dict[int, Played] = {}
    for ply in range(game.max_plies + 1):
        over = table.over()
        for row in np.flatnonzero(over).tolist():
            if row not in ended:
                ended[row] = table.played(row)
                if record:
                    record(ended[row])
        tell(len(ended))
        if over.all():
            break
        ply_key = jax.random.fold_in(key, ply)
        table.make(table.chosen(players, ply_key), jax.random.fold_in(ply_key, 2))
    return list(ended.values())


def answers_in_batches(
    playing: Playing, size: int, fill: bool = True
) -> Callable[[Memory, State, jax.Array, np.ndarray], tuple[np.ndarray, list[str], Memory]]:
    """Moves in any number of games, asked for `size` at a time, so that one size is compiled.

    Args:
      fill: the last batch is filled up with nobody's games.

    Returns:
      (memory, states [B], key, games int [N]) -> (moves int32 [N], why a game is given up [N], memory).
    """

    def ask(memory: Memory, states: State, key: jax.Array, games: np.ndarray) -> tuple[np.ndarray, list[str], Memory]:
        parts: list[np.ndarray] = []
        reasons: list[str] = []
        for number, start in enumerate(range(0, len(games), size)):
            part = games[start : start + size]
            nobody = len(states.terminal)
            filled = np.pad(part, (0, size - len(part)), constant_values=nobody) if fill else part
            answer, memory = playing.answer(memory, states, jax.random.fold_in(key, number), filled)
            parts.append(answer.action[: len(part)])
            reasons += map(answer.reason, range(len(part)))
        return np.concatenate(parts), reasons, memory

    return ask


@functools.cache
def _stepper(step: Callable[..., State]) -> Callable[[State, np.ndarray, np.ndarray, jax.Array], State]:
    """(states [B], actions int32 [B] or NO_MOVE, pairs [B], key) -> states [B]; a pair's games get the same chance."""

    @jax.jit
    def step_all(states: State, actions: jax.Array, pairs: jax.Array, key: jax.Array) -> State:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, pairs)
        after = jax.vmap(step)(states, jnp.maximum(actions, 0), keys)
        return rows_where(actions == NO_MOVE, states, after)

    return step_all
