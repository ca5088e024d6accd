"""What the tests of azero as an engine share: servers to ask, lines, and lines that are damaged."""

import sys

import pytest

from azero.engines.gtp_server import GtpServer
from azero.engines.program import PACKAGES, program_path
from azero.players import make_player

SMALL = "connect_four_4x4"
ENGINE = [sys.executable, "-c", "import sys; from azero.cli import main; sys.exit(main(sys.argv[1:]))", "engine"]
LINES = 10_000  # of the fuzz


def program(name):
    """The path of a program from Debian's packages; skips the test where it is not there."""
    try:
        return program_path(name, name)
    except ValueError:
        pytest.skip(f"{name} is not installed: apt-get install {PACKAGES[name]}")


def gtp(text, game=None):
    """A server, and a function that asks it: line -> its whole answer."""
    player, game = make_player(text, game)
    said = []
    server = GtpServer(player, game, said.append)

    def ask(line):
        said.clear()
        assert server.handle(line, lambda: True, lambda: False) is (line.split()[-1:] != ["quit"])
        return "".join(said)

    return server, ask


def mutated(line, chances):
    """A line with a few characters changed, left out or put in, or junk in its place."""
    letters = list(line)
    for _ in range(chances.randrange(1, 5)):
        at = chances.randrange(len(letters) + 1)
        letter = chr(chances.choice((chances.randrange(32, 127), chances.randrange(1, 256), 0x2603)))
        letters[at : at + chances.randrange(2)] = [letter] * chances.randrange(3)
    return "".join(letters).replace("\n", " ").replace("\r", " ").replace("\x0b", " ").replace("\x0c", " ")
