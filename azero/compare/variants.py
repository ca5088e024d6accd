"""A variant of a comparison: text such as `reinforce:baseline=mean` -> the config of its runs. Imports no JAX."""

import dataclasses
import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from azero.checks import check
from azero.config import Config, field, from_dict, kind_of, to_dict
from azero.kinds import APPLIES, KINDS, baseline_of, kl_of
from azero.options import read_value

PREVIOUS = 2  # checkpoints that a run must keep: the newest, and the one that its loss in distillation is held against


class Variant(NamedTuple):
    """One way to distil."""

    text: str  # KIND or KIND:OPTION=VALUE,...
    slug: str  # the name of its folder
    config: Config  # of its runs, but for the seed


def read_variants(texts: Sequence[str], base: Config) -> tuple[Variant, ...]:
    """The variants that texts name, in that order; those of no text are all of azero.kinds.KINDS.

    Args:
      base: what they have in common: the game, the network, the search, the games.

    Raises:
      ValueError: a text does not parse, its config makes no sense, or two of them say the same.
    """
    variants = tuple(read_variant(text, base) for text in texts or KINDS)
    for number, variant in enumerate(variants):
        for other in variants[:number]:
            if _meant(other.config) == _meant(variant.config) or other.slug == variant.slug:
                raise ValueError(f"variants {other.text} and {variant.text} are the same; leave one out")
    return variants


def read_variant(text: str, base: Config) -> Variant:
    """One variant.

    Options are those of distill.*, or other fields of the config by their dotted names.

    Raises:
      ValueError: one line that names the variant, what is wrong, and the name that may have been meant.
    """
    kind, colon, options = text.partition(":")
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"kinds are {', '.join(KINDS)}"
        raise ValueError(f"unknown kind {kind!r} of variant {text!r}; {hint}")
    fields = to_dict(base)
    fields["distill"]["kind"] = kind
    seen: set[str] = set()
    for option in options.split(",") if colon else ():
        name, equals, value = option.partition("=")
        if not (name and equals and value):
            raise ValueError(f"variant {text}: an option is written name=value, not {option!r}")
        path = _path(text, kind, name, base)
        if path in seen:
            raise ValueError(f"variant {text}: option {path} is given twice")
        seen.add(path)
        group, _, last = path.partition(".")
        declared = {one.name: one for one in dataclasses.fields(field(base, group))}
        fields[group][last] = read_value(f"variant {text}", path, value, kind_of(declared[last]))
    try:
        config = from_dict(fields)
        check(config, seen)
    except ValueError as error:
        raise ValueError(f"variant {text}: {error}") from None
    return Variant(text, re.sub(r"[^A-Za-z0-9_.=-]+", "-", text), _as_a_run(config))


def _path(text: str, kind: str, name: str, base: Config) -> str:
    """The dotted name of an option."""
    path = name if "." in name else f"distill.{name}"
    known = _paths(base)
    if path in known:
        return path
    if path == "distill.kind":
        raise ValueError(f"variant {text}: the kind stands before the colon")
    if path.startswith("report."):
        raise ValueError(f"variant {text}: report.* is the comparison's own; a variant cannot set it")
    short = [own.removeprefix("distill.") for own in known if own.startswith("distill.")]
    # What belongs to this kind comes first, for of two names as near it is the one that was meant.
    names = [*APPLIES[kind], *short, *known]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{kind} has {', '.join(APPLIES[kind]) or 'none of its own'}"
    raise ValueError(f"variant {text}: unknown option {name!r}; {hint}")


def _paths(base: Config) -> list[str]:
    """The dotted names that a variant may set."""
    return [
        f"{group}.{name}"
        for group, fields in to_dict(base).items()
        if isinstance(fields, dict) and group != "report"
        for name in fields
        if (group, name) != ("distill", "kind")
    ]


def _meant(config: Config) -> Config:
    """The config with what its `auto` values stand for, so that the same run is known under either name."""
    kind, distill = config.distilled, config.distill
    stands_for = dataclasses.replace(distill, baseline=baseline_of(kind, distill), kl=kl_of(kind, distill))
    return dataclasses.replace(config, distill=stands_for)


def _as_a_run(config: Config) -> Config:
    """The config as the comparison runs it: nothing is measured on the way, for that would be taken off the budget."""
    kept = max(PREVIOUS, config.report.keep_newest)
    return dataclasses.replace(config, report=dataclasses.replace(config.report, strength_every=0, keep_newest=kept))
