"""Game records in the formats that players of each game use: read, and written.

SGF (FF[4], red-bean.com/sgf; of variations the first) for Go, Othello and Hex; PGN for chess; for every game plain move
text: one game a line, a # begins a comment. The name of a file says which: .sgf, .pgn, anything else is plain.
"""

import functools
import io
import re
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from azero.manifest import write_text
from games.core import Game
from games.notation import GO_LETTERS, KOMI, SWAP_PIECES, grid_square

SGF_NUMBERS = {"go_9x9": 1, "go_19x19": 1, "othello": 2, "hex": 11}  # GM of the games that SGF is read for
SGF_NAMES = {1: "Go", 2: "Othello", 11: "Hex"}
FORMATS = {".sgf": tuple(SGF_NUMBERS), ".pgn": ("chess",)}  # and the games that they are for
SGF_TOKEN = re.compile(r"[();]|(?P<name>[A-Za-z]+)|\[(?P<value>(?:\\.|[^\]\\])*)\]|\s+|.", re.S)
SGF_ONCE = ("FF", "GM", "SZ")  # properties of a game's first node
PGN_RESULTS = {"1-0": 1.0, "0-1": -1.0, "1/2-1/2": 0.0}
NO_CHESS = "needs the extra: pip install 'azero[pgn]'"


class Written(NamedTuple):
    """One game to be written."""

    players: tuple[str, str]  # names of player 0 and player 1
    moves: Sequence[str]  # in the game's notation
    result: float  # for player 0: above 0 won, below 0 lost, 0 drawn
    comment: str = ""


class Record(NamedTuple):
    """One game as a file tells it."""

    line: int  # where it begins, or where its problem is
    moves: Sequence[str] = ()  # in the game's notation
    lines: Sequence[int] = ()  # of each move
    result: float = np.nan  # for player 0, where the record says it
    problem: str = ""  # why it cannot be read


def read_records(game: Game, path: Path) -> list[Record]:
    """The records of a file, those with a problem among them.

    Raises:
      ValueError: one line: the file cannot be opened, or its format does not fit the game or needs an extra.
    """
    records = _reader(game, path)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    return list(records(text))


def record_format(game: Game) -> str:
    """How the players of a game keep records: ".sgf", ".pgn" (if its parser is installed) or ".txt"."""
    form = next((form for form, names in FORMATS.items() if game.name in names), ".txt")
    return ".txt" if form == ".pgn" and _chess() is None else form


def write_records(game: Game, path: Path, written: Sequence[Written]) -> None:
    """Writes games into a file of the format that its name says."""
    form = path.suffix.lower()
    if form == ".sgf":
        lines = [_sgf_text(game, one) for one in written]
    elif form == ".pgn":
        lines = [_pgn_text(one) for one in written]
    else:
        lines = [_plain_text(game.notation.separator, one) for one in written]
    write_text(path, "".join(lines))


def _reader(game: Game, path: Path) -> Callable[[str], Iterator[Record]]:
    """What reads this file: text -> records."""
    form = path.suffix.lower()
    if form in FORMATS and game.name not in FORMATS[form]:
        raise ValueError(f"{path}: {form} is read for {', '.join(FORMATS[form])}; {game.name} takes plain move text")
    if form == ".sgf":
        return functools.partial(_sgf, game)
    return _pgn if form == ".pgn" else functools.partial(_plain, game.notation.separator)


