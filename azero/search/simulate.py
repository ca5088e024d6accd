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

import jax
import jax.numpy as jnp

from azero.network import Params
from azero.search.model import Model
from azero.search.tree import NONE, TRIED, Edges, Node, Passed, Tree, compact, edge_value, one_more, priors, rank, whole

Choose = Callable[[Node], jax.Array]
# node [...] -> int32 [...], the edge that the next simulation takes, or `tried` for the best untried move


def make_simulate(model: Model, choose: Choose) -> Callable[..., tuple[Tree, jax.Array, jax.Array]]:
    """One simulation in each of L lanes.

    Returns:
      (tree, params, start, action, active, key) -> (tree, child, value). A lane goes down from entry `start` [L] and
      adds a node; where `action` [L] is not NONE it tries that move right there, and the start's edges and choice
      are left as they are but for the new child. Lanes that are not active, bool [L], do nothing. L is a multiple of
      B, the lanes of a game side by side, and no two of them may meet in one node. `child` [L] is the new entry of
      a lane with an action, else its start; `value` float32 [L] is what was found for the player to move there.
    """
    expand = _make_expand(model)
    count = _make_count(choose)

    def simulate(
        tree: Tree, params: Params, start: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array, jax.Array]:
        fresh = action != NONE
        end = _descend(tree, start, active & ~fresh)
        grow = active & (fresh | ~tree.state.terminal[end] | (tree.parent[end] == NONE))  # a root always has moves
        tree, new = expand(tree, params, end, jnp.where(fresh, action, tree.best[end]), grow, key)
        start = jnp.where(fresh, new, start)
        leaf = jnp.where(grow, new, end)
        passed, length, value = _climb(tree, leaf, start, active)
        return count(tree._replace(passed=passed), length, leaf.shape[0]), start, value

    return simulate


def _descend(tree: Tree, start: jax.Array, active: jax.Array) -> jax.Array:
    """The entries [L] where simulations from `start` come to: terminal ones, or ones that would try a new move."""

    def down(walk: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        node, below = walk
        going = below >= 0
        return jnp.where(going, below, node), jnp.where(going, tree.next[below], NONE)

    walk = (start, jnp.where(active, tree.next[start], NONE))
    return jax.lax.while_loop(lambda walk: (walk[1] >= 0).any(), down, walk)[0]


def _climb(tree: Tree, leaf: jax.Array, start: jax.Array, active: jax.Array) -> tuple[Passed, jax.Array, jax.Array]:
    """The edges from `leaf` [L] up to `start`, how many, and what was found for the mover at the start, float32 [L]."""

    def up(walk: tuple) -> tuple:
        node, value, going, passed, length = walk
        found = edge_value(tree, node, value)
        place = jnp.where(going, length + jnp.cumsum(going) - 1, tree.entries)
        passed = Passed(
            passed.child.at[place].set(node, mode="drop", unique_indices=True),
            passed.found.at[place].set(found, mode="drop", unique_indices=True),
        )
        above = tree.parent[node]
        return above, jnp.where(going, found, value), going & (above != start), passed, length + going.sum()

    walk = (leaf, tree.node.value[leaf], active & (leaf != start), tree.passed, jnp.zeros((), jnp.int32))
    _, value, _, passed, length = jax.lax.while_loop(lambda walk: walk[2].any(), up, walk)
    return passed, length, value


def _make_count(choose: Choose) -> Callable[[Tree, jax.Array, int], Tree]:
    """Counts simulations on the `length` edges passed, and works out what the nodes before them would do next."""

    def count(tree: Tree, length: jax.Array, lanes: int) -> Tree:
        slots = jnp.arange(tree.child.shape[1])

        def batch(carry: tuple) -> tuple:
            first, visits, q, following = carry
            number = first + jnp.arange(lanes)
            child, found = (leaf.at[number].get(mode="clip") for leaf in tree.passed)
            node, edge = tree.parent[child], tree.edge[child]
            edges = Edges(tree.node.edges.prior[node], visits[node], q[node])
            edges = one_more(edges, slots == edge[:, None], found)
            at = jnp.where(number < length, node, tree.entries)
            here = jnp.arange(lanes)
            visits = visits.at[at, edge].set(edges.visits[here, edge], mode="drop")
            q = q.at[at, edge].set(edges.q[here, edge], mode="drop")
            tried = tree.node.tried[node]
            choice = choose(Node(edges, tried, tree.node.value[node], tree.node.rest[node], tree.node.best_prior[node]))
            below = node // tree.room * tree.room + tree.child.at[node, choice].get(mode="clip")
            following = following.at[at].set(jnp.where(choice < tried, below, NONE), mode="drop")
            return first + lanes, visits, q, following

        carry = (jnp.zeros((), jnp.int32), tree.node.edges.visits, tree.node.edges.q, tree.next)
        _, visits, q, following = jax.lax.while_loop(lambda carry: carry[0] < length, batch, carry)
        edges = tree.node.edges._replace(visits=visits, q=q)
        return tree._replace(node=tree.node._replace(edges=edges), next=following)

    return count


def _make_expand(model: Model) -> Callable[..., tuple[Tree, jax.Array]]:
    """(tree, params, parent [L], action [L], active [L], key) -> (tree, new entry [L])."""

    def expand(
        tree: Tree, params: Params, parent: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array]:
        lanes = parent.shape[0]
        step_key, leaf_key = jax.random.split(key)
        untried = tree.untried[parent]
        edge = tree.node.tried[parent] + _earlier(parent.reshape(tree.size.shape[0], -1), active)
        before = whole(jax.tree.map(lambda leaf: leaf[parent], tree.state), untried)
        after = model.step(params, before, action.astype(jnp.int32), step_key)
        logits, value = model.evaluate(params, after, leaf_key)
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
        return rank(rank(tree, parent, taken), entry, prior), entry

    return expand


def _earlier(parent: jax.Array, active: jax.Array) -> jax.Array:
    """int32 [L]: how many active lanes before this one, of the same game, add a child to the same node [B, L / B]."""
    lanes = parent.shape[1]
    before = jnp.tril(jnp.ones((lanes, lanes), bool), -1)
    same = (parent[:, :, None] == parent[:, None, :]) & before & active.reshape(-1, 1, lanes)
    return same.sum(axis=-1, dtype=jnp.int32).reshape(-1)
