"""Exact values of k in a row with gravity by plain exhaustive search: an independent check of the oracles."""

import numpy as np

from games.connect import Shape
from games.core import DRAW, WIN

Board = tuple[tuple[int, ...], ...]  # columns of stones from the bottom, 0 and 1 for the players


def completes_line(board: Board, shape: Shape, column: int) -> bool:
    """Is the top stone of the column part of a line?"""
    row, player = len(board[column]) - 1, board[column][-1]

    def same(step_right: int, step_up: int) -> int:
        count, c, r = 0, column + step_right, row + step_up
        while 0 <= c < shape.width and 0 <= r < len(board[c]) and board[c][r] == player:
            count, c, r = count + 1, c + step_right, r + step_up
        return count

    return any(1 + same(x, y) + same(-x, -y) >= shape.length for x, y in ((1, 0), (0, 1), (1, 1), (1, -1)))


def plain_moves(board: Board, shape: Shape, seen: dict[Board, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """For each legal column the value for the mover and the plies to the end under best play."""
    stones = sum(map(len, board))
    found = {}
    for column in range(shape.width):
        if len(board[column]) == shape.height:
            continue
        after = (*board[:column], (*board[column], stones % 2), *board[column + 1 :])
        if completes_line(after, shape, column):
            found[column] = (WIN, 1)
        elif stones + 1 == shape.width * shape.height:
            found[column] = (DRAW, 1)
        else:
            if after not in seen:
                seen[after] = max(plain_moves(after, shape, seen).values(), key=preference)
            value, plies = seen[after]
            found[column] = (-value, plies + 1)
    return found


def preference(outcome: tuple[int, int]) -> tuple[int, int]:
    value, plies = outcome
    return value, -value * plies


def plain_boards(shape: Shape, first: np.ndarray, second: np.ndarray) -> list[Board]:
    """Boards from the stones of player 0 and of player 1, uint64 [N] each, in the layout of `games.connect`."""
    boards = []
    for mine, theirs in zip(first.tolist(), second.tolist(), strict=True):
        columns = []
        for column in range(shape.width):
            bits = [1 << shape.bit(column, row) for row in range(shape.height)]
            columns.append(tuple(0 if mine & bit else 1 for bit in bits if (mine | theirs) & bit))
        boards.append(tuple(columns))
    return boards
