"""Any pgx env as a Game. The only importer of pgx, which starts JAX's backend: import this module lazily.

What is known of pgx's rules: a Go move that repeats a whole board is legal in the mask and loses at once; a chess
repetition that includes the start position is seen one ply late; animal shogi's repetition hash depends on the
path; shogi has no repetition rule. Games that reach `max_plies` end there, Go scored and the others drawn.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pgx

from games.core import Game, Notation, State, Symmetries, no_symmetries
from games.env_contract import check_env
from games.notation import go_notation, hex_notation, numbered_notation, othello_notation
from games.notation_chess import chess_notation, gardner_chess_notation
from games.notation_shogi import animal_shogi_notation, shogi_notation
from games.symmetries import dihedral, half_turn

CUSTOM_MAX_PLIES = 1024  # of a user's env that has no attribute max_plies; the game is cut off there


class Board(NamedTuple):
    """pgx's state without what State says already and without the observation: those fields are None."""

    env: Any  # pgx.State
    first: jax.Array  # int32 [], pgx's number of the player who moved first, our player 0


class Entry(NamedTuple):
    """What pgx does not tell about one of its games."""

    max_plies: int
    notation: Callable[[], Notation]
    symmetries: Callable[[], Symmetries] | None = None  # None: the identity alone
    count_planes: tuple[int, ...] = ()
    mask_in_rules: bool = False  # its inner state `_x` holds the legal moves a second time


# Othello: of 60 placements each but the last is followed by at most one pass; 59 and two passes are as long.
# Hex: every cell and the swap. Chess: planes of all moves so far / 512 and of moves without progress / 100,
# Gardner's the same with / 256; animal shogi: all moves / 256. Every other plane of these games is 0 or 1.
# Castling breaks the mirror of chess. The rules of the other three have a left-right mirror, but their start
# positions do not: what the mirror gives is not reached in play, so they are left with the identity.
ENTRIES = {
    "othello": Entry(119, othello_notation, lambda: dihedral(8, 8, extra_actions=1)),
    "hex": Entry(122, lambda: hex_notation(11), lambda: half_turn(11, 11, extra_actions=1)),
    "go_9x9": Entry(162, lambda: go_notation(9), lambda: dihedral(9, 9, extra_actions=1)),
    "go_19x19": Entry(722, lambda: go_notation(19), lambda: dihedral(19, 19, extra_actions=1)),
    "chess": Entry(512, chess_notation, count_planes=(113, 118), mask_in_rules=True),
    "gardner_chess": Entry(256, gardner_chess_notation, count_planes=(113, 114)),
    "animal_shogi": Entry(256, animal_shogi_notation, count_planes=(193,)),
    "shogi": Entry(512, shogi_notation, mask_in_rules=True),
}


def make_pgx(name: str) -> Game:
    """The game of pgx with this name, one of ENTRIES. Its first position does not depend on the key."""
    entry = ENTRIES[name]
    env = pgx.make(name)
    start = jax.eval_shape(env.init, jax.random.key(0))
    shape = start.observation.shape
    actions = start.legal_action_mask.shape[0]
    functions = _functions(env, shape, entry.max_plies, entry.mask_in_rules)
    symmetries = entry.symmetries() if entry.symmetries else no_symmetries(shape[0] * shape[1], actions)

    def init(key: jax.Array) -> State:
        del key  # pgx only draws from it which of its player numbers moves first
        return functions.init(jax.random.key(0))

    return Game(
        name=name,
        num_players=2,
        num_actions=actions,
        observation_shape=shape,
        max_plies=entry.max_plies,
        init=init,
        step=functions.step,
        observe=functions.observe,
        symmetries=symmetries,
        notation=entry.notation(),
        count_planes=entry.count_planes,
    )


def make_custom(name: str) -> Game:
    """A user's own env as a game, checked by a few random games.

    Args:
      name: "package.module:Env", a pgx.Env, or a class or function that makes one without arguments. The module
        may lie in the working directory. If the env has an attribute `max_plies`, it bounds the game's length.

    Returns:
      The game. An observation [C] becomes [1, 1, C], one [H, W] becomes [H, W, 1]. Its count planes are those that
      held another number than 0 and 1 in the random games, so such planes should not be rare. Moves are written as
      numbers.

    Raises:
      ValueError: it cannot be found, or breaks the contract; the message says which rule.
    """
    env = _load_env(name)
    max_plies = getattr(env, "max_plies", CUSTOM_MAX_PLIES)
    if isinstance(max_plies, bool) or not isinstance(max_plies, (int, np.integer)) or max_plies < 1:
        raise ValueError(f"{name}: max_plies must be a whole number above 0, not {max_plies!r}")
    layout = check_env(env, name)
    height, width, _ = layout.observation_shape
    functions = _functions(env, layout.observation_shape, int(max_plies), mask_in_rules=False)
    return Game(
        name=name,
        num_players=env.num_players,
        num_actions=layout.num_actions,
        observation_shape=layout.observation_shape,
        max_plies=int(max_plies),
        init=functions.init,
        step=functions.step,
        observe=functions.observe,
        symmetries=no_symmetries(height * width, layout.num_actions),
        notation=numbered_notation(functions.observe),
        count_planes=layout.count_planes,
    )


