"""DISTILL: the ways to learn from the amplified model, one file each."""

import dataclasses

from azero.config import Config, SearchConfig
from azero.distill.adversarial import adversarial, discriminate, discriminator_models
from azero.distill.best_answer import best_answer, literal
from azero.distill.core import Amplifier, Cost, Distiller, Learner, Lesson, Losses, Models
from azero.distill.cross_entropy import cross_entropy, whole_policy
from azero.distill.imitation import drawn_answers, movers
from azero.distill.mixed import margin, mixed
from azero.distill.outcome import outcome, own_answer, own_policy
from azero.distill.reinforce import approved, fresh_approval, reinforce, safeguard_models, safeguard_update
from azero.distill.reward_model import make_reward_model
from azero.network import Network
from azero.search import make_search
from games.core import Game

__all__ = ["Cost", "Distiller", "Learner", "Lesson", "Losses", "Models", "make_distiller"]


def make_distiller(config: Config, game: Game, network: Network) -> Distiller:
    """The way to learn that `config.distill` asks for.

    Raises:
      ValueError: it needs what this game does not have.
    """
    kind, visits = config.distilled, config.search.algorithm == "puct"
    distill = config.distill
    if distill.baseline == "auto":
        distill = dataclasses.replace(distill, baseline="all_actions" if kind == "adversarial" else "search_value")

    def amplifier(search: SearchConfig, explore: bool) -> Amplifier:
        find = make_search(search, game, network, explore)
        return lambda learner, states, key: find(learner.params, states, key)

    if kind in ("visits", "improved"):
        teach = whole_policy(distill, visits=kind == "visits")
        return Distiller(amplifier, teach, cross_entropy(distill, network), oversight={"distributions": 1})
    if kind == "imitation":
        act = movers(distill, game, network)
        loss, asked = cross_entropy(distill, network), {"samples": float(distill.answers)}
        cost = Cost(position=1.0 if act else 0.0)
        return Distiller(amplifier, drawn_answers(distill, visits), loss, act, cost=cost, oversight=asked)
    if kind == "best_answer":
        loss = cross_entropy(distill, network) if distill.form == "log" else literal(distill, network)
        return Distiller(amplifier, best_answer(), loss, oversight={"samples": 1})
    if kind in ("reinforce", "mixed"):
        fresh = distill.approval == "fresh"
        plain = amplifier(config.search, False) if fresh else None
        teach = approved(visits, fresh_approval(game, plain) if plain else None)
        losses = {"reinforce": reinforce, "policy": mixed, "margin": margin}
        loss = losses[distill.mixture if kind == "mixed" else kind](distill, network)
        asked = {"scalars": float(game.num_actions)} | ({"distributions": 1.0} if kind == "mixed" else {})
        return Distiller(
            amplifier,
            teach,
            loss,
            init=safeguard_models(distill),
            update=safeguard_update(distill),
            approves=True,
            cost=Cost(
                position=game.num_actions * (1.0 + config.search.simulations) if fresh else 0.0,
                sample=1.0 if distill.reference == "start" else 0.0,
            ),
            oversight=asked,
        )
    if kind == "adversarial":
        return Distiller(
            amplifier,
            whole_policy(distill, visits),
            adversarial(distill, network),
            init=discriminator_models(distill, network),
            update=discriminate(distill, network),
            cost=Cost(sample=5.0),  # the discriminator's answer, then its step, and the student's answer for that
            oversight={"distributions": 1},
        )
    if kind == "outcome":

        def alone(search: SearchConfig, explore: bool) -> Amplifier:
            del search, explore
            return own_answer(game, network)

        return Distiller(
            alone, own_policy(), outcome(distill, network), approves=True, newest_only=True, searches=False
        )
    return make_reward_model(config, distill, game, network, amplifier)
