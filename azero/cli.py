"""The front door: `azero COMMAND`.

Every command is a module of azero.commands with `main(arguments) -> exit code`, imported only when it is asked for,
so that help answers at once. A ValueError is the user's to mend (one line, exit code 2); whatever else goes wrong
is one line and exit code 1; `--debug` anywhere on the line shows the traceback instead.
"""

import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from azero import __version__

COMMANDS = {
    "train": "learn a game by self-play; a run that exists goes on",
    "eval": "a match between two players, or one player against exact values",
    "rate": "Elo ratings of many players, or of all checkpoints of a run",
    "analyze": "a line of JSON for each position of a file",
    "play": "play against a player in the terminal",
    "engine": "a player for other programs to play against, by GTP or UCI",
    "serve": "play and look on in the browser",
    "compare": "ways to learn from the amplified model, under one budget",
    "games": "the games that there are",
    "bench": "how fast: search, self-play and learning, and the floor of the machine",
}
HELP_FLAGS = ("-h", "--help", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: the words after `azero`; None takes those of the process.

    Returns:
      The exit code: 0, 1 the work failed, 2 usage, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in HELP_FLAGS:
        print(_help())
        return 0
    if words[0] == "--version":
        print(__version__)
        return 0
    if debug:
        return _run(words)
    try:
        return _run(words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ValueError as error:
        return _fail(str(error), 2)
    except Exception as error:
        known = type(error).__module__.startswith("azero.")  # says in its own words what went wrong
        return _fail(str(error) if known else f"{type(error).__name__}: {error}", 1)


def _run(words: Sequence[str]) -> int:
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    for package in ("azero", "games"):
        logging.getLogger(package).setLevel(logging.INFO)
    name, *rest = words
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        raise ValueError(f"unknown command {name!r}; " + (f"did you mean {near[0]}?" if near else "see azero --help"))
    module = importlib.import_module(f"azero.commands.{name}")
    try:
        code: int = module.main(rest)
    except SystemExit as end:  # --help of the command
        code = end.code if isinstance(end.code, int) else 0
    return code


def _fail(message: str, code: int) -> int:
    """Says in one line what went wrong."""
    lines = message.strip().splitlines()
    print(f"azero: {lines[0] if lines else 'failed'}", file=sys.stderr)
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: azero COMMAND [ARGUMENTS]",
            "",
            "AlphaZero-style training in JAX. `azero COMMAND --help` shows the arguments of a command.",
            "",
            *commands,
            "",
            "A PLAYER is runs/c4 or checkpoints/connect_four (the newest step; @120 for another), with options after a",
            "colon (runs/c4:simulations=200); policy:runs/c4 (the network's own move, no search); random;",
            "rollout:simulations=1000 (tree search with random playouts); oracle; human; gtp:COMMAND or",
            "uci[seconds=0.1]:COMMAND (a program that speaks GTP or UCI); gnubg:plies=2 (GNU Backgammon);",
            "expectimax:depth=2 (of the points, where the rules say what chance does).",
            "",
            "options: --json (one JSON document on stdout), --debug (a traceback where something fails), --version",
        ]
    )
