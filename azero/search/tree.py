"""The search trees of B games in one arena of arrays.

In a game of chance positions and afterstates alternate on every way down: the edges of a position are its moves, each
leads to an afterstate, and the edges of that are the outcomes of chance, each of which leads to a position.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.network import Params
from azero.search.amplified import Amplified
from azero.search.cache import Cache
from games.core import State, value_before

ILLEGAL, TRIED = -1.0, -2.0  # in place of a prior among the untried
NONE = -1  # no entry: the parent of a root, the next node where a new move would be tried
TINY = jnp.finfo(jnp.float32).tiny


class Edges(NamedTuple):
    """The moves tried at some nodes, in the order of their first try; all is 0 beyond the last of them."""

    prior: jax.Array  # float32 [..., K]
    visits: jax.Array  # int [..., K], simulations through the move
    q: jax.Array  # float32 [..., K], mean return of the move for the mover


class Node(NamedTuple):
    """What the choice of a move depends on."""

    edges: Edges  # leaves [..., K]
    tried: jax.Array  # int [...], edges in use
    value: jax.Array  # float32 [...], the network's, for the player to move
    rest: jax.Array  # float32 [...], sum of the untried priors
    best_prior: jax.Array  # float32 [...], the largest of them; below 0 if no legal move is untried


class Passed(NamedTuple):
    """The edges that simulations passed, packed one after the other: room to work in, empty between simulations."""

    child: jax.Array  # int32 [B * N], the entry that an edge leads to
    found: jax.Array  # float32 [B * N], return of the edge for the mover, by the simulation that passed it


class Afterstates(NamedTuple):
    """What a tree of a game of chance knows besides."""

    here: jax.Array  # bool [B * N], the entry is an afterstate
    untried: jax.Array  # float32 [B * N, O], of an afterstate the chance of each outcome without an edge, else as below


class Tree(NamedTuple):
    """Trees of B games with room for N nodes each: node n of game b is entry b * N + n, its root entry b * N.

    Of an afterstate an edge's action is an outcome, its prior the chance of it; `value` and `untried` say nothing.
    """

    size: jax.Array  # int32 [B], nodes in use
    state: State  # leaves [B * N, ...]; `legal` has no entries: the untried priors tell it
    node: Node  # leaves [B * N, ...]
    parent: jax.Array  # int32 [B * N], entry, or NONE
    edge: jax.Array  # int [B * N], which of the parent's edges leads here
    action: jax.Array  # int [B * N, K], of each edge
    child: jax.Array  # int [B * N, K], node number that each edge leads to
    untried: jax.Array  # float32 [B * N, A], prior of each move that has no edge yet, or ILLEGAL or TRIED
    best: jax.Array  # int [B * N], the untried move of the largest prior
    next: jax.Array  # int32 [B * N], the entry a simulation that comes here goes on to; NONE if it would try `best`
    passed: Passed
    chance: Afterstates | None = None  # None in a game without chance
    cache: Cache | None = None  # the only leaves besides `size` that are not of entries; None where none is used

    @property
    def entries(self) -> int:
        """B * N, which is also the index at which a write is dropped."""
        return self.parent.shape[0]

    @property
    def room(self) -> int:
        """N."""
        return self.entries // self.size.shape[0]


class Algorithm(NamedTuple):
    """A way to search planted trees."""

    room: int  # nodes that the tree of a game needs room for
    edges: int  # edges that a node needs room for
    outcomes: int  # of chance, 0 in a game without it
    prior: Callable[[jax.Array, jax.Array], jax.Array]  # of the roots [B, A] as planted, from the network's and a key
    search: Callable[["Tree", Params, jax.Array], tuple[Amplified, "Tree"]]  # tree, params, key


class RootMoves(NamedTuple):
    """What is known of every action at the roots."""

    node: Node  # leaves [B, ...]; its edges [B, A] are the actions: prior 0 of illegal ones, q 0 of those not tried
    legal: jax.Array  # bool [B, A]
    child: jax.Array  # int32 [B, A], the entry below, or NONE


def root_moves(tree: Tree) -> RootMoves:
    """The roots' edges, by action."""
    batch = tree.size.shape[0]
    roots = jnp.arange(batch) * tree.room
    node = jax.tree.map(lambda leaf: leaf[roots], tree.node)
    untried = tree.untried[roots]
    used = jnp.arange(tree.child.shape[1]) < node.tried[:, None]
    action = jnp.where(used, tree.action[roots], untried.shape[1])

    def spread(leaf: jax.Array, start: jax.Array) -> jax.Array:
        return start.at[jnp.arange(batch)[:, None], action].set(leaf.astype(start.dtype), mode="drop")

    none = jnp.zeros(untried.shape)
    edges = Edges(
        prior=spread(node.edges.prior, jnp.maximum(untried, 0)),
        visits=spread(node.edges.visits, none.astype(jnp.int32)),
        q=spread(node.edges.q, none),
    )
    return RootMoves(
        node=node._replace(edges=edges),
        legal=untried != ILLEGAL,
        child=spread(roots[:, None] + tree.child[roots], jnp.full(untried.shape, NONE, jnp.int32)),
    )


