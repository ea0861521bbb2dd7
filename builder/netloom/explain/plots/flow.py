"""The attribution flow drawn on the graph as laid out on the canvas, as SVG, and its values as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from netloom.core.text import cut, plain
from netloom.explain.plots.colors import AGAINST, FOR, bound, rgb
from netloom.explain.plots.graph_geometry import HEIGHT, WIDTH, GraphLayout, Point

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.explain.flow.attribution_flow import Flow
    from netloom.validation import Context

MARGIN, FOOT, LEGEND = 28.0, 54.0, 380.0
THINNEST, THICKEST = 1.8, 11.0
LETTERS = 22
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colors of the drawing: text, background, boxes, and edges without flow."""

    text: str
    ground: str
    card: str
    line: str


LIGHT = Theme("#1f2430", "#ffffff", "#ffffff", "#9aa3b2")
DARK = Theme("#e8eaf0", "#0e1117", "#1c2027", "#6b7484")
# On a page, CSS selects the colors of the current theme.
BOTH = Theme("light-dark(#1f2430,#e8eaf0)", "none", "light-dark(#ffffff,#1c2027)", "light-dark(#9aa3b2,#6b7484)")


@dataclass(frozen=True)
class FlowValues:
    """The drawn flows: of each edge by its target, and of each node; means over `uses` repetitions."""

    edges: Mapping[str, float | None]
    nodes: Mapping[str, float | None]
    uses: int


def flow_values(flow: Flow, path: str = "") -> FlowValues:
    """Return the flow in one use of a network by path; for a repeated subnetwork, the mean over its repetitions."""
    paths = [path]
    if all(node.path != path for node in flow.nodes):
        all_paths = {node.path for node in flow.nodes}
        paths = [
            use_path
            for use_path in all_paths
            if use_path.rpartition(".")[0] == path and use_path.rpartition(".")[2].isdecimal()
        ]
    return FlowValues(
        _mean([(edge.target, edge.value) for edge in flow.edges if edge.path in paths]),
        _mean([(node.key, node.value) for node in flow.nodes if node.path in paths]),
        len(paths),
    )


def _mean(values: list[tuple[str, float | None]]) -> dict[str, float | None]:
    listed: dict[str, list[float]] = {}
    for name, value in values:
        listed.setdefault(name, []).extend([] if value is None else [value])
    return {name: sum(known) / len(known) if known else None for name, known in listed.items()}


def analysis_at(project: Project, path: str) -> Context:
    """Return the analysis of the network at a path."""
    from netloom.explain.core.network.cost import measure_network

    analysis = measure_network(project)
    for step in path.split("."):
        analysis = analysis.inner.get(step, analysis)  # a number in the path selects a repetition of the same network
    return analysis


def flow_svg(project: Project, flow: Flow, path: str = "", theme: Theme = LIGHT) -> str:
    """Draw the network at a path as SVG; edge width, edge color and node color show the flow.

    All networks of a flow share one scale: the largest magnitude through a node of the main network.
    """
    most = bound([node.value for node in flow.nodes if not node.path and node.value is not None])
    analysis, gap = analysis_at(project, path), abs(flow.score - flow.baseline_score)
    return graph_svg(analysis, flow_values(flow, path), most, _title(flow), gap=gap, theme=theme)


