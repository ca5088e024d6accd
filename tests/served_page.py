"""The page on a port of its own, in a thread of the test's process."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

import games
from azero.web.app import Page, make_app
from azero.web.roster import Roster


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def served(player: str, game: str, folder: Path) -> Iterator[tuple[str, Page]]:
    """The page's address, and what it answers from; its runs and comparisons are in the folder."""
    app = make_app(Roster(player, games.make(game), folder / "runs"), folder / "comparisons.jsonl")
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}", app.state.page
    finally:
        server.should_exit = True
        thread.join()
        app.state.page.desk.close()


def asked(client, name, **body):
    answer = client.post(f"/api/{name}", json=body)
    while answer.status_code == 429:  # a quick machine asks more than one address may
        time.sleep(0.5)
        answer = client.post(f"/api/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
