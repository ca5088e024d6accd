"""azero play: a game in the terminal."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tyro

from azero.commands.arguments import parse

if TYPE_CHECKING:
    from azero.answers import Answer
    from azero.players import Player
    from games.core import Game

SIMULATIONS = 256  # of the opponent that comes with azero: more than in training, and still at once
HELP = """Type a move as it is written in this game ({example}), or
  hint   what the opponent would play here
  undo   take your last move back
  help   this text, with your legal moves
  quit   leave (so do Ctrl-D and Ctrl-C)"""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Play against a player in the terminal; a game for one with a player who gives hints."""

    game: tyro.conf.Positional[str]
    """A name from `azero games`."""
    opponent: str | None = None
    """Whom you play; the checkpoint that comes with azero if there is one for this game, else rollout. human: the
    two of you take turns."""
    first: tyro.conf.FlagCreatePairsOff[bool] = False
    """You move first, which is so unless --second is given."""
    second: tyro.conf.FlagCreatePairsOff[bool] = False
    """You move second."""
    show_search: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show what the opponent thinks of its move and of the others."""
    seed: int = 0
    """Of the opponent's chances."""


def main(words: Sequence[str]) -> int:
    """Plays one game; 0, also where the person leaves."""
    arguments = parse(Arguments, words, "play")
    if arguments.first and arguments.second:
        raise ValueError("say --first or --second, not both")
    from azero.startup import start_jax

    start_jax()
    from azero.players import make_player, shipped
    from games import make

    default = f"checkpoints/{arguments.game}:simulations={SIMULATIONS}" if arguments.game in shipped() else "rollout"
    make(arguments.game)  # an unknown game is said before an unknown opponent
    opponent, game = make_player(arguments.opponent or default, arguments.game)
    if game.num_players == 1 and arguments.second:
        raise ValueError(f"{game.name} is a game for one: --second does not apply")
    try:
        _Table(game, opponent, arguments).play()
    except (EOFError, KeyboardInterrupt):
        print("\ngoodbye")
    return 0


class _Table:
    """A game between a person and a player."""

    def __init__(self, game: "Game", opponent: "Player", arguments: Arguments):
        from azero.answers import forgetful
        from azero.thinking import Mind, Playthrough

        self.game, self.opponent, self.arguments = game, opponent, arguments
        self.seat = 1 if arguments.second else 0
        self.played = Playthrough(game, arguments.seed)
        self.alone = game.num_players == 1
        # In a game for one, what was searched below a move need not be what chance made of it.
        self.mind = Mind(opponent, self.played, arguments.seed, forgetful(opponent.answers) if self.alone else None)

    def play(self) -> None:
        """The game, from the first move to the last."""
        from azero.answers import GIVEN_UP

        company = "with hints by" if self.alone else "against"
        print(f"{self.game.name} {company} {self.opponent.name}; help says what can be typed")
        self.show()
        limit = self.game.time_limit or self.game.max_plies
        while not self.played.over and len(self.played.actions) < limit:
            if self.opponent.person or self.played.to_play == self.seat:
                if not self.take_turn():
                    return
            else:
                answer = self.mind.answer()
                action = int(answer.action[0])
                if action == GIVEN_UP:
                    print(f"{self.opponent.name} gives up: {answer.reason()}")
                    print("you win")
                    return
                text = self.game.notation.move(self.played.state, action)
                if self.arguments.show_search:
                    self.explain(answer)
                self.played.move(action)
                print(f"{self.opponent.name} plays {text}")
                self.show()
        print(self.result())

    def take_turn(self) -> bool:
        """One line from the person; False where it is quit."""
        text = input("your move: ").strip()
        match text.lower():
            case "quit" | "exit" | "q":
                print("goodbye")
                return False
            case "help" | "h" | "?" | "":
                self.help()
            case "undo":
                self.undo()
            case "hint":
                self.hint()
            case _:
                try:
                    action = self.game.notation.action(self.played.state, text)
                except ValueError as error:
                    print(error)
                    return True
                self.played.move(action)
                self.show()
        return True

    def undo(self) -> None:
        """Goes back to the person's turn before this one."""
        for back, state in enumerate(reversed(self.played.states[:-1]), start=1):
            if self.opponent.person or int(state.to_play) == self.seat:
                self.played.take_back(back)
                self.show()
                return
        print("there is no move to take back")

    def hint(self) -> None:
        """What the opponent would play in the person's place."""
        from azero.answers import GIVEN_UP

        if self.opponent.person:
            print("ask the other one")
            return
        answer = self.mind.answer()
        if int(answer.action[0]) == GIVEN_UP:
            print(f"{self.opponent.name} would give up: {answer.reason()}")
            return
        print(f"{self.opponent.name} would play {self.game.notation.move(self.played.state, int(answer.action[0]))}")
        self.explain(answer)

    def explain(self, answer: "Answer") -> None:
        """What the opponent thinks: its value, and its moves by weight."""
        if answer.value is not None:
            print(f"  it expects {answer.value[0]:+.2f} for the player to move (from -1 to 1)")
        for action in (-answer.policy[0]).argsort()[:5].tolist():
            if answer.policy[0, action] >= 0.005:
                visits = "" if answer.visits is None else f"  {answer.visits[0, action]} visits"
                share = f"{100 * answer.policy[0, action]:3.0f} %"
                print(f"  {self.game.notation.move(self.played.state, action):6} {share}{visits}")

    def help(self) -> None:
        """What can be typed."""
        import numpy as np

        legal = np.flatnonzero(np.asarray(self.played.state.legal)).tolist()
        moves = [self.game.notation.move(self.played.state, action) for action in legal]
        print(HELP.format(example=moves[0]))
        print("legal moves: " + " ".join(moves))

    def show(self) -> None:
        """The board."""
        print(f"\n{self.game.notation.board(self.played.state)}\n")
        sys.stdout.flush()

    def result(self) -> str:
        """Who has won, or what a game for one has returned."""
        points = self.played.points(self.seat)
        if self.alone:
            return f"a return of {points / self.game.reward_scale:g} in {len(self.played.actions)} moves"
        if points == 0:
            return "a draw"
        if self.opponent.person:
            return f"player {1 if (points > 0) == (self.seat == 0) else 2} wins"
        return "you win" if points > 0 else f"{self.opponent.name} wins"
