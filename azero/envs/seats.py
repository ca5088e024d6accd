"""PettingZoo: an agent for each side of a game."""

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper

from azero.envs.view import ILLEGAL_REWARD, MODES, SEEDS, View, check_mode, observation_space, read_action, view
from azero.thinking import Playthrough
from games import make


class SeatsEnv(AECEnv[str, View, int]):
    """A game as an AEC environment: player_0 moves first; a game for one has no player_1.

    Observations and masks are as in `GameEnv`: those of an agent whose turn it is not are zeros. What a move earns
    the one who made it, it costs the other one. An illegal move loses: -1 for who made it, 1 for the other one, and
    `infos[agent]["illegal"]`. An agent that moves twice in a row is selected twice.
    """

    def __init__(self, game: str, render_mode: str | None = None) -> None:
        super().__init__()
        self.game = make(game)
        self.render_mode = check_mode(render_mode)
        self.metadata = {"render_modes": list(MODES), "name": f"azero/{game}", "is_parallelizable": False}
        self.possible_agents = [f"player_{seat}" for seat in range(self.game.num_players)]
        self.agents: list[str] = []
        self._chances = np.random.default_rng()
        self.observation_spaces = {agent: observation_space(self.game) for agent in self.possible_agents}
        self.action_spaces = {agent: spaces.Discrete(self.game.num_actions) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Of an agent."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begins a game; the seed is of the game's own chances, in this game and those that follow without one."""
        del options
        if seed is not None:
            self._chances = np.random.default_rng(seed)
        self._played = Playthrough(self.game, int(self._chances.integers(SEEDS)))
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agent_selection = self.agents[self._played.to_play]

    def observe(self, agent: str) -> View:
        """What an agent sees: its position if it is to move, else zeros."""
        over = any(self.terminations.values())
        return view(self.game, self._played.state, None if over else self.possible_agents.index(agent))

    def step(self, action: int | None) -> None:
        """The move of the agent that is selected; None once the game is over.

        Raises:
          ValueError: the action is out of range.
        """
        mover = self.agent_selection
        if self.terminations[mover]:
            self._was_dead_step(action)
            return
        number = read_action(self.game, action)
        self._cumulative_rewards[mover] = 0.0
        if bool(self._played.state.legal[number]):
            self._played.move(number)
            reward, over = float(self._played.state.reward), self._played.over
        else:
            reward, over = ILLEGAL_REWARD, True
            self.infos[mover]["illegal"] = True
        self.rewards = {agent: reward if agent == mover else -reward for agent in self.agents}
        self._accumulate_rewards()
        self.terminations = dict.fromkeys(self.agents, over)
        self.agent_selection = self._next(mover) if over else self.agents[self._played.to_play]

    def render(self) -> str | None:
        """The board as text."""
        return None if self.render_mode is None else self.game.notation.board(self._played.state)

    def _next(self, agent: str) -> str:
        """Who hears first that the game is over: the other one, if there is one."""
        return self.agents[(self.agents.index(agent) + 1) % len(self.agents)]


def wrapped(game: str, render_mode: str | None = None) -> AECEnv:
    """The environment in PettingZoo's own guards."""
    return OrderEnforcingWrapper(AssertOutOfBoundsWrapper(SeatsEnv(game, render_mode)))
