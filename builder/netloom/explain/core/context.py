"""The context of an explanation: one example and a private copy of the network.

Each explanation makes its own copy, so that hooks and modified modules never affect the network in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import nn

from netloom import layers
from netloom.compile import input_fields, input_nodes
from netloom.compile.logit_network import with_logits
from netloom.data import Prepared
from netloom.document import Project
from netloom.explain.core.baselines import USUAL, BaselineChoice, choose
from netloom.explain.core.explanation import Target
from netloom.explain.core.network.cost import measure_network
from netloom.explain.core.targets import quantity_of, select
from netloom.modalities.fields.registry import modality_of

# The memory limit for activations of a batch, and the largest batch size.
MEMORY_BYTES = 128 * 2**20
MAX_ROWS = 128
Progress = Callable[[float], None]


class InterpretableEmbedding(nn.Module):
    """An embedding whose output vectors can be replaced."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.vectors: torch.Tensor | None = None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return `vectors` if they are set, otherwise the embedding of the tokens."""
        vectors: torch.Tensor = self.embedding(tokens) if self.vectors is None else self.vectors
        return vectors


@dataclass(frozen=True)
class InputPoint:
    """A point where gradients start: a field, or the embedding vectors of its tokens, with the baseline there."""

    field: str
    embedding: str | None
    value: torch.Tensor
    baseline: torch.Tensor


