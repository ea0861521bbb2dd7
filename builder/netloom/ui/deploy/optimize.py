"""Variants of a run that are smaller or faster, with measurements beside the original."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.compression import Measured, Report, registry
from netloom.compression.method import unavailable_reason
from netloom.compression.methods.early_exit import TOLERANCE
from netloom.compression.report import AXES
from netloom.core.text import escape, file_stem, size
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.requests.deployment import Optimize, Optimized
from netloom.layers import label
from netloom.tasks import metric, task
from netloom.ui.components.charts.charts import COLORS, MARGIN
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.figure_export import chart
from netloom.ui.components.words import unique_labels
from netloom.ui.deploy.sensitivity import layers
from netloom.ui.deploy.smaller_runs import finished_runs, smaller
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.jobs import computed
from netloom.validation import digraph, execution_order

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT, LEGEND_LINE = 320, 10  # in pixels
AXIS_WIDTH = 320  # in pixels


def optimize(live: Live, weights: RunWeights) -> None:
    """Draw the button that measures variants, and the last measurements."""
    st.markdown(
        "**Compressed variants** of this run, measured on this machine beside the original.",
        help="Quantization, low-rank factorization, pruning, early exit, and smaller runs made from this one. All "
        "of them predict the same rows.",
    )
    objective = live.store.artifacts(weights.run_id).project().training.objective
    if reason := unavailable_reason(task(objective)):
        st.info(reason, icon=":material/block:")
        return
    _variants(live, weights)
    smaller(live, weights)
    layers(live, weights)


def _variants(live: Live, weights: RunWeights) -> None:
    state, runs = DeployState.current(), finished_runs(live, weights)
    request = Optimize(weights, runs, *_early_exit(live, weights))
    measured = state.optimized.get(weights)
    if measured is not None:  # without runs that were deleted since
        measured = replace(measured, runs=tuple(run for run in measured.runs if run in runs))
    if measured is None or replace(measured, requested_at=0.0) != request:
        start = st.empty()
        with start.container():
            title = "Measure variants" if measured is None else "Measure again"
            is_clicked = st.button(title, type="primary", icon=":material/speed:", key=Key.OPTIMIZE)
            st.caption(f"{_news(measured, request)}Takes about a minute. The run does not change.")
        if is_clicked:
            start.empty()
            state.optimized[weights] = measured = replace(request, requested_at=time.time())
    if measured is not None:
        optimized = computed(measured, "Compressing and measuring …")
        _report(optimized.report)
        _downloads(live, weights, optimized)


def _news(measured: Optimize | None, request: Optimize) -> str:
    """Return how the table differs from a new one; "" if there is no table yet."""
    if measured is None:
        return ""
    if measured.runs != request.runs:
        return "A smaller run has finished that is not in the table yet. "
    return "The table has other settings of the early exit. "


def _early_exit(live: Live, weights: RunWeights) -> tuple[str, float]:
    """Draw the settings of an early exit for a run that can have one. Returns the layer, "" for a proposed one, and the
    accuracy that it may cost, as a share."""
    project = live.store.artifacts(weights.run_id).project()
    if not task(project.training.objective).exits_early:
        return "", TOLERANCE
    network = project.main_network
    graph = digraph(network)
    inner = [node for node in execution_order(graph) if graph.in_degree(node) and graph.out_degree(node)]
    left, right = column_row(2, Key.EXIT_AT.of("row"), OnPhone.PAIRS)
    labels = unique_labels({"": "Proposed layer", **{key: label(network.nodes[key]) for key in inner}})
    layer = left.selectbox(
        "Early exit after",
        list(labels),
        format_func=labels.__getitem__,
        key=Key.EXIT_AT.of(weights.run_id),
        help="Rows leave after this layer if a classifier there is confident. By default, the layer that saves "
        "the most operations on validation rows",
    )
    points = right.number_input(
        "Tolerance in points",
        0.0,
        50.0,
        100 * TOLERANCE,
        0.1,
        key=Key.EXIT_TOLERANCE,
        help="Maximum loss of accuracy on validation rows, in percentage points. The confidence threshold is chosen to "
        "stay within it.",
    )
    return layer, round(points / 100, 6)


def _report(report: Report) -> None:
    st.markdown(f"**{escape(report.sentence)}**")
    table = [_row(report, item) for item in report.measured]
    st.dataframe(table, hide_index=True, width="stretch")
    threads = f"{report.threads} thread{'s' * (report.threads > 1)}"
    st.caption(
        f"{escape(report.metric_title)} on {report.rows:,} test rows, latency with {threads}.",
        help=f"The measurements alternate between the variants. A batch has {report.batch} rows. "
        f"{report.agreement_note} {report.costs}",
    )
    _unavailable(report)
    _class_losses(report)
    axes = {name: title for name, title in AXES.items() if any(getattr(item, name) for item in report.measured)}
    axis = st.selectbox("Compare by", list(axes), format_func=axes.__getitem__, key=Key.AXIS, width=AXIS_WIDTH)
    chart(_pareto(report, axis), key=Key.PARETO, name="variants", table=table)
    st.caption(
        "Larger points are larger files; filled points are on the Pareto front.",
        help="No other variant is at least as good by size, median latency and quality of the predictions, and better "
        "by one of them.",
    )


def _unavailable(report: Report) -> None:
    """Draw which methods do not suit the run; the reasons are behind the icon."""
    if not report.failures:
        return
    titles = {name: registry()[name].title for name, _ in report.failures}
    st.caption(
        f":material/block: Not available for this run: {escape(', '.join(titles.values()))}.",
        help="\n".join(f"- **{escape(titles[name])}**: {escape(reason)}" for name, reason in report.failures),
    )


def _class_losses(report: Report) -> None:
    """Draw the recall that each class loses by each variant."""
    if not report.class_losses:
        return
    titles = unique_labels({str(position): item.title for position, item in enumerate(report.measured)})
    names = list(titles.values())[1:]
    st.markdown(
        "**Recall lost by class**, in percentage points",
        help="A variant can lose little accuracy overall, and much of it in a single class.",
    )
    st.dataframe(
        [
            {"Class": name, **{title: 100 * loss for title, loss in zip(names, losses[1:], strict=True)}}
            for name, losses in report.class_losses
        ],
        column_config={title: st.column_config.NumberColumn(format="%.1f") for title in names},
        hide_index=True,
        width="stretch",
    )


def _row(report: Report, item: Measured) -> dict[str, Any]:
    row = {
        "Variant": item.title,
        "Verdict": report.verdict_of(item),
        report.metric_title: metric(report.metric).written(item.score),
        **{metric(name).title: metric(name).written(score) for name, score in item.output_scores},
        "Agreement": "" if item.agreement is None else f"{item.agreement:.1%}",
        "Size": size(item.size),
        "Row, median": f"{item.p50_ms:.3g} ms",
        "Row, 95th percentile": f"{item.p95_ms:.3g} ms",
        "Batch, median": f"{item.batch_p50_ms:.3g} ms",
        "Batch, 95th percentile": f"{item.batch_p95_ms:.3g} ms",
        "Energy of 1,000 rows": f"{item.energy_j:.3g} J",
    }
    if item.memory is not None:
        row["Memory"] = size(item.memory)
    if any(measured.left_early is not None for measured in report.measured):
        row["Exited early"] = "" if item.left_early is None else f"{item.left_early:.1%}"
    row["What it changes"] = item.note
    return row


def _pareto(report: Report, axis: str) -> go.Figure:
    """Return the metric against an axis of `AXES`. The size of a point grows with the size of the file, and filled
    points are on the Pareto front."""
    import plotly.graph_objects as go

    figure, best = go.Figure(), set(report.pareto)
    largest = max(item.size for item in report.measured)
    scores = [item.score for item in report.measured]
    # Plotly would draw equal scores from 1 below to 1 above them, outside of what an accuracy can be.
    margin = max(0.2 * (max(scores) - min(scores)), 0.02 * max(map(abs, scores)), 1e-6)
    for number, item in enumerate(report.measured):
        figure.add_scatter(
            x=[getattr(item, axis)],
            y=[item.score],
            customdata=[size(item.size)],
            mode="markers",
            name=item.title,
            marker={
                "color": COLORS[number % len(COLORS)],
                "size": 10 + 24 * (item.size / largest) ** 0.5,
                "symbol": "circle" if item in best else "circle-open",
            },
            hovertemplate=f"{item.title}: %{{x:.3g}}, %{{y:.4g}}, %{{customdata}}<extra></extra>",
        )
    figure.update_layout(
        height=HEIGHT + LEGEND_LINE * len(report.measured),
        margin=MARGIN,
        # Below the plot: on a phone, each variant has a line of its own
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        xaxis={"title": AXES[axis], "rangemode": "tozero"},
        yaxis={
            "title": report.metric_title,
            "range": [min(scores) - margin, max(scores) + margin],
            "tickformat": ".1%" if metric(report.metric).is_percentage else "",
        },
    )
    return figure


def _downloads(live: Live, weights: RunWeights, optimized: Optimized) -> None:
    artifacts = live.store.artifacts(weights.run_id)
    titles = {item.method: item.title for item in optimized.report.measured}
    st.markdown(
        "**ONNX files**", help="Serve one with `netloom serve RUN --model FILE`, or choose it on Try it as Network."
    )
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
