"""The gradients of the ways to distil, and their safeguards, on a table."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table_student import (
    ACTIONS,
    LEGAL,
    POSITIONS,
    RANDOM,
    TABLE,
    TEACHER,
    VALUE,
    Q,
    batch_of,
    best_of,
    converged,
    exact,
    one_hot,
    policy_of,
)

from azero.config import DistillConfig
from azero.distill import Learner
from azero.distill.adversarial import adversarial, discriminator_models
from azero.distill.best_answer import literal
from azero.distill.core import log_policy
from azero.distill.cross_entropy import cross_entropy
from azero.distill.mixed import margin, mixed
from azero.distill.outcome import outcome
from azero.distill.reinforce import reference_policy, reinforce, score
from azero.distill.safeguards import next_weight, quantilizer, under


def gradient_of(loss, params) -> np.ndarray:
    return np.asarray(jax.grad(loss)(params))


def test_the_literal_gradient_is_expected_reinforce_with_reward_for_the_best_answer_alone():
    logits = jnp.asarray(RANDOM.normal(size=(POSITIONS, ACTIONS)), jnp.float32)
    batch = batch_of(policy=best_of(Q))
    of_literal = jax.grad(
        lambda x: literal(DistillConfig(), TABLE)(Learner({"logits": x, "value": jnp.zeros(6)}, None, 0), batch, None)[
            0
        ]
    )(logits)
    expected = jax.grad(
        lambda x: score(exact(), log_policy(x, batch.legal), jnp.asarray(best_of(Q)), *[None] * 3).mean()
    )(logits)
    np.testing.assert_allclose(of_literal, expected, atol=1e-6)
    assert np.abs(expected).max() > 0.01


def test_sampled_gradients_have_the_exact_mean_and_baselines_cut_their_variance():
    logits = jnp.asarray(RANDOM.normal(size=(POSITIONS, ACTIONS)), jnp.float32)
    reward = jnp.asarray(np.where(LEGAL, Q + VALUE[:, None], 0))
    value = jnp.asarray((policy_of({"logits": logits}) * reward).sum(1))

    def gradient(config, key):
        return jax.grad(lambda x: score(config, log_policy(x, jnp.asarray(LEGAL)), reward, value, value, key).sum())(
            logits
        )

    right = gradient(exact(), None)
    keys = jax.random.split(jax.random.key(3), 20_000)
    variances = {}
    for baseline in ("none", "mean", "value", "search_value", "leave_one_out"):
        config = DistillConfig(baseline=baseline, answers=4)
        found = np.asarray(jax.jit(jax.vmap(lambda key, config=config: gradient(config, key)))(keys))
        error = found.std(0) / np.sqrt(len(keys))
        assert (np.abs(found.mean(0) - right) <= 4 * error + 1e-6).all(), baseline
        variances[baseline] = found.var(0).sum()
    ratios = {name: float(variance / variances["none"]) for name, variance in variances.items()}
    print("variance of the gradient against no baseline:", {name: round(ratio, 3) for name, ratio in ratios.items()})
    for baseline in ("value", "search_value", "leave_one_out"):
        assert ratios[baseline] < 0.8, baseline


def test_escaping_from_a_small_chance_takes_log_steps_or_their_power():
    """grad log p(X*) needs a number of steps that grows with log(1 / p0), grad p(X*) with 1 / p0."""
    batch = batch_of(policy=one_hot(np.ones(POSITIONS, int)))
    everywhere = batch._replace(legal=jnp.ones_like(batch.legal))

    def steps(loss, chance, rate=1.0):
        start = jnp.zeros((POSITIONS, ACTIONS)).at[:, 1].set(jnp.log(chance * (ACTIONS - 1) / (1 - chance)))

        def going(carry):
            logits, number = carry
            return (jax.nn.softmax(logits)[0, 1] < 0.9) & (number < 200_000)

        def step(carry):
            logits, number = carry
            value = jnp.zeros(POSITIONS)
            gradient = jax.grad(lambda x: loss(Learner({"logits": x, "value": value}, None, 0), everywhere, None)[0])(
                logits
            )
            return logits - rate * POSITIONS * gradient, number + 1

        return int(jax.jit(lambda x: jax.lax.while_loop(going, step, (x, 0)))(start)[1])

    chances = [1e-2, 1e-3, 1e-4]
    log_form = [steps(cross_entropy(DistillConfig(value_weight=0), TABLE), chance) for chance in chances]
    literal_form = [steps(literal(DistillConfig(value_weight=0), TABLE), chance) for chance in chances]
    print("steps to 0.9 from", chances, "log", log_form, "literal", literal_form)
    assert log_form[2] - log_form[1] <= 2 * (log_form[1] - log_form[0]) + 2, "as many more for each factor of ten"
    assert log_form[2] < 30
    for before, after in itertools.pairwise(literal_form):
        assert 5 < after / before < 15, "ten times as many for a tenth"


def test_no_cost_is_more_than_one_qth_of_the_bases():
    rng = np.random.default_rng(5)
    legal = rng.random((2000, 7)) < 0.7
    legal[:, 0] = True
    base = np.where(legal, rng.dirichlet(np.ones(7), 2000), 0)
    base /= base.sum(1, keepdims=True)
    reward = rng.normal(size=base.shape)
    reward[:1000] = reward[:1000].round(0)  # with ties
    for share in (1.0, 0.8, 0.5, 0.3, 0.1, 0.03):
        found = np.asarray(quantilizer(jnp.asarray(base), jnp.asarray(reward), share), np.float64)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)
        assert (found <= base / share + 1e-5).all()
        for _ in range(5):
            cost = rng.exponential(size=base.shape) ** 3
            assert ((found * cost).sum(1) <= (base * cost).sum(1) / share + 1e-4).all()
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.where(found > 0, found * np.log(found / base), 0).sum(1)
        assert (divergence <= np.log(1 / share) + 1e-4).all()
        gained = (found * reward).sum(1)
        for other in rng.dirichlet(np.ones(7), 20):  # nothing under the cap earns more
            capped = np.asarray(under(jnp.log(jnp.where(legal, other, 0) + 1e-9), jnp.asarray(base / share)))
            assert (capped <= base / share + 1e-4).all()
            assert ((capped * reward).sum(1) <= gained + 1e-3).all()


def test_what_lies_nearest_under_a_cap():
    """By hand: 0.6 is cut to 0.3, and what is over goes to the others in proportion."""
    found = under(jnp.log(jnp.array([[0.6, 0.3, 0.1]])), jnp.array([[0.3, 1.0, 0.4]]))
    np.testing.assert_allclose(found, [[0.3, 0.525, 0.175]], atol=1e-6)
    same = under(jnp.log(jnp.array([[0.6, 0.3, 0.1]])), jnp.ones((1, 3)))
    np.testing.assert_allclose(same, [[0.6, 0.3, 0.1]], atol=1e-6)
    steep = under(jnp.array([[0.0, -200.0, -203.0]]), jnp.array([[0.5, 1.0, 1.0]]))
    share = 0.5 / (1 + np.exp(-3.0))
    np.testing.assert_allclose(steep, [[0.5, share, 0.5 - share]], atol=1e-5)
    closed = under(jnp.array([[0.0, -200.0, -3.0]]), jnp.array([[0.5, 0.5, 0.0]]))
    np.testing.assert_allclose(closed, [[0.5, 0.5, 0.0]], atol=1e-6)


def test_the_weight_of_the_penalty_follows_its_target():
    config = DistillConfig(kl=0.1, kl_target=0.5)
    weight = jnp.float32(0.1)
    assert next_weight(config, weight, jnp.float32(1.0)) > weight
    assert next_weight(config, weight, jnp.float32(0.2)) < weight
    assert next_weight(config, weight, jnp.float32(0.5)) == weight
    loss = reinforce(exact(kl=0.01, kl_target=0.3), TABLE)
    from azero.distill.reinforce import safeguard_models, safeguard_update

    config = exact(kl=0.01, kl_target=0.3)
    models = safeguard_models(config)(None, None)
    found = converged(loss, batch_of(), 6000, update=safeguard_update(config), models=models)
    reference = np.asarray(reference_policy(jnp.asarray(TEACHER), jnp.asarray(LEGAL)))
    apart = np.where(found > 0, found * np.log(np.maximum(found, 1e-9) / np.where(LEGAL, reference, 1)), 0)
    assert apart.sum(1).mean() == pytest.approx(0.3, abs=0.05)


COMPOSED = [
    {},
    {"kl": 0.1},
    {"quantilize": 0.5},
    {"halfway": 0.3},
    {"kl": 0.1, "quantilize": 0.5},
    {"kl": 0.1, "halfway": 0.3},
    {"quantilize": 0.5, "halfway": 0.3},
    {"kl": 0.1, "kl_target": 0.2, "quantilize": 0.5, "halfway": 0.3},
]


def losses_to_check():
    """Every loss there is, with every composition of safeguards for those that have them."""
    plain = DistillConfig()
    yield "cross_entropy", cross_entropy(plain, TABLE), None
    yield "literal", literal(plain, TABLE), None
    yield "margin", margin(plain, TABLE), None
    yield "outcome", outcome(plain, TABLE), None
    for options in COMPOSED:
        for baseline in ("none", "mean", "value", "search_value", "leave_one_out", "all_actions"):
            if baseline != "none" and options:
                continue
            config = DistillConfig(baseline=baseline, answers=3, **options)
            models = {"kl": jnp.float32(0.1)}
            yield f"reinforce {baseline} {options}", reinforce(config, TABLE), models
            yield f"mixed {baseline} {options}", mixed(config, TABLE), models
            models = models | discriminator_models(config, TABLE)(None, jax.random.key(0))
            yield f"adversarial {baseline} {options}", adversarial(config, TABLE), models


@pytest.mark.parametrize(("name", "loss", "models"), [pytest.param(*row, id=row[0]) for row in losses_to_check()])
def test_illegal_moves_have_no_probability_and_no_gradient(name, loss, models):
    del name
    logits = jnp.asarray(RANDOM.normal(size=(POSITIONS, ACTIONS)), jnp.float32)
    batch = batch_of(q=np.where(LEGAL, Q, 50.0))  # nobody may follow this
    batch = batch._replace(approval=batch.approval._replace(action=jnp.asarray(LEGAL.argmax(1))))
    params = {"logits": logits, "value": jnp.zeros(POSITIONS)}
    gradient, losses = jax.grad(
        lambda p: loss(Learner(p, models, jnp.int32(99)), batch, jax.random.key(4)), has_aux=True
    )(params)
    assert (np.asarray(gradient["logits"])[~LEGAL] == 0).all()
    assert np.abs(np.asarray(gradient["logits"])[LEGAL]).max() > 1e-4
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, losses)))
    # The value is pulled to the mover's own: up where it is above 0, down where it is below.
    assert (np.sign(-np.asarray(gradient["value"])) == np.sign(VALUE)).all()


def test_a_position_without_a_policy_target_teaches_its_value_only():
    for name, loss, models in losses_to_check():
        batch = batch_of(policy=TEACHER * (np.arange(POSITIONS) > 1)[:, None])
        params = {"logits": jnp.asarray(RANDOM.normal(size=Q.shape), jnp.float32), "value": jnp.zeros(POSITIONS)}
        gradient = jax.grad(lambda p: loss(Learner(p, models, jnp.int32(99)), batch, jax.random.key(4))[0])(params)  # noqa: B023 - called at once
        if name != "outcome":  # which learns from moves, not from policies
            assert (np.asarray(gradient["logits"])[:2] == 0).all(), name
        assert (np.asarray(gradient["value"])[:2] != 0).all(), name
