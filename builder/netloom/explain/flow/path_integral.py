"""The integral behind the attribution flow: the way from the baseline to the example, in steps where it needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from netloom import layers
from netloom.explain.core.context import Subject
from netloom.explain.core.quadrature import TINY, Spans, Values, integrate
from netloom.explain.flow.edge_hooks import Place, Taps
from netloom.explain.flow.flow_parts import Cut, EdgeFlow, NodeFlow
from netloom.tasks import task
from netloom.validation import Context

FIRST_STEPS = 16
# A step is not halved any more where the answer jumps: no number of steps is enough there.
SHORTEST = 2.0**-16
# A span that is so many times as far off as the last that is halved goes in four: its halves would go on being halved.
FAR = 2.0


@dataclass(frozen=True)
class Followed:
    """What came of the integral; the parts are as in `Flow`."""

    answer: float
    ground: float
    edges: tuple[EdgeFlow, ...]
    nodes: tuple[NodeFlow, ...]
    cuts: tuple[Cut, ...]
    direct: float
    steps: int


@dataclass(frozen=True)
class Use:
    """One use of a network: where it stands, and along which edges all that goes through it comes in or goes out."""

    path: str
    context: Context
    through: tuple[Place, ...] | None


@dataclass(frozen=True)
class Crossing:
    """A cut before anything is measured: the places whose sum is to be that of `expected`, or for None F's change."""

    path: str
    after: str
    places: tuple[Place, ...]
    expected: tuple[Place, ...] | None


def follow(subject: Subject, most: int, tolerance: float) -> Followed:
    """The flow along each edge, by halving the steps of the way that are off until all cuts add up."""
    way = Way(subject, tolerance)
    spans, (table,) = integrate(way, 1, FIRST_STEPS, most, SHORTEST, FAR)
    return _told(way, table.sum(0).numpy(), len(spans))


class Way:
    """The way from the baseline to the example: the rule by which all that goes along the edges is integrated.

    What is measured of a span has as `columns` the edges in which something can go, then how much F changes, then all
    that starts at each point where gradients start.
    """

    def __init__(self, subject: Subject, tolerance: float) -> None:
        self.subject, self.taps, self.points = subject, Taps(subject), subject.points
        self.tolerance = tolerance
        self.columns: dict[Place, int] = {}
        self.answer = self.ground = 0.0

    @property
    def tiny(self) -> float:
        """What counts as no change of F."""
        return TINY * max(1.0, abs(self.answer), abs(self.ground))

    @cached_property
    def uses(self) -> list[Use]:
        return list(_uses(self, self.taps.context, "", None))

    @cached_property
    def crossings(self) -> list[Crossing]:
        return [crossing for use in self.uses for crossing in _crossings(use, self)]

    @cached_property
    def checks(self) -> np.ndarray:
        return _checks(self.crossings, self)

    def measure(self, spans: Spans) -> Values:
        """What goes along each edge on each span, (S, columns), a few rows at a time."""
        chunks = list(_chunks(list(zip(spans.low.tolist(), spans.high.tolist(), strict=True)), self.subject.rows))
        self.subject.expect(sum(len(rows) for rows, _ in chunks))
        return (torch.cat([self._measure(torch.tensor(rows), kept) for rows, kept in chunks]),)

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """How far each span is off at the worst cut, (S,); 0 once all cuts add up."""
        off = values[0].numpy() @ self.checks  # (spans, cuts)
        wanted = self.tolerance * max(abs(self.answer - self.ground), self.tiny) / 2
        # Errors of either sign make up for each other in the sum, but not along single edges: neither may be large.
        single = np.abs(off).max(axis=1, initial=0.0)
        error = max(np.abs(off.sum(axis=0)).max(initial=0.0), np.sqrt(np.square(single).sum()))
        # Not "less or equal": what is not a number has to end as well.
        return single if error > wanted else np.zeros(len(spans)), np.array([wanted / 2])

    def _measure(self, rows: torch.Tensor, kept: list[int]) -> torch.Tensor:
        values = []
        for point in self.points:
            share = rows.reshape(-1, *[1] * (point.value.dim() - 1))
            values.append(point.baseline * (1 - share) + point.value * share)  # exact at both ends
        score = self.taps.passed(tuple(values)).double()
        flows = self.taps.flows
        if not self.columns:
            live = [place for place, flow in flows.items() if flow is not None]
            self.columns = {place: number for number, place in enumerate(live)}
        along = [flow for place in self.columns if (flow := flows[place]) is not None]
        table = torch.stack([*along, score.diff(), *self.taps.whole], dim=1)
        if rows[0] == 0:
            self.ground = float(score[0])
        if rows[-1] == 1:
            self.answer = float(score[-1])
        return table[kept]


def _chunks(spans: list[tuple[float, float]], most: int) -> Iterator[tuple[list[float], list[int]]]:
    """Rows to pass at once, and which neighbors among them are a span; spans that touch share a row."""
    rows: list[float] = []
    kept: list[int] = []
    for low, high in spans:
        if len(rows) + 1 + (not rows or rows[-1] != low) > most:
            yield rows, kept
            rows, kept = [], []
        if not rows or rows[-1] != low:
            rows.append(low)
        kept.append(len(rows) - 1)
        rows.append(high)
    yield rows, kept


