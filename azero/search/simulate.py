"""One simulation in many trees at once.

Three ideas keep its cost at the actions of a node and the length of a path, however large the tree:

- A node's moves are first tried in the order of their priors, for all that is untried counts with the same value. So
  a node keeps a short list of the moves tried, and of the others only the best one and their sum.
- What a node would do next changes only when a simulation has passed it. It is worked out then, once, and the way
  down is one lookup a level.
- Paths differ in length. The nodes that all of them passed are packed into one list and worked on in full batches,
  so the cost is that of the mean path and not of the longest.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.network import Params
from azero.search.amplified import Evaluate
from azero.search.tree import NONE, TRIED, Edges, Node, Tree, compact, edge_value, one_more, priors, rank, whole
from games.core import Game

Choose = Callable[[Node], jax.Array]
# node [...] -> int32 [...], the edge that the next simulation takes, or `tried` for the best untried move


class Paths(NamedTuple):
    """Edges that simulations passed, packed one after the other."""

    length: jax.Array  # int32 [], how many
    node: jax.Array  # int32 [B * N + L], entry that the edge leaves
    edge: jax.Array  # int32 [B * N + L]
    lane: jax.Array  # int32 [B * N + L], the simulation
    offset: jax.Array  # float32 [B * N + L], value at the path's start = offset + factor * return of the edge
    factor: jax.Array  # float32 [B * N + L]


def make_simulate(game: Game, evaluate: Evaluate, choose: Choose) -> Callable[..., tuple[Tree, jax.Array, jax.Array]]:
    """One simulation in each of L lanes.

    Returns:
      (tree, params, start, action, active, key) -> (tree, child, value). A lane goes down from entry `start` [L] and
      adds a node; where `action` [L] is not NONE it tries that move right there, and the start's edges and choice
      are left as they are but for the new child. Lanes that are not active, bool [L], do nothing. L is a multiple of
      B, the lanes of a game side by side, and no two of them may meet in one node. `child` [L] is the new entry of
      a lane with an action, else its start; `value` float32 [L] is what was found for the player to move there.
    """
    expand = _make_expand(game, evaluate)
    passed = _make_passed(choose)

    def simulate(
        tree: Tree, params: Params, start: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array, jax.Array]:
        fresh = action != NONE
        end, offset, factor, paths = _descend(tree, start, active & ~fresh)
        grow = active & (fresh | ~tree.state.terminal[end] | (tree.parent[end] == NONE))  # a root always has moves
        tree, new, edge = expand(tree, params, end, jnp.where(fresh, action, tree.best[end]), grow, key)
        leaf = jnp.where(grow, new, end)
        found = tree.node.value[leaf]
        paths = _append(paths, end, edge, offset, factor, grow & ~fresh)
        value = offset + factor * jnp.where(grow, edge_value(tree, leaf, found), found)
        tree = passed(tree, paths, value)
        return tree, jnp.where(fresh, new, start), jnp.where(fresh, found, value)

    return simulate


def _descend(tree: Tree, start: jax.Array, active: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, Paths]:
    """The entries [L] where the way down from `start` ends, offset and factor there, and the edges passed."""
    lanes = start.shape[0]
    room = tree.entries + lanes
    index = jnp.zeros(room, jnp.int32)
    paths = Paths(jnp.zeros((), jnp.int32), index, index, index, index.astype(jnp.float32), index.astype(jnp.float32))

    def down(walk: tuple) -> tuple:
        node, below, offset, factor, paths = walk
        going = below >= 0
        paths = _append(paths, node, tree.edge[below], offset, factor, going)
        offset = jnp.where(going, offset + factor * tree.state.reward[below], offset)
        factor = jnp.where(going, factor * tree.state.discount[below], factor)
        return jnp.where(going, below, node), jnp.where(going, tree.next[below], NONE), offset, factor, paths

    walk = (start, jnp.where(active, tree.next[start], NONE), jnp.zeros(lanes), jnp.ones(lanes), paths)
    node, _, offset, factor, paths = jax.lax.while_loop(lambda walk: (walk[1] >= 0).any(), down, walk)
    return node, offset, factor, paths


def _append(
    paths: Paths, node: jax.Array, edge: jax.Array, offset: jax.Array, factor: jax.Array, active: jax.Array
) -> Paths:
    """The paths with one more edge for each active lane."""
    place = jnp.where(active, paths.length + jnp.cumsum(active) - 1, paths.node.shape[0])

    def put(leaf: jax.Array, rows: jax.Array) -> jax.Array:
        return leaf.at[place].set(rows.astype(leaf.dtype), mode="drop", unique_indices=True)

    return Paths(
        paths.length + active.sum(),
        put(paths.node, node),
        put(paths.edge, edge),
        put(paths.lane, jnp.arange(node.shape[0])),
        put(paths.offset, offset),
        put(paths.factor, factor),
    )


def _make_passed(choose: Choose) -> Callable[[Tree, Paths, jax.Array], Tree]:
    """Counts simulations on the edges of their paths, and works out what the nodes they left would do next."""

    def passed(tree: Tree, paths: Paths, value: jax.Array) -> Tree:
        lanes = value.shape[0]
        slots = jnp.arange(tree.child.shape[1])

        def batch(carry: tuple) -> tuple:
            first, visits, q, following = carry
            node, edge, lane, offset, factor = (jax.lax.dynamic_slice(p, (first,), (lanes,)) for p in paths[1:])
            at = jnp.where(first + jnp.arange(lanes) < paths.length, node, tree.entries)
            found = (value[lane] - offset) / factor
            through = slots == edge[:, None]
            edges = one_more(Edges(tree.node.edges.prior[node], visits[node], q[node]), through, found)
            here = jnp.arange(lanes)
            visits = visits.at[at, edge].set(edges.visits[here, edge], mode="drop")
            q = q.at[at, edge].set(edges.q[here, edge], mode="drop")
            rest = (tree.node.tried[node], tree.node.value[node], tree.node.rest[node], tree.node.best_prior[node])
            choice = choose(Node(edges, *rest))
            child = node // tree.room * tree.room + tree.child.at[node, choice].get(mode="clip")
            following = following.at[at].set(jnp.where(choice < tree.node.tried[node], child, NONE), mode="drop")
            return first + lanes, visits, q, following

        carry = (jnp.zeros((), jnp.int32), tree.node.edges.visits, tree.node.edges.q, tree.next)
        _, visits, q, following = jax.lax.while_loop(lambda carry: carry[0] < paths.length, batch, carry)
        edges = tree.node.edges._replace(visits=visits, q=q)
        return tree._replace(node=tree.node._replace(edges=edges), next=following)

    return passed


def _make_expand(game: Game, evaluate: Evaluate) -> Callable[..., tuple[Tree, jax.Array, jax.Array]]:
    """(tree, params, parent [L], action [L], active [L], key) -> (tree, new entry [L], its edge at the parent [L])."""
    step = jax.vmap(game.step)

    def expand(
        tree: Tree, params: Params, parent: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array, jax.Array]:
        lanes = parent.shape[0]
        step_key, leaf_key = jax.random.split(key)
        untried = tree.untried[parent]
        edge = tree.node.tried[parent] + _earlier(parent.reshape(tree.size.shape[0], -1), active)
        before = whole(jax.tree.map(lambda leaf: leaf[parent], tree.state), untried)
        after = step(before, action.astype(jnp.int32), jax.random.split(step_key, lanes))
        logits, value = evaluate(params, after, leaf_key)
        prior = priors(logits, after.legal)

        mine = active.reshape(tree.size.shape[0], -1)
        number = (tree.size[:, None] + jnp.cumsum(mine, axis=1) - 1).reshape(-1)
        entry = jnp.where(active, parent // tree.room * tree.room + number, tree.entries)
        parent = jnp.where(active, parent, tree.entries)
        chosen = untried[jnp.arange(lanes), action]

        def put(leaf: jax.Array, rows: jax.Array) -> jax.Array:
            return leaf.at[entry].set(rows.astype(leaf.dtype), mode="drop")

        def put_edge(leaf: jax.Array, rows: jax.Array) -> jax.Array:
            return leaf.at[parent, edge].set(rows.astype(leaf.dtype), mode="drop")

        # The minimum is TRIED whatever was chosen; it makes the write wait for the read, without which XLA copies all.
        untried_after = tree.untried.at[parent, action].set(jnp.minimum(chosen, TRIED), mode="drop")
        node = tree.node
        tree = tree._replace(
            size=tree.size + mine.sum(axis=1),
            state=jax.tree.map(put, tree.state, compact(after)),
            node=node._replace(
                edges=node.edges._replace(prior=put_edge(node.edges.prior, chosen)),
                tried=node.tried.at[parent].max((edge + 1).astype(node.tried.dtype), mode="drop"),
                value=put(node.value, jnp.where(after.terminal, 0.0, value)),
            ),
            parent=put(tree.parent, parent),
            edge=put(tree.edge, edge),
            action=put_edge(tree.action, action),
            child=put_edge(tree.child, number),
            untried=put(untried_after, prior),
        )
        taken = jnp.where(jnp.arange(untried.shape[1]) == action[:, None], TRIED, untried)
        return rank(rank(tree, parent, taken), entry, prior), entry, edge

    return expand


def _earlier(parent: jax.Array, active: jax.Array) -> jax.Array:
    """int32 [L]: how many active lanes before this one, of the same game, add a child to the same node [B, L / B]."""
    lanes = parent.shape[1]
    before = jnp.tril(jnp.ones((lanes, lanes), bool), -1)
    same = (parent[:, :, None] == parent[:, None, :]) & before & active.reshape(-1, 1, lanes)
    return same.sum(axis=-1, dtype=jnp.int32).reshape(-1)
