"""Every way to distil, on a student that is a table: where it converges to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from table_student import (
    LEGAL,
    POSITIONS,
    RANDOM,
    TABLE,
    TEACHER,
    Q,
    batch_of,
    best_of,
    converged,
    exact,
    policy_of,
    table_init,
    tilted,
)

import games
from azero.config import Config, DistillConfig, SearchConfig
from azero.distill import Learner, make_distiller
from azero.distill.adversarial import adversarial, discriminate, discriminator_models
from azero.distill.best_answer import best, literal
from azero.distill.core import log_policy
from azero.distill.cross_entropy import cross_entropy, visit_distribution
from azero.distill.imitation import drawn_answers, movers
from azero.distill.mixed import VALUE_LOGITS, imitation_share, margin, mixed
from azero.distill.outcome import outcome
from azero.distill.reinforce import reinforce
from azero.distill.safeguards import quantilizer
from azero.kinds import KINDS
from azero.network import Network
from azero.replay import Approval, Batch
from azero.search import Amplified, by_rules


def loss_of(kind, **options):
    """The loss of a kind as a run has it."""
    return make_distiller(Config(distill=DistillConfig(kind=kind, **options)), games.make("tic_tac_toe"), TABLE).loss


def balanced(weight):
    """The policy p that makes weight E_teacher[log p] + (1 - weight) E_p[q] largest: where its gradient is even,
    weight t / p + (1 - weight) q = c, so p = weight t / (c - (1 - weight) q), and c is found by halving."""
    gain = (1 - weight) * Q
    low = np.where(LEGAL, gain, -9).max(1, keepdims=True)
    high = low + 9
    for _ in range(60):
        middle = (low + high) / 2
        above = np.where(LEGAL, weight * TEACHER / np.maximum(middle - gain, 1e-9), 0).sum(1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(LEGAL, weight * TEACHER / (high - gain), 0)


SHARES = (RANDOM.multinomial(7, TEACHER.astype(float) / TEACHER.astype(float).sum(1, keepdims=True)) / 7).astype("f4")
CONVERGES = {
    "visits": (loss_of("visits"), TEACHER),
    "improved": (loss_of("improved"), TEACHER),
    "imitation": (cross_entropy(DistillConfig(answers=7), TABLE), SHARES, {"policy": SHARES}),
    "best_answer, log": (cross_entropy(DistillConfig(), TABLE), best_of(Q), {"policy": best_of(Q)}),
    "best_answer, literal": (literal(DistillConfig(), TABLE), best_of(Q), {"policy": best_of(Q)}),
    "reinforce, reward 1 for what M2 does and 0 for all else": (
        reinforce(exact(), TABLE),
        best_of(TEACHER),
        {"q": TEACHER},
    ),
    "reinforce": (reinforce(exact(), TABLE), best_of(Q)),
    "reinforce with entropy": (reinforce(exact(entropy=0.5), TABLE), tilted(1.0, Q, 0.5)),
    "reinforce with kl": (reinforce(exact(kl=0.4), TABLE), tilted(TEACHER, Q, 0.4)),
    "reinforce, quantilized": (reinforce(exact(quantilize=0.5), TABLE), np.asarray(quantilizer(TEACHER, Q, 0.5))),
    "reinforce, halfway": (reinforce(exact(halfway=0.5), TABLE), best_of(Q)),
    "reinforce, halfway and quantilized": (
        reinforce(exact(halfway=0.2, quantilize=0.5), TABLE),
        np.asarray(quantilizer(TEACHER, Q, 0.5)),
    ),
    "reward_model": (loss_of("reward_model", kl=0.4), tilted(TEACHER, Q, 0.4)),
    "mixed, half of each": (mixed(exact(imitation_weight=0.5), TABLE), balanced(0.5)),
    "mixed, imitation alone": (mixed(exact(imitation_weight=1.0), TABLE), TEACHER),
    "mixed, reinforcement alone": (mixed(exact(imitation_weight=0.0), TABLE), best_of(Q)),
    "mixed, the margin alone": (
        margin(exact(imitation_weight=1.0, mixture="margin"), TABLE),
        # M2's answer stands 0.8 above every other, none of which is pushed further.
        tilted(1.0, 0.8 * best_of(TEACHER), 1 / VALUE_LOGITS),
    ),
    "mixed, margin of 0": (
        margin(exact(imitation_weight=0.0, mixture="margin"), TABLE),
        tilted(1.0, Q, 1 / VALUE_LOGITS),
    ),
}


@pytest.mark.parametrize("name", CONVERGES)
def test_a_table_converges_to_what_theory_says(name):
    loss, expected, *inputs = CONVERGES[name]
    found = converged(loss, batch_of(**(inputs[0] if inputs else {})))
    assert (found[~LEGAL] == 0).all()
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_adversarial_imitation_converges_to_the_teacher():
    config = exact(kind="adversarial", imitate_first=0)
    models = discriminator_models(config, TABLE)(None, jax.random.key(0))
    follow = adversarial(config, TABLE)
    found = converged(follow, batch_of(), 6000, update=discriminate(config, TABLE), models=models)
    np.testing.assert_allclose(found, TEACHER, atol=0.03)


def test_the_actor_critic_converges_to_the_best_result():
    """Its rows are drawn from the student itself, and bring the result of the move."""

    def played(params, key):
        rows = jnp.arange(64 * POSITIONS) % POSITIONS
        logs = log_policy(params["logits"], jnp.asarray(LEGAL))[rows]
        made = jax.random.categorical(key, logs)
        approval = Approval(jnp.zeros(logs.shape), jnp.zeros(len(rows)), made)
        view = jnp.eye(POSITIONS)[rows].reshape(-1, 1, 1, POSITIONS)
        return Batch(view, jnp.asarray(LEGAL)[rows], jnp.exp(logs), jnp.asarray(Q)[rows, made], approval)

    loss = outcome(DistillConfig(kind="outcome", entropy=0.0), TABLE)

    def step(carry, number):
        params, memory = carry
        key = jax.random.fold_in(jax.random.key(2), number)
        seen = played(params, key)
        gradient = jax.grad(lambda p: loss(Learner(p, None, number), seen, key)[0])(params)
        changes, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(params, changes), memory), None

    optimizer = optax.adam(0.03)
    params = table_init(None)
    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(2000)))(
        (params, optimizer.init(params))
    )
    np.testing.assert_allclose(policy_of(params), best_of(Q), atol=0.05)
    np.testing.assert_allclose(np.tanh(params["value"]), (best_of(Q) * Q).sum(1), atol=0.05)


def test_every_kind_has_a_row_here():
    """A new way to distil brings its row; two that need more than a loss have the tests above."""
    kinds = {row.split(",")[0].split(" with")[0] for row in CONVERGES}
    assert kinds | {"adversarial", "outcome"} == set(KINDS)


def test_the_best_answer_is_legal_and_the_most_visited_of_the_best():
    amplified = Amplified(None, None, jnp.array([[0, 3, 5, 1]]), jnp.array([[0.9, 0.5, 0.5, 0.1]]), None)
    assert best(amplified, jnp.array([[False, True, True, True]]))[0] == 2
    assert best(amplified, jnp.array([[True, True, True, True]]))[0] == 0


def test_the_temperature_of_a_target():
    amplified = Amplified(None, None, jnp.array([[1, 3, 0]]), None, None)
    np.testing.assert_allclose(visit_distribution(amplified, 1.0), [[0.25, 0.75, 0]], atol=1e-6)
    np.testing.assert_allclose(visit_distribution(amplified, 0.5), [[0.1, 0.9, 0]], atol=1e-6)


def test_answers_are_drawn_from_the_teacher():
    class States:
        legal = jnp.asarray(LEGAL)

    amplified = Amplified(None, jnp.asarray(TEACHER), None, None, None)
    for temperature in (1.0, 0.5):
        teach = drawn_answers(DistillConfig(answers=4, temperature=temperature))
        found = np.asarray(
            jax.vmap(lambda key, teach=teach: teach(None, States, amplified, key).policy)(
                jax.random.split(jax.random.key(6), 4000)
            )
        )
        assert set(np.unique(found)) <= {0, 0.25, 0.5, 0.75, 1}
        wanted = TEACHER ** (1 / temperature)
        wanted /= wanted.sum(1, keepdims=True)
        error = np.sqrt(wanted * (1 - wanted) / 16_000)
        assert (np.abs(found.mean(0) - wanted) <= 4.5 * error + 1e-9).all()


def test_a_fresh_search_approves_with_the_movers_sign():
    """x can win at once with cell 2; every other move lets o win."""
    from azero.distill.reinforce import fresh_approval
    from azero.search import make_tree_search

    game = games.make("tic_tac_toe")
    state = games.notation.play_text(game, "a1 a2 b1 b2".replace(" ", game.notation.separator))
    states = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)

    def even(params, states, key):
        return jnp.zeros(states.legal.shape), jnp.zeros(states.legal.shape[0])

    search = make_tree_search(SearchConfig(simulations=40), by_rules(game, even), explore=False)
    approve = fresh_approval(game, lambda learner, states, key: search(None, states, key))
    q = np.asarray(jax.jit(lambda: approve(None, states, jax.random.key(0)))())[0]
    win = game.notation.action(state, "c1")
    block = game.notation.action(state, "c2")
    assert q[win] == 1
    assert q[block] > -0.9
    others = [move for move in range(9) if state.legal[move] and move not in (win, block)]
    assert (q[others] < -0.5).all(), "the opponent wins then"
    assert (q[~np.asarray(state.legal)] == 0).all()


def test_schedules_fall_from_their_first_iteration():
    config = DistillConfig(imitation_weight=0.8, imitation_half_life=4.0)
    shares = [float(imitation_share(config, jnp.int32(number))) for number in (1, 5, 9)]
    np.testing.assert_allclose(shares, [0.8, 0.4, 0.2], rtol=1e-5)
    assert imitation_share(DistillConfig(imitation_weight=0.8), jnp.int32(9)) == 0.8


def test_the_student_makes_its_share_of_the_moves():
    """A teacher who always plays move 1 and a student who always plays move 2."""
    game = games.make("tic_tac_toe")
    sure = Network(
        None, lambda params, views: (1e3 * jax.nn.one_hot(jnp.full(len(views), 2), 9), jnp.zeros(len(views)))
    )
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 4000))
    amplified = Amplified(jnp.ones(4000, jnp.int32), None, None, None, None)
    for states_of, iteration, share in (("student", 0, 0.0), ("mixture", 0, 1.0), ("mixture", 6, 0.25)):
        act = movers(DistillConfig(states=states_of, teacher_half_life=3.0), game, sure)
        moves = np.asarray(act(Learner(None, None, jnp.int32(iteration)), states, amplified, jax.random.key(1)))
        assert set(moves) <= {1, 2}
        assert (moves == 1).mean() == pytest.approx(share, abs=4 * 0.5 / np.sqrt(4000))
    assert movers(DistillConfig(states="teacher"), game, sure) is None
