"""What no run could mean: values out of range, and options that do not go together."""

import math
from collections.abc import Set
from typing import get_args, get_type_hints

from azero.config import Config, SearchConfig, field
from azero.kinds import check_options
from azero.muzero.options import check_model
from games import GYM

POSITIVE = (
    "network.width", "selfplay.games", "selfplay.plies", "replay.capacity", "replay.minimum", "replay.actions",
    "learn.batch", "learn.learning_rate", "learn.reuse", "learn.clip", "report.keep_newest", "search.c_init",
    "replay.share", "selfplay.full_share", "selfplay.cheap_simulations", "distill.temperature", "distill.answers",
    "distill.teacher_half_life", "reward.temperature", "reward.comparisons", "reward.line", "reward.ensemble",
    "reward.width", "reward.learning_rate", "reward.steps", "reward.batch", "reward.capacity", "reward.held_out",
    "overseer_games", "muzero.unroll", "muzero.td_steps", "muzero.value_range", "muzero.bins",
)  # fmt: skip
NOT_NEGATIVE = (
    "seed", "devices", "network.blocks", "search.cache", "search.value_scale", "search.maxvisit_init",
    "search.dirichlet_alpha", "selfplay.opening_plies", "distill.value_weight", "learn.warmup", "learn.decay",
    "learn.weight_decay", "report.strength_every", "report.checkpoint_every", "report.keep_every", "distill.entropy",
    "distill.kl", "distill.kl_target", "distill.halfway", "distill.imitation_half_life", "distill.margin",
    "distill.imitate_first", "distill.clip", "reward.every", "reward.pessimism", "reward.blocks", "muzero.consistency",
    "muzero.reanalyse", "muzero.priority",
)  # fmt: skip
SHARES = (
    "search.dirichlet_fraction", "targets.value_lambda", "replay.share", "learn.ema", "selfplay.full_share",
    "distill.quantilize", "distill.imitation_weight", "reward.noise", "reward.held_out",
)  # fmt: skip


def check_search(config: SearchConfig) -> None:
    """Refuses what no search could mean.

    Raises:
      ValueError: one line with the field, what it was and what it must be.
    """
    for name in ("simulations", "considered", "lanes"):
        if getattr(config, name) < 1:
            raise ValueError(f"search.{name} must be above 0, not {getattr(config, name)}")
    kinds = get_type_hints(SearchConfig)
    for name in ("backend", "algorithm", "fpu"):
        known = get_args(kinds[name])
        if getattr(config, name) not in known:
            raise ValueError(f"search.{name} must be {' or '.join(known)}, not {getattr(config, name)!r}")
    if config.backend == "mctx" and config.algorithm == "puct" and config.fpu != "loss":
        raise ValueError(f"search.backend mctx counts a move not tried as a loss: search.fpu {config.fpu} is azero's")


def check(config: Config, given: Set[str] = frozenset()) -> None:
    """Refuses values that no run could mean.

    Args:
      given: dotted names of options that were asked for by name, so that they count even with their default values.

    Raises:
      ValueError: one line with the field, what it was and what it must be.
    """
    check_search(config.search)
    for path in POSITIVE:
        if not 0 < field(config, path) < math.inf:
            raise ValueError(f"{path} must be above 0, not {field(config, path)}")
    for path in NOT_NEGATIVE:
        if (value := field(config, path)) is not None and not 0 <= value < math.inf:
            raise ValueError(f"{path} must be 0 or more, not {field(config, path)}")
    for path in SHARES:
        if not 0 <= field(config, path) <= 1:
            raise ValueError(f"{path} must be between 0 and 1, not {field(config, path)}")
    if config.seed >= 2**32:
        raise ValueError(f"seed must be below 2**32, not {config.seed}")
    if config.selfplay.full_share < 1 and config.selfplay.cheap_simulations >= config.search.simulations:
        raise ValueError(
            f"selfplay.cheap_simulations must be below search.simulations of {config.search.simulations} "
            f"where selfplay.full_share is below 1, not {config.selfplay.cheap_simulations}"
        )
    positions = config.selfplay.games * config.selfplay.plies
    if config.replay.capacity < positions:
        raise ValueError(
            f"replay.capacity must hold an iteration's {positions} positions (selfplay.games x selfplay.plies), "
            f"not {config.replay.capacity}"
        )
    if config.learn.ema == 1:
        raise ValueError("learn.ema must be below 1, or the average never moves")
    check_options(config.distilled, config.distill, config.reward, given)
    search, plies = config.search, config.selfplay.plies
    if config.model == "rules" and config.game.startswith(GYM):
        raise ValueError(f"{config.game} steps on the host, where no tree can follow its rules; take model learned")
    check_model(config.model, config.muzero, config.distilled, search.algorithm, plies, given)
    if "search.cache" in given and search.cache and (config.model != "rules" or search.backend == "mctx"):
        raise ValueError(f"search.cache needs backend azero and model rules, not {search.backend} and {config.model}")
    if config.model != "rules" and (config.demonstrations or config.overseer):
        raise ValueError(f"model {config.model} cannot begin with demonstrations or an overseer: they hold no rewards")
    if config.demonstrations and config.overseer:
        raise ValueError("give demonstrations or overseer, not both: there is one start")
    if config.overseer_games != Config.overseer_games and not config.overseer:
        raise ValueError("overseer_games needs overseer")
    if config.distilled == "outcome" and config.selfplay.full_share < 1:
        raise ValueError("selfplay.full_share does not apply to distill.kind outcome, which never searches")
    if config.distill.approval == "fresh" and config.selfplay.full_share < 1:
        raise ValueError("distill.approval fresh does not go with selfplay.full_share below 1: cheap moves teach none")
    if config.distilled == "improved" and config.search.algorithm == "puct":
        raise ValueError('distill.kind "improved" needs search.algorithm "gumbel"; PUCT has visits only')
