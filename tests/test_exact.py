"""Values of policies on solved boards: known figures, plain recursions over the rules, and played games."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from azero import exact
from games.tic_tac_toe import LINES

KEY = jax.random.key(0)
GAMES = 20_000
SMALL = ("tic_tac_toe", "connect_four_4x4")


@pytest.fixture(scope="module")
def ttt():
    return exact.board("tic_tac_toe")


def drawn(board, seed):
    """Some policy, float64 [N, A], that makes every legal move."""
    shares = np.random.default_rng(seed).gamma(0.5, size=board.q.shape) * board.legal + 1e-3 * board.legal
    return shares / shares.sum(axis=1, keepdims=True)


def row_after(board, *actions):
    return functools.reduce(lambda row, action: int(board.child[row, action]), actions, 0)


# The rules of tic-tac-toe in plain Python. A position is two sets of cells, the mover's last.


def moves(waiting, moving):
    """(cell, position after it) of each move; the position is a result for the mover where the game is over."""
    for cell in set(range(9)) - waiting - moving:
        mine = moving | {cell}
        if any(set(line) <= mine for line in LINES):
            yield cell, 1
        elif len(waiting) + len(mine) == 9:
            yield cell, 0
        else:
            yield cell, (mine, waiting)


def rows_by_cells(board):
    """(waiting, moving) -> row."""
    rows = {}
    for row, stones in enumerate(np.asarray(board.states.board).tolist()):
        cells = [frozenset(cell for cell in range(9) if bits >> cell & 1) for bits in stones]
        rows[tuple(cells if len(cells[0]) > len(cells[1]) else cells[::-1])] = row
    return rows


def worth(move, value_of):
    """What a move is worth to the mover, where value_of(position) is for the player to move there."""
    return -value_of(*move) if isinstance(move, tuple) else move


def plain_values(rows, first, second):
    """values_under by recursion."""
    values = {}

    @functools.cache
    def value(waiting, moving):
        row = rows[waiting, moving]
        policy = first if len(waiting) == len(moving) else second
        values[row] = sum(policy[row, cell] * worth(move, value) for cell, move in moves(waiting, moving))
        return values[row]

    value(frozenset(), frozenset())
    return np.array([values[row] for row in range(len(values))])


def plain_response(rows, policy):
    """(value for the one who responds to `policy`, value for `policy`) at the start, where each moves first."""

    @functools.cache
    def value(waiting, moving, responds):
        row = rows[waiting, moving]
        found = {cell: worth(move, lambda *at: value(*at, not responds)) for cell, move in moves(waiting, moving)}
        return max(found.values()) if responds else sum(policy[row, cell] * here for cell, here in found.items())

    return value(frozenset(), frozenset(), True), value(frozenset(), frozenset(), False)


def plain_kl(rows, policy, reference):
    """trajectory_kl by recursion."""

    @functools.cache
    def kl(waiting, moving):
        p, r = policy[rows[waiting, moving]], reference[rows[waiting, moving]]
        return sum(
            p[cell] * (math.log(p[cell] / r[cell]) - worth(move, lambda *at: kl(*at)) * isinstance(move, tuple))
            for cell, move in moves(waiting, moving)
        )

    return kl(frozenset(), frozenset())


def test_random_games_end_as_they_are_known_to(ttt):
    uniform = exact.uniform(ttt)
    assert exact.play_value(ttt, uniform, uniform) == pytest.approx(0.585 - 0.288, abs=1e-3)
    ends = (exact.reach(ttt, uniform, uniform)[:, None] * uniform * (ttt.child < 0)).ravel()
    second_moves = np.repeat(np.asarray(ttt.states.to_play), 9) == 1
    won = ttt.reward.ravel() > 0
    assert ends[won & ~second_moves].sum() == pytest.approx(0.585, abs=5e-4)
    assert ends[won & second_moves].sum() == pytest.approx(0.288, abs=5e-4)
    assert ends[~won].sum() == pytest.approx(0.127, abs=5e-4)


@pytest.mark.parametrize("name", SMALL)
def test_perfect_play_is_a_draw_that_nobody_beats(name):
    board = exact.board(name)
    perfect = exact.optimal_opponent(board, 0.0)
    np.testing.assert_array_equal(exact.values_under(board, perfect, perfect), board.value)
    response = exact.best_response(board, perfect)
    np.testing.assert_array_equal(response.value, board.value)
    np.testing.assert_array_equal(response.against, board.value)
    assert exact.exploitability(board, perfect) == 0
    found = exact.report(board, perfect)
    assert set(found["regret"].values()) == set(found["blunder"].values()) == {0.0}
    assert 0 < found["value_against"]["0.1"] < found["value_against"]["0.3"] < found["value_against"]["0.6"]


@pytest.mark.parametrize("name", SMALL)
def test_the_value_of_play_is_that_of_games_played(name):
    board = exact.board(name)
    policies = drawn(board, 1), exact.optimal_opponent(board, 0.5)
    step = jax.jit(jax.vmap(board.game.step, in_axes=(0, 0, None)))
    states = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], GAMES, axis=0), board.game.init(KEY))
    rows, results = np.zeros(GAMES, int), np.zeros(GAMES)
    visits = np.zeros(len(board.q))
    chance = np.random.default_rng(3)
    for ply in range(board.game.max_plies):
        goes_on = rows >= 0
        np.testing.assert_array_equal(states.terminal, ~goes_on)
        np.testing.assert_array_equal(np.asarray(states.legal)[goes_on], board.legal[rows[goes_on]])
        visits += np.bincount(rows[goes_on], minlength=len(visits))
        cumulated = policies[ply % 2][rows].cumsum(axis=1)
        actions = (chance.random((GAMES, 1)) * cumulated[:, -1:] < cumulated).argmax(axis=1)
        states = step(states, jnp.asarray(actions, jnp.int32), KEY)
        results += np.asarray(states.reward) * (1 if ply % 2 == 0 else -1)
        rows = np.where(goes_on, board.child[rows, actions], -1)
    assert states.terminal.all()
    error = results.std() / math.sqrt(GAMES)
    expected = exact.play_value(board, *policies)
    assert abs(results.mean() - expected) < 4 * error
    assert abs(expected) > 8 * error  # a sign error would not pass
    chances = exact.reach(board, *policies)
    often = chances > 0.01
    deviation = np.sqrt(chances * (1 - chances) / GAMES)
    assert (np.abs(visits / GAMES - chances)[often] <= 5 * deviation[often]).all()
    assert often.sum() > 20


def test_values_are_those_of_a_recursion_over_the_rules(ttt):
    rows = rows_by_cells(ttt)
    policies = drawn(ttt, 1), drawn(ttt, 2)
    values = exact.values_under(ttt, *policies)
    np.testing.assert_allclose(values, plain_values(rows, *policies), atol=1e-12)
    assert exact.play_value(ttt, *policies) == values[0]
    colours = values[0], -exact.play_value(ttt, policies[1], policies[0])
    assert exact.value_against(ttt, *policies) == pytest.approx(sum(colours) / 2, abs=1e-15)
    assert abs(colours[0] - colours[1]) > 0.01


def test_the_best_response_is_that_of_a_recursion_over_the_rules(ttt):
    policy = drawn(ttt, 4)
    response = exact.best_response(ttt, policy)
    plain = plain_response(rows_by_cells(ttt), policy)
    assert (response.value[0], response.against[0]) == pytest.approx(plain, abs=1e-12)
    won = exact.value_against(ttt, response.policy, policy)
    assert won == pytest.approx(exact.exploitability(ttt, policy), abs=1e-12)
    for other in (exact.uniform(ttt), exact.optimal_opponent(ttt, 0.0), drawn(ttt, 5)):
        assert exact.value_against(ttt, other, policy) < won
    mine = np.asarray(ttt.states.to_play) == 0
    np.testing.assert_allclose(exact.values_under(ttt, response.policy, policy)[mine], response.value[mine])


@pytest.mark.parametrize("name", SMALL)
def test_each_ply_is_visited_unless_the_game_is_over(name):
    board = exact.board(name)
    policies = drawn(board, 1), drawn(board, 2)
    visits = exact.reach(board, *policies)
    ended = 0.0
    for ply, rows in enumerate(board.plies):
        assert visits[rows].sum() + ended == pytest.approx(1, abs=1e-12)
        ended += (visits[rows, None] * policies[ply % 2][rows] * (board.child[rows] < 0)).sum()
    assert ended == pytest.approx(1, abs=1e-12)


def test_divergence_over_games(ttt):
    policy, reference = drawn(ttt, 6), drawn(ttt, 7)
    plain = plain_kl(rows_by_cells(ttt), policy, reference)
    assert exact.trajectory_kl(ttt, policy, reference) == pytest.approx(plain, rel=1e-12)
    assert exact.trajectory_kl(ttt, policy, policy) == 0
    assert exact.trajectory_kl(ttt, policy, exact.argmax(policy)) == math.inf
    # What the reference never does matters only where the policy comes.
    fixed = exact.argmax(policy)
    elsewhere = np.where(exact.reach(ttt, fixed, fixed)[:, None] > 0, policy, exact.argmax(reference))
    assert math.isfinite(exact.trajectory_kl(ttt, fixed, elsewhere))


def test_a_position_by_hand(ttt):
    """After a corner only the centre holds the draw; after the centre only the corners do."""
    corner, centre = row_after(ttt, 0), row_after(ttt, 4)
    assert ttt.value[[0, corner, centre]].tolist() == [0, 0, 0]
    assert ttt.q[corner].tolist() == [-128, -1, -1, -1, 0, -1, -1, -1, -1]
    assert ttt.regret[corner].tolist() == [0, 1, 1, 1, 0, 1, 1, 1, 1]
    assert ttt.regret[centre].tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert ttt.decisive[[0, corner, centre]].tolist() == [False, True, True]
    mate = row_after(ttt, 0, 3, 1, 4)  # both could win: 2 does, 5 stops it, elsewhere the opponent wins
    assert ttt.regret[mate].tolist() == [0, 0, 0, 0, 0, 1, 2, 2, 2]
    assert ttt.distance[mate, 2] == 1
    assert (ttt.child[mate, 2], ttt.reward[mate, 2]) == (-1, 1)
    opponent = exact.optimal_opponent(ttt, 0.4)
    np.testing.assert_allclose(opponent[centre], [0.2, 0.05, 0.2, 0.05, 0, 0.05, 0.2, 0.05, 0.2])


def test_a_report_by_hand(ttt):
    """Perfect but for the reply to the corner, where any of the 8 moves is as likely and 7 of them lose."""
    corner = row_after(ttt, 0)
    policy = exact.optimal_opponent(ttt, 0.0)
    policy[0] = np.eye(9)[0]
    policy[corner] = exact.uniform(ttt)[corner]
    found = exact.report(ttt, policy)
    assert found["regret"] == found["blunder"]
    assert found["regret"]["all"] == pytest.approx(7 / 8 / 4520)
    assert found["regret"]["decisive"] == pytest.approx(7 / 8 / ttt.decisive.sum())
    assert found["regret"]["own"] == pytest.approx(7 / 8 / exact.reach(ttt, policy, policy).sum())
    assert found["exploitability"] == pytest.approx(7 / 8 / 2)  # it loses those games as second player only
    assert list(found["value_against"]) == ["0.1", "0.3", "0.6"]


def test_the_first_of_the_likeliest_moves():
    policy = np.array([[0.2, 0.4, 0.4], [0.5, 0.25, 0.25]], np.float32)
    assert exact.argmax(policy).tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5] * 9, "row 7 of a policy must be chances that sum to 1, not"),
        ([math.nan] * 9, "row 7 of a policy must be chances that sum to 1, not"),
        ([-1, 2] + [0] * 7, "row 7 of a policy must be chances that sum to 1, not"),
        ([1 / 9] * 9, "row 7 of a policy gives an illegal move a chance"),
    ],
)
def test_what_is_no_policy_is_refused(ttt, row, message):
    wrong = exact.uniform(ttt)
    wrong[7] = row
    for ask in (exact.report, exact.exploitability, exact.best_response):
        with pytest.raises(ValueError, match=message):
            ask(ttt, wrong)
    for ask in (exact.values_under, exact.reach, exact.trajectory_kl, exact.value_against):
        for pair in ((wrong, exact.uniform(ttt)), (exact.uniform(ttt), wrong)):
            with pytest.raises(ValueError, match=message):
                ask(ttt, *pair)


def test_what_does_not_fit_is_refused(ttt):
    with pytest.raises(ValueError, match=r"has shape \(4520, 9\), not \(4519, 9\)"):
        exact.report(ttt, exact.uniform(ttt)[1:])
    with pytest.raises(ValueError, match=r"from 0 to 1, not 1\.5"):
        exact.optimal_opponent(ttt, 1.5)
