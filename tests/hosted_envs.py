"""Environments of Gymnasium that the tests step."""

import time

import gymnasium
import numpy as np
from gymnasium import spaces

import games

GOAL = 5


class Walk(gymnasium.Env):
    """Steps of 1, 2 or 3 to GOAL, which earn 1, 1/2 or 1/4. What is seen is the place, and a number that only the
    episode's seed tells. Moves are numbered from 1. What a `stray` walk shows depends on how many there were before."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(3, start=1)
    begun = 0

    def __init__(self, stray: bool = False, seconds: float = 0.0):
        self.stray, self.seconds = stray, seconds

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Walk.begun += 1
        self.place, self.mark = 0, Walk.begun if self.stray else self.np_random.random()
        return self.seen(), {}

    def step(self, action):
        assert action in (1, 2, 3)
        time.sleep(self.seconds)
        self.place += int(action)
        return self.seen(), {1: 1.0, 2: 0.5, 3: 0.25}[int(action)], self.place >= GOAL, False, {}

    def seen(self):
        return np.array([self.place, self.mark], np.float32)


def register(id, entry, limit=3, **kwargs):
    if id not in gymnasium.registry:
        gymnasium.register(id, entry, max_episode_steps=limit, kwargs=kwargs)
    return games.make(f"gym:{id}")


WALK = register("AzeroWalk-v0", Walk)
