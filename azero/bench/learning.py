"""Strength against the time spent on learning."""

import time
from collections.abc import Iterator
from typing import Any

import jax

import games
from azero.analysis import strength
from azero.answers import Answer, NetworkAnswers, network_answers, random_answers, search_answers
from azero.bench.measure import Say
from azero.config import Config
from azero.match import play_match
from azero.network import Params
from azero.players import Player
from azero.train import Trainer, make_trainer
from games.core import Game, State

MATCH_GAMES = 128  # against random moves, where no exact values are known


def measure_learning(config: Config, minutes: float, every: float, say: Say) -> list[dict[str, Any]]:
    """A row for each measurement of one run, for JSON.

    Each has `seconds` of training so far, compiling included and measuring left out; `iteration`; `moves` of self-play;
    and for `network` and `search` the share of labelled positions whose exact value the move keeps with its 95 %
    interval, or, where no exact values are known, the score against random moves.

    Args:
      minutes: of training.
      every: seconds between measurements; the last is at the end.
    """
    game = games.make(config.game)
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players, so its strength is not known")
    began = time.monotonic()
    trainer = make_trainer(config, game)
    answers = {
        "network": network_answers(game, trainer.network),
        "search": search_answers(config.search, game, trainer.network),
    }
    spent = time.monotonic() - began
    rows = []
    for seconds, iteration, params in _training(trainer, minutes * 60, every, spent):
        moves = iteration * config.selfplay.games * config.selfplay.plies
        row = {"game": config.game, "seed": config.seed, "seconds": seconds, "iteration": iteration, "moves": moves}
        for name, each in answers.items():
            row |= _measured(game, each, params, name)
        say(f"seed {config.seed}, {seconds:.0f} s, iteration {iteration}: network {row['network']:.3f}")
        rows.append(row)
    return rows


def _training(trainer: Trainer, seconds: float, every: float, spent: float) -> Iterator[tuple[float, int, Params]]:
    """Trains, and stops the clock for each measurement: (seconds of training, iteration, averaged parameters)."""
    began = time.monotonic() - spent
    state, iteration, due = trainer.init(), 0, every
    while True:
        state, metrics = trainer.iterate(state)
        jax.block_until_ready(metrics)
        iteration += 1
        spent = time.monotonic() - began
        if spent >= min(due, seconds):
            yield spent, iteration, state.average
            if spent >= seconds:
                return
            began = time.monotonic() - spent
            while due <= spent:
                due += every


def _measured(game: Game, answers: NetworkAnswers, params: Params, name: str) -> dict[str, Any]:
    """A share or a score, and its 95 % interval."""
    host = jax.device_get(params)  # on one device, for the others would do the same once more

    def ask(states: State, key: jax.Array) -> Answer:
        return answers(host, states, key)

    if game.oracle is not None:
        found = strength(ask, game.oracle().positions())
        return {name: found["kept_value"], f"{name}_interval": list(found["kept_value_interval"])}
    result = play_match(game, Player(name, ask), Player("random", random_answers(game)), games=MATCH_GAMES)
    low, high = result.elo_interval
    ends = [0.0 if low is None else expected_score(low), 1.0 if high is None else expected_score(high)]
    return {name: result.score, f"{name}_interval": ends}


def expected_score(elo: float) -> float:
    """The points a game that a difference in Elo stands for."""
    return 1 / (1 + 10 ** (-elo / 400))
