"""Text with attributions as colored words: HTML with the values on hover, and SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from netloom.explain.plots.colors import AGAINST, FOR, bound, rgb

STRONGEST = 0.7
WIDTH, SIZE, LINE = 860, 18, 40
# The approximate width of a letter, and the padding of a word, in pixels.
LETTER, PADDING = 9.4, 12.0
STYLE = """<style>
.attributed{font-size:1.15rem;line-height:2.2;overflow-wrap:anywhere}
.attributed span{position:relative;padding:3px 5px;border-radius:5px;margin:1px;display:inline-block;cursor:default}
.attributed.joined span{padding:3px 0;margin:0;border-radius:0;white-space:pre}
.attributed span:hover{outline:2px solid currentColor}
.attributed span:hover::after{content:attr(data-value);position:absolute;left:0;bottom:100%;z-index:9;
font-size:.8rem;line-height:1.4;padding:2px 7px;border-radius:5px;background:#1c1c28;color:#fff;white-space:nowrap}
</style>"""


def is_joined(words: Sequence[str]) -> bool:
    """Return whether tokens are characters or subwords, which contain the spaces between words themselves."""
    return all(len(word) <= 1 for word in words) or any(word[:1].isspace() for word in words)


def as_html(words: Sequence[str], values: np.ndarray, *, style: bool = True, end: float = 0.0) -> str:
    """Return the words as running text with colored backgrounds; empty words are padding and are omitted.

    `end` is the limit of the scale, by default the largest magnitude.
    """
    end, total = end or bound(values), float(np.abs(values).sum()) or 1.0
    parts = []
    for word, value in _words_with_values(words, values):
        tooltip = f"{value:+.4g} · {abs(value) / total:.0%} of all"
        ground = rgb(_color(value), min(abs(value) / end, 1.0) * STRONGEST)
        escaped = escape(word.replace("\n", "↵\n"))
        parts.append(f'<span style="background:{ground}" data-value="{tooltip}">{escaped}</span>')
    kind = "attributed joined" if is_joined([word for word in words if word]) else "attributed"
    between = "" if "joined" in kind else " "
    return f'{STYLE if style else ""}<div class="{kind}">{between.join(parts)}</div>'


def as_svg(words: Sequence[str], values: np.ndarray, end: float = 0.0) -> str:
    """Return the words as an SVG."""
    parts, below = _lines(words, values, end or bound(values), 10.0)
    return _picture(parts, below)


def stacked(texts: Sequence[tuple[str, Sequence[str], np.ndarray]], end: float) -> str:
    """Draw several titled texts on one scale as one SVG."""
    parts, y = list[str](), 10.0
    for title, words, values in texts:
        parts.append(f'<text x="10" y="{y + 16:.0f}" font-size="14" opacity="0.7">{escape(title)}</text>')
        lines, y = _lines(words, values, end, y + 26)
        parts += lines
    return _picture(parts, y)


def _lines(words: Sequence[str], values: np.ndarray, end: float, y: float) -> tuple[list[str], float]:
    """Return the SVG of the words from the height `y` on, and the height at which they end."""
    x, parts, tight = 10.0, list[str](), is_joined([word for word in words if word])
    for word, value in _words_with_values(words, values):
        label = word.replace("\n", "↵")
        wide = len(label) * LETTER + (0.0 if tight else PADDING)
        if x + wide > WIDTH - 10:
            x, y = 10.0, y + LINE
        ground = rgb(_color(value), min(abs(value) / end, 1.0) * STRONGEST)
        parts.append(
            f'<rect x="{x:.1f}" y="{y:g}" width="{wide:.1f}" height="30" rx="{0 if tight else 5}" fill="{ground}"/>'
        )
        attributes = f'x="{x + wide / 2:.1f}" y="{y + 21:g}" text-anchor="middle"'
        # Tokens may start with a space, which SVG would drop.
        parts.append(f'<text {attributes} xml:space="preserve">{escape(label)}</text>')
        x += wide + (0.0 if tight else 4.0)
    return parts, y + LINE


def _picture(parts: Sequence[str], height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-size="{SIZE}" '
        f'font-family="sans-serif" fill="currentColor">{"".join(parts)}</svg>'
    )


def _words_with_values(words: Sequence[str], values: np.ndarray) -> Iterable[tuple[str, float]]:
    return ((word, float(value)) for word, value in zip(words, values, strict=False) if word)


def _color(value: float) -> str:
    return FOR if value > 0 else AGAINST
