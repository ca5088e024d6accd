"""A search that goes on from move to move: what lies below the moves made is kept, all else is dropped.

In a game of chance a move leads to an afterstate, and the position that is searched next says what chance made of it.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.checks import check_search
from azero.config import SearchConfig
from azero.network import Params
from azero.search.amplified import Amplified
from azero.search.gumbel import make_gumbel
from azero.search.model import Model
from azero.search.puct import make_puct
from azero.search.tree import ILLEGAL, NONE, Tree, compact, plant, priors
from games.core import State

SEARCHES = 4  # a tree has room for the simulations of so many searches


class Kept(NamedTuple):
    """The trees of B games from their last searches, and where in them the games have come to."""

    tree: Tree
    at: jax.Array  # int32 [B], number of the node in which the game is; NONE where its tree does not hold it


class Planner(NamedTuple):
    """Search of B games that go on.

    A tree is searched on where the game has come to a node of it, in the position that the tree expects there, and
    where it leaves room for one more search; elsewhere a new one is planted.
    """

    begin: Callable[[Params, State], Kept]  # params and states [B], of which only the shapes count
    moved: Callable[[Kept, jax.Array], Kept]  # a move in each game, int32 [B]
    search: Callable[[Params, Kept, State, jax.Array, jax.Array], tuple[Amplified, Kept]]
    # params, kept, states [L], games int32 [L], key -> Amplified [L], with the visits of the moves from all searches;
    # the games that the states belong to are below B, each there once, or B to search a state and keep nothing
    more: Callable[[Params, Kept, jax.Array], tuple[Amplified, Kept]]
    # params, kept, key -> one more search [B] of the positions that every game was last searched in, in the same trees,
    # which must have room for it


def make_kept_search(config: SearchConfig, model: Model, stop_early: bool = False, searches: int = SEARCHES) -> Planner:
    """Search that keeps its trees, without the noise of self-play.

    Args:
      stop_early: leave a position as soon as no further simulation can change its move.
      searches: how many searches' simulations a tree has room for.

    Raises:
      ValueError: the config names no search, or the backend is mctx, whose trees cannot be kept.
    """
    check_search(config)
    if config.backend == "mctx":
        raise ValueError("trees of backend mctx are not kept; backend azero keeps them")
    # Side by side, simulations are made ahead of those that count, and room and counts would have to allow for them.
    config = dataclasses.replace(config, lanes=1)
    make = make_gumbel if config.algorithm == "gumbel" else make_puct
    algorithm = make(config, model, explore=False, stop_early=stop_early)
    room = 1 + model.nodes * searches * config.simulations
    edges = min(model.widest, room - 1)

    def begin(params: Params, states: State) -> Kept:
        roots = jax.eval_shape(model.root, params, states)
        states = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), roots)
        batch, actions = states.legal.shape
        nothing = jnp.full((batch, actions), ILLEGAL), jnp.zeros(batch)
        return Kept(plant(states, *nothing, room, edges, model.outcomes), jnp.full(batch, NONE, jnp.int32))

    def usable(kept: Kept, states: State, games: jax.Array) -> jax.Array:
        """Where each state is in the tree of its game: the node's number [L], or NONE to plant a new tree."""
        inside = jnp.minimum(games, kept.at.shape[0] - 1)
        at = jnp.where(games == inside, kept.at[inside], NONE)
        if kept.tree.chance:
            at = _happened(kept.tree, inside, at, states)
        entry = inside * room + jnp.maximum(at, 0)
        visits = kept.tree.node.edges.visits[entry].sum(axis=-1, dtype=jnp.int32)
        # A tree has no more nodes than visits, of chance twice as many, and a root; and where counts go beyond its room
        # they could overflow.
        fits = visits + config.simulations < 1 + searches * config.simulations
        return jnp.where(fits & _same(kept.tree, entry, states), at, NONE)

    def search(params: Params, kept: Kept, states: State, games: jax.Array, key: jax.Array) -> tuple[Amplified, Kept]:
        root_key, tree_key = jax.random.split(key)
        states = model.root(params, states)
        logits, value = model.evaluate(params, states, root_key)
        value = jnp.where(states.terminal, 0.0, value)
        at = usable(kept, states, games)
        planted = plant(states, priors(logits, states.legal), value, 1, edges, model.outcomes)
        tree = _with_roots(subtrees(kept.tree, games, at), planted, at == NONE)
        amplified, tree = algorithm.search(tree, params, tree_key)
        return amplified, Kept(_put(kept.tree, tree, games), kept.at.at[games].set(0, mode="drop"))

    def more(params: Params, kept: Kept, key: jax.Array) -> tuple[Amplified, Kept]:
        amplified, tree = algorithm.search(kept.tree, params, key)
        return amplified, kept._replace(tree=tree)

    return Planner(begin, moved, search, more)


