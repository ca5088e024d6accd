"""Demonstrations: game records of somebody, and their imitation, the first line of A <- Distill(H).

A record is read as its format has it: plain move text for every game (one game a line, # begins a comment), SGF for Go
(FF[4], red-bean.com/sgf; of variations the first), PGN for chess. Whatever cannot be played is reported and skipped.
"""

import dataclasses
import functools
import io
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from azero.network import Network, Params
from azero.overseers import Demonstrations, Plies, gathered, replayed
from azero.replay import Batch, Replay, Sample, draw, pack, stored_policy
from games.core import Game, State
from games.notation import GO_LETTERS

logger = logging.getLogger(__name__)

FORMATS = {".sgf": ("go_9x9", "go_19x19"), ".pgn": ("chess",)}  # and the games they are read for
SGF_TOKEN = re.compile(r"[();]|(?P<name>[A-Za-z]+)|\[(?P<value>(?:\\.|[^\]\\])*)\]|\s+|.", re.S)
SGF_ONCE = ("FF", "GM", "SZ")  # properties of a game's first node
PGN_RESULTS = {"1-0": 1.0, "0-1": -1.0, "1/2-1/2": 0.0}
GAMES_AT_ONCE = 256
ROWS_AT_ONCE = 1024  # positions packed or judged in one call
MOST_JUDGED = 4096  # held-out positions that are judged
CHECKS = 20  # times that the held-out loss is measured
PATIENCE = 5  # measurements without a better one that end the imitation


class Record(NamedTuple):
    """One game as a file tells it."""

    line: int  # where it begins, or where its problem is
    moves: Sequence[str] = ()  # in the game's notation
    lines: Sequence[int] = ()  # of each move
    result: float = np.nan  # for player 0, where the record says it
    problem: str = ""  # why it cannot be read


@dataclasses.dataclass(frozen=True)
class CloneConfig:
    """Imitation of demonstrations."""

    steps: int = 2000
    """Gradient steps at the most."""
    batch: int = 256
    """Positions in one gradient step."""
    learning_rate: float = 1e-3
    """AdamW's, at first; it falls to 0 by a cosine."""


class CloneReport(NamedTuple):
    """What came of an imitation. Accuracy: share of held-out positions in which the network's first move was made."""

    games: int
    positions: int
    skipped: int  # games that could not be read
    held_out_games: int
    held_out_positions: int  # that were judged
    steps: int  # gradient steps of the parameters with the least held-out loss, which are kept
    accuracy_before: float
    accuracy_after: float
    loss_before: float  # held-out: cross-entropy, nats, and squared error of the value
    loss_after: float


def read_games(game: Game, path: str | Path) -> Demonstrations:
    """The games of a file: SGF if it ends in .sgf, PGN if in .pgn, else plain move text, one game a line.

    The outcome is the one that the record tells, else that of the rules, else unknown. A game that cannot be read or
    that holds an illegal move is left out, with a warning that names the line and the reason.

    Raises:
      ValueError: one line: the file cannot be opened, holds no game that can be read, or is of a format
        that does not fit the game or that needs an extra.
    """
    records = _reader(game, path := Path(path))
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    found = list(records(text))
    if not found:
        raise ValueError(f"{path} holds no game")
    readable = [record for record in found if not record.problem]
    problems = [(record.line, record.problem) for record in found if record.problem]
    played: list[Plies] = []
    bad: dict[int, tuple[int, str]] = {}  # by number of the game: ply and reason
    for start in range(0, len(readable), GAMES_AT_ONCE):
        made, wrong = replayed(game, [record.moves for record in readable[start : start + GAMES_AT_ONCE]], start)
        played, bad = played + made, bad | wrong
    problems += [(readable[number].lines[ply], f"move {ply + 1}: {why}") for number, (ply, why) in bad.items()]
    problems.sort()
    if len(problems) == len(found):
        first = f"line {problems[0][0]}: {problems[0][1]}"
        raise ValueError(f"{path}: none of its {len(found)} games can be read; {first}")
    for line, reason in problems:
        logger.warning("%s: line %d: %s; this game is left out", path, line, reason)
    told = np.array([record.result for record in readable], np.float32)
    return gathered(played, told, without=list(bad), skipped=len(problems))


