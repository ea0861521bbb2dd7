"""A thumbnail of a network as SVG."""

from __future__ import annotations

from html import escape

from netloom.document import Network
from netloom.layers import GROUPS, registry

WIDTH, HEIGHT = 260, 84
NODE = (196.0, 58.0)


def picture(network: Network) -> str:
    """Return the graph with the layout of the canvas, rotated so that it runs from left to right."""
    if not network.nodes:
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"></svg>'
    positions = {key: node.at for key, node in network.nodes.items()}
    columns = _columns(positions)
    scale_x = (WIDTH - 28) / max(max(x for x, _ in columns.values()), 1)
    scale_y = min(30.0, (HEIGHT - 40) / max(max(y for _, y in columns.values()), 1))
    tall = max(y for _, y in columns.values()) * scale_y
    spots = {key: (14 + x * scale_x, HEIGHT / 2 - tall / 2 + y * scale_y) for key, (x, y) in columns.items()}
    size = max(5.0, min(13.0, scale_x * 0.62))
    lines = [_edge(spots[edge.source_node], spots[edge.target_node]) for edge in network.edges]
    height = min(size * 2.4, scale_y * 0.8) if tall else size * 2.4  # lanes stay apart
    boxes = [_box(spots[key], size, height, node.type) for key, node in network.nodes.items()]
    label = escape(f"A network of {len(network.nodes)} layers")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _columns(places: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return the column of each node along the data flow, and its lane across it, both from 0."""
    steps = sorted({round(y / NODE[1]) for _, y in places.values()})
    lanes = sorted({round(x / 60) for x, _ in places.values()})
    return {
        key: (float(steps.index(round(y / NODE[1]))), float(lanes.index(round(x / 60))))
        for key, (x, y) in places.items()
    }


def _edge(source: tuple[float, float], target: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = source, target
    middle = (x1 + x2) / 2
    path = f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="#94a3b8" stroke-width="1.5"/>'


def _box(center: tuple[float, float], size: float, height: float, layer_type: str) -> str:
    layer = registry().get(layer_type)
    color = GROUPS[layer.group] if layer else "#888888"
    x, y = center[0] - size / 2, center[1] - height / 2
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{height:.1f}" rx="3" fill="{color}"/>'
