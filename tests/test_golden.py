"""Every game against its golden transcript, tests/golden/<game>.txt: one game, move by move.

A transcript shows what a change of rules, observation or notation would change. To write it anew from the moves
it holds, or from other moves (a random game goes on after them to its end):

    python tests/test_golden.py NAME
    python tests/test_golden.py NAME "e2e4 e7e5 g1f3"

Read the difference before it is committed.
"""

import sys
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.core import Game, State

GOLDEN = Path(__file__).parent / "golden"
BOARDS = 6  # how many boards a transcript shows between the first and the last
SHOWN_MOVES = 40  # legal moves written out beside a board
PLIES_A_LINE = 8


def texts_of(game: Game, line: str) -> list[str]:
    return list(line) if game.notation.separator == "" else line.split()


def replay(game: Game, moves: list[str], finish: bool = False) -> tuple[list[State], list[str]]:
    """All states of a game from its moves; with `finish`, random moves follow until it is over."""
    step, key = jax.jit(game.step), jax.random.key(0)
    random = np.random.default_rng(0)
    states, played = [jax.jit(game.init)(key)], []
    while len(played) < len(moves) or (finish and not bool(states[-1].terminal)):
        if len(played) < len(moves):
            action = game.notation.action(states[-1], moves[len(played)])
        else:
            action = int(random.choice(np.flatnonzero(np.asarray(states[-1].legal))))
        played.append(game.notation.move(states[-1], action))
        states.append(step(states[-1], jnp.int32(action), jax.random.fold_in(key, len(states))))
    return states, played


def planes_mark(game: Game, planes: np.ndarray) -> str:
    """A short mark of an observation: a checksum of where it is not 0, and the planes of counts."""
    counts = "".join(f" {planes[0, 0, plane]:.3f}" for plane in game.count_planes)
    return f"{zlib.crc32(np.packbits(planes != 0).tobytes()):08x}{counts}"


def transcript(game: Game, moves: list[str]) -> str:
    """The game as text."""
    states, _ = replay(game, moves)
    observe = jax.jit(game.observe)
    every = max(1, len(moves) // BOARDS)
    lines = [
        f"{game.name}: {game.num_actions} actions, observation {game.observation_shape}, to {game.max_plies} plies",
        "moves:",
        *wrapped(game, moves),
        "for each position: ply, player to move, number of legal moves, mark of the observation",
    ]
    for ply, state in enumerate(states):
        legal = np.flatnonzero(np.asarray(state.legal))
        mark = planes_mark(game, np.asarray(observe(state)))
        over = bool(state.terminal)
        lines.append(f"{ply:3} {int(state.to_play)} {len(legal):4} {mark}" + (" over" if over else ""))
        if float(state.reward) or over:
            reward = float(state.reward) / game.reward_scale
            lines.append(f"reward {reward:+.0f} for player {int(states[ply - 1].to_play)}")
        if ply % every == 0 or over:
            lines += ["", game.notation.board(state), ""]
            if not over:
                shown = [game.notation.move(state, int(move)) for move in legal[:SHOWN_MOVES]]
                lines += ["legal: " + " ".join(shown) + (" ..." if len(legal) > SHOWN_MOVES else ""), ""]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def wrapped(game: Game, moves: list[str]) -> list[str]:
    """The moves in lines."""
    wide = PLIES_A_LINE * (1 if game.notation.separator else 10)
    return ["  " + game.notation.separator.join(moves[i : i + wide]) for i in range(0, len(moves), wide)]


def moves_in(game: Game, text: str) -> list[str]:
    """The moves that a transcript holds."""
    block = text.split("moves:\n")[1].split("for each position")[0]
    return [move for line in block.splitlines() for move in texts_of(game, line.strip())]


@pytest.mark.parametrize("name", games.names())
def test_transcript(name: str) -> None:
    """The rules, the observation and the notation give the transcript again."""
    golden = (GOLDEN / f"{name}.txt").read_text()
    game = games.make(name)
    moves = moves_in(game, golden)
    assert transcript(game, moves) == golden
    assert " over\n" in golden  # it shows the end and its reward


def test_no_transcript_without_a_game() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(games.names())


def write(name: str, line: str | None) -> None:
    """Writes a transcript from given moves, from those of the old one, or from a random game."""
    game, path = games.make(name), GOLDEN / f"{name}.txt"
    moves = moves_in(game, path.read_text()) if path.exists() else []
    _, moves = replay(game, moves if line is None else texts_of(game, line), finish=True)
    path.write_text(transcript(game, moves))
    print(f"wrote {path}: {len(moves)} moves")


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
