"""Whatever chooses a move, behind one record; and the text that names it.

runs/c4                       a run, its newest step, with the search it was trained with
runs/c4@120:simulations=200   another step, another search
runs/c4:reuse=false           searches each position of a game anew, not on in the tree of the last move
checkpoints/connect_four      a folder of weights; those that come with azero are found from anywhere
policy:runs/c4                the network's own move
rollout:simulations=1000      tree search with random playouts
random, oracle, human
gnubg:plies=2                 GNU Backgammon
gtp:gnugo --mode gtp          a program that speaks GTP or UCI, with options before the colon, as in
uci[seconds=0.1]:stockfish
"""

import dataclasses
import difflib
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import azero
from azero import answers as ways
from azero.answers import Answer, Answers, Playing, Traced
from azero.checkpoint import weights
from azero.checks import check
from azero.config import Config, SearchConfig, from_dict
from azero.engines import engine_playing, names_program, read_program
from azero.expectimax import expectimax_answers
from azero.manifest import CheckpointError
from azero.muzero.network import network_of
from azero.network import unnamed
from azero.options import read_options, read_value
from azero.search import Model, by_network, by_rules
from games import make
from games.core import Game, State
from games.notation import jitted

logger = logging.getLogger(__name__)

PLAIN = ("random", "rollout", "expectimax", "oracle", "human", "gnubg")  # players that need no checkpoint
ROLLOUT = SearchConfig(algorithm="puct", simulations=1000)
SEARCH_OPTIONS = (
    "simulations", "algorithm", "considered", "value_scale", "maxvisit_init", "rescale_values", "c_init", "fpu",
    "backend",
)  # fmt: skip
OPTIONS: dict[str, tuple[str, ...]] = {
    "network": (*SEARCH_OPTIONS, "reuse"),
    "rollout": ("simulations", "c_init", "reuse"),
    "expectimax": ("depth",),
    "policy": (),
    "random": (),
    "oracle": (),
    "human": (),
    "gnubg": ("plies",),
    "gtp": (),  # those of engines are read where the engine is asked which it has
    "uci": (),
}


class Searching(NamedTuple):
    """What a player's tree search is made of."""

    config: SearchConfig
    model: Model
    params: Any
    reuse: bool  # in a game, it searches on in the tree of the last move


class Player(NamedTuple):
    """One that plays a game."""

    name: str  # the text that names it
    answers: Answers  # to positions that have nothing to do with each other
    network: Answers | None = None  # of its network alone, if it has one
    bare: bool = False  # its network is all there is to it
    person: bool = False  # asked only what has to be answered, never to fill up a batch
    playing: Playing | None = None  # how it plays games, if not by its answers to one position after the other
    traced: Callable[[], Traced] | None = None  # its answers with their trees, if it searches any
    searching: Searching | None = None  # its tree search, if it has one


class Named(NamedTuple):
    """A player's text, taken apart."""

    text: str
    kind: str  # "network", "policy", one of PLAIN or one of azero.engines.PROTOCOLS
    folder: Path | None  # of the checkpoint
    iteration: int | None  # None is the newest
    options: dict[str, str]


def make_player(text: str, game_name: str | None = None) -> tuple[Player, Game]:
    """The player that a text names, and its game.

    Args:
      text: as in the help of `azero`.
      game_name: the game to play; None takes the one that the checkpoint was trained on.

    Raises:
      ValueError: one line: the text does not parse, there is no such checkpoint, or it belongs to another game.
    """
    (player,), game = make_players([text], game_name)
    return player, game


