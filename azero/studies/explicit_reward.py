"""The study `explicit_reward`: does a known reward, judged on foreseen boards, hold where a learned one does not?

r is the game's reward; r' is the same without one class of lines. All training is masked so that no line of that class
is ever completed: r and r' agree on all of it. Then the students are asked where they differ.

Every arm plays, searches and learns alike; they differ in what their trees are searched with.
Shape letters: M positions, A actions, K moves.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import games
from azero.config import Config, LearnConfig, MuZeroConfig, NetworkConfig, ReplayConfig, SearchConfig, SelfPlayConfig
from azero.manifest import write_text
from azero.muzero.network import Detecting, board_of, make_unroller, network_of
from azero.muzero.options import Kind
from azero.network import Network, Params
from azero.search import make_search
from azero.store import Lessons, make_lessons, of_model
from azero.studies.cells import claimed
from azero.studies.explicit_reward_pages import ARMS, Cell, write_pages
from azero.train import make_trainer
from games.connect import SHAPES, Shape, bits_from_stones
from games.core import ILLEGAL, Game, State
from games.lines import DIRECTIONS, lines
from games.masked import masked
from games.oracles.bitboards import connect_rules
from games.oracles.tables import exact_moves, solve

Say = Callable[[str], None]
NETWORK = NetworkConfig(width=256, blocks=1)
MUZERO = MuZeroConfig(td_steps=20)
SELFPLAY = SelfPlayConfig(games=256, plies=16, opening_plies=10)
LEARN = LearnConfig(batch=512, learning_rate=2e-3)
MODELS: dict[str, Kind] = {
    "rules": "rules",
    "explicit": "learned_explicit_reward",
}  # of arms; the others have a learned model


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides what the study computes, beside the game and the seeds."""

    left_out: str = "rising"  # the class of lines that is never completed in training
    iterations: int = 200
    thaw: int = 60  # iterations after which detectors that thaw begin to learn
    simulations: int = 32
    positions: int = 2_000  # of each set that students are asked about
    foreseen: int = 3  # moves over which boards are foreseen
    network: NetworkConfig = NETWORK
    muzero: MuZeroConfig = MUZERO
    selfplay: SelfPlayConfig = SELFPLAY
    learn: LearnConfig = LEARN


class Questions(NamedTuple):
    """Positions of the whole game, and what their moves are worth."""

    states: State  # leaves [M, ...]
    q: np.ndarray  # int8 [M, A], by r, ILLEGAL where there is no such move
    other: np.ndarray  # int8 [M, A], by r'


def explicit_reward(game: str, seeds: int, folder: Path, say: Say, settings: Settings = Settings()) -> dict[str, Any]:
    """Trains every arm, asks it, and writes what came of it.

    Each arm and seed is kept in `folder`/cells, so that a study that was stopped goes on, and more seeds can be added.

    Args:
      game: a connect game on a small board; the study is made for connect_four_5x4.
      seeds: 1 or more.
      say: takes a line of progress.

    Returns:
      What results.json holds.

    Raises:
      ValueError: the game has no lines to leave out, there are no seeds, or the folder holds another study.
    """
    if seeds < 1:
        raise ValueError(f"a study takes 1 seed or more, not {seeds}")
    if game not in SHAPES or game == "connect_four":
        small = ", ".join(name for name in SHAPES if name != "connect_four")
        raise ValueError(f"the study explicit_reward needs a small board of four in a row, {small}; not {game}")
    with claimed(folder, {"study": "explicit_reward", "game": game, "settings": dataclasses.asdict(settings)}):
        whole, shape = games.make(game), SHAPES[game]
        say(f"solving {game} with and without its {settings.left_out} lines")
        sets = questions(whole, shape, settings)
        cells = []
        for number, (seed, arm) in enumerate(((seed, arm) for seed in range(seeds) for arm in ARMS), 1):
            path = folder / "cells" / f"{arm}-{seed}.json"
            if not path.exists():
                start = time.perf_counter()
                network, params, learned = taught(whole, shape, arm, seed, settings)
                figures = asked(whole, network, params, sets, settings)
                cell = Cell(arm, seed, figures, learned, time.perf_counter() - start)
                write_text(path, json.dumps(cell._asdict()) + "\n")
                say(f"[{number}/{seeds * len(ARMS)}] {arm}, seed {seed}: {cell.seconds:.0f} s")
            cells.append(Cell(**json.loads(path.read_text())))
        sizes = {name: len(asked.q) for name, asked in sets.items()}
        return write_pages(folder, game, seeds, dataclasses.asdict(settings), sizes, cells)


