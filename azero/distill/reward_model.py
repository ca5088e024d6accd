"""`reward_model`: comparisons of moves -> Bradley-Terry reward networks -> the policy follows their reward.

"Which is a better answer to Y, X1 or X2?" What is learned from the answers is a reward; the policy is improved
against it as `reinforce` is against M2's approval, with the same safeguards, and with those of an ensemble.
"""

from typing import Any

import jax
import jax.numpy as jnp

from azero.config import Config, DistillConfig, SearchConfig
from azero.distill.comparisons import no_comparisons
from azero.distill.core import Amplifier, Amplifiers, Cost, Distiller, Learner, Lesson, Models, Teach
from azero.distill.labelling import make_gather
from azero.distill.own_games import begin_own_games
from azero.distill.proxy import judged_by, unended, without_results
from azero.distill.reinforce import asked_for_safeguards, reinforce, safeguard_models, safeguard_update
from azero.distill.reward_networks import WATCHED, combined, ensemble_values, make_fit, make_reward, rewards_of_moves
from azero.network import Network, Params, parameter_count
from azero.search import Amplified, by_rules, make_tree_search
from games.core import Game, State


def paid(config: Config, game: Game, reward: Network) -> Teach:
    """Moves are approved of by the reward networks; M2's policy is kept beside, for the safeguards."""

    def teach(learner: Learner, states: State, amplified: Amplified, key: jax.Array) -> Lesson:
        del key
        given = rewards_of_moves(game, reward, learner.models["rewards"], states)
        return Lesson(amplified.policy, jnp.where(states.legal, combined(config.reward, given), 0.0))

    return teach


def proxy_search(config: Config, game: Game, network: Network, reward: Network) -> Amplifiers:
    """The search whose leaves the reward networks judge, with the rules' results or without."""
    rules = without_results(game) if config.reward.enters == "terminal" else game

    def judge(rewards: Params, states: State) -> jax.Array:
        # He who moved into a position may be deceived by it: the values are combined as he sees them.
        values = -ensemble_values(reward, rewards, jax.vmap(rules.observe)(states))
        return -combined(config.reward, values)

    def amplifier(search: SearchConfig, explore: bool) -> Amplifier:
        find = make_tree_search(search, by_rules(rules, judged_by(rules, network, judge)), explore)

        def answer(learner: Learner, states: State, key: jax.Array) -> Amplified:
            begun = unended(states) if config.reward.enters == "terminal" else states
            return find((learner.params, learner.models["rewards"]), begun, key)

        return answer

    return amplifier


def extra_cost(config: Config, distill: DistillConfig, game: Game, network: Network, reward: Network) -> Cost:
    """In evaluations of the policy-value network, reward networks by their parameters."""

    def size(each: Network) -> int:
        return parameter_count(jax.eval_shape(each.init, jax.random.key(0)))

    options = config.reward
    one = options.ensemble * size(reward) / size(network)
    searched = 1 + config.search.simulations
    rounds = 1 / options.every if options.every else 0  # one round for all of a run costs nothing an iteration
    labels = 2 * searched if options.labels == "search" else 0
    played = config.selfplay.games * config.selfplay.plies if options.states == "student" else 0
    looked_at = game.num_actions * one if options.pairs == "disagreement" else 0
    return Cost(
        position=one * (game.num_actions + (0 if options.enters == "signal" else searched)),
        sample=1.0 if distill.reference == "start" else 0.0,
        iteration=rounds * (played + options.comparisons * (labels + looked_at + 2 * (options.line - 1)))
        + 2 * one * (3 * options.steps * options.batch + 2 * WATCHED),
    )


def make_reward_model(
    config: Config, distill: DistillConfig, game: Game, network: Network,
    amplifier: Amplifiers,
) -> Distiller:  # fmt: skip
    """The distiller.

    Args:
      amplifier: the search whose leaves the policy-value network judges.

    Raises:
      ValueError: labels from an oracle that the game does not have, or from a file that cannot be read.
    """
    options = config.reward
    reward = make_reward(options, game)
    fit = make_fit(options, game, reward)
    safeguards = safeguard_models(distill)

    def init(params: Params, key: jax.Array) -> dict[str, Any]:
        store: Models = {"comparisons": no_comparisons(game, options.capacity)}
        if options.states == "student":
            store["own_games"] = begin_own_games(game, config.selfplay.games, key)
        return fit.init(key) | store | safeguards(params, key)

    return Distiller(
        amplifier if options.enters == "signal" else proxy_search(config, game, network, reward),
        paid(config, game, reward),
        reinforce(distill, network),
        init=init,
        update=safeguard_update(distill),
        approves=True,
        oversight=asked_for_safeguards(distill),
        gather=make_gather(config, game, network, reward, fit, amplifier(config.search, False)),
        cost=extra_cost(config, distill, game, network, reward),
    )
