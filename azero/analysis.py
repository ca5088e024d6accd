"""What answers are worth against exact values, and what they say of positions."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from azero.answers import Answer, Answers, BadPosition, RowAnswers, Traced, in_batches, one_state
from azero.score import wilson
from azero.search.tree import ILLEGAL as NO_MOVE
from azero.search.tree import TRIED, Tree, whole
from games.core import ILLEGAL, Game, LabelledPositions, State

BATCH = 1024  # positions in one call


class Graded(NamedTuple):
    """M answers held against exact values."""

    kept: np.ndarray  # bool [M], the move chosen keeps the exact value of the position
    kept_sampled: np.ndarray  # float64 [M], chance that a move drawn from the policy does
    sign: np.ndarray | None  # bool [M], the value has the right sign; None without values
    decided: np.ndarray  # bool [M], the exact value is a win or a loss


def strength(answers: Answers, labelled: LabelledPositions, seed: int = 0, batch: int = BATCH) -> dict[str, Any]:
    """How often answers are right, over all labelled positions and over each of their sets.

    Returns:
      `positions`; `kept_value`, the share in which the move chosen keeps the exact value; `kept_value_sampled`,
      what a move drawn from the policy would be expected to keep; `sign`, the share of right signs of the value
      among the `decided` positions, which one side wins (None if there are no values or no such positions); each
      share with its 95 % Wilson interval under its name and `_interval`; `by_set`, the same of every set.
    """
    graded = grade(ask(answers, labelled.states, seed, batch), labelled.q)
    names = dict.fromkeys(labelled.sets.tolist())
    by_set = {name: _shares(graded, labelled.sets == name) for name in names}
    return _shares(graded, np.ones(len(labelled.sets), bool)) | {"by_set": by_set}


def ask(answers: Answers, states: State, seed: int = 0, batch: int = BATCH) -> Answer:
    """Answers to all states [M], `batch` at a time."""
    return in_batches(answers, min(batch, states.terminal.shape[0]))(states, jax.random.key(seed))


def grade(answer: Answer, q: np.ndarray) -> Graded:
    """Holds answers [M] against exact values of moves, int8 [M, A], ILLEGAL where there is none."""
    best = q.max(axis=1)
    keeps = (q == best[:, None]) & (q != ILLEGAL)
    return Graded(
        kept=keeps[np.arange(len(q)), answer.action],
        kept_sampled=(answer.policy.astype(np.float64) * keeps).sum(axis=1),
        sign=None if answer.value is None else np.sign(answer.value) == best,
        decided=best != 0,
    )


def _shares(graded: Graded, chosen: np.ndarray) -> dict[str, Any]:
    decided = chosen & graded.decided
    shares = {
        "kept_value": graded.kept[chosen],
        "kept_value_sampled": graded.kept_sampled[chosen],
        "sign": graded.sign[decided] if graded.sign is not None else np.zeros(0),
    }
    report: dict[str, Any] = {"positions": int(chosen.sum()), "decided": int(decided.sum())}
    for name, right in shares.items():
        share = float(right.mean()) if len(right) else None
        report[name] = share
        report[f"{name}_interval"] = None if share is None else wilson(min(share, 1.0), len(right))
    return report


def losing_lines(game: Game, answers: Answers, batch: int = BATCH) -> dict[str, Any]:
    """Plays against every line of replies, as first and as second player, by a player that always moves alike.

    Only for small games: every position that the player can meet is looked at, once.

    Returns:
      `unbeatable`, whether no line is lost; `lines`, how many there are, both colours; `losing_lines`, how many of
      them the player loses.
    """
    lines = lost = 0
    for seat in (0, 1):
        count, defeats = _lines(game, in_batches(answers, batch), seat)
        lines, lost = lines + count, lost + defeats
    return {"unbeatable": lost == 0, "lines": lines, "losing_lines": lost}


def _lines(game: Game, answers: RowAnswers, seat: int) -> tuple[int, int]:
    """Lines of play in which the player is number `seat`, and how many of them it loses."""
    key = jax.random.key(0)
    step = jax.jit(jax.vmap(game.step, in_axes=(0, 0, None)))
    states = jax.tree.map(lambda leaf: leaf[None], jax.device_get(game.init(key)))
    ways = np.ones(1, np.int64)  # in which lines of play lead to each state
    lines = lost = 0
    while len(ways):
        rows, actions = np.nonzero(states.legal)
        ours = states.to_play == seat
        if ours.any():
            chosen = np.zeros(len(ways), np.int64)
            mine = np.flatnonzero(ours)
            chosen[mine] = answers(states, key, mine).action
            keep = ~ours[rows] | (actions == chosen[rows])
            rows, actions = rows[keep], actions[keep]
        mover, ways = states.to_play[rows], ways[rows]
        states = _stepped(step, states, rows, actions.astype(np.int32), key)
        points = states.reward * np.where(mover == seat, 1, -1)
        over = states.terminal
        lines += int(ways[over].sum())
        lost += int(ways[over & (points < 0)].sum())
        states, ways = _merged(jax.tree.map(lambda leaf, on=~over: leaf[on], states), ways[~over])
    return lines, lost


def _stepped(step: Callable[..., State], states: State, rows: np.ndarray, actions: np.ndarray, key: jax.Array) -> State:
    """The states after `actions` in `rows`; the number of rows is filled up so that few sizes are compiled."""
    count = len(rows)
    room = (0, (1 << (count - 1).bit_length()) - count)
    chosen = np.pad(rows, room, mode="edge")
    before = jax.tree.map(lambda leaf: leaf[chosen], states)
    after = jax.device_get(step(before, np.pad(actions, room, mode="edge"), key))
    return jax.tree.map(lambda leaf: leaf[:count], after)


def _merged(states: State, ways: np.ndarray) -> tuple[State, np.ndarray]:
    """Each position once, with all the ways that lead to it."""
    if not len(ways):
        return states, ways
    leaves = [np.ascontiguousarray(leaf).reshape(len(ways), -1).view(np.uint8) for leaf in jax.tree.leaves(states)]
    _, first, group = np.unique(np.concatenate(leaves, axis=1), axis=0, return_index=True, return_inverse=True)
    totals = np.zeros(len(first), np.int64)
    np.add.at(totals, group.ravel(), ways)
    return jax.tree.map(lambda leaf: leaf[first], states), totals


def read_positions(game: Game, lines: Iterable[str]) -> tuple[list[str], State]:
    """The positions of a file, one a line; a blank line is the start.

    A position is its moves: on connect boards column digits without a space between (whatever follows a space is
    ignored), in other games the moves as the game's notation writes them, with spaces between.

    Returns:
      Their texts, and states [M] with NumPy leaves.

    Raises:
      ValueError: the first bad line by its number: a move cannot be read or is illegal, or the game is over.
    """
    texts = [_position_text(game, line) for line in lines]
    moves = [list(text) if game.notation.separator == "" else text.split() for text in texts]
    wrong: dict[int, str] = {}
    key = jax.random.key(0)
    start = jax.device_get(jax.jit(game.init)(key))
    states = jax.tree.map(lambda leaf: np.repeat(leaf[None], len(texts), axis=0), start)
    step = jax.jit(jax.vmap(game.step, in_axes=(0, 0, None)))
    for ply in range(max(map(len, moves), default=0)):
        rows, actions = [], []
        for number, line in enumerate(moves):
            if ply < len(line) and number not in wrong:
                try:
                    actions.append(_read_move(game, one_state(states, number), line[ply]))
                    rows.append(number)
                except ValueError as error:
                    wrong[number] = f"move {ply + 1}: {error}"
        if rows:
            after = _stepped(step, states, np.array(rows), np.array(actions, np.int32), key)
            states = jax.tree.map(functools.partial(_put, np.array(rows)), states, after)
    finished = dict.fromkeys(np.flatnonzero(states.terminal).tolist(), "the game is over")
    for number, what in sorted((finished | wrong).items()):
        raise ValueError(f"line {number + 1}: {what}")
    return texts, states


def _position_text(game: Game, line: str) -> str:
    if game.notation.separator == "":
        return "" if line[:1].isspace() else (line.split(maxsplit=1) or [""])[0]
    return " ".join(line.split())


def _read_move(game: Game, state: State, text: str) -> int:
    if state.terminal:
        raise ValueError(f"{text} comes after the end of the game")
    return game.notation.action(state, text)


def _put(rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    before[rows] = after
    return before


def describe(game: Game, texts: list[str], states: State, answer: Answer) -> list[dict[str, Any]]:
    """What was answered to M positions, for JSON: lists over actions, moves in the game's notation."""
    described = []
    for number, text in enumerate(texts):
        state = one_state(states, number)
        described.append(
            {
                "position": text,
                "move": game.notation.move(state, int(answer.action[number])),
                "value": None if answer.value is None else round(float(answer.value[number]), 6),
                "policy": [round(float(share), 6) for share in answer.policy[number]],
                "visits": None if answer.visits is None else answer.visits[number].tolist(),
                "legal": state.legal.tolist(),
            }
        )
    return described


