"""One contract, kept by every game of games.names(); and what holds of board games beyond it.

Board games are for two, begin alike and have no chance. Gymnasium's environments, for one, begin anywhere and pay as
they like: what is left of their contract is in test_functional.py.

A game's random games are played once, in one compiled scan two plies longer than its longest game, and shared by
the tests.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_play import play, random_actions

import games
from games.core import Game, State
from games.notation import play_text

BATCH = 4
BOARD_GAMES = games.OWN_GAMES + games.PGX_GAMES
SYMMETRIC_PLIES = 130  # how far the twins of a symmetry are played

# The planes of the mover's pieces on the board, and how the second player's view of the board is turned.
OWN_PIECES = {
    "chess": (slice(0, 6), lambda board: board[::-1]),
    "gardner_chess": (slice(0, 6), lambda board: board[::-1]),
    "animal_shogi": (slice(0, 5), lambda board: board[::-1, ::-1]),
    "shogi": (slice(0, 14), lambda board: board[::-1, ::-1]),
}
STONES = (slice(0, 1), lambda board: board)


class Played(NamedTuple):
    """Random games to the end."""

    game: Game
    states: State  # leaves [T + 1, B, ...]
    planes: np.ndarray  # float32 [T + 1, B, H, W, C]
    actions: np.ndarray  # int32 [T, B]

    def state(self, ply: int, row: int = 0) -> State:
        return jax.tree.map(lambda leaf: leaf[ply, row], self.states)

    def length(self, row: int = 0) -> int:
        over = self.states.terminal[:, row]
        return int(over.argmax()) if over.any() else len(self.actions)

    def sampled(self, number: int) -> list[State]:
        """Positions before the end, from all rows."""
        plies = [(ply, row) for row in range(BATCH) for ply in range(self.length(row))]
        return [self.state(*plies[index]) for index in np.linspace(0, len(plies) - 1, number).astype(int)]


@functools.cache
def played(name: str) -> Played:
    game = games.make(name)
    (states, planes), actions = play(game, BATCH, game.max_plies + 2, record=lambda state: (state, game.observe(state)))
    return Played(game, states, planes, actions)


@pytest.fixture(params=games.names())
def run(request: pytest.FixtureRequest) -> Played:
    return played(request.param)


@pytest.fixture(params=BOARD_GAMES)
def board_run(request: pytest.FixtureRequest) -> Played:
    return played(request.param)


def leaves_equal(left: Any, right: Any) -> bool:
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)


def test_record_says_what_the_functions_give(run: Played) -> None:
    game, state = run.game, run.state(0)
    assert game.name in games.names()
    assert game.num_players == (2 if game.name in games.FOR_TWO else 1)
    assert run.planes.shape[2:] == game.observation_shape
    assert run.planes.dtype == np.float32
    dtypes = {"to_play": np.int32, "legal": bool, "reward": np.float32, "discount": np.float32, "terminal": bool}
    for field, dtype in dtypes.items():
        assert getattr(state, field).dtype == dtype
        assert getattr(state, field).shape == ((game.num_actions,) if field == "legal" else ())
    first = jax.eval_shape(game.init, jax.random.key(0))
    after = jax.eval_shape(game.step, first, jnp.int32(0), jax.random.key(0))
    assert jax.tree.leaves(first) == jax.tree.leaves(after)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((first, after)))  # weak types compile again


def test_first_state(board_run: Played) -> None:
    run = board_run
    first = run.states._replace(board=None)
    first = jax.tree.map(lambda leaf: leaf[0], first)
    assert not first.to_play.any()
    assert not first.terminal.any()
    assert not first.reward.any()
    assert (first.discount == -1).all()
    assert first.legal.any(axis=1).all()
    assert all(leaves_equal(run.state(0, 0), run.state(0, row)) for row in range(BATCH))


def test_legal_moves(run: Played) -> None:
    """There is always one. Once the game is over all are open."""
    assert run.states.legal.any(axis=-1).all()
    assert run.states.legal[run.states.terminal].all()


def test_each_move_leads_to_a_board_of_its_own(board_run: Played) -> None:
    """Which a step against the wall does not."""
    run = board_run
    step = jax.jit(run.game.step)
    for state in run.sampled(3):
        boards = {b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.board))}
        moves = np.flatnonzero(state.legal)
        for move in moves:
            after = step(state, jnp.int32(move), jax.random.key(0))
            boards.add(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(after.board)))
        assert len(boards) == len(moves) + 1


def test_games_end_in_time(run: Played) -> None:
    if not run.game.time_limit:  # else nothing but the limit may end them
        assert run.states.terminal[run.game.max_plies].all()
    assert run.game.time_limit in (0, run.game.max_plies)


def test_terminal_states_are_fixed_points(run: Played) -> None:
    for row in np.flatnonzero(run.states.terminal[-1]).tolist():
        end = run.length(row)
        fixed = run.state(end, row)._replace(reward=np.float32(0), discount=np.float32(0))
        assert leaves_equal(fixed, run.state(end + 1, row))
        assert leaves_equal(fixed, run.state(end + 2, row))
        assert leaves_equal(fixed, run.state(len(run.actions), row))


def test_rewards_and_the_sign_rule(board_run: Played) -> None:
    states = board_run.states
    assert np.isin(states.reward, (-1, 0, 1)).all()
    new = states.terminal[1:] & ~states.terminal[:-1]
    assert not states.reward[1:][~new].any()  # only the last move is rewarded
    same_player = states.to_play[1:] == states.to_play[:-1]
    goes_on = np.where(same_player, 1, -1)
    assert (states.discount[1:] == np.where(states.terminal[1:], 0, goes_on)).all()
    assert np.isin(states.to_play, (0, 1)).all()


def test_observation_is_from_the_side_to_move(board_run: Played) -> None:
    """The mover's pieces in the text board are those in the first planes."""
    run = board_run
    height, width, _ = run.game.observation_shape
    own_planes, turned = OWN_PIECES.get(run.game.name, STONES)
    observe = jax.jit(run.game.observe)
    for state in run.sampled(6):
        lines = [line.split() for line in run.game.notation.board(state).split("\n")]
        board = np.array([line[-width:] for line in lines if len(line) >= width][:height])
        if run.game.name in OWN_PIECES:
            board = np.char.replace(board, "+", "")
            mine = np.char.islower(board) if state.to_play else np.char.isupper(board)
        else:
            mine = board == ("o" if state.to_play else "x")
        seen = np.asarray(observe(state))[..., own_planes].any(axis=-1)
        assert (seen == (turned(mine) if state.to_play else mine)).all()