def position(game: Game, fen: str) -> State:
    """A position of chess or Gardner's chess; nothing is known of the moves before it.

    Args:
      fen: six fields.
    """
    from pgx.experimental.chess import from_fen
    from pgx.gardner_chess import State as GardnerState

    env_state = from_fen(fen) if game.name == "chess" else GardnerState._from_fen(fen)
    player = jnp.int32(fen.split()[1] == "b")
    start = game.init(jax.random.key(0))
    bare = _bare(env_state, ENTRIES[game.name].mask_in_rules)
    over = env_state.terminated
    return State(
        board=Board(jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), bare, start.board.env), jnp.int32(0)),
        to_play=player,
        legal=env_state.legal_action_mask | over,
        reward=jnp.zeros((), jnp.float32),
        discount=jnp.where(over, 0.0, -1.0).astype(jnp.float32),
        terminal=over,
    )


def fen_of(state: State) -> str:
    """The FEN of a position of chess or Gardner's chess."""
    from pgx.experimental.chess import to_fen

    env_state = state.board.env
    return to_fen(env_state) if env_state.env_id == "chess" else env_state._to_fen()


class _Functions(NamedTuple):
    init: Callable[[jax.Array], State]
    step: Callable[[State, jax.Array, jax.Array], State]
    observe: Callable[[State], jax.Array]


def _functions(env: pgx.Env, shape: tuple[int, int, int], max_plies: int, mask_in_rules: bool) -> _Functions:
    """The rules of an env as functions of State.

    Terminal states are fixed points because pgx.Env.step makes them so: it returns them with rewards of 0, and
    with every move legal none is punished as illegal.
    """

    def state_of(env_state: pgx.State, first: jax.Array, mover: jax.Array) -> State:
        player = env_state.current_player
        over = env_state.terminated | env_state.truncated | (env_state._step_count >= max_plies)
        return State(
            board=Board(_bare(env_state, mask_in_rules), first),
            to_play=player ^ first,
            legal=env_state.legal_action_mask | over,
            reward=env_state.rewards[mover].astype(jnp.float32),
            discount=jnp.where(over, 0.0, jnp.where(player == mover, 1.0, -1.0)).astype(jnp.float32),
            terminal=over,
        )

    def env_state_of(state: State) -> pgx.State:
        full = state.board.env.replace(
            current_player=state.to_play ^ state.board.first,
            rewards=jnp.zeros(env.num_players, jnp.float32),
            terminated=state.terminal,
            truncated=jnp.zeros((), bool),
            legal_action_mask=state.legal,
        )
        return full.replace(_x=full._x._replace(legal_action_mask=state.legal)) if mask_in_rules else full

    def init(key: jax.Array) -> State:
        env_state = _strongly_typed(env.init(key))
        first = env_state.current_player
        state = state_of(env_state, first, first)
        before = -1.0 if env.num_players == 2 else 1.0
        return state._replace(reward=jnp.zeros((), jnp.float32), discount=jnp.full((), before, jnp.float32))

    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        before = env_state_of(state)
        return state_of(_strongly_typed(env.step(before, action, key)), state.board.first, before.current_player)

    def observe(state: State) -> jax.Array:
        return env.observe(env_state_of(state)).astype(jnp.float32).reshape(shape)

    return _Functions(init, step, observe)


def _bare(env_state: pgx.State, mask_in_rules: bool) -> pgx.State:
    """The env's state without the fields that `State` and `observe` give again."""
    bare = env_state.replace(
        current_player=None, observation=None, rewards=None, terminated=None, truncated=None, legal_action_mask=None
    )
    return bare.replace(_x=bare._x._replace(legal_action_mask=None)) if mask_in_rules else bare


def _strongly_typed(tree: pgx.State) -> pgx.State:
    """The same leaves without JAX's weak types, which would make `step` compile once more for its own output."""
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, jnp.result_type(leaf)), tree)


def _load_env(name: str) -> pgx.Env:
    """The env that "package.module:Env" names; ValueError says what is missing."""
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a console script does not look there of itself
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name}: no module named {error.name!r}") from None
    except Exception as error:  # whatever the user's module raises
        raise ValueError(f"{name}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        near = difflib.get_close_matches(attribute, vars(module), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{name}: {module_name} has nothing named {attribute!r}{hint}")
    try:
        env = found() if callable(found) and not isinstance(found, pgx.Env) else found
    except Exception as error:
        raise ValueError(f"{name}: making the env failed: {type(error).__name__}: {error}") from error
    if not isinstance(env, pgx.Env):
        raise ValueError(f"{name}: must be a pgx.Env, not {type(env).__name__}")
    return env