def make_players(
    texts: Sequence[str], game_name: str | None = None, simulations: int | None = None
) -> tuple[list[Player], Game]:
    """Players of one game, which is `game_name` or the one that a checkpoint among them was trained on.

    Args:
      simulations: of searches whose text does not say.

    Raises:
      ValueError: as in `make_player`.
    """
    named = [parse_player(text) for text in texts]
    if simulations is not None:
        named = [_with_simulations(one, simulations) for one in named]
    loaded = [_load(one) for one in named]
    trained = [config.game for _, config in filter(None, loaded)]
    if game_name is None and not trained:
        raise ValueError(f"{texts[0]} plays any game: say which with --game")
    game = make(game_name if game_name is not None else trained[0])
    for one, found in zip(named, loaded, strict=True):
        if found and found[1].game != game.name:
            raise ValueError(f"{one.text} plays {found[1].game}, not {game.name}")
    return [_build(one, found, game) for one, found in zip(named, loaded, strict=True)], game


def parse_player(text: str) -> Named:
    """Takes a player's text apart.

    Raises:
      ValueError: it does not parse, or names an option or a folder that is not there.
    """
    if names_program(text):
        return Named(text, read_program(text).kind, None, None, {})
    head, _, rest = text.partition(":")
    if head in PLAIN:
        return Named(text, head, None, None, _options(text, head, rest if ":" in text else None))
    kind, place = ("policy", rest) if head == "policy" else ("network", text)
    options = None
    if ":" in place and not Path(place).exists():
        place, _, options = place.rpartition(":")
    place, iteration = _step(text, place)
    return Named(text, kind, _folder(text, place), iteration, _options(text, kind, options))


def shipped_folder() -> Path:
    """Where the checkpoints that come with azero are: beside the package in a source tree, inside it once installed."""
    package = Path(azero.__file__).parent
    inside = package / "checkpoints"
    return inside if inside.is_dir() else package.parent / "checkpoints"


def shipped() -> list[str]:
    """The names of the checkpoints that come with azero."""
    return sorted(path.parent.name for path in shipped_folder().glob("*/weights.safetensors"))


def search_player(config: Config, game: Game, params: Any, name: str = "search", reuse: bool = False) -> Player:
    """The amplified model of these parameters.

    Args:
      reuse: in a game, search on in the tree of the last move.
    """
    network = network_of(config, game)
    own = functools.partial(ways.network_answers(game, network), params)
    return _searcher(name, config.search, game, by_network(game, network), params, reuse)._replace(network=own)


def _searcher(name: str, config: SearchConfig, game: Game, model: Model, params: Any, reuse: bool) -> Player:
    return Player(
        name,
        functools.partial(ways.tree_answers(config, model), params),
        playing=ways.tree_playing(config, model, params, reuse, stop_early=model.bounded),
        traced=functools.partial(ways.tree_traced, config, model, params),
        searching=Searching(config, model, params, reuse),
    )


def _step(text: str, place: str) -> tuple[str, int | None]:
    """The folder and the step of "runs/c4@120"."""
    if "@" not in place or Path(place).exists():
        return place, None
    place, _, step = place.rpartition("@")
    if not (step.isascii() and step.isdigit()):
        raise ValueError(f"{text}: after @ comes the number of a step, not {step!r}")
    return place, int(step)


def _folder(text: str, place: str) -> Path:
    if not place:
        raise ValueError(f"{text!r} does not name a player; players are a run's folder, {', '.join(PLAIN)}")
    path = Path(place)
    if path.exists():
        return path
    if path.name in shipped() and path.parent in (Path("."), Path("checkpoints")):
        return shipped_folder() / path.name
    known = [*PLAIN, "policy", *shipped(), *(f"checkpoints/{name}" for name in shipped())]
    near = difflib.get_close_matches(place, known, n=1)
    raise ValueError(f"{place!r} is no player and no folder" + (f"; did you mean {near[0]}?" if near else ""))


def _options(text: str, kind: str, options: str | None) -> dict[str, str]:
    """The options "a=1,b=2" of a player of this kind."""
    return {} if options is None else read_options(text, options, OPTIONS[kind])


def _with_simulations(named: Named, simulations: int) -> Named:
    if "simulations" not in OPTIONS[named.kind]:
        return named
    return named._replace(options={"simulations": str(simulations)} | named.options)