def moved(kept: Kept, actions: jax.Array) -> Kept:
    """The same trees after a move in each game, int32 [B]; none where it is not known what chance made of the last."""
    node = jnp.arange(kept.at.shape[0]) * kept.tree.room + jnp.maximum(kept.at, 0)
    known = kept.at != NONE
    if kept.tree.chance:
        known &= ~kept.tree.chance.here[node]
    tried = jnp.arange(kept.tree.child.shape[1]) < kept.tree.node.tried[node][:, None]
    made = tried & (kept.tree.action[node] == actions[:, None])
    child = kept.tree.child[node, made.argmax(axis=-1)].astype(jnp.int32)
    return kept._replace(at=jnp.where(known & made.any(axis=-1), child, NONE))


def main_line(tree: Tree, entry: jax.Array, plies: int) -> jax.Array:
    """The moves int32 [plies] most visited from an entry on, each in reply to the one before; NONE beyond the tree,
    and where chance comes in."""
    root = entry // tree.room * tree.room

    def down(entry: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        visits = tree.node.edges.visits[entry]
        edge = visits.argmax()
        there = (entry != NONE) & (visits[edge] > 0)
        if tree.chance:
            there &= ~tree.chance.here[entry]
        below = root + tree.child[entry, edge].astype(jnp.int32)
        return jnp.where(there, below, NONE), jnp.where(there, tree.action[entry, edge].astype(jnp.int32), NONE)

    return jax.lax.scan(down, entry, length=plies)[1]


def subtrees(tree: Tree, games: jax.Array, at: jax.Array) -> Tree:
    """Trees of L games as they are below one of their nodes; kept nodes stay in their order.

    Args:
      games: int32 [L], which of the B trees.
      at: int32 [L], number of the node that becomes the root, or NONE: a tree without any node.
    """
    lanes, room = at.shape[0], tree.room
    row = jnp.arange(lanes)[:, None]
    start = (jnp.minimum(games, tree.size.shape[0] - 1) * room)[:, None]
    entry = start + jnp.arange(room)
    kept = _is_below(tree.parent[entry] - start, at)
    number = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, room)  # int32 [L, N], a kept node's new number
    source = jnp.full((lanes, room), tree.entries).at[row, number].set(entry, mode="drop").reshape(-1)

    def take(leaf: jax.Array, empty: int = 0) -> jax.Array:
        return leaf.at[source].get(mode="fill", fill_value=empty)

    def entries(leaf: jax.Array) -> jax.Array:
        """Entries [B * N] that a node names: where they are now, or NONE."""
        named = take(leaf, NONE).reshape(lanes, room) - start
        new = number[row, jnp.maximum(named, 0)]
        return jnp.where((named < 0) | (new == room), NONE, row * room + new).reshape(-1)

    below = Tree(kept.sum(axis=1, dtype=jnp.int32), *jax.tree.map(take, tree[1:]))  # all but the size is of entries
    used = jnp.arange(tree.child.shape[1]) < below.node.tried[:, None]
    child = number[row, below.child.reshape(lanes, -1)].reshape(below.child.shape)
    return below._replace(
        parent=entries(tree.parent),
        child=jnp.where(used, child, 0).astype(below.child.dtype),
        next=entries(tree.next),
    )


