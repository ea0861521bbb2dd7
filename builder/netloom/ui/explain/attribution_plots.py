"""Attributions on a page: over pictures, in words, beside columns and along series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import plain as on_one_line
from netloom.explain import Explanation
from netloom.explain.core.explainer import registry
from netloom.explain.plots.colors import AGAINST, FOR, rgb
from netloom.explain.plots.explanation_plots import Drawn, How, drawn, explains_the_way, kind_of
from netloom.explain.plots.figures import Sign
from netloom.ui.components.figure_export import PICTURE, chart, exports
from netloom.ui.components.words import plain

if TYPE_CHECKING:
    from netloom.explain.dataset.global_attribution import Overall

SIGNS: dict[Sign, str] = {"both": "For and against", "for": "For", "against": "Against"}
OPACITY = 0.85


def attributions(found: Explanation) -> None:
    """What each part of the example did for the explained answer."""
    if found.attention is not None:
        st.caption("Every head of every layer is shown by the view “Attention”.")
    how = _how(found)
    several = len(found.attributions) > 1 or found.nodes
    for one in drawn(found, how):
        if several and one.title:
            st.markdown(f"**{plain(one.title)}**")
        _in_units(one, found)
        _show(one, f"{found.method} of row {found.example.row} {one.key}")
        if one.note:
            st.caption(one.note)
    if found.attributions or (found.nodes and found.method != "layer_activation"):
        legend(found.target.kind == "error", signed=knows_signs(found))


def knows_signs(found: Explanation | Overall) -> bool:
    """Whether its method tells what speaks for the answer from what speaks against it."""
    method = registry().get(found.method)
    return method is None or method.signed


def _in_units(one: Drawn, found: Explanation) -> None:
    """Say on the axis of bars of what they are parts, where they are in the units of what is explained."""
    if one.figure is None or one.kind != "bars" or found.proofs.completeness is None:
        return
    quantity = on_one_line(found.target.quantity)[:70].replace("<", "&lt;")
    way = any(trace.type == "waterfall" for trace in one.figure.data)
    one.figure.update_xaxes(title=quantity[:1].upper() + quantity[1:] if way else f"Added to {quantity}")


def _how(found: Explanation) -> How:
    """What people choose about the pictures, where there is something to choose."""
    kinds = {kind_of(found, name) for name in found.attributions}
    if "picture" in kinds and not knows_signs(found):
        return How(st.slider("Opacity", 0.0, 1.0, OPACITY, 0.05, key="input opacity", width=320))
    if "picture" in kinds:
        left, right = st.columns([1.4, 1], vertical_alignment="center")
        sign = left.segmented_control(
            "Parts", list(SIGNS), default="both", format_func=SIGNS.__getitem__, required=True, key="input sign"
        )
        opacity = right.slider("Opacity", 0.0, 1.0, OPACITY, 0.05, key="input opacity")
        return How(opacity, sign or "both")
    if kinds == {"bars"} and len(found.attributions) == 1 and explains_the_way(found):
        shown = st.segmented_control("Shown as", ["Bars", "Waterfall"], default="Bars", required=True, key="input way")
        return How(way=shown == "Waterfall")
    return How()


def _show(one: Drawn, name: str) -> None:
    if one.html:
        st.html(one.html)
        exports(name, key=f"input {one.key}", svg=one.svg, table=one.table)
        return
    if one.figure is None:
        return
    if one.beside is None:
        chart(one.figure, key=f"input {one.key}", name=name, table=one.table)
        return
    left, right = st.columns(2)
    left.plotly_chart(one.beside, width="stretch", key=f"input beside {one.key}", config=PICTURE)
    with right:
        chart(one.figure, key=f"input {one.key}", name=name, table=one.table)


def legend(
    error: bool = False, words: tuple[str, str] = ("speaks for the answer", "against it"), *, signed: bool = True
) -> None:
    """What the two colours say, orange first; where a method is not `signed` there is but one."""
    for_it, against = ("makes the error larger", "smaller") if error else words
    swatch = '<span style="background:{};padding:0 9px;border-radius:4px;margin:0 6px 0 0"></span>'
    said = f"{swatch.format(rgb(FOR))}{for_it} &emsp;{swatch.format(rgb(AGAINST))}{against}"
    if not signed:
        said = f"{swatch.format(rgb(FOR))}matters, for or against: this method does not tell which"
    st.html(f'<div style="font-size:.85rem;opacity:.8">{said} &emsp; the stronger, the more</div>')