def _load(named: Named) -> tuple[dict[str, Any], Config] | None:
    """Weights and config of a player that has a checkpoint."""
    if named.folder is None:
        return None
    try:
        found = weights(named.folder, named.iteration)
        config = from_dict(found.config)
    except (CheckpointError, ValueError) as error:
        raise ValueError(f"{named.text}: {error}") from None
    for note in found.notes:
        logger.warning(note)
    return found.arrays, config


def _build(named: Named, loaded: tuple[dict[str, Any], Config] | None, game: Game) -> Player:
    if loaded is None:
        return _plain(named, game)
    arrays, config = loaded
    config = dataclasses.replace(config, search=_search(named, config.search))
    like = jax.eval_shape(network_of(config, game).init, jax.random.key(0))
    try:
        params = unnamed(arrays, like)
    except ValueError as error:
        raise ValueError(f"{named.text}: {error}") from None
    player = search_player(config, game, params, named.text, _reuse(named, config.search))
    if named.kind == "policy":
        assert player.network is not None
        return Player(named.text, player.network, player.network, bare=True)
    return player


def _plain(named: Named, game: Game) -> Player:
    match named.kind:
        case "random":
            return Player(named.text, ways.random_answers(game))
        case "expectimax":
            depth: int = read_value(named.text, "depth", named.options.get("depth", "2"), int)
            return Player(named.text, expectimax_answers(game, depth))
        case "oracle":
            return Player(named.text, ways.oracle_answers(game))
        case "human":
            return Player(named.text, ways.human_answers(game), person=True)
        case "gtp" | "uci" | "gnubg":
            playing = _engine(named, game)
            return Player(named.text, functools.partial(_no_judge, named.text), playing=playing)
        case _:
            search = _search(named, rollout_search(game))
            model = by_rules(game, ways.playout_judge(game))
            return _searcher(named.text, search, game, model, None, _reuse(named, search))


def _engine(named: Named, game: Game) -> Playing:
    if named.kind == "gnubg":
        from azero.engines.gnubg import gnubg_playing  # which needs the rules of backgammon

        plies: int = read_value(named.text, "plies", named.options.get("plies", "0"), int)
        return gnubg_playing(named.text, plies, game)
    return engine_playing(read_program(named.text), game)


def _no_judge(name: str, states: State, key: jax.Array) -> Answer:
    """The answer to positions of one that follows games from their start."""
    raise ValueError(f"{name} plays games, it does not judge positions")


def rollout_search(game: Game) -> SearchConfig:
    """The search of a player without a network, as far as its text does not say.

    Its prior is even, 1/L for each of L legal moves, so the weight of the prior grows with L, or where L is large the
    first move tried would never be left. What is right in Connect Four, with 7 moves at the start, is the measure.
    """
    legal = int(np.asarray(jitted(game.init)(jax.random.key(0)).legal).sum())
    return dataclasses.replace(ROLLOUT, c_init=ROLLOUT.c_init * max(1.0, legal / 7))


def _reuse(named: Named, search: SearchConfig) -> bool:
    """Whether the player keeps its trees in a game: as its text says, else where the backend can."""
    if "reuse" not in named.options:
        return search.backend == "azero"
    reuse = read_value(named.text, "reuse", named.options["reuse"], bool)
    if reuse and search.backend == "mctx":
        raise ValueError(f"{named.text}: trees of backend mctx are not kept, so there is nothing to reuse")
    return reuse


def _search(named: Named, search: SearchConfig) -> SearchConfig:
    """The search's settings with the options of the player's text."""
    kinds = {field.name: type(field.default) for field in dataclasses.fields(SearchConfig)}
    options = {name: text for name, text in named.options.items() if name != "reuse"}
    read = {name: read_value(named.text, name, text, kinds[name]) for name, text in options.items()}
    try:
        config = from_dict({"search": dataclasses.asdict(search) | read})
        check(config)
    except ValueError as error:
        raise ValueError(f"{named.text}: {error}") from None
    return config.search
