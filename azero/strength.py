"""How strong a network is while it learns: against exact values where they are known, else against random play.

In a game for one it is what its episodes bring.
"""

import jax
import numpy as np

from azero.analysis import strength
from azero.answers import Answer, Answers, NetworkAnswers, network_answers, random_answers, search_answers
from azero.config import Config
from azero.episodes import play_episodes
from azero.match import play_match
from azero.network import Network, Params
from azero.players import Player
from azero.run import Measure
from games.core import Game, LabelledPositions, State

CHECKED = 2_000  # positions in a measurement on the way; at the end of a run all of them
MATCH_GAMES = 64
EPISODES = 64


def make_measure(config: Config, game: Game, network: Network) -> Measure:
    """What `azero.run.run` asks every few iterations, and once more, with search and in full, at the end.

    With exact values: kept_value, the share of positions in which the network's most likely move keeps the value of
    the position, and kept_value_search, the same for the search that the run is trained with. Without them: score,
    the points of the network's own moves, without search, against random ones. For one player: mean_return of the
    network's own moves, in the environment's units, and mean_return_search.
    """
    policy = network_answers(game, network)
    if game.num_players == 1:
        return _measure_returns(game, policy, search_answers(config.search, game, network))
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


def _measure_returns(game: Game, policy: NetworkAnswers, search: NetworkAnswers) -> Measure:
    """What a game for one brings."""

    def mean_return(answers: NetworkAnswers, params: Params) -> float:
        return float(play_episodes(game, _with(answers, params), EPISODES).returns.mean())

    def measure(params: Params, last: bool) -> dict[str, float]:
        own = {"mean_return": mean_return(policy, params)}
        return own | {"mean_return_search": mean_return(search, params)} if last else own

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
