"""The integral behind the attribution flow: the way from the baseline to the example, in steps where it needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from netloom import layers
from netloom.explain.core.context import Subject
from netloom.explain.flow.attribution_flow import Cut, EdgeFlow, NodeFlow
from netloom.explain.flow.edge_hooks import Place, Taps
from netloom.tasks import task
from netloom.validation import Context

FIRST_STEPS = 16
TINY = 1e-5
# A step is not halved any more where the answer jumps: no number of steps is enough there.
SHORTEST = 2.0**-16
# A span that is so many times as far off as the last that is halved goes in four: its halves would go on being halved.
FAR = 2.0
Span = tuple[float, float]


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
    way = Way(subject)
    way.take([(at / FIRST_STEPS, (at + 1) / FIRST_STEPS) for at in range(FIRST_STEPS)])
    uses = list(_uses(way, way.taps.context, "", None))
    crossings = [crossing for use in uses for crossing in _crossings(use, way)]
    checks = _checks(crossings, way)
    while True:
        spans, off = list(way.found), way.table @ checks  # (spans, cuts)
        wanted = tolerance * max(abs(way.answer - way.ground), way.tiny)
        # Errors of either sign make up for each other in the sum, but not along single edges: neither may be large.
        single = np.abs(off).max(axis=1, initial=0.0)
        error = max(np.abs(off.sum(axis=0)).max(initial=0.0), np.sqrt(np.square(single).sum()))
        # Not "greater or equal": what is no number has to end as well.
        split = _worst(spans, single, wanted / 2, most - len(spans)) if error > wanted / 2 else {}
        if not split:
            return _told(uses, crossings, way)
        for span in split:
            del way.found[span]
        way.take([part for span, count in split.items() for part in _parts(span, count)])


def _parts(span: Span, count: int) -> list[Span]:
    low, high = span
    ends = [low + (high - low) * at / count for at in range(count + 1)]
    return list(pairwise(ends))


def _worst(spans: list[Span], off: np.ndarray, left: float, most: int) -> dict[Span, int]:
    """The fewest spans without which the rest is off by no more than `left`, in their order along the way, and in how
    many parts each goes: in two, or in four where a half of it would be taken apart again."""
    order = np.argsort(-off, kind="stable")
    rest = np.sqrt(np.maximum(0.0, np.square(off).sum() - np.cumsum(np.square(off[order]))))
    count = min(int(np.argmax(rest <= left / 2)) + 1, most)
    bound, room = FAR * off[order[count - 1]], most - count
    found: dict[Span, int] = {}
    for place in order[:count]:
        low, high = spans[place]
        if high - low > SHORTEST:
            found[low, high] = 4 if off[place] > bound and high - low > 2 * SHORTEST and room >= 2 else 2
            room -= found[low, high] - 2
    return dict(sorted(found.items()))


class Way:
    """What went along each edge on each span of the way. The columns of `table` are the edges in which something can
    go, then how much F changes, then all that starts at each point where gradients start."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.taps, self.points = subject, Taps(subject), subject.points
        self.found: dict[Span, np.ndarray] = {}
        self.columns: dict[Place, int] = {}
        self.answer = self.ground = 0.0

    @property
    def table(self) -> np.ndarray:
        return np.stack(list(self.found.values()))

    @property
    def tiny(self) -> float:
        """What counts as no change of F."""
        return TINY * max(1.0, abs(self.answer), abs(self.ground))

    def take(self, spans: list[Span]) -> None:
        """Measure spans, in their order along the way, a few rows at a time."""
        chunks = list(_chunks(spans, self.subject.rows))
        self.subject.expect(sum(len(rows) for rows, _ in chunks))
        for rows, kept in chunks:
            self._measure(torch.tensor(rows), kept)

    def _measure(self, rows: torch.Tensor, kept: dict[int, Span]) -> None:
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
        table = torch.stack([*along, score.diff(), *self.taps.whole], dim=1).numpy()
        self.found.update({span: table[row] for row, span in kept.items()})
        if rows[0] == 0:
            self.ground = float(score[0])
        if rows[-1] == 1:
            self.answer = float(score[-1])


def _chunks(spans: list[Span], most: int) -> Iterator[tuple[list[float], dict[int, Span]]]:
    """Rows to pass at once, and which neighbours among them are a span; spans that touch share a row."""
    rows: list[float] = []
    kept: dict[int, Span] = {}
    for low, high in spans:
        if len(rows) + 1 + (not rows or rows[-1] != low) > most:
            yield rows, kept
            rows, kept = [], {}
        if not rows or rows[-1] != low:
            rows.append(low)
        kept[len(rows) - 1] = (low, high)
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


def _told(uses: list[Use], crossings: list[Crossing], way: Way) -> Followed:
    """What was measured, as values for people."""
    total = way.table.sum(axis=0)
    values = {place: float(total[number]) for place, number in way.columns.items()}
    direct, gap = float(total @ _direct(way)), way.answer - way.ground
    told: list[float | None]
    edges, nodes, cuts = [], [], []
    for use in uses:
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
    for crossing in crossings:
        summed = sum(values[place] for place in crossing.places)
        expected = gap - direct if crossing.expected is None else sum(values[place] for place in crossing.expected)
        off = abs(summed - expected)
        nothing = max(abs(gap), off) <= way.tiny
        error = None if nothing else off / abs(gap) if gap else float("inf")
        targets = tuple(target for _, target in crossing.places)
        cuts.append(Cut(crossing.path, crossing.after, targets, summed, expected, error))
    return Followed(way.answer, way.ground, tuple(edges), tuple(nodes), tuple(cuts), direct, len(way.found))
