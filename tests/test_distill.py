"""Every way to distil, on a student that is a table: where it converges to, and what its gradients are."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

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
from azero.distill.reinforce import reference_policy, reinforce, score
from azero.distill.safeguards import next_weight, quantilizer, under
from azero.kinds import KINDS
from azero.network import Network
from azero.replay import Approval, Batch
from azero.search import Amplified

POSITIONS, ACTIONS = 6, 4
LEGAL = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 1]], bool)


def table_apply(params, observation):
    """A student with a logit for each position and move, and a value for each position."""
    rows = observation.reshape(len(observation), -1).argmax(-1)
    return params["logits"][rows], jnp.tanh(params["value"][rows])


def table_init(key):
    del key
    return {"logits": jnp.zeros((POSITIONS, ACTIONS)), "value": jnp.zeros(POSITIONS)}


TABLE = Network(table_init, table_apply)
RANDOM = np.random.default_rng(0)
Q = np.where(LEGAL, RANDOM.uniform(-0.9, 0.9, LEGAL.shape), 0.0).astype(np.float32)
TEACHER = np.where(LEGAL, RANDOM.dirichlet(np.ones(ACTIONS) * 3, POSITIONS) + 0.02, 0.0).astype(np.float32)
TEACHER /= TEACHER.sum(1, keepdims=True)
VALUE = np.linspace(-0.8, 0.8, POSITIONS).astype(np.float32)


def batch_of(q=Q, policy=TEACHER) -> Batch:
    """Each position once."""
    view = jnp.eye(POSITIONS).reshape(POSITIONS, 1, 1, POSITIONS)
    approval = Approval(jnp.asarray(q), jnp.asarray(VALUE), jnp.full(POSITIONS, -1))
    return Batch(view, jnp.asarray(LEGAL), jnp.asarray(policy), jnp.asarray(VALUE), approval)


def policy_of(params) -> np.ndarray:
    return np.exp(log_policy(params["logits"], jnp.asarray(LEGAL)))


def one_hot(moves) -> np.ndarray:
    return np.eye(ACTIONS)[moves]


def best_of(q) -> np.ndarray:
    """A point mass on the best legal move."""
    return one_hot(np.where(LEGAL, q, -9).argmax(1))


def tilted(base, q, beta) -> np.ndarray:
    """base * exp(q / beta), normalised over the legal moves."""
    weights = np.where(LEGAL, base * np.exp(q / beta), 0)
    return weights / weights.sum(1, keepdims=True)


def converged(loss, batch, steps=3000, update=None, models=None, rate=0.03) -> np.ndarray:
    """The policy of a student that follows this loss with exact gradients."""
    optimizer = optax.adam(rate)

    def step(carry, number):
        params, memory, models = carry
        key = jax.random.fold_in(jax.random.key(1), number)
        learner = Learner(params, models, number)
        gradient, losses = jax.grad(lambda p: loss(learner._replace(params=p), batch, key), has_aux=True)(params)
        changes, memory = optimizer.update(gradient, memory)
        params = optax.apply_updates(params, changes)
        if update is not None:
            models, _ = update(learner._replace(params=params), batch, losses, key, lambda tree: tree)
        return (params, memory, models), None

    params = table_init(None)
    carry, _ = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(steps)))(
        (params, optimizer.init(params), models)
    )
    np.testing.assert_allclose(np.tanh(carry[0]["value"]), VALUE, atol=0.02, err_msg="values of the mover's side")
    return policy_of(carry[0])


def exact(**options) -> DistillConfig:
    """A config whose gradients are expectations."""
    return DistillConfig(**{"baseline": "all_actions", "entropy": 0.0} | options)


CONVERGES = {
    "visits": (cross_entropy(DistillConfig(), TABLE), TEACHER),
    "best_answer, log": (cross_entropy(DistillConfig(), TABLE), best_of(Q), {"policy": best_of(Q)}),
    "best_answer, literal": (literal(DistillConfig(), TABLE), best_of(Q), {"policy": best_of(Q)}),
    "reward 1 for what M2 does, 0 for all else": (reinforce(exact(), TABLE), best_of(TEACHER), {"q": TEACHER}),
    "reinforce": (reinforce(exact(), TABLE), best_of(Q)),
    "reinforce with entropy": (reinforce(exact(entropy=0.5), TABLE), tilted(1.0, Q, 0.5)),
    "reinforce with kl": (reinforce(exact(kl=0.4), TABLE), tilted(TEACHER, Q, 0.4)),
    "reinforce, quantilized": (reinforce(exact(quantilize=0.5), TABLE), np.asarray(quantilizer(TEACHER, Q, 0.5))),
    "reinforce, halfway": (reinforce(exact(halfway=0.5), TABLE), best_of(Q)),
    "reinforce, halfway and quantilized": (
        reinforce(exact(halfway=0.2, quantilize=0.5), TABLE),
        np.asarray(quantilizer(TEACHER, Q, 0.5)),
    ),
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


def test_a_table_of_drawn_answers_converges_to_their_shares():
    teacher = TEACHER.astype(float)
    drawn = RANDOM.multinomial(7, teacher / teacher.sum(1, keepdims=True))
    shares = (drawn / 7).astype(np.float32)
    found = converged(cross_entropy(DistillConfig(answers=7), TABLE), batch_of(policy=shares))
    np.testing.assert_allclose(found, shares, atol=0.03)


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
    """A new way to distil brings its row."""
    assert {row.split(",")[0].split(" with")[0] for row in CONVERGES} >= {"visits", "best_answer", "reinforce", "mixed"}
    assert len(KINDS) == 9, "imitation, adversarial and outcome have tests of their own; a new kind needs one too"
    game = games.make("tic_tac_toe")
    for kind in ("improved", "reward_model"):  # the losses of `visits` and of `reinforce`
        config = Config(distill=DistillConfig(kind=kind))
        made = make_distiller(config, game, TABLE)
        twin = {"improved": "visits", "reward_model": "reinforce"}[kind]
        other = make_distiller(dataclasses.replace(config, distill=DistillConfig(kind=twin)), game, TABLE)
        assert made.loss.__qualname__ == other.loss.__qualname__


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
        gradient = jax.grad(lambda p: loss(Learner(p, models, jnp.int32(99)), batch, jax.random.key(4))[0])(params)  # noqa: B023
        if name != "outcome":  # which learns from moves, not from policies
            assert (np.asarray(gradient["logits"])[:2] == 0).all(), name
        assert (np.asarray(gradient["value"])[:2] != 0).all(), name


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

    search = make_tree_search(SearchConfig(simulations=40), game, even, explore=False)
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
