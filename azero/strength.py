"""How strong a network is while it learns: against exact values where they are known, else against random play."""

import jax
import numpy as np

from azero.analysis import strength
from azero.answers import Answer, Answers, NetworkAnswers, network_answers, random_answers, search_answers
from azero.config import Config
from azero.match import play_match
from azero.network import Network, Params
from azero.players import Player
from azero.run import Measure
from games.core import Game, LabelledPositions, State

CHECKED = 2_000  # positions in a measurement on the way; at the end of a run all of them
MATCH_GAMES = 64


def make_measure(config: Config, game: Game, network: Network) -> Measure:
    """What `azero.run.run` asks every few iterations, and once more, with search and in full, at the end.

    With exact values: kept_value, the share of positions in which the network's most likely move keeps the value of
    the position, and kept_value_search, the same for the search that the run is trained with. Without them: score,
    the points of the network's own moves, without search, against random ones. For one player nothing is measured.
    """
    policy = network_answers(game, network)
    if game.num_players == 1:
        return lambda params, last: {}
    if game.oracle is None:
        return lambda params, last: {"score": _score_against_random(game, _with(policy, params))}
    labelled = game.oracle().positions()
    few = _evenly(labelled, CHECKED)
    search = search_answers(config.search, game, network)

    def measure(params: Params, last: bool) -> dict[str, float]:
        if not last:
            return {"kept_value": strength(_with(policy, params), few)["kept_value"]}
        return {
            "kept_value": strength(_with(policy, params), labelled)["kept_value"],
            "kept_value_search": strength(_with(search, params), labelled)["kept_value"],
        }

    return measure


def _with(answers: NetworkAnswers, params: Params) -> Answers:
    def answer(states: State, key: jax.Array) -> Answer:
        return answers(params, states, key)

    return answer


def _evenly(labelled: LabelledPositions, count: int) -> LabelledPositions:
    """At most `count` of the positions, evenly spaced."""
    rows = np.unique(np.linspace(0, len(labelled.q) - 1, min(count, len(labelled.q))).astype(int))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], labelled)


def _score_against_random(game: Game, answers: Answers) -> float:
    players = Player("network", answers), Player("random", random_answers(game))
    return play_match(game, *players, games=MATCH_GAMES).score
