"""Settings of reinforcement learning in the document. Forms show the title and description of each field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from netloom.document.base_model import Frozen
from netloom.document.former_names import renamed


class Agent(Frozen):
    """Settings of agents in addition to the training settings.

    A step is one action in the environment. Each task reads only the fields that it lists.
    """

    steps_per_epoch: Annotated[
        int,
        Field(ge=50, le=1_000_000, title="Steps per epoch", description="Actions between two evaluations"),
    ] = 2_000
    discount: Annotated[
        float,
        Field(ge=0, le=1, title="Discount (γ)", description="Discount factor of a reward one step later"),
    ] = 0.99
    evaluation_episodes: Annotated[
        int,
        Field(
            ge=1,
            le=200,
            title="Evaluation episodes",
            description="Episodes after each epoch that select the best weights",
        ),
    ] = 10
    buffer_size: Annotated[
        int,
        Field(ge=100, le=1_000_000, title="Replay buffer", description="Number of recent steps to sample from"),
    ] = 50_000
    learning_starts: Annotated[
        int,
        Field(ge=1, le=1_000_000, title="Learning starts", description="Steps collected before the first update"),
    ] = 1_000
    train_frequency: Annotated[
        int,
        Field(ge=1, le=10_000, title="Train frequency", description="Steps between two updates"),
    ] = 4
    gradient_steps: Annotated[
        int,
        Field(ge=1, le=10_000, title="Gradient steps", description="Batches from the replay buffer per update"),
    ] = 1
    target_update_interval: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            title="Target update interval",
            description="Steps between two copies of the weights to the target network",
        ),
    ] = 500
    double: Annotated[
        bool,
        Field(
            title="Double Q-learning",
            description="The online network selects the action, the target network evaluates it",
        ),
    ] = True
    epsilon_start: Annotated[
        float,
        Field(ge=0, le=1, title="Initial ε", description="Share of random actions at the start"),
    ] = 1.0
    epsilon_end: Annotated[
        float,
        Field(ge=0, le=1, title="Final ε", description="Share of random actions at the end"),
    ] = 0.04
    exploration_fraction: Annotated[
        float,
        Field(gt=0, le=1, title="Exploration fraction", description="Share of all steps over which ε decreases"),
    ] = 0.2
    rollout_steps: Annotated[
        int,
        Field(
            ge=8,
            le=100_000,
            title="Rollout steps",
            description="Steps collected before each update; REINFORCE finishes the current episode",
        ),
    ] = 1_024
    environments: Annotated[
        int,
        Field(ge=1, le=64, title="Environments", description="Number of parallel environments"),
    ] = 8
    update_epochs: Annotated[
        int,
        Field(ge=1, le=100, title="Epochs per update", description="Passes over the collected steps in each update"),
    ] = 10
    clip_range: Annotated[
        float,
        Field(gt=0, le=1, title="Clip range", description="Maximum change of the action probability ratio per update"),
    ] = 0.2
    gae_lambda: Annotated[
        float,
        Field(ge=0, le=1, title="GAE λ", description="1 relies on the observed returns, 0 on the value network"),
    ] = 0.95
    value_weight: Annotated[
        float,
        Field(ge=0, le=100, title="Value loss weight", description="Weight of the value loss in the total loss"),
    ] = 0.5
    entropy_weight: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            title="Entropy weight",
            description="Weight of the entropy bonus. Raise it for more exploration",
        ),
    ] = 0.01

    @model_validator(mode="before")
    @classmethod
    def _present_names(cls, values: Any) -> Any:
        return renamed(values, "training.agent")
