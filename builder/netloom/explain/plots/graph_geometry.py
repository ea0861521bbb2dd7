"""Where the boxes of a graph lie on its canvas, and the ways of the edges between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.compile.placement import place

if TYPE_CHECKING:
    from netloom.document import Edge
    from netloom.validation import Context

# As on the canvas.
WIDTH, HEIGHT = 196.0, 58.0
ASIDE, TURN, APART, SAMPLES = 30.0, 26.0, 18.0, 16
# Labels of edges that are nearer to each other than this would lie over each other.
LABEL = 52.0, 18.0
Point = tuple[float, float]


class GraphLayout:
    """The places of a network's nodes (left and top), and for each edge, by what it leads to, a path for SVG.

    A network of which no node has a place yet is placed first. An edge that a box would hide goes past it.
    """

    def __init__(self, analysis: Context) -> None:
        self.analysis, network = analysis, analysis.network
        if len({node.at for node in network.nodes.values()}) < len(network.nodes):
            network = place(network)
        self.places: dict[str, Point] = {key: node.at for key, node in network.nodes.items()}
        self.ways: dict[str, str] = {}
        self._middles: dict[str, Point] = {}
        self._bends: list[float] = []
        for edge in network.edges:
            self._lead(edge)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of everything."""
        xs = [x for x, _ in self.places.values()] or [0.0]
        ys = [y for _, y in self.places.values()] or [0.0]
        left, right = min([*xs, *self._bends]), max([*(x + WIDTH for x in xs), *self._bends])
        return left, min(ys), right, max(ys) + HEIGHT

    def middle(self, target: str) -> Point:
        """Where an edge can carry a label."""
        return self._middles[target]

    def told_apart(self, edge: Edge) -> bool:
        """Whether an edge says more than the boxes at its ends: several leave where it does, or come where it leads."""
        edges = self.analysis.network.edges
        other_edges = [other for other in edges if other != edge]
        return any(
            edge.source_node == other.source_node or edge.target_node == other.target_node for other in other_edges
        )

    def _lead(self, edge: Edge) -> None:
        (sx, sy), (tx, ty) = self.places[edge.source_node], self.places[edge.target_node]
        sx, sy = sx + self._along(edge.source_node, edge.source_port, outgoing=True), sy + HEIGHT
        tx += self._along(edge.target_node, edge.target_port, outgoing=False)
        if ty - sy > HEIGHT and self._hidden(edge, (sx, sy), (tx, ty)):
            x = self._past(edge, sy, ty, (sx + tx) / 2)
            turn = min(TURN, (ty - sy) / 4)
            down = f"C{sx:g} {sy + turn:g} {x:g} {sy + turn / 2:g} {x:g} {sy + 2 * turn:g}"
            up = f"C{x:g} {ty - turn / 2:g} {tx:g} {ty - turn:g} {tx:g} {ty:g}"
            self.ways[edge.target] = f"M{sx:g} {sy:g}{down}L{x:g} {ty - 2 * turn:g}{up}"
            self._middles[edge.target] = (x, (sy + ty) / 2)
            self._bends.append(x)
            return
        reach = (ty - sy) / 2 if ty >= sy else 6.25 * (sy - ty) ** 0.5
        self.ways[edge.target] = f"M{sx:g} {sy:g}C{sx:g} {sy + reach:g} {tx:g} {ty - reach:g} {tx:g} {ty:g}"
        self._middles[edge.target] = self._free((sx, sy), (tx, ty))

    def _free(self, start: Point, end: Point) -> Point:
        """The middle of a curve between two points, or a place near it where no other label lies."""
        middle = _at(start, end, 0.5)
        for share in (0.5, 0.36, 0.64, 0.24, 0.76) if end[1] >= start[1] else (0.5,):
            x, y = _at(start, end, share)
            if all(abs(x - left) >= LABEL[0] or abs(y - top) >= LABEL[1] for left, top in self._middles.values()):
                return x, y
        return middle

    def _along(self, key: str, port: str, *, outgoing: bool) -> float:
        """How far along its side of a box a port lies."""
        layer = self.analysis.layers.get(key)
        ports = (
            [] if layer is None else [port_spec.name for port_spec in (layer.outputs() if outgoing else layer.inputs())]
        )
        return (ports.index(port) + 1) / (len(ports) + 1) * WIDTH if port in ports else WIDTH / 2

    def _others(self, edge: Edge) -> list[Point]:
        return [at for key, at in self.places.items() if key not in (edge.source_node, edge.target_node)]

    def _hidden(self, edge: Edge, start: Point, end: Point) -> bool:
        """Whether a box would lie over the curve between two points."""
        boxes = self._others(edge)
        for step in range(1, SAMPLES):
            x, y = _at(start, end, step / SAMPLES)
            if any(left < x < left + WIDTH and top < y < top + HEIGHT for left, top in boxes):
                return True
        return False

    def _past(self, edge: Edge, top: float, bottom: float, middle: float) -> float:
        """The place from left to right, nearest to the middle, at which a line from top to bottom meets no box."""
        lefts = [left for left, above in self._others(edge) if above < bottom and above + HEIGHT > top]
        spots = [spot for left in lefts for spot in (left - ASIDE, left + WIDTH + ASIDE)]
        free = [x for x in spots if not any(left - ASIDE < x < left + WIDTH + ASIDE for left in lefts)]
        x = min(free, key=lambda spot: abs(spot - middle), default=middle)
        while any(abs(other - x) < APART for other in self._bends):
            x += APART if x > middle else -APART
        return x


def _at(start: Point, end: Point, t: float) -> Point:
    """Where the curve of an edge between two points is after a share of its way."""
    across, down = 3 * t * t - 2 * t * t * t, 1.5 * t * (1 - t) + t * t * t
    return start[0] + (end[0] - start[0]) * across, start[1] + (end[1] - start[1]) * down
