"""Objectives of reinforcement learning: an agent maximizes its return, the sum of its rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.data.environment import FIELD
from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import reinforcement
from netloom.training.objectives.evaluation import Evaluation, PlayedEpisode, Reference
from netloom.training.objectives.objective import NOTHING, Objective, Scores, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from netloom.data import Prepared
    from netloom.training.episodes import Episode

# The number of episodes in an evaluation, and the number of them that are stored for display.
EPISODES, SHOWN = 20, 3


class Agent(Objective):
    """The base class of agents. An output (N, actions) holds a score per action; the action with the highest score is
    taken.

    Its trainer implements learning; there is no loss between an output and a row of data.
    """

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(
            "An agent learns from its own actions, so a prediction for a row of data has no loss."
        )

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        raise NotImplementedError("An agent is evaluated on the episodes that it plays, not on rows of data.")

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        raise NotImplementedError("An agent is evaluated on the episodes that it plays; use `play`.")

    def play(
        self, answer: Callable[[dict[str, torch.Tensor]], torch.Tensor], data: Prepared, split: str = "test"
    ) -> Evaluation:
        """Evaluate an agent in episodes on the seeds of a split, compared with random actions."""
        import numpy as np
        import torch

        from netloom.data.environment import Senses
        from netloom.training.episodes import environment_of, play, play_randomly, seeds_of
        from netloom.training.uncertainty import mean_interval

        environment = environment_of(data)
        senses, count = Senses(data.field(FIELD), environment), len(environment.actions)

        def scores(observations: np.ndarray) -> np.ndarray:
            # PPO appends the value of the observation to the scores of the actions.
            scores: np.ndarray = answer({FIELD: torch.from_numpy(observations)})[:, :count].numpy()
            return scores

        seeds = seeds_of(split, EPISODES)
        episodes, random = play(scores, environment, senses, seeds), play_randomly(environment, senses, seeds)
        totals, chance = (np.array([episode.total for episode in some]) for some in (episodes, random))
        lengths = np.array([len(episode) for episode in episodes])
        intervals = {"return": mean_interval(totals), "length": mean_interval(lengths)}
        return Evaluation(
            split=split,
            rows=len(episodes),
            metrics={
                "return": float(totals.mean()),
                "return_deviation": float(totals.std()),
                "random_return": float(chance.mean()),
                "length": float(lengths.mean()),
            },
            classes=environment.actions,
            reference=Reference("Random actions", {"return": float(chance.mean())}),
            intervals={name: interval for name, interval in intervals.items() if interval is not None},
            episodes={
                "drawing": environment.drawing,
                "actions": list(environment.actions),
                "values": self.task.action_values,
                "returns": totals.tolist(),
                "random_returns": chance.tolist(),
                "shown": [_shown(episode) for episode in _chosen(episodes)],
            },
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {**data.fitted_target.to_json(), "values": self.task.action_values}

    def parted(self, output: torch.Tensor, data: Prepared) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return the scores of the actions (N, actions), without the value of PPO."""
        return output[:, : len(data.schema.target.classes)]


class DQN(Agent):
    """Deep Q-learning: the expected return of each action."""

    task = reinforcement.DQN()


class REINFORCE(Agent):
    """REINFORCE: a logit for each action."""

    task = reinforcement.REINFORCE()


class PPO(Agent):
    """Proximal policy optimization: a logit for each action and the expected return, (N, actions + 1)."""

    task = reinforcement.PPO()


def _chosen(episodes: list[Episode]) -> list[Episode]:
    """Return the worst, the median and the best of the episodes."""
    ordered = sorted(episodes, key=lambda episode: episode.total)
    positions = sorted({0, len(ordered) // 2, len(ordered) - 1})
    return [ordered[index] for index in positions][:SHOWN]


def _shown(episode: Episode) -> PlayedEpisode:
    """Return an episode as plain JSON, with numbers rounded for the browser."""
    import numpy as np

    return {
        "seed": episode.seed,
        "return": episode.total,
        "ended": episode.ended,
        "seen": np.array(episode.observations).round(4).tolist(),
        "actions": episode.actions,
        "scores": np.array(episode.scores).round(3).tolist(),
    }
