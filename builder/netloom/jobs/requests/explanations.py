"""Jobs for explanations: each class contains the arguments of a function of `netloom.explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netloom.explain import Explanation, explain
from netloom.explain.comparison import Comparison, Side, explain_and_compare
from netloom.explain.concepts.concept_definition import ConceptDefinition
from netloom.explain.concepts.concepts import Concepts, concepts
from netloom.explain.concepts.feature_visualization import VisualizedUnit, visualize_unit
from netloom.explain.core.baselines import USUAL
from netloom.explain.dataset.embedding_map import EmbeddingMap, Split, embedding_map
from netloom.explain.dataset.global_attribution import GlobalAttributions, RowChoice, global_attribution
from netloom.explain.dataset.neighborhood import Projection
from netloom.explain.dataset.training_trajectory import Trajectory, explain_trajectory
from netloom.explain.flow.attribution_flow import Flow, flow
from netloom.explain.influence.influence import Against, Influence, influence
from netloom.explain.influence.label_errors import PossibleLabelErrors, find_label_errors
from netloom.explain.robustness.attack_targets import attacked_output
from netloom.explain.robustness.robustness import AdversarialExample, Robustness, find_adversarial_example, robustness
from netloom.explain.robustness.what_if import WhatIf, what_if
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request

Row = int | dict[str, Any]
Target = int | str | Mapping[str, Any] | None
Options = dict[str, Any]


@dataclass(frozen=True)
class Attribution(Request[Explanation], kind="attribution"):
    """Attributions of a prediction for an example, by one method. A preview has the attributions without their
    checks."""

    weights: RunWeights
    method: str
    row: Row
    target: Target = None
    options: Options = field(default_factory=dict)
    randomize: bool = False

    def compute(self, context: Context) -> Explanation:
        return explain(
            context.explained_run(self.weights),
            self.method,
            self.row,
            target=self.target,
            randomize=self.randomize,
            folder=context.folder(self.weights),
            checkpoint=self.weights.label,
            progress=context.progress,
            preview=context.preview,
            **self.options,
        )


@dataclass(frozen=True)
class AttributionFlow(Request[Flow], kind="flow"):
    """The flow of attribution through the graph."""

    weights: RunWeights
    row: Row
    target: Target = None
    baseline: Any = USUAL

    def compute(self, context: Context) -> Flow:
        return flow(
            context.explained_run(self.weights),
            self.row,
            target=self.target,
            baseline=self.baseline,
            folder=context.folder(self.weights),
            checkpoint=self.weights.label,
            progress=context.progress,
        )


@dataclass(frozen=True)
class Change(Request[WhatIf], kind="what_if"):
    """A prediction for an example, explained before and after a change of the example."""

    weights: RunWeights
    row: Row
    changed: dict[str, Any]
    method: str
    target: Target = None
    options: Options = field(default_factory=dict)

    def compute(self, context: Context) -> WhatIf:
        return what_if(
            context.explained_run(self.weights),
            self.row,
            self.changed,
            self.method,
            target=self.target,
            folder=context.folder(self.weights),
            checkpoint=self.weights.label,
            progress=context.progress,
            **self.options,
        )


@dataclass(frozen=True)
class LeastChange(Request[AdversarialExample], kind="least_change", lane="long"):
    """The smallest change of an example that changes its prediction."""

    weights: RunWeights
    row: Row
    method: str
    target: Target = None

    def compute(self, context: Context) -> AdversarialExample:
        trained = context.explained_run(self.weights)
        output = attacked_output(trained, self.target)
        return find_adversarial_example(trained, self.row, self.method, output=output, progress=context.progress)


@dataclass(frozen=True)
class Attack(Request[Robustness], kind="attack", lane="long"):
    """The robustness of a network under attacks on many rows."""

    weights: RunWeights
    method: str
    rows: int
    target: Target = None

    def compute(self, context: Context) -> Robustness:
        trained = context.explained_run(self.weights)
        return robustness(
            trained,
            self.method,
            rows=self.rows,
            output=attacked_output(trained, self.target),
            folder=context.folder(self.weights),
            checkpoint=self.weights.checkpoint,
            progress=context.progress,
        )


@dataclass(frozen=True)
class FeatureVisualization(Request[VisualizedUnit], kind="feature_visualization", lane="long"):
    """Inputs that maximize a unit of the network."""

    weights: RunWeights
    node: str
    unit: int

    def compute(self, context: Context) -> VisualizedUnit:
        return visualize_unit(
            context.explained_run(self.weights),
            self.node,
            self.unit,
            folder=context.folder(self.weights),
            checkpoint=self.weights.checkpoint,
            progress=context.progress,
        )


@dataclass(frozen=True)
class InfluentialRows(Request[Influence], kind="influence", lane="long"):
    """The training rows with the largest influence on a prediction."""

    weights: RunWeights
    row: Row
    against: Against | None = None

    def compute(self, context: Context) -> Influence:
        return influence(
            context.explained_run(self.weights),
            self.row,
            against=self.against,
            folder=context.folder(self.weights),
            checkpoint=self.weights.checkpoint,
            progress=context.progress,
        )


@dataclass(frozen=True)
class LabelErrors(Request[PossibleLabelErrors], kind="label_errors", lane="long"):
    """The training rows with possible label errors."""

    weights: RunWeights

    def compute(self, context: Context) -> PossibleLabelErrors:
        return find_label_errors(
            context.explained_run(self.weights),
            folder=context.folder(self.weights),
            checkpoint=self.weights.checkpoint,
            progress=context.progress,
        )


@dataclass(frozen=True)
class ConceptSearch(Request[Concepts], kind="concepts", lane="long"):
    """The layers that encode a concept, and whether predictions depend on it."""

    weights: RunWeights
    wanted: ConceptDefinition
    nodes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def compute(self, context: Context) -> Concepts:
        return concepts(
            context.explained_run(self.weights),
            self.wanted,
            nodes=self.nodes,
            targets=self.targets,
            folder=context.folder(self.weights),
            progress=context.progress,
        )


@dataclass(frozen=True)
class TrainingTrajectory(Request[Trajectory], kind="training_trajectory", lane="long"):
    """The explanations of an example with the weights of each checkpoint."""

    weights: RunWeights
    method: str
    row: Row
    target: Target = None
    options: Options = field(default_factory=dict)

    def compute(self, context: Context) -> Trajectory:
        return explain_trajectory(
            context.explained_run(self.weights),
            context.folder(self.weights),
            self.method,
            self.row,
            target=self.target,
            progress=context.progress,
            **self.options,
        )


@dataclass(frozen=True)
class ComparedSide:
    """One of two explanations: a run with its weights, and a method with its options."""

    weights: RunWeights
    method: str
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class ExplanationComparison(Request[Comparison], kind="comparison"):
    """Two explanations of one example, and their agreement."""

    weights: RunWeights
    first: ComparedSide
    second: ComparedSide
    row: Row
    target: Target = None

    def compute(self, context: Context) -> Comparison:
        first, second = self._side(context, self.first), self._side(context, self.second)
        return explain_and_compare(first, second, self.row, target=self.target, progress=context.progress)

    def _side(self, context: Context, side: ComparedSide) -> Side:
        weights = side.weights
        return Side(
            context.explained_run(weights), side.method, side.options, context.folder(weights), side.weights.checkpoint
        )


@dataclass(frozen=True)
class GlobalAttribution(Request[GlobalAttributions], kind="global_attribution", lane="long"):
    """The inputs on which a network relies, over many rows."""

    weights: RunWeights
    which: RowChoice
    method: str
    target: Target = None
    options: Options = field(default_factory=dict)

    def compute(self, context: Context) -> GlobalAttributions:
        return global_attribution(
            context.explained_run(self.weights),
            self.which,
            method=self.method,
            target=self.target,
            folder=context.folder(self.weights),
            progress=context.progress,
            **self.options,
        )


@dataclass(frozen=True)
class Embeddings(Request[EmbeddingMap], kind="embeddings", lane="long"):
    """The activations of a layer for many rows, projected to a plane."""

    weights: RunWeights
    path: str
    projection: Projection
    split: Split

    def compute(self, context: Context) -> EmbeddingMap:
        return embedding_map(
            context.explained_run(self.weights),
            self.path,
            projection=self.projection,
            split=self.split,
            folder=context.folder(self.weights),
            progress=context.progress,
        )
