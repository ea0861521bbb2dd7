"""The comparison of selected runs: differences, curves, the changes of a document, and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom import runs
from netloom.core.text import escape
from netloom.data import datasets
from netloom.jobs.requests.hyperparameters import RunImportance
from netloom.runs.history.comparison import (
    AXES,
    as_csv,
    curve,
    differing_paths,
    document,
    measure_of,
    metrics,
    settings,
    smoothed,
    table,
)
from netloom.runs.history.comparison import difference as between
from netloom.runs.history.comparison import shown as as_text
from netloom.runs.history.fanova import MIN_RESULTS
from netloom.runs.history.run_table import run_table
from netloom.runs.history.setting_titles import setting_title, setting_value
from netloom.store import Points, Run, Store
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.ui.components.charts.charts import COLORS, MARGIN, described, thin
from netloom.ui.components.metric_texts import heading, measured, metric_table
from netloom.ui.components.words import at, unique_labels
from netloom.ui.runs.state import Key, RunsState
from netloom.ui.shell import session
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

# From low to high; visible on white and on black.
SCALE = [[0, "#6366f1"], [0.5, "#10b981"], [1, "#f59e0b"]]
LETTERS = "text-shadow: none !important"
AXIS = "stroke: #888 !important; stroke-opacity: 0.6 !important"
AXIS_WIDTH_PX = 105  # with this distance, titles and numbers of two axes do not touch
COLORBAR_PX = 200
AT_MOST = 20
# Up to this number of epochs, each has a tick.
FEW_EPOCHS = 10
AXIS_TITLES = {"step": "Step", "epoch": "Epoch", "time": "Seconds"}
FLAT = {"displayModeBar": False}
IMPORTANCE_TEXT = "Estimating the importance of hyperparameters …"


def comparison(store: Store, runs: Sequence[Run]) -> None:
    """Draw the comparison of several runs; of a single one, only its curves."""
    if len(runs) > AT_MOST:
        st.caption(f"Showing the first {AT_MOST} of {len(runs)} selected runs.")
    compared = list(runs[:AT_MOST])
    titles = _titles(compared)
    base = None
    if len(compared) > 1:
        base = _baseline(compared, titles)
        _differences(store, compared, base, titles)
    _curves(store, compared, titles, base)
    if len(compared) > 1 and base is not None:
        _documents(store, compared, base, titles)
        _parallel(store, compared)
        _importance(store, runs)


def _baseline(runs: Sequence[Run], titles: dict[str, str]) -> str:
    """Draw the choice of the baseline run and return it; it stays while other runs are added or removed."""
    ids = [run.id for run in runs]
    state = RunsState.current()
    index = ids.index(state.baseline) if state.baseline in ids else 0
    # A new widget for other titles, because a selectbox keeps showing the previous label.
    key = Key.BASELINE.of(hash(tuple(titles.items())))
    state.baseline = base = st.selectbox("Baseline", ids, index, titles.__getitem__, key=key)
    return base


def _titles(runs: Sequence[Run]) -> dict[str, str]:
    """Return a unique name for each run; equal titles are followed by the start time."""
    names = [run.title[:50] for run in runs]
    return unique_labels(
        {
            run.id: name if names.count(name) == 1 else f"{name} · {at(run.created_at)}"
            for run, name in zip(runs, names, strict=True)
        }
    )


def _differences(store: Store, runs: list[Run], base: str, titles: dict[str, str]) -> None:
    rows = table(store, runs, base)
    same = {"run", "title"} | ({"state"} if len({row["state"] for row in rows}) == 1 else set())
    # Columns without values are omitted, such as differences from a baseline without measurements.
    varying = [key for key in rows[0] if key not in same and any(row[key] is not None for row in rows)]
    name = _values(store)
    columns = unique_labels({key: called(key) for key in varying})
    cells = [{"Run": titles[str(row["run"])], **{columns[key]: name(key, row[key]) for key in varying}} for row in rows]
    st.markdown("## Differences")
    measures = {key: measure_of(key) for key in varying if measure_of(key)}
    numbers = [key for key in varying if key not in measures and any(isinstance(row[key], float) for row in rows)]
    st.dataframe(
        metric_table(
            cells,
            {columns[key]: measure for key, measure in measures.items() if not key.startswith("Δ")},
            {columns[key]: measure for key, measure in measures.items() if key.startswith("Δ")},
        ),
        hide_index=True,
        placeholder="–",
        column_config={
            "Run": st.column_config.TextColumn(width="medium"),
            **{columns[key]: st.column_config.NumberColumn(format="%.4g") for key in numbers},
        },
    )
    st.download_button("CSV", as_csv(rows), "runs.csv", "text/csv", icon=":material/download:")


def _values(store: Store) -> Callable[[str, Any], Any]:
    """Return a function that formats a setting: datasets and choices by title, others unchanged."""
    names = {info.name: info.title for info in datasets(store.home)}

    def name(path: str, value: Any) -> Any:
        if path == "data.dataset":
            return names.get(value, value)
        return setting_value(path, value) if isinstance(value, str) else value

    return name


def called(key: str) -> str:
    """Return the title of a column: that of a setting, or the name and split of a metric."""
    name = key.removeprefix("Δ ")
    measure = measure_of(name)
    if not measure:
        return setting_title(key)
    return f"{'Δ ' * (name != key)}{measured(measure, 0)[0]} ({name.partition(' ')[0]})"


def _measure(runs: Sequence[Run], name: str) -> str:
    """Return the title of a metric, from the runs if they have one; the loss differs between objectives."""
    titles = [run.summary.titles.get(name) for run in runs] if name != "loss" else []
    return next((title for title in titles if title), heading(name))


def _curves(store: Store, runs: list[Run], titles: dict[str, str], base: str | None) -> None:
    points_by_run = {run.id: _points(store, run) for run in runs}
    keys = dict.fromkeys(
        key for points in points_by_run.values() for key in zip(points.split, points.name, strict=True)
    )
    names = list(dict.fromkeys(name for _, name in keys if name not in TRAINING_LOSSES))
    if not names:
        st.caption("No curves yet.")
        return
    metric_column, two, three, four, five = st.columns([1.2, 1.4, 1.5, 1.3, 0.8], vertical_alignment="bottom")
    titled = unique_labels({name: _measure(runs, name) for name in names})
    first = names.index("loss") if "loss" in names else 0
    name = metric_column.selectbox("Metric", names, first, titled.__getitem__, key=Key.CURVE_OF)
    splits = [split for split in ("validation", "train") if (split, name) in keys]
    split_key = Key.CURVE_ROWS.of("/".join(splits))
    split = (
        two.segmented_control("Split", splits, default=splits[0], format_func=str.capitalize, key=split_key)
        or splits[0]
    )
    axis = (
        three.segmented_control("x-axis", list(AXES), default="epoch", format_func=str.capitalize, key=Key.CURVE_AXIS)
        or "epoch"
    )
    share = four.slider("Smoothing", 0.0, 0.98, 0.0, 0.02, key=Key.CURVE_SMOOTHING)
    log = five.toggle("Log scale", key=Key.CURVE_LOG)
    figure = _overlay(
        [(titles[run.id], points_by_run[run.id], run.id == base) for run in runs], split, name, axis, share
    )
    figure.update_layout(yaxis={"title": f"{titled[name]} ({split})", "type": "log" if log else "linear"})
    st.plotly_chart(figure, width="stretch", config=FLAT, key=Key.OVERLAY, alt=described(figure, "curves of the runs"))
    losses = {run.summary.titles["loss"] for run in runs if "loss" in run.summary.titles}
    if name == "loss" and len(losses) > 1:
        st.caption(f"The runs have different losses, which cannot be compared: {escape(', '.join(sorted(losses)))}.")


def _overlay(rows: list[tuple[str, Points, bool]], split: str, name: str, axis: str, share: float) -> go.Figure:
    """Return a chart of the curves of several runs; that of the baseline is dashed and thicker."""
    import plotly.graph_objects as go

    figure, last = go.Figure(), 0.0
    for number, (title, points, is_base) in enumerate(rows):
        positions, values = curve(points, split, name, axis)
        last = max(last, *positions, 0.0)
        color = COLORS[number % len(COLORS)]
        if share:
            faint = {"color": color, "width": 1}
            across, along = thin(positions, values)
            figure.add_scatter(
                x=across, y=along, mode="lines", line=faint, opacity=0.25, showlegend=False, hoverinfo="skip"
            )
        across, along = thin(positions, smoothed(values, share))
        line: dict[str, Any] = {"color": color, "width": 3 if is_base else 2, "dash": "dash" if is_base else "solid"}
        mode = "lines" if len(across) > 30 else "lines+markers"
        figure.add_scatter(x=across, y=along, name=title, mode=mode, line=line, marker={"size": 5})
    figure.update_layout(
        height=380,
        margin=MARGIN,
        xaxis={"title": AXIS_TITLES[axis], **({"dtick": 1} if axis == "epoch" and last <= FEW_EPOCHS else {})},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.2, "yanchor": "top"},
        uirevision=f"{name} {axis}",
    )
    return figure


def _points(store: Store, run: Run) -> Points:
    if run.state in runs.ACTIVE:
        return store.points(run.id)
    return _ended_points(run.id, run.ended_at)


@st.cache_resource(show_spinner=False, max_entries=64)
def _ended_points(run_id: str, ended_at: datetime | None) -> Points:
    """Return the points of a run that has ended; `ended_at` is part of the cache key, as the run can be extended."""
    return session.store().points(run_id)


def _documents(store: Store, runs: list[Run], base: str, titles: dict[str, str]) -> None:
    """Draw the changes of the document from the baseline to another run."""
    st.markdown("## Changes from the baseline")
    other_ids = [run.id for run in runs if run.id != base]
    key = Key.OTHER.of(base, hash(tuple(titles.items())))
    other_id = st.selectbox(
        "Compared run", other_ids, format_func=titles.__getitem__, key=key, label_visibility="collapsed"
    )
    old, new = document(store, base), document(store, other_id)
    if old is None or new is None:
        st.caption("The folder of one of these runs no longer exists.")
        return
    difference = between(old, new)
    parts = {
        "Added": [*difference.added, *difference.edges_added],
        "Removed": [*difference.removed, *difference.edges_removed],
    }
    if not difference.lines():
        st.caption("The two documents are the same.")
        return
    columns = st.columns(2)
    for column, (title, items) in zip(columns, parts.items(), strict=True):
        if items:
            column.markdown(f"**{title}**\n" + "\n".join(f"- {escape(item)}" for item in items))
    changes = [*difference.parameters, *difference.training, *difference.data]
    if changes:
        name = _values(store)
        rows = [
            {
                "Setting": setting_title(item.path),
                "Baseline": as_text(name(item.path, item.old)),
                "Compared run": as_text(name(item.path, item.new)),
            }
            for item in changes
        ]
        st.dataframe(rows, hide_index=True)


def _parallel(store: Store, runs: list[Run]) -> None:
    """Draw parallel coordinates with a line per run, and an axis per differing setting and per metric."""
    columns = [settings(run_document) if (run_document := document(store, run.id)) else {} for run in runs]
    measures = [metrics(run) for run in runs]
    axes: dict[str, list[Any]] = {}
    name = _values(store)
    paths = differing_paths(columns)[:8]
    titled = unique_labels({path: setting_title(path) for path in paths})
    for path in paths:
        values = [name(path, column.get(path)) for column in columns]
        # A missing setting becomes a category, because a run without a value on some axis has no line.
        axes[titled[path]] = [as_text(value) for value in values] if None in values else values
    names = list(dict.fromkeys(name for run_metrics in measures for name in run_metrics))
    axes |= {called(name): [run_metrics.get(name) for run_metrics in measures] for name in names[:4]}
    # Runs without a value on some axis have no line.
    complete = [index for index in range(len(runs)) if all(values[index] is not None for values in axes.values())]
    axes = varied({name: [values[index] for index in complete] for name, values in axes.items()})
    if len(axes) > 1:
        st.markdown("## Parallel coordinates")
        parallel(axes, next((name for name in map(called, names) if name in axes), None), Key.PARALLEL)


def _importance(store: Store, runs: Sequence[Run]) -> None:
    """Draw how much of the variation of a metric each hyperparameter explains, from all selected runs."""
    table = run_table(store, runs)
    if len(runs) < MIN_RESULTS or len(table.settings) < 2 or not table.metrics:
        return
    st.markdown("## Importance of hyperparameters")
    titles = unique_labels({name: called(name) for name in table.metrics})
    metric = st.selectbox("Metric", list(titles), format_func=titles.__getitem__, key=Key.IMPORTANCE_OF)
    columns = {path: list(table.values[path]) for path in table.settings}
    shares = computed(RunImportance(columns, list(table.values[metric])), IMPORTANCE_TEXT)
    if not shares:
        st.caption(f"At least {MIN_RESULTS} runs with different values of this metric are needed.")
        return
    show_importance(shares, Key.RUN_IMPORTANCE)
    st.caption("fANOVA: the share of the variation of the metric that each hyperparameter explains in these runs.")


def show_importance(shares: dict[str, float], key: str) -> None:
    """Draw the importance of hyperparameters."""
    figure = importance_chart(shares)
    st.plotly_chart(figure, width="stretch", config=FLAT, key=key, alt=described(figure, "importance"))


def varied(axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the axes whose values differ."""
    return {name: values for name, values in axes.items() if any(value != values[0] for value in values)}


