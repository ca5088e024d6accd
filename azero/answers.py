"""The ways to answer a position: a network, a search, playouts, exact values, chance, a person.

An answer is a pure function of a batch of states and a key, but for the person's. Where games are played, what was
found for one move may serve the next: `Playing`. Nothing here knows of text or files.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from azero.config import SearchConfig
from azero.network import Network, Params
from azero.search import Amplified, Evaluate, Kept, Model, by_network, by_rules, make_kept_search, make_tree_search
from azero.search.tree import Tree
from azero.selfplay import random_legal
from games.core import ILLEGAL, Game, State, value_before

GIVEN_UP = -1  # in place of a move: the player gives the game up
NO_MOVE = -1  # in place of a move: none was made in this game


class Answer(NamedTuple):
    """What is said of B positions. Illegal moves have policy and visits of 0."""

    action: np.ndarray  # int32 [B], the move chosen, or GIVEN_UP
    policy: np.ndarray  # float32 [B, A], sums to 1
    visits: np.ndarray | None  # int32 [B, A], simulations through each move; None without a search
    value: np.ndarray | None  # float32 [B], for the player to move; None if there is no opinion
    reasons: list[str] | None = None  # [B], why a game is given up, "" where it is not; None if no player could

    def reason(self, number: int = 0) -> str:
        """Why a game is given up, "" where it is not."""
        return self.reasons[number] if self.reasons else ""


Answers = Callable[[State, jax.Array], Answer]  # (states [B], none of them terminal; key) -> Answer [B]
RowAnswers = Callable[..., Answer]  # (states [B], key, rows int [N] = all) -> Answer [N], to those rows of the states
NetworkAnswers = Callable[[Params, State, jax.Array], Answer]  # the same for any parameters of one network
Traced = Callable[[State, jax.Array], tuple[Answer, Tree]]  # answers, and the trees [B] that were searched for them
Memory = Any  # what is kept of B games from move to move


class Playing(NamedTuple):
    """A way to play B games side by side."""

    begin: Callable[[State], Memory]  # states [B], of which only the shapes count
    answer: Callable[[Memory, State, jax.Array, np.ndarray], tuple[Answer, Memory]]
    # memory, used up; states [B]; key; the games asked about, int [N], each once, or B to fill up -> Answer [N], memory
    moved: Callable[[Memory, np.ndarray], Memory]
    # memory; a move in each game, int32 [B], or NO_MOVE; it is told of all moves from the start of the games
    at_once: int | None = None  # games that it gains by playing side by side, where more are no gain


class BadPosition(ValueError):
    """A position that cannot be answered."""

    def __init__(self, row: int, what: str):
        super().__init__(f"row {row}: {what}")
        self.row, self.what = row, what


def network_answers(game: Game, network: Network) -> NetworkAnswers:
    """The network's own answer, without search: the most likely legal move."""

    @jax.jit
    def answer(params: Params, states: State) -> tuple[jax.Array, ...]:
        logits, value = network.apply(params, jax.vmap(game.observe)(states))
        policy = jax.nn.softmax(jnp.where(states.legal, logits, -jnp.inf))
        return policy.argmax(-1).astype(jnp.int32), policy, value

    def answers(params: Params, states: State, key: jax.Array) -> Answer:
        del key
        action, policy, value = jax.device_get(answer(params, states))
        return _sound(Answer(action, policy, None, value))

    return answers


def search_answers(config: SearchConfig, game: Game, network: Network) -> NetworkAnswers:
    """The amplified model's answer, without the noise of self-play."""
    return tree_answers(config, by_network(game, network))


def rollout_answers(config: SearchConfig, game: Game) -> Answers:
    """A tree search that knows the rules alone: an even prior, and a random playout to judge each leaf."""
    return functools.partial(tree_answers(config, by_rules(game, playout_judge(game))), None)


def tree_answers(config: SearchConfig, model: Model, stop_early: bool = False) -> NetworkAnswers:
    """The answer of a tree search with any model, without the noise of self-play.

    Args:
      stop_early: leave a position as soon as no further simulation can change its move.
    """
    search = jax.jit(make_tree_search(config, model, explore=False, stop_early=stop_early))

    def answers(params: Params, states: State, key: jax.Array) -> Answer:
        refuse_stuck(states)
        return answer_of_search(search(params, states, key))

    return answers