def _plain(separator: str, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if written := line.partition("#")[0].strip():
            moves = list(written) if separator == "" else written.split()
            yield Record(number, moves, [number] * len(moves))


def _sgf(game: Game, text: str) -> Iterator[Record]:
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
                yield Record(start, problem=problem) if problem else _sgf_record(game, start, found)
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


def _sgf_record(game: Game, start: int, found: Sequence[tuple[int, str, list[str]]]) -> Record:
    """A record from its properties: line, name, values."""
    once = {name: values[0].strip() for _, name, values in reversed(found) if values}
    size, number = game.observation_shape[0], SGF_NUMBERS[game.name]
    moves: list[str] = []
    lines: list[int] = []
    usual = {1: 19, 2: 8, 11: 11}[number]
    board = once.get("SZ", str(usual))
    if (kind := once.get("GM", "1" if number == 1 else "")) != str(number):
        said = f"GM[{kind}]" if kind else "no GM"
        return Record(start, problem=f"{said} is not {SGF_NAMES[number]}, which is GM[{number}]")
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
                if number != 2:
                    return Record(line, problem=f"move {len(moves) + 1}: {name} moves out of turn")
                moves.append("pass")  # which records of Othello may leave out
                lines.append(line)
            moves.append(_from_sgf(number, size, values[0].strip() if values else ""))
            lines.append(line)
    if not moves:
        return Record(start, problem="there are no moves")
    result = once.get("RE", "").upper()
    told = {"B+": 1.0, "W+": -1.0}.get(result[:2], 0.0 if result in ("0", "DRAW") else np.nan)
    return Record(start, moves, lines, told)


@functools.cache
def _squares(number: int, size: int) -> tuple[Callable[[str], int], Callable[[int], str]]:
    """Of a game by its number in SGF: name of a cell -> cell, counted from the top left, and back."""
    name, cell = grid_square(size, size, number == 1, GO_LETTERS if number == 1 else string.ascii_lowercase)
    return cell, name


def _from_sgf(number: int, size: int, point: str) -> str:
    """A move as the game's notation has it; what is no point stays, in its brackets, to be refused there."""
    if number == 11:
        return {SWAP_PIECES: "swap"}.get(point.lower(), point)
    if point in ("", "tt"):  # FF[3] passes by tt
        return "pass"
    places = [ord(letter) - ord("a") for letter in point]
    fits = len(places) == 2 and all(0 <= place < size for place in places)
    return _squares(number, size)[1](places[1] * size + places[0]) if fits else f"[{point}]"


def _to_sgf(number: int, size: int, move: str) -> str:
    """The inverse of `_from_sgf`."""
    if number == 11:
        return {"swap": SWAP_PIECES}.get(move, move)
    if move == "pass":
        return ""
    row, column = divmod(_squares(number, size)[0](move), size)
    return string.ascii_lowercase[column] + string.ascii_lowercase[row]


def _sgf_text(game: Game, written: Written) -> str:
    number, size = SGF_NUMBERS[game.name], game.observation_shape[0]
    black, white, comment = (re.sub(r"([\]\\])", r"\\\1", text) for text in (*written.players, written.comment))
    result = "0" if written.result == 0 else "B+" if written.result > 0 else "W+"
    komi = f"KM[{KOMI}]RU[Chinese]" if number == 1 else ""
    head = f"(;FF[4]GM[{number}]CA[UTF-8]AP[azero]SZ[{size}]{komi}PB[{black}]PW[{white}]RE[{result}]"
    moves = [f";{'BW'[ply % 2]}[{_to_sgf(number, size, move)}]" for ply, move in enumerate(written.moves)]
    lines = ["".join(moves[start : start + 12]) for start in range(0, len(moves), 12)]
    return "\n".join([head + (f"C[{comment}]" if comment else ""), *lines]) + ")\n"


def _pgn(text: str) -> Iterator[Record]:
    """The games of a PGN file, without their variations."""
    if (chess := _chess()) is None:
        raise ValueError(f"reading PGN {NO_CHESS}")

    class Builder(chess.pgn.GameBuilder):  # type: ignore[name-defined]  # chess is an extra
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


def _pgn_text(written: Written) -> str:
    if (chess := _chess()) is None:
        raise ValueError(f"writing PGN {NO_CHESS}")
    game = chess.pgn.Game()
    result = next(text for text, points in PGN_RESULTS.items() if points == np.sign(written.result))
    game.headers.update(White=written.players[0], Black=written.players[1], Result=result)
    node = game
    for move in written.moves:
        node = node.add_variation(chess.Move.from_uci(move))
    node.comment = written.comment
    return f"{game}\n\n"


def _plain_text(separator: str, written: Written) -> str:
    result = "a draw" if written.result == 0 else f"{written.players[written.result < 0]} won"
    comment = f"{written.players[0]} - {written.players[1]}: {result}" + (
        f"; {written.comment}" if written.comment else ""
    )
    return f"{separator.join(written.moves)}  # {' '.join(comment.split())}\n"


def _chess() -> Any:
    """The chess library with its parser; None where it is not installed."""
    try:
        import chess.pgn
    except ImportError:
        return None
    return chess
