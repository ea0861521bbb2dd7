"""Attention as pictures: lines from step to step, squares over a picture, and small maps of every head."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from netloom.explain.plots.colors import AGAINST, FOR, bound, rgb

LEAST, MOST_LINES = 0.02, 1_500
# More lines than this at a time are but an area; each step has some of them.
AT_ONCE, FEWEST = 110, 2
# Of a step's weight, what a line in full color holds at least.
FULL = 0.2
HIDDEN = ' display="none"'
LONGEST = 18
Line = tuple[int, int, float]
WIDTH, LEFT, RIGHT = 520, 160, 360
SIDE, GAP, TOP = 260, 40, 26
# More places than this are not laid out for each place that looks.
MOST_LOOKING = 400


def lines(weights: np.ndarray, looking: Sequence[str], looked_at: Sequence[str]) -> str:
    """Weights (T, S) as an SVG of lines from what looks, on the left, to what is looked at; the stronger, the thicker.
    Steps without a label are padding and left out. Orange lines speak for the answer, blue ones against it. Of many
    lines, only the strongest of each step that looks are seen at first."""
    rows, columns = _steps(looking, looked_at)
    step = 26 if max(len(rows), len(columns)) <= 20 else 17
    height = TOP + step * max(len(rows), len(columns)) + 6
    level = {place: TOP + step * (number + 0.5) for number, place in enumerate(rows)}
    across = {place: TOP + step * (number + 0.5) for number, place in enumerate(columns)}
    strong, dense, values = _strong(weights, rows, columns), _few(rows, columns), weights[np.ix_(rows, columns)]
    # Where steps look at all alike no line stands out: those that hold next to nothing of a step's weight are faint.
    end = max(bound(values), FULL * float(abs(values).sum()) / max(1, len(rows)))
    parts = [_heading(LEFT - 10, "end", "query"), _heading(RIGHT + 10, "start", "key")]
    seen = _seen(strong, rows, columns)
    for row, column, value in strong:
        share = abs(value) / end
        parts.append(
            f'<line class="pair" data-row="{row}" data-column="{column}" x1="{LEFT}" y1="{level[row]:.1f}" '
            f'x2="{RIGHT}" y2="{across[column]:.1f}" stroke="{rgb(FOR if value > 0 else AGAINST)}" '
            f'stroke-width="{0.6 + (1.9 if dense else 3.4) * share:.2f}" stroke-opacity="{0.08 + 0.82 * share:.3f}"'
            f"{'' if (row, column) in seen else HIDDEN}>"
            f"<title>{_pair(looking[row], looked_at[column], value)}</title></line>"
        )
    parts += [_token("row", row, looking[row], LEFT - 10, level[row], "end", step) for row in rows]
    parts += [_token("column", one, looked_at[one], RIGHT + 10, across[one], "start", step) for one in columns]
    return _svg(WIDTH, height, "Attention from queries to keys", parts)


def left_out(weights: np.ndarray, looking: Sequence[str], looked_at: Sequence[str]) -> str:
    """Which lines of `lines` are not seen at first, and which are not drawn at all; empty where all are."""
    rows, columns = _steps(looking, looked_at)
    strong, few = _strong(weights, rows, columns), _few(rows, columns)
    seen = _seen(strong, rows, columns)
    said = []
    if len(seen) < len(strong):
        every = float(abs(weights[np.ix_(rows, columns)]).sum())
        held = sum(abs(value) for row, column, value in strong if (row, column) in seen) / every
        said.append(
            f"Each query shows its {few} strongest of {len(columns)} lines, which have {held:.0%} of the total weight; "
            "hover over a token to see all of its lines."
        )
    if _most(rows) < len(columns):
        said.append(f"Only the {_most(rows)} strongest lines of each query are drawn.")
    if len(strong) < min(int(np.count_nonzero(weights[np.ix_(rows, columns)])), len(rows) * _most(rows)):
        said.append(f"Lines below {LEAST:.0%} of the strongest are omitted.")
    return " ".join(said)


def _steps(*sides: Sequence[str]) -> list[list[int]]:
    """The places of each side that have a label."""
    return [[place for place, token in enumerate(side) if token] for side in sides]


def _strong(weights: np.ndarray, rows: list[int], columns: list[int]) -> list[Line]:
    """The lines that are drawn, the strongest last."""
    values = weights[np.ix_(rows, columns)]
    order = np.argsort(-abs(values), axis=1, kind="stable")[:, : _most(rows)].tolist()
    found = [
        (rows[row], columns[column], float(values[row, column])) for row, some in enumerate(order) for column in some
    ]
    least = LEAST * bound(values)
    return sorted((line for line in found if line[2] and abs(line[2]) >= least), key=lambda line: abs(line[2]))


def _most(rows: list[int]) -> int:
    """How many lines of each step are drawn at most."""
    return max(FEWEST, MOST_LINES // max(1, len(rows)))


def _few(rows: list[int], columns: list[int]) -> int:
    """How many lines of each step are seen at first; 0 where all are."""
    few = max(FEWEST, AT_ONCE // max(1, len(rows)))
    return few if few * 2 <= len(columns) else 0


def _seen(strong: list[Line], rows: list[int], columns: list[int]) -> set[tuple[int, int]]:
    """The row and the column of the lines that are seen at first."""
    few, found = _few(rows, columns), set[tuple[int, int]]()
    if not few:
        return {(row, column) for row, column, _ in strong}
    left = dict.fromkeys(rows, few)
    for row, column, _ in reversed(strong):
        if left[row]:
            left[row] -= 1
            found.add((row, column))
    return found


def _heading(x: float, anchor: str, text: str) -> str:
    return f'<text x="{x}" y="14" text-anchor="{anchor}" font-size="11" fill="currentColor" opacity=".6">{text}</text>'


def _token(side: str, place: int, text: str, x: float, y: float, anchor: str, step: int) -> str:
    text = text.replace("\n", "↵").replace(" ", "␣")
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return (
        f'<text class="token" data-{side}="{place}" x="{x}" y="{y:.1f}" text-anchor="{anchor}" '
        f'dominant-baseline="central" font-size="{14 if step > 20 else 12}" fill="currentColor">{escape(shown)}</text>'
    )


def _pair(row: str, column: str, value: float) -> str:
    return escape(f"{row} → {column}: {value:.3f}")


def patches(
    weights: np.ndarray, labels: Sequence[str], grid: tuple[int, ...], special: int, picture: np.ndarray, start: int
) -> str:
    """Weights (T, T) laid onto a picture (H, W) or (H, W, 3) of numbers from 0 to 1, as an SVG: on the left the place
    that looks, to be chosen, on the right what it looks at. It begins with the step `start`."""
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
            f'<rect class="seen" data-column="{step}" x="{right + x:.1f}" y="{y:.1f}" width="{size[0]:.1f}" '
            f'height="{size[1]:.1f}" fill="{rgb(FOR if value >= 0 else AGAINST)}" '
            f'fill-opacity="{0.85 * abs(value) / end:.3f}">'
            f"<title>{_pair(labels[start], labels[step], value)}</title></rect>"
        )
        parts.append(_place(weights, step, (x, y, *size), chosen=step == start))
    for number in range(special):
        parts.append(_button(weights, number, labels[number], high, chosen=number == start))
    return _svg(2 * SIDE + GAP, TOP + high + (34 if special else 6), "Attention of an image patch", parts)


def _place(weights: np.ndarray, step: int, where: tuple[float, ...], *, chosen: bool) -> str:
    x, y, width, height = where
    return (
        f'<rect class="looks{" chosen" if chosen else ""}" {_row(weights, step)} x="{x:.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" fill="transparent" stroke="currentColor" '
        f'stroke-width="{3 if chosen else 0.4}"/>'
    )


def _button(weights: np.ndarray, step: int, label: str, high: int, *, chosen: bool) -> str:
    x, y = 4 + 96 * step, TOP + high + 8
    return (
        f'<rect class="looks{" chosen" if chosen else ""}" {_row(weights, step)} x="{x}" y="{y}" width="90" '
        f'height="22" rx="6" fill="transparent" stroke="currentColor" stroke-width="{3 if chosen else 0.6}"/>'
        f'<text x="{x + 45}" y="{y + 11}" pointer-events="none" text-anchor="middle" dominant-baseline="central" '
        f'font-size="12" fill="currentColor">{escape(label)}</text>'
    )


def _row(weights: np.ndarray, step: int) -> str:
    """What a place needs to show its own row."""
    if len(weights) > MOST_LOOKING:
        return f'data-row="{step}"'
    shares = weights[step] / bound(weights[step])
    return f'data-row="{step}" data-values="{" ".join(f"{share:.3g}" for share in shares)}"'


def thumbnail(weights: np.ndarray, looking: Sequence[str], looked_at: Sequence[str]) -> str:
    """A map (T, S) without its padding as a small picture for the web, transparent where nothing is."""
    kept = [[place for place, token in enumerate(side) if token] for side in (looking, looked_at)]
    values = weights[np.ix_(*kept)]
    colors = np.where((values >= 0)[..., None], _three(FOR), _three(AGAINST))
    alpha = 255 * np.abs(values) / bound(values)
    return _encoded(np.concatenate([colors, alpha[..., None]], axis=2).round().astype(np.uint8))


def _three(color: str) -> np.ndarray:
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