def pick(node: Node, score: jax.Array, score_untried: jax.Array) -> jax.Array:
    """The edge int32 [...] of the highest score, or `tried` where the best untried move's is higher still.

    Args:
      score: float32 [..., K], of the edges; those without visits are left out.
      score_untried: float32 [...], of the best untried move, if there is one.
    """
    score = jnp.where(node.edges.visits > 0, score, -jnp.inf)
    score_untried = jnp.where(node.best_prior < 0, -jnp.inf, score_untried)
    top, edge = largest(score)
    return jnp.where(score_untried > top, node.tried, edge)


def largest(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest numbers [...] of rows [..., W] and int32 [...], the first places of them: W where none is a number.

    XLA:CPU has no vectors for `argmax`; for these two passes it has, and they are three times as fast.
    """
    top = rows.max(axis=-1)
    width = rows.shape[-1]
    return top, jnp.where(rows == top[..., None], jnp.arange(width, dtype=jnp.int32), width).min(axis=-1)


def edges_for(count: int) -> int:
    """Room for `count` edges: whole vectors of 8 numbers, for XLA:CPU works on odd rows number by number."""
    return -(-count // 8) * 8


def priors(logits: jax.Array, legal: jax.Array) -> jax.Array:
    """Prior float32 [..., A] of every legal move and ILLEGAL elsewhere, from logits [..., A]."""
    return jnp.where(legal, jnp.maximum(jax.nn.softmax(jnp.where(legal, logits, -jnp.inf)), TINY), ILLEGAL)


def plant(states: State, prior: jax.Array, value: jax.Array, room: int, edges: int, outcomes: int = 0) -> Tree:
    """Trees of one node each.

    Args:
      states: the roots [B].
      prior: float32 [B, A], from `priors`.
      value: float32 [B], the network's, for the player to move.
      room: N, the nodes there is room for.
      edges: the most edges that a node can have.
      outcomes: O, of a game of chance.
    """
    batch, actions = prior.shape
    numbers = _smallest(max(actions, outcomes))
    entries, edges = batch * room, edges_for(edges)
    roots = jnp.arange(batch) * room
    count = _smallest(room)

    def zeros(kind: jnp.dtype, *shape: int) -> jax.Array:
        return jnp.zeros((entries, *shape), kind)

    real = jnp.dtype(jnp.float32)
    tree = Tree(
        size=jnp.ones(batch, jnp.int32),
        state=jax.tree.map(lambda leaf: zeros(leaf.dtype, *leaf.shape[1:]).at[roots].set(leaf), compact(states)),
        node=Node(
            edges=Edges(zeros(real, edges), zeros(count, edges), zeros(real, edges)),
            tried=zeros(_smallest(edges)),
            value=zeros(real).at[roots].set(value),
            rest=zeros(real),
            best_prior=zeros(real),
        ),
        parent=jnp.full(entries, NONE, jnp.int32),
        edge=zeros(_smallest(edges)),
        action=zeros(numbers, edges),
        child=zeros(count, edges),
        untried=zeros(real, actions).at[roots].set(prior),
        best=zeros(numbers),
        next=jnp.full(entries, NONE, jnp.int32),
        passed=Passed(jnp.zeros(entries, jnp.int32), zeros(real)),
        chance=Afterstates(zeros(jnp.dtype(bool)), zeros(real, outcomes)) if outcomes else None,
    )
    return rank(tree, roots, prior)


def edge_value(tree: Tree, child: jax.Array, value: jax.Array) -> jax.Array:
    """What the value of these entries is worth to the mover in the position before."""
    return value_before(tree.state.reward[child], tree.state.discount[child], value)


def one_more(edges: Edges, through: jax.Array, found: jax.Array) -> Edges:
    """The edges [..., K] after one more simulation through those of bool [..., K], which found float32 [...]."""
    visits = edges.visits + through
    step = (found[..., None] - edges.q) / jnp.maximum(visits, 1)
    return Edges(edges.prior, visits, edges.q + jnp.where(through, step, 0))


def rank(tree: Tree, entry: jax.Array, untried: jax.Array) -> Tree:
    """Notes the best of the untried priors [L, A] of these entries, and their sum."""
    best_prior, best = largest(untried)
    rest = jnp.maximum(untried, 0).sum(axis=-1)
    node = tree.node._replace(
        rest=tree.node.rest.at[entry].set(rest, mode="drop"),
        best_prior=tree.node.best_prior.at[entry].set(best_prior, mode="drop"),
    )
    return tree._replace(node=node, best=tree.best.at[entry].set(best.astype(tree.best.dtype), mode="drop"))


def _smallest(count: int) -> jnp.dtype:
    """The smallest signed integer that counts to `count`."""
    return next(jnp.dtype(kind) for kind in (jnp.int8, jnp.int16, jnp.int32) if count <= jnp.iinfo(kind).max)


def compact(states: State) -> State:
    """States as a tree keeps them."""
    return states._replace(legal=states.legal[:, :0], to_play=states.to_play.astype(jnp.int8))


def whole(states: State, untried: jax.Array) -> State:
    """States as games know them, from kept ones and the untried priors [..., A] of their nodes."""
    return states._replace(legal=untried != ILLEGAL, to_play=states.to_play.astype(jnp.int32))
