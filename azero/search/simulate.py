"""One simulation in many trees at once.

Three ideas keep its cost at the actions of a node and the length of a path, however large the tree:

- A node's moves are first tried in the order of their priors, for all that is untried counts with the same value. So
  a node keeps a short list of the moves tried, and of the others only the best one and their sum.
- What a node would do next changes only when a simulation has passed it. It is worked out then, once, and the way
  down is one lookup a level.
- Paths differ in length. The nodes that all of them passed are packed into one list and worked on in full batches,
  so the cost is that of the mean path and not of the longest.

In a game of chance a new move adds two nodes: the afterstate, and the position that its likeliest outcome leads to.
Only the position is shown to the network, which is never taught afterstates, and the afterstate begins with the value
of that. From then on each simulation through it goes to the outcome whose share of the visits is furthest below its
probability, so that the mean of what was found becomes the expected value. Outcomes of the same probability come in
an order that the key decides: always beginning with the same ones would favour the moves that these suit.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from azero.network import Params
from azero.search.cache import Cache
from azero.search.model import Model
from azero.search.tree import (
    ILLEGAL,
    NONE,
    TRIED,
    Edges,
    Node,
    Passed,
    Tree,
    compact,
    edge_value,
    one_more,
    pick,
    priors,
    rank,
    whole,
)
from games.core import Chance, State

Choose = Callable[[Node], jax.Array]
# node [...] -> int32 [...], the edge that the next simulation takes, or `tried` for the best untried move
Keys = tuple[jax.Array, jax.Array]  # of the step, of the judgement
Followed = tuple[Cache | None, State, jax.Array, jax.Array]
# cache, states [L]; priors of what is untried there, float32 [L, A] or [L, O], ILLEGAL where nothing is; values [L]
Follow = Callable[[Cache | None, Params, State, jax.Array, jax.Array, Keys], Followed]
# cache, params, states [L], actions or outcomes int32 [L], active bool [L], two keys -> what comes after
Grow = Callable[
    [Tree, Params, jax.Array, jax.Array, jax.Array, jax.Array], tuple[Tree, jax.Array, jax.Array, jax.Array]
]
# tree, params, end [L], action [L], active [L], key -> tree, entry below the end [L], new leaf [L], and how many edges
# int32 [L] lead there from the end: 0 in lanes that are not active

SHUFFLE = 1e-4  # by how much of it a probability is raised at the most, which decides between equal ones


def make_simulate(model: Model, choose: Choose) -> Callable[..., tuple[Tree, jax.Array, jax.Array]]:
    """One simulation in each of L lanes.

    Returns:
      (tree, params, start, action, active, key) -> (tree, child, value). A lane goes down from entry `start` [L] and
      adds a node, of chance two; where `action` [L] is not NONE it tries that move right there, and the start's edges
      and choice are left as they are but for the new child. Lanes that are not active, bool [L], do nothing. L is a
      multiple of B, the lanes of a game side by side, and no two of them may meet in one node. `child` [L] is the new
      entry of a lane with an action, else its start; `value` float32 [L] is what was found for the player to move
      there.
    """
    grow = _make_half_moves(model, model.chance) if model.chance else _make_moves(model)
    count = _make_count(choose)

    def simulate(
        tree: Tree, params: Params, start: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array, jax.Array]:
        fresh = active & (action != NONE)
        end, depth = _descend(tree, start, active & ~fresh)
        growing = active & (fresh | ~tree.state.terminal[end] | (tree.parent[end] == NONE))  # a root always has moves
        tree, below, new, added = grow(tree, params, end, jnp.where(fresh, action, tree.best[end]), growing, key)
        start = jnp.where(fresh, below, start)
        leaf = jnp.where(growing, new, end)
        length = depth + added - fresh
        passed, value = _climb(tree, leaf, length)
        return count(tree._replace(passed=passed), length.sum(), leaf.shape[0]), start, value

    return simulate


def _descend(tree: Tree, start: jax.Array, active: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where simulations from `start` come to, and the edges to there, int32 [L] both.

    They end at terminal positions and where they would try a new move.
    """

    def down(walk: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        node, below, depth = walk
        going = below >= 0
        return jnp.where(going, below, node), jnp.where(going, tree.next[below], NONE), depth + going

    walk = (start, jnp.where(active, tree.next[start], NONE), jnp.zeros_like(start))
    node, _, depth = jax.lax.while_loop(lambda walk: (walk[1] >= 0).any(), down, walk)
    return node, depth


def _climb(tree: Tree, leaf: jax.Array, length: jax.Array) -> tuple[Passed, jax.Array]:
    """The `length` [L] edges up from each leaf [L], and what was found for the mover where they end, float32 [L]."""
    first = jnp.cumsum(length) - length

    def up(walk: tuple) -> tuple:
        node, value, left, passed = walk
        going = left > 0
        left = left - 1
        found = edge_value(tree, node, value)
        place = jnp.where(going, first + left, tree.entries)
        passed = Passed(
            passed.child.at[place].set(node, mode="drop", unique_indices=True),
            passed.found.at[place].set(found, mode="drop", unique_indices=True),
        )
        return tree.parent[node], jnp.where(going, found, value), left, passed

    walk = (leaf, tree.node.value[leaf], length, tree.passed)
    _, value, _, passed = jax.lax.while_loop(lambda walk: (walk[2] > 0).any(), up, walk)
    return passed, value


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
            chooser = Node(edges, tried, tree.node.value[node], tree.node.rest[node], tree.node.best_prior[node])
            choice = choose(chooser)
            if tree.chance:
                choice = jnp.where(tree.chance.here[node], _choose_outcome(chooser), choice)
            below = node // tree.room * tree.room + tree.child.at[node, choice].get(mode="clip")
            following = following.at[at].set(jnp.where(choice < tried, below, NONE), mode="drop")
            return first + lanes, visits, q, following

        carry = (jnp.zeros((), jnp.int32), tree.node.edges.visits, tree.node.edges.q, tree.next)
        _, visits, q, following = jax.lax.while_loop(lambda carry: carry[0] < length, batch, carry)
        edges = tree.node.edges._replace(visits=visits, q=q)
        return tree._replace(node=tree.node._replace(edges=edges), next=following)

    return count


def _choose_outcome(node: Node) -> jax.Array:
    """The outcome whose share of the visits is furthest below its probability."""
    chance, visits, _ = node.edges
    share = visits / (1.0 + visits.sum(axis=-1, dtype=jnp.int32, keepdims=True))
    return pick(node, chance - share, node.best_prior)


def _make_moves(model: Model) -> Grow:
    """A move is an edge and a node."""

    def follow(
        cache: Cache | None, params: Params, before: State, action: jax.Array, active: jax.Array, keys: Keys
    ) -> Followed:
        after = model.step(params, before, action, keys[0])
        cache, logits, value = model.judge(cache, params, after, active & ~after.terminal, keys[1])
        return cache, after, priors(logits, after.legal), value

    expand = _make_expand(follow)

    def grow(
        tree: Tree, params: Params, end: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array, jax.Array, jax.Array]:
        tree, new = expand(tree, params, end, action, active, key)
        return tree, new, new, active.astype(jnp.int32)

    return grow


def _make_half_moves(model: Model, chance: Chance) -> Grow:
    """Chance has the other half of each move: an end may be an afterstate, and lacks an outcome then."""

    def follow_move(
        cache: Cache | None, params: Params, before: State, action: jax.Array, active: jax.Array, keys: Keys
    ) -> Followed:
        del params, active
        between = chance.after(before, action)
        probabilities = chance.probabilities(between)
        shuffled = probabilities * (1 + SHUFFLE * jax.random.uniform(keys[0], probabilities.shape))
        return cache, between, jnp.where(probabilities > 0, shuffled, ILLEGAL), jnp.zeros(action.shape)

    def follow_chance(
        cache: Cache | None, params: Params, between: State, outcome: jax.Array, active: jax.Array, keys: Keys
    ) -> Followed:
        after = chance.happen(between, outcome)
        cache, logits, value = model.judge(cache, params, after, active & ~after.terminal, keys[1])
        return cache, after, priors(logits, after.legal), value

    move, happen = _make_expand(follow_move, to_afterstate=True), _make_expand(follow_chance, from_afterstate=True)

    def grow(
        tree: Tree, params: Params, end: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array, jax.Array, jax.Array]:
        assert tree.chance is not None
        move_key, leaf_key = jax.random.split(key)
        moving = active & ~tree.chance.here[end]
        tree, between = move(tree, params, end, action, moving, move_key)
        between = jnp.where(moving, between, end)
        tree, new = happen(tree, params, between, tree.best[between], active, leaf_key)
        return tree, between, new, moving.astype(jnp.int32) + active

    return grow


def _make_expand(
    follow: Follow, from_afterstate: bool = False, to_afterstate: bool = False
) -> Callable[..., tuple[Tree, jax.Array]]:
    """(tree, params, parent [L], action [L], active [L], key) -> (tree, new entry [L])."""

    def expand(
        tree: Tree, params: Params, parent: jax.Array, action: jax.Array, active: jax.Array, key: jax.Array
    ) -> tuple[Tree, jax.Array]:
        lanes = parent.shape[0]
        step_key, leaf_key = jax.random.split(key)
        untried = _untried(tree, from_afterstate)[parent]
        edge = tree.node.tried[parent] + _earlier(parent.reshape(tree.size.shape[0], -1), active)
        before = jax.tree.map(lambda leaf: leaf[parent], tree.state)
        before = whole(before, tree.untried[parent] if from_afterstate else untried)
        action = action.astype(jnp.int32)
        cache, after, prior, value = follow(tree.cache, params, before, action, active, (step_key, leaf_key))

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
        marked = _untried(tree, from_afterstate).at[parent, action].set(jnp.minimum(chosen, TRIED), mode="drop")
        tree = _with_untried(tree, from_afterstate, marked)
        node = tree.node
        tree = tree._replace(
            size=tree.size + mine.sum(axis=1),
            cache=cache,
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
        )
        tree = _with_untried(tree, to_afterstate, put(_untried(tree, to_afterstate), prior))
        if to_afterstate and tree.chance:
            here = tree.chance.here.at[entry].set(True, mode="drop")
            tree = tree._replace(chance=tree.chance._replace(here=here))
        taken = jnp.where(jnp.arange(untried.shape[1]) == action[:, None], TRIED, untried)
        return rank(rank(tree, parent, taken), entry, prior), entry

    return expand


def _untried(tree: Tree, afterstate: bool) -> jax.Array:
    """What positions or afterstates have untried, float32 [B * N, A] or [B * N, O]."""
    return tree.chance.untried if afterstate and tree.chance else tree.untried


def _with_untried(tree: Tree, afterstate: bool, untried: jax.Array) -> Tree:
    """The same tree with the other untried."""
    if afterstate and tree.chance:
        return tree._replace(chance=tree.chance._replace(untried=untried))
    return tree._replace(untried=untried)


def _earlier(parent: jax.Array, active: jax.Array) -> jax.Array:
    """int32 [L]: how many active lanes before this one, of the same game, add a child to the same node [B, L / B]."""
    lanes = parent.shape[1]
    before = jnp.tril(jnp.ones((lanes, lanes), bool), -1)
    same = (parent[:, :, None] == parent[:, None, :]) & before & active.reshape(-1, 1, lanes)
    return same.sum(axis=-1, dtype=jnp.int32).reshape(-1)
