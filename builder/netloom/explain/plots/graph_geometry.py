"""The geometry of a graph on its canvas: boxes of nodes and curves of edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.compile.placement import place

if TYPE_CHECKING:
    from netloom.document import Edge
    from netloom.validation import Context

# The size of a node on the canvas.
WIDTH, HEIGHT = 196.0, 58.0
# Edges are routed as on the canvas (`routing.ts`), so that the picture has the shape that people know. In pixels: how
# far a routed edge passes beside a box, the height of its turns, the distance between routed edges, and how far a curve
# may enter the side of a box; and the number of points at which a curve is tested.
DETOUR_MARGIN, TURN_HEIGHT, DETOUR_SPACING, OVERLAP_TOLERANCE, CURVE_SAMPLES = 34.0, 26.0, 16.0, 4.0, 14
# The size of an edge label; labels that are closer than this overlap.
LABEL = 52.0, 18.0
Point = tuple[float, float]


class GraphLayout:
    """The positions of a network's nodes (left, top), and an SVG path for each edge by its target.

    A network whose nodes have no positions is laid out first. An edge that a box would cover is routed around it.
    """

    def __init__(self, analysis: Context) -> None:
        self.analysis, network = analysis, analysis.network
        if len({node.at for node in network.nodes.values()}) < len(network.nodes):
            network = place(network)
        self.positions: dict[str, Point] = {key: node.at for key, node in network.nodes.items()}
        self.paths: dict[str, str] = {}
        self._middles: dict[str, Point] = {}
        self._bends: list[float] = []
        for edge in network.edges:
            self._route(edge)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The bounding box: left, top, right, bottom."""
        xs = [x for x, _ in self.positions.values()] or [0.0]
        ys = [y for _, y in self.positions.values()] or [0.0]
        left, right = min([*xs, *self._bends]), max([*(x + WIDTH for x in xs), *self._bends])
        return left, min(ys), right, max(ys) + HEIGHT

    def middle(self, target: str) -> Point:
        """Return the position of an edge label."""
        return self._middles[target]

    def needs_label(self, edge: Edge) -> bool:
        """Return whether an edge shares its source or target with another edge, so that its label adds information."""
        edges = self.analysis.network.edges
        other_edges = [other_edge for other_edge in edges if other_edge != edge]
        return any(
            edge.source_node == other_edge.source_node or edge.target_node == other_edge.target_node
            for other_edge in other_edges
        )

    def _route(self, edge: Edge) -> None:
        (sx, sy), (tx, ty) = self.positions[edge.source_node], self.positions[edge.target_node]
        sx, sy = sx + self._port_offset(edge.source_node, edge.source_port, outgoing=True), sy + HEIGHT
        tx += self._port_offset(edge.target_node, edge.target_port, outgoing=False)
        if ty - sy > HEIGHT and self._is_covered(edge, (sx, sy), (tx, ty)):
            x = self._detour(edge, (sx, sy), (tx, ty))
            turn = min(TURN_HEIGHT, (ty - sy) / 4)
            down = f"C{sx:g} {sy + turn:g} {x:g} {sy + turn / 2:g} {x:g} {sy + 2 * turn:g}"
            up = f"C{x:g} {ty - turn / 2:g} {tx:g} {ty - turn:g} {tx:g} {ty:g}"
            self.paths[edge.target] = f"M{sx:g} {sy:g}{down}L{x:g} {ty - 2 * turn:g}{up}"
            self._middles[edge.target] = (x, (sy + ty) / 2)
            self._bends.append(x)
            return
        # As on the canvas (`routing.ts`): the Bézier edge of xyflow with its default curvature of 0.25
        reach = (ty - sy) / 2 if ty >= sy else 6.25 * (sy - ty) ** 0.5
        self.paths[edge.target] = f"M{sx:g} {sy:g}C{sx:g} {sy + reach:g} {tx:g} {ty - reach:g} {tx:g} {ty:g}"
        self._middles[edge.target] = self._label_position((sx, sy), (tx, ty))

    def _label_position(self, start: Point, end: Point) -> Point:
        """Return the middle of a curve, or a nearby point where no other label is."""
        middle = _at(start, end, 0.5)
        for share in (0.5, 0.36, 0.64, 0.24, 0.76) if end[1] >= start[1] else (0.5,):
            x, y = _at(start, end, share)
            if all(abs(x - left) >= LABEL[0] or abs(y - top) >= LABEL[1] for left, top in self._middles.values()):
                return x, y
        return middle

    def _port_offset(self, key: str, port: str, *, outgoing: bool) -> float:
        """Return the horizontal offset of a port on its box."""
        layer = self.analysis.layers.get(key)
        ports = (
            [] if layer is None else [port_spec.name for port_spec in (layer.outputs() if outgoing else layer.inputs())]
        )
        return (ports.index(port) + 1) / (len(ports) + 1) * WIDTH if port in ports else WIDTH / 2

    def _other_positions(self, edge: Edge) -> list[Point]:
        return [at for key, at in self.positions.items() if key not in (edge.source_node, edge.target_node)]

    def _is_covered(self, edge: Edge, start: Point, end: Point) -> bool:
        """Return whether a box covers the curve between two points."""
        boxes = self._other_positions(edge)
        for step in range(1, CURVE_SAMPLES):
            x, y = _at(start, end, step / CURVE_SAMPLES)
            if any(
                left + OVERLAP_TOLERANCE < x < left + WIDTH - OVERLAP_TOLERANCE and top < y < top + HEIGHT
                for left, top in boxes
            ):
                return True
        return False

    def _detour(self, edge: Edge, start: Point, end: Point) -> float:
        """Return the x coordinate nearest to the middle at which a vertical line between two points crosses no box."""
        lefts = [left for left, top in self._other_positions(edge) if top < end[1] and top + HEIGHT > start[1]]
        middle = (start[0] + end[0]) / 2
        spots = [middle, *(spot for left in lefts for spot in (left - DETOUR_MARGIN, left + WIDTH + DETOUR_MARGIN))]
        free = [x for x in spots if not any(left - DETOUR_MARGIN < x < left + WIDTH + DETOUR_MARGIN for left in lefts)]
        # Of two equally near coordinates, the right one. One is free, because nothing is beside the outermost box.
        x = min(free, key=lambda spot: (abs(spot - middle), -spot))
        while any(abs(bend - x) < DETOUR_SPACING - 1 for bend in self._bends):
            x += -DETOUR_SPACING if x < start[0] else DETOUR_SPACING
        return x


def _at(start: Point, end: Point, t: float) -> Point:
    """Return the point on an edge's curve at parameter `t`, from 0 to 1."""
    # The cubic Bézier curve whose control points lie halfway between the ends in height
    across, down = 3 * t * t - 2 * t * t * t, 1.5 * t * (1 - t) + t * t * t
    return start[0] + (end[0] - start[0]) * across, start[1] + (end[1] - start[1]) * down