def _uses(way: Way, context: Context, path: str, through: tuple[Place, ...] | None) -> Iterator[Use]:
    """The network and all networks within it, once for each repetition."""
    yield Use(path, context, through)
    for key, inner in context.inner.items():
        incoming = tuple((path, edge.target) for edge in context.incoming[key].values())
        live = tuple(place for place in incoming if place in way.columns)
        repeat = int(getattr(context.layers[key], "repeat", 1))
        for turn in range(repeat):
            where = ".".join(filter(None, [path, key, str(turn) if repeat > 1 else ""]))
            if any(place[0] == where for place in way.taps.flows):
                # Each repetition takes the other inputs as they are, so each has another part of what goes along them.
                alone = repeat == 1 or len(live) == 1
                ends = [edge.target for end in inner.network.ports("Output") for edge in inner.incoming[end].values()]
                leaving = tuple((where, end) for end in ends if (where, end) in way.columns)
                yield from _uses(way, inner, where, live if alone else leaving)


def _crossings(use: Use, way: Way) -> Iterator[Crossing]:
    """The cuts behind each node, in the order in which they act; the first is behind all in which the flow starts."""
    network = use.context.network
    edges = [edge for edge in network.edges if (use.path, edge.target) in way.columns]
    fed = {edge.target_node for edge in edges}
    before, after = set(network.nodes) - fed, ""
    for key in ["", *(key for key in use.context.order if key in fed and network.nodes[key].type != "Output")]:
        before, after = before | {key}, key
        crossed = [edge for edge in edges if edge.source_node in before and edge.target_node not in before]
        if crossed:
            yield Crossing(use.path, after, tuple((use.path, edge.target) for edge in crossed), use.through)


def _direct(way: Way) -> np.ndarray:
    """What goes to the answer beside the graph, as weights of the columns: nothing but where the answer is compared
    with the input."""
    weights = np.zeros(len(way.columns) + 1 + len(way.points))
    if not task(way.subject.project.training.objective).reconstructs_input:
        return weights
    network = way.taps.context.network
    for number, point in enumerate(way.points):
        weights[len(way.columns) + 1 + number] = 1.0
        for edge in network.edges:
            source = network.nodes[edge.source_node]
            starts = source.id == point.entry or (point.entry is None and source.params.get("field") == point.field)
            if starts and ("", edge.target) in way.columns:
                weights[way.columns["", edge.target]] = -1.0
    return weights


def _checks(crossings: list[Crossing], way: Way) -> np.ndarray:
    """Weights of the columns, (columns, cuts), whose sums tell how far each cut is off."""
    direct = _direct(way)
    checks = np.zeros((len(direct), len(crossings)))
    for number, crossing in enumerate(crossings):
        if crossing.expected is None:
            checks[:, number] = direct
            checks[len(way.columns), number] = -1.0
        for place in crossing.expected or ():
            checks[way.columns[place], number] -= 1.0
        for place in crossing.places:
            checks[way.columns[place], number] += 1.0
    return checks


def _told(way: Way, total: np.ndarray, steps: int) -> Followed:
    """What was measured, as values for people; `total` has the sum of each column."""
    values = {place: float(total[number]) for place, number in way.columns.items()}
    direct, gap = float(total @ _direct(way)), way.answer - way.ground
    told: list[float | None]
    edges, nodes, cuts = [], [], []
    for use in way.uses:
        network = use.context.network
        for edge in network.edges:
            place = (use.path, edge.target)
            # What does not lead to the answer is not in the code at all, and nothing goes there.
            value = values.get(place, None if place in way.taps.flows else 0.0)
            edges.append(EdgeFlow(use.path, edge.source, edge.target, value))
        own = [edge for edge in edges if edge.path == use.path]
        for key in use.context.order:
            came = [edge.value for edge in own if edge.target.partition(".")[0] == key]
            left = [edge.value for edge in own if edge.source.partition(".")[0] == key]
            node = network.nodes[key]
            told = came if any(value is not None for value in came) else left
            counted = [value for value in told if value is not None]
            shown = sum(counted) if counted else None
            nodes.append(NodeFlow(use.path, key, use.context.name, node.type, layers.label(node), shown))
    for crossing in way.crossings:
        summed = sum(values[place] for place in crossing.places)
        expected = gap - direct if crossing.expected is None else sum(values[place] for place in crossing.expected)
        off = abs(summed - expected)
        nothing = max(abs(gap), off) <= way.tiny
        error = None if nothing else off / abs(gap) if gap else float("inf")
        targets = tuple(target for _, target in crossing.places)
        cuts.append(Cut(crossing.path, crossing.after, targets, summed, expected, error))
    return Followed(way.answer, way.ground, tuple(edges), tuple(nodes), tuple(cuts), direct, steps)