def parallel(axes: dict[str, list[Any]], color_by: str | None, key: str) -> None:
    """Draw parallel coordinates; CSS changes the axes, which are always black in Plotly. On a narrow screen, the chart
    scrolls sideways, because the labels of axes that are too close cover each other."""
    scroll = Key.SCROLL.within(key)
    narrowest = f"min-width: {len(axes) * AXIS_WIDTH_PX + COLORBAR_PX}px"
    st.html(
        f"<style>.parcoords .axis {{ .domain, .tick line {{ {AXIS} }} text {{ {LETTERS} }} }}"
        f".st-key-{scroll.replace(' ', '-')} {{ overflow-x: auto; > * {{ {narrowest} }} }}</style>"
    )
    with st.container(key=scroll):
        alt = f"Parallel coordinates of the runs: {', '.join(axes)}"
        st.plotly_chart(parallel_chart(axes, color_by), width="stretch", config=FLAT, key=key, alt=alt)


def _digits(values: Sequence[float]) -> str:
    """Return the format of the numbers of an axis, with enough digits that the labels of ticks differ."""
    high, span = max(map(abs, values), default=0.0), max(values, default=0.0) - min(values, default=0.0)
    return f".{3 + max(0, math.floor(math.log10(high / span)))}~g" if span > 0 else ".3~g"


