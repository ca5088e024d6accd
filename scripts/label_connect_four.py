#!/usr/bin/env python
"""Makes the labelled positions of Connect Four that come with the package, and checks the solver behind them.

    python scripts/label_connect_four.py              write games/oracles/connect_four_positions.npz
    python scripts/label_connect_four.py --check-uci  let the solver value all of the UCI data set connect-4

Needs the solver bitbully (`pip install .[oracle]`), which the package itself does not. The same command gives the
same file. On one CPU core it takes a quarter of an hour, nearly all of it between 12 stones, where the solver's opening
book ends, and 18.

How positions are found: games are played from the start, each by one player against himself who plays a best move
with a chance that belongs to the game (from never to nearly always) and else any move. Every position on the way is
scored. A game gives at most one position to each cell of stage x difficulty, drawn from those it passed through in
that cell, until the cell is full. Left out are positions in which every move keeps the value, for there nothing
can be measured, and positions already found, themselves or mirrored.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from games.core import ILLEGAL
from games.oracles import connect_four as labels
from games.oracles.bitboards import moves_from

PER_CELL = 700
SEED = 20_240_607
GUIDANCE = (0.0, 0.3, 0.6, 0.8, 0.95)  # how often a game's player plays a best move
OUTPUT = Path(__file__).resolve().parent.parent / "games" / "oracles" / labels.FILE


class Solver:
    """bitbully behind two questions: the score of a position, and of each move in it."""

    def __init__(self) -> None:
        try:
            import bitbully
        except ImportError:
            sys.exit("this script needs the solver bitbully: pip install .[oracle]")
        self._board = bitbully.Board
        self._agent = bitbully.BitBully()

    def move_scores(self, moves: list[int]) -> np.ndarray:
        """int8 [7]: the score of each move after these, ILLEGAL where the column is full."""
        scores = np.full(labels.RULES.num_actions, ILLEGAL, np.int8)
        for column, score in self._agent.score_all_moves(self._board(moves)).items():
            scores[column] = score
        return scores

    def score(self, cells: list[list[int]]) -> int:
        """For the player to move; cells by column from the left, each from the bottom: 0, 1 or 2."""
        return int(self._agent.mtdf(self._board(cells)))


def play(solver: Solver, random: np.random.Generator) -> tuple[list[int], np.ndarray, np.ndarray]:
    """One game: its moves, and of the T positions in it, from the start on, keys [T] and move scores [T, 7]."""
    guidance = random.choice(GUIDANCE)
    moves: list[int] = []
    keys, scores = [np.zeros(1, np.uint64)], []
    while True:
        scores.append(solver.move_scores(moves))
        legal = np.flatnonzero(scores[-1] != ILLEGAL)
        best = np.flatnonzero(scores[-1] == scores[-1].max())
        move = int(random.choice(best if random.random() < guidance else legal))
        after = moves_from(labels.RULES, keys[-1])
        if not after.goes_on[0, move]:
            return moves, np.concatenate(keys), np.stack(scores)
        moves.append(move)
        keys.append(after.after[:, move])


def generate(solver: Solver, per_cell: int, seed: int) -> labels.Labels:
    """The labelled set, `per_cell` positions for each stage and difficulty, in order of cells, then as found."""
    random = np.random.default_rng(seed)
    names = [f"{stage}-{level}" for stage in labels.STAGES for level in labels.DIFFICULTIES]
    cells: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
    seen: set[int] = set()
    games, started = 0, time.monotonic()
    while any(len(found) < per_cell for found in cells.values()):
        moves, keys, scores = play(solver, random)
        games += 1
        pairs = np.minimum(keys, labels.mirrored(keys))
        stages = labels.stage(labels.plies(keys), labels.RULES.max_plies)
        levels = labels.difficulty(labels.values_of(scores))
        for name, found in cells.items():
            here = [
                ply
                for ply, (stage, level) in enumerate(zip(stages, levels, strict=True))
                if f"{stage}-{level}" == name and int(pairs[ply]) not in seen
            ]
            if not here or len(found) >= per_cell:
                continue
            ply = int(random.choice(here))
            seen.add(int(pairs[ply]))
            line = np.full(labels.RULES.max_plies, -1, np.int8)
            line[:ply] = moves[:ply]
            found.append((line, scores[ply]))
        if games % 200 == 0:
            filled = ", ".join(f"{name} {len(found)}" for name, found in cells.items())
            print(f"{games} games, {time.monotonic() - started:.0f} s: {filled}", file=sys.stderr, flush=True)
    everything = [position for found in cells.values() for position in found]
    return labels.Labels(*(np.stack(part) for part in zip(*everything, strict=True)))


def columns_of(keys: np.ndarray) -> np.ndarray:
    """int64 [N, 7, 6]: the cells of positions by column and from the bottom; 0 empty, 1 and 2 the players."""
    shape = labels.SHAPE
    bits = np.array(
        [[shape.bit(column, row) for row in range(shape.height)] for column in range(shape.width)], np.uint64
    )
    first, second = ((stones[:, None, None] >> bits) & np.uint64(1) for stones in labels.RULES.stones(keys))
    return (first + np.uint64(2) * second).astype(np.int64)


def check_uci(solver: Solver) -> bool:
    """Counts the UCI positions and their values, prints found and expected, and tells whether all agree.

    Which positions these are is said at `games.oracles.connect_four.uci_positions`: eight stones, nobody has won,
    and nobody could win with his next stone. Mirror images count once. With eight stones the first player moves.
    """
    both = labels.uci_positions()
    once = labels.one_of_each_pair(both)
    scores = np.array([solver.score(cells) for cells in columns_of(once).tolist()])
    rows = [
        ("8-ply positions", len(both), labels.UCI_ALL),
        ("up to mirror image", len(once), labels.UCI_POSITIONS),
        ("first player wins", int((scores > 0).sum()), labels.UCI_RESULTS["win"]),
        ("first player loses", int((scores < 0).sum()), labels.UCI_RESULTS["loss"]),
        ("draws", int((scores == 0).sum()), labels.UCI_RESULTS["draw"]),
    ]
    for what, found, expected in rows:
        print(f"{what:20} found {found:7,}   expected {expected:7,}   {'ok' if found == expected else 'MISMATCH'}")
    return all(found == expected for _, found, expected in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-uci", action="store_true", help="check the solver against the UCI data set")
    parser.add_argument("--per-cell", type=int, default=PER_CELL, help="positions per cell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the games (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write (default: in the package)")
    chosen = parser.parse_args(arguments)
    if chosen.check_uci:
        return 0 if check_uci(Solver()) else 1
    found = generate(Solver(), chosen.per_cell, chosen.seed)
    np.savez_compressed(chosen.output, **found._asdict())
    print(f"{len(found.moves)} positions in {chosen.output} ({chosen.output.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
