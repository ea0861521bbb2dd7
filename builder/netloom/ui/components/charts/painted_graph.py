"""A network drawn as SVG with values of its layers, which hovering shows; a click opens a subnetwork."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st

_HTML = '<div class="graph" role="group" tabindex="0"></div><div class="tooltip" hidden></div>'
_CSS = """
.graph { overflow: auto; max-height: 58vh; color: var(--st-text-color); }
.tooltip { position: fixed; z-index: 10; max-width: 340px; padding: 0.35rem 0.6rem; border-radius: 0.5rem; font: 0.8rem
  var(--st-font); color: var(--st-background-color); background: var(--st-text-color); pointer-events: none; }
.flow-edge:hover path { stroke-opacity: 1 !important; }
.flow-network { cursor: pointer; }
.flow-network:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""
# The image is parsed as SVG and inserted; its scripts would not run. Hovering shows values without the delay of titles.
_JS = """
export default function ({ parentElement, data, setTriggerValue }) {
  const graph = parentElement.querySelector(".graph");
  const tooltip = parentElement.querySelector(".tooltip");
  if (graph.dataset.drawn === data.svg) return;
  graph.dataset.drawn = data.svg;
  graph.setAttribute("aria-label", data.label);
  tooltip.hidden = true;
  const image = new DOMParser().parseFromString(data.svg, "image/svg+xml").documentElement;
  graph.replaceChildren(document.importNode(image, true));
  for (const part of graph.querySelectorAll(".flow-edge, .flow-node")) {
    const text = part.querySelector("title")?.textContent ?? "";
    part.querySelector("title")?.remove();
    part.setAttribute("role", "img");
    part.setAttribute("aria-label", text);
    part.addEventListener("pointermove", (event) => {
      tooltip.textContent = text;
      tooltip.hidden = false;
      tooltip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - 350)}px`;
      tooltip.style.top = `${event.clientY + 16}px`;
    });
    part.addEventListener("pointerleave", () => (tooltip.hidden = true));
  }
  for (const part of graph.querySelectorAll(".flow-network")) {
    const open = () => setTriggerValue("opened", part.dataset.key);
    part.setAttribute("tabindex", "0");
    part.setAttribute("role", "button");
    part.addEventListener("click", open);
    part.addEventListener("keydown", (event) => event.key === "Enter" && open());
  }
}
"""


def painted_graph(svg: str, label: str, *, key: str, on_opened: Callable[[], None] | None = None) -> None:
    """Draw the result of `explain.plots.flow.graph_svg`. `label` describes it for screen readers. `on_opened` is called
    when a subnetwork was clicked, whose id is the value `opened` of the component."""
    _component()(key=key, data={"svg": svg, "label": label}, on_opened_change=on_opened or (lambda: None))


@cache
def _component() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    return st.components.v2.component("netloom_flow", html=_HTML, css=_CSS, js=_JS)