def tree_playing(config: SearchConfig, model: Model, params: Params, reuse: bool, stop_early: bool) -> Playing:
    """A tree search that plays.

    Args:
      stop_early: leave a position as soon as its move is sure; returns must be in [-1, 1].
      reuse: search on in what the last searches found below the moves made since.
    """
    if not reuse:
        return forgetful(functools.partial(tree_answers(config, model, stop_early), params))
    planner = make_kept_search(config, model, stop_early)
    search = jax.jit(planner.search, donate_argnums=1)
    now_at = jax.jit(lambda kept, actions: planner.moved(kept, actions).at)

    def answer(kept: Kept, states: State, key: jax.Array, games: np.ndarray) -> tuple[Answer, Kept]:
        asked = _of_games(states, games)
        refuse_stuck(asked)
        amplified, kept = search(params, kept, asked, games.astype(np.int32), key)
        return answer_of_search(amplified), kept

    def moved(kept: Kept, actions: np.ndarray) -> Kept:
        return kept._replace(at=now_at(kept, actions))

    return Playing(functools.partial(jax.jit(planner.begin), params), answer, moved)


def forgetful(answers: Answers) -> Playing:
    """Plays by answers to each position anew."""

    def answer(memory: None, states: State, key: jax.Array, games: np.ndarray) -> tuple[Answer, None]:
        return answers(_of_games(states, games), key), memory

    return Playing(lambda states: None, answer, lambda memory, actions: memory)


def tree_traced(config: SearchConfig, model: Model, params: Params) -> Traced:
    """The answers of `tree_answers`, with the trees that they come from.

    Raises:
      ValueError: the backend is mctx, whose trees are not kept.
    """
    planner = make_kept_search(config, model, searches=1)

    @jax.jit
    def search(params: Params, states: State, key: jax.Array) -> tuple[Amplified, Tree]:
        games = jnp.arange(states.terminal.shape[0])
        amplified, kept = planner.search(params, planner.begin(params, states), states, games, key)
        return amplified, kept.tree

    def answers(states: State, key: jax.Array) -> tuple[Answer, Tree]:
        refuse_stuck(states)
        amplified, tree = jax.device_get(search(params, states, key))
        return answer_of_search(amplified), tree

    return answers


