"""Gumbel AlphaZero: sequential halving over a sample of root moves, completed values everywhere.

Danihelka, Guez, Schrittwieser, Silver: Policy improvement by planning with Gumbel (ICLR 2022).

The subtrees of the root's moves never meet, so several simulations can go down at once, each below another move
(`lanes`). Which moves sequential halving goes to next depends on what it found before, so they are guessed, and what
the guesses found is then counted in the order in which single simulations would have gone, as far as it was
guessed right. The others wait in their subtree, uncounted, until the halving comes to their move, if ever.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from azero.config import SearchConfig
from azero.network import Params
from azero.search.amplified import Amplified
from azero.search.halving import halving, steps
from azero.search.model import Model
from azero.search.simulate import make_simulate
from azero.search.tree import (
    NONE,
    TINY,
    Algorithm,
    Edges,
    Node,
    Tree,
    edge_value,
    edges_for,
    largest,
    one_more,
    pick,
    root_moves,
)

LOWEST = jnp.finfo(jnp.float32).min


class Root(NamedTuple):
    """The moves that sequential halving considers, and what it has counted so far."""

    action: jax.Array  # int32 [B, K]
    noisy: jax.Array  # float32 [B, K], Gumbel noise plus logit; the lowest number where there is no move
    node: Node  # leaves [B, ...]; its edges [B, K] are these moves
    considered: jax.Array  # int32 [B], how many there are
    simulations: jax.Array  # int32 [B], how many are counted in this search
    done: jax.Array  # bool [B], no more are wanted
    rounds: jax.Array  # int32 [B, K], simulations of each move that are counted in this search
    child: jax.Array  # int32 [B, K], entry below each move, or NONE
    ahead: jax.Array  # bool [B, K], one more simulation of the move is done and waits to be counted
    found: jax.Array  # float32 [B, K], what that one found for the mover at the root


Carry = tuple[Tree, Root, jax.Array]  # and the number of the batch of simulations


def mixed_value(node: Node) -> jax.Array:
    """Value float32 [...] of every untried move: the network's mixed with the tried moves' (appendix D)."""
    prior, visits, q = node.edges
    total = visits.sum(axis=-1, dtype=jnp.int32)
    share = jnp.where(visits > 0, prior, 0)
    tried_q = (share * q).sum(axis=-1) / jnp.maximum(share.sum(axis=-1), TINY)
    return (node.value + total * tried_q) / (1 + total)


def completed(config: SearchConfig, node: Node, actions: int) -> tuple[jax.Array, jax.Array]:
    """sigma(completed q), equation 8: of each tried move [..., K], and of every untried move [...]."""
    _, visits, q = node.edges
    tried = visits > 0
    mixed = mixed_value(node)
    if config.rescale_values:
        all_tried = tried.sum(axis=-1) == actions
        low = jnp.minimum(jnp.where(tried, q, jnp.inf).min(axis=-1), jnp.where(all_tried, jnp.inf, mixed))
        high = jnp.maximum(jnp.where(tried, q, -jnp.inf).max(axis=-1), jnp.where(all_tried, -jnp.inf, mixed))
        width = jnp.maximum(high - low, 1e-8)
        q, mixed = (q - low[..., None]) / width[..., None], (mixed - low) / width
    scale = (config.maxvisit_init + visits.max(axis=-1)) * config.value_scale
    return scale[..., None] * q, scale * mixed


def make_choose(config: SearchConfig, actions: int) -> Callable[[Node], jax.Array]:
    """The choice below the root: the move whose share of the visits is furthest below the improved policy's."""

    def choose(node: Node) -> jax.Array:
        prior, visits, _ = node.edges
        tried = visits > 0
        sigma, sigma_untried = completed(config, node, actions)
        sigma_untried = jnp.where(node.best_prior < 0, -jnp.inf, sigma_untried)
        top = jnp.maximum(jnp.where(tried, sigma, -jnp.inf).max(axis=-1), sigma_untried)
        weight = jnp.where(tried, prior * jnp.exp(sigma - top[..., None]), 0)
        weight_untried = jnp.exp(sigma_untried - top)
        total = weight.sum(axis=-1) + node.rest * weight_untried
        share = visits / (1.0 + visits.sum(axis=-1, dtype=jnp.int32, keepdims=True))
        return pick(node, weight / total[..., None] - share, node.best_prior * weight_untried / total)

    return choose