def config_of(game: Game, arm: str, seed: int, settings: Settings) -> Config:
    """The config of an arm."""
    model = MODELS.get(arm, "learned")
    positions = settings.selfplay.games * settings.selfplay.plies
    return Config(
        game=game.name,
        model=model,
        seed=seed,
        network=settings.network,
        search=SearchConfig(simulations=settings.simulations),
        selfplay=settings.selfplay,
        replay=ReplayConfig(capacity=positions * settings.iterations, minimum=50_000),
        muzero=settings.muzero if model != "rules" else MuZeroConfig(),
        learn=settings.learn,
    )


def detecting(shape: Shape, arm: str, settings: Settings) -> Detecting | None:
    """The detectors of an arm, of all lines of the game; None if it has none."""
    if not arm.startswith("detectors"):
        return None
    thaw = {"detectors_frozen": None, "detectors_thawed": settings.thaw, "detectors_random": 0}[arm]
    return Detecting(lines(shape.height, shape.width, shape.length), arm != "detectors_random", thaw)


def taught(
    whole: Game, shape: Shape, arm: str, seed: int, settings: Settings
) -> tuple[Network, Params, dict[str, float]]:
    """The network of an arm after training on the masked game, its parameters, and its last losses."""
    config, found = config_of(whole, arm, seed, settings), detecting(shape, arm, settings)
    game = without(whole, shape, settings)

    def lessons(config: Config, game: Game, devices: int) -> Lessons:
        if found is None:
            return make_lessons(config, game, devices)
        return of_model(config, game, devices, make_unroller(config, game, found))

    trainer = make_trainer(config, game, lessons)
    state = trainer.init()
    for _ in range(settings.iterations):
        state, metrics = trainer.iterate(state)
    said = {"policy_kl": metrics.policy_kl, "value_loss": metrics.value_loss} | metrics.extra
    network = make_unroller(config, whole, found).network if found else network_of(config, whole)
    return network, jax.device_get(state.average), {name: float(value) for name, value in said.items()}


def without(whole: Game, shape: Shape, settings: Settings) -> Game:
    """The game in which no line of the class that is left out is ever completed."""
    return masked(whole, lines(shape.height, shape.width, shape.length, (settings.left_out,)))


def questions(whole: Game, shape: Shape, settings: Settings) -> dict[str, Questions]:
    """`inside`: positions of masked play in which r and r' agree on every move. `outside`: positions of the whole game
    in which no move is best by both."""
    ways = tuple(name for name in DIRECTIONS if name != settings.left_out)
    other = connect_rules("other", shape, ways)
    table, oracle = solve(other), whole.oracle
    assert oracle is not None
    exact = oracle().q
    assert exact is not None
    found = {}
    for name in ("inside", "outside"):
        states = wandered(without(whole, shape, settings) if name == "inside" else whole, 40 * settings.positions)
        first, second = bits_from_stones(states.board)
        keys, rows = np.unique(other.key(first, second), return_index=True)
        states = jax.tree.map(lambda leaf, rows=rows: leaf[rows], states)
        q, q_other = exact(states)[0], exact_moves(other, table, keys)[0]
        best, best_other = q == q.max(axis=1, keepdims=True), q_other == q_other.max(axis=1, keepdims=True)
        wanted = (q == q_other).all(axis=1) if name == "inside" else ~(best & best_other).any(axis=1)
        wanted &= ((q != ILLEGAL) & ~best).any(axis=1)  # a move can be wrong
        rows = np.random.default_rng(0).permutation(np.flatnonzero(wanted))[: settings.positions]
        legal = jnp.asarray(q[rows] != ILLEGAL)
        asked = jax.tree.map(lambda leaf, rows=rows: leaf[rows], states)._replace(legal=legal)
        found[name] = Questions(asked, q[rows], q_other[rows])
    return found


