"""Attention components in the browser: the grid of heads, and drawings that highlight positions on hover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import streamlit as st

from netloom.explain import AttentionLayer, AttentionMaps
from netloom.explain.attention.head_patterns import HeadFigures, describe_pattern, head_figures
from netloom.explain.plots.attention import thumbnail
from netloom.explain.plots.colors import AGAINST, FOR, rgb
from netloom.ui.components.figure_export import written
from netloom.ui.components.once_per_result import once_per_result
from netloom.ui.components.page_state import value_of
from netloom.ui.explain.state import Key, current_side, keys_of

# In pixels, for the grid as an image: the size of a map, the gap, and the height of a line of text.
CELL, GAP, LINE = 96, 10, 22
# A larger table would slow the page down.
MAX_WEIGHTS = 20_000
_HTML = '<div class="view"></div>'
_CSS = """
.view { font-family: var(--st-font); color: var(--st-text-color); font-size: 0.8rem; }
.layer { margin-bottom: 0.6rem; }
.title { opacity: 0.7; margin-bottom: 0.2rem; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(66px, 1fr)); gap: 0.35rem; }
button { font: inherit; color: inherit; padding: 3px; border: 1.5px solid var(--st-border-color); border-radius: 6px;
  background: none; cursor: pointer; display: flex; flex-direction: column; align-items: center; gap: 1px; }
button:hover { border-color: var(--st-text-color); }
button.chosen { border-color: var(--st-primary-color); background: var(--st-secondary-background-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
button img { width: 100%; aspect-ratio: 1; image-rendering: pixelated; }
button span { opacity: 0.7; font-size: 0.72rem; }
.drawing svg { width: 100%; max-width: 760px; height: auto; display: block; }
.drawing .token { cursor: default; }
.drawing .query { cursor: pointer; }
.drawing .pair { pointer-events: stroke; }
"""


def sides(maps: AttentionMaps, layer: AttentionLayer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels of a layer's rows (queries) and columns (keys)."""
    return layer.query_labels or maps.tokens, layer.key_labels or maps.tokens


def called(index: int, layer: AttentionLayer) -> str:
    """Return the number and title of a layer, without the key of its node, as the number identifies it."""
    key = layer.name.partition(" ")[0].partition(".")[0]
    return f"{index + 1}. {layer.title.removesuffix(f' ({key})')}"


@once_per_result
def head_statistics(maps: AttentionMaps) -> list[list[HeadFigures]]:
    """Return the statistics of each head of each layer."""
    return [head_figures(maps, layer) for layer in maps.layers]


@once_per_result
def head_pictures(attention_maps: AttentionMaps) -> list[list[str]]:
    """Return a small map of each head of each layer, as a data URL."""
    return [
        [thumbnail(weights, *sides(attention_maps, layer)) for weights in layer.weights]
        for layer in attention_maps.layers
    ]


def grid(
    attention_maps: AttentionMaps,
    statistics: Sequence[Sequence[HeadFigures]],
    chosen: tuple[int, int],
    pick: Callable[[int, int], None],
) -> None:
    """Draw all heads of all layers as small maps; a click calls `pick` with the layer and the head. `statistics` are
    those of the raw weights, by layer and head."""
    pictures = head_pictures(attention_maps)
    layers = [
        {
            "title": called(index, layer),
            "heads": [
                {"picture": picture, "about": describe_pattern(head)}
                for picture, head in zip(pictures[index], statistics[index], strict=True)
            ],
        }
        for index, layer in enumerate(attention_maps.layers)
    ]

    side = current_side()  # the callback runs outside of its side of a comparison

    def picked() -> None:
        with keys_of(side):
            chosen = value_of(Key.ATTENTION_GRID).chosen
            if chosen:
                pick(int(chosen[0]), int(chosen[1]))

    _component()(key=Key.ATTENTION_GRID, data={"layers": layers, "chosen": list(chosen)}, on_chosen_change=picked)


@once_per_result
def grid_files(attention_maps: AttentionMaps) -> tuple[str, str]:
    """Return the grid as an SVG image, and the weights of all heads as a CSV file."""
    return grid_svg(attention_maps, head_pictures(attention_maps)), written(weights_table(attention_maps))


def grid_svg(attention_maps: AttentionMaps, pictures: Sequence[Sequence[str]]) -> str:
    """Return the grid of the `head_pictures` as an SVG image: a row per layer, a small map per head."""
    parts, wide = list[str](), max(len(layer.weights) for layer in attention_maps.layers)
    for index, layer in enumerate(attention_maps.layers):
        top = index * (CELL + 2 * LINE)
        parts.append(f'<text x="4" y="{top + 15}" font-size="13">{escape(called(index, layer))}</text>')
        for head, picture in enumerate(pictures[index]):
            left = 4 + head * (CELL + GAP)
            parts.append(
                f'<image x="{left}" y="{top + LINE}" width="{CELL}" height="{CELL}" preserveAspectRatio="none" '
                f'href="{picture}" style="image-rendering:pixelated"/><text x="{left + CELL / 2:g}" '
                f'y="{top + LINE + CELL + 14}" font-size="11" text-anchor="middle">{head + 1}</text>'
            )
    size = f"{max(8 + wide * (CELL + GAP), 320)} {len(attention_maps.layers) * (CELL + 2 * LINE)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" fill="currentColor" font-family="sans-serif">'
        f"{''.join(parts)}</svg>"
    )


def weights_table(attention_maps: AttentionMaps) -> dict[str, list[Any]]:
    """Return the columns of a table of all weights of all heads with their query and key positions; {} if there are too
    many for a table."""
    table: dict[str, list[Any]] = {}
    if sum(layer.weights.size for layer in attention_maps.layers) > MAX_WEIGHTS:
        return table
    for index, layer in enumerate(attention_maps.layers):
        for head, weights in enumerate(layer.weights):
            pairs = pairs_table(weights, *sides(attention_maps, layer))
            count = len(pairs["weight"])
            pairs["weight"] = list(map(float, pairs["weight"]))
            for name, column in ({"layer": [index + 1] * count, "head": [head + 1] * count} | pairs).items():
                table.setdefault(name, []).extend(column)
    return table


def pairs_table(weights: np.ndarray, query_labels: Sequence[str], key_labels: Sequence[str]) -> dict[str, list[Any]]:
    """Return the weights (T, S) of all pairs of labeled positions as columns of a table."""
    rows, columns = (
        [index for index, token in enumerate(side) if token and index < length]
        for side, length in zip((query_labels, key_labels), weights.shape, strict=True)
    )
    return {
        "query position": [row for row in rows for _ in columns],
        "query": [query_labels[row] for row in rows for _ in columns],
        "key position": columns * len(rows),
        "key": [key_labels[column] for column in columns] * len(rows),
        "weight": list(weights[np.ix_(rows, columns)].ravel()),
    }


def drawing(svg: str, key: str) -> None:
    """Draw an SVG of attention, in which hovering highlights a position."""
    _component()(key=key, data={"svg": svg, "colors": [rgb(FOR), rgb(AGAINST)]}, on_chosen_change=lambda: None)


@cache
def _component() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    script = files("netloom.ui.explain.views").joinpath("attention.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_attention", html=_HTML, css=_CSS, js=script)