@pytest.mark.parametrize("name", games.OWN_GAMES)
def test_colours_swapped_look_the_same(name: str) -> None:
    run = played(name)
    for state in run.sampled(8):
        swapped = jax.tree.map(lambda stones: stones[::-1], state.board)
        twin = state._replace(board=swapped, to_play=1 - state.to_play)
        assert np.array_equal(run.game.observe(state), run.game.observe(twin))


def test_one_game_compiles_once_and_equals_the_batch(board_run: Played) -> None:
    run = board_run
    traces = []

    @jax.jit
    def step(state: State, action: jax.Array, key: jax.Array) -> State:
        traces.append(None)
        return run.game.step(state, action, key)

    state = jax.jit(run.game.init)(jax.random.key(5))
    for ply in range(min(20, run.length())):
        state = step(state, jnp.int32(run.actions[ply, 0]), jax.random.key(ply))
        assert leaves_equal(state, run.state(ply + 1))
    assert len(traces) == 1


def test_planes_pack_as_bits_and_counts(run: Played) -> None:
    counted = np.zeros(run.game.observation_shape[-1], bool)
    counted[list(run.game.count_planes)] = True
    assert np.isin(run.planes[..., ~counted], (0, 1)).all()
    counts = run.planes[..., counted]
    assert (counts == counts[:, :, :1, :1]).all()
    fractional = ~np.isin(counts, (0, 1)).all(axis=(0, 1, 2, 3))
    assert fractional.all()  # no plane is called a count for nothing


