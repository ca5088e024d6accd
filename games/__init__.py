"""The games. `make(name)` gives one; `names()` lists them."""

import difflib
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # names alone are asked for by help texts, which must not wait for JAX
    from games.core import Game

PGX_GAMES = (
    "othello",
    "hex",
    "go_9x9",
    "go_19x19",
    "chess",
    "gardner_chess",
    "animal_shogi",
    "shogi",
)
OWN_GAMES = ("tic_tac_toe", "connect_four", "connect_four_5x4", "connect_four_4x4")
OF_CHANCE = ("2048", "backgammon")  # with rules that say what chance does
GYM = "gym:"  # before the id of an environment that the host steps
FUNCTIONAL = ("cartpole", "cliff_walking", "blackjack")  # Gymnasium's, for one player
FOR_TWO = OWN_GAMES + PGX_GAMES + ("backgammon",)


def names() -> tuple[str, ...]:
    """The names of all games that come with azero."""
    return FOR_TWO + FUNCTIONAL + ("2048",)


@functools.cache
def make(name: str) -> "Game":
    """The game of this name, "gym:CartPole-v1" for an environment of Gymnasium, or a user's own pgx-style env as
    "package.module:Env".

    Raises:
      ValueError: there is no such game, or the env breaks the contract; the message says which rule.
    """
    if name == "tic_tac_toe":
        from games.tic_tac_toe import make_tic_tac_toe

        return make_tic_tac_toe()
    if name in OWN_GAMES:
        from games.connect import SHAPES, make_connect

        return make_connect(name, SHAPES[name])
    if name in PGX_GAMES:
        from games.pgx_adapter import make_pgx

        return make_pgx(name)
    if name in FUNCTIONAL:
        from games.functional import make_functional

        return make_functional(name)
    if name == "2048":
        from games.two_thousand_forty_eight import make_2048

        return make_2048()
    if name == "backgammon":
        from games.backgammon import make_backgammon

        return make_backgammon()
    if name.startswith(GYM):
        from games.hosted import make_hosted

        return make_hosted(name)
    if ":" in name:
        from games.pgx_adapter import make_custom

        return make_custom(name)
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; games are {', '.join(names())}"
    raise ValueError(f"unknown game {name!r}{hint}")
