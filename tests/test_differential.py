"""The rules against those of others: 100 random games each, every position.

Ours are played in one batch; OpenSpiel (a test extra) then follows the same moves one game at a time.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_connect import Board, completes_line
from random_play import play

import games
from games.connect import SHAPES
from games.core import State

GAMES = 100


def visible(state: State) -> State:
    return state._replace(board=None)


def rewards_of_first(states: State) -> np.ndarray:
    """float32 [T, B]: the rewards of each ply, for player 0."""
    return np.where(states.to_play[:-1] == 0, states.reward[1:], -states.reward[1:])


def same(action: int) -> int:
    return action


def go_row_flipped(action: int) -> int:
    """Ours counts rows from the top, OpenSpiel from the bottom; 81 is the pass of both."""
    return action if action == 81 else (8 - action // 9) * 9 + action % 9


SPIEL = {
    "tic_tac_toe": ("tic_tac_toe", same, ()),
    "connect_four": ("connect_four", same, ()),
    "othello": ("othello", same, ()),
    "hex": ("hex(board_size=11)", same, (121,)),  # OpenSpiel has no swap, so none is played
    "go_9x9": ("go(board_size=9,komi=7.5)", go_row_flipped, ()),
}


@pytest.mark.parametrize("name", SPIEL)
def test_open_spiel(name: str) -> None:
    """Legal moves, whose turn, the end and its result. OpenSpiel's Othello ends before passes that both must make."""
    pyspiel = pytest.importorskip("pyspiel", reason="Open Spiel is not there; install it: pip install open_spiel")
    spiel_name, renamed, without = SPIEL[name]
    spiel_game = pyspiel.load_game(spiel_name)
    game = games.make(name)
    states, actions = play(game, GAMES, game.max_plies, record=visible, without=without)
    rewards = rewards_of_first(states)
    for row in range(GAMES):
        other = spiel_game.new_initial_state()
        length = int(states.terminal[:, row].argmax())
        for ply in range(length):
            legal = [int(move) for move in np.flatnonzero(states.legal[ply, row]) if move not in without]
            if other.is_terminal() and name == "othello":
                assert legal == [64]
                continue
            assert states.to_play[ply, row] == other.current_player()
            assert sorted(renamed(move) for move in legal) == sorted(other.legal_actions())
            other.apply_action(renamed(int(actions[ply, row])))
        assert other.is_terminal()
        if name == "go_9x9" and repeats_a_board(states, actions, row, length):
            continue  # OpenSpiel calls it a draw; ours is a loss
        assert rewards[:length, row].sum() == other.returns()[0]


def repeats_a_board(states: State, actions: np.ndarray, row: int, length: int) -> bool:
    """Whether a game of Go ended by a board that was there before: not by a pass, nor by its length."""
    return bool(actions[length - 1, row] != 81 and length < games.make("go_9x9").max_plies)


def pgx_follows(env: Any, actions: np.ndarray, seed: int) -> Any:
    """What a pgx env shows in the same games, leaves [T + 1, B, ...]."""

    def shown(state: Any) -> tuple[Any, ...]:
        fields = (state.current_player, state.legal_action_mask, state.terminated, state.rewards, state.observation)
        return jax.tree.map(jnp.asarray, fields)

    def ply(states: Any, moves: jax.Array) -> Any:
        states = jax.vmap(env.step)(states, moves)
        return states, shown(states)

    @jax.jit
    def run(moves: jax.Array) -> Any:
        first = jax.vmap(env.init)(jax.random.split(jax.random.key(seed), moves.shape[1]))
        return shown(first), jax.lax.scan(ply, first, moves)[1]

    first, later = run(jnp.asarray(actions))
    return jax.tree.map(lambda one, rest: np.concatenate([one[None], rest]), first, later)


@pytest.mark.parametrize(
    ("name", "number"), [("tic_tac_toe", GAMES), ("connect_four", GAMES), ("othello", 8), ("hex", 8), ("go_9x9", 8)]
)
def test_pgx(name: str, number: int) -> None:
    """Our own rules, and the adapter's, against pgx itself, which draws by lot who moves first."""
    import pgx

    game = games.make(name)

    def record(state: State) -> Any:
        return visible(state), game.observe(state)

    (states, planes), actions = play(game, number, game.max_plies, record=record)
    player, legal, over, rewards, seen = pgx_follows(pgx.make(name), actions, seed=1)
    first = player[0]
    assert set(first) == {0, 1}  # both kinds of games are there
    assert np.array_equal(states.to_play, player ^ first)
    assert np.array_equal(states.terminal, over)
    assert np.array_equal(states.legal, legal)
    assert np.array_equal(planes, seen.astype(np.float32))
    assert not rewards.sum(axis=-1).any()
    of_mover = np.take_along_axis(rewards[1:], player[:-1, :, None], axis=-1)[..., 0]
    assert np.array_equal(states.reward[1:], of_mover)


@pytest.mark.parametrize("name", SHAPES)
def test_plain_rules(name: str) -> None:
    """The connect family against plain Python: columns of stones, and a search for lines through the last one."""
    shape, game = SHAPES[name], games.make(name)
    states, actions = play(game, GAMES, game.max_plies, record=visible, seed=2)
    rewards = rewards_of_first(states)
    for row in range(GAMES):
        board: Board = ((),) * shape.width
        length = int(states.terminal[:, row].argmax())
        for ply in range(length):
            assert states.to_play[ply, row] == ply % 2
            legal = [column for column, stones in enumerate(board) if len(stones) < shape.height]
            assert legal == np.flatnonzero(states.legal[ply, row]).tolist()
            move = int(actions[ply, row])
            board = (*board[:move], (*board[move], ply % 2), *board[move + 1 :])
            won = completes_line(board, shape, move)
            assert (ply + 1 == length) == (won or ply + 1 == shape.width * shape.height)
            assert rewards[ply, row] == (0 if not won else 1 if ply % 2 == 0 else -1)
