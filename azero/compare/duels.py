"""Head-to-head: what the networks of a comparison score against each other, and the ratings that explain it."""

import functools
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from azero import exact
from azero.answers import Answer, Answers
from azero.checkpoint import iterations
from azero.compare.measures import MATCH_GAMES, SEED, load, solved
from azero.compare.plan import Run
from azero.manifest import write_text
from azero.match import play_match
from azero.players import Player
from games.core import Game, State

CACHE = "duels.json"
ALPHA = 0.01  # choix's regularisation: without it a perfect score has no rating
WAYS = ("sampled", "argmax")

Scores = dict[str, float]  # way of play -> points per game of the first of two, the mean over both colours


def duels(runs: Sequence[Run], folder: Path) -> dict[tuple[str, str], Scores]:
    """The scores of the networks of one seed's runs, without search: exact where all positions are solved.

    Elsewhere it is a match of MATCH_GAMES games. Scores are kept in the folder.

    Returns:
      (variant, variant) -> scores of the first, each pair once.
    """
    file = folder / CACHE
    saved = _saved(file)
    found: dict[tuple[str, str], Scores] = {}
    play = _meeting()
    for one, other in itertools.combinations(runs, 2):
        key = f"{_stamp(one)} {_stamp(other)}"
        if key not in saved:
            saved[key] = play(one, other)
            write_text(file, json.dumps(saved, indent=1) + "\n")
        found[one.variant.text, other.variant.text] = saved[key]
    return found


def _saved(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}


def _stamp(run: Run) -> str:
    return f"{run.name}@{(iterations(run.folder) or [0])[-1]}"


def _meeting() -> Callable[[Run, Run], Scores]:
    """Plays two runs of one game against each other; each run's checkpoint is read once."""

    @functools.cache
    def entrant(folder: Path) -> tuple[Answers, Game, exact.Policy | None]:
        model, game = load(folder, iterations(folder)[-1])
        known = solved(game.name)
        return (
            model.network,
            game,
            exact.network_policy(exact.board(game.name), model.network, SEED)[0] if known else None,
        )

    def play(one: Run, other: Run) -> Scores:
        (first, game, ours), (second, _, theirs) = entrant(one.folder), entrant(other.folder)
        if ours is not None and theirs is not None:
            return exact_scores(exact.board(game.name), ours, theirs)
        return match_scores(game, first, second) if game.num_players == 2 else {}

    return play


def exact_scores(board: exact.Board, first: exact.Policy, second: exact.Policy) -> Scores:
    """Expected points per game of the first of two policies [N, A], as they are and with their most likely moves."""
    values = {
        "sampled": exact.value_against(board, first, second),
        "argmax": exact.value_against(board, exact.argmax(first), exact.argmax(second)),
    }
    return {way: (1 + value) / 2 for way, value in values.items()}


def match_scores(game: Game, first: Answers, second: Answers) -> Scores:
    """Points per game of the first of two, in a match of each way to play."""
    pairs = {"sampled": (drawn(first), drawn(second)), "argmax": (first, second)}
    return {
        way: play_match(game, Player("first", one), Player("second", other), MATCH_GAMES, seed=SEED).score
        for way, (one, other) in pairs.items()
    }


def drawn(answers: Answers) -> Answers:
    """The same answers, but the move is drawn from the policy."""
    draw = jax.jit(lambda policy, key: jax.random.categorical(key, jnp.log(policy)).astype(jnp.int32))

    def answer(states: State, key: jax.Array) -> Answer:
        found = answers(states, key)
        return found._replace(action=np.asarray(draw(found.policy, jax.random.fold_in(key, 1))))

    return answer


def ratings(scores: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Elo of each player from points per game of each pair, the mean being 0.

    The Bradley-Terry model (1952), fitted by choix, where a pair's score counts as one game and ALPHA draws the ratings
    together a little: a perfect score comes to about 680 between two.
    """
    import choix

    names = list(dict.fromkeys(itertools.chain.from_iterable(scores)))
    if len(names) < 2:
        return {}
    points = np.zeros((len(names), len(names)))
    for (one, other), score in scores.items():
        points[names.index(one), names.index(other)] = score
        points[names.index(other), names.index(one)] = 1 - score
    strengths = choix.ilsr_pairwise_dense(points, alpha=ALPHA)
    elo = strengths * 400 / math.log(10)
    return dict(zip(names, (elo - elo.mean()).tolist(), strict=True))
