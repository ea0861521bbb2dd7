"""The path integral behind the attribution flow, with adaptive steps from the baseline to the example."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from netloom import layers
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.estimation.quadrature import TINY, Spans, Values, integrate
from netloom.explain.flow.edge_hooks import EdgeHooks, EdgeKey
from netloom.explain.flow.flow_parts import Cut, EdgeFlow, NodeFlow
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task
from netloom.validation import Context
from netloom.validation.along_axis import count_steps

FIRST_STEPS = 16
# The shortest step: at a discontinuity of the score, no number of steps is enough.
SHORTEST = 2.0**-16
# A span whose error exceeds the threshold by this factor is split in four, because its halves would be split again.
FAR = 2.0


@dataclass(frozen=True)
class IntegratedFlow:
    """The result of the integral; the fields are those of `Flow`."""

    score: float
    baseline_score: float
    edges: tuple[EdgeFlow, ...]
    nodes: tuple[NodeFlow, ...]
    cuts: tuple[Cut, ...]
    direct: float
    steps: int


@dataclass(frozen=True)
class NetworkUse:
    """One use of a network: its path, and the edges that carry all flow into or out of it."""

    path: str
    analysis: Context
    through: tuple[EdgeKey, ...] | None


@dataclass(frozen=True)
class PlannedCut:
    """A cut before the measurement: its edges, and the edges with the expected sum; None stands for the change of F."""

    path: str
    after: str
    places: tuple[EdgeKey, ...]
    expected: tuple[EdgeKey, ...] | None


def integrate_flow(context: ExplanationContext, max_spans: int, tolerance: float) -> IntegratedFlow:
    """Integrate the flow along each edge, and refine spans until all cuts are complete within `tolerance`."""
    integral = FlowIntegral(context, tolerance)
    spans, (table,) = integrate(integral, 1, FIRST_STEPS, max_spans, SHORTEST, FAR)
    return _build_result(integral, table.sum(0).numpy(), len(spans))


class FlowIntegral:
    """The integration rule of the flow.

    The columns of a measurement are the edges with a gradient, the change of F, and the total at each point where
    gradients start.
    """

    def __init__(self, context: ExplanationContext, tolerance: float) -> None:
        self.context, self.taps, self.points = context, EdgeHooks(context), context.points
        self.tolerance = tolerance
        self.columns: dict[EdgeKey, int] = {}
        self.score = self.baseline_score = 0.0

    @property
    def tiny(self) -> float:
        """The threshold below which a change of F counts as 0."""
        return TINY * max(1.0, abs(self.score), abs(self.baseline_score))

    @cached_property
    def uses(self) -> list[NetworkUse]:
        """All uses of networks; known after the first measurement."""
        return list(_network_uses(self, self.taps.analysis, "", None))

    @cached_property
    def crossings(self) -> list[PlannedCut]:
        """The cuts of all uses."""
        return [crossing for use in self.uses for crossing in _planned_cuts(use, self)]

    @cached_property
    def checks(self) -> np.ndarray:
        """The column weights of the errors of the cuts, (columns, cuts)."""
        return _cut_weights(self.crossings, self)

    def measure(self, spans: Spans) -> Values:
        """Measure the flow of each edge on each span, (spans, columns), in batches."""
        chunks = list(_chunks(list(zip(spans.low.tolist(), spans.high.tolist(), strict=True)), self.context.rows))
        self.context.expect_rows(sum(len(rows) for rows, _ in chunks))
        return (torch.cat([self._measure(torch.tensor(rows), span_rows) for rows, span_rows in chunks]),)

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Return the error of each span at its worst cut, (spans,), or 0 once all cuts are complete."""
        cut_errors = values[0].numpy() @ self.checks  # (spans, cuts)
        tolerance = self.tolerance * max(abs(self.score - self.baseline_score), self.tiny) / 2
        # Errors of opposite sign cancel in the sum but not on single edges, so both the sum and the norm are bounded.
        span_errors = np.abs(cut_errors).max(axis=1, initial=0.0)
        error = max(np.abs(cut_errors.sum(axis=0)).max(initial=0.0), np.sqrt(np.square(span_errors).sum()))
        # With NaN the comparison is False, so the refinement ends; `error <= tolerance` would refine to the limit.
        return span_errors if error > tolerance else np.zeros(len(spans)), np.array([tolerance / 2])

    def _measure(self, rows: torch.Tensor, span_rows: list[int]) -> torch.Tensor:
        values = []
        for point in self.points:
            share = rows.reshape(-1, *[1] * (point.value.dim() - 1))
            values.append(point.baseline * (1 - share) + point.value * share)  # exact at both ends
        score = self.taps.passed(tuple(values)).double()
        flows = self.taps.flows
        if not self.columns:
            measured = [edge for edge, flow in flows.items() if flow is not None]
            self.columns = {edge: number for number, edge in enumerate(measured)}
        flow_columns = [flow for edge in self.columns if (flow := flows[edge]) is not None]
        table = torch.stack([*flow_columns, score.diff(), *self.taps.whole], dim=1)
        if rows[0] == 0:
            self.baseline_score = float(score[0])
        if rows[-1] == 1:
            self.score = float(score[-1])
        # Spans of a batch need not be adjacent; the differences across the gaps are dropped.
        return table[span_rows]


