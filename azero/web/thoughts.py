"""What a search found in a position, as the page shows it: every move's prior, visits and value, and the line of play
that is expected."""

from typing import Any

import jax
import numpy as np

from azero.answers import GIVEN_UP, one_state
from azero.search.tree import Tree, whole
from azero.web.boards import legal_moves
from azero.web.desk import Found
from azero.web.lines import Line
from games.core import ILLEGAL

LONGEST_LINE = 12  # moves of the line that is expected


def describe(line: Line, found: Found) -> dict[str, Any]:
    """A thought for the page, as plain JSON.

    Returns:
      `move`, the one chosen; `value`, for the player to move, and `value_first`, for him who moved first, None without
      an opinion; `line`, the moves expected, the chosen one first; `moves`, all legal ones, the best first, each with
      `text`, `policy`, and where there was a search `visits`, `q` for the player to move (None without a visit) and
      `prior`.
    """
    texts = legal_moves(line.game, line.state)
    answer, chosen = found.answer, int(found.answer.action[0])
    value = None if answer.value is None else round(float(answer.value[0]), 4)
    first = value if value is None or int(line.state.to_play) == 0 else -value
    moves: list[dict[str, Any]] = [
        {"text": text, "policy": round(float(answer.policy[0, action]), 4)} for action, text in texts.items()
    ]
    if answer.visits is not None:
        for move, action in zip(moves, texts, strict=True):
            move["visits"] = int(answer.visits[0, action])
    if found.tree is not None:
        priors, q = _root(found.tree)
        for move, action in zip(moves, texts, strict=True):
            move["prior"] = round(float(priors[action]), 4)
            move["q"] = round(float(q[action]), 4) if move.get("visits") else None
    best = None if chosen == GIVEN_UP else texts[chosen]
    return {
        "move": best,
        "value": value,
        "value_first": first,
        "line": [] if best is None else expected_line(line, found.tree, chosen),
        "moves": sorted(moves, key=lambda one: (-int(one["text"] == best), -one.get("visits", 0), -one["policy"])),
    }


def exact(line: Line) -> dict[str, Any]:
    """The true value of each move for the player to move, and plies to the end under best play; {} if unknown."""
    oracle = line.game.oracle() if line.game.oracle else None
    if oracle is None or oracle.q is None:
        return {}
    q, plies = oracle.q(jax.tree.map(lambda leaf: np.asarray(leaf)[None], line.state))
    texts = legal_moves(line.game, line.state)
    return {
        text: {"value": int(q[0, action]), "plies": int(plies[0, action])}
        for action, text in texts.items()
        if q[0, action] != ILLEGAL
    }


def expected_line(line: Line, tree: Tree | None, chosen: int) -> list[str]:
    """The chosen move, and after it the most visited ones."""
    notation = line.game.notation
    texts = [notation.move(line.state, chosen)]
    if tree is None:
        return texts
    node = _child(tree, 0, chosen)
    while node is not None and len(texts) < LONGEST_LINE:
        if tree.chance is not None and tree.chance.here[node]:
            break
        visits = tree.node.edges.visits[node, : tree.node.tried[node]]
        state = whole(one_state(tree.state, node), tree.untried[node])
        if not visits.any() or bool(state.terminal):
            break
        action = int(tree.action[node, visits.argmax()])
        texts.append(notation.move(state, action))
        node = _child(tree, node, action)
    return texts


def _root(tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """Prior and q of every action, float32 [A] each, of a tree of one game."""
    tried = int(tree.node.tried[0])
    actions = tree.action[0, :tried].astype(int)
    priors = np.maximum(np.asarray(tree.untried[0]), 0)
    priors[actions] = tree.node.edges.prior[0, :tried]
    q = np.zeros(len(priors), np.float32)
    q[actions] = tree.node.edges.q[0, :tried]
    return priors, q


def _child(tree: Tree, node: int, action: int) -> int | None:
    """The node that a move leads to, None if it was not tried."""
    edges = np.flatnonzero(tree.action[node, : tree.node.tried[node]] == action)
    return int(tree.child[node, edges[0]]) if len(edges) else None
