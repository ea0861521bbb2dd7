"""Learning by acting in an environment: value-based (DQN) and policy-based (REINFORCE, PPO) agents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.document.training_settings import MAX_EPOCHS
from netloom.tasks.answers import AnswerPart, class_part, numbers_part, probability_part
from netloom.tasks.outputs import CLASS_LOGITS, ExpectedOutput
from netloom.tasks.task import Problem, Task

_COMMON = ("steps_per_epoch", "discount")


class Agent(Task):
    """The base class of agents: the first output (N, actions) holds a score for each action."""

    target = "action"
    reads = "one Output, a score for each action"
    environment = True
    # The others are of training steps, or neither better when they rise nor when they fall.
    monitors = ("loss", "return")
    explainable_prediction = False
    per_class_scores = True
    explained = "class"
    not_calibrated = "An agent is measured by the return of its episodes, and its actions have no true answers."
    collected: ClassVar[str] = "rollout_steps"  # the setting with the number of steps before the first update
    not_attacked = (
        "an agent chooses actions, and no single action is correct, so there is no correct "
        "prediction to attack; use What if instead."
    )

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        return (ExpectedOutput((count,), f"the {count} actions of the environment need", "action"),)

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        """Yield a problem if the run ends before the first update."""
        agent, epochs = training.agent, training.epochs
        side_by_side, first = self.first_update(training)
        per_epoch = -(-agent.steps_per_epoch // side_by_side) * side_by_side
        if not epochs or first <= per_epoch * epochs:
            return
        title = type(agent).model_fields[self.collected].title
        needed = -(-first // per_epoch)
        yield Problem(
            "no_updates",
            f"The agent does not learn: its first update is at step {first:,} ({title} = "
            f"{getattr(agent, self.collected):,}), but the run has {per_epoch * epochs:,} steps. Train for at least "
            f"{needed:,} epochs, or lower {title}.",
            f"Train for {needed:,} epochs" if needed <= MAX_EPOCHS else "",
            {"epochs": needed},
            severity="warning",
        )

    def first_update(self, training: Training) -> tuple[int, int]:
        """Return the number of parallel environments, and the earliest step of the first update."""
        return 1, training.agent.rollout_steps

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        names = schema.target.classes
        values = numbers_part("values", names, "The expected return of each action")
        return class_part(names, description="The action"), values if self.action_values else probability_part(names)


class DQN(Agent):
    name = "dqn"
    trainer = "dqn"
    title = "Deep Q-learning (DQN)"
    summary = "An agent that learns the value of each action from a replay buffer"
    order = 180
    # `probabilities` stays empty: the outputs are expected returns and not logits.
    metrics: ClassVar = {
        "return": "Return",
        "batch_loss": "Bellman error",
        "length": "Steps in an episode",
        "epsilon": "Exploration (ε)",
    }
    rl_settings = (
        *_COMMON, "epsilon_start", "epsilon_end", "exploration_fraction", "buffer_size", "learning_starts",
        "train_frequency", "gradient_steps", "target_update_interval", "double", "evaluation_episodes",
    )  # fmt: skip
    action_values = True
    collected = "learning_starts"
    explained = "value"

    def first_update(self, training: Training) -> tuple[int, int]:
        agent = training.agent
        return 1, -(-agent.learning_starts // agent.train_frequency) * agent.train_frequency


class REINFORCE(Agent):
    name = "reinforce"
    trainer = "reinforce"
    title = "Policy gradient (REINFORCE)"
    summary = "An agent that raises the probability of actions in episodes with a high return"
    order = 190
    probabilities = (CLASS_LOGITS,)
    metrics: ClassVar = {
        "return": "Return",
        "batch_loss": "Policy loss",
        "length": "Steps in an episode",
        "entropy": "Entropy",
    }
    rl_settings = (*_COMMON, "rollout_steps", "entropy_weight", "evaluation_episodes")


class PPO(Agent):
    name = "ppo"
    trainer = "ppo"
    title = "Proximal policy optimization (PPO)"
    summary = "An agent with a policy and a value network, whose policy changes only a little per update"
    order = 200
    probabilities = (CLASS_LOGITS, None)
    reads = "two Outputs, first a score for each action and then one number, the value of the observation"
    metrics: ClassVar = {
        "return": "Return",
        "batch_loss": "Loss",
        "length": "Steps in an episode",
        "entropy": "Entropy",
    }
    rl_settings = (
        *_COMMON, "rollout_steps", "environments", "update_epochs", "clip_range", "gae_lambda", "value_weight",
        "entropy_weight", "evaluation_episodes",
    )  # fmt: skip

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        actions = super().outputs(schema, training) or ()
        return (*actions, ExpectedOutput((1,), "the value needs", "value"))

    def first_update(self, training: Training) -> tuple[int, int]:
        count = training.agent.environments
        return count, -(-training.agent.rollout_steps // count) * count
