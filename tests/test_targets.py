"""Value targets, with numbers worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from azero.config import TargetConfig
from azero.replay import Position
from azero.selfplay import Trajectory
from azero.targets import value_targets


def trajectory(reward, discount, search_value, chosen=None) -> Trajectory:
    """A trajectory of one game from lists over plies."""
    column = [jnp.asarray(x, jnp.float32)[:, None] for x in (reward, discount, search_value)]
    kept = jnp.ones(column[0].shape, bool) if chosen is None else jnp.asarray(chosen)[:, None]
    unused = jnp.zeros(())
    return Trajectory(
        Position(unused, (), unused), unused, unused, column[2], unused, kept, *column[:2], unused, unused
    )


def targets(value_lambda, bootstrap, *lists, **named) -> list[float]:
    config = TargetConfig(value_lambda)
    return np.asarray(value_targets(config, trajectory(*lists, **named), jnp.array([bootstrap])))[:, 0].tolist()


def test_outcome_reaches_back_with_its_sign():
    # The mover of the last ply wins: +1 for him, -1 for the other, +1 for him again.
    assert targets(1.0, 9.0, [0, 0, 1], [-1, -1, 0], [0.3, 0.3, 0.3]) == [1.0, -1.0, 1.0]


def test_nothing_leaks_from_the_next_game():
    # A draw ends the first game after two plies; the second game's winner moved at ply 2.
    assert targets(1.0, 9.0, [0, 0, 1], [-1, 0, 0], [0.5, 0.5, 0.5]) == [0.0, 0.0, 1.0]


def test_an_unfinished_game_is_bootstrapped():
    # After the window the opponent of the last mover is worth 0.4.
    assert targets(1.0, 0.4, [0, 0], [-1, -1], [0.0, 0.0]) == pytest.approx([0.4, -0.4])


def test_lambda_0_is_the_value_of_the_next_search():
    assert targets(0.0, 0.4, [0, 0], [-1, -1], [0.7, 0.2]) == pytest.approx([-0.2, -0.4])


def test_lambda_mixes_return_and_search():
    # Last ply: -(0.4). First ply: -(0.75 * -0.4 + 0.25 * 0.2) = 0.25.
    assert targets(0.75, 0.4, [0, 0], [-1, -1], [0.7, 0.2]) == pytest.approx([0.25, -0.4])


def test_the_same_player_moving_twice_keeps_the_sign():
    assert targets(1.0, 9.0, [0, 0, 1], [1, -1, 0], [0, 0, 0]) == [-1.0, -1.0, 1.0]


def test_a_random_move_tells_nothing_of_its_position():
    # The blunder at ply 1 loses the game; ply 0 and 1 learn what the search thought of the position at ply 1.
    got = targets(1.0, 9.0, [0, 0, 1], [-1, -1, 0], [0.1, 0.6, 0.9], chosen=[True, False, True])
    assert got == pytest.approx([-0.6, 0.6, 1.0])
