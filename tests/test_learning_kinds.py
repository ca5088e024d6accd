"""Every way to distil learns connect_four_4x4, held against the exact value of every position."""

import json

import jax
import pytest

from azero import exact
from azero.answers import network_answers
from azero.cli import main
from azero.config import from_dict
from azero.kinds import KINDS
from azero.network import make_network
from azero.players import make_player

ITERATIONS = {"outcome": 200, "adversarial": 60, "reward_model": 60}
OPTIONS = {"visits": ["--search.algorithm", "puct"]}  # 16 simulations of sequential halving leave visits nearly even


def regret(answers) -> float:
    """Over all positions, of a move drawn from the policy."""
    board = exact.board("connect_four_4x4")
    policy, _ = exact.network_policy(board, answers)
    return exact.report(board, policy)["regret"]["all"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_halves_the_regret_of_an_untrained_network(kind, tmp_path):
    run = tmp_path / kind
    words = ["train", "connect_four_4x4", "--run", str(run), "--devices", "2", "--distill.kind", kind]
    words += ["--iterations", str(ITERATIONS.get(kind, 30)), "--report.strength-every", "0", *OPTIONS.get(kind, [])]
    assert main(words) == 0
    trained, game = make_player(f"policy:{run}")
    config = from_dict(json.loads((run / "config.json").read_text()))
    network = make_network(config.network, game)
    params = network.init(jax.random.key(0))
    blank = network_answers(game, network)
    assert regret(trained.network or trained.answers) < regret(lambda states, key: blank(params, states, key)) / 2
