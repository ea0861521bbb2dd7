"""Plots of attributions on images, texts, columns and series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import plain as on_one_line
from netloom.explain import Explanation
from netloom.explain.core.explainer import registry
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
from netloom.explain.plots.figures import Sign
from netloom.ui.components.figure_export import PICTURE, chart, exports
from netloom.ui.components.words import escape
from netloom.ui.explain.state import Key

if TYPE_CHECKING:
    from netloom.explain.dataset.global_attribution import GlobalAttributions

SIGNS: dict[Sign, str] = {"both": "Both", "for": "Positive", "against": "Negative"}
OPACITY = 0.85


def attributions(explanation: Explanation) -> None:
    """Draw the attributions of the example."""
    if explanation.attention is not None:
        st.caption("The Attention view shows every head of every layer.")
    how = _how(explanation)
    several, colored = len(explanation.attributions) > 1 or explanation.nodes, False
    for panel in explanation_plots(explanation, how):
        colored |= panel.kind is not PlotKind.BARS
        if several and panel.title:
            st.markdown(f"**{escape(panel.title)}**")
        _in_units(panel, explanation)
        _show(panel, f"{explanation.method} of row {explanation.example.row} {panel.key}")
        if panel.note:
            st.caption(panel.note)
    if explanation.attributions or (explanation.nodes and explanation.method != "layer_activation"):
        legend(quantity_of(explanation.target).is_error, signed=knows_signs(explanation), intensity=colored)


def knows_signs(attribution: Explanation | GlobalAttributions) -> bool:
    """Return whether the attributions have a sign."""
    method = registry().get(attribution.method)
    return method is None or method.signed


def _in_units(panel: Plot, explanation: Explanation) -> None:
    """Label the axis of bars with the explained quantity, if attributions are in its units."""
    if panel.figure is None or panel.kind is not PlotKind.BARS or explanation.proofs.completeness is None:
        return
    # Plotly interprets HTML tags in texts.
    quantity = on_one_line(explanation.target.quantity)[:70].replace("<", "&lt;")
    is_waterfall = any(trace.type == "waterfall" for trace in panel.figure.data)
    panel.figure.update_xaxes(
        title=quantity[:1].upper() + quantity[1:] if is_waterfall else f"Contribution to {quantity}"
    )


def _how(explanation: Explanation) -> PlotOptions:
    """Draw the options of the plots, if there are any, and return them."""
    kinds = {plot_kind(explanation, name) for name in explanation.attributions}
    if PlotKind.IMAGE in kinds and not knows_signs(explanation):
        return PlotOptions(st.slider("Opacity", 0.0, 1.0, OPACITY, 0.05, key=Key.INPUT_OPACITY, width=320))
    if PlotKind.IMAGE in kinds:
        left, right = st.columns([1.4, 1], vertical_alignment="center")
        sign = left.segmented_control(
            "Sign",
            list(SIGNS),
            default="both",
            format_func=SIGNS.__getitem__,
            required=True,
            key=Key.INPUT_SIGN,
            help="Positive attributions increase the score, negative ones decrease it.",
        )
        opacity = right.slider("Opacity", 0.0, 1.0, OPACITY, 0.05, key=Key.INPUT_OPACITY)
        return PlotOptions(opacity, sign or "both")
    if kinds == {PlotKind.BARS} and len(explanation.attributions) == 1 and has_waterfall(explanation):
        chosen_sign = st.segmented_control(
            "Chart",
            ["Bars", "Waterfall"],
            default="Bars",
            required=True,
            key=Key.INPUT_CHART,
            help="A waterfall adds the attributions up, from the score of the baseline to that of the example.",
        )
        return PlotOptions(way=chosen_sign == "Waterfall")
    return PlotOptions()


def _show(panel: Plot, name: str) -> None:
    if panel.html:
        st.html(panel.html)
        exports(name, key=Key.INPUT.of(panel.key), svg=panel.svg, table=panel.table)
        return
    if panel.figure is None:
        return
    if panel.beside is None:
        chart(panel.figure, key=Key.INPUT.of(panel.key), name=name, table=panel.table)
        return
    left, right = st.columns(2)
    left.plotly_chart(panel.beside, width="stretch", key=Key.INPUT_BESIDE.of(panel.key), config=PICTURE)
    with right:
        chart(panel.figure, key=Key.INPUT.of(panel.key), name=name, table=panel.table)


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
    magnitude = " &emsp; Color intensity = magnitude" if intensity else ""
    st.html(f'<div style="font-size:.85rem;opacity:.8">{text}{magnitude}</div>')
