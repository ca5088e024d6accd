"""azero compare: real runs that are stopped, fail and go on; what is refused; the files that are left."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from azero import cli
from azero.checkpoint import CheckpointError, lock
from azero.compare import training
from azero.compare.pages import write_results
from azero.compare.plan import Plan, runs
from azero.compare.tables import COSTS, FIXED_POINT, MAIN
from azero.compare.variants import read_variants
from azero.config import from_dict
from azero.studies import STUDIES
from azero.studies.cells import claimed

TINY = {
    "devices": 1,
    "network": {"width": 16, "blocks": 1},
    "search": {"simulations": 4},
    "selfplay": {"games": 16, "plies": 8},
    "learn": {"batch": 64, "warmup": 0},
    "replay": {"capacity": 1024, "minimum": 64},
    "report": {"checkpoint_every": 2, "strength_every": 1, "keep_newest": 1},
}
ITERATION = 16 * 8 * 5 + 16 + 8 * 64 * 3  # evaluations: searches, values at the end of play, gradient steps
ITERATIONS = 12
BROKEN = "imitation:learn.learning_rate=1e20,learn.clip=1e9"
FRONT_DOOR = [sys.executable, "-c", "import sys; from azero.cli import main; sys.exit(main())"]


def words(folder: Path, *variants: str) -> list[str]:
    config = folder.parent / "tiny.json"
    config.write_text(json.dumps(TINY))
    budget = ["--seeds", "1", "--evaluations", str(ITERATIONS * ITERATION)]
    return ["compare", "tic_tac_toe", "--variants", *variants, *budget, "--config", str(config), "--out", str(folder)]


def log(folder: Path, variant: str) -> str:
    return (folder / "runs" / variant / "seed-0.log").read_text()


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Waits until a file has a line."""
    deadline = time.monotonic() + 240
    while not (path.exists() and path.read_text()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison that was stopped in its first run, went on, and then got one variant more; what each call left."""
    folder = tmp_path_factory.mktemp("compare") / "out"
    first, slug = words(folder, "visits", BROKEN), re.sub("[:,]", "-", BROKEN)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen([*FRONT_DOOR, *first], stderr=subprocess.PIPE, text=True, env=environment)
    wait_for(folder / "runs" / "visits" / "seed-0" / "metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    said = [process.communicate(timeout=240)[1]]
    logs = [{"visits": log(folder, "visits")}]
    codes = [process.returncode, cli.main(first)]
    logs.append({name: log(folder, name) for name in ("visits", slug)})
    codes.append(cli.main(words(folder, "imitation", "visits", BROKEN)))
    logs.append({name: log(folder, name) for name in ("visits", slug, "imitation")})
    return folder, slug, codes, said, logs


def test_ctrl_c_leaves_a_state_that_goes_on(compared):
    folder, _, codes, said, logs = compared
    assert codes == [130, 0, 0], said
    assert "the same command goes on: azero compare tic_tac_toe" in said[0]
    assert "go on: azero train" in logs[0]["visits"], "the run was let finish its iteration"
    going_on = logs[1]["visits"].removeprefix(logs[0]["visits"])
    assert "resuming" in going_on
    rows = (folder / "runs" / "visits" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["iteration"] for row in rows] == list(range(1, ITERATIONS + 1))
    assert not any("kept_value" in row for row in rows), "strength is not measured on the way"


def test_finished_runs_are_not_run_again_and_failed_ones_are(compared):
    _, slug, _, _, logs = compared
    assert logs[2]["visits"] == logs[1]["visits"]
    assert logs[2][slug].count("stopped. The last good checkpoint stays") == 2
    assert "the run is in" in logs[2]["imitation"]


def test_a_run_that_fails_takes_no_other_down_and_is_shown(compared):
    folder, *_ = compared
    results = json.loads((folder / "results.json").read_text())
    assert [(run["variant"], run["seed"]) for run in results["failed"]] == [(BROKEN, 0)]
    assert re.search(r"(loss|norm) is \S+ in iteration \d+; stopped", results["failed"][0]["error"])
    assert set(results["aggregates"]) == {"visits", "imitation"}
    for page in ("results.md", "report.html"):
        text = (folder / page).read_text()
        assert "Failed runs" in text
        assert results["failed"][0]["error"].split(";")[0] in text


def test_results_hold_every_figure_of_every_run(compared):
    folder, *_ = compared
    results = json.loads((folder / "results.json").read_text())
    assert results["variants"] == ["imitation", "visits", BROKEN]
    assert (results["game"], results["seeds"]) == ("tic_tac_toe", 1)
    assert results["budget"] == {"evaluations": ITERATIONS * ITERATION}
    assert {"versions", "machine", "commit", "config", "findings", "commands"} <= results.keys()
    by_kind = {"visits": "asked.distributions", "imitation": "asked.samples"}
    for run in results["runs"]:
        figures = run["figures"]
        wanted = [name for columns in (MAIN, COSTS, FIXED_POINT) for _, name in columns]
        ours = [name for name in wanted if not name.startswith("asked.") and "random" not in name]
        assert {name for name in ours if figures.get(name) is None} == set()
        assert figures[by_kind[run["variant"]]] == ITERATIONS * 128
        assert figures["cost.evaluations"] == ITERATIONS * ITERATION
        assert results["aggregates"][run["variant"]]["novelty"] == {
            "mean": figures["novelty"], "interval": None, "values": [figures["novelty"]]
        }  # fmt: skip
        saved = json.loads((folder / run["folder"] / "exact.json").read_text())
        assert (saved["settings"]["iteration"], saved["settings"]["previous"]) == (ITERATIONS, ITERATIONS - 2)
    (duel,) = results["duels"]
    ratings = {name: found["elo.sampled"]["mean"] for name, found in results["aggregates"].items()}
    assert (duel["score"]["sampled"] > 0.5) == (ratings[duel["first"]] > ratings[duel["second"]])
    assert sum(ratings.values()) == pytest.approx(0, abs=1e-6)


def test_the_page_stands_alone(compared):
    folder, *_ = compared
    page = (folder / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 3
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    for name in ("regret", "opponents", "cost"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "azero compare tic_tac_toe" in page


def test_json_on_stdout_and_nothing_done_twice(compared, capsys):
    folder, slug, _, _, logs = compared
    before = (folder / "runs" / "visits" / "seed-0" / "exact.json").stat().st_mtime_ns
    outcomes = json.loads((folder / "outcomes.json").read_text())
    # As if the broken run had not been asked for again: its failure is of no interest here.
    (folder / "outcomes.json").write_text(json.dumps(outcomes | {f"{slug}/seed-0": None}))
    assert cli.main([*words(folder, "imitation", "visits", BROKEN), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (folder / "outcomes.json").write_text(json.dumps(outcomes))
    assert said["aggregates"]["visits"]["cost.iterations"]["mean"] == ITERATIONS
    assert {name: log(folder, name) for name in logs[2]} == logs[2]
    assert (folder / "runs" / "visits" / "seed-0" / "exact.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--config", "many.json"], "config.network.width: 16 (there) -> 17 (asked)"),
        (["--config", "many.json"], "; and 4 more. Give another folder"),
        (["--evaluations", "5"], f"budget.evaluations: {ITERATIONS * ITERATION}.0 (there) -> 5.0 (asked)"),
        (["--variants", "visits"], f"it has variants that are not asked for: imitation {BROKEN}"),
        (["--config", "other.json"], "config.search.simulations: 4 (there) -> 32 (asked)"),
    ],
)
def test_another_plan_in_the_folder_is_refused(compared, tmp_path, capsys, changed, message):
    folder, *_ = compared
    (tmp_path / "other.json").write_text(json.dumps(TINY | {"search": {}}))
    many = {group: {name: n + 1 for name, n in TINY[group].items()} for group in ("network", "search", "selfplay")}
    (tmp_path / "many.json").write_text(json.dumps(TINY | many | {"learn": {"batch": 60, "warmup": 1}}))
    before = (folder / "compare.json").read_text()
    asked = words(folder, "imitation", "visits", BROKEN)
    where = asked.index(changed[0])
    until = next(n for n in range(where + 1, len(asked) + 1) if n == len(asked) or asked[n].startswith("--"))
    asked[where:until] = [str(tmp_path / word) if word.endswith(".json") else word for word in changed]
    assert cli.main(asked) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert (folder / "compare.json").read_text() == before


PARENT = """
import sys, time
from azero.compare.training import _start
_start(sys.argv[1:], sys.stderr)
time.sleep(600)
"""


def test_a_run_ends_with_a_comparison_that_is_killed(tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    train = ["train", "tic_tac_toe", "--config", str(tmp_path / "tiny.json"), "--run", str(folder), "--minutes", "9"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, *train], stderr=subprocess.PIPE, text=True, env=environment
    )
    wait_for(folder / "config.json", process)
    with pytest.raises(CheckpointError, match="in use by process"), lock(folder):
        pass
    process.kill()
    process.communicate(timeout=60)  # the run has the other end of its stderr: it has been let go of
    with lock(folder):
        pass


def test_what_a_run_died_of_is_said_by_itself(tmp_path, monkeypatch):
    base = from_dict(TINY)
    plan = Plan(base, read_variants(["visits"], base), 1, 1.0, None)
    (run,) = runs(plan, tmp_path)
    run.folder.parent.mkdir(parents=True)
    run.folder.write_text("a file")
    log = run.folder.with_name("seed-0.log")
    log.write_text("said before\n")
    with log.open("a") as other:
        error = training._error

        def late(*found):
            other.write("iteration 7 of a process of another call\n")
            other.flush()
            return error(*found)

        monkeypatch.setattr(training, "_error", late)
        assert "is a file; give another with --run" in training._train(plan, run, lambda: None)
    assert log.read_text().startswith("said before\n")
    assert "is a file" in log.read_text()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--minutes", "0"], "--minutes must be above 0, not 0"),
        (["--evaluations", "nan"], "--evaluations must be above 0, not nan"),
        ([], "needs a budget: --minutes or --evaluations"),
        (["--minutes", "1", "--evaluations", "9"], "one budget, --minutes or --evaluations, not both"),
        (["--minutes", "1", "--seeds", "0"], "--seeds must be 1 or more, not 0"),
        (["--minutes", "1", "--variants", "visit"], "did you mean visits?"),
        (["--minutes", "1", "--variants", "imitation:answer=3"], "did you mean answers?"),
        (["--minutes", "1", "--variants", "visits:entropy=1"], "distill.entropy does not apply to distill.kind visits"),
        (["--minutes", "1", "--variants", "visits:search.simulation=3"], "did you mean search.simulations?"),
        (["--minutes", "1", "--variants", "visits:temperature"], "written name=value, not 'temperature'"),
        (["--minutes", "1", "--variants", "imitation:answers=two"], "distill.answers must be of type int, not 'two'"),
        (["--minutes", "1", "--variants", "visits", "visits"], "visits and visits are the same"),
        (
            ["--minutes", "1", "--variants", "visits:form=log", "visits"],
            "variant visits:form=log: distill.form does not apply to distill.kind visits; it belongs to best_answer",
        ),
        (
            ["--minutes", "1", "--variants", "imitation:reward.every=1"],
            "imitation:reward.every=1: reward.every does not apply to distill.kind imitation",
        ),
        (
            ["--minutes", "1", "--variants", "reinforce", "reinforce:baseline=search_value"],
            "reinforce and reinforce:baseline=search_value are the same",
        ),
        (
            ["--minutes", "1", "--variants", "reward_model:kl=0.1", "reward_model"],
            "reward_model:kl=0.1 and reward_model are the same",
        ),
        (["--minutes", "1", "--out", "file"], "file is a file"),
        (["--minutes", "1", "--out", "folder"], "not empty and holds no comparison"),
        (["--minutes", "1", "--config", "none.json"], "cannot read config none.json"),
        (["--study", "mimikry"], "unknown study 'mimikry'; did you mean mimicry?"),
        (["--study", "mimicry", "--minutes", "1"], "--minutes does not apply to --study mimicry"),
        (["--study", "mimicry", "--variants", "visits"], "--variants does not apply to --study mimicry"),
        (["--study", "mimicry", "--evaluations", "0"], "--evaluations does not apply to --study mimicry"),
        (["--study", "mimicry", "--out", "folder"], "not empty and holds no study"),
        (["--study", "explicit_reward"], "needs a small board of four in a row"),
        (
            ["--minutes", "1", "--variants", "reward_model:reward.labels=file,reward.file=file"],
            "variant reward_model:reward.labels=file,reward.file=file: file line 1: ",
        ),
        (
            ["--minutes", "1", "--variants", "reward_model:reward.labels=overseer,reward.overseer=negamacks"],
            "did you mean negamax?",
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, asked, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    assert cli.main(["compare", "tic_tac_toe", *asked]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "thesis.tex"]


@pytest.mark.parametrize("game", ["2048", "gym:CartPole-v1"])
def test_games_for_one_are_refused(tmp_path, monkeypatch, capsys, game):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", game, "--minutes", "1"]) == 2
    assert capsys.readouterr().err == f"azero: {game} is a game for one, and azero compare measures games for two\n"
    assert not list(tmp_path.iterdir())


def test_exact_labels_need_exact_values(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["compare", "othello", "--evaluations", "1e5", "--variants", "reward_model:reward.labels=oracle"]
    assert cli.main(asked) == 2
    assert (
        "reward.labels oracle needs the exact value of every position, which othello has not" in capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_a_study_has_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    """It is found again, with more seeds too, by the command that a user types."""

    def small(game, seeds, folder, say):
        with claimed(folder, {"study": "small", "game": game}):
            say(f"{game} {seeds}")
            return write_results(folder, "Small", ["Nothing."], [], [], {"seen": seeds}, ["azero x"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STUDIES, "small", small)
    assert cli.main(["compare", "tic_tac_toe", "--study", "small", "--seeds", "2", "--json"]) == 0
    said = capsys.readouterr()
    assert "tic_tac_toe 2\n" in said.err
    assert json.loads(said.out)["seen"] == 2
    words = ["--study", "small", "--out", "compare/tic_tac_toe-small"]
    assert cli.main(["compare", "tic_tac_toe", *words, "--seeds", "3"]) == 0
    assert cli.main(["compare", "connect_four_4x4", *words]) == 2
    assert "holds another study: its game is tic_tac_toe, not connect_four_4x4" in capsys.readouterr().err
    (tmp_path / "taken").write_text("")
    assert cli.main(["compare", "tic_tac_toe", "--study", "small", "--out", "taken"]) == 2
    assert "taken is a file; give another folder with --out" in capsys.readouterr().err


def test_unknown_game_and_help(capsys):
    assert cli.main(["compare", "tictactoe", "--minutes", "1"]) == 2
    assert "did you mean tic_tac_toe?" in capsys.readouterr().err
    program = "import sys; from azero.cli import main; sys.exit(main(['compare', '--help']) + ('jax' in sys.modules))"
    before = sum(os.times()[2:4])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sum(os.times()[2:4]) - before < 0.5, "seconds of a processor, for other work is not what is measured"
