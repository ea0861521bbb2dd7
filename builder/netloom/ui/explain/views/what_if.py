"""The Counterfactual view: an edited example, its prediction and attributions beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import cut, escape, number, without_markup
from netloom.data import DataError
from netloom.explain import ExplainError, Explanation
from netloom.explain.comparison import color_bounds
from netloom.explain.core.parts.axes import Axes
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots import figures, text
from netloom.explain.plots.explanation_plots import PlotKind, array_table, plot_kind, series_table
from netloom.explain.plots.object_shapes import with_objects
from netloom.explain.robustness.what_if import WhatIf, raw_row, target_request
from netloom.jobs import JobError
from netloom.jobs.requests.explanations import Change
from netloom.modalities.columns.date import with_dates
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.example_editor import edited, forget
from netloom.ui.components.figure_export import chart, exports
from netloom.ui.explain.headline import prediction_text, visible
from netloom.ui.explain.state import Key, Part
from netloom.ui.explain.views.attribution import badges
from netloom.ui.explain.views.attribution_plots import knows_signs, legend
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.ui.explain.view import ViewContext

MAX_SHARES, MAX_PARTS = 6, 12
BEFORE, AFTER = "#94a3b8", "#6366f1"
# The legend is above the figure, whatever its height.
ABOVE = {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"}


def what_if_view(context: ViewContext) -> None:
    """Draw the view: the effect of the edit, and the form beside it."""
    first = context.explanation()
    key = Key.COUNTERFACTUAL.of(context.trained.run.id, _named(context.row))
    # The form comes second, because a narrow screen shows the columns one below the other.
    effect, form = st.columns([1.7, 1], gap="medium")
    data = context.trained.data
    raw = with_dates((column for field in data.fields for column in field.columns), raw_row(data, context.row))
    with form:
        changed = edited(data, raw, key, _weights(first))
        if st.button(
            "Reset", icon=":material/restart_alt:", key=Part.RESET.within(key), help="Restore the original example."
        ):
            forget(key)
            st.rerun(scope="fragment")
    with effect:
        try:
            comparison = _computed(context, first, changed)
        except (ExplainError, DataError, JobError) as error:
            show_error(error)
            return
        _answers(comparison)
        if same(raw, changed):
            st.caption("Edit the example to see how the prediction changes.")
        _parts(comparison, key)
        _shares(comparison, key)
    st.caption(
        "Both columns explain the same target by the same method. The result shows how this network would respond, "
        "not what would happen in the real world."
    )


def _named(row: Any) -> str:
    """Return a row for keys of widgets; a custom example has another key after each change."""
    return str(row) if isinstance(row, int) else f"own {hash(repr(row))}"


def _computed(context: ViewContext, first: Explanation, changed: dict[str, Any]) -> WhatIf:
    target = context.target if context.target is not None else target_request(first.target)
    return computed(
        Change(context.weights, context.row, changed, context.method, target, context.options_of(context.method))
    )


def same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether two raw rows are equal."""
    return before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)


def _weights(explanation: Explanation) -> dict[str, float]:
    """Return the attribution of each column of a table."""
    return {
        label: float(value)
        for name, values in explanation.attributions.items()
        if values.ndim == 1
        for label, value in zip(explanation.labels.get(name, ()), values, strict=False)
    }


def _answers(comparison: WhatIf) -> None:
    before, after = comparison.before, comparison.after
    with st.container(border=True):
        if comparison.is_prediction_changed:
            st.markdown(f"## Prediction: {prediction_text(before)} → **:orange[{prediction_text(after)}]**")
        else:
            st.markdown(f"## Prediction: **{prediction_text(before)}** (unchanged)")
        st.markdown(
            f"{_capitalized(escape(before.target.quantity))}: {number(before.score)} → "
            f"**{number(after.score)}** ({number(comparison.score_change, 3, signed=True)})"
        )


def _capitalized(sentence: str) -> str:
    """Return a sentence with a capital first letter."""
    return sentence[:1].upper() + sentence[1:]


