"""Colours, vertices, scores and analyses as GTP writes them."""

import re

import numpy as np

from azero.answers import GIVEN_UP
from azero.thinking import Playthrough, Thought
from games.notation import KOMI, SWAP_PIECES, jitted

COLOURS = {"b": 0, "black": 0, "w": 1, "white": 1}
GO = ("go_9x9", "go_19x19")
PASSES = (*GO, "othello")  # games in which a side may pass, and in which points are counted
OTHER_NAMES = {SWAP_PIECES: "swap"}  # what boards call a move -> what the game calls it


class BadText(ValueError):
    """What stands after the question mark of a failed command."""


def colour(text: str) -> int:
    """0 for black, who moves first, 1 for white."""
    if text.lower() not in COLOURS:
        raise BadText("invalid color")
    return COLOURS[text.lower()]


def words_of(line: str) -> tuple[str, list[str]]:
    """The number of a line, "" where it has none, and its words; none where it is no command."""
    text = "".join(letter for letter in line.replace("\t", " ") if letter >= " " and letter != "\x7f")
    words = text.partition("#")[0].split()
    number = words.pop(0) if words and words[0].isascii() and words[0].isdigit() else ""
    return number, words


def own_pass(played: Playthrough) -> int | None:
    """The action that passes here, if there is one."""
    try:
        return played.game.notation.action(played.state, "pass")
    except ValueError:
        return None


def legal_vertex(played: Playthrough, text: str) -> int:
    """The action of a move's text. On connect boards a vertex stands for its column.

    Raises:
      BadText: it is illegal, in Go for repeating a board too, or no move at all.
    """
    plain = text.lower()
    texts = [text, plain, OTHER_NAMES.get(plain, plain)]
    if played.game.name.startswith("connect_") and re.fullmatch(r"[a-z]\d+", plain):
        texts.append(str(ord(plain[0]) - ord("a") + 1))
    for each in texts:
        try:
            action = played.game.notation.action(played.state, each)
        except ValueError:
            continue
        if not _forbidden(played, action):
            return action
    raise BadText("illegal move")


def chosen(played: Playthrough, thought: Thought) -> int:
    """The player's move; in Go the next best where that would repeat the board."""
    action = int(thought.answer.action[0])
    if action == GIVEN_UP or not _forbidden(played, action):
        return action
    order = (-thought.answer.policy[0]).argsort().tolist()
    legal = (each for each in order if bool(played.state.legal[each]))
    return next(each for each in legal if not _forbidden(played, each))


def _forbidden(played: Playthrough, action: int) -> bool:
    """Whether a move of Go repeats a board: our rules let it be made and lost, those of others forbid it."""
    game = played.game
    last = len(played.actions) + 1 >= game.max_plies  # which ends the game by itself
    if game.name not in GO or last or action == own_pass(played):
        return False
    after = jitted(game.step)(played.state, np.int32(action), played.key)
    return bool(after.terminal) and float(after.reward) < 0


def vertex_text(played: Playthrough, action: int) -> str:
    """A legal move: vertices in upper case, other moves as the game writes them."""
    text = played.game.notation.move(played.state, action)
    return _boards_text(text)


def _boards_text(text: str) -> str:
    if re.fullmatch(r"[a-z]\d+", text):
        return text.upper()
    return {own: other for other, own in OTHER_NAMES.items()}.get(text, text)


def result(played: Playthrough, komi: float) -> str:
    """The score, B+3.5, W+12 or 0: Go by area, all stones taken as alive; Othello by discs; others B+1 or W+1.

    Args:
      komi: of Go, what White is given.

    Raises:
      BadText: the game is not over, and is not one in which points are counted.
    """
    name = played.game.name
    if name not in PASSES and not played.over:
        raise BadText("cannot score: the game is not over")
    points = _points(played)
    if played.over and np.sign(played.points(0)) != np.sign(points):  # not decided by counting
        points = played.points(0)
    elif name in GO:
        points += KOMI - komi
    return "0" if points == 0 else f"{'B' if points > 0 else 'W'}+{abs(points):g}"


def _points(played: Playthrough) -> float:
    """Black's points less White's by the game's own rules, where it counts any."""
    lines = played.game.notation.board(played.state).splitlines()
    if played.game.name == "othello":
        discs = "".join("".join(line.split()[1:]) for line in lines[:-1])
        return discs.count("x") - discs.count("o")
    if played.game.name in GO:
        return area([line.split()[1:] for line in lines[:-1]]) - KOMI
    return played.points(0) if played.over else 0.0


def area(board: list[list[str]]) -> int:
    """Stones and the empty regions that touch one colour only: those of x less those of o."""
    height, width = len(board), len(board[0])
    balance = sum(row.count("x") - row.count("o") for row in board)
    seen: set[tuple[int, int]] = set()
    for start in ((row, column) for row in range(height) for column in range(width)):
        if start in seen or board[start[0]][start[1]] != ".":
            continue
        region, touches, ahead = 0, set(), [start]
        seen.add(start)
        while ahead:
            row, column = ahead.pop()
            region += 1
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if not (0 <= near[0] < height and 0 <= near[1] < width):
                    continue
                stone = board[near[0]][near[1]]
                if stone != ".":
                    touches.add(stone)
                elif near not in seen:
                    seen.add(near)
                    ahead.append(near)
        balance += region * (int("x" in touches) - int("o" in touches))
    return balance


def seconds_of(words: list[str], usual: float) -> float:
    """The interval that an analysis is asked for, in centiseconds: a number by itself, or after `interval`."""
    for before, word in zip(["interval", *words], words, strict=False):
        if before == "interval" and word.isascii() and word.isdigit():
            return min(int(word[:6]), 100_000) / 100
    return usual


def info(played: Playthrough, thought: Thought, dialect: str) -> str:
    """What is thought of the position, in one line: Leela Zero's (`lz`) or KataGo's (`kata`).

    Chances to win are those of the side to move; of 10,000 in lz, of 1 in kata.
    """
    scale = 10000 if dialect == "lz" else 1

    def number(share: float) -> str:
        return f"{share * scale:.0f}" if dialect == "lz" else f"{share:.4f}"

    answer = thought.answer
    action, visits = int(answer.action[0]), answer.visits
    if action == GIVEN_UP:
        return "info"
    if thought.q is None or thought.prior is None or visits is None or not thought.lines:
        value = 0.0 if answer.value is None else float(answer.value[0])
        rows = [(action, 0, value, float(answer.policy[0, action]), [action])]
    else:
        q, priors, counts = thought.q, thought.prior, visits[0]
        order = sorted(thought.lines, key=lambda each: (each != action, -int(counts[each])))
        rows = [(each, int(counts[each]), float(q[each]), float(priors[each]), thought.lines[each]) for each in order]
    parts = []
    for place, (move, count, value, prior, line) in enumerate(rows):
        chance = number(min(max((value + 1) / 2, 0.0), 1.0))
        score = f"winrate {chance} prior {number(min(prior, 1.0))} lcb {chance}"
        moves = " ".join(line_texts(played, line))
        parts.append(f"info move {vertex_text(played, move)} visits {count} {score} order {place} pv {moves}")
    return " ".join(parts)


def line_texts(played: Playthrough, line: list[int]) -> list[str]:
    """The moves of a line from the position on, as GTP writes them."""
    return [_boards_text(text) for text in played.line(line)]
