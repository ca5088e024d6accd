"""Thinking for as long as a clock allows, in slices, in a tree that is kept."""

import threading
import time

import jax
import numpy as np
import pytest
from engine_lines import SMALL

import games
from azero import thinking
from azero.engines.clock import MARGIN, Allowance, Clock, Limits, deliberate, share
from azero.players import make_player
from azero.thinking import Deliberation, Playthrough


@pytest.fixture(scope="module")
def searching():
    """A searching player of the small game, ready to think."""
    player, game = make_player(f"checkpoints/{SMALL}:simulations=32")
    deliberation = Deliberation(player, game)
    deliberation.prepare()
    return deliberation


class TestDeliberation:
    def test_a_thought_goes_on_in_its_tree(self, searching):
        searching.follow(Playthrough(searching.game))
        thoughts = [thought for _, thought in zip(range(4), searching.thoughts(), strict=False)]
        size = searching.slices.size
        assert [thought.nodes for thought in thoughts] == [size, 2 * size, 3 * size, 4 * size]
        searching.played.move(int(thoughts[-1].answer.action[0]))
        assert next(searching.thoughts()).nodes > size  # what lay below the move is kept

    def test_more_is_one_more_search_in_the_same_position(self, searching):
        played = Playthrough(searching.game)
        memory, key = searching.slices.playing.begin(played.batch()), jax.random.key(1)
        _, memory = searching.slices.first(memory, played.batch(), key)
        again, _ = searching.slices.first(jax.tree.map(np.copy, memory), played.batch(), key)
        more, _ = searching.slices.more(memory, jax.random.split(key)[1])
        np.testing.assert_array_equal(more.answer.visits, again.answer.visits)
        np.testing.assert_allclose(more.q, again.q, atol=1e-5)

    def test_lines_are_legal_and_begin_with_their_move(self, searching):
        played = Playthrough(searching.game)
        searching.follow(played)
        thought = next(searching.thoughts())
        assert int(thought.answer.action[0]) in thought.lines
        for action, line in thought.lines.items():
            assert line[0] == action
            assert len(played.line(line)) == len(line)
        assert max(map(len, thought.lines.values())) > 1

    def test_a_full_tree_ends_the_thoughts(self, searching):
        searching.follow(Playthrough(searching.game))
        whole = searching.slices
        try:
            searching.slices = whole._replace(room=3 * whole.size + 1)
            assert len(list(searching.thoughts())) == 3
        finally:
            searching.slices = whole

    def test_without_time_it_is_the_networks_move(self, searching):
        searching.follow(Playthrough(searching.game))
        told = []
        thought = deliberate(searching, Limits(seconds=0.0), lambda: False, lambda *told_of: told.append(told_of))
        network = searching.player.network(searching.played.batch(), None)
        assert thought.answer.action == network.action
        assert not told

    @pytest.mark.parametrize(
        ("limits", "slices"), [(Limits(), 1), (Limits(nodes=65), 3), (Limits(nodes=64, seconds=60.0), 2)]
    )
    def test_limits(self, searching, limits, slices):
        searching.follow(Playthrough(searching.game))
        done = []
        deliberate(searching, limits, lambda: False, lambda thought, count, seconds: done.append(count))
        assert done == [32 * number for number in range(1, slices + 1)]

    def test_it_keeps_to_its_time_and_stops(self, searching):
        searching.follow(Playthrough(searching.game))
        began = time.monotonic()
        deliberate(searching, Limits(seconds=0.5), lambda: False, lambda *told: None)
        assert time.monotonic() - began < 2
        deliberate(searching, Limits(endless=True), lambda: time.monotonic() > began + 0.7, lambda *told: None)
        assert time.monotonic() - began < 3

    @pytest.mark.parametrize("limits", [Limits(endless=True), Limits(seconds=0.5)])
    def test_a_slow_slice_is_not_waited_for(self, searching, limits):
        whole, entered, gate = searching.slices, threading.Event(), threading.Event()

        def slow(memory, key):
            entered.set()
            assert gate.wait(30)
            return whole.more(memory, key)

        searching.follow(Playthrough(searching.game))
        began = time.monotonic()
        try:
            searching.slices = whole._replace(more=slow)
            searching.pace = 0.0
            thought = deliberate(searching, limits, lambda: limits.endless and entered.is_set(), lambda *told: None)
            assert entered.is_set()
            assert thought.nodes == whole.size
            if not limits.endless:
                assert time.monotonic() - began >= limits.seconds
        finally:
            gate.set()
            searching.slices = whole
        assert next(searching.thoughts()).nodes > 2 * whole.size, "what it found in the meantime is kept"

    def test_a_slice_of_playouts_begins_small_and_grows(self, monkeypatch):
        tried, slices = [], thinking.slices
        monkeypatch.setattr(thinking, "SLICE_SECONDS", 60.0)
        monkeypatch.setattr(thinking, "slices", lambda *rest: (tried.append(rest[2]), slices(*rest))[1])
        deliberation = Deliberation(*make_player("rollout:simulations=100", SMALL))
        deliberation.prepare()
        assert tried == [1, 64]
        thoughts = [thought for _, thought in zip(range(3), deliberation.thoughts(), strict=False)]
        assert [thought.nodes for thought in thoughts] == [64, 128, 192]
        assert int(thoughts[-1].answer.action[0]) in range(4)


class TestClock:
    def test_share(self):
        assert share(60, 0, 30) == pytest.approx(2 - MARGIN)
        assert share(60, 1, 30) == pytest.approx(2.8 - MARGIN)
        assert share(1, 5, 30) == pytest.approx(0.3 - MARGIN)  # an increment is not there before the move is made
        assert share(2, 0, 1) == pytest.approx(2 - MARGIN)
        assert share(0.01, 0, 10) == 0

    def test_byoyomi(self):
        game = games.make(SMALL)
        clock = Clock(Allowance(0, 10, 5))
        assert clock.seconds(game, 0) == pytest.approx(2 - MARGIN)
        for _ in range(4):
            clock.spend(1)
        assert (clock.left, clock.stones) == (6, 1)
        clock.spend(1)
        assert (clock.left, clock.stones) == (10, 5)
        clock = Clock(Allowance(3, 10, 5))
        clock.spend(4)
        assert (clock.left, clock.stones) == (10, 5)
        assert Clock(Allowance(0, 1, 0)).seconds(game, 0) is None
        assert Clock(Allowance(0, 0, 0)).seconds(game, 0) == 0
