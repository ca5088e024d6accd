"""The benchmarks: what they measure, how they count, and what they print."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero import cli
from azero.bench import floor, learning, measure, search, toy
from azero.config import NetworkConfig, SearchConfig
from azero.network import make_network, parameter_count

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def azero(capsys):
    """Runs a benchmark: exit code, stdout, stderr. The compile cache is on again afterwards."""
    cache = jax.config.values["jax_enable_compilation_cache"]

    def run(*words):
        code = cli.main(["bench", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    jax.config.update("jax_enable_compilation_cache", cache)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serch"], "did you mean search?"),
        (["zzz"], "there are search, selfplay, learning, floor"),
        (["search", "--game", "conect_four"], "did you mean connect_four?"),
        (["search", "--game", "tic_tac_toe", "--batch", "0"], "--batch must be above 0, not 0"),
        (["search", "--simulations", "16", "0"], "--simulations must be above 0, not 0"),
        (["search", "--simulations"], "--simulations needs at least one"),
        (["search", "--game", "tic_tac_toe", "hex", "othello", "--batch", "8", "9"], "one for each game (3), not 2"),
        (["search", "--game", "tic_tac_toe", "--batch", "3", "--devices", "2"], "does not split evenly over 2 devices"),
        (["search", "--game", "tic_tac_toe", "hex", "--batch", "3", "--devices", "2"], "does not split evenly over 2"),
        (["search", "--game", "tic_tac_toe", "--devices", "1000"], "--devices is 1000, but there are"),
        (["search", "--game", "tic_tac_toe", "2048", "--batch", "2"], "2048 is a game of chance, which the trees"),
        (["search", "--devices", "-1"], "--devices must be 0 or more"),
        (["search", "--network", "mlp:256"], "such as mlp:2x256, not 'mlp:256'"),
        (["search", "--minutes", "nan"], "--minutes must be above 0"),
        (["search", "--part", "trees"], "invalid choice 'trees' for argument"),
        (["search", "--sims", "4"], "unknown option --sims"),
        (["selfplay", "--presets", "tictactoe"], "did you mean tic_tac_toe?"),
        (["selfplay", "--plies", "-1"], "--plies must be 0 or more, not -1"),
        (["selfplay", "--presets", "2048", "--sides", "mctx", "pgx"], "2048 is not played by mctx or pgx"),
        (["learning", "connect_for"], "did you mean connect_four?"),
        (["learning", "--seeds", "0"], "--seeds must be above 0"),
        (["floor", "2048"], "2048 is a game of chance, which the trees"),
        (["floor", "chss"], "did you mean chess?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(azero, words, message):
    code, out, err = azero(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["bench"], ["bench", "search"], ["bench", "floor"]])
def test_help_imports_no_jax(words):
    program = (
        "import sys; from azero.cli import main; "
        f"code = main([*{words}, '--help']); sys.exit(code + ('jax' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"usage: azero {' '.join(words)}" in done.stdout


@pytest.mark.parametrize("name", ["search", "selfplay", "learning"])
def test_scripts_are_the_command(name):
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"benchmark_{name}.py", "--devices", "-1"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "azero: --devices must be 0 or more, not -1\n"


def test_search_in_json(azero):
    words = ("--game", "tic_tac_toe", "--batch", "4", "--simulations", "9", "--network", "mlp:0x4", "--repeats", "1")
    code, out, err = azero("search", *words, "--part", "network", "--devices", "2", "--json")
    (row,) = json.loads(out)
    assert (code, err.count("\n")) == (0, 1)
    assert (row["game"], row["actions"], row["batch"], row["simulations"]) == ("tic_tac_toe", 9, 4, 9)
    assert (row["part"], row["pairs"], row["devices"], row["same_visits"]) == ("network", 1, 2, 1.0)
    assert row["ratio"] == pytest.approx(row["azero"] / row["mctx"])
    assert all(row[field][name] > 0 for field in ("compile_seconds", "peak_bytes") for name in search.BACKENDS)
    for name in search.BACKENDS:
        assert row["not_network"][name] == pytest.approx(1 - row["network_seconds"] * row[name] / (4 * 9))


def test_selfplay_in_json(azero):
    words = ("--presets", "tic_tac_toe", "--games", "4", "--simulations", "2", "--plies", "3", "--network", "mlp:0x4")
    code, out, _ = azero("selfplay", *words, "--sides", "azero", "pgx", "--repeats", "1", "--devices", "2", "--json")
    (row,) = json.loads(out)
    assert (code, row["game"], row["games"], row["simulations"], row["rounds"]) == (0, "tic_tac_toe", 4, 2, 1)
    assert row["ratio_pgx"] == pytest.approx(row["azero"] / row["pgx"])
    assert row["azero_simulations_per_second"] == 2 * row["azero"]
    assert "mctx" not in row


def test_calls_take_turns_and_the_first_round_warms_up():
    mesh, made = measure.split_mesh(1, 1), []

    def caller(name):
        def call(number):
            made.append((name, int(number)))
            return number

        return call

    seconds, first = measure.in_turn([caller("a"), caller("b")], mesh, repeats=2, until=np.inf)
    assert made == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert (seconds.shape, [int(result) for result in first]) == ((2, 2), [0, 0])
    seconds, _ = measure.in_turn([caller("a")], mesh, repeats=50, until=0)
    assert seconds.shape == (measure.LEAST, 1)


def test_a_long_first_round_counts(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(measure.time, "monotonic", lambda: now[0])

    def call(number):
        now[0] += measure.LONG + 1 + int(number)

    mesh = measure.split_mesh(1, 1)
    assert measure.in_turn([call], mesh, repeats=9, until=1)[0].tolist() == [[6]]
    now[0] = 0.0
    assert measure.in_turn([call], mesh, repeats=9, until=19)[0].tolist() == [[7]]


def test_the_clock_shares_what_is_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(measure.time, "monotonic", lambda: now[0])
    clock = measure.Clock(ends=130, shares=3)
    assert clock.until(0) == 110
    now[0] = 120
    assert clock.until(1) == 125
    now[0] = 140
    assert clock.until(2) == 140


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.01, "0.010"), (7.25, "7.25"), (15_500, "15.5k"), (219e9, "219G"), (3.2e15, "3200T")],
)
def test_short_numbers(number, text):
    assert measure.short(number) == text


def test_growth_and_breakdown_by_hand():
    def row(simulations, part, mctx, azero):
        cell = {"game": "g", "batch": 2, "simulations": simulations, "part": part}
        return cell | {"mctx": mctx, "azero": azero}

    rows = [row(16, "tree", 9, 9), row(32, "tree", 8, 16), row(64, "tree", 2, 12)]
    rows += [row(64, "rules", 1, 8), row(64, "network", 0.5, 4)]
    (grown,) = search.growth(rows)
    assert (grown["few"], grown["many"], grown["azero"], grown["mctx"]) == (32, 64, 0.75, 0.25)
    mctx, azero = search.breakdown(rows)  # 128 simulations in all
    assert [mctx[name] for name in ("tree", "rules", "network", "all")] == [64, 64, 128, 256]
    assert [azero[name] for name in ("tree", "rules", "network", "all")] == pytest.approx([32 / 3, 16 / 3, 16, 32])


def test_different_visits_are_told():
    amplified = [search.Amplified(0, 0, np.array(visits), 0, 0) for visits in ([[1, 2], [3, 0]], [[1, 2], [2, 1]])]
    found = search._compared(search.Cell("g", 2, 3, "tree"), np.array([[4.0, 2.0], [3.0, 1.0]]), amplified)
    assert (found["same_visits"], found["pairs"]) == (0.5, 2)
    assert (found["ratio"], found["ratio_range"]) == (2.5, [2.0, 3.0])
    assert found["azero_range"] == [3.0, 6.0]


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
@pytest.mark.parametrize("lanes", [1, 3, 16])
def test_the_network_alone_is_asked_as_often(lanes, algorithm):
    plan = search.evaluation_plan(SearchConfig(simulations=21, lanes=lanes, algorithm=algorithm), actions=7)
    idle = 2 if (lanes, algorithm) == (3, "gumbel") else 0  # rounds of 7 moves leave two of nine lanes empty
    assert sum(size * times for size, times in plan) == 22 + idle
    assert max(size for size, _ in plan) == (min(lanes, 7) if algorithm == "gumbel" else 1)


def test_the_toy_goes_beside_the_rules():
    game = games.make("tic_tac_toe")
    mixed, bare = toy.with_toy(game), toy.toy_game(9)
    state, plain, alone = (each.init(jax.random.key(7)) for each in (mixed, game, bare))
    for action in (4, 0, 8, 1, 5, 2):
        state, plain, alone = (
            each.step(before, jnp.int32(action), jax.random.key(0))
            for each, before in ((mixed, state), (game, plain), (bare, alone))
        )
        assert (state.board.hash, state.board.value) == (alone.board.hash, alone.board.value)
        assert (mixed.observe(state) == game.observe(plain)).all()
        assert (state.terminal, state.reward) == (plain.terminal, plain.reward)
        assert (alone.legal.all(), bool(alone.terminal)) == (True, False)
    assert bool(state.terminal)
    assert state.board.value != 0


def test_the_value_of_the_toy_turns_and_drifts():
    game = toy.toy_game(3)
    state = game.init(jax.random.key(0))
    state = state._replace(board=state.board._replace(value=jnp.float32(0.6)))
    after = jax.vmap(game.step, in_axes=(None, 0, None))(state, jnp.arange(3), jax.random.key(0))
    assert np.abs(after.board.value + 0.6).max() < 0.4
    assert len(set(after.board.value.tolist())) == 3


def test_positions_are_many_and_none_is_over():
    states = toy.positions(toy.with_toy(games.make("tic_tac_toe")), 32)
    assert not states.terminal.any()
    assert len(set(np.asarray(states.legal.sum(-1)).tolist())) > 4
    assert len(set(np.asarray(states.board.hash).tolist())) == 32


@pytest.mark.parametrize(
    ("config", "flops"),
    [
        # 3 x 3 x 2 in, width 4: the stem, two layers of a block, and the heads of 9, 64 and 1.
        (NetworkConfig("mlp", 4, 1), 2 * (18 * 4 + 2 * 4 * 4 + 4 * 9 + 4 * 64 + 64)),
        (NetworkConfig("resnet", 4, 1), 2 * (9 * (9 * 2 * 4 + 2 * 9 * 4 * 4 + 4 * 8) + 72 * 9 + 72 * 64 + 64)),
    ],
)
def test_flops_by_hand(config, flops):
    network = make_network(config, games.make("tic_tac_toe"))
    params = jax.eval_shape(network.init, jax.random.key(0))
    assert floor.network_flops(params, 9) == flops
    assert parameter_count(params) > 100


def test_bytes_of_a_node():
    game = games.make("tic_tac_toe")
    few, more = (floor.node_bytes(SearchConfig(simulations=simulations), game) for simulations in (32, 64))
    assert 9 * 4 < few == more < 400  # the untried priors alone are 36


def test_the_clock_of_learning_stands_still_while_strength_is_measured(monkeypatch):
    now = [50.0]
    monkeypatch.setattr(learning.time, "monotonic", lambda: now[0])

    class Trainer:
        def init(self):
            return 0

        def iterate(self, state):
            now[0] += 4
            return self, jnp.zeros(())

        average = "average"

    found = []
    for seconds, iteration, params in learning._training(Trainer(), seconds=30, every=10, spent=1):
        found.append((seconds, iteration, params))
        now[0] += 1000
    assert found == [(13, 3, "average"), (21, 5, "average"), (33, 8, "average")]


def test_expected_score_is_the_inverse_of_elo():
    from azero.score import elo

    assert learning.expected_score(elo(0.3)) == pytest.approx(0.3)
