"""Every way to distil, as a run has it: its options, an iteration, its resumption."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

import games
from azero.checkpoint import Keep, restore, save
from azero.checks import check
from azero.cli import main
from azero.config import (
    Config,
    DistillConfig,
    LearnConfig,
    NetworkConfig,
    ReplayConfig,
    RewardConfig,
    SearchConfig,
    SelfPlayConfig,
)
from azero.kinds import APPLIES, KINDS
from azero.train import GRADIENT, make_trainer

TINY = Config(
    devices=2,
    network=NetworkConfig(width=8, blocks=1),
    search=SearchConfig(simulations=4),
    selfplay=SelfPlayConfig(games=8, plies=8, opening_plies=2),
    replay=ReplayConfig(capacity=512, minimum=64),
    learn=LearnConfig(batch=16, reuse=1.0, warmup=2),
)
REWARD = RewardConfig(width=8, ensemble=2, comparisons=16, steps=2, batch=8, capacity=64)
# One row for each kind, with its options turned on.
RUNS: dict[str, tuple[DistillConfig, RewardConfig]] = {
    "visits": (DistillConfig(kind="visits", temperature=0.5), RewardConfig()),
    "improved": (DistillConfig(kind="improved"), RewardConfig()),
    "imitation": (DistillConfig(kind="imitation", answers=3, states="mixture", teacher_half_life=5.0), RewardConfig()),
    "best_answer": (DistillConfig(kind="best_answer", form="literal"), RewardConfig()),
    "reinforce": (
        DistillConfig(kind="reinforce", approval="fresh", answers=2, baseline="leave_one_out"),
        RewardConfig(),
    ),
    "mixed": (
        DistillConfig(kind="mixed", imitation_half_life=3.0, kl=0.1, kl_target=0.2, reference="start"),
        RewardConfig(),
    ),
    "reward_model": (
        DistillConfig(kind="reward_model", quantilize=0.5),
        dataclasses.replace(REWARD, enters="terminal", states="student"),
    ),
    "adversarial": (DistillConfig(kind="adversarial", imitate_first=1, halfway=0.5), RewardConfig()),
    "outcome": (DistillConfig(kind="outcome"), RewardConfig()),
}


def config_of(kind: str) -> Config:
    distill, reward = RUNS[kind]
    return dataclasses.replace(TINY, distill=distill, reward=reward)


def pairs_of_leaves(first, second):
    return zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)


def test_every_kind_has_a_row():
    assert tuple(RUNS) == KINDS == tuple(APPLIES)


@pytest.mark.parametrize("kind", KINDS)
def test_an_iteration_of_every_kind_resumes_bit_for_bit(kind, tmp_path):
    config = config_of(kind)
    check(config)
    trainer = make_trainer(config, games.make("tic_tac_toe"))
    first = trainer.init()
    before = jax.device_get((first.params, first.models))
    state, metrics = trainer.iterate(first)
    assert all(np.isfinite(value) for value in jax.tree.leaves(jax.device_get(metrics)))
    assert any((old != new).any() for old, new in pairs_of_leaves(before[0], state.params))
    if kind in ("reward_model", "adversarial"):
        learned = "rewards" if kind == "reward_model" else "discriminator"
        moved = [(old != new).any() for old, new in pairs_of_leaves(before[1][learned], state.models[learned])]
        assert sum(moved) > len(moved) / 2, "what the kind learns besides is learned too"
    if kind == "mixed":
        jax.tree.map(np.testing.assert_array_equal, before[1]["start"], jax.device_get(state.models["start"]))
        assert state.models["kl"] != before[1]["kl"]
    for leaf in jax.tree.leaves((state.params, state.models)):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        np.testing.assert_array_equal(*copies, err_msg="the devices agree")
    save(tmp_path, 1, state, {}, {}, None, Keep())
    whole, _ = trainer.iterate(state)
    restored = restore(tmp_path, trainer.init())
    assert restored.iteration == 1
    resumed, _ = trainer.iterate(restored.state)
    assert int(resumed.iteration) == 2
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(resumed))


def test_what_an_iteration_costs():
    """By hand: 64 positions of 5 evaluations, 8 bootstraps, 4 gradient steps of 16."""
    plain = 64 * 5 + 8 + 4 * 16 * GRADIENT

    def cost(kind: str, **options) -> float:
        config = dataclasses.replace(TINY, distill=DistillConfig(kind=kind, **options))
        return make_trainer(config, games.make("tic_tac_toe")).evaluations

    assert cost("improved") == cost("visits") == cost("best_answer") == cost("reinforce") == plain
    assert cost("imitation", states="student") == plain + 64
    assert cost("reinforce", approval="fresh") == plain + 64 * 9 * 5
    assert cost("adversarial") == plain + 4 * 16 * 5
    assert cost("outcome") == 64 + 8 + 4 * 16 * GRADIENT
    half = dataclasses.replace(TINY.selfplay, full_share=0.5, cheap_simulations=2)
    trainer = make_trainer(dataclasses.replace(TINY, selfplay=half), games.make("tic_tac_toe"))
    assert trainer.evaluations == plain - 64
    assert trainer.oversight == {"distributions": 32}, "cheap moves teach none"


@pytest.mark.parametrize(
    ("distill", "reward", "message"),
    [
        (
            {"kind": "visits", "form": "literal"},
            {},
            "distill.form does not apply to distill.kind visits; it belongs to b",
        ),
        ({"kind": "outcome", "kl": 0.1}, {}, "distill.kl does not apply to distill.kind outcome; it belongs to reinf"),
        ({"kind": "reinforce"}, {"ensemble": 5}, "reward.ensemble does not apply to distill.kind reinforce"),
        ({"kind": "imitation", "teacher_half_life": 3.0}, {}, "distill.teacher_half_life needs distill.states mixture"),
        ({"kind": "mixed", "margin": 0.5}, {}, "distill.margin needs distill.mixture margin, not policy"),
        ({"kind": "mixed", "mixture": "margin", "kl": 0.1}, {}, "distill.kl does not apply to distill.mixture margin"),
        ({"kind": "reward_model"}, {"labels": "file"}, "reward.labels file needs reward.file"),
        ({"kind": "reward_model"}, {"overseer": "rules"}, "reward.overseer needs reward.labels overseer, not search"),
        ({"kind": "reward_model"}, {"pessimism": 2.0}, "reward.pessimism needs reward.combine pessimistic, not mean"),
        ({"kind": "reinforce", "baseline": "leave_one_out"}, {}, "leave_one_out needs distill.answers of 2 or more"),
        ({"kind": "reinforce", "baseline": "all_actions", "answers": 2}, {}, "all_actions draws no answers"),
        ({"kind": "reinforce", "kl_target": 0.1}, {}, "distill.kl_target needs distill.kl above 0"),
        ({"kind": "reinforce", "halfway": 0.1, "answers": 2}, {}, "distill.halfway distils a whole policy"),
        ({"kind": "reward_model", "answers": 4}, {}, "all_actions draws no answers"),
        ({"kind": "mixed", "imitation_weight": 0.0, "imitation_half_life": 3.0}, {}, "imitation_half_life needs"),
        (
            {"kind": "reward_model"},
            {"labels": "file", "file": "x", "line": 4},
            "reward.line does not apply to reward.labels",
        ),
        (
            {"kind": "reward_model"},
            {"labels": "file", "file": "x", "states": "student"},
            "reward.states does not apply to reward.labels",
        ),
        ({"kind": "reward_model"}, {"ensemble": 1, "combine": "min"}, "need reward.ensemble of 2 or more, not 1"),
        ({"kind": "reward_model"}, {"held_out": 0.6}, "reward.held_out must be at most 0.5, not 0.6"),
        ({"kind": "reinforce", "reference": "start"}, {}, "distill.reference needs distill.kl or distill.quantilize"),
        ({"kind": "reinforce", "quantilize": 1.5}, {}, "distill.quantilize must be between 0 and 1, not 1.5"),
        ({"kind": "imitation", "answers": 0}, {}, "distill.answers must be above 0, not 0"),
        ({"kind": "reward_model"}, {"held_out": 0.0}, "reward.held_out must be above 0, not 0.0"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(distill, reward, message):
    config = dataclasses.replace(TINY, distill=DistillConfig(**distill), reward=RewardConfig(**reward))
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is looked at below
        check(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distill.kind", "imitatin"], "did you mean imitation?"),
        (["--distill.answrs", "3"], "did you mean --distill.answers?"),
        (["--distill.form", "literal"], "distill.form does not apply to distill.kind improved"),
        (["--overseer", "ruls"], "unknown overseer 'ruls'; did you mean rules?"),
        (["--overseer-games", "5"], "overseer_games needs overseer"),
        (["--demonstrations", "EMPTY"], "holds no game"),
        (["--demonstrations", "EMPTY", "--overseer", "rules"], "give demonstrations or overseer, not both"),
        (["--evaluations", "0"], "--evaluations must be above 0"),
    ],
)
def test_what_is_wrong_on_the_command_line(words, message, tmp_path, capsys):
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    run = tmp_path / "run"
    words = [str(empty) if word == "EMPTY" else word for word in words]
    assert main(["train", "tic_tac_toe", "--run", str(run), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not run.exists(), "nothing is written"


def test_a_run_stops_before_it_overruns_its_evaluations_and_begins_with_what_it_was_shown(tmp_path, capsys):
    run, words = tmp_path / "run", ["--network.width", "8", "--selfplay.games", "8", "--selfplay.plies", "4"]
    words += ["--search.simulations", "4", "--learn.batch", "16", "--learn.reuse", "1", "--report.strength-every", "0"]
    games_file = tmp_path / "games.txt"
    games_file.write_text("a1 b2 c1 b1 b3\na1 b2 b1 c1 a3\nb2 a1 c1 a3 a2 c2\n")
    cost = 32 * 5 + 8 + 2 * 16 * GRADIENT
    budget = ["--evaluations", str(3.5 * cost), "--demonstrations", str(games_file)]
    assert main(["train", "tic_tac_toe", "--run", str(run), *words, *budget]) == 0
    said = capsys.readouterr().err
    assert "imitating 16 moves" in said
    rows = [line for line in (run / "metrics.jsonl").read_text().splitlines() if line]
    assert len(rows) == 3
    assert f'"evaluations": {3 * cost}' in rows[-1]
    assert '"asked_distributions": 96' in rows[-1]
    assert main(["train", "tic_tac_toe", "--run", str(run), "--evaluations", str(4 * cost)]) == 0
    assert "imitating" not in capsys.readouterr().err, "only a new run is shown anything"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4


def test_kinds_that_learn_from_every_move_refuse_a_store_that_keeps_a_few():
    config = dataclasses.replace(
        TINY, distill=DistillConfig(kind="outcome"), replay=ReplayConfig(capacity=512, actions=8)
    )
    with pytest.raises(ValueError, match=r"replay\.actions must be 9 for tic_tac_toe, not 8"):
        make_trainer(config, games.make("tic_tac_toe"))


def test_a_start_that_was_stopped_before_its_first_checkpoint_is_made_again(tmp_path, capsys):
    run = tmp_path / "run"
    words = [
        "train",
        "tic_tac_toe",
        "--run",
        str(run),
        "--network.width",
        "8",
        "--selfplay.games",
        "8",
        "--iterations",
        "1",
    ]
    words += ["--selfplay.plies", "4", "--search.simulations", "4", "--learn.batch", "16", "--overseer", "rules"]
    words += ["--overseer-games", "20", "--report.strength-every", "0"]
    assert main(words) == 0
    assert "imitating" in capsys.readouterr().err
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").unlink()
    assert main(words) == 0
    assert "imitating" in capsys.readouterr().err
