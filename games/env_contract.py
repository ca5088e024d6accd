"""What a user's env must keep to be a game of azero: checked by shapes, then by a few random games.

Each rule that is broken raises ValueError with one line that says which.
"""

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

GAMES, PLIES = 8, 128  # how many random games are played, and how far


class Layout(NamedTuple):
    """What the check found out."""

    num_actions: int
    observation_shape: tuple[int, int, int]  # [C] is [1, 1, C], [H, W] is [H, W, 1]
    count_planes: tuple[int, ...]  # as in Game


class Breach(Exception):
    """A rule that the env breaks."""


def check_env(env: Any, name: str) -> Layout:
    """Checks a pgx.Env.

    Args:
      env: of pgx's interface (init, step, observe, num_players).
      name: for the error.

    Raises:
      ValueError: a rule is broken.
    """
    try:
        if env.num_players not in (1, 2):
            raise Breach(f"num_players must be 1 or 2, not {env.num_players}")
        start = _shapes(env)
        shape = _observation_shape(start.observation.shape)
        fractional = _random_games(env, shape)
    except Breach as breach:
        raise ValueError(f"{name}: {breach}") from breach.__cause__
    if shape[:2] == (1, 1) and start.observation.dtype != bool:
        fractional[:] = True  # one cell: each plane holds one number, whatever the random games showed
    return Layout(start.legal_action_mask.shape[0], shape, tuple(map(int, np.flatnonzero(fractional))))


def _traced(rule: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The shapes that the function gives, or a Breach if it cannot be traced."""
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:  # whatever the user's code raises while it is traced
        lines = [line for line in str(error).splitlines() if "<lambda>" not in line]  # pgx's own code, not the user's
        reason = textwrap.shorten(" ".join(lines), 300, placeholder=" ...")
        raise Breach(f"{rule} cannot be compiled by jax.jit: {type(error).__name__}: {reason}") from error


def _shapes(env: Any) -> Any:
    """The shapes of the first state, once every field has the right form and step keeps it."""
    key = jax.random.key(0)
    start = _traced("init", env.init, key)
    mask = start.legal_action_mask
    if mask.dtype != bool or mask.ndim != 1:
        raise Breach(f"legal_action_mask must be bool [A], not {mask.dtype} {list(mask.shape)}")
    if start.rewards.shape != (env.num_players,):
        raise Breach(f"rewards must have shape [{env.num_players}], not {list(start.rewards.shape)}")
    for field, dtype in (("current_player", jnp.int32), ("terminated", bool), ("truncated", bool)):
        value = getattr(start, field)
        if value.shape != () or value.dtype != dtype:
            raise Breach(f"{field} must be {np.dtype(dtype)} [], not {value.dtype} {list(value.shape)}")
    after = _traced("step", env.step, start, jax.ShapeDtypeStruct((), jnp.int32), key)
    structures = {str(jax.tree.structure(state)) for state in (start, after)}
    if len(structures) > 1:
        raise Breach("step must return a state of the same structure as init")
    leaves = zip(jax.tree_util.tree_leaves_with_path(start), jax.tree.leaves(after), strict=True)
    for (path, before), later in leaves:
        if (before.shape, before.dtype) != (later.shape, later.dtype):
            field = jax.tree_util.keystr(path).lstrip(".")
            was, now = f"{before.dtype} {list(before.shape)}", f"{later.dtype} {list(later.shape)}"
            raise Breach(f"step must keep the shape and dtype of {field}: {was} became {now}")
    # The adapter carries no observation from step to step, so step and observe must do without.
    _traced("step without an observation", env.step, start.replace(observation=None), jnp.int32(0), key)
    _traced("observe without an observation", env.observe, start.replace(observation=None))
    return start


def _observation_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) == 1:
        return 1, 1, shape[0]
    if len(shape) == 2:
        return *shape, 1
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    raise Breach(f"the observation must have 1 to 3 dimensions, not {len(shape)}")


def _random_games(env: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Plays GAMES random games of at most PLIES plies; bool [C], the planes that held another number than 0 or 1."""
    init = jax.jit(jax.vmap(env.init))
    step = jax.jit(jax.vmap(env.step))
    state = init(jax.random.split(jax.random.key(0), GAMES))
    fractional = np.zeros(shape[-1], bool)
    random = np.random.default_rng(0)
    for ply in range(PLIES):
        mask = np.asarray(state.legal_action_mask)
        over = np.asarray(state.terminated | state.truncated)
        _check_state(env, state, mask, over, first=ply == 0)
        fractional |= _fractional_planes(np.asarray(state.observation, np.float32).reshape(GAMES, *shape))
        actions = np.array([random.choice(np.flatnonzero(row)) if row.any() else 0 for row in mask], np.int32)
        after = step(state, actions, jax.random.split(jax.random.key(ply), GAMES))
        _check_fixed(state, after, over)
        if over.all():
            break
        state = after
    return fractional


def _check_state(env: Any, state: Any, mask: np.ndarray, over: np.ndarray, first: bool) -> None:
    player, rewards = np.asarray(state.current_player), np.asarray(state.rewards)
    if first and over.any():
        raise Breach("the first state must not be terminal")
    if ((player < 0) | (player >= env.num_players)).any():
        raise Breach(f"current_player must be 0 to {env.num_players - 1}, not {player.min()} or {player.max()}")
    if not mask.any(axis=1).all():
        raise Breach("legal_action_mask must allow a move in every state")
    if not np.isfinite(rewards).all():
        raise Breach("rewards must be finite")
    if env.num_players == 2 and (np.abs(rewards.sum(axis=1)) > 1e-5).any():
        worst = rewards[np.abs(rewards.sum(axis=1)).argmax()]
        raise Breach(f"rewards of two players must add up to 0, not {worst.tolist()}")


def _check_fixed(before: Any, after: Any, over: np.ndarray) -> None:
    """A state that is over stays as it is, with rewards of 0 (its legal moves may be opened)."""
    if np.asarray(after.rewards)[over].any():
        raise Breach("a step from a terminal state must give rewards of 0")
    open_fields = {"rewards": before.rewards, "legal_action_mask": before.legal_action_mask}
    leaves = zip(
        jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after.replace(**open_fields)), strict=True
    )
    for (path, old), new in leaves:
        if not np.array_equal(np.asarray(old)[over], np.asarray(new)[over]):
            field = jax.tree_util.keystr(path).lstrip(".")
            raise Breach(f"a step from a terminal state must change nothing, but {field} changed")


def _fractional_planes(planes: np.ndarray) -> np.ndarray:
    """bool [C] from planes float32 [GAMES, H, W, C]: those not binary, which must hold one number everywhere."""
    fractional = (~np.isin(planes, (0.0, 1.0))).any(axis=(0, 1, 2))
    uneven = (planes != planes[:, :1, :1]).any(axis=(0, 1, 2))
    if (fractional & uneven).any():
        plane = int(np.flatnonzero(fractional & uneven)[0])
        rule = "each plane of the observation must be 0 or 1, or one number everywhere"
        raise Breach(f"{rule}; plane {plane} is neither")
    return np.asarray(fractional)
