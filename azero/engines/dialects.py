"""How engines write the moves of each game, and what they must be told of its rules.

An engine's move is read by looking for it among the legal moves as the engine would write them, so a dialect only
writes.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from games.core import Game, State
from games.notation import KOMI, SWAP_PIECES

Moves = list[str | None]  # of a game from its start, as an engine writes them; None is one that it is not told of


class Dialect(NamedTuple):
    """A game in an engine's words."""

    setup: tuple[str, ...]  # GTP: commands before the first game. UCI: the variant's name, none for chess
    write: Callable[[State, int], str | None]  # state, legal action -> its text; None: an engine is not told of it

    def read(self, state: State, text: str) -> int | None:
        """The legal action that this text means; None where it means none."""
        legal = np.flatnonzero(np.asarray(state.legal)).tolist()
        actions = {self.write(state, action): action for action in legal}
        # A chick that reaches the last rank must promote here and may in Fairy-Stockfish, to whom it is the worse.
        return actions.get(text, actions.get(f"{text}+"))

    def forced(self, state: State) -> int | None:
        """The only legal move, where engines are not told of it."""
        (legal,) = np.nonzero(np.asarray(state.legal))
        return int(legal[0]) if len(legal) == 1 and self.write(state, int(legal[0])) is None else None


def find_dialect(kind: str, game: Game) -> Dialect | None:
    """The words for a game of engines of a kind, gtp or uci; None where it is not played by that protocol."""
    make = DIALECTS[kind].get(game.name)
    return make(game) if make else None


def _go(size: int) -> Callable[[Game], Dialect]:
    return lambda game: Dialect((f"boardsize {size}", f"komi {KOMI}"), game.notation.move)


def _othello(game: Game) -> Dialect:
    """A pass is never told: an Othello engine sees by itself that there is no move."""
    return Dialect(("boardsize 8",), _but(game, "pass", None))


def _hex(game: Game) -> Dialect:
    return Dialect(("boardsize 11",), _but(game, "swap", SWAP_PIECES))


def _but(game: Game, special: str, instead: str | None) -> Callable[[State, int], str | None]:
    """The game's own notation, but for one move."""

    def write(state: State, action: int) -> str | None:
        text = game.notation.move(state, action)
        return instead if text == special else text

    return write


def _chess(variant: str) -> Callable[[Game], Dialect]:
    return lambda game: Dialect((variant,), game.notation.move)


def _shogi(variant: str, width: int, height: int) -> Callable[[Game], Dialect]:
    """USI's squares as UCI names them: files a, b, c from the left, ranks 1, 2, 3 from the bottom; P*5e is P@e5."""

    def square(found: re.Match[str]) -> str:
        file, rank = found.groups()
        return f"{chr(ord('a') + width - int(file))}{height - ord(rank) + ord('a')}"

    def make(game: Game) -> Dialect:
        def write(state: State, action: int) -> str:
            return re.sub(r"(\d)([a-i])", square, game.notation.move(state, action).replace("*", "@"))

        return Dialect((variant,), write)

    return make


DIALECTS: Mapping[str, Mapping[str, Callable[[Game], Dialect]]] = {
    "gtp": {"go_9x9": _go(9), "go_19x19": _go(19), "othello": _othello, "hex": _hex},
    "uci": {
        "chess": _chess("chess"),
        "gardner_chess": _chess("gardner"),
        "animal_shogi": _shogi("dobutsu", 3, 4),
        "shogi": _shogi("shogi", 9, 9),
    },
}
