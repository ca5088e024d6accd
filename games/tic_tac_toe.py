"""Tic-tac-toe: three in a row on a board of 3 x 3.

Cells and actions are numbered by rows from the top left:  0 1 2 / 3 4 5 / 6 7 8.
"""

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Game, Notation, Oracle, State, after_move, fixed_if_terminal
from games.lines import line_judge
from games.notation import grid_square
from games.symmetries import dihedral

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
LINE_BITS = np.array([sum(1 << cell for cell in line) for line in LINES], np.uint32)
FULL = 0b111111111


def state_from_stones(stones: jax.Array) -> State:
    """The state of one position, uint32 [2] bits by player, in which the game goes on. Callers vmap."""
    cells = jnp.arange(9, dtype=jnp.uint32)
    filled = ((stones[0] | stones[1]) >> cells) & 1
    return State(
        board=stones,
        to_play=(filled.sum() % 2).astype(jnp.int32),
        legal=filled == 0,
        reward=jnp.zeros((), jnp.float32),
        discount=-jnp.ones((), jnp.float32),
        terminal=jnp.zeros((), bool),
    )


def make_tic_tac_toe() -> Game:
    """The game. The observation has two planes: the stones of the player to move, those of the opponent."""

    def init(key: jax.Array) -> State:
        del key
        return state_from_stones(jnp.zeros(2, jnp.uint32))

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        del key
        stones = state.board
        mine = stones[state.to_play] | (jnp.uint32(1) << action.astype(jnp.uint32))
        stones = stones.at[state.to_play].set(mine)
        won = ((mine & LINE_BITS) == LINE_BITS).any()
        filled = ((stones[0] | stones[1]) >> jnp.arange(9, dtype=jnp.uint32)) & 1
        after = after_move(stones, state.to_play, filled == 0, won, (filled == 1).all())
        return fixed_if_terminal(state, after)

    def observe(state: State) -> jax.Array:
        planes = (state.board[:, None] >> jnp.arange(9, dtype=jnp.uint32)) & 1
        return jnp.stack([planes[state.to_play], planes[1 - state.to_play]], -1).reshape(3, 3, 2).astype(jnp.float32)

    def oracle() -> Oracle:
        from games.oracles import tic_tac_toe_oracle

        return tic_tac_toe_oracle()

    cells = dihedral(3, 3)
    return Game(
        name="tic_tac_toe",
        num_players=2,
        num_actions=9,
        observation_shape=(3, 3, 2),
        max_plies=9,
        init=init,
        step=step,
        observe=observe,
        symmetries=cells,
        notation=_notation(),
        oracle=oracle,
        judge=line_judge(np.array(LINES)),
    )


def _notation() -> Notation:
    """Squares are a1 (bottom left) to c3."""
    name, number = grid_square(height=3, width=3, rows_from_top=True)

    def move(state: State, action: int) -> str:
        return name(action)

    def action(state: State, text: str) -> int:
        cell = number(text)
        if not bool(state.legal[cell]):
            raise ValueError(f"square {text} is taken")
        return cell

    def board(state: State) -> str:
        first, second = (int(stones) for stones in np.asarray(state.board))
        symbols = ["x" if first >> cell & 1 else "o" if second >> cell & 1 else "." for cell in range(9)]
        rows = [f"{3 - row} " + " ".join(symbols[3 * row : 3 * row + 3]) for row in range(3)]
        return "\n".join([*rows, "  a b c"])

    return Notation(move, action, " ", board)
