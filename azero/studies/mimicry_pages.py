"""What the study `mimicry` found, from the students that were taught: figures with intervals, sentences, pages.

Imports no JAX.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azero.compare.pages import Figure, Table, write_results
from azero.studies.gains import (
    IMITATED,
    LESSONS,
    MEASURES,
    PLAYS,
    REMEDIES,
    STATES,
    Cell,
    Found,
    best,
    collected,
    crossing,
    gain,
    measured,
    sharp_gains,
    spread,
    values,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def counts(found: Found, measure: str) -> str:
    """How often the sharp teacher's student did worse and better, in words."""
    gains = [spread(row) for states in STATES for play in PLAYS for row in sharp_gains(found, states, play, measure)]
    worse, better = sum(one.mean < 0 for one in gains), sum(one.mean > 0 for one in gains)
    words = f"worse in {worse} and better in {better} of {len(gains)} comparisons"
    if found.seeds < 2:
        return f"{words} (one seed, no intervals)"
    sure = [sum(one.sign == sign for one in gains) for sign in (-1, 1)]
    return f"{words} (interval wholly on that side: {sure[0]} and {sure[1]})"


def where(found: Found, index: int) -> str:
    """The student at which curves cross, in words."""
    if index == len(found.students):
        return "none (the largest is still worse)"
    if index == 0:
        return f"{found.students[0]} (no student is worse)"
    return f"{found.students[index]} ({found.parameters[found.students[index]]:,} weights)"


def findings(found: Found, teachers: dict[str, Any], epsilon: float) -> list[str]:
    """Sentences, made from the numbers: which way it went, and what was expected.

    Args:
      epsilon: of the opponent that students learned against.
    """
    plain, sharp = (measured(teachers[name], "sampled", "0.3") for name in IMITATED)
    small, large = found.students[0], found.students[-1]
    first = (
        f"Neither teacher has any regret, and against an opponent that moves at random with chance 0.3 the sharp "
        f"one is worth {sharp:+.3f}, the plain one {plain:+.3f}: the student that imitates "
        f"the sharp one is, in value against that opponent, {counts(found, '0.3')}, and in "
        f"decisive regret {counts(found, 'regret')}."
    )
    places = [
        f"in {'value' if measure == '0.3' else 'decisive regret'} of {play} play, {where(found, crossing(gains)[0])}"
        for measure in ("0.3", "regret")
        for play in PLAYS
        for gains in [sharp_gains(found, "own", play, measure)]
    ]
    second = "Taught on their own positions, students are no longer worse with the sharp teacher from here on: "
    third = "Of the remedies, on own positions and in argmax play, "
    third += "; ".join(_remedy(found, name) for name in dict.fromkeys((small, large)))
    return [first, second + "; ".join(places) + ".", third + ".", _expected(found), _caveat(found, small, epsilon)]


def _remedy(found: Found, student: str) -> str:
    kind = best(found, student, "own", "argmax", "0.3", REMEDIES)
    ahead = spread(gain(found, student, kind, "plain", "own", "argmax", "0.3"))
    word = "leads" if ahead.mean > 0 else "is behind"
    return (
        f"{kind} does best for the student {student} and {word} against imitation of the plain teacher "
        f"({ahead} in value)"
    )


def _expected(found: Found) -> str:
    verdicts = []
    for name in dict.fromkeys((found.students[0], found.students[-1])):
        number = found.students.index(name)
        gains = {
            f"{states}, {play}": sharp_gains(found, states, play, "0.3")[number] for states in STATES for play in PLAYS
        }
        verdicts.append(f"{name}: " + ", ".join(f"{place} {spread(row)}" for place, row in gains.items()))
    return (
        "Expected was that the sharp teacher makes the smallest student worse (below 0) and leaves the largest as it "
        f"is (near 0 or above); found, as gain in value over the plain teacher's student, for {'; '.join(verdicts)}."
    )


def _caveat(found: Found, student: str, epsilon: float) -> str:
    leads = []
    for measure in ("0.1", "0.3", "0.6"):
        other = best(found, student, "own", "argmax", measure, [name for name in LESSONS if name != "outcome"])
        leads.append(f"{spread(gain(found, student, 'outcome', other, 'own', 'argmax', measure))} ({measure})")
    return (
        f"Own positions come from games against the opponent that moves at random with chance {epsilon}, and outcome "
        "learns from the results of those games, so it was trained on an opponent that it is tested on; over "
        f"the best other lesson the student {student} gains by it, on own positions in argmax play, {', '.join(leads)}."
    )


def crossing_table(found: Found) -> Table:
    """Where the curves of the two teachers cross."""
    rows = []
    for states in STATES:
        for play in PLAYS:
            for measure in MEASURES:
                gains = sharp_gains(found, states, play, measure)
                point, interval = crossing(gains)
                named = " to ".join(where(found, index) for index in dict.fromkeys(interval)) if interval else "-"
                spreads = list(map(spread, gains))
                sure = [_names(found, [one.sign == sign for one in spreads]) for sign in (-1, 1)]
                what = "decisive regret" if measure == "regret" else f"value against {measure}"
                rows.append([states, play, what, spreads[0], spreads[-1], where(found, point), named, *sure])
    headings = ("positions", "play", "measure", f"gain of {found.students[0]}", f"gain of {found.students[-1]}",
                "no worse from", "95 %", "surely worse", "surely better")  # fmt: skip
    return Table("Where imitating the sharp teacher stops to cost", headings, rows, CROSSING_NOTE)


