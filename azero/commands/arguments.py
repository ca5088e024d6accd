"""Words of the command line -> a frozen dataclass, by tyro; what is wrong with them in one line."""

import contextlib
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import tyro

Arguments = TypeVar("Arguments")


def parse(kind: type[Arguments], words: Sequence[str], command: str, default: Arguments | None = None) -> Arguments:
    """The arguments of a command.

    Args:
      kind: a dataclass; its docstring and those of its fields are the help.
      words: what stands after the command.
      command: its name, for the usage line.
      default: where the defaults are not those of the dataclass.

    Raises:
      ValueError: one line, with the option that may have been meant.
      SystemExit: help was asked for and has been printed.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            if default is None:
                return tyro.cli(kind, args=list(words), prog=f"azero {command}")
            return tyro.cli(kind, args=list(words), prog=f"azero {command}", default=default)
    except SystemExit as end:
        if end.code in (0, None):
            raise
    raise ValueError(f"{one_line(said.getvalue())} (azero {command} --help shows all)")


def one_line(box: str) -> str:
    """The message of tyro's error box: what stands above its first rule, and the first option it suggests."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│╭╮╰╯─ ") for line in plain.splitlines()[1:]]
    message = []
    for line in lines:
        if not line:
            break
        message.append(line)
    text = " ".join(message) or "the arguments cannot be read"
    text = re.sub(r"Unrecognized options: ([^,]*).*", r"unknown option \1", text)
    text = text.replace("Error parsing", "cannot read")
    if choice := re.search(r"[Ii]nvalid choice '(.*?)' .*?\((.*?)\)", text):
        near = difflib.get_close_matches(choice[1], re.findall(r"'(.*?)'", choice[2]), n=1)
        return f"{text.rstrip('.')}; did you mean {near[0]}?" if near else text
    meant = re.search(r"Perhaps you meant:?\s+(-\S+)", " ".join(lines))
    return f"{text}; did you mean {meant[1]}?" if meant else text


def read_lines(path: str, what: str) -> list[str]:
    """The lines of a text file; - is stdin.

    Args:
      what: they hold, for the message.

    Raises:
      ValueError: it cannot be read, or is not text.
    """
    try:
        content = Path("/dev/stdin" if path == "-" else path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read the {what} in {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    return content.removesuffix("\n").split("\n") if content else []
