"""DISTILL: the ways to learn from the amplified model, one file each."""

import dataclasses
import functools

from azero.config import Config, DistillConfig, SearchConfig
from azero.distill.adversarial import adversarial, discriminate, discriminator_models
from azero.distill.best_answer import best_answer, literal
from azero.distill.core import Amplifier, Amplifiers, Cost, Distiller, Learner, Lesson, Losses, Models
from azero.distill.cross_entropy import cross_entropy, whole_policy
from azero.distill.imitation import drawn_answers, movers
from azero.distill.mixed import margin, mixed
from azero.distill.outcome import outcome, own_answer, own_policy
from azero.distill.reinforce import (
    approved,
    asked_for_safeguards,
    fresh_approval,
    reinforce,
    safeguard_models,
    safeguard_update,
)
from azero.distill.reward_model import make_reward_model
from azero.kinds import baseline_of, kl_of
from azero.network import Network
from azero.search import empty_cache, make_search
from games.core import Game

__all__ = ["Cost", "Distiller", "Learner", "Lesson", "Losses", "Models", "make_distiller"]


def make_distiller(config: Config, game: Game, network: Network) -> Distiller:
    """The way to learn that `config.distill` asks for.

    Raises:
      ValueError: it needs what this game does not have, or a store of more moves.
    """
    kind, options = config.distilled, config.distill
    distill = dataclasses.replace(options, baseline=baseline_of(kind, options), kl=kl_of(kind, options))

    def amplifier(search: SearchConfig, explore: bool) -> Amplifier:
        find = make_search(search, game, network, explore)
        return lambda learner, states, key: find(learner.params, states, key, learner.cache)

    made = _made(config, distill, game, network, amplifier)
    if made.approves and game.num_actions > config.replay.actions:
        raise ValueError(
            f"distill.kind {config.distilled} learns from every move of a position: replay.actions must be "
            f"{game.num_actions} for {game.name}, not {config.replay.actions}"
        )
    # A cache knows what the network says of positions, not what rewards or learned dynamics make of them.
    if made.amplifier is amplifier and network.dynamics is None:
        return made._replace(cache=functools.partial(empty_cache, config.search))
    return made


def _made(config: Config, distill: DistillConfig, game: Game, network: Network, amplifier: Amplifiers) -> Distiller:
    kind = config.distilled
    if kind in ("visits", "improved"):
        teach = whole_policy(distill, visits=kind == "visits")
        return Distiller(amplifier, teach, cross_entropy(distill, network), oversight={"distributions": 1.0})
    if kind == "imitation":
        act = movers(distill, game, network)
        loss, asked = cross_entropy(distill, network), {"samples": float(distill.answers)}
        cost = Cost(position=1.0 if act else 0.0)
        return Distiller(amplifier, drawn_answers(distill), loss, act, cost=cost, oversight=asked)
    if kind == "best_answer":
        loss = (cross_entropy if distill.form == "log" else literal)(distill, network)
        return Distiller(amplifier, best_answer(), loss, oversight={"samples": 1.0})
    if kind in ("reinforce", "mixed"):
        return _approving(config, distill, game, network, amplifier)
    if kind == "adversarial":
        return Distiller(
            amplifier,
            whole_policy(distill, visits=False),
            adversarial(distill, network),
            init=discriminator_models(distill, network),
            update=discriminate(distill, network),
            # The discriminator's answer, its step, and the student's answer for that step.
            cost=Cost(sample=2.0 + 3.0 + (distill.reference == "start")),
            oversight={"distributions": 1.0},
        )
    if kind == "outcome":
        alone = own_answer(game, network)
        teach, loss = own_policy(), outcome(distill, network)
        return Distiller(lambda *search: alone, teach, loss, approves=True, newest_only=True, searches=False)
    return make_reward_model(config, distill, game, network, amplifier)


def _approving(
    config: Config, distill: DistillConfig, game: Game, network: Network, amplifier: Amplifiers
) -> Distiller:
    """`reinforce` and `mixed`."""
    fresh = distill.approval == "fresh"
    approve = fresh_approval(game, amplifier(config.search, False)) if fresh else None
    loss = reinforce
    asked = {"scalars": float(game.num_actions)} | asked_for_safeguards(distill)
    if config.distilled == "mixed":
        loss = mixed if distill.mixture == "policy" else margin
        asked["distributions"] = 1.0
    return Distiller(
        amplifier,
        approved(approve),
        loss(distill, network),
        init=safeguard_models(distill),
        update=safeguard_update(distill),
        approves=True,
        cost=Cost(
            position=game.num_actions * (1.0 + config.search.simulations) if fresh else 0.0,
            sample=float(distill.reference == "start"),
        ),
        oversight=asked,
    )
