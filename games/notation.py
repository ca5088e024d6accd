"""Moves and positions as text, as each game's players write them (d4, 4453, e2e4).

Here: what several games share, and the games in which a move is a cell. Files beside this one hold the families
in which a move goes from square to square.
"""

import functools
import string
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from games.core import Game, Notation, State

GO_LETTERS = string.ascii_lowercase.replace("i", "")  # the letter i is left out on Go boards
KOMI = 7.5  # what the rules of Go here give White
SWAP_PIECES = "swap-pieces"  # what records and protocols of Hex call the swap
SYMBOLS = ".xo"  # an empty cell, a stone of player 0, a stone of player 1 (which is number -1)

jitted = functools.cache(jax.jit)


def grid_square(
    height: int, width: int, rows_from_top: bool, letters: str = string.ascii_lowercase
) -> tuple[Callable[[int], str], Callable[[str], int]]:
    """Names of the cells of a board: a letter for the column, a number for the row, counted from 1.

    Args:
      height, width: of the board; the width is at most the number of letters.
      rows_from_top: whether the row of cell 0 has the highest number (boards drawn with row 1 at the bottom)
        or the lowest (boards drawn with row 1 at the top).
      letters: the names of the columns.

    Returns:
      cell -> name, and name -> cell, which raises ValueError on anything else. Upper case is read too.
    """

    def name(cell: int) -> str:
        row, column = divmod(cell, width)
        return f"{letters[column]}{height - row if rows_from_top else row + 1}"

    names = {name(cell): cell for cell in range(height * width)}

    def number(text: str) -> int:
        if text.lower() not in names:
            raise ValueError(f"{text!r} is not a square; squares are a1 to {letters[width - 1]}{height}")
        return names[text.lower()]

    return name, number


def play_text(game: Game, text: str) -> State:
    """The position after the moves of `text`, from the start; see `play_moves`."""
    return play_moves(game, text)[0][-1]


def play_moves(game: Game, text: str) -> tuple[list[State], list[int]]:
    """The moves of `text`, from the start.

    Args:
      game: its step is compiled once and then reused.
      text: moves as the game's notation writes them, with its separator between them. Chances are the same for all
        texts.

    Returns:
      The positions, the first and last among them, and the actions between them.

    Raises:
      ValueError: a move cannot be read, is illegal, or comes after the end of the game.
    """
    separator = game.notation.separator
    moves = list(text) if separator == "" else text.split()
    key = jax.random.key(0)
    states = [jitted(game.init)(key)]
    actions: list[int] = []
    for number, move in enumerate(moves, start=1):
        actions.append(read_move(game, states[-1], number, move))
        states.append(jitted(game.step)(states[-1], jnp.int32(actions[-1]), jax.random.fold_in(key, number)))
    return states, actions


def read_move(game: Game, state: State, number: int, text: str) -> int:
    """The action of a move that is the `number`-th of a game.

    Raises:
      ValueError: it cannot be read, is illegal, or comes after the end of the game; its number is named.
    """
    if bool(state.terminal):
        raise ValueError(f"move {number} ({text}) comes after the end of the game")
    try:
        return game.notation.action(state, text)
    except ValueError as error:
        raise ValueError(f"move {number}: {error}") from None


def action_by_text(move: Callable[[State, int], str], example: str) -> Callable[[State, str], int]:
    """The inverse of `move`, found among the legal moves of the state.

    Args:
      move: state, legal action -> its text.
      example: what a move looks like, for the error.
    """

    def action(state: State, text: str) -> int:
        for candidate in np.flatnonzero(np.asarray(state.legal)):
            if move(state, int(candidate)) == text:
                return int(candidate)
        raise ValueError(f"{text!r} is not a legal move here; moves look like {example}")

    return action


