"""The Attention view: which positions and heads the prediction relies on, and the map of every head."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.explain import AttentionMaps, Explanation
from netloom.explain.attention.head_patterns import HeadFigures, describe_pattern
from netloom.explain.plots.attention import patches
from netloom.explain.plots.explanation_plots import Plot
from netloom.ui.components.figure_export import chart, exports
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.components.tabs import tabs
from netloom.ui.explain.prediction import show_prediction
from netloom.ui.explain.state import Key, Part
from netloom.ui.explain.views.attention_components import (
    called,
    drawing,
    grid,
    grid_files,
    head_statistics,
)
from netloom.ui.explain.views.attention_figures import (
    MAX_BARS,
    MEAN,
    ablation_chart,
    head_map,
    head_weights,
    lines_svg,
    pairs_file,
    relevance_plots,
    rollout_map,
)
from netloom.ui.explain.views.attention_sentence import attention_sentence, ranked_heads
from netloom.ui.explain.views.attribution import badges, leads_to

if TYPE_CHECKING:
    from netloom.ui.explain.view import ViewContext

ROUTING = "Information routing, not importance"
RAW, WEIGHTED = "Attention weights", "Gradient-weighted"


def obstacle(context: ViewContext) -> str:
    """Return the reason why attention is unavailable; "" if it is available."""
    reason = {method.name: method.reason for method in context.methods}.get("attention", "")
    return reason[:1].upper() + reason[1:]


def attention_view(context: ViewContext) -> None:
    """Draw the view."""
    fitting = {method.name for method in context.methods if method.available}
    names = ["attention", *(name for name in ("attention_relevance", "attention_heads") if name in fitting)]
    explanations = dict(zip(names, context.explanations(names), strict=True))
    raw, weighted, heads = (
        explanations["attention"],
        explanations.get("attention_relevance"),
        explanations.get("attention_heads"),
    )
    if raw.attention is None:
        return
    show_prediction(context, raw.prediction, raw.example)
    _decided(raw, weighted, heads)
    if weighted is None:
        reason = {method.name: method.reason for method in context.methods}["attention_relevance"]
        st.info(f"Relevance and head ablation do not support this network: {escape(reason)}", icon=":material/info:")
    _every_head(raw, weighted, heads)
    _through(raw, weighted)


def _decided(raw: Explanation, weighted: Explanation | None, heads: Explanation | None) -> None:
    """Draw the positions and heads that the prediction relies on, with the results of the checks."""
    words = weighted if weighted is not None and weighted.attributions else raw
    left, right = st.columns([1.15, 1], gap="large")
    with left:
        st.markdown("**Relevance of the input**")
        several = len(words.attributions) > 1
        for panel in relevance_plots(words):
            if several and panel.html:
                st.caption(escape(panel.title))
            _show_panel(panel, f"attention {words.method}", Key.ATTENTION_RELEVANCE)
        st.markdown(f"**{attention_sentence(words, heads)}**")
        leads_to("input", "Show attributions", ":material/arrow_back:")
        how = "attention rollout" if words is raw else "gradient-weighted attention"
        st.caption(f"Color intensity = share of the relevance, by {how} through all layers.")
        _trust(words)
    if heads is not None and heads.attention is not None:
        with right:
            st.markdown("**Head ablation**")
            _bars(heads)
            _trust(heads)


def _trust(explanation: Explanation) -> None:
    """Draw the verdict on an explanation."""
    faithful = explanation.proofs.faithfulness
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badges(explanation.verdict)
            if faithful is not None:
                st.markdown(f"Better than **{1 - faithful.chance:.0%}** of random orders", width="content")
            order = explanation.attention.head_order if explanation.attention else None
            if order is not None:
                same = "" if order.agreement is None else f" · correlation with gradients **{order.agreement:+.2f}**"
                st.markdown(f"Better than **{1 - order.chance:.0%}** of random orders{same}", width="content")
        st.caption(escape(explanation.verdict.sentence))


def _show_panel(panel: Plot, name: str, key: str) -> None:
    if panel.html:
        st.html(panel.html)
        exports(name, key=Part.PLOT.within(key, panel.key), svg=panel.svg, table=panel.table)
    elif panel.figure is not None:
        chart(panel.figure, key=Part.PLOT.within(key, panel.key), name=name, table=panel.table)


def _bars(heads: Explanation) -> None:
    """Draw how far the score falls without each head."""
    if heads.attention is None:
        return
    figure, table, count = ablation_chart(heads.attention)
    chart(figure, key=Key.ATTENTION_HEADS, name="attention heads", table=table)
    more = f" Shown are the {MAX_BARS} strongest of {count} heads." if count > MAX_BARS else ""
    st.caption(
        "Bars: how far the score falls when the head is removed (orange: the head increases the score, blue: it "
        f"decreases it). Gray marks: the estimate from its gradient.{more}"
    )


def _every_head(raw: Explanation, weighted: Explanation | None, heads: Explanation | None) -> None:
    """Draw the grid of all heads, and one head enlarged."""
    st.markdown("### Attention heads")
    kinds = [RAW, *([WEIGHTED] if weighted is not None else [])]
    kind = (
        st.segmented_control("Weights", kinds, default=RAW, required=True, key=Key.ATTENTION_WEIGHTS)
        if len(kinds) > 1
        else RAW
    )
    maps = raw.attention
    visible = weighted.attention if kind == WEIGHTED and weighted is not None else maps
    if maps is None or visible is None:
        return
    if kind == RAW:
        agreed = "not available" if maps.correlation is None else f"{maps.correlation:+.2f}"
        st.caption(
            f"**{ROUTING}.** Spearman correlation between the rollout and the effect of removing each position: "
            f"{agreed}."
        )
    else:
        st.caption("Attention weight × gradient: orange increases the score, blue decreases it.")
    statistics = head_statistics(maps)
    left, right = st.columns([1, 2], gap="large")
    with left:
        layer_index, head = _choice(visible, heads.attention if heads is not None else None)
        grid(visible, statistics, (layer_index, head), _pick)
        svg, table = grid_files(visible)
        exports(f"all heads {kind}", key=Key.ATTENTION_GRID_EXPORT, svg=svg, table=table)
    with right:
        if head != MEAN:
            st.markdown(f"**Head {head + 1}** {describe_pattern(statistics[layer_index][head])}.")
        _large(raw, maps, visible, layer_index, head)
    details = st.expander("Head statistics", icon=":material/table_rows:", key=Key.ATTENTION_DETAILS, on_change="rerun")
    if details.open:
        with details:
            _numbers(maps, statistics, heads.attention if heads is not None else None)


def _pick(layer: int, head: int) -> None:
    set_value(Key.ATTENTION_LAYER, layer)
    set_value(Key.ATTENTION_HEAD.of(layer), head)


def _choice(maps: AttentionMaps, heads: AttentionMaps | None) -> tuple[int, int]:
    """Draw the choice of the enlarged layer and head, by default the head whose ablation changes the score most."""
    layers = list(range(len(maps.layers)))
    first = ranked_heads(heads)[:1] if heads is not None else []
    # Set in the state rather than as defaults, because a click on the grid sets these values as well.
    if value_of(Key.ATTENTION_LAYER) not in layers:
        _pick(*(first[0][0] if first else (layers[-1], 0)))
    layer_index = st.selectbox(
        "Layer", layers, format_func=lambda index: called(index, maps.layers[index]), key=Key.ATTENTION_LAYER
    )
    options, key = [MEAN, *range(len(maps.layers[layer_index].weights))], Key.ATTENTION_HEAD.of(layer_index)
    if value_of(key) not in options:
        set_value(key, 0)
    named = {option: "All" if option == MEAN else str(option + 1) for option in options}
    head = st.pills("Head", options, format_func=named.__getitem__, required=True, key=key, wrap=True)
    return int(layer_index), int(head if head is not None else MEAN)


def _large(raw: Explanation, maps: AttentionMaps, attention_maps: AttentionMaps, layer_index: int, head: int) -> None:
    """Draw one head, or the mean of a layer's heads: on the image if there is one, as lines, and as a heatmap."""
    layer = attention_maps.layers[layer_index]
    weights = head_weights(layer, head)
    stream = maps.streams[layer.streams[1]]
    picture = raw.example.images.get(stream.field, raw.example.image) if stream.grid else None
    # Of cross-attention, the queries are not patches of the same image.
    laid = picture is not None and layer.streams[0] == layer.streams[1]
    name = f"attention layer {layer_index + 1} head {head + 1 if head != MEAN else 'all'}"
    table = pairs_file(attention_maps, layer_index, head)

    def on_image() -> None:
        # The position from which the output is read is the first query to be shown.
        reads = next((reader for reader in maps.output_rows if reader < len(weights)), 0)
        svg = patches(weights, stream.tokens, stream.grid, stream.special, np.asarray(picture), reads)
        drawing(svg, Key.ATTENTION_PATCHES.of(layer_index, head))
        exports(name, key=Key.ATTENTION_PATCHES_EXPORT, svg=svg, table=table)

    def lines() -> None:
        svg, unseen = lines_svg(attention_maps, layer_index, head)
        drawing(svg, Key.ATTENTION_LINES.of(layer_index, head))
        st.caption(f"Hover over a token to see only its lines; click to keep them. {unseen}")
        exports(name, key=Key.ATTENTION_LINES_EXPORT, svg=svg, table=table)

    def heatmap() -> None:
        chart(head_map(attention_maps, layer_index, head), key=Key.ATTENTION_MAP, name=name, table=table)
        st.caption("Rows: queries. Columns: keys. Color intensity = attention weight.")

    drawings = {**({"On the image": on_image} if laid else {}), "Lines": lines, "Heatmap": heatmap}
    tabs(drawings, Key.ATTENTION_DRAWINGS.of(*drawings))


