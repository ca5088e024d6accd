"""The figures of one run: its newest network, alone and amplified, against exact values.

A run's figures are one flat dictionary, name -> number; docs/reference/compare.md says what each means.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from azero import exact
from azero.analysis import ask, grade
from azero.answers import Answers, network_answers, random_answers, search_answers
from azero.checkpoint import iterations, weights
from azero.config import Config, from_dict, to_dict
from azero.manifest import write_text
from azero.match import play_match
from azero.muzero.network import network_of
from azero.network import unnamed
from azero.players import Player
from azero.report import read_metrics
from games.core import ILLEGAL, Game
from games.oracles.tables import POSITIONS

CACHE = "exact.json"
VERSION = 1  # of the figures: what is measured otherwise is measured anew
UNLIKELY = 0.01  # chance that the search gives a move which counts as the network's own idea
MATCH_GAMES = 64
SEED = 0  # of searches and matches

Figures = dict[str, float | None]


class Model(NamedTuple):
    """A checkpoint's network and the search over it."""

    config: Config
    network: Answers
    search: Answers


def load(folder: Path, iteration: int) -> tuple[Model, Game]:
    """The model of a run after this iteration.

    Raises:
      CheckpointError: it cannot be read.
      ValueError: its weights are not those of its config.
    """
    found = weights(folder, iteration)
    config = from_dict(found.config)
    game = games.make(config.game)
    network = network_of(config, game)
    params = unnamed(found.arrays, jax.eval_shape(network.init, jax.random.key(0)))
    alone, amplified = network_answers(game, network), search_answers(config.search, game, network)
    return Model(config, functools.partial(alone, params), functools.partial(amplified, params)), game


def solved(game_name: str) -> bool:
    """Whether every position of the game has an exact value."""
    return game_name in POSITIONS


def measure(folder: Path) -> Figures:
    """The figures of a run's newest checkpoint; they are kept in the run's folder.

    Raises:
      CheckpointError: there is no checkpoint that can be read.
      ValueError: the network answers NaN.
    """
    steps = iterations(folder)
    newest, previous = (steps or [0])[-1], steps[-2] if len(steps) > 1 else None
    model, game = load(folder, newest)
    settings = {"iteration": newest, "previous": previous, "version": VERSION, "config": to_dict(model.config)}
    figures = _cached(folder / CACHE, settings)
    if figures is None:
        before = load(folder, previous)[0] if previous is not None else None
        figures = _measured(game, model, before)
        write_text(folder / CACHE, json.dumps({"settings": settings, "figures": figures}, indent=1) + "\n")
    return figures | costs(folder, newest)


