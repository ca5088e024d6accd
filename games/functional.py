"""Gymnasium's functional environments as games for one. They start JAX's backend: import this module lazily.

A move that goes on is worth its reward plus gamma times what follows, a move that ends the episode its reward alone.
Rewards are scaled by a power of two, so that they stay exact, to returns that a network's value can say.

What is known of these environments: CliffWalking's action has the shape (1,), and its state begins with another shape
than it goes on with. The pole of phys2d's CartPole counts ten times as much as that of CartPole-v1: its polemass_length
is masspole + length, not their product. The state of Blackjack holds the dealer's hidden card.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.experimental.functional import FuncEnv

from games.core import Board, Game, State, fixed_if_terminal, no_symmetries
from games.notation import word_notation


class Entry(NamedTuple):
    """What an environment does not tell of itself."""

    env: str  # module:class
    moves: tuple[str, ...]  # the words of its actions
    discount: float  # gamma
    reward_scale: float  # as in Game
    draw: Callable[[Any, bool], str]  # its state, whether it is over -> lines of text
    max_plies: int
    time_limit: int = 0
    cells: tuple[int, int] = (1, 1)  # the board that its one-hot observation is shown on
    conceal: Callable[[Any, jax.Array], Any] | None = None
    # its state, key -> the state with what the player cannot see drawn anew, as likely as it was


def make_functional(name: str) -> Game:
    """The environment with this name, one of ENTRIES."""
    entry = ENTRIES[name]
    module, _, attribute = entry.env.partition(":")
    env = getattr(importlib.import_module(module), attribute)()
    observe, channels, counts = _observation(env, entry.cells)
    shape = (*entry.cells, channels)
    init, step = _rules(env, entry)

    def draw(state: State) -> str:
        return entry.draw(jax.tree.map(np.asarray, state.board), bool(state.terminal))

    return Game(
        name=name,
        num_players=1,
        num_actions=len(entry.moves),
        observation_shape=shape,
        max_plies=entry.max_plies,
        init=init,
        step=step,
        observe=lambda state: observe(state).reshape(shape),
        symmetries=no_symmetries(shape[0] * shape[1], len(entry.moves)),
        notation=word_notation(entry.moves, draw),
        count_planes=counts,
        reward_scale=entry.reward_scale,
        time_limit=entry.time_limit,
    )


def _rules(env: FuncEnv, entry: Entry) -> tuple[Callable[..., State], Callable[..., State]]:
    """init and step of a Game."""
    space = env.action_space
    lowest = int(space.low.min()) if isinstance(space, spaces.Box) else 0
    everything = jnp.ones(len(entry.moves), bool)
    going_on = jnp.float32(entry.discount)

    def own(action: jax.Array) -> jax.Array:
        """An action as the environment has it."""
        return (action + lowest).reshape(space.shape)

    def like(board: Board) -> Board:
        """The shapes and dtypes that states have once a move was made."""
        return jax.eval_shape(env.transition, board, own(jnp.int32(0)), jax.random.key(0))

    def init(key: jax.Array) -> State:
        first = env.initial(key)
        board = _shaped(first, like(first))
        zero = jnp.zeros((), jnp.float32)
        return State(board, jnp.int32(0), everything, zero, going_on, jnp.zeros((), bool))

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        before = state.board
        if entry.conceal is not None:
            concealed_key, key = jax.random.split(key)
            before = entry.conceal(before, concealed_key)
        made = own(action)
        board = _shaped(env.transition(before, made, key), state.board)
        reward = jnp.asarray(env.reward(before, made, board, key), jnp.float32).reshape(())
        terminal = jnp.asarray(env.terminal(board, key), bool).reshape(())
        after = State(
            board=board,
            to_play=jnp.int32(0),
            legal=everything,
            reward=reward * entry.reward_scale,
            discount=jnp.where(terminal, 0.0, going_on),
            terminal=terminal,
        )
        return fixed_if_terminal(state, after)

    return init, step


def _shaped(board: Board, like: Board) -> Board:
    """The leaves of an environment's state with the shapes and dtypes of `like`, none of them weak."""
    return jax.tree.map(lambda leaf, other: jnp.asarray(leaf).astype(other.dtype).reshape(other.shape), board, like)