def graph_svg(
    analysis: Context,
    values: FlowValues,
    most: float,
    title: str,
    *,
    gap: float = 0.0,
    theme: Theme = LIGHT,
    unknown: str = "no gradient",
) -> str:
    """Draw a network as SVG with values of its nodes, and of its edges if they have any, from −`most` to `most`.

    The values are shares of the change `gap`, if there is one; `unknown` describes those that are None.
    """
    layout = GraphLayout(analysis)
    left, top, right, bottom = layout.box
    # Strong edges are drawn last, above the weak ones.
    edges = [
        _edge(
            values.edges.get(edge.target),
            f"{edge.source} → {edge.target}: {format_flow(values.edges.get(edge.target), gap, unknown)}",
            layout.paths[edge.target],
            most,
            theme,
        )
        if values.edges
        else _line(layout.paths[edge.target], theme)
        for edge in sorted(analysis.network.edges, key=lambda edge: abs(values.edges.get(edge.target) or 0.0))
        if edge.target in layout.paths
    ]
    tooltips = {key: format_flow(values.nodes.get(key), gap, unknown) for key in layout.positions}
    boxes = [
        _box(analysis, key, at, values.nodes.get(key), tooltips[key], most, gap, theme)
        for key, at in layout.positions.items()
    ]
    numbers = [
        _number(values.edges[edge.target], layout.middle(edge.target), theme)
        for edge in analysis.network.edges
        if layout.needs_label(edge) and values.edges.get(edge.target) is not None
    ]
    x, y, width = left - MARGIN, top - MARGIN, max(right - left, LEGEND) + 2 * MARGIN
    height = bottom - top + 2 * MARGIN + FOOT
    ground = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" style="fill:{theme.ground}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="{x:g} {y:g} {width:g} {height:g}" role="img" aria-label="{escape(title)}" '
        f'font-family="{FONT}" style="max-width:100%;height:auto;fill:{theme.text}">'
        f"{ground}{''.join(edges)}{''.join(boxes)}{''.join(numbers)}"
        f"{_legend(left, bottom + MARGIN, most, theme, unknown)}</svg>"
    )


def _title(flow: Flow) -> str:
    return (
        f"Attribution flow of {plain(flow.target.quantity)}: {flow.score - flow.baseline_score:+.3g} from the baseline"
    )


def _color(value: float) -> str:
    return rgb(FOR if value > 0 else AGAINST)


def format_flow(value: float | None, gap: float, unknown: str = "no gradient") -> str:
    """Format a flow with its share of the total change."""
    if value is None:
        return unknown
    return f"{value:+.3g} ({value / gap:+.0%} of the change)" if gap else f"{value:+.3g}"


def _edge(value: float | None, tooltip: str, path: str, most: float, theme: Theme) -> str:
    if value is None:
        style = f"stroke:{theme.line};stroke-dasharray:4 5;stroke-width:{THINNEST}px"
    # Rounding, and not a flow
    elif abs(value) < most * 1e-6:
        style = f"stroke:{theme.line};stroke-width:{THINNEST}px"
    else:
        width = THINNEST + (THICKEST - THINNEST) * min(1.0, abs(value) / most)
        style = f"stroke:{_color(value)};stroke-opacity:0.9;stroke-width:{width:.2f}px"
    return (
        f'<g class="flow-edge"><title>{escape(tooltip)}</title><path d="{path}" style="fill:none;{style}"/>'
        f'<path d="{path}" style="fill:none;stroke:transparent;stroke-width:14px"/></g>'  # a wider target to hover
    )


def _line(path: str, theme: Theme) -> str:
    """Draw an edge without a value."""
    return f'<path d="{path}" style="fill:none;stroke:{theme.line};stroke-width:{THINNEST}px"/>'


def _box(
    analysis: Context,
    key: str,
    position: Point,
    value: float | None,
    value_text: str,
    scale: float,
    gap: float,
    theme: Theme,
) -> str:
    node, (x, y), layer = analysis.network.nodes[key], position, analysis.layers.get(key)
    title = plain(node.title or (layer.title if layer else node.type))  # as on the canvas
    if node.type == "Input" and node.params.get("field"):
        title += f": {plain(str(node.params['field']))}"  # distinguishes several inputs
    share = 0.0 if value is None else min(1.0, abs(value) / scale)
    fill = f"fill:{_color(value or 0.0)};fill-opacity:{0.78 * share:.3f}"
    below = "—" if value is None else f"{value:+.3g}" + (f" · {value / gap:+.0%}" if gap else "")
    if key in analysis.inner:
        below += f" · {analysis.layers[key].brief()}"
    tooltip = escape(f"{title} ({key}): {value_text}")
    kind = "flow-node flow-network" if key in analysis.inner else "flow-node"
    rect = f'width="{WIDTH:g}" height="{HEIGHT:g}" rx="9"'
    card = f"fill:{theme.card};stroke:{theme.line}"
    behind = f'<rect x="{x + 4:g}" y="{y + 4:g}" {rect} style="{card}"/>' if key in analysis.inner else ""
    rect = f'x="{x:g}" y="{y:g}" {rect}'
    return (
        f'<g class="{kind}" data-key="{key}"><title>{tooltip}</title>{behind}<rect {rect} style="{card}"/>'
        f'<rect {rect} style="{fill}"/>'
        f'<text x="{x + 12:g}" y="{y + 24:g}" font-size="13.5" font-weight="600"{_fitting_length(title)}>'
        f"{escape(cut(title, LETTERS))}</text>"
        f'<text x="{x + 12:g}" y="{y + 44:g}" font-size="12.5">{escape(cut(below, 28))}</text></g>'
    )