def trace(
    game: Game, traced: Traced, texts: list[str], states: State, depth: int, seed: int = 0, batch: int = BATCH
) -> Iterator[dict[str, Any]]:
    """What `describe` says of M positions, and under `tree` what was searched, down to `depth` moves.

    A node has `visits`; `value`, the network's for the player to move there, None where the game is over or chance
    decides, which `chance` says with the number of outcomes tried, and where the tree shown ends; and, above
    the depth, `moves`, those tried, the most visited first and of equals the better, and `untried`, how many there
    are and the sum of their `prior`. A move is the node that it leads to, with `move`, `prior` and `q`, its value for
    the player who makes it.
    """
    count = len(texts)
    for number, start in enumerate(range(0, count, batch)):
        rows = np.minimum(np.arange(start, start + batch), count - 1)
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], states)
        try:
            answer, tree = traced(part, jax.random.fold_in(jax.random.key(seed), number))
        except BadPosition as bad:
            raise BadPosition(int(rows[bad.row]), bad.what) from None
        for row, described in enumerate(describe(game, texts[start : start + batch], part, answer)):
            root = row * tree.room
            visits = 1 + int(tree.node.edges.visits[root].sum())
            yield described | {"tree": {"visits": visits} | _node(game, tree, root, depth)}


def _node(game: Game, tree: Tree, entry: int, depth: int) -> dict[str, Any]:
    """A node as `trace` shows it, but for what the move to it tells."""
    node = jax.tree.map(lambda leaf: leaf[entry], tree.node)
    if tree.chance is not None and tree.chance.here[entry]:
        return {"value": None, "chance": int(node.tried)}
    state = whole(one_state(tree.state, entry), tree.untried[entry])
    if state.terminal:
        return {"value": None}
    shown: dict[str, Any] = {"value": round(float(node.value), 6)}
    if depth == 0:
        return shown
    prior, visits, q = (leaf[: node.tried] for leaf in node.edges)
    moves = []
    for edge in np.lexsort((-q, -visits)):
        move = {
            "move": game.notation.move(state, int(tree.action[entry, edge])),
            "visits": int(visits[edge]),
            "prior": round(float(prior[edge]), 6),
            "q": round(float(q[edge]), 6),
        }
        child = entry // tree.room * tree.room + int(tree.child[entry, edge])
        moves.append(move | _node(game, tree, child, depth - 1))
    untried = (tree.untried[entry] != NO_MOVE) & (tree.untried[entry] != TRIED)
    return shown | {"moves": moves, "untried": {"moves": int(untried.sum()), "prior": round(float(node.rest), 6)}}


def tree_lines(described: dict[str, Any]) -> Iterator[str]:
    """A tree of `trace` as lines of text; the move that is played has a star."""
    tree = described["tree"]
    yield f"{described['position'] or 'the start'}: plays {described['move']}, expects {described['value']:+.3f}"
    yield "visits  prior       q   value  move"
    yield f"{tree['visits']:6}                 {tree['value']:+.3f}"
    yield from _move_lines(tree, "", described["move"])
    yield ""


def _move_lines(node: dict[str, Any], margin: str, played: str | None = None) -> Iterator[str]:
    for move in node.get("moves", []):
        nothing = "chance" if "chance" in move else "  over"
        value = nothing if move["value"] is None else f"{move['value']:+.3f}"
        star = "*" if move["move"] == played else " "
        numbers = f"{move['visits']:6}  {move['prior']:.3f}  {move['q']:+.3f}  {value}"
        yield f"{numbers}  {margin}{star} {move['move']}"
        yield from _move_lines(move, margin + "    ")
    if node.get("moves") and node["untried"]["moves"]:
        yield f"{'':8}{node['untried']['prior']:.3f}{'':16}  {margin}  {node['untried']['moves']} untried"