def _chunks(spans: list[tuple[float, float]], max_rows: int) -> Iterator[tuple[list[float], list[int]]]:
    """Yield the path positions of a batch, and the indexes of its spans; adjacent spans share a position."""
    rows: list[float] = []
    span_rows: list[int] = []
    for low, high in spans:
        # A span adds its end, and its start unless the previous span of the batch ends there.
        if len(rows) + 1 + (not rows or rows[-1] != low) > max_rows:
            yield rows, span_rows
            rows, span_rows = [], []
        if not rows or rows[-1] != low:
            rows.append(low)
        span_rows.append(len(rows) - 1)
        rows.append(high)
    yield rows, span_rows


def _network_uses(
    integral: FlowIntegral, analysis: Context, path: str, through: tuple[EdgeKey, ...] | None
) -> Iterator[NetworkUse]:
    """Yield the network and all its subnetworks, once for each repetition or step."""
    yield NetworkUse(path, analysis, through)
    for key, inner in analysis.inner.items():
        incoming = tuple((path, edge.target) for edge in analysis.incoming[key].values())
        live_edges = tuple(edge for edge in incoming if edge in integral.columns)
        layer = analysis.layers[key]
        if not isinstance(layer, Subnetwork):
            continue
        for repetition in range(count_steps(layer, analysis.specs(key)) if layer.is_loop else layer.repeat):
            inner_path = ".".join(filter(None, [path, key, "" if layer.runs_once else str(repetition)]))
            if any(edge[0] == inner_path for edge in integral.taps.flows):
                # All repetitions read the other inputs unchanged, so the flow on such an edge is divided among them.
                # A step reads only a part of its input.
                is_only_path = layer.runs_once or (len(live_edges) == 1 and not layer.is_loop)
                ends = [edge.target for end in inner.network.ports("Output") for edge in inner.incoming[end].values()]
                leaving = tuple((inner_path, end) for end in ends if (inner_path, end) in integral.columns)
                yield from _network_uses(integral, inner, inner_path, live_edges if is_only_path else leaving)


def _planned_cuts(use: NetworkUse, integral: FlowIntegral) -> Iterator[PlannedCut]:
    """Yield the cut after each node in execution order; the first cut follows all sources of the flow."""
    network = use.analysis.network
    edges = [edge for edge in network.edges if (use.path, edge.target) in integral.columns]
    receivers = {edge.target_node for edge in edges}
    upstream, after = set(network.nodes) - receivers, ""
    for key in ["", *(key for key in use.analysis.order if key in receivers and network.nodes[key].type != "Output")]:
        upstream, after = upstream | {key}, key
        crossing_edges = [edge for edge in edges if edge.source_node in upstream and edge.target_node not in upstream]
        if crossing_edges:
            yield PlannedCut(use.path, after, tuple((use.path, edge.target) for edge in crossing_edges), use.through)


