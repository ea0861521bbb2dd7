"""Settings of individual objectives in the document. Forms show the title and description of each field."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from netloom.document.base_model import Frozen

MAX_CLASSES = 10_000
Weight = Annotated[float, Field(ge=0, le=1e6)]
ClassWeights = (
    Literal["balanced"] | Annotated[tuple[Weight, ...], Field(strict=False, min_length=2, max_length=MAX_CLASSES)]
)
_RUN = re.compile(r"run:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _teacher(text: str) -> str:
    if text and not _RUN.fullmatch(text):
        raise ValueError("a teacher must be a run, written run:ID")
    return text


class Head(Frozen):
    """The loss of one of several outputs.

    An empty `objective` means the usual one for the type of the target. `weight` multiplies the loss in the sum over
    all outputs; `class_weights` multiplies the loss of a row by the weight of its class.
    """

    objective: Annotated[str, Field(max_length=64)] = ""
    weight: Weight = 1.0
    class_weights: ClassWeights | None = None


class LossSettings(Frozen):
    """Settings of losses. An objective reads only the fields that it lists in `takes`."""

    positive_weight: (
        Annotated[
            Literal["balanced"] | Annotated[float, Field(gt=0, le=1e6)],
            Field(
                title="Positive weight",
                description="Weight of positive labels in the loss (pos_weight); balanced: number of negatives divided "
                "by number of positives in the training rows",
            ),
        ]
        | None
    ) = None
    outputs: Annotated[
        dict[Annotated[str, Field(max_length=200)], Head],
        Field(max_length=50, title="Outputs", description="Task and loss weight of each target"),
    ] = {}
    teacher: Annotated[
        str,
        AfterValidator(_teacher),
        Field(title="Teacher", description="Run whose outputs are the soft targets (knowledge distillation)"),
    ] = ""
    temperature: Annotated[
        float,
        Field(
            gt=0,
            le=100,
            title="Temperature",
            description="Divides the logits of teacher and student. Higher values give small probabilities more weight",
        ),
    ] = 4.0
    distillation_weight: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            title="Distillation weight",
            description="Weight of the soft targets in the loss; the rest is the loss of the labels",
        ),
    ] = 0.7
    margin: Annotated[
        float,
        Field(
            gt=0,
            le=1e3,
            title="Margin",
            description="Distance beyond which the embeddings of a dissimilar pair have zero loss",
        ),
    ] = 1.0
    similar_class: Annotated[
        Literal["second", "first"],
        Field(
            title="Class of similar pairs",
            description="The one of the two classes, in the order of the data, whose pairs get embeddings near each "
            "other",
        ),
    ] = "second"
    contrastive_temperature: Annotated[
        float,
        Field(
            gt=0,
            le=10,
            title="Temperature (τ)",
            description="Divides the cosine similarities. Lower values give the nearest negatives more weight",
        ),
    ] = 0.5
    neighbors: Annotated[
        int,
        Field(
            ge=1,
            le=200,
            title="Neighbors (k)",
            description="Number of nearest training rows that vote in the kNN evaluation",
        ),
    ] = 5
    relevance_threshold: (
        Annotated[
            float,
            Field(
                ge=-1e9,
                le=1e9,
                title="Relevance threshold",
                description="Minimum rating of a relevant item; empty, or without ratings: every item is relevant",
            ),
        ]
        | None
    ) = None
    top_k: Annotated[
        int,
        Field(ge=1, le=1_000, title="Top k", description="Number of items recommended to a user"),
    ] = 10
    focal_gamma: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            title="Focal loss (γ)",
            description="Gives examples that are already predicted right less weight: 2 is usual for rare classes, 0 "
            "is cross-entropy",
        ),
    ] = 0.0
    dice_weight: Annotated[
        float,
        Field(
            ge=0,
            le=1e3,
            title="Dice weight",
            description="Weight of the Dice loss that is added to the cross-entropy: 1 is usual for small regions, 0 "
            "is only cross-entropy",
        ),
    ] = 0.0
    likelihood: Annotated[
        Literal["none", "gaussian", "laplace", "bernoulli"],
        Field(
            title="Likelihood",
            description="Distribution of the input around its reconstruction. The loss is the negative log-likelihood; "
            "with the KL divergence of a Reparameterize layer and β = 1, the negative ELBO",
        ),
    ] = "none"
    likelihood_scale: Annotated[
        float,
        Field(
            gt=0,
            le=1e3,
            title="Scale",
            description="Standard deviation of a Gaussian, or b of a Laplace likelihood, in prepared units",
        ),
    ] = 1.0
