"""The learned model: its numbers by hand, its store, its loss, and that a right model plans like the rules."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from azero.checks import check
from azero.config import (
    Config,
    LearnConfig,
    MuZeroConfig,
    NetworkConfig,
    ReplayConfig,
    SearchConfig,
    SelfPlayConfig,
)  # fmt: skip
from azero.distill import Learner
from azero.muzero import sequences
from azero.muzero.learning import make_learned
from azero.muzero.network import board_of, make_unroller
from azero.muzero.sequences import Came, returns
from azero.muzero.support import atoms, expected, pressed, stretched, two_hot
from azero.network import Dynamics, Network, make_network
from azero.replay import unpack
from azero.search import make_search
from azero.selfplay import Trajectory
from azero.store import make_lessons
from azero.train import make_trainer
from games.lines import lines

KEY = jax.random.key(7)
PLAYED = 8 * 6  # positions in one iteration of CONFIG
GAME = games.make("tic_tac_toe")
CONFIG = Config(
    game="tic_tac_toe",
    model="learned",
    devices=1,
    network=NetworkConfig(width=32, blocks=1),
    search=SearchConfig(simulations=8),
    selfplay=SelfPlayConfig(games=8, plies=6, opening_plies=2),
    replay=ReplayConfig(capacity=8 * 16, minimum=64),
    learn=LearnConfig(batch=32, reuse=1.0),
    muzero=MuZeroConfig(unroll=3, td_steps=2, bins=11),
)


def options(**changed):
    return dataclasses.replace(CONFIG, muzero=dataclasses.replace(CONFIG.muzero, **changed))


def test_the_scale_by_hand():
    np.testing.assert_allclose(pressed(jnp.array([0.0, 3.0, -3.0, 99.0])), [0, 1.003, -1.003, 9.099], rtol=1e-6)
    x = jnp.array([-500.0, -7.5, -1.0, 0.0, 1e-3, 0.5, 1.0, 30.0, 499.0])
    np.testing.assert_allclose(stretched(pressed(x)), x, rtol=2e-4, atol=1e-6)


def test_a_number_is_shared_between_the_two_atoms_next_to_it():
    among = atoms(3.0, 3)  # -1.003, 0, 1.003 once pressed
    weights = two_hot(jnp.array([0.0, 3.0, -3.0, 100.0]), among)
    np.testing.assert_allclose(weights, [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]])
    half = stretched(jnp.float32(1.003 / 2))
    np.testing.assert_allclose(two_hot(half, among), [0, 0.5, 0.5], atol=1e-5)


@pytest.mark.parametrize("largest", [1.0, 500.0])
def test_the_transform_and_its_inverse(largest):
    among = atoms(largest, 21)
    x = jnp.linspace(-largest, largest, 97)
    weights = two_hot(x, among)
    assert ((weights > 0).sum(axis=-1) <= 2).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(expected(jnp.log(weights), among), x, rtol=1e-3, atol=1e-3)


def stretch(value, chosen, reward, discount):
    """One stretch of plies."""
    value, reward, discount = (jnp.array([leaf], float) for leaf in (value, reward, discount))
    return Came(value, jnp.array([chosen], bool), reward, discount)


def test_returns_by_hand():
    """Two players; the mover of ply 2 wins; another game begins at ply 3."""
    came = stretch([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0], [-1, -1, 0, -1, -1, -1])
    newest = jnp.array([5])
    np.testing.assert_allclose(returns(came, 1, newest), [[-0.2, -0.3, 1.0, -0.5, -0.6]], rtol=1e-6)
    # From ply 0 two moves lead to ply 2, whose mover is the same; from ply 1 the win two plies on is the other's.
    np.testing.assert_allclose(returns(came, 2, newest), [[0.3, -1.0, 1.0, 0.6]], rtol=1e-6)


def test_returns_across_random_moves_a_cut_and_the_newest_ply():
    """One player, discount 0.5."""
    came = stretch([9.0, 8.0, 7.0, 6.0, 5.0], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0.5] * 5)
    # Ply 1 was drawn at random: it says nothing of ply 1, and ply 0 looks no further than the value found there.
    np.testing.assert_allclose(returns(came, 2, jnp.array([4])), [[1 + 0.5 * 8, 8, 1 + 0.5 * (1 + 0.5 * 5)]])
    # Where ply 3 is the newest, nothing is known of what follows it.
    np.testing.assert_allclose(returns(came, 2, jnp.array([3])), [[5, 8, 1 + 0.5 * 6]])
    # A game cut off at ply 2 (reward and discount 0 there, not chosen) is worth what the search found there.
    cut = stretch([9.0, 8.0, 7.0, 6.0, 5.0], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1], [0.5, 0.5, 0, 0.5, 0.5])
    np.testing.assert_allclose(returns(cut, 2, jnp.array([4])), [[1 + 0.5 * (1 + 0.5 * 7), 1 + 0.5 * 7, 7]])


@functools.cache
def played():
    """The state of a trainer after one iteration of CONFIG."""
    trainer = make_trainer(CONFIG, GAME)
    return trainer.iterate(trainer.init())[0]


def in_time(store):
    """Every ply of the store [B, T] in the order of time, with its observation."""
    count = min(int(store.added[0]), store.priority.shape[1])
    places = (int(store.cursor[0]) - count + np.arange(count)) % store.priority.shape[1]
    plies = jax.tree.map(lambda leaf: np.asarray(leaf)[:, places], store.plies)
    view, legal = jax.vmap(jax.vmap(lambda one: unpack(GAME, one)))(plies.position)
    return plies, np.asarray(view), np.asarray(legal)


@pytest.mark.parametrize("iterations", [1, 4])
def test_the_store_holds_games_as_they_were_played(iterations):
    """Also once the ring of 16 plies is full and begins anew inside an iteration's 6."""
    trainer = make_trainer(CONFIG, GAME)
    state = trainer.init()
    for _ in range(iterations):
        state, _ = trainer.iterate(state)
    plies, view, legal = in_time(state.replay)
    assert view.shape[1] == min(6 * iterations, 16)
    for row in range(8):
        for ply in range(view.shape[1] - 1):
            move = int(plies.made[row, ply])
            assert legal[row, ply, move]
            if plies.ended[row, ply]:
                assert not view[row, ply + 1].any(), "after the end an empty board"
                continue
            after = view[row, ply].copy()
            after[move // 3, move % 3, 0] = 1
            np.testing.assert_array_equal(view[row, ply + 1], after[..., ::-1])
    assert plies.ended.any()


def drawn(config, store, count=256, key=KEY):
    return jax.device_get(sequences.draw(store, GAME, config, jnp.int32(PLAYED), count, key))


def test_what_is_drawn_follows_the_rules_under_every_symmetry_and_ends_with_the_game():
    batch = drawn(CONFIG, played().replay)
    assert batch.inside[:, 0].all()
    assert not batch.inside.all()
    for row in range(len(batch.moves)):
        board = batch.observation[row, 0].copy()
        for step, move in enumerate(batch.moves[row]):
            if not batch.inside[row, step]:
                break
            board[move // 3, move % 3, 0] = 1
            won = board[..., 0].ravel()[lines(3, 3, 3)].all(axis=-1).any()
            over = won or board.sum() == 9
            assert batch.reward[row, step] == won
            assert batch.discount[row, step] == (0 if over else -1)
            assert batch.inside[row, step + 1] == (not over)
            board = board[..., ::-1].copy()
            if not over:
                np.testing.assert_array_equal(batch.observation[row, step + 1], board)
    assert len(np.unique(batch.observation[:, 0].reshape(256, -1), axis=0)) > 24, "more than there are plies"


def unsettled(params):
    """The same with noise: heads of 0 say the same of everything."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    noisy = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def test_what_lies_beyond_the_end_of_a_game_teaches_nothing():
    unroller = make_unroller(CONFIG, GAME)
    learned = make_learned(CONFIG, GAME, unroller)
    params = unsettled(unroller.network.init(KEY))
    batch = drawn(CONFIG, played().replay, 64)
    learner = Learner(params, None, jnp.int32(0))
    loss = jax.jit(lambda batch: learned.loss(learner, batch, KEY)[0])
    outside, unmoved = ~batch.inside, ~batch.moved
    assert outside.any()
    other = batch._replace(
        policy=np.where(outside[..., None], 1 / 9, batch.policy).astype(np.float32),
        value=np.where(outside, 0.5, batch.value).astype(np.float32),
        reward=np.where(unmoved, 1.0, batch.reward).astype(np.float32),
        discount=np.where(unmoved, 1.0, batch.discount).astype(np.float32),
    )
    assert loss(other) == loss(batch)
    assert loss(batch._replace(value=batch.value + np.where(batch.inside, 0.1, 0).astype(np.float32))) != loss(batch)
    assert loss(batch._replace(reward=np.where(batch.moved, 1.0, batch.reward).astype(np.float32))) != loss(batch)


def test_draws_by_value_error_and_their_weights():
    config = options(priority=1.0)
    store = played().replay
    store = store._replace(priority=jnp.zeros((8, 16)).at[2, 1].set(3.0).at[5, 0].set(1.0).at[3, 4].set(50.0))
    row, age, weight = sequences._places(store, 1.0, jnp.int32(3), 3, 4000, KEY)  # 6 plies: ages 3 to 5, places 2 to 0
    place = 5 - np.asarray(age)
    assert np.mean((row == 2) & (place == 1)) == pytest.approx(0.75, abs=0.04)
    assert np.mean((row == 5) & (place == 0)) == pytest.approx(0.25, abs=0.04)
    assert not ((row == 3) & (place == 4)).any(), "too young to be followed for three moves"
    heavy, light = weight[(row == 5) & (place == 0)][0], weight[(row == 2) & (place == 1)][0]
    assert heavy / light == pytest.approx(3.0, rel=0.01)
    found = sequences.errors(played().replay, config)
    plies, _, _ = in_time(played().replay)
    n_step = returns(jax.tree.map(jnp.asarray, plies.came), 2, jnp.full(8, 5))
    np.testing.assert_allclose(found.priority[:, :4], np.abs(n_step - plies.came.value[:, :4]), atol=1e-6)
    assert not found.priority[:, 6:].any()


def test_old_positions_get_todays_answers_and_nothing_else_changes():
    config = options(reanalyse=0.5)
    _, _, store = make_lessons(config, GAME, 1)
    state = played()
    trajectory = trajectory_of(state.replay)
    learner = Learner(unsettled(state.params), None, jnp.int32(1))
    add = jax.jit(store.add)
    once = add(state.replay, learner, trajectory, jnp.zeros(8), KEY)
    again = add(state.replay, learner, trajectory, jnp.zeros(8), jax.random.key(8))
    plain = sequences.add(state.replay, trajectory)
    changed = np.asarray(once.plies.came.value != plain.plies.came.value)
    assert 0 < changed.sum() <= 24, "half of 48, or fewer where one was drawn twice"
    assert not changed[:, 12:].any(), "these places are empty"
    np.testing.assert_array_equal(np.asarray(once.plies.weights != plain.plies.weights).any(-1) & ~changed, False)
    for name in ("position", "made", "ended"):
        jax.tree.map(np.testing.assert_array_equal, getattr(once.plies, name), getattr(plain.plies, name))
    assert (changed != np.asarray(again.plies.came.value != plain.plies.came.value)).any(), "another key, other places"


def trajectory_of(store):
    """The plies of a store, played once more."""
    plies = jax.tree.map(lambda leaf: jnp.swapaxes(leaf[:, :6], 0, 1), store.plies)
    came = plies.came
    return Trajectory(
        plies.position, plies.actions, plies.weights, came.value, plies.made, came.chosen, came.reward, came.discount,
        came.reward, plies.ended,
    )  # fmt: skip


def planted(plain: Network) -> Network:
    """A network whose dynamics are the true rules of tic-tac-toe, on the planes of an observation."""
    cells = lines(3, 3, 3)

    def step(params, view, action):
        mine = view[..., 0].reshape(-1, 9).at[jnp.arange(action.shape[0]), action].set(1.0)
        won = (mine[:, cells] > 0.5).all(-1).any(-1)
        after = jnp.stack([view[..., 1], mine.reshape(-1, 3, 3)], -1)
        over = won | (after.sum((1, 2, 3)) > 8.5)
        return after, won.astype(jnp.float32), jnp.where(over, 0.0, -1.0), over

    def predict(params, view):
        logits, value = plain.apply(params, view)
        taken = view.sum(-1).reshape(-1, 9) > 0.5
        # Which moves are legal is for the prior to say; a game that is over has no moves left.
        return jnp.where(taken & ~taken.all(-1, keepdims=True), -1e9, logits), value

    return Network(plain.init, plain.apply, Dynamics(lambda params, view: view, step, predict))


@pytest.mark.parametrize(("algorithm", "backend"), [("gumbel", "azero"), ("puct", "azero"), ("gumbel", "mctx")])
def test_a_planted_model_plans_like_the_rules(algorithm, backend):
    plain = make_network(NetworkConfig(width=16, blocks=1), GAME)
    params = plain.init(KEY)
    config = SearchConfig(algorithm=algorithm, backend=backend, simulations=40)
    states = jax.vmap(GAME.init)(jax.random.split(KEY, 16))
    for ply in range(4):  # boards of several stones, with wins in reach
        moves = jax.random.categorical(jax.random.fold_in(KEY, ply), jnp.where(states.legal, 0.0, -jnp.inf))
        states = jax.vmap(GAME.step)(states, moves, jax.random.split(KEY, 16))
    told, learned = (
        jax.jit(make_search(config, GAME, network, explore=True))(params, states, KEY)
        for network in (plain, planted(plain))
    )
    np.testing.assert_array_equal(told.visits, learned.visits)
    np.testing.assert_array_equal(told.action, learned.action)
    np.testing.assert_allclose(told.policy, learned.policy, atol=1e-6)
    np.testing.assert_allclose(told.q, learned.q, atol=1e-6)
    assert len(np.unique(np.asarray(told.visits), axis=0)) > 4


def test_a_known_reward_is_told_from_the_foreseen_board():
    """The planes of a board that holds a line of the one who moved, as logits."""
    config = dataclasses.replace(CONFIG, model="learned_explicit_reward")
    view = np.zeros((3, 3, 2), np.float32)
    view[1, :, 1] = 1
    logits = jnp.asarray(np.where(view > 0, 3.0, -3.0))[None]
    np.testing.assert_array_equal(board_of(GAME, logits)[0], view)
    reward, over = GAME.judge(board_of(GAME, logits)[0])
    assert (float(reward), bool(over)) == (1.0, True)
    reward, over = GAME.judge(jnp.asarray(view[..., ::-1]))
    assert (float(reward), bool(over)) == (0.0, False), (
        "the line of the player to move would have ended the game before"
    )
    network = make_unroller(config, GAME).network
    params = network.init(KEY)
    latent = network.dynamics.represent(params, jnp.zeros((2, 3, 3, 2)))
    _, reward, discount, terminal = network.dynamics.step(params, latent, jnp.array([0, 4]))
    assert set(np.asarray(reward)) <= {0.0, 1.0}
    assert terminal.dtype == bool
    np.testing.assert_array_equal(np.asarray(discount)[np.asarray(terminal)], 0)


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four_4x4", "connect_four"])
def test_judges_agree_with_the_rules(name):
    game = games.make(name)
    step, judge, observe = (jax.jit(jax.vmap(f)) for f in (game.step, game.judge, game.observe))
    states = jax.vmap(game.init)(jax.random.split(KEY, 200))
    wins = 0
    for ply in range(game.max_plies):
        going = ~states.terminal
        moves = jax.random.categorical(jax.random.fold_in(KEY, ply), jnp.where(states.legal, 0.0, -jnp.inf))
        states = step(states, moves, jax.random.split(KEY, 200))
        reward, over = judge(observe(states))
        np.testing.assert_array_equal(np.asarray(reward)[going], np.asarray(states.reward)[going])
        np.testing.assert_array_equal(np.asarray(over)[going], np.asarray(states.terminal)[going])
        wins += int(np.asarray(states.reward)[going].sum())
    assert wins > 50


@pytest.mark.parametrize("kind", ["mlp", "resnet"])
def test_a_model_comes_to_foresee_what_it_is_shown(kind):
    """Looks at what the network says, not at the loss: rewards, ends of games and boards of 32 stretches."""
    config = dataclasses.replace(
        options(consistency=0.5), model="learned_explicit_reward", network=NetworkConfig(kind=kind, width=32, blocks=1)
    )
    import optax

    unroller = make_unroller(config, GAME)
    learned = make_learned(config, GAME, unroller)
    batch = jax.tree.map(jnp.asarray, drawn(config, played().replay, 32))
    optimizer = optax.adam(5e-3)

    @jax.jit
    def update(params, state):
        gradient = jax.grad(lambda params: learned.loss(Learner(params, None, jnp.int32(0)), batch, KEY)[0])(params)
        steps, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, steps), state

    params = unroller.network.init(KEY)
    state = optimizer.init(params)
    for _ in range(250):
        params, state = update(params, state)
    foreseen = unroller.unroll(params, batch.observation, batch.moves)
    among = atoms(config.muzero.value_range, config.muzero.bins)
    moved = np.asarray(batch.moved)
    assert np.asarray(batch.reward)[moved].any()
    np.testing.assert_allclose(expected(foreseen.reward, among)[moved], batch.reward[moved], atol=0.2)
    np.testing.assert_allclose(foreseen.discount[moved], batch.discount[moved], atol=0.25)
    inside = np.asarray(batch.inside)
    right = (foreseen.observation > 0) == (batch.observation > 0.5)
    assert np.asarray(right)[inside].mean() > 0.98
    assert np.asarray(foreseen.likeness)[moved & inside[:, 1:]].mean() > 0.7
    # The same moves on the same board may have come to different returns.
    assert np.abs(expected(foreseen.value, among) - batch.value)[inside].mean() < 0.1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "rules"}, "muzero.unroll does not apply to model rules"),
        ({"muzero": MuZeroConfig(bins=10)}, "muzero.bins must be odd"),
        ({"muzero": MuZeroConfig(unroll=6)}, "selfplay.plies must be above muzero.unroll of 6, not 6"),
        ({"muzero": MuZeroConfig(unroll=3, value_range=0.0)}, "muzero.value_range must be above 0"),
        ({"demonstrations": "games.txt"}, "cannot begin with demonstrations"),
        (
            {"distill": dataclasses.replace(CONFIG.distill, kind="reinforce")},
            "goes with distill.kind improved or visits",
        ),
    ],
)
def test_what_no_learned_run_could_mean_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        check(dataclasses.replace(CONFIG, **changed))
    check(CONFIG)
    plain = dataclasses.replace(CONFIG, model="rules", muzero=MuZeroConfig())
    check(plain, {"search.simulations"})
    with pytest.raises(ValueError, match=r"muzero\.unroll does not apply to model rules"):
        check(plain, {"muzero.unroll"})


def test_a_game_without_a_reward_function_is_refused():
    config = dataclasses.replace(CONFIG, model="learned_explicit_reward")
    with pytest.raises(ValueError, match="needs a game whose reward can be told from a board, and tic_tac_toe"):
        make_unroller(config, GAME._replace(judge=None))
