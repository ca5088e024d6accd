"""`mimicry`: does a stronger teacher make a weaker student?

Two teachers without any regret, one of them sharper, are imitated by students of rising capacity; beside them the
remedies, which ask a teacher for values or the game for results. Every arm has the same student, the same first
weights for a seed, the same steps and the same number of positions in each. Nothing is sampled in what is measured.

Shape letters: N positions of the board, A actions, R steps of a round, M positions of a step.
"""

import dataclasses
import functools
import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from azero import exact
from azero.distill.core import expectation, log_policy
from azero.distill.safeguards import halfway_policy
from azero.exact import Board, Policy
from azero.manifest import write_text
from azero.network import Params
from azero.studies.cells import claimed
from azero.studies.gains import IMITATED, LESSONS, STATES, Arm, Cell
from azero.studies.mimicry_pages import write_pages
from azero.studies.students import Student, ladder
from azero.studies.teachers import TEACHERS, own_positions, plain_teacher, sharp_teacher, worth_in_play

ASK = 1 << 15  # positions in one call of a student


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all arms have in common."""

    steps: int = 1200
    rounds: int = 20  # the student's own positions, and the worth of its moves in play, are renewed before each
    batch: int = 256
    tau: float = 0.3  # of the halfway policy
    epsilon: float = 0.3  # of the opponent that own positions and outcomes come from
    students: tuple[str, ...] = ()  # by name; empty takes the whole ladder


ARMS = tuple(Arm(lesson, states) for states in STATES for lesson in LESSONS)


class _Taught(NamedTuple):
    """A student and what Adam remembers."""

    params: Params
    optimizer: Any


Learn = Callable[[_Taught, jax.Array, jax.Array, jax.Array, jax.Array], _Taught]
# (student, inputs [N, ...], legal [N, A], table [N, A], rows int32 [R, M]) -> the student after R steps


def policy_loss(logs: jax.Array, table: jax.Array, lesson: str, tau: float) -> jax.Array:
    """The loss of a batch, float32 [].

    Imitation is the cross-entropy to the table. `halfway` is the cross-entropy to the student's own policy times
    exp(table / tau), which stands still. What is left is -E_pi[table], the expectation over all moves: with exact
    values the gradient of approval, or by the policy gradient theorem (Sutton et al. 2000) that of the result.

    Args:
      logs: log pi float32 [M, A].
      table: float32 [M, A], the teacher's policy, or what the moves are worth to the mover.
    """
    if lesson in ("plain", "sharp"):
        return -expectation(table, logs).mean()
    if lesson == "halfway":
        target = jnp.exp(jax.lax.stop_gradient(halfway_policy(logs, table, tau)))
        return -expectation(target, logs).mean()
    return -expectation(jnp.exp(logs), table).mean()


def make_learn(student: Student, lesson: str, settings: Settings) -> tuple[Callable[[jax.Array], _Taught], Learn]:
    """init and one round of Adam, its rate falling to 0 over all steps."""
    optimizer = optax.adam(optax.linear_schedule(student.rate, 0.0, settings.steps))

    @jax.jit
    def learn(taught: _Taught, inputs: jax.Array, legal: jax.Array, table: jax.Array, rows: jax.Array) -> _Taught:
        def loss(params: Params, row: jax.Array) -> jax.Array:
            logs = log_policy(student.apply(params, inputs[row]), legal[row])
            return policy_loss(logs, table[row], lesson, settings.tau)

        def step(taught: _Taught, row: jax.Array) -> tuple[_Taught, None]:
            grads = jax.grad(loss)(taught.params, row)
            updates, memory = optimizer.update(grads, taught.optimizer)
            return _Taught(optax.apply_updates(taught.params, updates), memory), None

        return jax.lax.scan(step, taught, rows)[0]

    @jax.jit
    def init(key: jax.Array) -> _Taught:
        params = student.init(key)
        return _Taught(params, optimizer.init(params))

    return init, learn


class Classroom(NamedTuple):
    """A board, its teachers and one student, ready to be taught often: the programs are compiled once."""

    board: Board
    opponent: Policy
    student: Student
    settings: Settings
    legal: jax.Array
    inputs: jax.Array
    tables: dict[str, np.ndarray]  # by lesson, float32 [N, A]; none of outcome
    learn: Callable[[str], tuple[Callable[[jax.Array], _Taught], Learn]]
    answer: Callable[[Params, jax.Array, jax.Array], jax.Array]  # params, inputs, legal -> policy


def classroom(board: Board, student: Student, settings: Settings) -> Classroom:
    """Everything that does not differ between arms and seeds."""
    values = np.where(board.legal, board.q, 0).astype(np.float32)
    tables = {
        "plain": plain_teacher(board).astype(np.float32),
        "sharp": sharp_teacher(board).astype(np.float32),
        "halfway": values,
        "approval": values,
    }
    return Classroom(
        board=board,
        opponent=exact.optimal_opponent(board, settings.epsilon),
        student=student,
        settings=settings,
        legal=jnp.asarray(board.legal),
        inputs=jnp.asarray(student.inputs),
        tables=tables,
        learn=functools.cache(lambda lesson: make_learn(student, lesson, settings)),
        answer=jax.jit(lambda params, seen, legal: jnp.exp(log_policy(student.apply(params, seen), legal))),
    )


def answers(room: Classroom, params: Params) -> Policy:
    """The student's policy in every position, float32 [N, A]."""
    starts = range(0, len(room.board.q), ASK)
    parts = [room.answer(params, room.inputs[low : low + ASK], room.legal[low : low + ASK]) for low in starts]
    return np.concatenate([np.asarray(part) for part in parts])


