"""Complete episodes for the evaluation of an agent, on seeds that are not used in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netloom.data.environment import Environment, Episodes, Senses, World
from netloom.training.errors import TrainingError

if TYPE_CHECKING:
    from netloom.data import Prepared

# Maps the observations (N, F) of N environments to a score for each action, (N, actions).
Scores = Callable[[np.ndarray], np.ndarray]
# The first seed of each split, so that splits share none; those of examples are in netloom.data.environment.
SEEDS = {"train": 0, "validation": 1_000_000_000, "test": 2_000_000_000}


@dataclass
class Episode:
    """An episode: observations (T, …), actions and scores of each step."""

    seed: int
    total: float = 0.0
    ended: bool = False
    observations: list[np.ndarray] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.actions)


def play(scores: Scores, environment: Environment, senses: Senses, seeds: Iterable[int]) -> list[Episode]:
    """Play an episode for each seed in parallel; takes the action with the highest score.

    In parallel, so that one forward pass scores a step of all episodes that are still running.
    """
    episodes = [Episode(seed) for seed in seeds]
    worlds = [World(environment) for _ in episodes]
    observations = [world.reset(episode.seed) for world, episode in zip(worlds, episodes, strict=True)]
    going = list(range(len(episodes)))
    while going:
        scores_of_worlds = scores(senses(np.stack([observations[index] for index in going])))
        still = []
        for index, row in zip(going, scores_of_worlds, strict=True):
            episode, action = episodes[index], int(row.argmax())
            episode.observations.append(observations[index])
            episode.actions.append(action)
            episode.scores.append(row)
            observations[index], reward, episode.ended, late = worlds[index].step(action)
            episode.total += reward
            if not episode.ended and not late:
                still.append(index)
        going = still
    return episodes


def play_randomly(environment: Environment, senses: Senses, seeds: Iterable[int]) -> list[Episode]:
    """Play episodes with random actions, as a baseline."""
    random = np.random.default_rng(0)
    count = len(environment.actions)
    return play(lambda observations: random.random((len(observations), count)), environment, senses, seeds)


def seeds_of(split: str, count: int) -> list[int]:
    """Return the seeds of the episodes of a split."""
    return [SEEDS[split] + number for number in range(count)]


def environment_of(data: Prepared) -> Environment:
    """Return the environment of the data.

    Raises:
        TrainingError: the data is not an environment.
    """
    raw = data.raw
    if not isinstance(raw, Episodes) or raw.environment is None:
        raise TrainingError(
            "Reinforcement learning needs an environment, but this data is not one; choose one such as CartPole."
        )
    return raw.environment
