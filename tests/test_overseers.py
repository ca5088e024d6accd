"""Programs that oversee: against exact values, against the same rules written plainly, and the games they play."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_play import play
from toy_games import WITHIN_ONE, make_toy, roots

import games
from azero import overseers
from azero.overseers import Demonstrations, make_overseer, overseer_games
from games.core import ILLEGAL, Game, LabelledPositions, State
from games.oracles import table_positions

KEY = jax.random.key(0)
SMALL = games.make("connect_four_4x4")
TIC_TAC_TOE = games.make("tic_tac_toe")


def exact_positions(game: Game) -> LabelledPositions:
    assert game.oracle is not None
    return game.oracle().positions()


def asked(text: str, game: Game, states: State) -> tuple[np.ndarray, np.ndarray]:
    policy, q = jax.device_get(make_overseer(text, game).answers(states, KEY))
    return policy, q


def regret(policy: np.ndarray, q: np.ndarray) -> float:
    """Mean loss of exact value by moves drawn from a policy."""
    best = np.where(q == ILLEGAL, -1, q).max(-1, keepdims=True)
    return float((policy * np.where(q == ILLEGAL, 0, best - q)).sum(-1).mean())


def test_better_overseers_have_less_exact_regret():
    found = exact_positions(SMALL)
    names = ("random", "negamax:depth=1", "negamax:depth=2", "rules", "negamax:depth=3", "negamax:depth=4")
    regrets = {name: regret(asked(name, SMALL, found.states)[0], found.q) for name in names}
    assert list(regrets.values()) == sorted(regrets.values(), reverse=True), regrets
    assert regrets["rules"] < 0.35 * regrets["random"]


def test_negamax_to_the_end_of_the_game_is_exact():
    found = exact_positions(TIC_TAC_TOE)
    rows = np.flatnonzero((found.q != ILLEGAL).sum(-1) <= 4)
    states = jax.tree.map(lambda leaf: leaf[rows], found.states)
    policy, q = asked("negamax:depth=4", TIC_TAC_TOE, states)
    exact = found.q[rows]
    assert len(rows) > 2000
    np.testing.assert_array_equal(q, np.where(exact == ILLEGAL, 0, exact))
    best = (exact == exact.max(-1, keepdims=True)) & (exact != ILLEGAL)
    np.testing.assert_allclose(policy, best / best.sum(-1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_negamax_follows_the_sign_rule_in_any_game(depth):
    """Games in which a player may move twice in a row, and rewards come at the end, of either sign."""
    game, _ = make_toy(3, WITHIN_ONE)
    states = roots(game, 24, 6)
    step = jax.jit(jax.vmap(game.step, in_axes=(0, 0, None)))

    def values(states: State, depth: int) -> np.ndarray:
        """All lines of play, one ply of all rows at a time."""
        columns = []
        for action in range(game.num_actions):
            after = jax.device_get(step(states, jnp.full(len(states.terminal), action), KEY))
            below = np.zeros(len(states.terminal))
            if depth > 1:
                below = np.where(after.legal, values(after, depth - 1), -np.inf).max(-1)
            columns.append(after.reward + after.discount * below)
        return np.stack(columns, -1)

    policy, q = asked(f"negamax:depth={depth}", game, states)
    expected = np.where(states.legal, values(states, depth), 0)
    np.testing.assert_allclose(q, expected, atol=1e-6)
    chosen = np.where(states.legal, expected, -np.inf)
    np.testing.assert_array_equal(policy > 0, chosen == chosen.max(-1, keepdims=True))
    assert len(np.unique(q)) > 2


def plain_rules(game: Game, states: State, nearness: Callable[[int], float]) -> np.ndarray:
    """The moves of the ladder, bool [B, A], from what the opponent could do if it were his turn."""
    step = jax.jit(jax.vmap(game.step, in_axes=(0, 0, None)))
    count = len(states.terminal)

    def wins(states: State) -> np.ndarray:
        after = [step(states, jnp.full(count, action), KEY) for action in range(game.num_actions)]
        return np.stack([np.asarray(one.reward) > 0 for one in after], -1) & np.asarray(states.legal)

    mine = wins(states)
    threats = wins(states._replace(to_play=1 - states.to_play))
    given = []
    for action in range(game.num_actions):
        after = step(states, jnp.full(count, action), KEY)
        given.append(wins(after).any(-1) & ~np.asarray(after.terminal))
    safe = np.asarray(states.legal) & ~np.stack(given, -1)
    chosen = np.zeros_like(mine)
    for row in range(count):
        blocks = threats[row] & safe[row] if (threats[row] & safe[row]).any() else threats[row]
        rung = next(moves for moves in (mine[row], blocks, safe[row], states.legal[row]) if moves.any())
        best = max(nearness(action) for action in np.flatnonzero(rung))
        chosen[row] = [rung[action] and nearness(action) == best for action in range(game.num_actions)]
    return chosen


def any_positions(game: Game) -> State:
    """Positions of all kinds, lost ones too, in which no move is safe: from a table, else those of random games."""
    if game.name == "connect_four":
        states, _ = play(game, 1000, game.max_plies)
        goes_on = ~states.terminal.reshape(-1)
        found: State = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[goes_on], states)
        return found
    every = table_positions(game.name)
    rows = np.random.default_rng(0).permutation(len(every.q))[:10_000]
    found = jax.tree.map(lambda leaf: leaf[rows], every.states)
    return found


@pytest.mark.parametrize("game", [TIC_TAC_TOE, SMALL, games.make("connect_four")], ids=lambda game: game.name)
def test_the_rule_player_climbs_its_ladder(game):
    """Win in one, else block, else hand over no win, else the centre, in the plain sense of these words."""
    states = any_positions(game)
    middle = (game.num_actions - 1) / 2
    cells = game is TIC_TAC_TOE

    def nearness(action: int) -> float:
        return -((action // 3 - 1) ** 2 + (action % 3 - 1) ** 2) if cells else -abs(action - middle)

    expected = plain_rules(game, states, nearness)
    policy, q = asked("rules", game, states)
    np.testing.assert_allclose(policy, expected / expected.sum(-1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(q, asked("negamax:depth=2", game, states)[1])


def test_the_centre_is_a_cell_where_moves_are_cells():
    game = games.make("hex")
    policy, _ = asked("rules", game, jax.vmap(game.init)(KEY[None]))
    assert policy[0].max() == 1
    assert game.notation.move(jax.jit(game.init)(KEY), int(policy[0].argmax())) == "f6"


@pytest.mark.parametrize("text", ["random", "rules", "negamax:depth=3"])
def test_answers_do_not_depend_on_how_many_are_asked(text, monkeypatch):
    found = exact_positions(SMALL)
    states = jax.tree.map(lambda leaf: leaf[:301], found.states)
    whole = asked(text, SMALL, states)
    monkeypatch.setattr(overseers, "MEMORY", 30_000)
    parts = asked(text, SMALL, states)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    policy, q = whole
    np.testing.assert_allclose(policy.sum(-1), 1, rtol=1e-6)
    assert not policy[~states.legal].any()
    assert not q[~states.legal].any()
    assert policy.dtype == q.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule", "unknown overseer 'rule'; did you mean rules?"),
        ("stockfish", "overseers are random, rules, negamax"),
        ("negamax:deep=2", "unknown option 'deep'; did you mean depth?"),
        ("rules:depth=2", "unknown option 'depth'; it has none"),
        ("negamax:depth=5", "depth must be a whole number from 1 to 4, not '5'"),
        ("negamax:depth=two", "not 'two'"),
        ("negamax:depth", "an option is written name=value, not 'depth'"),
        ("negamax:", "an option is written name=value, not ''"),
        ("negamax:depth=1,depth=2", "option depth is given twice"),
    ],
)
def test_a_bad_name_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=r"overseer|negamax|rules") as caught:
        make_overseer(text, SMALL)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_games_that_no_overseer_can_judge_are_refused():
    with pytest.raises(ValueError, match=r"rules would try 21,827,584 lines .* of chess, more than 1,000,000"):
        make_overseer("rules", games.make("chess"))
    with pytest.raises(ValueError, match="games for two players"):
        make_overseer("random", SMALL._replace(num_players=1))


def test_games_of_an_overseer_are_its_moves_to_the_end():
    rules = make_overseer("rules", SMALL)
    shown = overseer_games(SMALL, rules, 40, jax.random.key(1), opening_plies=5)
    policy, _ = jax.device_get(rules.answers(shown.states, KEY))
    rows = np.arange(len(shown.actions))
    assert (policy[rows, shown.actions] > 0).all(), "openings are no demonstrations"
    assert shown.games.tolist() == sorted(shown.games)
    assert set(shown.games) == set(range(40))
    assert not shown.states.terminal.any()
    assert_whole(shown)
    begins = np.flatnonzero(np.diff(shown.games, prepend=-1))
    plies = popcount(shown.states)[begins]
    assert set(plies) <= set(range(6))
    assert len(set(plies)) > 3, "openings differ in length"


def popcount(states: State) -> np.ndarray:
    return np.bitwise_count(np.asarray(states.board.bits)).sum((-1, -2))


def assert_whole(shown: Demonstrations) -> None:
    """Each game goes from state to state by its moves to its end, whose result is in all its outcomes."""
    after = jax.device_get(jax.vmap(lambda state, action: SMALL.step(state, action, KEY))(shown.states, shown.actions))
    last = np.append(np.diff(shown.games) != 0, True)
    np.testing.assert_array_equal(after.terminal, last)
    follows = np.flatnonzero(~last)
    np.testing.assert_array_equal(after.board.bits[follows], shown.states.board.bits[follows + 1])
    first = shown.outcome * (1 - 2 * shown.states.to_play)  # of player 0
    result = (after.reward * (1 - 2 * shown.states.to_play))[last][shown.games]
    np.testing.assert_array_equal(first, result)
    assert set(result) > {0.0}, "some games are won"


def test_the_same_key_gives_the_same_games():
    rules = make_overseer("rules", SMALL)
    one, same, other = (overseer_games(SMALL, rules, 8, jax.random.key(seed), 3) for seed in (1, 1, 2))
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.actions.tolist() != other.actions.tolist()


@pytest.mark.parametrize(("count", "plies", "message"), [(0, 0, "1 or more, not 0"), (1, -1, "0 or more, not -1")])
def test_no_games_are_refused(count, plies, message):
    with pytest.raises(ValueError, match=message):
        overseer_games(SMALL, make_overseer("random", SMALL), count, KEY, plies)