def imitate(
    network: Network, params: Params, game: Game, shown: Demonstrations, config: CloneConfig, key: jax.Array
) -> tuple[Params, CloneReport]:
    """Cross-entropy on the moves shown and squared error to the outcomes known, each position under a random symmetry.

    A tenth of the games is held out, and the parameters with the least loss on it are returned.

    Args:
      params: to begin with; they are not used up.

    Raises:
      ValueError: there are fewer than two games, or a number in the config is not above 0.
    """
    for field in dataclasses.fields(config):
        if not 0 < getattr(config, field.name) < np.inf:
            raise ValueError(f"imitation's {field.name} must be above 0, not {getattr(config, field.name)}")
    games = int(shown.games[-1]) + 1
    if games < 2:
        raise ValueError("imitation needs 2 games or more, for it holds some out, and there is 1")
    held_key, key = jax.random.split(key)
    held_games = np.asarray(jax.random.permutation(held_key, games))[: max(1, round(games / 10))]
    held = np.isin(shown.games, held_games)
    judged = np.flatnonzero(held)[:: -(-int(held.sum()) // MOST_JUDGED)]
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-4))
    store = _store(game, shown, np.flatnonzero(~held))
    learn = _learner(network, game, store, optimizer, config.batch, key)
    judge = _judge(network, list(_batches(game, shown, judged)))
    first = best = judge(params)
    kept, kept_step = params, 0
    moments = optimizer.init(params)
    every = max(1, config.steps // CHECKS)
    for step in range(1, config.steps + 1):
        params, moments = learn(params, moments, step)
        if step % every == 0 or step == config.steps:
            if (now := judge(params))[0] < best[0]:
                best, kept, kept_step = now, params, step
            elif step - kept_step >= PATIENCE * every:
                break
    sizes = games, len(shown.actions), shown.skipped, len(held_games), len(judged), kept_step
    return kept, CloneReport(*sizes, first[1], best[1], first[0], best[0])


def _learner(
    network: Network, game: Game, store: Sample, optimizer: optax.GradientTransformation, batch: int, key: jax.Array
) -> Callable[[Params, optax.OptState, int], tuple[Params, optax.OptState]]:
    """One gradient step: params, moments, its number -> params, moments."""
    rows = len(store.value)
    replay = Replay(store, jnp.zeros(1, jnp.int32), jnp.full(1, rows, jnp.int32))

    def loss(params: Params, drawn: Batch) -> jax.Array:
        policy, value, known, _ = _errors(network, params, drawn)
        return policy.mean() + value.sum() / jnp.maximum(known.sum(), 1)

    @jax.jit
    def learn(params: Params, moments: optax.OptState, step: jax.Array, replay: Replay) -> tuple[Params, Any]:
        drawn = draw(replay, game, jnp.int32(rows), batch, jax.random.fold_in(key, step))
        steps, moments = optimizer.update(jax.grad(loss)(params, drawn), moments, params)
        return optax.apply_updates(params, steps), moments

    return lambda params, moments, step: learn(params, moments, jnp.int32(step), replay)


def _judge(network: Network, batches: Sequence[Batch]) -> Callable[[Params], tuple[float, float]]:
    """Params -> loss and accuracy over all of the batches."""
    errors = jax.jit(functools.partial(_errors, network))

    def judge(params: Params) -> tuple[float, float]:
        parts = [jax.device_get(errors(params, batch)) for batch in batches]
        policy, value, known, hits = (np.concatenate(part) for part in zip(*parts, strict=True))
        return float(policy.mean() + value.sum() / max(known.sum(), 1)), float(hits.mean())

    return judge


def _errors(network: Network, params: Params, batch: Batch) -> tuple[jax.Array, ...]:
    """Of each position: cross-entropy, squared error of the value (0 where not known), known, first move made."""
    logits, value = network.apply(params, batch.observation)
    logits = jnp.where(batch.legal, logits, jnp.finfo(jnp.float32).min)
    cross_entropy = -jnp.where(batch.policy > 0, batch.policy * jax.nn.log_softmax(logits), 0.0).sum(-1)
    known = ~jnp.isnan(batch.value)
    error = jnp.square(value - jnp.where(known, batch.value, value))
    return cross_entropy, error, known, logits.argmax(-1) == batch.policy.argmax(-1)


def _batches(game: Game, shown: Demonstrations, rows: np.ndarray) -> Iterator[Batch]:
    """Some of the positions, ROWS_AT_ONCE at a time, each with all its weight on the move made."""
    observe = jax.jit(jax.vmap(game.observe))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        states: State = jax.tree.map(lambda leaf, part=part: leaf[part], shown.states)
        policy = jax.nn.one_hot(shown.actions[part], game.num_actions)
        yield Batch(observe(states), jnp.asarray(states.legal), policy, jnp.asarray(shown.outcome[part]))


def _store(game: Game, shown: Demonstrations, rows: np.ndarray) -> Sample:
    """Some of the positions, as `draw` takes them."""
    bits = jax.jit(jax.vmap(functools.partial(pack, game)))
    parts = [
        Sample(bits(batch.observation, batch.legal), *stored_policy(batch.policy, 1), batch.value)
        for batch in _batches(game, shown, rows)
    ]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def _reader(game: Game, path: Path) -> Callable[[str], Iterator[Record]]:
    """What reads this file: text -> records."""
    form = path.suffix.lower()
    if form in FORMATS and game.name not in FORMATS[form]:
        raise ValueError(f"{path}: {form} is read for {' and '.join(FORMATS[form])}; {game.name} takes plain move text")
    if form == ".sgf":
        return functools.partial(_sgf, game.observation_shape[0])
    return _pgn if form == ".pgn" else functools.partial(_plain, game.notation.separator)


def _plain(separator: str, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if written := line.partition("#")[0].strip():
            moves = list(written) if separator == "" else written.split()
            yield Record(number, moves, [number] * len(moves))


def _sgf(size: int, text: str) -> Iterator[Record]:
    """The games of a collection, without their variations."""
    line = 1
    trees: list[list[bool]] = []  # of each open tree: lies on the main line, has had a branch
    for token in SGF_TOKEN.finditer(text):
        what, name, value = token.group(), token["name"], token["value"]
        if what == "(":
            if not trees:
                start, problem, found = line, "", list[tuple[int, str, list[str]]]()
            trees.append([not trees or (trees[-1][0] and not trees[-1][1]), False])
            if len(trees) > 1:
                trees[-2][1] = True
        elif what == ")" and trees:
            trees.pop()
            if not trees:
                yield Record(start, problem=problem) if problem else _sgf_record(size, start, found)
        elif trees and trees[-1][0]:
            if name:
                found.append((line, "".join(filter(str.isupper, name)), []))  # FF[3] wrote Black for B
            elif value is not None and found:
                found[-1][2].append(value)
            elif what != ";" and not what.isspace():
                problem = problem or f"{what!r} is not SGF (line {line})"
        line += what.count("\n")
    if trees:
        yield Record(start, problem="the file ends before the closing bracket of this game")


def _sgf_record(size: int, start: int, found: Sequence[tuple[int, str, list[str]]]) -> Record:
    """A record from its properties: line, name, values."""
    once = {name: values[0].strip() for _, name, values in reversed(found) if values}
    moves: list[str] = []
    lines: list[int] = []
    board = once.get("SZ", "19")
    if once.get("GM", "1") != "1":
        return Record(start, problem=f"GM[{once['GM']}] is not Go, which is GM[1]")
    if board not in (str(size), f"{size}:{size}"):
        return Record(start, problem=f"the board has size {board}{'' if 'SZ' in once else ' (no SZ)'}, not {size}")
    names = [name for _, name, _ in found]
    for line, name, values in found:
        if name in ("AB", "AW", "AE"):
            return Record(line, problem=f"setup stones ({name}) are not read; a game begins on an empty board")
        if name in SGF_ONCE and names.count(name) > 1:
            return Record(start, problem=f"{name} is there twice: a closing bracket may be missing")
        if name in ("B", "W"):
            if name != "BW"[len(moves) % 2]:
                return Record(line, problem=f"move {len(moves) + 1}: {name} moves out of turn")
            moves.append(_sgf_point(size, values[0].strip() if values else ""))
            lines.append(line)
    if not moves:
        return Record(start, problem="there are no moves")
    result = once.get("RE", "").upper()
    told = {"B+": 1.0, "W+": -1.0}.get(result[:2], 0.0 if result in ("0", "DRAW") else np.nan)
    return Record(start, moves, lines, told)


def _sgf_point(size: int, point: str) -> str:
    """ "dd" as Go's notation has it; what is no point stays, in its brackets, to be refused there."""
    if point in ("", "tt"):  # FF[3] passes by tt
        return "pass"
    places = [ord(letter) - ord("a") for letter in point]
    fits = len(places) == 2 and all(0 <= place < size for place in places)
    return f"{GO_LETTERS[places[0]]}{size - places[1]}" if fits else f"[{point}]"


def _pgn(text: str) -> Iterator[Record]:
    """The games of a PGN file, without their variations."""
    try:
        import chess.pgn
    except ImportError:
        raise ValueError("reading PGN needs the extra: pip install 'azero[pgn]'") from None

    class Builder(chess.pgn.GameBuilder[chess.pgn.Game]):
        def handle_error(self, error: Exception) -> None:
            self.game.errors.append(error)  # the parser's own way also writes to its log

    handle = io.StringIO(text)
    line, counted = 1, 0
    while True:
        place = handle.tell()
        while text[place : place + 1].isspace():
            place += 1
        line, counted = line + text.count("\n", counted, place), place
        if (record := chess.pgn.read_game(handle, Visitor=Builder)) is None:
            return
        moves = [move.uci() for move in record.mainline_moves()]
        problem = "" if moves else "there are no moves"
        variant, start = record.headers.get("Variant", "chess"), record.headers.get("FEN", chess.STARTING_FEN)
        if variant.lower() not in ("chess", "standard") or start != chess.STARTING_FEN:
            problem = "it does not begin at the start position of chess"
        elif record.errors:
            problem = f"move {len(moves) + 1}: {record.errors[0]}"
        yield Record(
            line, moves, [line] * len(moves), PGN_RESULTS.get(record.headers.get("Result", ""), np.nan), problem
        )