def parallel_chart(axes: dict[str, list[Any]], color_by: str | None) -> go.Figure:
    """Return a chart of parallel coordinates. Categories are evenly spaced; runs without all values are omitted."""
    import plotly.graph_objects as go

    count = len(next(iter(axes.values())))
    complete = [index for index in range(count) if all(values[index] is not None for values in axes.values())]
    dimensions = []
    for name, values in axes.items():
        chosen = [values[index] for index in complete]
        label = name.rpartition(".")[2] if len(name) > 22 else name
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in chosen):
            dimensions.append({"label": label, "values": chosen, "tickformat": _digits(chosen)})
        else:
            texts = [as_text(value) for value in chosen]
            categories = list(dict.fromkeys(texts))
            positions = [categories.index(text) for text in texts]
            short = [text[:18] for text in categories]
            dimensions.append(
                {"label": label[-24:], "values": positions, "tickvals": list(range(len(categories))), "ticktext": short}
            )
    line: dict[str, Any] = {"color": COLORS[0]}
    if color_by is not None and complete:
        values = [axes[color_by][index] for index in complete]
        line = {
            "color": values,
            "colorscale": SCALE,
            "showscale": True,
            "colorbar": {"title": color_by, "thickness": 12},
        }
    figure = go.Figure(go.Parcoords(line=line, dimensions=dimensions, labelangle=-12))
    figure.update_layout(height=380, margin={"l": 60, "r": 40, "t": 80, "b": 20})
    return figure


def importance_chart(shares: dict[str, float]) -> go.Figure:
    """Return a bar chart of the importance of the parameters."""
    import plotly.graph_objects as go

    paths = list(shares)[:12][::-1]
    labels = list(unique_labels({path: setting_title(path) for path in paths}).values())
    figure = go.Figure(go.Bar(x=[shares[path] for path in paths], y=labels, orientation="h", marker_color=COLORS[0]))
    title = {"text": "What the results depend on", "x": 0, "font": {"size": 15}}
    figure.update_layout(
        title=title, height=90 + 30 * len(paths), margin=MARGIN, xaxis={"tickformat": ".0%", "range": [0, 1]}
    )
    return figure