class ExplanationContext:
    """One example, its baseline, and a private copy of the network.

    `inputs` and `baseline` hold tensors (1, …) by field, and `baseline_text` describes the baseline. `score` computes
    F, the explained number. `rows` is the batch size, and `flops` the cost of one row.
    """

    def __init__(
        self,
        project: Project,
        model: nn.Module,
        data: Prepared,
        inputs: Mapping[str, torch.Tensor],
        target: Target,
        baseline: BaselineChoice = USUAL,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.project, self.data, self.target = project, data, target
        self.targets: Sequence[Target] = ()  # one per row, if they differ
        self.labels: Mapping[str, Sequence[str]] = {}  # by field, as of an `Explanation`; {} for many rows
        self.arguments = input_fields(project)
        self.specs = {spec.name: spec for spec in data.schema.inputs if spec.name in self.arguments}
        self.inputs = {name: inputs[name].detach().clone() for name in self.specs}
        self.baseline_choice = baseline
        self._set_baseline()
        self._copy_model(model)
        totals = measure_network(project).totals
        self.rows = int(np.clip(MEMORY_BYTES // max(1, totals.activation_bytes), 4, MAX_ROWS))
        self.flops = totals.flops
        self.seed, self.progress, self.expected, self.done = seed, progress, 0, 0

    def _set_baseline(self) -> None:
        chosen = choose(self.baseline_choice, self.data, self.inputs)
        self.baseline, self.baseline_text, self._of_example = chosen.values, chosen.words, chosen.of_example

    def _copy_model(self, model: nn.Module) -> None:
        scorer = with_logits(self.project, model, self.data.schema)
        # Gradients are taken with respect to the inputs, never the weights.
        self.model = deepcopy(scorer).to("cpu", torch.float32).eval().requires_grad_(False)
        self.embeddings: dict[str, InterpretableEmbedding] = {}
        self._points: list[InputPoint] | None = None
        self.zero_path: torch.Tensor | None = None  # a zero for each row that depends on all points

    def with_model(self, model: nn.Module) -> ExplanationContext:
        """Return the same context with a private copy of another network, or a fresh copy of the same."""
        clone = copy(self)
        clone._copy_model(model)
        return clone

    def expect_rows(self, rows: int) -> None:
        """Add rows to the total, from which `progress` gets its fraction."""
        self.expected += rows

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the output (N, …) for inputs by field; logits for classifiers.

        Each call reports to `progress`; an exception from it cancels the work.
        """
        if self.progress is not None:
            self.done += len(next(iter(inputs.values())))
            self.progress(min(1.0, self.done / self.expected) if self.expected else 0.0)
        outputs = self.model(*[inputs[name] for name in self.arguments])
        if isinstance(outputs, tuple) and quantity_of(self.target).reads_all_outputs:
            return torch.cat([part.flatten(1) for part in outputs], dim=1)
        output: torch.Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
        return output

    def score(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute F for inputs by field, (N,), without gradients, in batches."""
        rows = len(next(iter(inputs.values())))
        parts = []
        with torch.no_grad():
            for start in range(0, rows, self.rows):
                part = {name: value[start : start + self.rows] for name, value in inputs.items()}
                parts.append(select(self.target, self.forward(part), self.data, part))
        return torch.cat(parts)

    def set_rows(self, inputs: Mapping[str, torch.Tensor], target: Target) -> None:
        """Replace the rows (N, …) and the target, with the same copy of the network."""
        self.inputs = {name: inputs[name].detach().clone() for name in self.specs}
        self.target, self.targets, self._points = target, (), None
        if self._of_example:
            self._set_baseline()

    def _select(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute F (N,) for inputs by field (N, …), with the target of each row if `targets` is set."""
        output = self.forward(inputs)
        if not self.targets:
            return select(self.target, output, self.data, inputs)
        scores, start = [], 0
        # Only adjacent rows are joined; `sample_attributions` sorts rows by target for this.
        for target, same_target in groupby(self.targets):
            rows = slice(start, start := start + len(list(same_target)))
            row_inputs = {name: value[rows] for name, value in inputs.items()}
            scores.append(select(target, output[rows], self.data, row_inputs))
        return torch.cat(scores)

    @property
    def points(self) -> list[InputPoint]:
        """The points where gradients start: each field, or for tokens each embedding that reads it."""
        if self._points is None:
            self._points = [point for name in self.specs for point in self._points_of(name)]
        return self._points

    def _points_of(self, name: str) -> list[InputPoint]:
        if not self.specs[name].is_tokens:
            return [InputPoint(name, None, self.inputs[name], self.baseline[name])]
        points = []
        for node in embedding_nodes(self.project, name):
            if node not in self.embeddings:
                self.embeddings[node] = InterpretableEmbedding(self.model.get_submodule(node))
                setattr(self.model, node, self.embeddings[node])
            with torch.no_grad():
                vectors = [self.embeddings[node](rows[name]) for rows in (self.inputs, self.baseline)]
            points.append(InputPoint(name, node, *vectors))
        return points

    def point_score(self, *values: torch.Tensor) -> torch.Tensor:
        """Compute F (N,) for values (N, …) at the points, with gradients.

        A field that does not affect the output gets the gradient 0; without the added zero, autograd raises an error.
        """
        rows = len(values[0])
        inputs = {name: value.expand(rows, *value.shape[1:]) for name, value in self.inputs.items()}
        try:
            for point, value in zip(self.points, values, strict=True):
                if point.embedding is None:
                    inputs[point.field] = value
                else:
                    self.embeddings[point.embedding].vectors = value
            self.zero_path = torch.stack([0.0 * value.flatten(1).sum(1) for value in values]).sum(0)
            return self._select(inputs) + self.zero_path
        finally:
            # Also if `progress` cancels the pass: left in place, the vectors would replace the tokens of the next one.
            self.zero_path = None
            for entry in self.embeddings.values():
                entry.vectors = None

    def point_scores(self, values: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Compute F (N,) for values at the points without gradients, in batches."""
        with torch.no_grad():
            parts = [
                self.point_score(*part)
                for part in zip(*(torch.split(value, self.rows) for value in values), strict=True)
            ]
        return torch.cat(parts)

    @property
    def baseline_score(self) -> float:
        """F of the baseline at the points; layers that read tokens beside an embedding keep the tokens of the
        example."""
        return float(self.point_scores(tuple(point.baseline for point in self.points))[0])

    def training_samples(self, count: int) -> tuple[torch.Tensor, ...]:
        """Return the values at the points for `count` random training rows, (count, …)."""
        train = self.data.split["train"]
        row_numbers = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed))[:count]]
        samples = []
        for point in self.points:
            rows = self.data.inputs[point.field][row_numbers]
            with torch.no_grad():
                samples.append(rows if point.embedding is None else self.embeddings[point.embedding](rows))
        return tuple(samples)

    def to_fields(self, values: tuple[torch.Tensor, ...]) -> dict[str, np.ndarray]:
        """Convert attributions (1, …) at the points to arrays by field; embedding vectors of tokens are summed."""
        # A field of tokens has a point for each embedding that reads it, whose attributions add up.
        fields = {name: np.zeros(spec.shape) for name, spec in self.specs.items()}
        for point, value in zip(self.points, values, strict=True):
            array = value[0].detach().to(torch.float64)
            fields[point.field] += (array if point.embedding is None else array.flatten(1).sum(1)).numpy()
        return fields

    def feature_mask(self, name: str) -> np.ndarray:
        """Return the feature of each value of a field, from 0, in its shape; -1 marks padding.

        All channels of a pixel are one feature, and so are all values of a column.
        """
        field = self.data.field(name)
        return modality_of(field).units(field, self.inputs[name][0].numpy())


class ScoreModule(nn.Module):
    """F as a module of the values at the points, for methods that install hooks on modules."""

    def __init__(self, context: ExplanationContext) -> None:
        super().__init__()
        self.context = context
        _ = context.points  # installs the embedding entry points before Captum collects the modules
        self.model = context.model

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        """Compute F (N,) for values (N, …) at the points."""
        return self.context.point_score(*values)


def node_label(project: Project, key: str) -> str:
    """Return the display name of a node."""
    return layers.label(project.main_network.nodes[key])


def consumers(project: Project, field: str) -> list[str]:
    """Return the nodes that read a field directly."""
    network = project.main_network
    sources = {key for key in input_nodes(project) if network.nodes[key].params.get("field") == field}
    return sorted({edge.target_node for edge in network.edges if edge.source_node in sources})


def embedding_nodes(project: Project, field: str) -> list[str]:
    """Return the embeddings that read a field of tokens, without unused ones, which are not in the generated code."""
    import networkx as nx

    from netloom.compile import output_nodes
    from netloom.validation.graph_views import digraph

    network = project.main_network
    graph = digraph(network)
    useful = {node for output in output_nodes(project) for node in nx.ancestors(graph, output)}
    readers = [key for key in consumers(project, field) if key in useful]
    return [key for key in readers if layers.layer_class(network.nodes[key].type).is_embedding]
