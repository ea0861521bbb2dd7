"""The state of a served model: a sentence, curves over time, labeled predictions, and a table of all quantities."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.errors import DataError, UsageError
from netloom.core.text import counted, escape, file_stem
from netloom.document import DocumentError
from netloom.editing.live import Live
from netloom.jobs import JobError, RunWeights
from netloom.jobs.requests.monitoring import CheckModel
from netloom.monitoring import LogInfo, MonitorReport, log_of, logged_models
from netloom.monitoring.check import WINDOW, minute
from netloom.monitoring.labeled import ColumnErrors
from netloom.store import Run, StoreError
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.charts.charts import MARGIN, TRAIN, VALIDATION
from netloom.ui.components.charts.drift_table import drift_table
from netloom.ui.components.errors import guard
from netloom.ui.components.figure_export import chart
from netloom.ui.monitor.state import Checked, Key, MonitorState
from netloom.ui.shell.jobs import Pending, ask
from netloom.ui.shell.run_links import run_link
from netloom.ui.shell.run_picker import controls, run_labels, written_at

if TYPE_CHECKING:
    import plotly.graph_objects as go

WINDOWS = (250, WINDOW, 5_000)
# How often the page looks for new requests, and how long a report is shown at least: a check takes seconds.
REFRESH_S, SHOWN_S = 5.0, 30.0
HEIGHT = 230
ERRORS = (DataError, UsageError, StoreError, OSError, CheckpointError, DocumentError, JobError, ValueError)
CHECKING = "Comparing the requests with the held-out rows …"


def watch(live: Live, runs: Sequence[Run]) -> None:
    """Draw the choice of a served model, and its state."""
    infos = served_models(live, runs)
    if not infos:
        _nothing_logged(live, runs)
        return
    by_name = {info.model: info for info in infos}
    with controls():
        model = st.selectbox("Served model", list(by_name), key=Key.MODEL)
        known = [run for run in by_name[model].runs[::-1] if run in {item.id for item in runs}]
        labels = run_labels([item for item in runs if item.id in known])
        run_id = st.selectbox("Run", known, format_func=labels.__getitem__, key=Key.RUN.of(model, known[0]))
        window = st.selectbox(
            "Predictions",
            WINDOWS,
            index=WINDOWS.index(WINDOW),
            format_func="Last {:,}".format,
            key=Key.WINDOW,
            help="The most recent predictions are compared with the held-out rows. More of them show smaller changes, "
            "fewer show a change sooner.",
        )
    st.fragment(_state, run_every=REFRESH_S)(live, model, run_id, window)


def served_models(live: Live, runs: Sequence[Run]) -> list[LogInfo]:
    """Return the logs with requests to runs of this project, the last one that was written to first."""
    ids = {run.id for run in runs}
    infos = [info for info in logged_models(live.store.home) if ids & set(info.runs)]
    return sorted(infos, key=lambda info: -info.stamp[1])


def _nothing_logged(live: Live, runs: Sequence[Run]) -> None:
    st.info(
        "No requests to the runs of this project have been logged. The log is off by default, because requests can be "
        "private.",
        icon=":material/monitor_heart:",
    )
    run_link("deploy", live.id, runs[0].id, "monitor")
    st.markdown("Turn on **Log requests** there before you start the server, or serve a run with this command:")
    name, home = file_stem(live.project.name), shlex.quote(str(live.store.home))
    command = f"netloom --home {home} serve {runs[0].id[:8]} --name {name} --log-requests 1"
    st.code(command, language=None, wrap_lines=True)
    st.caption(
        "The log stays on this machine. `--log-requests 0.1` logs a tenth of the requests, `--redact FIELD` leaves a "
        "field out, and `--log-days` deletes old lines. Clients report true labels with `POST /feedback`."
    )


@guard()
def _state(live: Live, model: str, run_id: str, window: int) -> None:
    """Draw the last report, and a new one once it is computed. A fragment, so that nothing else is drawn again."""
    state, check_key = MonitorState.current(), (model, run_id, window)
    info = log_of(live.store.home, model)
    if info is None:
        return
    shown = state.checked.get(check_key)
    if check_key not in state.requests and (shown is None or _is_old(shown, info)):
        weights = RunWeights(run_id, "", written_at(live, run_id))
        state.requests[check_key] = CheckModel(weights, model, window, "-".join(map(str, info.stamp)))
    place_of_report = st.container(key=Key.REPORT)
    if shown is not None:
        with place_of_report:
            _report(shown.report)
    request = state.requests.get(check_key)
    if request is None:
        return
    pending = ask(request, CHECKING)
    try:
        report = pending.result() if shown is None else _result_unseen(pending)
    except ERRORS:
        del state.requests[check_key]
        raise
    del state.requests[check_key]
    state.checked[check_key] = Checked(request, report, monotonic())
    if shown is None:  # otherwise, the next look draws it in the place of the last report
        with place_of_report:
            _report(report)


def _is_old(shown: Checked, info: LogInfo) -> bool:
    has_changed = shown.request.stamp != "-".join(map(str, info.stamp))
    return has_changed and monotonic() - shown.at > SHOWN_S


def _result_unseen(pending: Pending[MonitorReport]) -> MonitorReport:
    """Return the result of a check without a progress bar, which would flicker below the last report."""
    for _ in pending.previews():
        pass
    return pending.job.result()


def _report(report: MonitorReport) -> None:
    icon = ":material/warning:" if report.is_alert else ":material/check_circle:"
    if report.drift is None and not report.is_alert:
        icon = ":material/hourglass_empty:"
    st.markdown(f"### {icon} {escape(report.sentence)}")
    for alert in report.alerts[1:]:
        st.markdown(f":material/warning: **{escape(alert)}**")
    if report.note and report.is_alert:
        st.caption(escape(report.note))
    if not report.rows:
        return
    st.caption(_about(report))
    _curves(report)
    _labeled(report)
    if report.drift is not None:
        st.markdown("**Drift by quantity**")
        drift_table(report.drift)


def _about(report: MonitorReport) -> str:
    parts = [f"{report.rows:,} predictions from {minute(report.since)} to {minute(report.until)}."]
    if report.other_rows:
        parts.append(f"Left out {counted(report.other_rows, 'prediction')} of other runs or versions in this time.")
    if report.hidden:
        parts.append(f"The log does not have {', '.join(map(escape, report.hidden))}.")
    parts.append("Without drift, a check gives a drift alarm in at most 5% of cases.")
    return " ".join(parts)


def _curves(report: MonitorReport) -> None:
    times: Sequence[Any] = [point.at[:23] for point in report.curve]
    left, right = st.columns(2)
    with right:
        median, slow = [point.median_ms for point in report.curve], [point.slow_ms for point in report.curve]
        st.markdown("**Latency** in ms: median, and 95th percentile (dashed)")
        figure = _figure(times, median, slow)
        table: dict[str, Sequence[Any]] = {"time": times, "median": median, "95th percentile": slow}
        chart(figure, key=Key.LATENCY, name="latency", table=table)
    confidence = [point.confidence for point in report.curve]
    with left:
        if any(value is not None for value in confidence):
            st.markdown("**Confidence**: mean over each interval")
            chart(
                _figure(times, confidence),
                key=Key.CONFIDENCE,
                name="confidence",
                table={"time": times, "confidence": confidence},
            )
        else:
            st.caption("The predictions of this run have no confidence.")


def _labeled(report: MonitorReport) -> None:
    labeled = report.labeled
    if labeled is None:
        st.caption(
            "No labels yet. Clients report them with `POST /feedback` and the `X-Request-Id` header of a response."
            if report.takes_labels
            else "The predictions of this run cannot be compared with labels, so its server refuses them."
        )
        return
    st.markdown(f"**{labeled.title}** on {counted(labeled.rows, 'labeled prediction')}: {escape(labeled.value)}")
    if labeled.test_value:
        difference = f" {escape(labeled.difference)}." if labeled.difference else ""
        st.caption(f"{labeled.test_rows:,} test rows: {escape(labeled.test_value)}.{difference}")
    if labeled.columns:
        st.markdown("**Errors by column** in the units of the data")
        st.dataframe(list(map(_column, labeled.columns)), hide_index=True, width="stretch")
    errors = [point.error for point in report.curve]
    if any(value is not None for value in errors):
        times = [point.at[:23] for point in report.curve]
        st.markdown("**Mean error** of labeled predictions; the line is that of the test rows")
        figure = _figure(times, errors)
        if labeled.test_error is not None:
            figure.add_hline(labeled.test_error, line={"color": VALIDATION, "width": 1.5})
        chart(figure, key=Key.ERROR, name="errors", table={"time": times, "error": errors})


def _column(errors: ColumnErrors) -> dict[str, Any]:
    return {
        "Column": errors.name,
        "Mean absolute error": errors.mae,
        "Mean absolute error, test rows": errors.test_mae,
        "RMSE": errors.rmse,
        "RMSE, test rows": errors.test_rmse,
    }


def _figure(times: Sequence[str], values: Sequence[float | None], upper: Sequence[float] | None = None) -> go.Figure:
    """Return a curve over time, with a dashed one above it if there is one."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(x=times, y=list(values), mode="lines+markers", line={"color": TRAIN}, connectgaps=True)
    if upper is not None:
        figure.add_scatter(x=times, y=list(upper), mode="lines", line={"color": VALIDATION, "dash": "dash"})
    figure.update_layout(height=HEIGHT, margin={**MARGIN, "t": 6}, showlegend=False)
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(title="Time (UTC)")
    return figure
