"""What can be asked of a trained network, and what it answers: all that the explain page shows before a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netloom.explain import InnerNode, Method, inner_nodes, methods
from netloom.explain.concepts import concepts, feature_visualization
from netloom.explain.core.prediction import ExamplePrediction, predict_example
from netloom.explain.flow.attribution_flow import unavailable_reason
from netloom.explain.influence import influence
from netloom.explain.robustness import attack
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request


@dataclass(frozen=True)
class Inspection:
    """`methods` are all, those that do not fit with the reason; `nodes` those of the network that lead to its answer.
    `unavailable` says for each kind of explanation why there is none of this network, and is empty where there is.
    `concept_nodes` are where concepts are looked for if no nodes are chosen."""

    methods: tuple[Method, ...]
    nodes: tuple[InnerNode, ...]
    unavailable: dict[str, str]
    concept_nodes: tuple[str, ...]


@dataclass(frozen=True)
class Inspect(Request[Inspection], kind="inspect"):
    """What can be explained of a run."""

    weights: RunWeights

    def compute(self, context: Context) -> Inspection:
        trained = context.run(self.weights)
        unavailable = {
            "flow": unavailable_reason(trained),
            "attack": attack.unavailable_reason(trained),
            "feature_visualization": feature_visualization.unavailable_reason(trained),
            "influence": influence.unavailable_reason(trained),
            "concepts": concepts.unavailable_reason(trained),
        }
        return Inspection(
            tuple(methods(trained)),
            tuple(inner_nodes(trained.project, trained.model)),
            unavailable,
            () if unavailable["concepts"] else tuple(node.path for node in concepts.default_nodes(trained)),
        )


@dataclass(frozen=True)
class Answer(Request[ExamplePrediction], kind="answer"):
    """What a network answers to an example."""

    weights: RunWeights
    row: int | dict[str, Any]
    target: int | str | Mapping[str, Any] | None = None

    def compute(self, context: Context) -> ExamplePrediction:
        return predict_example(context.run(self.weights), self.row, self.target)


@dataclass(frozen=True)
class Widths(Request[dict[str, int]], kind="widths"):
    """How many numbers each node has that an input can be made for."""

    weights: RunWeights

    def compute(self, context: Context) -> dict[str, int]:
        return feature_visualization.unit_counts(context.run(self.weights))
