"""The text that names an engine: gtp:COMMAND, uci[seconds=0.1,Skill Level=3]:COMMAND."""

import difflib
import re
import shlex
import shutil
from typing import NamedTuple

from azero.options import read_options

PROTOCOLS = ("gtp", "uci")
PACKAGES = {
    "gnugo": "gnugo", "gtp-rhino": "grhino", "stockfish": "stockfish", "fairy-stockfish": "fairy-stockfish",
    "gnubg": "gnubg",
}  # fmt: skip
ELSEWHERE = "/usr/games:/usr/local/games"  # where Debian puts games; root's PATH lacks it
FORM = re.compile(r"(?P<kind>gtp|uci)(\[(?P<options>[^]]*)\])?(:(?P<command>.*))?", re.DOTALL)


class Program(NamedTuple):
    """An engine's text, taken apart."""

    text: str
    kind: str  # "gtp" or "uci"
    words: tuple[str, ...]  # of its command line, the program's path first
    options: str | None  # as they are written; which there are an UCI engine says by itself


def names_program(text: str) -> bool:
    """Whether a player's text is that of an engine."""
    return re.match(r"(gtp|uci)([\[:]|$)", text) is not None


def read_program(text: str) -> Program:
    """Takes an engine's text apart and finds its program.

    Raises:
      ValueError: it does not parse, or there is no such program; one line.
    """
    found = FORM.fullmatch(text)
    example = "gtp:gnugo --mode gtp" if text.startswith("gtp") else "uci[seconds=0.1]:stockfish"
    if not found:
        raise ValueError(f"{text}: options stand in square brackets before the colon, as in {example}")
    try:
        words = shlex.split(found["command"] or "")
    except ValueError as error:
        raise ValueError(f"{text}: the command does not parse: {error}") from None
    if not words:
        raise ValueError(f"{text!r} names no command; an engine is written like {example}")
    if found["options"] == "":
        raise ValueError(f"{text}: there is nothing in the square brackets; options are written [name=value]")
    return Program(text, found["kind"], (program_path(text, words[0]), *words[1:]), found["options"])


def split_options(program: Program, known: tuple[str, ...]) -> dict[str, str]:
    """The options of an engine, name -> value; ValueError where one is not among the known."""
    return {} if program.options is None else read_options(program.text, program.options, known)


def program_path(text: str, name: str) -> str:
    """Where a program is; ValueError, with the player's text in front, where there is none."""
    path = shutil.which(name) or (None if "/" in name else shutil.which(name, path=ELSEWHERE))
    if path:
        return path
    if name in PACKAGES:
        hint = f"; on Debian and Ubuntu, apt-get install {PACKAGES[name]}"
    else:
        near = difflib.get_close_matches(name, PACKAGES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"{text}: there is no program {name!r}{hint}")