def _shares(comparison: WhatIf, key: str) -> None:
    """Draw the probability of each class before and after, and the change."""
    import plotly.graph_objects as go

    shares = {name: pair for name, pair in comparison.probabilities.items() if not np.isnan(pair).all()}
    if not shares:
        return
    ranked = sorted(shares, key=lambda name: -np.nanmax(shares[name]))[:MAX_SHARES]
    labels = [
        f"{without_markup(cut(visible(name), 24))}  {100 * (shares[name][1] - shares[name][0]):+.1f}%"
        for name in ranked
    ]
    positions = list(range(len(ranked)))
    traces = [
        {
            "type": "bar",
            "x": [shares[name][index] for name in ranked],
            "y": positions,
            "orientation": "h",
            "name": title,
            "marker": {"color": color},
            "hovertemplate": f"{title}: %{{x:.1%}}<extra></extra>",
        }
        for index, (title, color) in enumerate((("before", BEFORE), ("after", AFTER)))
    ]
    layout = {
        "height": 110 + 40 * len(ranked),
        "margin": figures.MARGIN,
        "bargap": 0.35,
        "barmode": "group",
        "legend": {**ABOVE, "traceorder": "normal"},
        "xaxis": {"range": [0, 1], "tickformat": ".0%", "title": "Probability"},
        "yaxis": {"autorange": "reversed", "tickvals": positions, "ticktext": labels, "automargin": True},
    }
    figure = go.Figure(traces, layout)
    table = [
        {"class": name, "before": pair[0], "after": pair[1], "change": pair[1] - pair[0]}
        for name, pair in comparison.probabilities.items()
    ]
    chart(figure, key=Part.PROBABILITIES.within(key), name="what if probabilities", table=table)


def _parts(comparison: WhatIf, key: str) -> None:
    """Draw the attributions of both predictions with one color scale, and their verdicts."""
    st.markdown(f"**Attributions** by {escape(comparison.before.title)}")
    ends = color_bounds((comparison.before.attributions, comparison.after.attributions), comparison.before.axes)
    colored = False  # the colors of bars only distinguish before and after
    for name in comparison.before.attributions:
        if name not in comparison.after.attributions:
            continue
        kind = plot_kind(comparison.before, name)
        colored |= kind is not PlotKind.BARS
        if len(comparison.before.attributions) > 1:
            st.markdown(f"**{escape(name)}**")
        if kind is PlotKind.TEXT:
            _texts(comparison, name, key, ends[name])
        elif kind is PlotKind.BARS:
            figure, table = bars(comparison, name)
            if len(ends) > 1:
                figure.update_xaxes(range=[-1.06 * ends[name], 1.06 * ends[name]])
            chart(figure, key=Part.BARS.within(key, name), name=f"what if {name}", table=table)
        else:
            _pictures(comparison, name, key, ends[name], series=kind is PlotKind.SERIES)
    if colored:
        legend(quantity_of(comparison.before.target).is_error, signed=knows_signs(comparison.before))
    if not comparison.before.attributions:
        st.caption("This method gives no attributions of the input; choose another one.")
    for column, (title, explanation) in zip(
        st.columns(2), (("Before", comparison.before), ("After", comparison.after)), strict=True
    ):
        with column:
            st.markdown(f"**{title}**")
            badges(explanation.verdict)
            st.caption(escape(explanation.verdict.sentence))


def _texts(comparison: WhatIf, name: str, key: str, end: float) -> None:
    table = []
    for title, explanation in (("before", comparison.before), ("after", comparison.after)):
        labels = [label or "" for label in explanation.labels[name]]
        st.caption(title.capitalize())
        st.html(text.as_html(labels, explanation.attributions[name], end=end))
        pairs = zip(labels, explanation.attributions[name].tolist(), strict=False)
        table += [
            {"text": title, "place": index, "token": label, "attribution": value}
            for index, (label, value) in enumerate(pairs)
            if label
        ]
    sides = (("before", comparison.before), ("after", comparison.after))
    rows = [(title, [label or "" for label in side.labels[name]], side.attributions[name]) for title, side in sides]
    svg = text.stacked(rows, end)
    exports(f"what if {name}", key=Part.TEXT.within(key, name), svg=svg, table=table)


