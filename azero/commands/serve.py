"""azero serve: the page to play and look on, in the browser."""

import dataclasses
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from azero.commands.arguments import parse

if TYPE_CHECKING:
    from fastapi import FastAPI

DEFAULT = "connect_four"
NEAR = 20  # ports after the one asked for that are tried for a suggestion


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Play in the browser, with the search laid bare; watch players, look at runs, say which move is better."""

    player: tyro.conf.Positional[str | None] = None
    """Whom you play first: runs/c4, checkpoints/connect_four, rollout. The page offers all others of its game, and
    all other games. The connect_four that comes with azero if none is given."""
    game: str | None = None
    """The game; needed where the player has no checkpoint and the game is not connect_four."""
    port: int = 8000
    """Where the page listens."""
    host: str = "127.0.0.1"
    """The address it listens on; one that others can reach needs --public."""
    public: tyro.conf.FlagCreatePairsOff[bool] = False
    """Let others than this machine use the page: there is no password."""
    runs: str = "runs"
    """The folder of runs to look at and to play."""
    comparisons: str = "comparisons.jsonl"
    """The file that preferences are appended to."""


def main(words: Sequence[str]) -> int:
    """Serves until it is interrupted."""
    arguments = parse(Arguments, words, "serve")
    check_place(arguments)
    try:
        import fastapi  # noqa: F401  the page cannot be imported without
        import uvicorn  # noqa: F401  nor served
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}: pip install 'azero[web]'") from None
    from azero.startup import start_jax

    start_jax()
    from azero.web.app import make_app
    from azero.web.roster import Roster, served

    player, game = served(arguments.player, arguments.game, DEFAULT)
    app = make_app(Roster(player, game, Path(arguments.runs)), Path(arguments.comparisons), arguments.host)
    # What is being compiled in another thread cannot be stopped, and Python crashes if it ends meanwhile.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    app.state.page.warm()
    _listen(app, f"{game.name}, {player}", arguments)
    return 0


def _listen(app: "FastAPI", what: str, arguments: Arguments) -> None:
    """Serves until it is interrupted."""
    import uvicorn

    from azero.web.app import CONNECTIONS
    from azero.web.guards import is_loopback

    host, port = arguments.host, arguments.port
    if not is_loopback(host):
        print(f"warning: everyone who can reach {host} can use the page; it has no password", file=sys.stderr)
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # any address of this machine, and none that could be opened
        shown = socket.gethostname()
    print(f"{what}: http://{shown}:{port}/  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app,
        host,
        port,
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run()


def check_place(arguments: Arguments) -> None:
    """ValueError where the page cannot or must not listen there."""
    from azero.web.guards import is_loopback

    host, port = arguments.host, arguments.port
    if not 1 <= port <= 65535:
        raise ValueError(f"--port must be from 1 to 65535, not {port}")
    if not is_loopback(host) and not arguments.public:
        raise ValueError(f"others can reach {host}, and the page has no password; say --public if they may use it")
    try:
        if is_free(host, port):
            return
    except OSError as error:
        raise ValueError(f"cannot listen on {host}: {error.strerror or error}") from None
    free = next((near for near in range(port + 1, min(port + NEAR, 65536)) if is_free(host, near)), None)
    raise ValueError(f"port {port} is in use" + (f"; {free} is free: --port {free}" if free else ""))


def is_free(host: str, port: int) -> bool:
    """Whether one could listen there; OSError where the address is none of this machine's."""
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, number) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
