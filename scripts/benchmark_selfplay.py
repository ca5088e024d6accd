#!/usr/bin/env python
"""Self-play moves per second of a preset, beside the loop of pgx's AlphaZero example.

The peer is rebuilt from pgx and mctx calls: pgx's environment with automatic reset, mctx's Gumbel search, everything
in one jitted scan on one XLA device, with the same network, simulations and number of games. Both sides only play:
targets, replay and learning are left out. The two run in turn, in processes of their own, and the ratio is taken pair
by pair, for machines drift.

    python scripts/benchmark_selfplay.py                     azero against the peer
    python scripts/benchmark_selfplay.py --growth            time per move against simulations and games
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

PLIES = 16
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="how often the two are run in turn")
    parser.add_argument("--growth", action="store_true", help="azero alone, over simulations and games")
    parser.add_argument(
        "--resnet", action="store_true", help="3 blocks of 32 channels in place of the preset's network"
    )
    parser.add_argument("--side", choices=["azero", "pgx"], help="run one side in this process")
    parser.add_argument("--simulations", type=int, default=0, help="0 takes the preset's")
    parser.add_argument("--games", type=int, default=0, help="0 takes the preset's")
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(moves_per_second(arguments)))
    elif arguments.growth:
        growth()
    else:
        compare(arguments.pairs, arguments.resnet)


def compare(pairs: int, resnet: bool) -> None:
    """Prints moves per second of both sides and their ratio."""
    ratios = []
    for pair in range(1, pairs + 1):
        ours, peer = (run(side, *(["--resnet"] if resnet else [])) for side in ("azero", "pgx"))
        ratios.append(ours / peer)
        print(f"pair {pair}: azero {ours:,.0f} moves/s, pgx example {peer:,.0f} moves/s, ratio {ratios[-1]:.2f}")
    print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


def growth() -> None:
    """Prints how the time of a move grows with simulations and with games."""
    for name, sizes in (("simulations", (8, 16, 32, 64)), ("games", (128, 256, 512, 1024))):
        print(f"{name:>12}  moves/s  microseconds per move  per move and simulation")
        for size in sizes:
            speed = run("azero", f"--{name}", str(size))
            simulations = size if name == "simulations" else 16  # the preset's
            micro = 1e6 / speed
            print(f"{size:12d}  {speed:7,.0f}  {micro:21.1f}  {micro / simulations:23.2f}")


def run(side: str, *words: str) -> float:
    """Moves per second of one side, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, *words], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def moves_per_second(arguments: argparse.Namespace) -> float:
    """Median over some repeats of `PLIES` moves in every game."""
    from azero.presets import preset
    from azero.startup import start_jax

    side, simulations, games = arguments.side, arguments.simulations, arguments.games
    start_jax(devices=os.cpu_count() or 1 if side == "azero" else 1)
    import jax

    config = preset("", "connect_four").config
    search = dataclasses.replace(config.search, simulations=simulations or config.search.simulations)
    selfplay = dataclasses.replace(config.selfplay, plies=PLIES, games=games or config.selfplay.games)
    config = dataclasses.replace(config, search=search, selfplay=selfplay)
    if arguments.resnet:
        network = dataclasses.replace(config.network, kind="resnet", width=32, blocks=3)
        config = dataclasses.replace(config, network=network)
    play, state = (azero_side if side == "azero" else pgx_side)(config)
    state = jax.block_until_ready(play(state, 0))
    seconds = []
    for repeat in range(1, REPEATS + 1):
        began = time.perf_counter()
        state = jax.block_until_ready(play(state, repeat))
        seconds.append(time.perf_counter() - began)
    return selfplay.games * PLIES / statistics.median(seconds)


def azero_side(config):
    """azero's self-play over all devices: (state, number) -> state, and the first state."""
    import jax
    from jax.sharding import PartitionSpec

    import games
    from azero.network import make_network
    from azero.search import make_search
    from azero.selfplay import make_selfplay, new_games
    from azero.train import AXIS, device_mesh

    game = games.make(config.game)
    network = make_network(config.network, game)
    params = network.init(jax.random.key(0))
    selfplay = make_selfplay(
        config.selfplay, game, make_search(config.search, game, network, True), config.distilled, 7
    )
    split, same = PartitionSpec(AXIS), PartitionSpec()

    def play(state, number):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), number), jax.lax.axis_index(AXIS))
        return selfplay(params, state, key)

    on_devices = jax.shard_map(
        play,
        mesh=device_mesh(config),
        in_specs=(split, same),
        out_specs=(split, PartitionSpec(None, AXIS)),
        check_vma=False,
    )
    jitted = jax.jit(on_devices)
    return lambda state, number: jitted(state, number)[0], new_games(
        game, config.selfplay, config.selfplay.games, jax.random.key(2)
    )


def pgx_side(config):
    """The self-play loop of pgx's AlphaZero example: (state, number) -> state, and the first state."""
    import jax
    import jax.numpy as jnp
    import mctx
    import pgx
    from pgx.experimental import auto_reset

    import games
    from azero.network import make_network

    env = pgx.make("connect_four")
    network = make_network(config.network, games.make("connect_four"))
    params = network.init(jax.random.key(0))
    count = config.selfplay.games

    def evaluate(state):
        logits, value = network.apply(params, state.observation.astype(jnp.float32))
        logits = logits - logits.max(axis=-1, keepdims=True)
        return jnp.where(state.legal_action_mask, logits, jnp.finfo(logits.dtype).min), value

    def recurrent(_, key, action, state):
        del key
        player = state.current_player
        state = jax.vmap(env.step)(state, action)
        logits, value = evaluate(state)
        reward = state.rewards[jnp.arange(action.shape[0]), player]
        value = jnp.where(state.terminated, 0.0, value)
        discount = jnp.where(state.terminated, 0.0, -1.0)
        output = mctx.RecurrentFnOutput(reward=reward, discount=discount, prior_logits=logits, value=value)
        return output, state

    def ply(state, key):
        search_key, reset_key = jax.random.split(key)
        logits, value = evaluate(state)
        output = mctx.gumbel_muzero_policy(
            params=None,
            rng_key=search_key,
            root=mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state),
            recurrent_fn=recurrent,
            num_simulations=config.search.simulations,
            invalid_actions=~state.legal_action_mask,
            qtransform=mctx.qtransform_completed_by_mix_value,
            gumbel_scale=1.0,
        )
        keys = jax.random.split(reset_key, count)
        after = jax.vmap(auto_reset(env.step, env.init))(state, output.action, keys)
        # What the example keeps of a move, so that nothing of it is optimised away.
        kept = (state.observation, output.action_weights, after.rewards, after.terminated)
        return after, kept

    @jax.jit
    def play(state, number):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), number), PLIES)
        return jax.lax.scan(ply, state, keys)

    first = jax.jit(jax.vmap(env.init))(jax.random.split(jax.random.key(2), count))
    return lambda state, number: play(state, number)[0], first


if __name__ == "__main__":
    main()
