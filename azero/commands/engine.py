"""azero engine: a player for other programs to play against, by GTP or UCI."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Literal

import tyro

from azero.commands.arguments import parse


@dataclasses.dataclass(frozen=True)
class Arguments:
    """A player that other programs play against: lines on stdin are answered on stdout."""

    player: tyro.conf.Positional[str]
    """Who plays: runs/c4, policy:runs/c4, checkpoints/connect_four:simulations=200, rollout, random."""
    protocol: Literal["gtp", "uci"]
    """gtp for every board game, uci for chess and gardner_chess."""
    game: str | None = None
    """The game; needed where the player has no checkpoint."""
    seed: int = 0
    """Of the player's chances."""


def main(words: Sequence[str]) -> int:
    """Serves until quit or the end of the lines; 0."""
    arguments = parse(Arguments, words, "engine")
    from azero.startup import start_jax

    start_jax()
    from azero.engines import gtp_server, uci_server
    from azero.players import make_player

    player, game = make_player(arguments.player, arguments.game)
    if player.person:
        raise ValueError(f"{arguments.player} types on the stdin that the other program needs")
    if game.num_players != 2:
        raise ValueError(f"{game.name} is not a game for two players")
    if arguments.protocol == "uci":
        uci_server.check_game(game)
    # Whatever a library prints goes to stderr: stdout is the protocol's alone.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]  # text, as the command line has it

    def write(text: str) -> None:
        wire.write(text)
        wire.flush()

    try:
        if arguments.protocol == "gtp":
            gtp_server.serve(gtp_server.GtpServer(player, game, write, arguments.seed), sys.stdin)
        else:
            server = uci_server.UciServer(player, game, lambda line: write(line + "\n"), arguments.seed)
            uci_server.serve(server, sys.stdin)
    except (BrokenPipeError, KeyboardInterrupt):  # the other program has gone
        pass
    sys.stderr.flush()
    os._exit(0)  # a compilation in another thread would be waited for