def _number(value: float | None, position: Point, theme: Theme) -> str:
    text = f"{value:+.3g}"
    width, (x, y) = 7.2 * len(text) + 8, position
    style = f'rx="5" style="fill:{theme.card};fill-opacity:0.9"'
    return (
        f'<g style="pointer-events:none">'
        f'<rect x="{x - width / 2:g}" y="{y - 10:g}" width="{width:g}" height="18" {style}/>'
        f'<text x="{x:g}" y="{y + 4:g}" font-size="11.5" text-anchor="middle">{text}</text></g>'
    )


def _legend(x: float, y: float, scale: float, theme: Theme, unknown: str) -> str:
    """Draw the scale: two wedges from zero in the middle, with the limits at their ends."""
    stops, width = 10, 120.0
    parts = []
    for step in range(stops):
        share = (step + 1) / stops
        for side, color in ((-1, AGAINST), (1, FOR)):
            start = x + width + side * width * (step + (side < 0)) / stops
            parts.append(
                f'<rect x="{start:g}" y="{y + 8:g}" width="{width / stops:g}" height="10" '
                f'style="fill:{rgb(color)};fill-opacity:{0.78 * share:.2f}"/>'
            )
    texts = (
        (x, "start", f"−{scale:.3g} decreases"),
        (x + width, "middle", "0"),
        (x + 2 * width, "end", f"increases +{scale:.3g}"),
    )
    words = "".join(
        f'<text x="{at:g}" y="{y + 34:g}" font-size="11.5" text-anchor="{anchor}">{text}</text>'
        for at, anchor, text in texts
    )
    dashed = (
        f'<path d="M{x + 2 * width + 24:g} {y + 13:g}h30" style="fill:none;stroke:{theme.line};stroke-dasharray:4 5"/>'
        f'<text x="{x + 2 * width + 60:g}" y="{y + 17:g}" font-size="11.5">{escape(unknown)}</text>'
    )
    return "".join(parts) + words + dashed


def _fitting_length(title: str) -> str:
    """Return attributes that compress a long title to the width of its box, whatever the font."""
    inner = WIDTH - 24
    return f' textLength="{inner:g}" lengthAdjust="spacingAndGlyphs"' if len(title) >= LETTERS - 1 else ""


def flow_table(flow: Flow) -> list[dict[str, str | float | None]]:
    """Return all flows and cuts, one row each."""
    rows: list[dict[str, str | float | None]] = []
    for edge in flow.edges:
        rows.append({"kind": "edge", "path": edge.path, "from": edge.source, "to": edge.target, "flow": edge.value})
    for node in flow.nodes:
        rows.append({"kind": "node", "path": node.path, "from": node.key, "to": "", "flow": node.value})
    for at in flow.cuts:
        rows.append({"kind": "cut", "path": at.path, "from": at.after, "to": " ".join(at.edges), "flow": at.sum})
        rows[-1] |= {"expected": at.expected, "relative_error": at.relative_error}
    return rows


def flow_csv(flow: Flow) -> str:
    """Return the rows of `flow_table` as CSV."""
    buffer = io.StringIO()
    names = ["kind", "path", "from", "to", "flow", "expected", "relative_error"]
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flow_table(flow))
    return buffer.getvalue()