def _is_below(parent: jax.Array, at: jax.Array) -> jax.Array:
    """bool [L, N]: the node `at` [L] of a tree, and the nodes below it.

    Args:
      parent: int32 [L, N], each node's; below 0 if it has none.
    """
    room = parent.shape[1]
    own = jnp.arange(room)
    # Each round doubles how far up a node looks, but never past `at` or a root.
    top = jnp.where((parent < 0) | (own == at[:, None]), own, parent)
    top = jax.lax.fori_loop(0, room.bit_length(), lambda _, top: jnp.take_along_axis(top, top, axis=1), top)
    return top == at[:, None]


def _happened(tree: Tree, games: jax.Array, at: jax.Array, states: State) -> jax.Array:
    """int32 [L]: the nodes `at` [L] of these games' trees; of afterstates the outcome that each state is, or NONE."""
    assert tree.chance is not None
    entry = games * tree.room + jnp.maximum(at, 0)
    tried = jnp.arange(tree.child.shape[1]) < tree.node.tried[entry][:, None]
    child = tree.child[entry].astype(jnp.int32)
    alike = jax.vmap(_same, (None, 1, None), 1)(tree, (games * tree.room)[:, None] + child, states) & tried
    outcome = child[jnp.arange(at.shape[0]), alike.argmax(axis=-1)]
    between = (at != NONE) & tree.chance.here[entry]
    return jnp.where(between, jnp.where(alike.any(axis=-1), outcome, NONE), at)


def _same(tree: Tree, entry: jax.Array, states: State) -> jax.Array:
    """bool [L]: the position of an entry is that of the state, which after a move of chance it need not be."""

    def equal(kept: jax.Array, real: jax.Array) -> jax.Array:
        return (kept[entry] == real).reshape(real.shape[0], -1).all(axis=-1)

    real = compact(states)
    alike = jax.tree.map(equal, (tree.state.board, tree.state.to_play), (real.board, real.to_play))
    legal = ((tree.untried[entry] != ILLEGAL) == states.legal).all(axis=-1)
    return jax.tree.reduce(jnp.logical_and, alike, legal)


def _with_roots(tree: Tree, planted: Tree, new: jax.Array) -> Tree:
    """The trees [L] with the nodes of trees of one node [L] as roots where bool [L] says so."""
    at = jnp.where(new, jnp.arange(new.shape[0]) * tree.room, tree.entries)

    def put(leaf: jax.Array, root: jax.Array) -> jax.Array:
        return leaf.at[at].set(root.astype(leaf.dtype), mode="drop")

    return Tree(jnp.where(new, 1, tree.size), *jax.tree.map(put, tree[1:], planted[1:]))


def _put(trees: Tree, some: Tree, games: jax.Array) -> Tree:
    """Trees [B] with those [L] of some games in their place; `parent` and `next` name entries of the new places."""
    batch, lanes = trees.size.shape[0], games.shape[0]
    shift = jnp.repeat((games - jnp.arange(lanes)) * some.room, some.room)

    def named(leaf: jax.Array) -> jax.Array:
        return jnp.where(leaf == NONE, NONE, leaf + shift)

    def put(leaf: jax.Array, rows: jax.Array) -> jax.Array:
        each = leaf.shape[0] // batch
        blocks = rows.reshape(lanes, each, *rows.shape[1:])
        return leaf.reshape(batch, each, *leaf.shape[1:]).at[games].set(blocks, mode="drop").reshape(leaf.shape)

    return jax.tree.map(put, trees, some._replace(parent=named(some.parent), next=named(some.next)))
