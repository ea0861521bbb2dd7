"""Attention plots: lines between tokens, image patches, and thumbnails of every head."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from netloom.explain.plots.colors import AGAINST, FOR, bound, rgb

# Lines below this share of the strongest are not drawn, and about this many lines are drawn at most.
LEAST, MAX_LINES = 0.02, 1_500
# More visible lines than this merge into an area; each query shows at least `FEWEST` lines.
AT_ONCE, FEWEST = 110, 2
# A line in full color has at least this share of the mean weight per query.
FULL = 0.2
HIDDEN = ' display="none"'
LONGEST = 18
Line = tuple[int, int, float]
WIDTH, LEFT, RIGHT = 520, 160, 360
SIDE, GAP, TOP = 260, 40, 26
# With more queries than this, the page does not get the row of every query.
MAX_QUERIES = 400


def attention_lines(weights: np.ndarray, query_labels: Sequence[str], key_labels: Sequence[str]) -> str:
    """Draw weights (T, S) as an SVG of lines from queries on the left to keys on the right; width shows the magnitude.

    Positions without a label are padding and are omitted. Orange lines increase the score, blue ones decrease it. If
    there are many lines, only the strongest of each query are visible at first.
    """
    queries, keys = _labeled_positions(query_labels, key_labels)
    row_height = 26 if max(len(queries), len(keys)) <= 20 else 17
    height = TOP + row_height * max(len(queries), len(keys)) + 6
    query_y = {index: TOP + row_height * (number + 0.5) for number, index in enumerate(queries)}
    key_y = {index: TOP + row_height * (number + 0.5) for number, index in enumerate(keys)}
    drawn, is_dense, values = (
        _strongest_lines(weights, queries, keys),
        _visible_lines_per_query(queries, keys),
        weights[np.ix_(queries, keys)],
    )
    # With uniform attention the strongest line is weak as well; the lower bound of the scale keeps such lines faint.
    scale = max(bound(values), FULL * float(abs(values).sum()) / max(1, len(queries)))
    parts = [_heading(LEFT - 10, "end", "query"), _heading(RIGHT + 10, "start", "key")]
    visible = _visible_lines(drawn, queries, keys)
    for row, column, value in drawn:
        share = abs(value) / scale
        parts.append(
            f'<line class="pair" data-row="{row}" data-column="{column}" x1="{LEFT}" y1="{query_y[row]:.1f}" '
            f'x2="{RIGHT}" y2="{key_y[column]:.1f}" stroke="{rgb(FOR if value > 0 else AGAINST)}" '
            f'stroke-width="{0.6 + (1.9 if is_dense else 3.4) * share:.2f}" stroke-opacity="{0.08 + 0.82 * share:.3f}"'
            f"{'' if (row, column) in visible else HIDDEN}>"
            f"<title>{_pair(query_labels[row], key_labels[column], value)}</title></line>"
        )
    parts += [_token("row", row, query_labels[row], LEFT - 10, query_y[row], "end", row_height) for row in queries]
    parts += [
        _token("column", column, key_labels[column], RIGHT + 10, key_y[column], "start", row_height) for column in keys
    ]
    return _svg(WIDTH, height, "Attention from queries to keys", parts)


def hidden_lines_note(weights: np.ndarray, query_labels: Sequence[str], key_labels: Sequence[str]) -> str:
    """Describe which lines of `attention_lines` are initially hidden or not drawn; empty if all are visible."""
    rows, columns = _labeled_positions(query_labels, key_labels)
    drawn, visible_count = _strongest_lines(weights, rows, columns), _visible_lines_per_query(rows, columns)
    visible = _visible_lines(drawn, rows, columns)
    notes = []
    if len(visible) < len(drawn):
        total_weight = float(abs(weights[np.ix_(rows, columns)]).sum())
        weight_share = sum(abs(value) for row, column, value in drawn if (row, column) in visible) / total_weight
        notes.append(
            f"Each query shows its {visible_count} strongest of {len(columns)} lines, which have {weight_share:.0%} of "
            "the total weight; hover over a token to see all of its lines."
        )
    if _max_lines_per_query(rows) < len(columns):
        notes.append(f"Only the {_max_lines_per_query(rows)} strongest lines of each query are drawn.")
    if len(drawn) < min(int(np.count_nonzero(weights[np.ix_(rows, columns)])), len(rows) * _max_lines_per_query(rows)):
        notes.append(f"Lines below {LEAST:.0%} of the strongest are omitted.")
    return " ".join(notes)


def _labeled_positions(*sides: Sequence[str]) -> list[list[int]]:
    """Return the positions of each side that have a label."""
    return [[index for index, token in enumerate(side) if token] for side in sides]


def _strongest_lines(weights: np.ndarray, rows: list[int], columns: list[int]) -> list[Line]:
    """Return the drawn lines in ascending order of magnitude, so that strong lines cover weak ones."""
    values = weights[np.ix_(rows, columns)]
    order = np.argsort(-abs(values), axis=1, kind="stable")[:, : _max_lines_per_query(rows)].tolist()
    lines = [
        (rows[row], columns[column], float(values[row, column]))
        for row, row_columns in enumerate(order)
        for column in row_columns
    ]
    smallest = LEAST * bound(values)
    return sorted((line for line in lines if line[2] and abs(line[2]) >= smallest), key=lambda line: abs(line[2]))


def _max_lines_per_query(rows: list[int]) -> int:
    """Return how many lines are drawn for each query at most."""
    return max(FEWEST, MAX_LINES // max(1, len(rows)))


def _visible_lines_per_query(rows: list[int], columns: list[int]) -> int:
    """Return how many lines of each query are visible at first; 0 if all are."""
    few = max(FEWEST, AT_ONCE // max(1, len(rows)))
    # Lines are hidden only if that removes at least half of them.
    return few if few * 2 <= len(columns) else 0


def _visible_lines(strong: list[Line], rows: list[int], columns: list[int]) -> set[tuple[int, int]]:
    """Return the (row, column) of the lines that are visible at first."""
    visible_count, visible = _visible_lines_per_query(rows, columns), set[tuple[int, int]]()
    if not visible_count:
        return {(row, column) for row, column, _ in strong}
    remaining = dict.fromkeys(rows, visible_count)
    for row, column, _ in reversed(strong):
        if remaining[row]:
            remaining[row] -= 1
            visible.add((row, column))
    return visible


def _heading(x: float, anchor: str, text: str) -> str:
    return f'<text x="{x}" y="14" text-anchor="{anchor}" font-size="11" fill="currentColor" opacity=".6">{text}</text>'


def _token(side: str, position: int, text: str, x: float, y: float, anchor: str, step: int) -> str:
    text = text.replace("\n", "↵").replace(" ", "␣")
    label = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return (
        f'<text class="token" data-{side}="{position}" x="{x}" y="{y:.1f}" text-anchor="{anchor}" '
        f'dominant-baseline="central" font-size="{14 if step > 20 else 12}" fill="currentColor">{escape(label)}</text>'
    )


def _pair(row: str, column: str, value: float) -> str:
    return escape(f"{row} → {column}: {value:.3f}")


def patches(
    weights: np.ndarray, labels: Sequence[str], grid: tuple[int, ...], special: int, picture: np.ndarray, start: int
) -> str:
    """Draw weights (T, T) over an image (H, W) or (H, W, 3) in [0, 1] as an SVG.

    The left copy selects the query patch, initially `start`; the right copy shows the keys that it attends to.
    """
    down, across = grid
    high = round(SIDE * picture.shape[0] / picture.shape[1])
    size = SIDE / across, high / down
    image = f'<image width="{SIDE}" height="{high}" href="{_png(picture)}" style="image-rendering:pixelated"/>'
    right = SIDE + GAP
    parts = [
        _heading(0, "start", "query: select a patch"),
        _heading(right, "start", "keys that it attends to"),
        f'<g transform="translate(0 {TOP})">{image}</g>',
        f'<g transform="translate({right} {TOP})" opacity=".75">{image}</g>',
    ]
    end = bound(weights)
    for number in range(down * across):
        x, y = number % across * size[0], TOP + number // across * size[1]
        value, step = float(weights[start, special + number]), special + number
        parts.append(
            f'<rect class="key" data-column="{step}" data-label="{escape(labels[step])}" '
            f'x="{right + x:.1f}" y="{y:.1f}" width="{size[0]:.1f}" '
            f'height="{size[1]:.1f}" fill="{rgb(FOR if value >= 0 else AGAINST)}" '
            f'fill-opacity="{0.85 * abs(value) / end:.3f}">'
            f"<title>{_pair(labels[start], labels[step], value)}</title></rect>"
        )
        parts.append(_query_patch(weights, step, labels[step], (x, y, *size), is_selected=step == start))
    for number in range(special):
        parts.append(_special_token_button(weights, number, labels[number], high, is_selected=number == start))
    return _svg(2 * SIDE + GAP, TOP + high + (34 if special else 6), "Attention of an image patch", parts)


def _query_patch(weights: np.ndarray, step: int, label: str, bounds: tuple[float, ...], *, is_selected: bool) -> str:
    x, y, width, height = bounds
    return (
        f'<rect class="query{" chosen" if is_selected else ""}" {_row_attributes(weights, step, label)} '
        f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="transparent" stroke="currentColor" '
        f'stroke-width="{3 if is_selected else 0.4}"/>'
    )


def _special_token_button(weights: np.ndarray, step: int, label: str, high: int, *, is_selected: bool) -> str:
    x, y = 4 + 96 * step, TOP + high + 8
    return (
        f'<rect class="query{" chosen" if is_selected else ""}" {_row_attributes(weights, step, label)} '
        f'x="{x}" y="{y}" width="90" height="22" rx="6" fill="transparent" stroke="currentColor" '
        f'stroke-width="{3 if is_selected else 0.6}"/>'
        f'<text x="{x + 45}" y="{y + 11}" pointer-events="none" text-anchor="middle" dominant-baseline="central" '
        f'font-size="12" fill="currentColor">{escape(label)}</text>'
    )


def _row_attributes(weights: np.ndarray, step: int, label: str) -> str:
    """Return the attributes with which a patch shows its own row."""
    if len(weights) > MAX_QUERIES:
        return f'data-row="{step}"'
    values = " ".join(f"{value:.4g}" for value in weights[step])
    return f'data-row="{step}" data-values="{values}" data-label="{escape(label)}"'


def thumbnail(weights: np.ndarray, query_labels: Sequence[str], key_labels: Sequence[str]) -> str:
    """Draw a map (T, S) without padding as a small PNG data URL; weights of 0 are transparent."""
    positions = [[index for index, token in enumerate(side) if token] for side in (query_labels, key_labels)]
    values = weights[np.ix_(*positions)]
    colors = np.where((values >= 0)[..., None], _color_channels(FOR), _color_channels(AGAINST))
    alpha = 255 * np.abs(values) / bound(values)
    return _encoded(np.concatenate([colors, alpha[..., None]], axis=2).round().astype(np.uint8))


def _color_channels(color: str) -> np.ndarray:
    return np.array([int(part) for part in color.split(",")])


def _png(picture: np.ndarray) -> str:
    return _encoded((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))


def _encoded(pixels: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{title}">{"".join(parts)}</svg>'
    )
