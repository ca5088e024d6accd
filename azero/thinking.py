"""One game as it is played, and a player who thinks along with it."""

import jax
import numpy as np

from azero.answers import Answer, forgetful
from azero.players import Player
from games.core import Game, State
from games.notation import jitted


class Playthrough:
    """One game from its start: its positions and moves, which can be taken back."""

    def __init__(self, game: Game, seed: int = 0):
        self.game = game
        self.key = jax.random.key(seed)  # of the game's own chances
        self.states: list[State] = [jitted(game.init)(self.key)]
        self.actions: list[int] = []

    @property
    def state(self) -> State:
        """The position now."""
        return self.states[-1]

    @property
    def over(self) -> bool:
        """Whether the game has ended."""
        return bool(self.state.terminal)

    @property
    def to_play(self) -> int:
        """Whose turn it is, 0 or 1."""
        return int(self.state.to_play)

    def move(self, action: int) -> None:
        """Makes a legal move."""
        key = jax.random.fold_in(self.key, len(self.states))
        self.states.append(jitted(self.game.step)(self.state, np.int32(action), key))
        self.actions.append(action)

    def take_back(self, plies: int = 1) -> None:
        """Takes back the last moves, at most as many as were made."""
        kept = max(0, len(self.actions) - plies)
        del self.actions[kept:], self.states[kept + 1 :]

    def moves(self) -> list[str]:
        """The moves so far, as the game writes them."""
        notation = self.game.notation
        return [notation.move(*made) for made in zip(self.states, self.actions, strict=False)]

    def points(self, seat: int) -> float:
        """The rewards so far of player 0 or 1."""
        rewards = zip(self.states, self.states[1:], strict=False)
        return sum(float(after.reward) * (1 if int(before.to_play) == seat else -1) for before, after in rewards)

    def batch(self) -> State:
        """The position as a batch of one."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], self.state)


class Mind:
    """What a player keeps of one game from move to move. It follows the game by itself, also where moves go back."""

    def __init__(self, player: Player, played: Playthrough, seed: int = 0):
        self.played = played
        self.playing = player.playing or forgetful(player.answers)
        self.key = jax.random.key(seed)  # of the player's chances
        self._begin()

    def _begin(self) -> None:
        self.memory = self.playing.begin(self.played.batch())
        self.seen: list[int] = []  # the moves that the memory has been told of

    def answer(self) -> Answer:
        """The player's answer [1] to the position now."""
        actions = self.played.actions
        if self.seen != actions[: len(self.seen)]:
            self._begin()
        for action in actions[len(self.seen) :]:
            self.memory = self.playing.moved(self.memory, np.array([action], np.int32))
        self.seen = list(actions)
        key = jax.random.fold_in(self.key, len(actions))
        answer, self.memory = self.playing.answer(self.memory, self.played.batch(), key, np.zeros(1, np.int32))
        return answer