def make_gumbel(config: SearchConfig, model: Model, explore: bool, stop_early: bool = False) -> Algorithm:
    """Gumbel search.

    Args:
      explore: sample the moves to consider; otherwise they are those of the largest prior.
      stop_early: leave a position as soon as no further simulation can change its move; returns must be in [-1, 1].
    """
    width = min(config.considered, model.num_actions, config.simulations)
    lanes = min(config.lanes, width)
    table, left = (jnp.asarray(rows) for rows in halving(width, config.simulations))
    simulate = make_simulate(model, make_choose(config, model.num_actions))

    def sample(tree: Tree, key: jax.Array) -> tuple[Root, jax.Array]:
        """The moves to consider, the top of Gumbel noise plus logit plus what is known; and the logits [B, A]."""
        moves = root_moves(tree)
        edges = moves.node.edges
        batch, actions = edges.prior.shape
        logits = jnp.where(moves.legal, jnp.log(edges.prior), LOWEST)
        noise = jax.random.gumbel(key, (batch, actions)) if explore else 0.0
        noisy = jnp.where(moves.legal, logits + noise, LOWEST)
        sigma, sigma_untried = completed(config, moves.node, actions)
        gain = jnp.where(edges.visits > 0, sigma - sigma_untried[:, None], 0)  # 0 in a new tree
        _, action = jax.lax.top_k(noisy + gain, width)

        def top(leaf: jax.Array) -> jax.Array:
            return _padded(leaf[jnp.arange(batch)[:, None], action])

        edges = Edges(*map(top, edges))
        none = jnp.zeros(edges.visits.shape)
        root = Root(
            action=_padded(action),
            noisy=top(noisy),
            node=moves.node._replace(edges=edges),
            considered=jnp.minimum(width, moves.legal.sum(axis=-1)),
            simulations=jnp.zeros(batch, jnp.int32),
            done=jnp.zeros(batch, bool),
            rounds=none.astype(jnp.int32),
            child=top(moves.child),
            ahead=none.astype(bool),
            found=none,
        )
        return root._replace(done=finished(root)), logits

    def due(root: Root) -> jax.Array:
        """int32 [B], how often the moves that sequential halving goes to now were visited before."""
        return table[root.considered, jnp.minimum(root.simulations, config.simulations - 1)]

    def scores(root: Root) -> jax.Array:
        """float32 [B, K] of the moves that sequential halving may go to now; -inf of the others."""
        sigma, sigma_untried = completed(config, root.node, model.num_actions)
        score = root.noisy + jnp.where(root.node.edges.visits > 0, sigma, sigma_untried[:, None])
        mine = (root.rounds == due(root)[:, None]) & _there(root) & ~root.done[:, None]
        return jnp.where(mine, score, -jnp.inf)

    def in_play(root: Root) -> jax.Array:
        """bool [B, K], of the moves that sequential halving has not dropped."""
        return (root.rounds >= due(root)[:, None]) & _there(root)

    def finished(root: Root) -> jax.Array:
        """bool [B]: all simulations are made, or the move is sure whatever the others find."""
        out = root.simulations >= config.simulations
        if not stop_early:
            return out
        # sigma grows with q and is the same for all moves: what leads in noise plus logit and in q leads in both sums.
        _, visits, q = root.node.edges
        more = (config.simulations - root.simulations)[:, None]
        low, high = (visits * q - more) / (visits + more + TINY), (visits * q + more) / (visits + more + TINY)
        still = in_play(root)
        first = largest(jnp.where(still, root.noisy, -jnp.inf))[1][:, None] == jnp.arange(q.shape[1])
        lead = jnp.where(first, low, -jnp.inf).max(axis=-1)
        return out | (lead > jnp.where(still & ~first, high, -jnp.inf).max(axis=-1))

    def count(root: Root, slot: jax.Array, active: jax.Array) -> Root:
        """Counts the waiting simulation of one move in each active row."""
        through = (jnp.arange(root.action.shape[1]) == slot[:, None]) & active[:, None]
        found = root.found[jnp.arange(slot.shape[0]), slot]
        root = root._replace(
            node=root.node._replace(edges=one_more(root.node.edges, through, found)),
            simulations=root.simulations + active,
            rounds=root.rounds + through,
            ahead=root.ahead & ~through,
        )
        return root._replace(done=finished(root))

    def count_in_order(root: Root) -> Root:
        """Counts waiting simulations for as long as sequential halving goes to a move that has one."""

        def waiting(root: Root) -> tuple[jax.Array, jax.Array]:
            top, slot = largest(scores(root))
            return slot, root.ahead[jnp.arange(slot.shape[0]), slot] & (top > -jnp.inf)

        def count_one(carry: tuple[Root, jax.Array, jax.Array]) -> tuple[Root, jax.Array, jax.Array]:
            root = count(*carry)
            return root, *waiting(root)

        return jax.lax.while_loop(lambda carry: carry[2].any(), count_one, (root, *waiting(root)))[0]

    def guess(root: Root, size: int) -> tuple[jax.Array, jax.Array]:
        """The `size` moves of each root [B * size] that are likely next, and which of them to search."""
        score = jnp.where(root.ahead, -jnp.inf, scores(root))
        top, slot = (each[:, None] for each in largest(score)) if size == 1 else jax.lax.top_k(score, size)
        wanted = left[root.considered, jnp.minimum(root.simulations, config.simulations - 1)] - root.ahead.sum(axis=-1)
        active = (jnp.arange(size) < jnp.maximum(wanted, 1)[:, None]) & (top > -jnp.inf)
        return slot.reshape(-1), active.reshape(-1)

    def step(params: Params, key: jax.Array, size: int, carry: Carry) -> Carry:
        """Simulations below `size` moves of each root side by side, and the counting of those that were due."""
        tree, root, number = carry
        slot, active = guess(root, size)
        row = jnp.repeat(jnp.arange(root.simulations.shape[0]), size)
        child = root.child[row, slot]
        start = jnp.where(child == NONE, row * tree.room, child)
        action = jnp.where(child == NONE, root.action[row, slot], NONE)
        tree, child, value = simulate(tree, params, start, action, active, jax.random.fold_in(key, number))
        at = jnp.where(active, slot, root.action.shape[1])  # dropped
        root = root._replace(
            child=root.child.at[row, at].set(child, mode="drop"),
            found=root.found.at[row, at].set(edge_value(tree, child, value), mode="drop"),
            ahead=root.ahead.at[row, at].set(True, mode="drop"),
        )
        return tree, count(root, slot, active) if lanes == 1 else count_in_order(root), number + 1

    def going(last: int, carry: Carry) -> jax.Array:
        return (carry[2] < last) & ~carry[1].done.all()

    def search(tree: Tree, params: Params, key: jax.Array) -> tuple[Amplified, Tree]:
        tree_key, noise_key = jax.random.split(key)
        root, logits = sample(tree, noise_key)
        carry = tree, root, jnp.zeros((), jnp.int32)
        last = 0
        for size, times in steps(width, config.simulations, lanes):
            last += times
            one = functools.partial(step, params, tree_key, size)
            carry = jax.lax.while_loop(functools.partial(going, last), one, carry)
        if lanes > 1:  # roots with few moves, or with wrong guesses, are not there yet
            one = functools.partial(step, params, tree_key, 2)
            carry = jax.lax.while_loop(functools.partial(going, 2 * config.simulations), one, carry)
        tree = _with_root(carry[0], carry[1])
        return answer(tree, carry[1], logits), tree

    def answer(tree: Tree, root: Root, logits: jax.Array) -> Amplified:
        node, legal, _ = root_moves(tree)
        _, visits, q = node.edges
        sigma, sigma_untried = completed(config, node, model.num_actions)
        sigma = jnp.where(visits > 0, sigma, sigma_untried[:, None])
        policy = jax.nn.softmax(jnp.where(legal, logits + sigma, -jnp.inf))
        q = jnp.where(visits > 0, q, jnp.where(legal, mixed_value(node)[:, None], 0))
        row = jnp.arange(legal.shape[0])
        # A row that was left in the middle of a round has its sure move among those that still wait for their turn.
        whole = (root.simulations >= config.simulations)[:, None]
        most = jnp.where(whole, root.rounds == root.rounds.max(axis=-1, keepdims=True), in_play(root)) & _there(root)
        slot = jnp.where(most, root.noisy + sigma[row[:, None], root.action], -jnp.inf).argmax(axis=-1)
        return Amplified(root.action[row, slot], policy, visits, q, (policy * q).sum(axis=-1))

    return Algorithm(
        room=1 + model.nodes * (config.simulations + (width if lanes > 1 else 0)),
        edges=min(model.widest, config.simulations),
        outcomes=model.outcomes,
        prior=lambda prior, key: prior,
        search=search,
    )


def _there(root: Root) -> jax.Array:
    """bool [B, K], of the slots that hold a move."""
    return jnp.arange(root.action.shape[1]) < root.considered[:, None]


def _padded(leaf: jax.Array) -> jax.Array:
    """[B, K] with room for whole vectors."""
    return jnp.pad(leaf, ((0, 0), (0, edges_for(leaf.shape[1]) - leaf.shape[1])))


def _with_root(tree: Tree, root: Root) -> Tree:
    """The trees with what was counted at their roots."""
    batch, slots = root.action.shape
    roots = jnp.broadcast_to((jnp.arange(batch) * tree.room)[:, None], (batch, slots))
    at = jnp.where(_there(root) & (root.child != NONE), roots, tree.entries)
    edge = tree.edge[root.child]
    edges = tree.node.edges
    visits = edges.visits.at[at, edge].set(root.node.edges.visits.astype(edges.visits.dtype), mode="drop")
    q = edges.q.at[at, edge].set(root.node.edges.q, mode="drop")
    return tree._replace(node=tree.node._replace(edges=Edges(edges.prior, visits, q)))
