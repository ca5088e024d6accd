"""The server behind the page. It keeps no games: every request carries the moves so far.

What a browser may ask, all under api/: start, players, position, think, exact, pair, preference, runs, run. Errors are
JSON, `{"error": one line}`, with a status of 4xx.
"""

import concurrent.futures
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from azero.answers import BadPosition
from azero.web import boards, curves, people, thoughts
from azero.web.desk import Desk, Found
from azero.web.guards import Guard
from azero.web.lines import Line, Lines, Refused
from azero.web.roster import DEFAULT_LEVEL, LEVELS, Entry, Roster, has_table, level, run_folders, usual
from games import FOR_TWO, OF_CHANCE, make
from games.core import Game

STATIC = Path(__file__).parent / "static"
CONNECTIONS = 200  # at once
PATIENCE = 120.0  # seconds that an answer may take, the compiling of a new search included
LONGEST_GAME = 1024  # moves; games end sooner by their own rules

Move = Annotated[str, Field(min_length=1, max_length=8)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Position(BaseModel):
    """A game and its moves so far."""

    model_config = ConfigDict(extra="forbid", strict=True)
    game: Name
    moves: Annotated[list[Move], Field(max_length=LONGEST_GAME)] = []


class Question(Position):
    """A position to be thought about."""

    player: Name
    simulations: Annotated[int, Field(ge=0, le=LEVELS[-1])] = DEFAULT_LEVEL


class Preference(Position):
    """Which of two moves a person prefers."""

    move_a: Move
    move_b: Move
    preferred: Annotated[str, Field(pattern="^[ab]$")]
    source: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Page:
    """What the server answers from."""

    def __init__(self, roster: Roster, preferences: people.Preferences):
        self.roster, self.preferences = roster, preferences
        self.lines, self.desk = Lines(), Desk()

    def game(self, name: str) -> Game:
        """A game that is offered.

        Raises:
          Refused: it is not.
        """
        if name not in self.games():
            try:
                make(name if ":" not in name else "")  # says what is near; a name with a colon would import a module
            except ValueError as error:
                raise Refused(str(error)) from None
        return make(name)

    def games(self) -> list[str]:
        """The names of all games offered, those for two without dice, the served player's first."""
        first = self.roster.game.name
        return [first, *(name for name in FOR_TWO if name not in (first, *OF_CHANCE))]

    def line(self, position: Position) -> Line:
        """The position that was asked about."""
        return self.lines.play(self.game(position.game), position.moves)

    def found(self, line: Line, entry: Entry, simulations: int) -> Found:
        """A player's answer to a position in which the game goes on."""
        if bool(line.state.terminal):
            raise Refused("the game is over there, so there is nothing to think about")
        simulations = level(entry, simulations)
        player = self.roster.player(line.game, entry, simulations)
        key = (line.game.name, entry.text, simulations)
        reply = self.desk.ask(key, line.game, player, line.state)
        try:
            return reply.result(PATIENCE)
        except BadPosition as error:
            raise Refused(error.what) from None
        except concurrent.futures.TimeoutError:
            self.desk.withdraw(key, reply)
            raise Refused("the search takes too long; ask for fewer simulations") from None

    def warm(self) -> None:
        """Compiles what the first visitor asks for, in the background."""
        entry, game = self.roster.first, self.roster.game
        simulations = usual(entry)
        player = self.roster.player(game, entry, simulations)
        self.desk.warm((game.name, entry.text, simulations), game, player, self.lines.play(game, []).state)


@contextlib.asynccontextmanager
async def _enough_threads(app: FastAPI) -> AsyncIterator[None]:
    """A thread for every connection, and some for files: one that waits for a search must not hold up the others."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = CONNECTIONS + 16
    yield


def make_app(roster: Roster, comparisons: Path, host: str = "127.0.0.1") -> FastAPI:
    """The page as an ASGI application.

    Args:
      comparisons: the file that preferences are appended to.
      host: the address it is bound to, which says what Host headers are its own.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_enough_threads)
    page = Page(roster, people.Preferences(comparisons))
    app.state.page = page
    app.add_middleware(Guard, host=host)
    _say_errors(app)
    _play(app, page)
    _prefer(app, page)
    _show_runs(app, page)

    @app.get("/")
    def index() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    app.mount("/", StaticFiles(directory=STATIC))
    return app


def _say_errors(app: FastAPI) -> None:
    """Every refusal as one line of JSON."""

    def said(status: int, what: str) -> JSONResponse:
        return JSONResponse({"error": what.splitlines()[0] if what else "failed"}, status)

    @app.exception_handler(Refused)
    def refused(request: Request, error: Exception) -> JSONResponse:
        return said(400, str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
        return said(400, f"{place}: {first['msg']}" if place else str(first["msg"]))

    @app.exception_handler(HTTPException)
    def missing(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return said(error.status_code, f"{request.url.path}: {error.detail}")


def _play(app: FastAPI, page: Page) -> None:
    @app.get("/api/start")
    def start() -> dict[str, Any]:
        shown = [{"name": name} | boards.look(name)._asdict() for name in page.games()]
        return {"games": shown}

    @app.get("/api/players")
    def players(game: Name) -> list[dict[str, Any]]:
        entries = page.roster.entries(page.game(game))
        return [
            {"id": entry.id, "label": entry.label, "levels": entry.levels, "usual": usual(entry)} for entry in entries
        ]

    @app.post("/api/position")
    def position(asked: Position) -> dict[str, Any]:
        line = page.line(asked)
        described = boards.describe(line.game, line.state, line.before, list(line.moves), line.points)
        return described | {"solved": has_table(line.game)}

    @app.post("/api/think")
    def think(asked: Question) -> dict[str, Any]:
        line = page.line(asked)
        entry = page.roster.entry(line.game, asked.player)
        found = page.found(line, entry, asked.simulations)
        return {"simulations": level(entry, asked.simulations)} | thoughts.describe(line, found)

    @app.post("/api/exact")
    def exact(asked: Position) -> dict[str, Any]:
        return {"moves": thoughts.exact(page.line(asked))}


def _prefer(app: FastAPI, page: Page) -> None:
    @app.get("/api/pair")
    def pair(game: Name) -> dict[str, Any]:
        asked, chance = page.game(game), np.random.default_rng()
        line = people.random_line(page.lines, asked, chance)
        policy = np.ones(asked.num_actions, np.float32)
        entry = page.roster.entries(asked)[0]
        if entry.kind == "network":
            policy = page.found(line, entry, 0).answer.policy[0]
        move_a, move_b = people.two_moves(line, policy, chance)
        described = boards.describe(asked, line.state, line.before, list(line.moves), line.points)
        return {"position": described, "move_a": move_a, "move_b": move_b}

    @app.post("/api/preference")
    def preference(asked: Preference) -> dict[str, Any]:
        source = asked.source.strip()
        if not source:
            raise Refused("source: say who prefers it")
        line = page.line(asked)
        place = page.preferences.add(line, asked.move_a, asked.move_b, asked.preferred, source)
        return {"file": place.name}


def _show_runs(app: FastAPI, page: Page) -> None:
    @app.get("/api/runs")
    def runs() -> list[dict[str, Any]]:
        return curves.list_runs(page.roster.runs)

    @app.get("/api/run")
    def run(name: Annotated[str, Query(max_length=200)]) -> dict[str, Any]:
        folders = run_folders(page.roster.runs)
        if name not in folders:
            raise Refused(f"no run {name!r}; api/runs lists them")
        return curves.describe_run(name, folders[name])