def teach(room: Classroom, arm: Arm, seed: int) -> Policy:
    """The policy float32 [N, A] of the student that has learned in this way."""
    settings, board = room.settings, room.board
    init, learn = room.learn(arm.lesson)
    taught = init(jax.random.key(seed))
    draws = np.random.default_rng(seed)
    steps = settings.steps // settings.rounds
    everywhere = np.arange(1, len(board.q) + 1) / len(board.q)
    for _ in range(settings.rounds):
        policy = answers(room, taught.params) if arm.states == "own" or arm.lesson == "outcome" else None
        if policy is None or arm.states == "all":
            upto = everywhere
        else:
            upto = np.cumsum(own_positions(board, policy, room.opponent))
        if arm.lesson == "outcome":
            assert policy is not None
            table = worth_in_play(board, policy, room.opponent).astype(np.float32)
        else:
            table = room.tables[arm.lesson]
        rows = np.searchsorted(upto, draws.random((steps, settings.batch)) * upto[-1], side="right")
        taught = learn(taught, room.inputs, room.legal, jnp.asarray(table), jnp.asarray(rows.astype(np.int32)))
    return answers(room, taught.params)


def judged(board: Board, policy: Policy) -> dict[str, Any]:
    """`exact.report` of sampled and of argmax play."""
    return {"sampled": exact.report(board, policy), "argmax": exact.report(board, exact.argmax(policy))}


def mimicry(
    game: str, seeds: int, folder: Path, say: Callable[[str], None], settings: Settings = Settings()
) -> dict[str, Any]:
    """Teaches every student in every way, and writes what came of it.

    Each student taught is kept in `folder`/cells, so that a study that was stopped goes on, and more seeds can be
    added.

    Args:
      game: a solved board; the study is made for connect_four_4x4.
      seeds: of first weights and of the positions drawn, 1 or more.
      say: takes a line of progress.

    Returns:
      What results.json holds.

    Raises:
      ValueError: the game is not solved, there are no seeds, a student is unknown, the rounds do not divide the steps,
        or the folder holds another study.
    """
    if seeds < 1:
        raise ValueError(f"a study takes 1 seed or more, not {seeds}")
    if settings.rounds < 1 or settings.steps % settings.rounds:
        raise ValueError(f"{settings.rounds} rounds do not divide {settings.steps} steps")
    board = exact.board(game)
    students = chosen(ladder(board), settings.students)
    with claimed(folder, {"study": "mimicry", "game": game, "settings": dataclasses.asdict(settings)}):
        teachers = {name: judged(board, make(board)) for name, make in TEACHERS.items()}
        for name in IMITATED:
            assert teachers[name]["sampled"]["blunder"]["all"] == 0, f"the {name} teacher errs"
        cells = _every_cell(board, students, seeds, settings, folder, say)
        return write_pages(folder, game, seeds, dataclasses.asdict(settings), cells, teachers)


def _every_cell(
    board: Board,
    students: tuple[Student, ...],
    seeds: int,
    settings: Settings,
    folder: Path,
    say: Callable[[str], None],
) -> list[Cell]:
    """Those kept in the folder, and the others taught now, one on each device at a time."""
    devices = jax.devices()
    cells: list[Cell] = []
    total, begun = len(students) * len(ARMS) * seeds, time.perf_counter()
    with ThreadPoolExecutor(len(devices)) as pool:
        for student in students:
            room = classroom(board, student, settings)
            jobs = list(itertools.product([room], ARMS, range(seeds), [folder]))
            cells += [_read(_path(*job)) for job in jobs if _path(*job).exists()]
            missing = [job for job in jobs if not _path(*job).exists()]
            for start in range(0, len(missing), len(devices)):  # few at a time, so that an interrupt is soon obeyed
                for cell in pool.map(_kept_cell, missing[start : start + len(devices)], devices):
                    cells.append(cell)
                    spent = time.perf_counter() - begun
                    what = f"{cell.student}, {cell.arm.lesson} on {cell.arm.states} positions, seed {cell.seed}"
                    say(f"[{len(cells)}/{total}] {what}: {cell.seconds:.1f} s, {spent:.0f} s so far")
    return cells


Job = tuple[Classroom, Arm, int, Path]  # who is taught how, the seed, and the folder of the study


def _path(room: Classroom, arm: Arm, seed: int, folder: Path) -> Path:
    return folder / "cells" / f"{room.student.name}-{arm.lesson}-{arm.states}-{seed}.json"


def _kept_cell(job: Job, device: jax.Device) -> Cell:
    room, arm, seed, _ = job
    start = time.perf_counter()
    with jax.default_device(device):
        figures = judged(room.board, teach(room, arm, seed))
    seconds = time.perf_counter() - start
    cell = Cell(room.student.name, room.student.parameters, arm, seed, figures, seconds)
    write_text(_path(*job), json.dumps(cell._asdict()) + "\n")
    return cell


def chosen(students: tuple[Student, ...], names: tuple[str, ...]) -> tuple[Student, ...]:
    """Those of these names; all where none are given.

    Raises:
      ValueError: there is no student of one of the names.
    """
    known = [student.name for student in students]
    for name in names:
        if name not in known:
            raise ValueError(f"there is no student {name!r}; students are {', '.join(known)}")
    return tuple(student for student in students if not names or student.name in names)


def _read(path: Path) -> Cell:
    cell = Cell(**json.loads(path.read_text()))
    return cell._replace(arm=Arm(*cell.arm))
