"""Variants of a run that are smaller or faster, with measurements beside the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.compression import Measured, Report
from netloom.compression.report import TITLES
from netloom.core.text import escape, file_stem, size
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.deployment import Optimize, Optimized
from netloom.tasks import metric
from netloom.ui.components.charts import MARGIN
from netloom.ui.components.figure_export import chart
from netloom.ui.deploy.sensitivity import layers
from netloom.ui.deploy.smaller_runs import finished_runs, smaller
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 340


def optimize(live: Live, weights: RunWeights) -> None:
    """Draw the button that measures variants, and the last measurements."""
    st.markdown(
        "**Smaller and faster variants** of this run: quantization, low-rank factorization, pruning, and smaller runs "
        "that were made from it. Each is measured on this machine beside the original, on the same test rows."
    )
    _variants(live, weights)
    smaller(live, weights)
    layers(live, weights)


def _variants(live: Live, weights: RunWeights) -> None:
    state, runs = DeployState.current(), finished_runs(live, weights)
    measured = state.optimized.get(weights)
    if measured is not None:
        measured = tuple(run for run in measured if run in runs)  # without those that were deleted since
    if measured != runs:
        start = st.empty()
        with start.container():
            title = "Measure variants" if measured is None else "Measure again"
            asked = st.button(title, type="primary", icon=":material/speed:", key=Key.OPTIMIZE)
            news = "" if measured is None else "A smaller run has finished that is not in the table yet. "
            st.caption(f"{news}It takes about a minute, and changes nothing.")
        if asked:
            start.empty()
            state.optimized[weights] = measured = runs
    if measured is not None:
        optimized = computed(Optimize(weights, measured), "Compressing and measuring …")
        _report(optimized.report)
        _downloads(live, weights, optimized)


def _report(report: Report) -> None:
    st.markdown(f"**{escape(report.sentence)}**")
    st.dataframe([_row(report, item) for item in report.measured], hide_index=True, width="stretch")
    threads = f"{report.threads} thread{'s' * (report.threads > 1)}"
    st.caption(
        f"Times of single rows with {threads}, measured in turns; {report.metric_title} on {report.rows:,} test rows. "
        "Agreement is the share of rows with the prediction of the original. In the chart, a larger point is a larger "
        "file, and no other variant beats a filled one in size, time and metric at once."
    )
    table = [_row(report, item) for item in report.measured]
    chart(_pareto(report), key=Key.PARETO, name="variants", table=table)
    for item in report.measured[1:]:
        losses = ", ".join(f"{escape(name)} −{loss:.1%}" for name, loss in item.lost_classes)
        st.caption(f"{escape(item.title)}: {escape(item.note)}" + (f" Recall lost: {losses}." if losses else ""))
    for name, reason in report.failures:
        st.caption(f":material/block: {escape(name)}: {escape(reason)}")


def _row(report: Report, item: Measured) -> dict[str, Any]:
    return {
        "Variant": item.title,
        "Verdict": TITLES[item.verdict],
        "Size": size(item.size),
        "Median time": f"{item.p50_ms:.3g} ms",
        "95th percentile": f"{item.p95_ms:.3g} ms",
        report.metric_title: metric(report.metric).written(item.score),
        "Agreement": "" if item.agreement is None else f"{item.agreement:.1%}",
    }


def _pareto(report: Report) -> go.Figure:
    """Return the metric against the time. The size of a point grows with the size of the file, and filled points are on
    the Pareto front."""
    import plotly.graph_objects as go

    figure, best = go.Figure(), set(report.pareto)
    largest = max(item.size for item in report.measured)
    for item in report.measured:
        figure.add_scatter(
            x=[item.p50_ms],
            y=[item.score],
            customdata=[size(item.size)],
            mode="markers",
            name=item.title,
            marker={
                "size": 10 + 24 * (item.size / largest) ** 0.5,
                "symbol": "circle" if item in best else "circle-open",
            },
            hovertemplate=f"{item.title}: %{{x:.3g}} ms, %{{y:.4g}}, %{{customdata}}<extra></extra>",
        )
    figure.update_layout(
        height=HEIGHT,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={"title": "Median time of a row in ms", "rangemode": "tozero"},
        yaxis={"title": report.metric_title},
    )
    return figure


def _downloads(live: Live, weights: RunWeights, optimized: Optimized) -> None:
    artifacts = live.store.artifacts(weights.run_id)
    titles = {item.method: item.title for item in optimized.report.measured}
    with st.container(horizontal=True):
        for method, stored in optimized.files.items():
            path = artifacts.export_file(stored)
            if path.is_file():
                st.download_button(
                    titles[method],
                    path.read_bytes(),
                    f"{file_stem(live.project.name)}-{method}.onnx",
                    "application/octet-stream",
                    icon=":material/download:",
                    key=Key.DOWNLOAD.of(method),
                    on_click="ignore",
                )
