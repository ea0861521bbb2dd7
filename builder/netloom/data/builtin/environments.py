"""Environments of reinforcement learning: three of classic control, and a frozen lake."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from netloom.core.plain_json import JsonObject
from netloom.data.environment import Environment
from netloom.modalities.encoding.cells import RawRow


class CartPole(Environment):
    """A pole on a cart, https://gymnasium.farama.org/environments/classic_control/cart_pole/."""

    name = "cartpole"
    example_count = 2000
    title = "CartPole"
    summary = "Push a cart left or right to balance the pole on it. The reward is 1 per step"
    gymnasium = "CartPole-v1"
    actions = ("push left", "push right")
    columns: ClassVar[dict[str, tuple[float, float]]] = {
        "cart position": (0.0, 0.8),
        "cart velocity": (0.0, 1.0),
        "pole angle": (0.0, 0.21),
        "pole velocity": (0.0, 2.0),
    }
    state_attributes = ("state", "steps_beyond_terminated")
    drawing = "cart_pole"

    def rule(self, observation: np.ndarray) -> int:
        return int(observation[2] + 0.5 * observation[3] > 0)


class Acrobot(Environment):
    """Two links that hang from a joint, https://gymnasium.farama.org/environments/classic_control/acrobot/."""

    name = "acrobot"
    example_count = 2000
    title = "Acrobot"
    summary = "Drive the joint between two links until the tip swings above the line. The reward is −1 per step"
    gymnasium = "Acrobot-v1"
    actions = ("turn left", "let go", "turn right")
    columns: ClassVar[dict[str, tuple[float, float]]] = {
        "cosine of the first angle": (0.0, 1.0),
        "sine of the first angle": (0.0, 1.0),
        "cosine of the second angle": (0.0, 1.0),
        "sine of the second angle": (0.0, 1.0),
        "first velocity": (0.0, 4.0),
        "second velocity": (0.0, 6.0),
    }
    drawing = "acrobot"

    def rule(self, observation: np.ndarray) -> int:
        return 2 if observation[4] < 0 else 0


class MountainCar(Environment):
    """A car in a valley, https://gymnasium.farama.org/environments/classic_control/mountain_car/."""

    name = "mountain_car"
    example_count = 2000
    title = "MountainCar"
    summary = "An underpowered car gains momentum to climb a hill. The reward is −1 per step"
    gymnasium = "MountainCar-v0"
    actions = ("push left", "roll", "push right")
    columns: ClassVar[dict[str, tuple[float, float]]] = {"position": (-0.3, 0.9), "velocity": (0.0, 0.07)}
    drawing = "mountain_car"

    def rule(self, observation: np.ndarray) -> int:
        return 2 if observation[1] >= 0 else 0


class FrozenLake(Environment):
    """A grid of ice with holes, https://gymnasium.farama.org/environments/toy_text/frozen_lake/.

    The observation is the index of the square, row by row.
    """

    name = "frozen_lake"
    example_count = 2000
    title = "FrozenLake"
    summary = "Walk across a 4 × 4 grid of ice to the goal in the opposite corner, around four holes"
    gymnasium = "FrozenLake-v1"
    actions = ("left", "down", "right", "up")
    state_attributes = ("s", "lastaction")
    drawing = "frozen_lake"
    values: ClassVar[dict[str, list[str]]] = {"square": [str(number) for number in range(16)]}

    slippery: bool = Field(False, description="Slippery ice: two of three steps slide to a side")

    def settings(self) -> JsonObject:
        return {"is_slippery": self.slippery}

    def observed_row(self, observation: np.ndarray) -> RawRow:
        return {"square": str(int(observation))}

    def rule(self, observation: np.ndarray) -> int:
        return 1 if int(observation) % 2 else 2
