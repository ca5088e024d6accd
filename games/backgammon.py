"""Backgammon, a game at a time, without the doubling cube. A move is one checker by one die; a turn is up to four.

Points are counted as players do, from 1, the mover's innermost, to 24; checkers move down and off the board. A win is
worth 1, with all of the loser's checkers still on the board 2 (a gammon), and with one of them on the bar or among the
winner's six points 3 (a backgammon). Both dice are played where that can be done, and if only either can, the larger.

Dice that cannot be played are laid down at once, so a player passes only who cannot begin to move. Then, or after the
last die, chance rolls for the other player. A game of LONGEST moves is a draw.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Chance, Game, Notation, State, fixed_if_terminal, no_symmetries, step_by_chance
from games.notation import SYMBOLS, action_by_text

POINTS, FACES, CHECKERS = 24, 6, 15
BAR = POINTS  # where a checker comes from; it enters as if from a point 25
SOURCES = POINTS + 1
PASS = SOURCES * FACES  # action 6 * source + face moves a checker by face + 1
HOME = 6  # points
SCALE = 1 / 3
LONGEST = 1024
STACK = 7  # a plane for 1 checker or more, 2 or more, ... : no two points have more than this
ROLLS = np.array([(high, low) for high in range(FACES) for low in range(high + 1)], np.int32)  # faces, [21, 2]
ROLLED = np.where(ROLLS[:, 0] == ROLLS[:, 1], 1, 2) / FACES**2  # how likely each is
OPENERS = np.flatnonzero(ROLLS[:, 0] != ROLLS[:, 1])  # the one who moves first rolled the larger of two dice
START = np.zeros(POINTS, np.int8)
START[[5, 7, 12, 23]] = 5, 3, 5, 2
START -= START[::-1]


class Table(NamedTuple):
    """The board, seen by the player to move."""

    points: jax.Array  # int8 [24], from point 1 on; the mover's checkers are positive, the other's negative
    bar: jax.Array  # int8 [2], the mover's checkers and the other's
    off: jax.Array  # int8 [2], likewise
    left: jax.Array  # int8 [6], how many dice of each face are still to be played; none before chance has rolled
    ply: jax.Array  # int16 [], moves made


def playable(points: jax.Array, bar: jax.Array) -> jax.Array:
    """Which checkers the mover may move by which die, bool [25, 6], were it the only one.

    Args:
      points: int8 [24].
      bar: int8 [], of the mover.
    """
    source, face = jnp.arange(SOURCES)[:, None], jnp.arange(FACES)
    target = source - face - 1
    lands = (target >= 0) & (points[jnp.maximum(target, 0)] >= -1)
    rearmost = jnp.max(jnp.where(points > 0, jnp.arange(POINTS), -1))
    bears_off = (target < 0) & (rearmost < HOME) & ((target == -1) | (source == rearmost))
    mine = jnp.append(points > 0, False)[:, None]
    return jnp.where(bar > 0, (source == BAR) & lands, mine & (lands | bears_off))


def legal_moves(table: Table) -> jax.Array:
    """The moves with the dice that are left, bool [151]; the pass where there is none."""
    single = playable(table.points, table.bar[0]) & (table.left > 0)
    high = FACES - 1 - jnp.argmax(table.left[::-1] > 0)
    low = jnp.argmax(table.left > 0)

    def followed(source: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
        """Whether a second die can be played after a first one, if that can be."""
        moved = move_checker(table, source * FACES + first)
        return playable(moved.points, moved.bar[0])[:, second].any()

    pairs = jax.vmap(followed, (0, None, None))
    sources, faces = jnp.arange(SOURCES), jnp.arange(FACES)
    both = (faces == high) & pairs(sources, high, low)[:, None] | (faces == low) & pairs(sources, low, high)[:, None]
    both &= single
    larger = single & (faces == high)
    of_two = jnp.where(both.any(), both, jnp.where(larger.any(), larger, single))
    moves = jnp.where(high == low, single, of_two).reshape(-1)
    return jnp.append(moves, ~moves.any())


def move_checker(table: Table, action: jax.Array) -> Table:
    """The board after a move that is not a pass, with one die less."""
    source, face = action // FACES, action % FACES
    target = source - face - 1
    off = target < 0
    landing = jnp.where(off, POINTS, target)  # beyond the points: dropped
    hit = (~off & (table.points[jnp.maximum(target, 0)] == -1)).astype(jnp.int8)
    from_bar = (source == BAR).astype(jnp.int8)
    points = table.points.at[source].add(jnp.int8(-1), mode="drop").at[landing].add(1 + hit, mode="drop")
    return table._replace(
        points=points,
        bar=table.bar + jnp.stack([-from_bar, hit]),
        off=table.off.at[0].add(off.astype(jnp.int8)),
        left=table.left.at[face].add(jnp.int8(-1)),
    )


def after(state: State, action: jax.Array) -> State:
    """The afterstate: a checker moved, and the dice laid down if none of them can be played."""
    table = state.board
    passed = action == PASS
    moved = move_checker(table, jnp.where(passed, 0, action))
    goes_on = ~passed & (playable(moved.points, moved.bar[0]) & (moved.left > 0)).any()
    kept = jax.tree.map(lambda old, new: jnp.where(passed, old, new), table, moved)
    board = kept._replace(left=jnp.where(goes_on, kept.left, jnp.int8(0)), ply=table.ply + jnp.int16(1))
    won = board.off[0] == CHECKERS
    terminal = won | (board.ply >= LONGEST)
    gammon = board.off[1] == 0
    trapped = (board.bar[1] > 0) | (board.points[:HOME] < 0).any()
    worth = 1 + gammon.astype(jnp.int32) * (1 + trapped.astype(jnp.int32))
    reached = state._replace(
        board=board,
        legal=state.legal | terminal,
        reward=jnp.where(won, worth * SCALE, 0.0).astype(jnp.float32),
        discount=jnp.where(terminal, 0.0, 1.0).astype(jnp.float32),
        terminal=terminal,
    )
    return fixed_if_terminal(state, reached)


def probabilities(afterstate: State) -> jax.Array:
    """Of the 21 rolls, float32 [21]. While a turn goes on, or once the game is over, the first stands for nothing."""
    rolls = ~afterstate.terminal & ~afterstate.board.left.any()
    return jnp.where(rolls, jnp.asarray(ROLLED), jnp.arange(len(ROLLS)) == 0).astype(jnp.float32)


def happen(afterstate: State, outcome: jax.Array) -> State:
    """The position after chance: the other player's with a roll, or the same one's whose turn goes on."""
    table = afterstate.board
    turned = Table(-table.points[::-1], table.bar[::-1], table.off[::-1], dice(outcome), table.ply)
    goes_on = table.left.any()
    board = jax.tree.map(lambda same, other: jnp.where(goes_on, same, other), table, turned)
    reached = State(
        board=board,
        to_play=jnp.where(goes_on, afterstate.to_play, 1 - afterstate.to_play),
        legal=legal_moves(board),
        reward=jnp.zeros((), jnp.float32),
        discount=jnp.where(goes_on, 1.0, -1.0).astype(jnp.float32),
        terminal=jnp.zeros((), bool),
    )
    return fixed_if_terminal(afterstate, reached)


def dice(outcome: jax.Array) -> jax.Array:
    """The dice of a roll, int8 [6]: a double counts four."""
    high, low = jnp.asarray(ROLLS)[outcome]
    faces = jnp.arange(FACES)
    return ((faces == high).astype(jnp.int8) + (faces == low)) * jnp.where(high == low, 2, 1).astype(jnp.int8)


def turn_begins(left: np.ndarray) -> bool:
    """Whether none of the dice of a turn has been played. Args: left: int8 [6]."""
    return bool(left.sum() == 4 or (left > 0).sum() == 2)


def state_of(table: Table, to_play: jax.Array) -> State:
    """The state of a position that is not over."""
    zero = jnp.zeros((), jnp.float32)
    return State(table, jnp.asarray(to_play, jnp.int32), legal_moves(table), zero, zero - 1, jnp.zeros((), bool))


def init(key: jax.Array) -> State:
    """The first position; the dice of the player who begins are drawn."""
    none = jnp.zeros(2, jnp.int8)
    roll = dice(jax.random.choice(key, jnp.asarray(OPENERS)))
    return state_of(Table(jnp.asarray(START), none, none, roll, jnp.zeros((), jnp.int16)), jnp.int32(0))


def observe(state: State) -> jax.Array:
    """float32 [1, 24, 24]: a plane for each number of own checkers that a point has at least, 1 to STACK, the same
    for the other's; and, the same everywhere, the bars and those borne off, both in shares of 15, own and other's,
    and the dice left by face, in shares of 4."""
    table = state.board
    least = jnp.arange(1, STACK + 1)
    stacks = [(sign * table.points[:, None] >= least).astype(jnp.float32) for sign in (1, -1)]
    counts = jnp.concatenate([table.bar / CHECKERS, table.off / CHECKERS, table.left / 4]).astype(jnp.float32)
    return jnp.concatenate([*stacks, jnp.broadcast_to(counts, (POINTS, len(counts)))], axis=-1)[None]


def write_move(state: State, action: int) -> str:
    """13/10, bar/22, 6/off; with * where it hits; 5/off(6) where the die is larger than need be."""
    if action == PASS:
        return "pass"
    source, face = divmod(action, FACES)
    target = source - face - 1
    start = "bar" if source == BAR else str(source + 1)
    if target < 0:
        return f"{start}/off" + (f"({face + 1})" if target < -1 else "")
    return f"{start}/{target + 1}" + ("*" if state.board.points[target] == -1 else "")


def read_move(state: State, text: str) -> int:
    """The inverse; a hit need not be marked."""
    read = action_by_text(lambda *made: write_move(*made).rstrip("*"), "13/10, bar/22, 6/off, 5/off(6) or pass")
    return read(state, text.lower().rstrip("*"))


def draw(state: State) -> str:
    """The board with the mover's numbers. What does not fit into five rows is counted."""
    table = jax.tree.map(np.asarray, state.board)
    mine, other = (SYMBOLS[1], SYMBOLS[2])[:: 1 - 2 * int(state.to_play)]
    height = 5

    def cell(point: int, row: int) -> str:
        count = int(table.points[point - 1])
        if row == height - 1 and abs(count) > height:
            return f"{abs(count):>3}"
        return f"{(mine if count > 0 else other) if abs(count) > row else SYMBOLS[0]:>3}"

    def halves(cells: list[str]) -> str:
        return "".join(cells[:6]) + "  |" + "".join(cells[6:])

    def line(points: range, row: int) -> str:
        return halves([cell(point, row) for point in points])

    def numbers(points: range) -> str:
        return halves([f"{point:>3}" for point in points])

    top, bottom = range(13, POINTS + 1), range(12, 0, -1)
    left = [str(face + 1) for face in range(FACES) for _ in range(int(table.left[face]))]
    aside = [f"{who}: {table.bar[side]} on the bar, {table.off[side]} off" for side, who in enumerate((mine, other))]
    rows = [line(top, row) for row in range(height)] + ["  " + "|".rjust(19)]
    rows += [line(bottom, row) for row in reversed(range(height))]
    return "\n".join([numbers(top), *rows, numbers(bottom), *aside, f"{mine} has {' '.join(left) or 'no dice'}"])


def make_backgammon() -> Game:
    """The game."""
    chance = Chance(len(ROLLS), after, probabilities, happen)
    shape = (1, POINTS, 2 * STACK + 4 + FACES)
    return Game(
        name="backgammon",
        num_players=2,
        num_actions=PASS + 1,
        observation_shape=shape,
        max_plies=LONGEST,
        init=init,
        step=step_by_chance(chance),
        observe=observe,
        symmetries=no_symmetries(POINTS, PASS + 1),
        notation=Notation(write_move, read_move, " ", draw),
        count_planes=tuple(range(2 * STACK, shape[2])),
        reward_scale=SCALE,
        chance=chance,
    )
