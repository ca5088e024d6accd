"""Options written after a name, "a=1,b=2": of players, overseers and variants. Imports no JAX."""

import difflib
from collections.abc import Sequence
from typing import Any


def read_options(text: str, options: str, known: Sequence[str]) -> dict[str, str]:
    """Name -> value of "a=1,b=2".

    Args:
      text: what they stand in, for messages.
      known: the names that there are.

    Raises:
      ValueError: one is not written so, is unknown or is given twice.
    """
    found: dict[str, str] = {}
    for option in options.split(","):
        name, equals, value = option.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{text}: an option is written name=value, not {option!r}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
            raise ValueError(f"{text}: unknown option {name!r}; {hint}")
        if name in found:
            raise ValueError(f"{text}: option {name} is given twice")
        found[name] = value
    return found


def read_value(text: str, name: str, value: str, kind: type) -> Any:
    """The value of an option as a bool, int, float or str; ValueError if it is none."""
    words = {"true": True, "false": False}
    try:
        return words[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError):
        raise ValueError(f"{text}: {name} must be of type {kind.__name__}, not {value!r}") from None
