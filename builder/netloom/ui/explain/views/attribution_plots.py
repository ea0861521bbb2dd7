"""Plots of attributions on images, texts, columns and series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import cut, escape, without_markup
from netloom.core.text import plain as on_one_line
from netloom.explain import Explanation
from netloom.explain.core.explainer import method_facts
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots.colors import AGAINST, FOR, rgb
from netloom.explain.plots.explanation_plots import (
    Plot,
    PlotKind,
    PlotOptions,
    explanation_plots,
    has_waterfall,
    plot_kind,
)
from netloom.explain.plots.figures import LINE_BESIDE_NAMES, Sign, axis_title
from netloom.ui.components.charts.charts import described
from netloom.ui.components.figure_export import PICTURE, exports
from netloom.ui.components.state import Part
from netloom.ui.explain.state import Key

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from netloom.explain.dataset.global_attribution import GlobalAttributions

SIGNS: dict[Sign, str] = {"both": "Both", "for": "Positive", "against": "Negative"}
OPACITY = 0.85
# In pixels, so that the sentence below the plot fits on a screen of 390 × 844 pixels.
PICTURE_HEIGHT, BAR_HEIGHT, BARS_EDGES = 320, 19, 76
# A table has at most this many bars, a text one for each word.
MAX_LIMITED_BARS = 16


def attributions(explanation: Explanation, controls: DeltaGenerator) -> DeltaGenerator:
    """Draw the attributions of the example, and the options of the plots in `controls`.

    Returns:
        The place below the first plot, for the sentence that sums it up.
    """
    with controls:
        options = _options(explanation)
    first, sentence = st.container(), st.container()
    several = len(explanation.attributions) > 1 or bool(explanation.nodes)
    name = f"{explanation.method} of row {explanation.example.row}"
    has_colors = False
    for index, panel in enumerate(explanation_plots(explanation, options)):
        has_colors |= panel.kind is not PlotKind.BARS
        _in_units(panel, explanation)
        with st.container() if index else first:
            if several and panel.title:
                st.markdown(f"**{escape(panel.title)}**")
            _figure(panel)
            if panel.note:
                st.caption(panel.note)
        _downloads(panel, f"{name} {panel.key}")
    if explanation.attention is not None:
        st.caption("The Attention view shows every head of every layer.")
    if explanation.attributions or (explanation.nodes and _explains_score(explanation)):
        legend(quantity_of(explanation.target).is_error, signed=knows_signs(explanation), intensity=has_colors)
    return sentence


def knows_signs(attribution: Explanation | GlobalAttributions) -> bool:
    """Return whether the attributions have a sign."""
    method = method_facts().get(attribution.method)
    return method is None or method.signed


def _explains_score(explanation: Explanation) -> bool:
    """Return whether the parts contribute to the score, unlike the activations of a layer."""
    method = method_facts().get(explanation.method)
    return method is None or method.explains_score


def _in_units(panel: Plot, explanation: Explanation) -> None:
    """Label the axis of bars with the explained quantity, if attributions are in its units."""
    if panel.figure is None or panel.kind is not PlotKind.BARS or explanation.proofs.completeness is None:
        return
    quantity = without_markup(cut(on_one_line(explanation.target.quantity), 70))
    is_waterfall = any(trace.type == "waterfall" for trace in panel.figure.data)
    title = quantity[:1].upper() + quantity[1:] if is_waterfall else f"Contribution to {quantity}"
    panel.figure.update_xaxes(title=axis_title(title, LINE_BESIDE_NAMES))


def _options(explanation: Explanation) -> PlotOptions:
    """Draw the options of the plots, if there are any, and return them."""
    kinds = {plot_kind(explanation, name) for name in explanation.attributions}
    if PlotKind.IMAGE in kinds:
        sign: Sign = "both"
        if knows_signs(explanation):
            chosen = st.segmented_control(
                "Sign",
                list(SIGNS),
                default="both",
                format_func=SIGNS.__getitem__,
                required=True,
                key=Key.INPUT_SIGN,
                help="Positive attributions increase the score, negative ones decrease it.",
            )
            sign = chosen or "both"
        opacity = st.slider("Opacity", 0.0, 1.0, OPACITY, 0.05, key=Key.INPUT_OPACITY)
        return PlotOptions(opacity, sign)
    if kinds == {PlotKind.BARS} and len(explanation.attributions) == 1 and has_waterfall(explanation):
        chosen_sign = st.segmented_control(
            "Chart",
            ["Bars", "Waterfall"],
            default="Bars",
            required=True,
            key=Key.INPUT_CHART,
            help="A waterfall adds the attributions up, from the score of the baseline to that of the example.",
        )
        return PlotOptions(waterfall=chosen_sign == "Waterfall")
    return PlotOptions()


def _figure(panel: Plot) -> None:
    """Draw a plot without its download buttons."""
    key = Key.INPUT.of(panel.key)
    if panel.html:
        st.html(panel.html)
        return
    alt = described(panel.figure, f"attributions of {panel.title or 'the input'}") if panel.figure is not None else ""
    if panel.figure is not None and panel.beside is not None:
        panel.figure.update_layout(height=PICTURE_HEIGHT)
        panel.beside.update_layout(height=PICTURE_HEIGHT)
        left, right = st.columns(2)
        left.plotly_chart(panel.figure, width="stretch", key=key, config=PICTURE, alt=alt)
        with right, st.container(key=Key.BESIDE.of(panel.key)):
            beside = Key.INPUT_BESIDE.of(panel.key)
            st.plotly_chart(panel.beside, width="stretch", key=beside, config=PICTURE, alt="The input")
    elif panel.figure is not None:
        counts = [len(trace.y) for trace in panel.figure.data if trace.type in ("bar", "waterfall")]
        if counts:
            height = BARS_EDGES + BAR_HEIGHT * max(counts)
            # Plotly keeps 64 pixels for the bars by default, and draws the title of the axis over its ticks instead.
            panel.figure.update_layout(height=height, margin={"t": 4}, minreducedheight=BAR_HEIGHT)
        else:
            panel.figure.update_layout(margin={"t": 12})
        # The chart fills a container, whose height the style of the page limits on a phone, unless the names of the
        # bars would overlap there.
        height, limited = int(panel.figure.layout.height), max(counts, default=0) <= MAX_LIMITED_BARS
        container_key = (Key.FIGURE if limited else Key.LONG_FIGURE).of(panel.key)
        with st.container(height=height, border=False, key=container_key):
            st.plotly_chart(panel.figure, width="stretch", height="stretch", key=key, config=PICTURE, alt=alt)


def _downloads(panel: Plot, name: str) -> None:
    key = Key.INPUT.of(panel.key)
    if panel.html:
        exports(name, key=key, svg=panel.svg, table=panel.table)
    elif panel.figure is not None:
        exports(name, key=Part.BUTTONS.within(key), figure=key, table=panel.table)


def legend(
    error: bool = False,
    words: tuple[str, str] = ("increases the score", "decreases it"),
    *,
    signed: bool = True,
    intensity: bool = True,
) -> None:
    """Draw the meaning of the two colors; a method that is not `signed` has only one.

    Without `intensity`, lengths instead of colors show the magnitude.
    """
    for_it, against = ("increases the error", "decreases it") if error else words
    swatch = '<span style="background:{};padding:0 9px;border-radius:4px;margin:0 6px 0 0"></span>'
    text = f"{swatch.format(rgb(FOR))}{for_it} &emsp;{swatch.format(rgb(AGAINST))}{against}"
    if not signed:
        text = f"{swatch.format(rgb(FOR))}importance; this method does not give the sign"
    magnitude = " &emsp; <span style='white-space:nowrap'>Color intensity = magnitude</span>" if intensity else ""
    st.html(f'<div style="font-size:.85rem;opacity:.8">{text}{magnitude}</div>')
