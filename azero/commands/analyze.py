"""azero analyze: a line of JSON for each position of a file, or the tree that was searched."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import tyro

from azero.commands.arguments import parse, read_lines

if TYPE_CHECKING:
    from azero.players import Player
    from games.core import Game, State


@dataclasses.dataclass(frozen=True)
class Arguments:
    """A player's move, value and policy in each position of a file, as one line of JSON each."""

    player: tyro.conf.Positional[str]
    """Who is asked: runs/c4, policy:runs/c4, checkpoints/connect_four:simulations=200, rollout, oracle."""
    positions: str
    """A file with a position on each line, as the moves that lead to it: 4453 on connect boards (whatever follows a
    space is ignored), moves with spaces between them in other games. A blank line is the start; - is stdin."""
    game: str | None = None
    """The game; needed where the player has no checkpoint."""
    seed: int = 0
    """Of the player's chances."""
    simulations: int | None = None
    """Of a search whose text does not say; a run's own number otherwise."""
    tree: int | None = None
    """Show the tree that was searched in each position, down to so many moves: as text, or within the JSON by
    --json."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """With --tree, print JSON, one document a line, as there is without --tree in any case."""


BATCH = 256  # positions in one call: bounds the memory of the trees
TRACED_BATCH = 16  # the same where the trees are handed out


def main(words: Sequence[str]) -> int:
    """Prints a line of JSON for each position, in the order of the file; 0. A bad line, and nothing is printed."""
    arguments = parse(Arguments, words, "analyze")
    if arguments.tree is not None and arguments.tree < 1:
        raise ValueError(f"--tree shows 1 move or more, not {arguments.tree}")
    lines = read_lines(arguments.positions, "positions")
    from azero.startup import start_jax

    start_jax()
    from azero.analysis import read_positions
    from azero.answers import BadPosition
    from azero.players import make_players

    (player,), game = make_players([arguments.player], arguments.game, arguments.simulations)
    if player.person:
        raise ValueError("a human has no answers in JSON; azero play is for people")
    if arguments.tree is not None and player.traced is None:
        raise ValueError(f"{player.name} does not search, so there is no tree to show")
    try:
        texts, states = read_positions(game, lines)
    except ValueError as error:
        raise ValueError(f"{arguments.positions}: {error}") from None
    try:
        for line in _described(arguments, player, game, texts, states):
            print(line)
    except BadPosition as bad:
        raise ValueError(f"{arguments.positions}: line {bad.row + 1}: {bad.what}") from None
    return 0


def _described(
    arguments: Arguments, player: "Player", game: "Game", texts: list[str], states: "State"
) -> Iterator[str]:
    """What there is to print."""
    from azero.analysis import ask, describe, trace, tree_lines

    if not texts:
        return
    size = 1 << (len(texts) - 1).bit_length()
    if arguments.tree is None:
        answer = ask(player.answers, states, arguments.seed, min(BATCH, size))
        yield from map(json.dumps, describe(game, texts, states, answer))
        return
    assert player.traced is not None
    traced = player.traced()
    for described in trace(game, traced, texts, states, arguments.tree, arguments.seed, min(TRACED_BATCH, size)):
        yield from [json.dumps(described)] if arguments.json else tree_lines(described)
