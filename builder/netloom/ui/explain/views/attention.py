"""The Attention view: which positions and heads the prediction relies on, and the map of every head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.explain import AttentionMaps, Explanation
from netloom.explain.attention.head_patterns import HeadFigures, describe_pattern, head_figures
from netloom.explain.plots.attention import attention_lines, hidden_lines_note, patches
from netloom.explain.plots.colors import AGAINST, FOR, bound, rgb
from netloom.explain.plots.explanation_plots import Plot, PlotOptions, explanation_plots
from netloom.ui.components.charts import MARGIN
from netloom.ui.components.figure_export import chart, exports
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.prediction import show_prediction
from netloom.ui.explain.state import Key, Part
from netloom.ui.explain.views.attention_components import (
    called,
    drawing,
    grid,
    grid_svg,
    head_pictures,
    pairs_table,
    sides,
    weights_table,
)
from netloom.ui.explain.views.attention_sentence import attention_sentence, ranked_heads
from netloom.ui.explain.views.attribution import badges, leads_to

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.ui.explain.view import ViewContext

ROUTING = "Information routing, not importance"
MOST_BARS = 24
MEAN = -1
RAW, WEIGHTED = "Attention weights", "Gradient-weighted"


def obstacle(context: ViewContext) -> str:
    """Return the reason why attention is unavailable; "" if it is available."""
    reason = next(
        (method.reason for method in context.methods if method.name == "attention" and not method.available), ""
    )
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
        reason = next(method.reason for method in context.methods if method.name == "attention_relevance")
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
        for panel in _pictures(words):
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
                st.markdown(f"Better than **{1 - faithful.chance:.0%}** of random baselines", width="content")
            order = explanation.attention.order if explanation.attention else None
            if order is not None:
                same = "" if order.agreement is None else f" · correlation with gradients **{order.agreement:+.2f}**"
                st.markdown(f"Better than **{1 - order.chance:.0%}** of random baselines{same}", width="content")
        st.caption(escape(explanation.verdict.sentence))


def _pictures(explanation: Explanation) -> list[Plot]:
    """Return the plots of an explanation; for a text only the colored words, as bars would repeat them."""
    panels = list(explanation_plots(explanation, PlotOptions(sign="for")))
    return [panel for panel in panels if panel.html] or panels


def _show_panel(panel: Plot, name: str, key: str) -> None:
    if panel.html:
        st.html(panel.html)
        exports(name, key=Part.PLOT.within(key, panel.key), svg=panel.svg, table=panel.table)
    elif panel.figure is not None:
        chart(panel.figure, key=Part.PLOT.within(key, panel.key), name=name, table=panel.table)


def _bars(heads: Explanation) -> None:
    import plotly.graph_objects as go

    maps = heads.attention
    if maps is None:
        return
    ranked = ranked_heads(maps)[:MOST_BARS]
    slopes = [float(maps.layers[layer].slopes[head]) for (layer, head), _ in ranked]  # type: ignore[index]
    names = [f"layer {layer + 1} · head {head + 1}" for (layer, head), _ in ranked]
    effects = [effect for _, effect in ranked]
    colors = [rgb(FOR) if effect > 0 else rgb(AGAINST) for effect in effects]
    shared = {"y": names, "hovertemplate": "%{x:+.3g}<extra>%{y}</extra>"}
    mark = {"symbol": "line-ns", "size": 13, "line": {"width": 2.5, "color": "rgba(130,130,140,0.9)"}}
    traces = [
        {"type": "bar", "x": effects, "orientation": "h", "marker": {"color": colors}, "name": "ablation", **shared},
        {"type": "scatter", "x": slopes, "mode": "markers", "marker": mark, "name": "gradient estimate", **shared},
    ]
    layout = {
        "height": 100 + 22 * len(names),
        "margin": MARGIN,
        "showlegend": False,
        "xaxis": {"title": "Decrease of the score without the head", "zeroline": True},
        "yaxis": {"autorange": "reversed", "automargin": True},
    }
    figure = go.Figure(traces, layout)
    rows = [
        {"layer": index + 1, "title": layer.title, "head": head + 1, "effect": float(effect), "gradient": float(slope)}
        for index, layer in enumerate(maps.layers)
        if layer.effects is not None and layer.slopes is not None
        for head, (effect, slope) in enumerate(zip(layer.effects, layer.slopes, strict=True))
    ]
    chart(figure, key=Key.ATTENTION_HEADS, name="attention heads", table=rows)
    more = f" Shown are the {MOST_BARS} strongest of {len(rows)} heads." if len(rows) > MOST_BARS else ""
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
    statistics = [head_figures(maps, layer) for layer in maps.layers]
    left, right = st.columns([1, 2], gap="large")
    with left:
        layer_index, head = _choice(visible, heads.attention if heads is not None else None)
        pictures = head_pictures(visible)
        grid(visible, pictures, statistics, (layer_index, head), _pick)
        svg, table = grid_svg(visible, pictures), weights_table(visible)
        exports(f"all heads {kind}", key=Key.ATTENTION_GRID_EXPORT, svg=svg, table=table)
    with right:
        if head != MEAN:
            st.markdown(f"**Head {head + 1}** {describe_pattern(statistics[layer_index][head])}.")
        _large(raw, maps, visible, layer_index, head)
    with st.expander("Head statistics", icon=":material/table_rows:"):
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
    weights = layer.weights.mean(axis=0) if head == MEAN else layer.weights[head]
    stream = maps.streams[layer.streams[1]]
    picture = raw.example.images.get(stream.field, raw.example.image) if stream.grid else None
    # Of cross-attention, the queries are not patches of the same image.
    laid = picture is not None and layer.streams[0] == layer.streams[1]
    tabs = st.tabs([*(["On the image"] if laid else []), "Lines", "Heatmap"])
    name = f"attention layer {layer_index + 1} head {head + 1 if head != MEAN else 'all'}"
    table = pairs_table(weights, *sides(attention_maps, layer))
    if laid and picture is not None:
        with tabs[0]:
            # The position from which the output is read is the first query to be shown.
            reads = next((reader for reader in maps.read if reader < len(weights)), 0)
            svg = patches(weights, stream.tokens, stream.grid, stream.special, np.asarray(picture), reads)
            drawing(svg, Key.ATTENTION_PATCHES.of(layer_index, head))
            exports(name, key=Key.ATTENTION_PATCHES_EXPORT, svg=svg, table=table)
    with tabs[-2]:  # from the end, because the first tab is optional
        svg, unseen = (
            attention_lines(weights, *sides(attention_maps, layer)),
            hidden_lines_note(weights, *sides(attention_maps, layer)),
        )
        drawing(svg, Key.ATTENTION_LINES.of(layer_index, head))
        st.caption(f"Hover over a token to see only its lines; click to keep them. {unseen}")
        exports(name, key=Key.ATTENTION_LINES_EXPORT, svg=svg, table=table)
    with tabs[-1]:
        chart(heat(weights, *sides(attention_maps, layer)), key=Key.ATTENTION_MAP, name=name, table=table)
        st.caption("Rows: queries. Columns: keys. Color intensity = attention weight.")


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
    for tab, (name, explanation) in zip(st.tabs(list(both)), both.items(), strict=True):
        with tab:
            left, right = st.columns([1, 1.2], gap="large")
            with left:
                several = len(explanation.attributions) > 1
                for panel in _pictures(explanation):
                    if several and panel.html:
                        st.caption(escape(panel.title))
                    _show_panel(panel, f"attention {name}", Key.ATTENTION_BY_LAYER.of(name))
                st.caption(_head_title(name))
                _trust(explanation)
            if explanation.attention is not None and explanation.attention.rollout is not None:
                labels = [token for stream in explanation.attention.streams for token in stream.tokens]
                with right:
                    figure = heat(explanation.attention.rollout, labels, labels)
                    table = pairs_table(explanation.attention.rollout, labels, labels)
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


def heat(weights: np.ndarray, looking: Sequence[str], looked_at: Sequence[str]) -> go.Figure:
    """Return a labeled heatmap of attention; positions without a label are padding and omitted."""
    import plotly.graph_objects as go

    with_token = [[index for index, token in enumerate(side) if token] for side in (looking, looked_at)]
    rows, columns = (
        [side[index] for index in some] for side, some in zip((looking, looked_at), with_token, strict=True)
    )
    values = weights[np.ix_(*with_token)]
    end, pairs = bound(values), [[f"{row} → {column}" for column in columns] for row in rows]
    scale = [[0, rgb(AGAINST)], [0.5, "rgba(150,150,160,0.04)"], [1, rgb(FOR)]]
    text = "%{customdata}: %{z:.3f}<extra></extra>"
    trace = {
        "type": "heatmap",
        "z": values,
        "colorscale": scale,
        "zmin": -end,
        "zmax": end,
        "showscale": False,
        "customdata": np.array(pairs),  # Plotly copies an array at once, and nested lists item by item
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": text,
    }
    layout = {
        "height": int(np.clip(90 + 22 * len(rows), 260, 620)),
        "margin": MARGIN,
        "xaxis": _token_axis(columns),
        "yaxis": {**_token_axis(rows), "autorange": "reversed"},
    }
    return go.Figure([trace], layout)


def _token_axis(names: Sequence[str]) -> dict[str, Any]:
    """Return an axis with tokens.

    Cells are at their positions, with tokens as tick texts: as categories, equal tokens would share one row.
    """
    ticks = list(range(0, len(names), max(1, len(names) // 40)))
    labels = [names[tick].replace("\n", "↵")[:18] for tick in ticks]
    ticked = {"tickmode": "array", "tickvals": ticks, "ticktext": labels}
    return {**ticked, "showgrid": False, "zeroline": False, "automargin": True}