def playout_judge(game: Game) -> Evaluate:
    """Judges each position by one game of random moves from there to its end."""
    step = jax.vmap(game.step)
    Carry = tuple[State, jax.Array, jax.Array, jax.Array]

    def evaluate(params: Params, states: State, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        del params
        count = states.terminal.shape[0]

        def goes_on(carry: Carry) -> jax.Array:
            return ~carry[0].terminal.all()

        def ply(carry: Carry) -> Carry:
            states, value, weight, key = carry
            key, move_key, step_key = jax.random.split(key, 3)
            after = step(states, random_legal(states.legal, move_key), jax.random.split(step_key, count))
            # The sign rule from the first move on: what has been found, and the weight of what is still to come.
            return after, value_before(value, weight, after.reward), weight * after.discount, key

        start = (states, jnp.zeros(count), jnp.ones(count), key)
        _, value, _, _ = jax.lax.while_loop(goes_on, ply, start)
        return jnp.zeros((count, game.num_actions)), value

    return evaluate


def random_answers(game: Game) -> Answers:
    """A legal move, each as likely."""
    draw = jax.jit(random_legal)

    def answers(states: State, key: jax.Array) -> Answer:
        legal = np.asarray(states.legal)
        action = np.asarray(draw(states.legal, key))
        return Answer(action, (legal / legal.sum(-1, keepdims=True)).astype(np.float32), None, None)

    return answers


def oracle_answers(game: Game) -> Answers:
    """Perfect play: the first of the moves that win soonest, else draw, else lose latest; the policy spreads over all.

    Raises:
      ValueError: the exact value of every position of this game is not known.
    """
    oracle = game.oracle() if game.oracle else None
    if oracle is None or oracle.q is None:
        raise ValueError(f"there is no table of exact values of {game.name}, so no player 'oracle'")
    exact = oracle.q

    def answers(states: State, key: jax.Array) -> Answer:
        del key
        q, plies = exact(jax.device_get(states))
        merit = np.where(q == ILLEGAL, -np.inf, q * (game.max_plies + 1.0 - plies))
        best = merit == merit.max(-1, keepdims=True)
        policy = (best / best.sum(-1, keepdims=True)).astype(np.float32)
        return Answer(best.argmax(-1).astype(np.int32), policy, None, q.max(-1).astype(np.float32))

    return answers


def ask_in_terminal(question: str) -> str:
    """A line from stdin; the question stands on stderr, for results belong to stdout."""
    print(question, end="", file=sys.stderr, flush=True)
    return input()


def human_answers(game: Game, ask: Callable[[str], str] = ask_in_terminal) -> Answers:
    """The moves that a person types, one position after the other.

    Args:
      ask: shows a question and returns the reply.
    """

    def answers(states: State, key: jax.Array) -> Answer:
        del key
        actions = [ask_move(game, one_state(states, number), ask) for number in range(states.terminal.shape[0])]
        return Answer(np.array(actions, np.int32), np.eye(game.num_actions, dtype=np.float32)[actions], None, None)

    return answers


def ask_move(game: Game, state: State, ask: Callable[[str], str]) -> int:
    """The move that a person types, asked for until it is legal."""
    question = f"{game.notation.board(state)}\nyour move: "
    while True:
        try:
            return game.notation.action(state, ask(question).strip())
        except EOFError:
            raise ValueError("no more moves were typed") from None
        except ValueError as error:
            question = f"{error}\nyour move: "


def one_state(states: State, number: int) -> State:
    """One state out of a batch of states [B]."""
    return jax.tree.map(lambda leaf: leaf[number], states)


def in_batches(answers: Answers, size: int, fill: bool = True) -> RowAnswers:
    """Answers to any number of states, asked for `size` at a time, so that one size is compiled.

    Args:
      fill: the last batch is filled up with repetitions, whose answers are dropped.
    """

    def batched(states: State, key: jax.Array, rows: np.ndarray | None = None) -> Answer:
        wanted = np.arange(states.terminal.shape[0]) if rows is None else rows
        parts = []
        for number, start in enumerate(range(0, len(wanted), size)):
            part = wanted[start : start + size]
            filled = np.pad(part, (0, size - len(part)), mode="edge") if fill else part
            try:
                parts.append(answers(_take(states, filled), jax.random.fold_in(key, number)))
            except BadPosition as bad:
                raise BadPosition(int(filled[bad.row]), bad.what) from None
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(wanted)], *parts)

    return batched


@jax.jit
def _take(states: State, rows: jax.Array) -> State:
    return jax.tree.map(lambda leaf: leaf[rows], states)


def _of_games(states: State, games: np.ndarray) -> State:
    """The states of some games; a number beyond them gets the last one's."""
    return _take(states, np.minimum(games, len(states.terminal) - 1))


def refuse_stuck(states: State) -> None:
    """BadPosition where a game goes on but there is no move."""
    stuck = ~np.asarray(states.legal).any(axis=-1) & ~np.asarray(states.terminal)
    if stuck.any():
        raise BadPosition(int(stuck.argmax()), "there is no legal move, but the game is not over")


def answer_of_search(amplified: Amplified) -> Answer:
    """What a search found, as an answer; BadPosition where it is not made of numbers."""
    found = jax.device_get(amplified)
    return _sound(Answer(found.action, found.policy, found.visits, found.value))


def _sound(answer: Answer) -> Answer:
    """The answer; BadPosition where it is not made of numbers, which is so where a network's is not."""
    assert answer.value is not None
    bad = ~np.isfinite(answer.policy).all(axis=-1) | ~np.isfinite(answer.value)
    if bad.any():
        raise BadPosition(int(bad.argmax()), "the network answers NaN")
    return answer