def drawn(rows: Iterable[Sequence[str]], row_names: Sequence[str], column_names: Sequence[str]) -> str:
    """A board as lines of text: the rows from the top, each after its name, and the columns' names below."""
    margin = max(len(name) for name in row_names)
    lines = [f"{name:>{margin}} {' '.join(row)}" for name, row in zip(row_names, rows, strict=True)]
    return "\n".join([*lines, f"{'':{margin}} {' '.join(column_names)}"])


def othello_notation() -> Notation:
    """Squares are a1 (top left) to h8; "pass" where a player has no move. x moves first."""
    return _cells_notation(8, 8, False, {64: "pass"}, _mover_first)


def hex_notation(size: int) -> Notation:
    """Cells are a1 (top left) to k11; "swap" takes over the first stone, mirrored. x joins top and bottom."""
    plain = _cells_notation(size, size, False, {size * size: "swap"}, _mover_first)

    def board(state: State) -> str:
        lines = plain.board(state).split("\n")
        return "\n".join(" " * row + line for row, line in enumerate(lines))

    return plain._replace(board=board)


def go_notation(size: int) -> Notation:
    """Points are a1 (bottom left) to j9 or t19, without the letter i, as in GTP; "pass". Black is x."""

    def stones(state: State) -> np.ndarray:
        return np.sign(np.asarray(state.board.env._x.board))

    return _cells_notation(size, size, True, {size * size: "pass"}, stones, GO_LETTERS)


def word_notation(words: Sequence[str], board: Callable[[State], str], illegal: str = "{} is not legal") -> Notation:
    """A move is a word.

    Args:
      illegal: what is said of one that is not legal, {} standing for it.
    """

    def move(state: State, action: int) -> str:
        return words[action]

    def action(state: State, text: str) -> int:
        word = text.lower()
        if word not in words:
            raise ValueError(f"{text!r} is not a move; moves are {', '.join(words)}")
        if not bool(state.legal[words.index(word)]):
            raise ValueError(illegal.format(word))
        return words.index(word)

    return Notation(move, action, " ", board)


def numbered_notation(observe: Callable[[State], jax.Array]) -> Notation:
    """For a game that azero does not know: a move is its number, a board the first plane set in each cell."""

    def move(state: State, action: int) -> str:
        return str(action)

    def board(state: State) -> str:
        planes = np.asarray(jitted(observe)(state)) != 0
        first = np.where(planes.any(-1), planes.argmax(-1), -1)
        return "\n".join(" ".join("." if plane < 0 else str(plane) for plane in row) for row in first)

    return Notation(move, action_by_text(move, "0"), " ", board)


def _mover_first(state: State) -> np.ndarray:
    """Stones int [H * W], 1 of player 0 and -1 of player 1, where the env counts the mover's as positive."""
    return np.sign(np.asarray(state.board.env._x.board)) * (1 - 2 * int(state.to_play))


def _cells_notation(
    height: int,
    width: int,
    rows_from_top: bool,
    others: Mapping[int, str],
    stones: Callable[[State], np.ndarray],
    letters: str = string.ascii_lowercase,
) -> Notation:
    """Notation of a game in which action i is cell i, but for `others`.

    Args:
      height, width, rows_from_top, letters: as in `grid_square`.
      others: the names of the other actions.
      stones: state -> int [H * W], 1 for a stone of player 0, -1 for one of player 1.
    """
    name, number = grid_square(height, width, rows_from_top, letters)
    numbers = {text: action for action, text in others.items()}
    row_names = [name(row * width)[1:] for row in range(height)]

    def move(state: State, action: int) -> str:
        return others[action] if action in others else name(action)

    def action(state: State, text: str) -> int:
        found = numbers[text.lower()] if text.lower() in numbers else number(text)
        if not bool(state.legal[found]):
            raise ValueError(f"{text} is not a legal move here")
        return found

    def board(state: State) -> str:
        symbols = [SYMBOLS[stone] for stone in stones(state)]
        rows = [symbols[row * width : (row + 1) * width] for row in range(height)]
        return drawn(rows, row_names, letters[:width])

    return Notation(move, action, " ", board)
