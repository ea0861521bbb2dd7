"""How an agent learns by acting, as the document says it. A field's title and description are what forms show."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from netloom.document.base_model import Frozen


class Agent(Frozen):
    """What agents have beside other training. A step is one action in the environment; each task names
    the fields that it reads."""

    epoch_steps: Annotated[
        int,
        Field(ge=50, le=1_000_000, title="Steps in an epoch", description="Actions between two looks at how it does"),
    ] = 2_000
    discount: Annotated[
        float,
        Field(ge=0, le=1, title="Discount (γ)", description="What a reward is worth one step later"),
    ] = 0.99
    trials: Annotated[
        int,
        Field(ge=1, le=200, title="Trials", description="Episodes after each epoch that say which weights are best"),
    ] = 10
    buffer_size: Annotated[
        int,
        Field(ge=100, le=1_000_000, title="Memory", description="How many of the last steps are learned from"),
    ] = 50_000
    warm_up: Annotated[
        int,
        Field(ge=1, le=1_000_000, title="First steps", description="Steps that are gathered before learning begins"),
    ] = 1_000
    learn_every: Annotated[
        int,
        Field(ge=1, le=10_000, title="Learn after", description="Steps from one time of learning to the next"),
    ] = 4
    updates: Annotated[
        int,
        Field(
            ge=1, le=10_000, title="Batches each time", description="Batches out of memory that are learned each time"
        ),
    ] = 1
    target_every: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            title="Renew the target after",
            description="Steps for which the network that values what comes next stays as it is",
        ),
    ] = 500
    double: Annotated[
        bool,
        Field(title="Double Q-learning", description="The network itself chooses the action that the target values"),
    ] = True
    epsilon_start: Annotated[
        float,
        Field(ge=0, le=1, title="Chance at first (ε)", description="The share of random actions in the beginning"),
    ] = 1.0
    epsilon_end: Annotated[
        float,
        Field(ge=0, le=1, title="Chance at last (ε)", description="The share of random actions that stays"),
    ] = 0.04
    epsilon_share: Annotated[
        float,
        Field(gt=0, le=1, title="Falling for", description="The share of all steps over which chance falls"),
    ] = 0.2
    rollout: Annotated[
        int,
        Field(
            ge=8,
            le=100_000,
            title="Steps per update",
            description="Steps gathered before each update; REINFORCE ends the episode that is under way",
        ),
    ] = 1_024
    environments: Annotated[
        int,
        Field(ge=1, le=64, title="Environments", description="How many are played side by side"),
    ] = 8
    passes: Annotated[
        int,
        Field(ge=1, le=100, title="Passes", description="How often each step is learned from before it is forgotten"),
    ] = 10
    clip: Annotated[
        float,
        Field(gt=0, le=1, title="Clip", description="How far the chance of an action may move in one update"),
    ] = 0.2
    trace: Annotated[
        float,
        Field(ge=0, le=1, title="Trace (λ)", description="1 trusts what was got, 0 what the value network tells"),
    ] = 0.95
    value_weight: Annotated[
        float,
        Field(ge=0, le=100, title="Weight of the value", description="How much the value's error counts in the loss"),
    ] = 0.5
    entropy: Annotated[
        float,
        Field(ge=0, le=10, title="Entropy", description="Rewards being undecided, so that more is tried"),
    ] = 0.01