def test_notation_both_ways(run: Played) -> None:
    notation = run.game.notation
    random = np.random.default_rng(0)
    for state in run.sampled(10):
        moves = np.flatnonzero(state.legal)
        texts = [notation.move(state, int(move)) for move in moves]
        assert len(set(texts)) == len(texts)
        for index in random.permutation(len(moves))[:8]:
            assert notation.action(state, texts[index]) == moves[index]
        with pytest.raises(ValueError, match="is not a"):
            notation.action(state, "zz99")


def test_text_of_a_game_is_its_position(board_run: Played) -> None:
    run = board_run
    notation = run.game.notation
    plies = run.length() if run.length() < 100 else 60
    texts = [notation.move(run.state(ply), int(run.actions[ply, 0])) for ply in range(plies)]
    assert leaves_equal(play_text(run.game, notation.separator.join(texts)), run.state(plies))
    if plies == run.length():
        with pytest.raises(ValueError, match="after the end"):
            play_text(run.game, notation.separator.join([*texts, texts[0]]))
    with pytest.raises(ValueError, match="move 2: "):
        play_text(run.game, notation.separator.join([texts[0], "?"]))


def othello_turned(state: State, cells: np.ndarray, actions: np.ndarray) -> State:
    """The first position of Othello under a symmetry: half of them exchange its colours."""
    rules = state.board.env._x
    env = state.board.env.replace(_x=rules._replace(board=rules.board[cells]))
    return state._replace(board=state.board._replace(env=env), legal=state.legal[actions])


@pytest.mark.parametrize("name", games.names())
def test_rules_commute_with_symmetries(name: str) -> None:
    """A random game, and its twin on the transformed board, in which every move is the transformed one."""
    game = games.make(name)
    cells, actions = (np.asarray(table) for table in game.symmetries)
    height, width, _ = game.observation_shape
    assert cells.shape == (len(cells), height * width)
    assert actions.shape == (len(cells), game.num_actions)
    assert (np.sort(cells) == np.arange(height * width)).all()
    assert (cells[0] == np.arange(height * width)).all()
    assert (np.sort(actions) == np.arange(game.num_actions)).all()
    assert (actions[0] == np.arange(len(actions[0]))).all()
    assert len({(*one, *other) for one, other in zip(cells.tolist(), actions.tolist(), strict=True)}) == len(cells)
    if len(cells) == 1 or game.chance:  # chance does not do the same to a game and its twin; see test_2048.py
        return
    number = len(cells)
    turned = othello_turned if name == "othello" else lambda state, _cells, _actions: state

    def ply(pairs: State, key: jax.Array) -> Any:
        moves = random_actions(key, pairs.legal[number:])
        both = jnp.concatenate([jnp.asarray(actions)[jnp.arange(number), moves], moves])
        pairs = jax.vmap(game.step)(pairs, both, jax.random.split(key, 2 * number))
        return pairs, (pairs._replace(board=None), jax.vmap(game.observe)(pairs))

    @jax.jit
    def run(keys: jax.Array) -> Any:
        states = jax.vmap(game.init)(keys[:number])
        twins = jax.vmap(turned)(states, jnp.asarray(cells), jnp.asarray(actions))
        pairs = jax.tree.map(lambda one, other: jnp.concatenate([one, other]), states, twins)
        return jax.lax.scan(ply, pairs, keys)[1]

    plies = max(number, min(game.max_plies, SYMMETRIC_PLIES))
    seen = jax.tree.map(np.asarray, run(jax.random.split(jax.random.key(1), plies)))
    mine, planes = jax.tree.map(lambda leaf: leaf[:, :number], seen)
    theirs, twin_planes = jax.tree.map(lambda leaf: leaf[:, number:], seen)
    for field in ("to_play", "reward", "discount", "terminal"):
        assert np.array_equal(getattr(mine, field), getattr(theirs, field))
    for s in range(number):
        assert np.array_equal(mine.legal[:, s][:, actions[s]], theirs.legal[:, s])
        flat = planes[:, s].reshape(plies, height * width, -1)
        assert np.array_equal(flat[:, cells[s]], twin_planes[:, s].reshape(flat.shape))


def test_unknown_game() -> None:
    with pytest.raises(ValueError, match="did you mean connect_four"):
        games.make("conect_four")