def wandered(game: Game, count: int) -> State:
    """At least `count` positions of random play in which the game goes on, leaves [N, ...], on the host."""
    rows = 512

    @jax.jit
    def play(key: jax.Array) -> State:
        def ply(states: State, key: jax.Array) -> tuple[State, State]:
            moves = jax.random.categorical(key, jnp.where(states.legal, 0.0, -jnp.inf)).astype(jnp.int32)
            after = jax.vmap(game.step)(states, moves, jax.random.split(key, rows))
            return after, after

        begun = jax.vmap(game.init)(jax.random.split(key, rows))
        _, states = jax.lax.scan(ply, begun, jax.random.split(key, game.max_plies))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), states)

    parts: list[State] = []
    number = 0
    while sum(len(part.terminal) for part in parts) < count:
        states = jax.device_get(play(jax.random.key(number)))
        parts.append(jax.tree.map(lambda leaf, going=~states.terminal: leaf[going], states))
        number += 1
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def asked(
    whole: Game, network: Network, params: Params, sets: dict[str, Questions], settings: Settings
) -> dict[str, dict[str, float]]:
    """What the network says of each set, alone and with search in its own model: see `judged`."""
    search = jax.jit(make_search(SearchConfig(simulations=settings.simulations), whole, network, explore=False))
    observe = jax.jit(jax.vmap(whole.observe))
    apply = jax.jit(network.apply)
    found = {}
    for name, one in sets.items():
        logits = np.asarray(apply(params, observe(one.states))[0])
        alone = np.where(one.states.legal, logits, -np.inf).argmax(axis=1)
        planned = np.asarray(search(params, one.states, jax.random.key(0)).action)
        found[name] = {
            **{f"network_{key}": value for key, value in judged(one, alone).items()},
            **{f"search_{key}": value for key, value in judged(one, planned).items()},
            **foreseen(whole, network, params, one, settings.foreseen),
        }
    return found


def judged(one: Questions, moves: np.ndarray) -> dict[str, float]:
    """Of moves int [M]: their regret under r, and the shares that are best by r, and best by r'."""
    row = np.arange(len(moves))
    best, best_other = one.q.max(axis=1), one.other.max(axis=1)
    return {
        "regret": float((best - one.q[row, moves]).mean()),
        "follows_r": float((one.q[row, moves] == best).mean()),
        "follows_other": float((one.other[row, moves] == best_other).mean()),
    }


def foreseen(whole: Game, network: Network, params: Params, one: Questions, moves: int) -> dict[str, float]:
    """Share of the cells, and of the whole boards, that are foreseen right `moves` random moves ahead, where the game
    still goes on or has just ended; nothing of a network that foresees no boards."""
    if network.decode is None:
        return {}
    decode, dynamics = network.decode, network.dynamics
    assert dynamics is not None

    @jax.jit
    def look(states: State, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        latent = dynamics.represent(params, jax.vmap(whole.observe)(states))
        counted = jnp.ones(states.terminal.shape, bool)
        for number in range(moves):
            counted &= ~states.terminal
            drawn = jax.random.fold_in(key, number)
            action = jax.random.categorical(drawn, jnp.where(states.legal, 0.0, -jnp.inf)).astype(jnp.int32)
            states = jax.vmap(whole.step)(states, action, jax.random.split(key, len(action)))
            latent = dynamics.step(params, latent, action)[0]
        right = board_of(whole, decode(params, latent)) == jax.vmap(whole.observe)(states)
        right = right.reshape(len(counted), -1)
        return right.mean(axis=1), right.all(axis=1), counted

    cells, boards, counted = jax.device_get(look(one.states, jax.random.key(1)))
    return {"cells": float(cells[counted].mean()), "boards": float(boards[counted].mean())}
