"""Attributions on a page: over pictures, in words, beside columns and along series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import plain as on_one_line
from netloom.explain import Explanation
from netloom.explain.core.explainer import registry
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots.colors import AGAINST, FOR, rgb
from netloom.explain.plots.explanation_plots import Drawn, How, PlotKind, drawn, explains_the_way, kind_of
from netloom.explain.plots.figures import Sign
from netloom.ui.components.figure_export import PICTURE, chart, exports
from netloom.ui.components.words import plain
from netloom.ui.explain.state import Key

if TYPE_CHECKING:
    from netloom.explain.dataset.global_attribution import Overall

SIGNS: dict[Sign, str] = {"both": "Both", "for": "Positive", "against": "Negative"}
OPACITY = 0.85


def attributions(found: Explanation) -> None:
    """What each part of the example did for the explained answer."""
    if found.attention is not None:
        st.caption("The Attention view shows every head of every layer.")
    how = _how(found)
    several, colored = len(found.attributions) > 1 or found.nodes, False
    for one in drawn(found, how):
        colored |= one.kind is not PlotKind.BARS
        if several and one.title:
            st.markdown(f"**{plain(one.title)}**")
        _in_units(one, found)
        _show(one, f"{found.method} of row {found.example.row} {one.key}")
        if one.note:
            st.caption(one.note)
    if found.attributions or (found.nodes and found.method != "layer_activation"):
        legend(quantity_of(found.target).is_error, signed=knows_signs(found), intensity=colored)


def knows_signs(found: Explanation | Overall) -> bool:
    """Whether its method tells what speaks for the answer from what speaks against it."""
    method = registry().get(found.method)
    return method is None or method.signed


def _in_units(one: Drawn, found: Explanation) -> None:
    """Say on the axis of bars of what they are parts, where they are in the units of what is explained."""
    if one.figure is None or one.kind is not PlotKind.BARS or found.proofs.completeness is None:
        return
    quantity = on_one_line(found.target.quantity)[:70].replace("<", "&lt;")
    way = any(trace.type == "waterfall" for trace in one.figure.data)
    one.figure.update_xaxes(title=quantity[:1].upper() + quantity[1:] if way else f"Contribution to {quantity}")


def _how(found: Explanation) -> How:
    """What people choose about the pictures, where there is something to choose."""
    kinds = {kind_of(found, name) for name in found.attributions}
    if PlotKind.IMAGE in kinds and not knows_signs(found):
        return How(st.slider("Opacity", 0.0, 1.0, OPACITY, 0.05, key=Key.INPUT_OPACITY, width=320))
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
        return How(opacity, sign or "both")
    if kinds == {PlotKind.BARS} and len(found.attributions) == 1 and explains_the_way(found):
        shown = st.segmented_control(
            "Chart",
            ["Bars", "Waterfall"],
            default="Bars",
            required=True,
            key=Key.INPUT_CHART,
            help="A waterfall adds the attributions up, from the score of the baseline to that of the example.",
        )
        return How(way=shown == "Waterfall")
    return How()


def _show(one: Drawn, name: str) -> None:
    if one.html:
        st.html(one.html)
        exports(name, key=Key.INPUT.of(one.key), svg=one.svg, table=one.table)
        return
    if one.figure is None:
        return
    if one.beside is None:
        chart(one.figure, key=Key.INPUT.of(one.key), name=name, table=one.table)
        return
    left, right = st.columns(2)
    left.plotly_chart(one.beside, width="stretch", key=Key.INPUT_BESIDE.of(one.key), config=PICTURE)
    with right:
        chart(one.figure, key=Key.INPUT.of(one.key), name=name, table=one.table)


def legend(
    error: bool = False,
    words: tuple[str, str] = ("increases the score", "decreases it"),
    *,
    signed: bool = True,
    intensity: bool = True,
) -> None:
    """What the two colors mean, orange first; a method that is not `signed` has only one. Without `intensity`, lengths
    show the magnitude."""
    for_it, against = ("increases the error", "decreases it") if error else words
    swatch = '<span style="background:{};padding:0 9px;border-radius:4px;margin:0 6px 0 0"></span>'
    said = f"{swatch.format(rgb(FOR))}{for_it} &emsp;{swatch.format(rgb(AGAINST))}{against}"
    if not signed:
        said = f"{swatch.format(rgb(FOR))}importance; this method does not give the sign"
    magnitude = " &emsp; Color intensity = magnitude" if intensity else ""
    st.html(f'<div style="font-size:.85rem;opacity:.8">{said}{magnitude}</div>')
