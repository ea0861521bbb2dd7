"""The view "What it looks for": inputs made to raise a number of the network, beside the rows that raise it most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import plain as on_one_line
from netloom.data import DataError
from netloom.explain import ExplainError
from netloom.explain.concepts.feature_visualization import Visualised
from netloom.explain.core.axes import Axes, axes_of
from netloom.explain.plots import figures
from netloom.jobs import JobError
from netloom.jobs.explanations import FeatureVisualization
from netloom.jobs.inspection import Widths
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.ui.components.figure_export import chart
from netloom.ui.components.words import plain
from netloom.ui.explain.attribution import badges
from netloom.ui.explain.influence import CARD, show_row
from netloom.ui.explain.state import Key
from netloom.ui.shell.errors import guard, show_error
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.ui.explain.views import Look

MADE, REAL = "rgb(213, 94, 0)", "rgb(0, 114, 178)"
MOST_COLUMNS = 14


def obstacle(look: Look) -> str:
    """Why no input can be made for this network; empty where one can."""
    return look.unavailable("feature_visualization")


@st.fragment
@guard()
def visualising_view(look: Look) -> None:
    """The whole view."""
    try:
        path, unit = _chosen(look, computed(Widths(look.weights), "Loading the network …"))
        _drawn(look, computed(FeatureVisualization(look.weights, path, unit), "Optimizing inputs …"))
    except (ExplainError, DataError, JobError) as error:
        show_error(error)


def _chosen(look: Look, known: dict[str, int]) -> tuple[str, int]:
    """Which number of which node."""
    titles = {"": "Output"} | {node.path: f"{node.title} ({node.path})" for node in look.nodes if node.path in known}
    left, right = st.columns(2)
    path = left.selectbox("Layer", list(titles), format_func=titles.__getitem__, key=Key.FEATURE_LAYER)
    classes = look.trained.data.schema.target.classes
    if not path and len(classes) == known[path]:
        said = look.answer.target.index
        options, key = range(len(classes)), Key.FEATURE_CLASS.of(said)
        unit = right.selectbox("Class", options, index=said, format_func=lambda n: plain(classes[n]), key=key)
        return path, int(unit)
    if known[path] < 2:
        return path, 0
    label = f"Unit, 0 to {known[path] - 1}"
    return path, int(right.number_input(label, 0, known[path] - 1, 0, key=Key.FEATURE_UNIT.of(path)))


def _drawn(look: Look, found: Visualised) -> None:
    st.markdown(
        f"Maximized: {plain(found.name)}. The optimized input reaches **{found.reached[0]:.4g}**; the highest of "
        f"{found.rows:,} training rows reaches **{found.highest:.4g}** (mean {found.mean:.3g} ± {found.deviation:.2g})."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        badges(found.verdict)
        st.caption(plain(found.verdict.sentence), width="content")
    table = {"input": ["optimized"] * len(found.reached) + [f"row {row}" for row in found.rows_most]}
    chart(
        _levels(found),
        key=Key.FEATURE_LEVELS,
        name="activations",
        table=table | {"value": [*found.reached, *found.real]},
    )
    for name, made in found.made.items():
        if len(found.made) > 1:
            st.markdown(f"**{plain(name)}**")
        if isinstance(made, list):
            _columns(look, found, name, made)
        elif made.ndim == 4:
            _pictures(found, name, made)
        else:
            _series(found, name, made, axes_of(look.trained.data).get(name, Axes()))
    st.markdown("**Training rows with the highest activation**")
    with st.container(horizontal=True):
        for row, value in zip(found.rows_most, found.real, strict=True):
            with st.container(border=True, width=CARD):
                show_row(look.trained.data.example(row))
                st.caption(f"Row {row} · {value:.4g} · {plain(look.trained.data.target_text(row)[:40])}")
    st.caption(f"Optimization: {found.told}. Each seed has its own random start.")


def _levels(found: Visualised) -> go.Figure:
    """How far what was made lies from what is real."""
    import plotly.graph_objects as go

    figure = go.Figure()
    spread = go.Scatter(x=[found.mean], y=["all rows"], mode="markers", marker={"color": REAL, "size": 9}, name="mean")
    spread.error_x = {"type": "data", "array": [found.deviation], "color": REAL}
    figure.add_trace(spread)
    for label, values, color, symbol in (
        ("highest rows", found.real, REAL, "circle"),
        ("optimized", found.reached, MADE, "diamond"),
    ):
        marker = {"color": color, "size": 11, "symbol": symbol, "opacity": 0.8}
        figure.add_scatter(x=values, y=[label] * len(values), mode="markers", marker=marker, name=label)
    figure.update_traces(hovertemplate="%{y}: %{x:.4g}<extra></extra>")
    name = on_one_line(found.name)
    figure.update_layout(height=170, margin=figures.MARGIN, showlegend=False, xaxis_title=name[:1].upper() + name[1:])
    return figure


def _pictures(found: Visualised, name: str, made: np.ndarray) -> None:
    for place, (column, picture) in enumerate(zip(st.columns(len(made)), made, strict=True)):
        shown = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        figure = figures.picture(shown, f"{found.reached[place]:.4g}")
        figure.update_layout(height=280)
        places = np.indices(picture.shape).reshape(3, -1).tolist()
        table: dict[str, list[Any]] = dict(zip(("channel", "row", "column"), places, strict=True))
        with column:
            key = Key.FEATURE_PLOT.of(name, place)
            chart(
                figure,
                key=key,
                name=f"feature visualization {name} {place}",
                table=table | {"brightness": picture.ravel().tolist()},
            )


def _series(found: Visualised, name: str, made: np.ndarray, axes: Axes) -> None:
    """All seeds over each other, a chart for each channel."""
    import plotly.graph_objects as go

    for channel in range(min(made.shape[2], figures.MOST_CHANNELS)):
        figure = go.Figure()
        for place, series in enumerate(made):
            line = {"color": MADE, "width": 2.4 - 0.6 * place, "dash": ("solid", "dash", "dot")[place % 3]}
            x = axes.along(len(series))
            figure.add_scatter(x=x, y=series[:, channel], name=f"{found.reached[place]:.4g}", line=line)
        title = on_one_line(name) if made.shape[2] == 1 else f"{on_one_line(name)} {channel + 1}"
        figure.update_layout(height=260, margin=figures.MARGIN, xaxis_title=axes.title, yaxis_title=title)
        table = {f"seed {place + 1}": series[:, channel].tolist() for place, series in enumerate(made)}
        chart(figure, key=Key.FEATURE_PLOT.of(name, channel), name=f"feature visualization {name}", table=table)


def _columns(look: Look, found: Visualised, name: str, made: list[dict[str, Any]]) -> None:
    """The columns that were moved furthest from the mean of the training rows, in deviations, for each seed."""
    import plotly.graph_objects as go

    field = next(field for field in look.trained.data.preprocess["fields"] if field["name"] == name)
    numbers = {column.name: column.column for column in field_encoder(field).columns if column.is_linear}
    apart = {
        key: [(float(one[key]) - column["mean"]) / column["std"] for one in made] for key, column in numbers.items()
    }
    order = sorted(apart, key=lambda key: -abs(apart[key][0]))[:MOST_COLUMNS]
    # What lies within a millionth of a deviation of 0 is 0.
    digits = {key: 6 - int(np.floor(np.log10(numbers[key]["std"] or 1))) for key in order}
    told = [f"{key[:28]} = {round(float(made[0][key]), digits[key]):.4g}".replace("<", "‹") for key in order]
    figure = go.Figure()
    for place in range(len(made)):
        values = [apart[key][place] for key in order]
        trace = go.Bar(x=values, y=list(range(len(order))), orientation="h", name=f"{found.reached[place]:.4g}")
        figure.add_trace(trace.update(marker_color=MADE, opacity=1 - 0.3 * place))
    figure.update_layout(height=110 + 30 * len(order), margin=figures.MARGIN, barmode="group", showlegend=False)
    figure.update_xaxes(title="Standard deviations from the training mean")
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(order))), ticktext=told, automargin=True)
    chart(figure, key=Key.FEATURE_PLOT.of(name), name=f"feature visualization {name}", table=made)
