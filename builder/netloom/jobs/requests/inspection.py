"""Jobs for the explain page: the available explanations of a network, and its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netloom.explain import InnerNode, Method, inner_nodes, methods
from netloom.explain.concepts import concepts, feature_visualization
from netloom.explain.concepts.unit import unit_counts
from netloom.explain.core.baselines import typical_row
from netloom.explain.core.explainer import MethodFacts, method_facts
from netloom.explain.core.prediction import ExamplePrediction, predict_example
from netloom.explain.dataset import embedding_map
from netloom.explain.flow.attribution_flow import unavailable_reason
from netloom.explain.influence import tracin
from netloom.explain.robustness import attack
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request


@dataclass(frozen=True)
class Inspection:
    """`methods` are all methods, with the reason for those that are unavailable; `nodes` are the nodes that lead to the
    output. `unavailable` gives the reason for each kind of explanation, "" if it is available. `concept_nodes` are the
    default nodes of a concept search. `is_calibrated` is whether the run predicts with a calibration, which
    explanations do not use."""

    methods: tuple[Method, ...]
    nodes: tuple[InnerNode, ...]
    unavailable: dict[str, str]
    concept_nodes: tuple[str, ...]
    is_calibrated: bool


@dataclass(frozen=True)
class Inspect(Request[Inspection], kind="inspect"):
    """The available explanations of a run."""

    weights: RunWeights

    def compute(self, context: Context) -> Inspection:
        trained = context.explained_run(self.weights)
        unavailable = {
            "flow": unavailable_reason(trained),
            "attack": attack.unavailable_reason(trained),
            "feature_visualization": feature_visualization.unavailable_reason(trained),
            "influence": tracin.unavailable_reason(trained),
            "concepts": concepts.unavailable_reason(trained),
            "embeddings": embedding_map.unavailable_reason(trained),
        }
        return Inspection(
            tuple(methods(trained)),
            tuple(inner_nodes(trained.project, trained.model)),
            unavailable,
            () if unavailable["concepts"] else tuple(node.path for node in concepts.default_nodes(trained)),
            trained.applied is not None,
        )


@dataclass(frozen=True)
class DescribeMethods(Request[dict[str, MethodFacts]], kind="method_facts"):
    """The facts of all methods of explanation by name."""

    def compute(self, context: Context) -> dict[str, MethodFacts]:
        return method_facts()


@dataclass(frozen=True)
class FindTypicalRow(Request[int], kind="typical_row"):
    """The number of the row that is nearest to the usual baselines of a run."""

    weights: RunWeights

    def compute(self, context: Context) -> int:
        trained = context.explained_run(self.weights)
        return typical_row(trained.data, trained.fields)


@dataclass(frozen=True)
class Answer(Request[ExamplePrediction], kind="answer"):
    """The prediction of a network for an example."""

    weights: RunWeights
    row: int | dict[str, Any]
    target: int | str | Mapping[str, Any] | None = None

    def compute(self, context: Context) -> ExamplePrediction:
        return predict_example(context.explained_run(self.weights), self.row, self.target)


@dataclass(frozen=True)
class Widths(Request[dict[str, int]], kind="widths"):
    """The number of units of each node for feature visualization."""

    weights: RunWeights

    def compute(self, context: Context) -> dict[str, int]:
        return unit_counts(context.explained_run(self.weights))
