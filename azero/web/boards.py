"""A position as the page draws it: cells, hands and moves, read from the game's own notation.

A cell has the name that the notation gives it, column and row together, so one reading serves every game.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from games.core import Game, State

HELD = re.compile(r"([A-Za-z])(\d+)")
EMPTY = "."


class Look(NamedTuple):
    """How the page shows a game."""

    title: str
    style: str  # discs, marks, stones, othello, hexagons, chess, shogi or plain: a way to draw that the page knows
    sides: tuple[str, str]  # what the players are called, he who moves first before the other
    turns: bool = False  # the board is turned for him who moves second


PLAIN = "plain"
LOOKS = {
    "tic_tac_toe": Look("Tic-tac-toe", "marks", ("X", "O")),
    "connect_four": Look("Connect Four", "discs", ("Red", "Yellow")),
    "connect_four_5x4": Look("Connect Four, 5 by 4", "discs", ("Red", "Yellow")),
    "connect_four_4x4": Look("Connect Four, 4 by 4", "discs", ("Red", "Yellow")),
    "othello": Look("Othello", "othello", ("Black", "White")),
    "hex": Look("Hex", "hexagons", ("Red", "Blue")),
    "go_9x9": Look("Go, 9 by 9", "stones", ("Black", "White")),
    "go_19x19": Look("Go, 19 by 19", "stones", ("Black", "White")),
    "chess": Look("Chess", "chess", ("White", "Black"), turns=True),
    "gardner_chess": Look("Gardner chess", "chess", ("White", "Black"), turns=True),
    "animal_shogi": Look("Animal shogi", "shogi", ("Sente", "Gote"), turns=True),
    "shogi": Look("Shogi", "shogi", ("Sente", "Gote"), turns=True),
}


class Grid(NamedTuple):
    """A board as its text shows it."""

    columns: list[str]  # their names, from the left
    rows: list[str]  # their names, from the top; "" where rows have none
    cells: list[str]  # what stands in each, row by row from the top; EMPTY if nothing does
    hands: list[dict[str, int]] | None  # pieces in hand of player 0 and of player 1, by their letters


def look(name: str) -> Look:
    """How a game is shown; a user's own game as plain text."""
    return LOOKS.get(name, Look(name, PLAIN, ("First", "Second")))


def read_grid(game: Game, state: State) -> Grid:
    """The board of a state, read from the lines that the notation draws."""
    lines = game.notation.board(state).split("\n")
    hands = None
    if lines[-1].startswith("in hand:"):
        held = lines.pop().removeprefix("in hand:").split()
        hands = [{letter.upper(): int(count) for letter, count in HELD.findall(one)} for one in held]
    tokens = [line.split() for line in lines]
    if look(game.name).style == PLAIN:
        return Grid([""] * len(tokens[0]), [""] * len(tokens), [cell for row in tokens for cell in row], hands)
    columns = tokens.pop()
    named = len(tokens[0]) > len(columns)
    rows = [row[0] if named else "" for row in tokens]
    return Grid(columns, rows, [cell for row in tokens for cell in row[named:]], hands)


def squares(grid: Grid) -> dict[str, int]:
    """The cells by their names; none where rows have no names."""
    names = [column + row for row in grid.rows for column in grid.columns]
    return {name: cell for cell, name in enumerate(names)} if all(grid.rows) else {}


def read_move(grid: Grid, text: str) -> dict[str, Any]:
    """Where a move goes, from its text.

    Returns:
      `text`; `to`, the cell it ends in; `from`, where a piece comes from; `drop`, the letter of a piece from the hand;
      `suffix`, what it becomes. Fields that do not apply are left out: a pass has its text alone.
    """
    named = squares(grid)
    if text in named:
        return {"text": text, "to": named[text]}
    if "*" in text and text[2:] in named:
        return {"text": text, "to": named[text[2:]], "drop": text[0]}
    if text[:2] in named and text[2:4] in named:
        move = {"text": text, "from": named[text[:2]], "to": named[text[2:4]]}
        return move | {"suffix": text[4:]} if text[4:] else move
    if not named and text in grid.columns:
        column = grid.columns.index(text)
        empty = [cell for cell in range(column, len(grid.cells), len(grid.columns)) if grid.cells[cell] == EMPTY]
        return {"text": text, "to": empty[-1]} if empty else {"text": text}
    return {"text": text}


def legal_moves(game: Game, state: State) -> dict[int, str]:
    """The text of every legal action; none once the game is over."""
    if bool(state.terminal):
        return {}
    actions = np.flatnonzero(np.asarray(state.legal)).tolist()
    return {action: game.notation.move(state, action) for action in actions}


def describe(game: Game, state: State, before: State | None, moves: list[str], points: float) -> dict[str, Any]:
    """A position for the page, as plain JSON.

    Args:
      before: the state that the last move was made in.
      moves: the moves so far.
      points: rewards so far of player 0.
    """
    grid = read_grid(game, state)
    last: list[int] = []
    if before is not None:
        made = read_move(read_grid(game, before), moves[-1])
        last = [made[name] for name in ("from", "to") if name in made]
    return {
        "game": game.name,
        "moves": moves,
        "to_play": int(state.to_play),
        "over": bool(state.terminal),
        "points": points if bool(state.terminal) else None,
        "columns": grid.columns,
        "rows": grid.rows,
        "cells": grid.cells,
        "hands": grid.hands,
        "last": last,
        "legal": [read_move(grid, text) for text in legal_moves(game, state).values()],
    }
