"""Gymnasium: one agent plays a game against any PLAYER."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from azero.answers import GIVEN_UP
from azero.envs.view import ILLEGAL_REWARD, MODES, SEEDS, View, check_mode, observation_space, read_action, view
from azero.players import make_player
from azero.thinking import Mind, Playthrough
from games import make

ATTEMPTS = 10  # games that may end before the agent's first move


class GameEnv(gymnasium.Env[View, np.int64]):
    """A game as a Gymnasium environment; `azero/<Game>-v0` names one for each game of azero.

    An observation is a dictionary: `observation` float32 [H, W, C], of the agent, who is always the one to move;
    `action_mask` int8 [A], 1 where a move is legal. The mask is also in `info`. Once the game is over both are
    zeros. A step is the agent's move and the opponent's, all of them until it is the agent's turn again; its reward
    is what the agent gained less what the opponent did: 1, 0 or -1 at the end of most games. An illegal move loses:
    reward -1, terminated, and `info["illegal"]`. Where the opponent gives up, the agent wins and `info["given_up"]`
    says why. A game for one has no opponent.

    Args:
      game: a name from `azero games`, or "package.module:Env".
      opponent: the text of a PLAYER: random, rollout:simulations=64, runs/c4, oracle ...
      first: whether the agent moves first; None draws it for each game.
      render_mode: "ansi", the board as text, or None.

    Raises:
      ValueError: one line: no such game, player or mode.
    """

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 1}  # noqa: RUF012  gymnasium's own declaration

    def __init__(
        self, game: str, opponent: str = "random", first: bool | None = None, render_mode: str | None = None
    ) -> None:
        self.game = make(game)
        self.render_mode = check_mode(render_mode)
        self.first = first
        self.opponent = make_player(opponent, game)[0] if self.game.num_players == 2 else None
        self.observation_space = observation_space(self.game)
        self.action_space = spaces.Discrete(self.game.num_actions)
        self._played = Playthrough(self.game)
        self._over, self._gained, self._ending = True, 0.0, dict[str, Any]()  # until the first reset no game is on

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[View, dict[str, Any]]:
        """Begins a game, up to the agent's first move. The seed decides all chances: seat, game and opponent."""
        super().reset(seed=seed, options=options)
        for _ in range(ATTEMPTS):  # an opponent may win, or give up, before the agent has moved: that is no episode
            self._begin()
            if not self._over:
                return self._seen(), self._info()
        raise RuntimeError(f"{ATTEMPTS} games of {self.game.name} ended before the agent's first move")

    def step(self, action: Any) -> tuple[View, float, bool, bool, dict[str, Any]]:
        """The agent's move, and the opponent's replies.

        Raises:
          ValueError: the action is out of range.
          ResetNeeded: no game is on.
        """
        if self._over:
            raise gymnasium.error.ResetNeeded("the game is over, or was never begun: call reset() first")
        number = read_action(self.game, action)
        if bool(self._played.state.legal[number]):
            self._move(number)
            self._reply()
        else:
            self._over, self._gained, self._ending = True, self._gained + ILLEGAL_REWARD, {"illegal": True}
        reward, self._gained = self._gained, 0.0
        return self._seen(), reward, self._over, False, self._info()

    def render(self) -> str | None:
        """The board as text."""
        return None if self.render_mode is None else self.game.notation.board(self._played.state)

    def action_masks(self) -> np.ndarray:
        """bool [A], the legal moves now, under the name that sb3-contrib's MaskablePPO asks for."""
        return self._seen()["action_mask"].astype(bool)

    def _begin(self) -> None:
        """A new game, up to the agent's first move."""
        chances, thoughts, seat = self.np_random.integers(SEEDS, size=3).tolist()
        self._played = Playthrough(self.game, chances)
        self._over, self._gained, self._ending = False, 0.0, {}
        self.seat = 0
        if self.opponent is not None:
            self.seat = seat % 2 if self.first is None else int(not self.first)
            self._mind = Mind(self.opponent, self._played, thoughts)
        self._reply()

    def _move(self, action: int) -> None:
        mover = self._played.to_play
        self._played.move(action)
        reward = float(self._played.state.reward)
        self._gained += reward if mover == self.seat else -reward
        self._over = self._played.over

    def _reply(self) -> None:
        """The opponent's moves until it is the agent's turn."""
        while not self._over and self._played.to_play != self.seat:
            answer = self._mind.answer()
            action = int(answer.action[0])
            if action == GIVEN_UP:
                self._over, self._gained, self._ending = True, self._gained + 1.0, {"given_up": answer.reason()}
            else:
                self._move(action)

    def _seen(self) -> View:
        return view(self.game, self._played.state, None if self._over else self.seat)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._seen()["action_mask"], **self._ending}
