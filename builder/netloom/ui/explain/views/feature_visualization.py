"""The Feature visualization view: inputs optimized to maximize a unit, beside the training rows that maximize it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.core.text import plain as on_one_line
from netloom.data.images import channels_last
from netloom.explain.concepts.feature_visualization import VisualizedUnit
from netloom.explain.core.parts.axes import Axes, axes_of
from netloom.explain.plots import figures
from netloom.jobs.requests.explanations import FeatureVisualization
from netloom.jobs.requests.inspection import Widths
from netloom.modalities.encoding.number_column import NumberEncoder
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.figure_export import chart
from netloom.ui.explain.state import Key
from netloom.ui.explain.views.attribution import badges, indented
from netloom.ui.explain.views.influence import CARD, show_row
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.ui.explain.view import ViewContext

OPTIMIZED, REAL = "rgb(213, 94, 0)", "rgb(0, 114, 178)"
MAX_COLUMNS = 14


def obstacle(context: ViewContext) -> str:
    """Return the reason why inputs cannot be optimized for this network; "" if they can."""
    return context.unavailable("feature_visualization")


def feature_visualization_view(context: ViewContext) -> None:
    """Draw the view."""
    widths = computed(Widths(context.weights), "Loading the network …")
    path, unit = context.setting(Key.FEATURE_LAYER, lambda: _chosen(context, widths))
    _drawn(context, computed(FeatureVisualization(context.weights, path, unit), "Optimizing inputs …"))


def _chosen(context: ViewContext, widths: dict[str, int]) -> tuple[str, int]:
    """Draw the choice of the node and its unit, and return both."""
    titles = {"": "Output"} | {node.path: indented(node) for node in context.nodes if node.path in widths}
    path = st.selectbox("Layer", list(titles), format_func=titles.__getitem__, key=Key.FEATURE_LAYER)
    classes = context.trained.data.schema.target.classes
    if not path and len(classes) == widths[path]:
        names = [escape(name) for name in classes]
        return path, int(
            st.selectbox("Class", range(len(classes)), format_func=names.__getitem__, key=Key.FEATURE_CLASS)
        )
    if widths[path] < 2:
        return path, 0
    label = f"Unit, 0 to {widths[path] - 1}"
    return path, int(st.number_input(label, 0, widths[path] - 1, 0, key=Key.FEATURE_UNIT.of(path)))


def _drawn(context: ViewContext, visualization: VisualizedUnit) -> None:
    st.markdown(f"**Maximizes {escape(visualization.name)}**")
    for name, values in visualization.optimized_inputs.items():
        if len(visualization.optimized_inputs) > 1:
            st.markdown(f"**{escape(name)}**")
        if isinstance(values, list):
            _columns(context, visualization, name, values)
        elif values.ndim == 4:
            _pictures(visualization, name, values)
        else:
            _series(visualization, name, values, axes_of(context.trained.data).get(name, Axes()))
    st.markdown(
        f"The optimized input reaches "
        f"**{visualization.optimized_values[0]:.4g}**; the highest of "
        f"{visualization.rows:,} training rows reaches **{visualization.train_max:.4g}** (mean "
        f"{visualization.train_mean:.3g} ± {visualization.train_std:.2g})."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        badges(visualization.verdict)
        st.caption(escape(visualization.verdict.sentence), width="content")
    st.markdown("**Training rows with the highest activation**")
    with st.container(horizontal=True):
        for row, value in zip(visualization.top_rows, visualization.top_values, strict=True):
            with st.container(border=True, width=CARD):
                show_row(context.trained.data.example(row))
                st.caption(f"Row {row} · {value:.4g} · {escape(context.trained.data.target_text(row)[:40])}")
    table = {
        "input": ["optimized"] * len(visualization.optimized_values) + [f"row {row}" for row in visualization.top_rows]
    }
    chart(
        _levels(visualization),
        key=Key.FEATURE_LEVELS,
        name="activations",
        table=table | {"value": [*visualization.optimized_values, *visualization.top_values]},
    )
    st.caption(f"Optimization: {visualization.regularization}. Each seed has its own random start.")


def _levels(visualization: VisualizedUnit) -> go.Figure:
    """Return a chart of the activations of optimized inputs and of training rows."""
    import plotly.graph_objects as go

    figure = go.Figure()
    spread = go.Scatter(
        x=[visualization.train_mean], y=["all rows"], mode="markers", marker={"color": REAL, "size": 9}, name="mean"
    )
    spread.error_x = {"type": "data", "array": [visualization.train_std], "color": REAL}
    figure.add_trace(spread)
    for label, values, color, symbol in (
        ("highest rows", visualization.top_values, REAL, "circle"),
        ("optimized", visualization.optimized_values, OPTIMIZED, "diamond"),
    ):
        marker = {"color": color, "size": 11, "symbol": symbol, "opacity": 0.8}
        figure.add_scatter(x=values, y=[label] * len(values), mode="markers", marker=marker, name=label)
    figure.update_traces(hovertemplate="%{y}: %{x:.4g}<extra></extra>")
    name = on_one_line(visualization.name)
    figure.update_layout(height=170, margin=figures.MARGIN, showlegend=False, xaxis_title=name[:1].upper() + name[1:])
    return figure


def _pictures(visualization: VisualizedUnit, name: str, values: np.ndarray) -> None:
    columns = column_row(len(values), Key.FEATURE_PLOT.of(name), OnPhone.SWIPED, "medium")
    for index, (column, picture) in enumerate(zip(columns, values, strict=True)):
        pixels = channels_last(picture)
        figure = figures.picture(pixels, f"{visualization.optimized_values[index]:.4g}")
        figure.update_layout(height=280)
        positions = np.indices(picture.shape).reshape(3, -1).tolist()
        table: dict[str, list[Any]] = dict(zip(("channel", "row", "column"), positions, strict=True))
        with column:
            key = Key.FEATURE_PLOT.of(name, index)
            chart(
                figure,
                key=key,
                name=f"feature visualization {name} {index}",
                table=table | {"brightness": picture.ravel().tolist()},
            )


def _series(visualization: VisualizedUnit, name: str, values: np.ndarray, axes: Axes) -> None:
    """Draw a chart for each channel with the series of all seeds."""
    import plotly.graph_objects as go

    for channel in range(min(values.shape[2], figures.MAX_CHANNELS)):
        figure = go.Figure()
        for index, series in enumerate(values):
            line = {"color": OPTIMIZED, "width": 2.4 - 0.6 * index, "dash": ("solid", "dash", "dot")[index % 3]}
            x = axes.along(len(series))
            figure.add_scatter(
                x=x, y=series[:, channel], name=f"{visualization.optimized_values[index]:.4g}", line=line
            )
        title = on_one_line(name) if values.shape[2] == 1 else f"{on_one_line(name)} {channel + 1}"
        figure.update_layout(height=260, margin=figures.MARGIN, xaxis_title=axes.title, yaxis_title=title)
        table = {f"seed {index + 1}": series[:, channel].tolist() for index, series in enumerate(values)}
        chart(figure, key=Key.FEATURE_PLOT.of(name, channel), name=f"feature visualization {name}", table=table)


def _columns(context: ViewContext, visualization: VisualizedUnit, name: str, rows: list[dict[str, Any]]) -> None:
    """Draw the columns that are furthest from the mean of the training rows, in standard deviations, for each seed."""
    import plotly.graph_objects as go

    field = context.trained.data.field(name)
    numbers = {
        column.name: column.state for column in field.columns if isinstance(column, NumberEncoder) and column.is_linear
    }
    apart = {key: [(float(row[key]) - column.mean) / column.std for row in rows] for key, column in numbers.items()}
    order = sorted(apart, key=lambda key: -abs(apart[key][0]))[:MAX_COLUMNS]
    # Values within a millionth of a standard deviation of 0 are shown as 0.
    digits = {key: 6 - int(np.floor(np.log10(numbers[key].std or 1))) for key in order}
    labels = [f"{key[:28]} = {round(float(rows[0][key]), digits[key]):.4g}".replace("<", "‹") for key in order]
    figure = go.Figure()
    for index in range(len(rows)):
        values = [apart[key][index] for key in order]
        trace = go.Bar(
            x=values, y=list(range(len(order))), orientation="h", name=f"{visualization.optimized_values[index]:.4g}"
        )
        figure.add_trace(trace.update(marker_color=OPTIMIZED, opacity=1 - 0.3 * index))
    figure.update_layout(height=110 + 30 * len(order), margin=figures.MARGIN, barmode="group", showlegend=False)
    figure.update_xaxes(title="Standard deviations from the training mean")
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(order))), ticktext=labels, automargin=True)
    chart(figure, key=Key.FEATURE_PLOT.of(name), name=f"feature visualization {name}", table=rows)
