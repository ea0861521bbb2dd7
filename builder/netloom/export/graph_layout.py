"""Layered layouts of networks: boxes do not overlap, and arrows point downward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from netloom.core.text import natural, plain
from netloom.layers import GROUPS, Layer, label
from netloom.validation import Context, analyze, execution_order

if TYPE_CHECKING:
    from netloom.document import Project

WIDTH, HEIGHT = 232.0, 52.0
GAP_X, GAP_Y = 28.0, 52.0
# The weight of a box relative to that of a bend, and the number of sweeps over all rows: so many that reorder the rows,
# and as many that only move boxes
PULL, SWEEPS = 1_000.0, 8


@dataclass(frozen=True)
class Box:
    """A layer: its title, its main parameters, and the color of its group."""

    title: str
    brief: str
    color: str


@dataclass(frozen=True)
class Arrow:
    """A tensor that one box passes to another. `shape` may follow the name of the source port, and may be unknown."""

    source: str
    target: str
    shape: str


@dataclass(frozen=True)
class Diagram:
    """The boxes of a network by node in execution order, and its arrows."""

    name: str
    boxes: dict[str, Box]
    arrows: list[Arrow]


def diagrams(project: Project) -> list[Diagram]:
    """Return the main network, and then each network that it contains, once. The networks may have errors."""
    contexts: dict[str, Context] = {}
    pending = [analyze(project).context]
    while pending:
        context = pending.pop(0)
        # The first use of each network is drawn; others may have other shapes.
        if contexts.setdefault(context.name, context) is context:
            pending += [context.inner[key] for key in context.network.nodes if key in context.inner]
    return [_diagram(context) for context in contexts.values()]


def _diagram(context: Context) -> Diagram:
    network, order = context.network, context.order
    boxes = {}
    for key in (*order, *sorted(set(network.nodes) - set(order), key=natural)):
        node, layer = network.nodes[key], context.layers.get(key)
        title = label(node) if node.title or layer is None else layer.title
        details = [layer.brief() if layer else "", "frozen" if node.frozen else ""]
        boxes[key] = Box(title, plain(", ".join(filter(None, details))), _color(layer))
    arrows = []
    for edge in network.edges:
        port = edge.source_port if edge.source_port != "out" else ""
        shape = " ".join(filter(None, [port, str(context.spec(edge) or "")]))
        arrows.append(Arrow(edge.source_node, edge.target_node, shape))
    return Diagram(context.name, boxes, arrows)


def _color(layer: Layer | None) -> str:
    return GROUPS.get(layer.group, "#888888") if layer else "#888888"


Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """The center of each box, the points of each arrow, and the total size."""

    places: dict[str, Point]
    routes: list[list[Point]]
    width: float
    height: float


def layout(diagram: Diagram) -> Layout:
    """Place boxes in rows by the longest path from the top, and route arrows around the boxes between.

    Rows are ordered by the mean position of their neighbors (Sugiyama, Tagawa and Toda 1981,
    https://doi.org/10.1109/TSMC.1981.4308636).
    """
    level = _levels(diagram)
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for key in diagram.boxes:
        rows[level[key]].append(key)
    links: list[list[str]] = []
    for number, arrow in enumerate(diagram.arrows):
        # Long arrows get a dummy node in every row that they cross, so that rows are ordered with them.
        between = range(level[arrow.source] + 1, level[arrow.target])
        bends = [f"{number}:{row}" for row in between]  # ids do not contain colons
        for row, bend in zip(between, bends, strict=True):
            rows[row].append(bend)
        links.append([arrow.source, *bends, arrow.target])
    x = _horizontal_positions(rows, links, set(diagram.boxes))
    half = {key: WIDTH / 2 if key in diagram.boxes else GAP_X for key in x}
    left_edge = min((x[key] - half[key] for key in x), default=0.0) - GAP_X
    right_edge = max((x[key] + half[key] for key in x), default=WIDTH) + GAP_X
    spots = {
        key: (x[key] - left_edge, row * (HEIGHT + GAP_Y) + (HEIGHT + GAP_Y) / 2)
        for row, keys in enumerate(rows)
        for key in keys
    }
    polylines: list[list[Point]] = []
    for first, *bends, last in links:
        polyline = [(spots[first][0], spots[first][1] + HEIGHT / 2)]
        polyline += [(spots[key][0], spots[key][1] + side * HEIGHT / 2) for key in bends for side in (-1, 1)]
        polylines.append([*polyline, (spots[last][0], spots[last][1] - HEIGHT / 2)])
    positions = {key: spots[key] for key in diagram.boxes}
    return Layout(positions, polylines, right_edge - left_edge, max(1, len(rows)) * (HEIGHT + GAP_Y))


def _levels(diagram: Diagram) -> dict[str, int]:
    """Return the row of each node. Nodes on a cycle, which only an unfinished network has, go below the rest."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(diagram.boxes)
    graph.add_edges_from((arrow.source, arrow.target) for arrow in diagram.arrows)
    level: dict[str, int] = {}
    for key in execution_order(graph):
        level[key] = max((level[before] + 1 for before in graph.predecessors(key)), default=0)
    for key in diagram.boxes:
        if key not in level:
            level[key] = max(level.values(), default=-1) + 1
    return level


def _horizontal_positions(rows: list[list[str]], links: list[list[str]], boxes: set[str]) -> dict[str, float]:
    """Return the x coordinate of the center of each box and bend."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for link in links:
        for upper, lower in pairwise(link):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    widths = {key: WIDTH if key in boxes else GAP_X for row in rows for key in row}
    pull = {key: PULL if key in boxes else 1.0 for row in rows for key in row}
    x: dict[str, float] = {}
    for row in rows:
        _place_row(row, {}, x, widths, pull)
    for sweep in range(2 * SWEEPS):
        # Down and up in turn: a row follows the one above it, then the one below it.
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else rows[::-1]:
            mean = {
                key: _mean([(x[neighbor], pull[neighbor]) for neighbor in near[key]]) for key in row if near.get(key)
            }
            if sweep < SWEEPS:
                row.sort(key=lambda key, mean=mean: mean.get(key, x[key]))  # type: ignore[misc]
            _place_row(row, mean, x, widths, pull)
    return x


def _mean(weighted: list[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in weighted) / sum(weight for _, weight in weighted)


def _place_row(
    row: list[str],
    targets: Mapping[str, float],
    x: dict[str, float],
    widths: Mapping[str, float],
    pull: Mapping[str, float],
) -> None:
    """Place a row in its order without overlaps, as close to `targets` as possible in the sense of least squares.

    Neighbors that would overlap are pooled (isotonic regression, https://doi.org/10.1214/aoms/1177728423).
    """
    offsets = [0.0]
    for before, key in pairwise(row):
        offsets.append(offsets[-1] + (widths[before] + widths[key]) / 2 + GAP_X)
    middle = offsets[-1] / 2
    # Without the offsets of a dense row, not overlapping means that the positions do not decrease.
    pools: list[tuple[float, float, int]] = []  # the mean target, the weight, and the number of members
    for key, offset in zip(row, offsets, strict=True):
        pool = (targets.get(key, x.get(key, offset - middle)) - offset, pull[key], 1)
        while pools and pools[-1][0] > pool[0]:
            mean, weight, count = pools.pop()
            total = weight + pool[1]
            pool = ((mean * weight + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    starts = [mean for mean, _, count in pools for _ in range(count)]
    for key, start, offset in zip(row, starts, offsets, strict=True):
        x[key] = start + offset