def _numbers(maps: AttentionMaps, statistics: Sequence[Sequence[HeadFigures]], heads: AttentionMaps | None) -> None:
    rows = []
    for index, layer in enumerate(maps.layers):
        ablated_layer = heads.layers[index] if heads is not None else layer
        for head, figures_of_head in enumerate(statistics[index]):
            rows.append(
                {
                    "Layer": index + 1,
                    "Head": head + 1,
                    "Pattern": describe_pattern(figures_of_head),
                    "Ablation effect": None if ablated_layer.effects is None else float(ablated_layer.effects[head]),
                    "Entropy": figures_of_head.entropy,
                    "Mean distance": figures_of_head.distance,
                    "To first position": figures_of_head.first,
                    "To previous position": figures_of_head.before,
                    "To itself": figures_of_head.itself,
                    "To special tokens": figures_of_head.special,
                    "Correlation": figures_of_head.agreement,
                }
            )
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(
        "Ablation effect: how far the score falls without the head. Entropy: 0 for a single position, 1 for uniform "
        "attention. Correlation: Spearman's, between the attention that a position receives and the effect of removing "
        "it; near 0 or below, the attention map does not explain the prediction."
    )
    exports("attention heads", key=Key.ATTENTION_STATISTICS, table=rows)


def _through(raw: Explanation, weighted: Explanation | None) -> None:
    """Draw the rollout through all layers, by weights only and weighted by the gradient."""
    maps = raw.attention
    if maps is None:
        return
    st.markdown("### All layers combined")
    if maps.rollout is None:
        st.info(f"The layers cannot be combined, because {escape(maps.reason)}.", icon=":material/info:")
        return
    both = {"Rollout": raw, **({"Gradient-weighted": weighted} if weighted is not None else {})}
    tabs({name: partial(_rollout, name, explanation) for name, explanation in both.items()}, Key.ATTENTION_ROLLOUTS)


def _rollout(name: str, explanation: Explanation) -> None:
    """Draw one rollout: the relevance of the input, and the map of all pairs of positions."""
    left, right = st.columns([1, 1.2], gap="large")
    with left:
        several = len(explanation.attributions) > 1
        for panel in relevance_plots(explanation):
            if several and panel.html:
                st.caption(escape(panel.title))
            _show_panel(panel, f"attention {name}", Key.ATTENTION_BY_LAYER.of(name))
        st.caption(_head_title(name))
        _trust(explanation)
    if explanation.attention is not None and explanation.attention.rollout is not None:
        with right:
            figure, table = rollout_map(explanation.attention)
            chart(figure, key=Key.ATTENTION_ALL_LAYERS.of(name), name=f"attention {name}", table=table)


def _head_title(name: str) -> str:
    if name == "Rollout":
        return (
            "Attention rollout (Abnar and Zuidema, 2020): the mean over the heads, with the residual connection, "
            "multiplied through all layers. It shows where information can come from, not whether it is used."
        )
    return (
        "Gradient-weighted relevance (Chefer et al., 2021): the positive part of attention × gradient, propagated "
        "through all layers. It shows which positions the score reacts to."
    )
