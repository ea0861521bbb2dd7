"""Attention shown in the browser: the grid of heads to choose from, and drawings whose steps can be pointed at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from builder.explain import AttentionLayer, AttentionMaps
from builder.explain.drawing.attention import thumbnail
from builder.explain.drawing.scale import AGAINST, FOR, rgb
from builder.explain.heads import about, figures

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
.drawing .looks { cursor: pointer; }
.drawing .pair { pointer-events: stroke; }
"""


def sides(maps: AttentionMaps, layer: AttentionLayer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of a layer's rows and of its columns."""
    return layer.looking or maps.tokens, layer.looked_at or maps.tokens


def grid(maps: AttentionMaps, shown: AttentionMaps, chosen: tuple[int, int], pick: Callable[[int, int], None]) -> None:
    """Every head of every layer as a small map; one that is clicked is told to `pick`. What each is about is read off
    `maps`, the raw weights; the pictures are those of `shown`."""
    layers: list[dict[str, Any]] = []
    for layer, drawn in zip(maps.layers, shown.layers, strict=True):
        said = [about(head) for head in figures(maps, layer)]
        pictures = [thumbnail(weights, *sides(shown, drawn)) for weights in drawn.weights]
        heads = [{"picture": picture, "about": text} for picture, text in zip(pictures, said, strict=True)]
        layers.append({"title": f"{len(layers) + 1}. {drawn.title}", "heads": heads})
    key = "attention grid"

    def picked() -> None:
        found = st.session_state[key].chosen
        if found:
            pick(int(found[0]), int(found[1]))

    _component()(key=key, data={"layers": layers, "chosen": list(chosen)}, on_chosen_change=picked)


def drawing(svg: str, key: str) -> None:
    """A drawing of attention; what is pointed at in it is shown alone."""
    _component()(key=key, data={"svg": svg, "colours": [rgb(FOR), rgb(AGAINST)]}, on_chosen_change=lambda: None)


@cache
def _component() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    script = files("builder.ui").joinpath("attention.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_attention", html=_HTML, css=_CSS, js=script)
