"""Matches: pairing, counting, and the numbers made of the counts."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_folder import write_reference

import games
from azero import match
from azero.answers import Answer, Playing
from azero.match import play_match
from azero.openings import random_openings
from azero.players import Player, make_player
from azero.score import elo, match_result, mean_of_pairs, pair_interval, wilson
from games.core import Game, Notation, State, no_symmetries


def test_a_player_against_itself_scores_exactly_half(tmp_path):
    player, game = make_player(f"policy:{write_reference(tmp_path / 'c4', 'connect_four')}")
    result = play_match(game, player, player, games=40, opening_plies=6, seed=3)
    assert result.score == 0.5
    assert result.wins == result.losses > 0
    assert result.elo == 0
    first, second = result.by_colour["first"], result.by_colour["second"]
    assert (first.wins, first.draws, first.losses) == (second.losses, second.draws, second.wins)
    assert result == play_match(game, player, player, games=40, opening_plies=6, seed=3)


def test_oracle_never_loses_and_beats_random():
    oracle, game = make_player("oracle", "tic_tac_toe")
    chance, _ = make_player("random", "tic_tac_toe")
    result = play_match(game, oracle, chance, games=100, opening_plies=0)
    assert result.losses == 0
    assert result.score > 0.85
    assert result.by_colour["first"].wins > result.by_colour["second"].wins
    other = play_match(game, chance, oracle, games=100, opening_plies=0)
    assert other.wins == 0
    assert other.score < 0.15


def test_rollout_beats_random():
    rollout, game = make_player("rollout:simulations=50", "connect_four_4x4")
    chance, _ = make_player("random", game.name)
    result = play_match(game, rollout, chance, games=60, opening_plies=2)
    assert result.score > 0.75
    assert result.elo_interval[0] > 0


def test_openings_go_on_and_have_every_length():
    game = games.make("tic_tac_toe")
    openings = random_openings(game, 400, 6, jax.random.key(0)).states
    stones = np.bitwise_count(np.asarray(openings.board)).sum(-1)
    assert not np.asarray(openings.terminal).any()
    assert set(stones.tolist()) == set(range(7))
    assert len(np.unique(np.asarray(openings.board)[stones == 1], axis=0)) == 9
    assert (np.bitwise_count(np.asarray(random_openings(game, 5, 0, jax.random.key(0)).states.board)) == 0).all()


def make_two_each() -> Game:
    """Four moves, 0 or 1: player 0 makes the first two, player 1 the others; who played more ones wins."""

    def init(key: jax.Array) -> State:
        del key
        return state(jnp.zeros(4, jnp.int32), jnp.int32(0), jnp.float32(0))

    def state(moves: jax.Array, ply: jax.Array, reward: jax.Array) -> State:
        discount = jnp.where(ply == 4, 0.0, jnp.where(ply % 2 == 1, 1.0, -1.0)).astype(jnp.float32)
        return State((moves, ply), (ply >= 2).astype(jnp.int32), jnp.ones(2, bool), reward, discount, ply == 4)

    def step(before: State, action: jax.Array, key: jax.Array) -> State:
        del key
        moves, ply = before.board
        moves = moves.at[ply].set(action)
        reward = jnp.where(ply == 3, jnp.sign(moves[2:].sum() - moves[:2].sum()), 0).astype(jnp.float32)
        return state(moves, ply + 1, reward)

    notation = Notation(lambda state, action: str(action), lambda state, text: int(text), " ", lambda state: "")
    return Game(
        "two_each", 2, 2, (1, 1, 1), 4, init, step, lambda state: jnp.zeros((1, 1, 1)), no_symmetries(1, 2), notation
    )


def test_a_player_that_moves_twice_is_asked_twice():
    game = make_two_each()
    asked = {0: [], 1: []}

    def always(action):
        def answers(states, key):
            asked[action].append(np.asarray(states.board[1]).tolist())
            count = states.terminal.shape[0]
            return Answer(np.full(count, action, np.int32), np.eye(2, dtype=np.float32)[[action] * count], None, None)

        return Player(str(action), answers)

    result = play_match(game, always(1), always(0), games=6, opening_plies=0)
    assert (result.wins, result.draws, result.losses) == (6, 0, 0)
    assert asked[1] == asked[0] == [[ply] * 3 for ply in range(4)]
    assert play_match(game, always(0), always(0), games=6, opening_plies=0).draws == 6


def test_a_player_is_told_of_every_move_in_every_game():
    """What it remembers of a game is what was played there, by either side, whichever games it is asked about."""
    game = games.make("tic_tac_toe")

    def answer(memory, states, key, asked):
        for row in asked[asked < len(memory)].tolist():
            board = np.asarray(states.board)[row]
            assert len(memory[row]) == np.bitwise_count(board).sum()
            assert all((board >> action & 1).any() for action in memory[row])
        return chance.answers(jax.tree.map(lambda leaf: leaf[np.minimum(asked, 9)], states), key), memory

    def moved(memory, actions):
        return [[*moves, action] for moves, action in zip(memory, actions.tolist(), strict=True)]

    chance, _ = make_player("random", game.name)
    watching = chance._replace(playing=Playing(lambda states: [[] for _ in states.terminal], answer, moved))
    play_match(game, watching, chance, games=10, opening_plies=0)
    play_match(game, chance, watching, games=10, opening_plies=0)


@pytest.fixture(scope="module")
def searching(tmp_path_factory):
    folder = write_reference(tmp_path_factory.mktemp("match") / "c4", "connect_four_4x4")
    return make_player(f"{folder}:simulations=12,considered=4")


def test_matches_of_players_that_search_on_are_fair_and_repeat(searching):
    player, game = searching
    itself = play_match(game, player, player, games=12, opening_plies=4, seed=2)
    assert itself.score == 0.5
    assert itself == play_match(game, player, player, games=12, opening_plies=4, seed=2)


def test_a_match_in_parts_is_the_same_match(searching, monkeypatch):
    player, game = searching
    oracle, _ = make_player("oracle", game.name)
    told = []
    whole = play_match(game, player, oracle, games=12, opening_plies=4, progress=lambda *told_: told.append(told_))
    assert told[0] == (0, 12)
    assert told[-1][0] <= 12
    pair = jax.tree.map(lambda leaf: leaf[None].repeat(2, 0), game.init(jax.random.key(0)))
    memory = sum(leaf.nbytes for leaf in jax.tree.leaves(player.playing.begin(pair)))
    monkeypatch.setattr(match, "MEMORY", 3 * memory + 1)
    told_parts = []
    parts = play_match(game, player, oracle, games=12, opening_plies=4, progress=lambda *t: told_parts.append(t))
    assert parts == whole
    assert (6, 12) in told_parts
    assert sorted(told_parts) == told_parts
    assert len(told_parts) > len(told)


@pytest.mark.parametrize(
    ("games_", "plies", "message"),
    [(0, 4, "even number from 2 on"), (7, 4, "each opening is played twice"), (2, -1, "0 or more")],
)
def test_sizes_that_no_match_has(games_, plies, message):
    player, game = make_player("random", "tic_tac_toe")
    with pytest.raises(ValueError, match=message):
        play_match(game, player, player, games_, plies)


def test_elo_by_hand():
    assert elo(0.5) == 0
    assert elo(0.75) == pytest.approx(190.848, abs=1e-3)  # 400 * log10(3)
    assert elo(1 / 11) == pytest.approx(-400)


def test_wilson_by_hand():
    # 8 of 10, z = 1.96: (0.8 + 0.19208 -+ 1.96 * sqrt(0.016 + 0.0096040)) / 1.38416
    assert wilson(0.8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-4)
    assert wilson(0.0, 10) == (0.0, pytest.approx(3.8416 / 13.8416, abs=1e-4))
    assert wilson(1.0, 10)[1] == 1.0
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_pairs_are_the_unit_of_the_interval():
    # Four pairs of mean 3/4: squares about it sum to 1/4, the mean allows 3/16 at most, so the variance is reckoned
    # as (1/4 + 3/16) / 4 = 7/64, and the pairs count as 4 * (3/16) / (7/64) = 48/7 games.
    assert pair_interval(np.array([1.0, 0.5, 0.5, 1.0])) == pytest.approx(wilson(0.75, 48 / 7))
    # Split pairs say that the players are level far more surely than as many games won and lost at random.
    split = pair_interval(np.full(50, 0.5))
    mixed = pair_interval(np.tile([0.0, 1.0], 25))
    assert split[1] - split[0] < 0.2 * (mixed[1] - mixed[0])
    assert mixed == pytest.approx(wilson(0.5, 50), abs=1e-3)


def test_what_was_won_by_hand():
    """Pairs of mean 2 and 0: a mean of 1, a deviation of sqrt 2 and so a standard error of 1."""
    mean, low, high = mean_of_pairs(np.array([[3.0, 1.0], [-1.0, 1.0]]))
    assert (mean, low, high) == pytest.approx((1, 1 - 1.959964, 1 + 1.959964))
    assert mean_of_pairs(np.array([[3.0, 1.0]])) == (2, None, None)


def test_result_by_hand():
    result = match_result(as_first=np.array([1.0, 1.0, 0.5, 1.0]), as_second=np.array([1.0, 0.0, 0.5, 1.0]))
    assert (result.wins, result.draws, result.losses) == (5, 2, 1)
    assert result.score == 0.75
    assert result.elo == pytest.approx(190.848, abs=1e-3)
    assert result.by_colour == {"first": (3, 1, 0), "second": (2, 1, 1)}
    low, high = pair_interval(np.array([1.0, 0.5, 0.5, 1.0]))
    assert result.elo_interval == pytest.approx((elo(low), elo(high)))


def test_a_match_won_throughout_has_an_interval_without_end():
    result = match_result(np.ones(50), np.ones(50))
    assert result.score == 1
    assert result.elo == pytest.approx(400 * math.log10(99.5 / 0.5))
    assert result.elo_interval == (pytest.approx(elo(50 / (50 + 1.959964**2))), None)
    assert match_result(np.zeros(50), np.zeros(50)).elo_interval[0] is None


def test_the_interval_covers_the_truth():
    """Of many matches between players of known chances, about 95 % of the intervals hold the true score."""
    chance = np.random.default_rng(0)
    true = 0.7
    held = 0
    for _ in range(1000):
        luck = chance.uniform(-0.25, 0.25, 40)  # what the opening gives to the one who has it first
        pairs = ((chance.random(40) < true + luck).astype(float) + (chance.random(40) < true - luck)) / 2
        low, high = pair_interval(pairs)
        held += low <= true <= high
    assert 930 <= held <= 980