def _cached(file: Path, settings: Mapping[str, Any]) -> Figures | None:
    try:
        saved = json.loads(file.read_text())
        return dict(saved["figures"]) if saved["settings"] == json.loads(json.dumps(settings)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measured(game: Game, model: Model, before: Model | None) -> Figures:
    if solved(game.name):
        return on_board(game.name, model, before)
    if game.oracle is not None:
        return on_labelled(game, model, before)
    return against_random(game, model)


def costs(folder: Path, iteration: int) -> Figures:
    """What a run has spent up to this iteration, by its metrics.

    Returns:
      `cost.iterations`, `cost.evaluations` of the network, `cost.seconds` with starting and compiling,
      `cost.microseconds` for each evaluation without them (None below two iterations), and `asked.KIND`, what was
      asked of the overseer, by kind of answer.
    """
    rows = [row for row in read_metrics(folder) if row["iteration"] <= iteration]
    if not rows:
        return {"cost.iterations": 0, "cost.evaluations": 0, "cost.seconds": 0, "cost.microseconds": None}
    first, last = rows[0], rows[-1]
    evaluations = last["evaluations"] - first["evaluations"]
    each = 1e6 * (last["seconds"] - first["seconds"]) / evaluations if evaluations else None
    figures: Figures = {
        "cost.iterations": last["iteration"],
        "cost.evaluations": last["evaluations"],
        "cost.seconds": last["seconds"],
        "cost.microseconds": each,
    }
    asked = {name: value for name, value in last.items() if name.startswith("asked_")}
    return figures | {name.replace("asked_", "asked.", 1): value for name, value in asked.items()}


def on_board(game_name: str, model: Model, before: Model | None) -> Figures:
    """The figures where all positions are solved; see `azero.exact.report`.

    Args:
      before: an earlier model of the same run, whose search the newest network is held against.
    """
    board = exact.board(game_name)
    network, value = exact.network_policy(board, model.network, SEED)
    assert value is not None
    search = _amplified(board, model, network, value)
    figures: Figures = {}
    for who, policy in (("network", network), ("search", search)):
        figures |= _flat(f"{who}.sampled", exact.report(board, policy))
        figures |= _flat(f"{who}.argmax", exact.report(board, exact.argmax(policy)))
    own = exact.reach(board, network, network)
    everywhere = np.ones(len(own))
    surprise = _divergence(search, network)
    figures["kl.all"], figures["kl.own"] = _mean(surprise, everywhere), _mean(surprise, own)
    figures["novelty"] = _mean((network * (search < UNLIKELY)).sum(axis=1), own)
    figures["sign"] = _mean(np.sign(value) == board.value, board.value != 0)
    figures |= _gains(figures, ("all", "decisive"))
    if before is None:
        return figures | _losses(figures, None, ("all", "decisive"))
    old, old_value = exact.network_policy(board, before.network, SEED)
    assert old_value is not None
    amplified = _amplified(board, before, old, old_value)
    earlier: Figures = {}
    for way, policy in (("sampled", amplified), ("argmax", exact.argmax(amplified))):
        lost = _mean_rows(policy, board.regret)
        earlier[f"search.{way}.regret.all"] = _mean(lost, everywhere)
        earlier[f"search.{way}.regret.decisive"] = _mean(lost, board.decisive)
    return figures | _losses(figures, earlier, ("all", "decisive"))


def _amplified(board: exact.Board, model: Model, network: exact.Policy, value: np.ndarray) -> exact.Policy:
    """What the search finds in every position: in tables, but for a model that does not search by the rules."""
    if model.config.model == "rules":
        return exact.amplified_policy(board, model.config.search, network, value, SEED)[0]
    return exact.network_policy(board, model.search, SEED)[0]


def on_labelled(game: Game, model: Model, before: Model | None) -> Figures:
    """The figures where some positions have exact values: those of the labelled positions, which are decisive."""
    assert game.oracle is not None
    labelled = game.oracle().positions()
    best = labelled.q.max(axis=1)
    regret = np.where(labelled.q == ILLEGAL, 0, best[:, None] - labelled.q.astype(np.float64))
    everywhere = np.ones(len(best))

    def graded(answers: Answers) -> tuple[np.ndarray, np.ndarray | None, Figures]:
        answer = ask(answers, labelled.states, SEED)
        found: Figures = {}
        for way, policy in (("sampled", answer.policy), ("argmax", exact.argmax(answer.policy))):
            found[f"{way}.regret.decisive"] = _mean(_mean_rows(policy, regret), everywhere)
            found[f"{way}.blunder.decisive"] = _mean(_mean_rows(policy, regret > 0), everywhere)
        return answer.policy, grade(answer, labelled.q).sign, found

    network, sign, own = graded(model.network)
    search, _, amplified = graded(model.search)
    figures = {f"network.{name}": figure for name, figure in own.items()}
    figures |= {f"search.{name}": figure for name, figure in amplified.items()}
    figures["kl.all"] = _mean(_divergence(search, network), everywhere)
    figures["sign"] = _mean(sign, best != 0) if sign is not None else None
    figures |= _gains(figures, ("decisive",))
    earlier = {f"search.{name}": figure for name, figure in graded(before.search)[2].items()} if before else None
    return figures | _losses(figures, earlier, ("decisive",))


def against_random(game: Game, model: Model) -> Figures:
    """The figures where nothing is known: points per game against random moves, of the network and of the search."""
    if game.num_players != 2:
        return {}
    opponent = Player("random", random_answers(game))
    players = {"network.argmax": model.network, "search.argmax": model.search}
    return {
        f"{name}.score_against_random": play_match(game, Player(name, answers), opponent, MATCH_GAMES, seed=SEED).score
        for name, answers in players.items()
    }


def _gains(figures: Figures, where: tuple[str, ...]) -> Figures:
    """What the search takes off the regret of its own network."""
    return _difference("amplification_gain", figures, "network", figures, "search", where)


def _losses(figures: Figures, earlier: Figures | None, where: tuple[str, ...]) -> Figures:
    """What the newest network falls short of the search that it was to learn from; None without an earlier one."""
    return _difference("distillation_loss", figures, "network", earlier, "search", where)


def _difference(name: str, one: Figures, who: str, other: Figures | None, whom: str, where: tuple[str, ...]) -> Figures:
    found: Figures = {}
    for way in ("sampled", "argmax"):
        for place in where:
            ours = one[f"{who}.{way}.regret.{place}"]
            theirs = other[f"{whom}.{way}.regret.{place}"] if other is not None else None
            found[f"{name}.{way}.{place}"] = None if ours is None or theirs is None else ours - theirs
    return found


def _flat(prefix: str, report: Mapping[str, Any]) -> Figures:
    figures: Figures = {}
    for name, value in report.items():
        figures |= _flat(f"{prefix}.{name}", value) if isinstance(value, Mapping) else {f"{prefix}.{name}": value}
    return figures


def _divergence(policy: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """KL(policy || reference) in each row, nats, float64 [N]; infinite where the reference never makes a move."""
    ours, theirs = policy.astype(np.float64), reference.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = ours * (np.log(ours) - np.log(theirs))
    return _sums(np.where(ours > 0, terms, 0.0))


def _mean_rows(policy: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """float64 [N]: what moves of this worth [N, A] come to on average under a policy [N, A]."""
    return _sums(policy.astype(np.float64) * worth)


def _sums(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows @ np.ones(rows.shape[1]))


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    """The mean of values [N] under weights [N]; where a weight is 0 its value may be anything."""
    chosen = weight > 0
    return float(np.average(values[chosen].astype(np.float64), weights=weight[chosen].astype(np.float64)))
