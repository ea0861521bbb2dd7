"""An explanation as one self-contained HTML file: the prediction, the plots and the verdict."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.document import write_bytes
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots.colors import AGAINST, FOR, rgb
from netloom.explain.plots.explanation_plots import PlotOptions, explanation_plots, has_waterfall

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.core.explanation import Explanation

STYLE = """
:root{color-scheme:light dark;--text:light-dark(#1c1c28,#e8e8ef);--line:light-dark(#e3e3ea,#2d2e3a)}
body{font:16px/1.5 system-ui,sans-serif;max-width:980px;margin:2rem auto;padding:0 1rem;color:var(--text);
background:light-dark(#fff,#12131a)}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.05rem;margin:1.6rem 0 .2rem}
p{margin:.3rem 0}.faint{opacity:.75;font-size:.9rem}
.verdict{border:1px solid var(--line);border-radius:.6rem;padding:.7rem 1rem;margin:1rem 0}
.pair{display:flex;flex-wrap:wrap}.pair>div{flex:1 1 320px;min-width:0}
.swatch{display:inline-block;width:1em;height:1em;border-radius:4px;vertical-align:-.12em;margin:0 .35em 0 1em}
"""
# Plotly does not inherit CSS colors, so a script applies those of the theme, also when the theme changes.
SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const [text, line] = dark.matches ? ["#e8e8ef", "#2d2e3a"] : ["#1c1c28", "#e3e3ea"];
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const colors = { "font.color": text };
    for (const axis of Object.keys(plot.layout).filter((name) => /^[xy]axis/.test(name))) {
      colors[`${axis}.gridcolor`] = colors[`${axis}.zerolinecolor`] = line;
    }
    Plotly.relayout(plot, colors);
  }
}
dark.addEventListener("change", paint);
addEventListener("load", paint);
"""


def write_html(explanation: Explanation, path: Path) -> None:
    """Write the page, including Plotly, to a file.

    Raises:
        OSError: The file cannot be written.
    """
    write_bytes(path, html(explanation).encode())


def html(explanation: Explanation) -> str:
    """Return the page as text."""
    from plotly.offline import get_plotlyjs

    truth = f" · label {escape(explanation.example.target)}" if explanation.example.target else ""
    parts = [
        f"<h1>Prediction: {escape(explanation.prediction.text)}</h1>",
        f"<p>{escape(explanation.headline)}</p>",
        f'<p class="faint">Row {explanation.example.row}{truth} · weights {escape(explanation.checkpoint)} '
        f"{explanation.weights[:12]}</p>",
        f'<div class="verdict"><b>{escape(explanation.verdict.title)}.</b> '
        f"{escape(explanation.verdict.sentence)}</div>",
        *_pictures(explanation),
    ]
    title = escape(f"Explanation of the prediction {explanation.prediction.text[:60]}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body>{''.join(parts)}<script>{SCRIPT}</script></body></html>"
    )


def _pictures(explanation: Explanation) -> list[str]:
    parts = []
    for plot in explanation_plots(explanation, PlotOptions(waterfall=has_waterfall(explanation))):
        if plot.title:
            parts.append(f"<h2>{escape(plot.title)}</h2>")
        if plot.html:
            parts.append(plot.html)
            continue
        pair = [figure for figure in (plot.beside, plot.figure) if figure is not None]
        parts.append(f'<div class="pair">{"".join(f"<div>{_figure(figure)}</div>" for figure in pair)}</div>')
    quantity = "error" if quantity_of(explanation.target).is_error else "score"
    labels = (f"increases the {quantity}", f"decreases the {quantity}")
    if parts:
        swatch = '<span class="swatch" style="background:{}"></span>'
        keys = "".join(f"{swatch.format(rgb(tone))}{text}" for tone, text in zip((FOR, AGAINST), labels, strict=True))
        parts.append(f'<p class="faint">{keys} &emsp; Color intensity = magnitude</p>')
    if explanation.attention is not None:
        parts.append(f"<h2>Attention</h2><p>{_attention(explanation)}</p>")
    return parts


def _attention(explanation: Explanation) -> str:
    layers = explanation.attention.layers if explanation.attention else ()
    text = "; ".join(f"{escape(layer.title)}: {len(layer.weights)} heads" for layer in layers)
    return f"{text}. A JSON file has all attention weights."


def _figure(figure: go.Figure) -> str:
    figure.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", template="none")
    config = {"displaylogo": False, "responsive": True, "toImageButtonOptions": {"format": "svg"}}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=config))


def write_json(explanation: Explanation, path: Path) -> None:
    """Write the explanation as plain JSON values to a file.

    Raises:
        OSError: The file cannot be written.
    """
    write_bytes(path, json.dumps(explanation.as_json(), ensure_ascii=False, indent=1).encode())