def bars(comparison: WhatIf, name: str) -> tuple[go.Figure, list[dict[str, Any]]]:
    """Return a chart and a table of the most important columns before or after."""
    import plotly.graph_objects as go

    pair = comparison.before.attributions[name], comparison.after.attributions[name]
    labels = comparison.before.labels.get(name, ())
    named = [labels[index] if index < len(labels) else f"number {index}" for index in range(len(pair[0]))]
    values = [[value.example.columns.get(label) for label in named] for value in (comparison.before, comparison.after)]
    order = np.argsort(-np.maximum(np.abs(pair[0]), np.abs(pair[1])), kind="stable")[:MAX_PARTS]
    bar_labels = [_change_text(named[index], values[0][index], values[1][index]) for index in order]
    positions = list(range(len(order)))
    traces = [
        {
            "type": "bar",
            "x": value[order],
            "y": positions,
            "orientation": "h",
            "name": title,
            "marker": {"color": color},
            "hovertemplate": f"{title}: %{{x:+.4g}}<extra></extra>",
        }
        for title, color, value in (("before", BEFORE, pair[0]), ("after", AFTER, pair[1]))
    ]
    layout = {
        "height": 110 + 34 * len(order),
        "margin": figures.MARGIN,
        "bargap": 0.3,
        "barmode": "group",
        "legend": ABOVE,
        "xaxis": {"title": "Attribution"},
        "yaxis": {"autorange": "reversed", "tickvals": positions, "ticktext": bar_labels, "automargin": True},
    }
    figure = go.Figure(traces, layout)
    table = [
        {"column": label, "before": float(value), "after": float(value_after)}
        for label, value, value_after in zip(named, *pair, strict=True)
    ]
    return figure, table


def _change_text(label: str, before: Any, after: Any) -> str:
    """Return the label of a column, with its values if they differ."""
    short = label[:26]
    if before is None or before == after:
        return short
    return f"<b>{short} {_value(before)} → {_value(after)}</b>"


def _value(value: Any) -> str:
    try:
        return number(float(value))
    except (TypeError, ValueError):
        return str(value)[:14].replace("<", "‹")


def _pictures(comparison: WhatIf, name: str, key: str, end: float, *, series: bool) -> None:
    """Draw images side by side or series one below the other, with one color scale."""
    attributions = [explanation.attributions[name] for explanation in (comparison.before, comparison.after)]
    attributions = [values.reshape(len(values), -1) if series else values.sum(0) for values in attributions]
    axes = comparison.before.axes.get(name, Axes())
    positions = [st.container(), st.container()] if series else st.columns(2)
    for container, title, explanation, values in zip(
        positions, ("Before", "After"), (comparison.before, comparison.after), attributions, strict=True
    ):
        with container:
            if series:
                series_values = (
                    None
                    if explanation.example.series is None
                    else np.asarray(explanation.example.series, dtype=np.float64)
                )
                series_values = (
                    series_values if series_values is not None and series_values.shape == values.shape else None
                )
                figure = figures.series_band(values, series_values, explanation.labels.get(name, ()), axes)
                high = 210 if values.shape[1] == 1 else figure.layout.height
                figure.update_layout(title={"text": title, "x": 0, "font": {"size": 14}}, height=high)
                table = series_table(values, axes, explanation.labels.get(name, ()))
            else:
                image = explanation.example.images.get(name, explanation.example.image)
                image = image if image is not None and np.shape(image)[:2] == values.shape else None
                figure = figures.overlay(values, image, title=title)
                figure.update_layout(height=300)
                if objects := explanation.prediction.objects:
                    with_objects(figure, (values.shape[0], values.shape[1]), objects, is_labeled=False)
                table = array_table(values, ("row", "column"))
            on_scale(figure, end)
            chart(figure, key=Part.PLOT.within(key, title, name), name=f"what if {name} {title}", table=table)


def on_scale(figure: go.Figure, end: float) -> None:
    """Set the color scale of the diverging heatmaps of a figure to ±`end`."""
    for trace in figure.data:
        if trace.type == "heatmap" and trace.zmin is not None and trace.zmin < 0:
            trace.update(zmin=-end, zmax=end)
            if trace.showscale is not False:
                trace.colorbar.update(tickvals=[-end, 0, end], ticktext=[f"{-end:+.2g}", "0", f"{end:+.2g}"])
