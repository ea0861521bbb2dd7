"""A drawing of the network as SVG."""

from __future__ import annotations

import unicodedata
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from netloom.core.text import plain
from netloom.export.format import Format, Trained
from netloom.export.graph_layout import HEIGHT, WIDTH, Box, Point, diagrams, layout

if TYPE_CHECKING:
    from netloom.document import Project

# The number of letters that fit into a box; wide letters count twice.
TITLE, BRIEF = 26, 34
HEAD = 34.0


class Svg(Format):
    """A drawing of all layers with their titles, and of all arrows with the shapes of their tensors.

    It does not contain scripts or external references.
    """

    name = "svg"
    title = "Drawing"
    summary = "The graph with titles and shapes as SVG, for papers, slides and web pages; sharp at any size"
    suffix = ".svg"
    media_type = "image/svg+xml"

    def content(self, trained: Trained) -> bytes:
        return draw(trained.project).encode()


def draw(project: Project) -> str:
    """Draw the main network of a project, and the networks that it contains beside it; they may have errors."""
    parts = [(diagram, layout(diagram)) for diagram in diagrams(project)]
    width = max(sum(placed.width for _, placed in parts), WIDTH + 60)
    height = max(placed.height for _, placed in parts) + HEAD
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="system-ui, Helvetica, Arial, sans-serif">',
        f"<title>{_safe(project.name)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#64748b"/></marker></defs>',
    ]
    offset_x = 0.0
    for number, (diagram, placed) in enumerate(parts):
        name = project.name if number == 0 else diagram.name
        lines.append(f'<g transform="translate({offset_x:.1f} {HEAD:.0f})">')
        lines.append(_text(16, -10, 15, "#0f172a", _fit(name, int(placed.width / 10)), 'font-weight="600"'))
        lines += [_polyline_path(points) for points in placed.routes]
        lines += [_box(box, diagram.boxes[key]) for key, box in placed.places.items()]
        routes = list(zip(placed.routes, diagram.arrows, strict=True))
        labeled = {(arrow.source, arrow.shape) for points, arrow in routes if len(points) == 2}
        lines += [
            _shape(points, arrow.shape)
            for points, arrow in routes
            if arrow.shape and (len(points) == 2 or (arrow.source, arrow.shape) not in labeled)
        ]  # a routed arrow needs no label if a straight one shows the same tensor
        lines.append("</g>")
        offset_x += placed.width
    return "\n".join([*lines, "</svg>"]) + "\n"


def _box(middle: Point, box: Box) -> str:
    x, y = middle[0] - WIDTH / 2, middle[1] - HEIGHT / 2
    tooltip = f"{box.title}: {box.brief}" if box.brief else box.title
    title_y = middle[1] - 4 if box.brief else middle[1] + 5
    parts = [
        f"<g><title>{_safe(tooltip)}</title>",
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH:.0f}" height="{HEIGHT:.0f}" rx="8" fill="#f8fafc" '
        f'stroke="{box.color}" stroke-width="1.5"/>',
        f'<rect x="{x + 6:.1f}" y="{y + 8:.1f}" width="4" height="{HEIGHT - 16:.0f}" rx="2" fill="{box.color}"/>',
        _text(x + 18, title_y, 13, "#0f172a", _fit(box.title, TITLE), 'font-weight="600"'),
    ]
    if box.brief:
        parts.append(_text(x + 18, middle[1] + 14, 11, "#475569", _fit(box.brief, BRIEF)))
    return "".join(parts) + "</g>"


def _polyline_path(points: list[Point]) -> str:
    """Return a curve that leaves and enters each point vertically."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (y1 + y2) / 2
        path += f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="#64748b" stroke-width="1.4" marker-end="url(#tip)"/>'


def _shape(points: list[Point], shape: str) -> str:
    """Write the shape at the last segment of an arrow, because many arrows may leave a box, but few enter it."""
    (x1, y1), (x2, y2) = points[-2:]
    # The outline lies behind the letters and keeps them legible above lines.
    halo = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'
    return _text((x1 + x2) / 2 + 6, (y1 + y2) / 2 + 4, 11, "#334155", shape, halo)


def _text(x: float, y: float, size: int, color: str, text: str, more: str = "") -> str:
    """Return an SVG text element with user text on one line."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" {more}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Escape user text for XML."""
    return escape(plain(text), quote=True)


def _fit(text: str, letters: int) -> str:
    """Shorten a text to a number of letters."""
    text, remaining_width = plain(text), letters
    for index, letter in enumerate(text):
        remaining_width -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if remaining_width < 0:
            return text[: max(0, index - 1)].rstrip() + "…"
    return text