def _direct_weights(integral: FlowIntegral) -> np.ndarray:
    """Return column weights (columns,) for the flow that bypasses the graph; 0 unless the task reconstructs its
    input."""
    weights = np.zeros(len(integral.columns) + 1 + len(integral.points))
    if not task(integral.context.project.training.objective).reconstructs_input:
        return weights
    network = integral.taps.analysis.network
    for number, point in enumerate(integral.points):
        # The total at a point, minus the flow on the edges that leave its source
        weights[len(integral.columns) + 1 + number] = 1.0
        for edge in network.edges:
            source = network.nodes[edge.source_node]
            is_source = source.id == point.embedding or (
                point.embedding is None and source.params.get("field") == point.field
            )
            if is_source and ("", edge.target) in integral.columns:
                weights[integral.columns["", edge.target]] = -1.0
    return weights


def _cut_weights(cuts: list[PlannedCut], integral: FlowIntegral) -> np.ndarray:
    """Return column weights (columns, cuts) whose weighted sums are the errors of the cuts."""
    direct = _direct_weights(integral)
    weights = np.zeros((len(direct), len(cuts)))
    for number, crossing in enumerate(cuts):
        if crossing.expected is None:
            weights[:, number] = direct
            weights[len(integral.columns), number] = -1.0
        for column_index in crossing.expected or ():
            weights[integral.columns[column_index], number] -= 1.0
        for column_index in crossing.places:
            weights[integral.columns[column_index], number] += 1.0
    return weights


def _build_result(integral: FlowIntegral, column_sums: np.ndarray, steps: int) -> IntegratedFlow:
    """Build the result from the sum of each column, (columns,)."""
    values = {edge_key: float(column_sums[number]) for edge_key, number in integral.columns.items()}
    direct, gap = float(column_sums @ _direct_weights(integral)), integral.score - integral.baseline_score
    flows: list[float | None]
    edges, nodes, cuts = [], [], []
    for use in integral.uses:
        network = use.analysis.network
        for edge in network.edges:
            use_key = (use.path, edge.target)
            # Nodes that do not lead to the output are not in the generated code, so their flow is 0.
            value = values.get(use_key, None if use_key in integral.taps.flows else 0.0)
            edges.append(EdgeFlow(use.path, edge.source, edge.target, value))
        network_edges = [edge for edge in edges if edge.path == use.path]
        for key in use.analysis.order:
            incoming = [edge.value for edge in network_edges if edge.target.partition(".")[0] == key]
            outgoing = [edge.value for edge in network_edges if edge.source.partition(".")[0] == key]
            node = network.nodes[key]
            flows = incoming if any(value is not None for value in incoming) else outgoing
            known_flows = [value for value in flows if value is not None]
            node_flow = sum(known_flows) if known_flows else None
            nodes.append(NodeFlow(use.path, key, use.analysis.name, node.type, layers.label(node), node_flow))
    for crossing in integral.crossings:
        total_flow = sum(values[edge_key] for edge_key in crossing.places)
        expected = (
            gap - direct if crossing.expected is None else sum(values[edge_key] for edge_key in crossing.expected)
        )
        deviation = abs(total_flow - expected)
        is_zero = max(abs(gap), deviation) <= integral.tiny
        error = None if is_zero else deviation / abs(gap) if gap else float("inf")
        targets = tuple(target for _, target in crossing.places)
        cuts.append(Cut(crossing.path, crossing.after, targets, total_flow, expected, error))
    return IntegratedFlow(
        integral.score, integral.baseline_score, tuple(edges), tuple(nodes), tuple(cuts), direct, steps
    )
