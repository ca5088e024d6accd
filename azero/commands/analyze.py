"""azero analyze: a line of JSON for each position of a file."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import tyro

from azero.commands.arguments import parse


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
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Changes nothing: the output is JSON, one document a line."""


BATCH = 256  # positions in one call: bounds the memory of the trees


def main(words: Sequence[str]) -> int:
    """Prints a line of JSON for each position, in the order of the file; 0. A bad line, and nothing is printed."""
    arguments = parse(Arguments, words, "analyze")
    lines = _lines(arguments.positions)
    from azero.startup import start_jax

    start_jax()
    from azero.analysis import ask, describe, read_positions
    from azero.players import make_players

    (player,), game = make_players([arguments.player], arguments.game, arguments.simulations)
    if player.person:
        raise ValueError("a human has no answers in JSON; azero play is for people")
    try:
        texts, states = read_positions(game, lines)
    except ValueError as error:
        raise ValueError(f"{arguments.positions}: {error}") from None
    if texts:
        answer = ask(player.answers, states, arguments.seed, min(BATCH, 1 << (len(texts) - 1).bit_length()))
        for described in describe(game, texts, states, answer):
            print(json.dumps(described))
    return 0


def _lines(path: str) -> list[str]:
    """The lines of a text file.

    Raises:
      ValueError: it cannot be read, or is not text.
    """
    try:
        content = Path("/dev/stdin" if path == "-" else path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read the positions in {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    return content.removesuffix("\n").split("\n") if content else []