CROSSING_NOTE = (
    "Gain: how much better the student of the sharp teacher does than that of the plain one, seed by seed; regrets are "
    "turned so that above 0 is better. No worse from: the smallest student from which on all have a mean gain of 0 or "
    "more. Surely: the 95 % interval lies wholly on that side of 0."
)


def _names(found: Found, chosen: Sequence[bool]) -> str:
    return ", ".join(name for name, one in zip(found.students, chosen, strict=True) if one) or "-"


def student_table(found: Found, states: str) -> Table:
    """Every figure of every student taught on these positions."""
    rows = [
        [name, f"{found.parameters[name]:,}", lesson]
        + [spread(values(found, name, lesson, states, play, measure)) for play in PLAYS for measure in MEASURES]
        for name in found.students
        for lesson in LESSONS
    ]
    return Table(f"Students taught on {states} positions", ("student", "weights", "lesson", *_columns()), rows, NOTE)


NOTE = "Decisive regret over all positions in which moves differ in value; values are means over both colours."


def lesson_table(settings: dict[str, Any]) -> Table:
    """What each lesson is."""
    steps = (
        f"Every student takes {settings['steps']} steps of Adam, each on {settings['batch']} positions. On all "
        "positions each is drawn as often; own positions are drawn as often as the student meets them against an "
        f"opponent that moves at random with chance {settings['epsilon']} and is perfect otherwise; they and the "
        f"worth of moves in play are computed anew {settings['rounds']} times."
    )
    rows = [[lesson, WORDS[lesson].format(**settings)] for lesson in LESSONS]
    return Table("The lessons", ("lesson", "what is learned"), rows, steps)


WORDS = {
    "plain": "imitates a teacher who plays each move that keeps the value as often",
    "sharp": "imitates a teacher who plays, of these moves, those after which the smallest share of the replies holds",
    "halfway": "cross-entropy to its own policy times exp(exact value / {tau})",
    "approval": "the expected exact value of its move, over all moves",
    "outcome": "the expected result of its games against the opponent: policy gradient over all moves, exact values",
}


def teacher_table(teachers: dict[str, Any]) -> Table:
    """The teachers, and a player who moves at random."""
    rows = [
        [name, *(f"{measured(figures, play, measure):+.3f}" for play in PLAYS for measure in MEASURES)]
        for name, figures in teachers.items()
    ]
    return Table("The teachers, and random play", ("player", *_columns()), rows, NOTE)


def _columns() -> list[str]:
    words = ["decisive regret", *(f"value against {measure}" for measure in MEASURES[1:])]
    return [f"{word}, {play}" for play in PLAYS for word in words]


def curves(found: Found, teachers: dict[str, Any], states: str, play: str, measure: str) -> Figure:
    """A measure over the number of weights, a line for each lesson; the teachers are dotted."""
    what = "decisive regret" if measure == "regret" else f"value against {measure}"

    def draw(axes: "Axes") -> None:
        weights = [found.parameters[name] for name in found.students]
        for number, lesson in enumerate(LESSONS):
            spreads = [spread(values(found, name, lesson, states, play, measure)) for name in found.students]
            axes.plot(weights, [one.mean for one in spreads], "o-", color=f"C{number}", label=lesson)
            if found.seeds > 1:
                low, high = [one.low or 0.0 for one in spreads], [one.high or 0.0 for one in spreads]
                axes.fill_between(weights, low, high, color=f"C{number}", alpha=0.2, linewidth=0)
        for number, name in enumerate(IMITATED):
            axes.axhline(measured(teachers[name], "sampled", measure), color=f"C{number}", linestyle=":")
        axes.set(xscale="log", xlabel="weights of the student", ylabel=f"{what}, {play} play")
        axes.legend()

    caption = f"{what[0].upper()}{what[1:]} of {play} play, taught on {states} positions; dotted: the two teachers."
    return Figure(f"{'regret' if measure == 'regret' else 'value'}-{states}-{play}", caption, draw)


def write_pages(
    folder: Path, game: str, seeds: int, settings: dict[str, Any], cells: Sequence[Cell], teachers: dict[str, Any]
) -> dict[str, Any]:
    """The pages of the study; returns what results.json holds."""
    found = collected(cells, seeds)
    students = (student_table(found, states) for states in STATES)
    tables = [crossing_table(found), *students, teacher_table(teachers), lesson_table(settings)]
    kinds = [(states, play, measure) for measure in ("0.3", "regret") for states in STATES for play in PLAYS]
    figures = [curves(found, teachers, *kind) for kind in kinds]
    data = {
        "game": game,
        "seeds": seeds,
        "settings": settings,
        "students": found.parameters,
        "cells": [{**cell._asdict(), "arm": cell.arm._asdict()} for cell in cells],
        "teachers": teachers,
    }
    command = f"azero compare {game} --study mimicry --seeds {seeds} --out {folder}"
    return write_results(
        folder, f"Mimicry on {game}", findings(found, teachers, settings["epsilon"]), tables, figures, data, [command]
    )