def _observation(env: FuncEnv, cells: tuple[int, int]) -> tuple[Callable[[State], jax.Array], int, tuple[int, ...]]:
    """What is seen of a state, float32; how many channels that has on the board; which of them hold any number.

    Numbers stay what they are, a channel each. Whole numbers between bounds become one-hot, one after the other.
    """
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    nothing = jax.random.key(0)  # none of the observations has noise

    if not np.issubdtype(space.dtype, np.integer):
        count = int(np.prod(space.shape))
        return lambda state: jnp.asarray(env.observation(state.board, nothing), jnp.float32), count, tuple(range(count))

    lows, highs = space.low.ravel().tolist(), space.high.ravel().tolist()

    def one_hot(state: State) -> jax.Array:
        numbers = jnp.asarray(env.observation(state.board, nothing)).ravel()
        parts = [
            jax.nn.one_hot(number - low, high - low + 1, dtype=jnp.float32)
            for number, low, high in zip(numbers, lows, highs, strict=True)
        ]
        return jnp.concatenate(parts)

    bits = sum(high - low + 1 for low, high in zip(lows, highs, strict=True))
    return one_hot, bits // (cells[0] * cells[1]), ()


TRACK, POLE = 24, 3  # columns to either side of the middle, rows of the pole
EDGE, FALLEN = 2.4, np.pi / 15  # where an episode of CartPole ends: metres from the middle, radians from upright


def _draw_cart(board: np.ndarray, over: bool) -> str:
    """The track, the cart on it, and the pole, whose lean is drawn larger than it is."""
    del over
    place, velocity, angle, turning = board.tolist()
    middle = TRACK + round(np.clip(place / EDGE, -1, 1) * TRACK)
    lean = np.clip(angle / FALLEN, -1, 1)
    stick = "|" if abs(lean) < 1 / (2 * POLE) else "/" if lean > 0 else "\\"
    rows = [" " * (1 + middle + round(lean * row)) + stick for row in range(POLE, 0, -1)]
    track = ["-"] * (2 * TRACK + 3)
    track[middle : middle + 3] = "[=]"
    said = (
        f"place {place:+.2f}  speed {velocity:+.2f}  lean {np.degrees(angle):+.1f}  turning {np.degrees(turning):+.0f}"
    )
    return "\n".join([*rows, "".join(track), said])


def _draw_cliff(board: Any, over: bool) -> str:
    """The walker @, the cliff #, the goal G."""
    del over
    cells = [["."] * 12 for _ in range(3)] + [[".", *"#" * 10, "G"]]
    row, column = board.player_position.tolist()
    cells[row][column] = "@"
    return "\n".join(" ".join(row) for row in cells)


def _draw_hands(board: Any, over: bool) -> str:
    """The player's hand, and what is seen of the dealer's."""
    player = [int(card) for card in board.player_hand if card]
    dealer = [int(card) for card in board.dealer_hand if card]
    if not over:
        return f"dealer  {dealer[0]} ?\nplayer  {_hand(player)}"
    return f"dealer  {_hand(dealer)}\nplayer  {_hand(player)}"


def _hand(cards: list[int]) -> str:
    """Cards, and what they count together; an ace is 1, or 11 where that is no bust."""
    total = sum(cards)
    if 1 in cards and total <= 11:
        total += 10
    return " ".join(map(str, cards)) + f" = {total}"


def _deal_again(board: Any, key: jax.Array) -> Any:
    """Another hidden card for the dealer, or a search would see the one that lies there."""
    card = jnp.minimum(jax.random.randint(key, (), 1, 14), 10)
    return board._replace(dealer_hand=board.dealer_hand.at[1].set(card.astype(board.dealer_hand.dtype)))


# CartPole: an episode without end is worth 100 / 128. CliffWalking: a walk without end is worth -20 / 128, a fall
# -100 / 128, so two falls are beyond what a network can say, and need no saying. Gymnasium has no time limit for it;
# this one is that of Taxi. Blackjack: a hand of aces goes on for longest, from 2 cards to 22.
ENTRIES = {
    "cartpole": Entry(
        "gymnasium.envs.phys2d.cartpole:CartPoleFunctional",
        ("left", "right"),
        discount=0.99,
        reward_scale=1 / 128,
        draw=_draw_cart,
        max_plies=500,
        time_limit=500,
    ),
    "cliff_walking": Entry(
        "gymnasium.envs.tabular.cliffwalking:CliffWalkingFunctional",
        ("up", "right", "down", "left"),
        discount=0.95,
        reward_scale=1 / 128,
        draw=_draw_cliff,
        max_plies=200,
        time_limit=200,
        cells=(4, 12),
    ),
    "blackjack": Entry(
        "gymnasium.envs.tabular.blackjack:BlackjackFunctional",
        ("stick", "hit"),
        discount=1.0,
        reward_scale=1.0,
        draw=_draw_hands,
        max_plies=20,
        conceal=_deal_again,
    ),
}
