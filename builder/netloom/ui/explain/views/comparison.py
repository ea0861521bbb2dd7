"""The comparison of two explanations of one target, by two methods, checkpoints or runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape, without_markup
from netloom.core.text import plain as line
from netloom.explain.comparison import Agreement, Comparison, real_parts_mask
from netloom.explain.core.explainer import method_facts
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots.explanation_plots import Plot, PlotKind
from netloom.explain.plots.shared_scale import scaled_plots
from netloom.jobs.requests.explanations import ComparedSide, ExplanationComparison
from netloom.ui.components.charts.charts import described
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.figure_export import PICTURE, exports
from netloom.ui.explain.compare_mode import OtherSide, other_weights
from netloom.ui.explain.headline import prediction_text, visible
from netloom.ui.explain.prediction import show_prediction
from netloom.ui.explain.state import CompareWith, Key
from netloom.ui.explain.views.attribution import COLORS, badges, layer_options
from netloom.ui.explain.views.attribution_plots import PICTURE_HEIGHT, knows_signs, legend
from netloom.ui.explain.views.training_trajectory import show
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.explain import Explanation
    from netloom.explain.core.explanation import Level
    from netloom.ui.explain.view import ViewContext

RARE, STRONG = 0.05, 0.7


def comparison_view(context: ViewContext, compared: OtherSide) -> None:
    """Draw the explanation of the context beside that of the other side."""
    method = next(item for item in context.methods if item.name == context.method)
    with context.places.controls:
        layer = layer_options(context, method)
    this_side = ComparedSide(context.weights, method.name, context.options_of(method.name) | layer)
    other_side = replace(this_side, weights=other_weights(context, compared))
    if compared.kind is CompareWith.METHOD:
        fields = method_facts()[compared.name].settings
        shared = {name: value for name, value in layer.items() if name in fields}
        other_side = ComparedSide(context.weights, compared.name, context.options_of(compared.name) | shared)
    comparison = computed(
        ExplanationComparison(context.weights, this_side, other_side, context.row, context.target),
        "Computing both explanations …",
    )
    # Two methods explain one prediction; other checkpoints and runs may predict something else.
    is_shared = compared.kind is CompareWith.METHOD
    if is_shared:
        show_prediction(context, comparison.first.prediction, comparison.first.example)
    elif context.why:
        context.places.head.caption(context.why)
    _both(comparison, compared.titles, with_predictions=not is_shared)
    with context.places.details:
        _points(comparison, compared.titles)


def _agreement(comparison: Comparison) -> None:
    """Draw the agreement of both explanations and its significance."""
    agree = comparison.agreement
    strong = agree.spearman is not None and agree.chance is not None and agree.chance <= RARE
    level: Level = "good" if strong and (agree.spearman or 0) >= STRONG else "caution" if strong else "poor"
    verdicts = {"good": "Agreement", "caution": "Partial agreement", "poor": "No agreement"}
    with st.container(border=True, gap="small"):
        st.badge(verdicts[level], color=COLORS[level])
        st.caption(escape(agree.sentence))
        with st.container(horizontal=True, gap="large"):
            _measures(agree)


def _measures(agree: Agreement) -> None:
    if agree.spearman is not None and agree.chance is not None:
        kind = "signed" if agree.signed else "magnitudes"
        help_ = "Spearman's rank correlation: 1 for the same order of the features, 0 for unrelated orders."
        st.metric(f"Rank correlation ({kind})", f"{agree.spearman:+.2f}", help=help_, width="content")
        help_ = f"Share of {agree.orders} permutations of the features that agree at least as well; lower is stronger."
        st.metric("Permutation p-value", f"{agree.chance:.3f}", help=help_, width="content")
    if agree.top:
        help_ = f"Expected by chance: {agree.expected:.1f}. As many or more in {agree.top_chance:.1%} of cases."
        st.metric("Top features in common", f"{agree.overlap} of {agree.top}", help=help_, width="content")


def _both(comparison: Comparison, titles: tuple[str, str], *, with_predictions: bool) -> None:
    parts, bounds = comparison.pair, comparison.bounds
    both = (comparison.first, comparison.second)
    plots = [
        scaled_plots(explanation, values, bounds, parts[0]) for explanation, values in zip(both, parts, strict=True)
    ]
    pictures = all(plot.kind is PlotKind.IMAGE for listed in plots for plot in listed)
    columns = column_row(2, Key.COMPARE_PAIR, OnPhone.WHOLE if pictures else OnPhone.SWIPED, "medium")
    for column, explanation, listed, title in zip(columns, both, plots, titles, strict=True):
        with column:
            st.markdown(f"**{escape(title)}**")
            if with_predictions:
                _prediction(explanation)
            side, key = (
                ("first", Key.COMPARE_FIRST) if explanation is comparison.first else ("second", Key.COMPARE_SECOND)
            )
            for plot in listed if pictures else ():
                _plain_picture(plot)
            show(listed, key, f"{explanation.method} {side}", beside=False)
            if comparison.first.baseline or comparison.second.baseline:
                st.caption(f"Baseline: {escape(explanation.baseline) or 'none'}")
            badges(explanation.verdict)
    unsigned = [
        title
        for explanation, title in zip((comparison.first, comparison.second), titles, strict=True)
        if not knows_signs(explanation)
    ]
    legend(quantity_of(comparison.first.target).is_error, signed=len(unsigned) < 2)
    if len(unsigned) == 1:
        st.caption(f"{escape(unsigned[0])} gives magnitudes without a sign, so its orange does not mean an increase.")
    _agreement(comparison)
    st.markdown(f"**Difference**: {escape(titles[1])} − {escape(titles[0])}")
    # The plot is of both, so it has neither title.
    apart = replace(comparison.first, title="")
    difference = scaled_plots(apart, comparison.differences, bounds, comparison.differences)
    show(difference, Key.COMPARE_DIFFERENCE, "difference", beside=False)
    legend(words=("higher in the second", "higher in the first"))
    unit = (
        "Attributions are normalized by their sum of magnitudes, because the two methods have different units."
        if comparison.scaled
        else "Attributions are in the units of the score."
    )
    st.caption(f"All three share one color scale. {unit}")


def _plain_picture(plot: Plot) -> None:
    """Leave out the title, which is above the picture, and the color scale, which is beside the difference."""
    if plot.figure is not None:
        plot.figure.update_traces(showscale=False, selector={"type": "heatmap"})
        plot.figure.update_layout(title_text="", margin={"t": 4}, height=PICTURE_HEIGHT)
        plot.figure.update_yaxes(constraintoward="top")


def _prediction(explanation: Explanation) -> None:
    share = explanation.prediction.probabilities.get(explanation.target.name)
    name = (
        ""
        if explanation.target.name == explanation.prediction.text
        else f"{escape(visible(explanation.target.name))}: "
    )
    probability = f" ({name}{share:.1%})" if share is not None else ""
    st.caption(f"Prediction: **{prediction_text(explanation)}**{probability}")


def _points(comparison: Comparison, titles: tuple[str, str]) -> None:
    """Draw a scatter plot of the features by both attributions."""
    import plotly.graph_objects as go

    from netloom.explain.plots import figures

    table = points(comparison)
    first, second = np.array(table["first"]), np.array(table["second"])
    is_nonzero = (first != 0) | (second != 0)
    # 1e-12: an axis needs a length, also if all attributions are 0.
    end = 1.06 * max(float(np.abs(first).max(initial=0)), float(np.abs(second).max(initial=0)), 1e-12)
    # Plotly interprets HTML tags in texts.
    across, up = (without_markup(line(title)) for title in titles)
    ends, dotted = [-end, end], {"color": figures.GRAY, "dash": "dot", "width": 1}
    diagonal = {"type": "scatter", "x": ends, "y": ends, "mode": "lines", "line": dotted, "hoverinfo": "skip"}
    marker = {"size": 6, "opacity": 0.7, "color": "#0072b2"}
    features = {"type": "scatter", "x": first[is_nonzero], "y": second[is_nonzero], "mode": "markers", "marker": marker}
    layout = {"height": 340, "margin": figures.MARGIN, "showlegend": False}
    axes = {"xaxis": {"title": across}, "yaxis": {"title": up}}
    figure = go.Figure([diagonal, features], {**layout, **axes})
    with st.expander("Attributions per feature", icon=":material/scatter_plot:"):
        st.caption("Each point is a feature. On the dotted line, both attributions are equal.")
        alt = described(figure, "attributions per feature")
        st.plotly_chart(figure, width="stretch", key=Key.COMPARE_POINTS, config=PICTURE, alt=alt)
        exports("comparison", key=Key.COMPARE_EXPORT, figure=Key.COMPARE_POINTS, table=table)


def points(comparison: Comparison) -> dict[str, list[Any]]:
    """Return both attributions of every feature except padding, with its input, position and name, by column."""
    table: dict[str, list[Any]] = {"of": [], "place": [], "part": [], "first": [], "second": []}
    for name, values in comparison.pair[0].items():
        positions = np.flatnonzero(real_parts_mask(comparison.first, name, values.shape))
        labels = comparison.first.labels.get(name, ()) if values.ndim == 1 else ()
        table["of"] += [name] * len(positions)
        table["place"] += positions.tolist()
        table["part"] += [labels[index] if index < len(labels) else "" for index in positions]
        for side, parts in zip(("first", "second"), comparison.pair, strict=True):
            table[side] += np.ravel(parts[name])[positions].tolist()
    return table
