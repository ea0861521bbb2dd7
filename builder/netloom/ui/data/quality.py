"""The quality report on the Data page: findings with examples and fixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape, number
from netloom.data import DataError, DatasetInfo, Prepared, schema
from netloom.data.preparation.project_defaults import (
    default_choice,
    default_training,
    initial_choice,
    settle,
    take_back,
)
from netloom.data.quality import Finding, Plot, Report
from netloom.document import DataChoice, Edit, updated
from netloom.editing.live import Live
from netloom.jobs import JobError
from netloom.jobs.requests.data_quality import DataQualityReport
from netloom.store import Store
from netloom.ui.components.charts.charts import (
    MARGIN,
    TRAIN,
    VALIDATION,
    category_axis,
    category_names,
    described,
    series_chart,
)
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.data.state import DataState, Fixed, Key
from netloom.ui.shell.jobs import computed
from netloom.validation.fields import reading_edits

if TYPE_CHECKING:
    import plotly.graph_objects as go

ACROSS = 6
# The column with the note of each row has an empty name, which no column of the data has.
NOTE = {"": "note"}
SIGNS = {
    "error": (":red[:material/error:]", "invalidates results", "invalidate results"),
    "warning": (":orange[:material/warning:]", "may harm training", "may harm training"),
    "hint": (":blue[:material/info:]", "good to know", "good to know"),
}


def quality(store: Store, live: Live | None, info: DatasetInfo, choice: DataChoice, data: Prepared) -> None:
    """Draw the report on the data, which is computed on first view and cached."""
    try:
        report = reported(choice, data)
    except (DataError, JobError) as error:
        show_error(error)
        return
    used = live if live and live.project.data.dataset == info.name else None
    _verdict(report)
    _fixed(used)
    if used is None:
        _settled(store, info)
        if any(item.fix for item in report.findings):
            st.caption("Each fix applies to new projects with one click. The file itself does not change.")
    for index, finding in enumerate(report.findings):
        _finding(store, used, info, data, finding, index)
    with st.expander(f"Checks ({len(report.checked)})", icon=":material/checklist:"):
        st.markdown("\n".join(f"- {title}" for title in report.checked))
        if report.rows_checked < report.rows:
            st.caption(
                f"Checked a sample of {report.rows_checked:,} of {report.rows:,} rows. Counts refer to the sample."
            )
        st.caption(f"Completed in {report.elapsed_s:.1f} s.")


def reported(choice: DataChoice, data: Prepared) -> Report:
    """Return the report, with a progress bar on the page while it is computed.

    Raises:
        DataError: the data cannot be read any more.
        JobError: the report could not be computed.
    """
    return computed(DataQualityReport(data.fingerprint, choice.model_dump(mode="json")), "Checking the data …")


def _verdict(report: Report) -> None:
    counts = {severity: sum(singular.severity == severity for singular in report.findings) for severity in SIGNS}
    if not report.findings:
        st.success(
            f"No problems found in {report.rows_checked:,} rows by {len(report.checked)} checks.",
            icon=":material/check_circle:",
        )
        return
    parts = []
    for severity, (sign, singular, plural) in SIGNS.items():
        if counts[severity]:
            parts.append(f"{sign} **{counts[severity]}** {singular if counts[severity] == 1 else plural}")
    st.markdown(" &nbsp;&nbsp; ".join(parts))


def _fixed(live: Live | None) -> None:
    """Draw the last applied fix with a button that undoes it."""
    state = DataState.current()
    fixed = state.fixed
    # The button undoes the last edit, so it is offered only while that is the fix.
    if live is None or fixed is None or (fixed.project_id, fixed.revision) != (live.id, live.view.state.revision):
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.success(f"Applied: {escape(fixed.title)}.", icon=":material/check:")
    if right.button("Undo", icon=":material/undo:", width="stretch"):
        live.apply({"kind": "undo"})
        state.fixed = None
        st.rerun()


def _settled(store: Store, info: DatasetInfo) -> None:
    """Draw a note that new projects use the fixes made here, with a button that removes them."""
    is_initial = default_choice(info.name, store.home) == initial_choice(info.name, store.home)
    if is_initial and not default_training(info.name, store.home):
        return
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.success("The fixes made here apply to new projects with this data.", icon=":material/check:")
    if right.button("Undo fixes", icon=":material/undo:", width="stretch"):
        take_back(info.name, store.home)
        st.rerun()


def _finding(store: Store, live: Live | None, info: DatasetInfo, data: Prepared, finding: Finding, index: int) -> None:
    with st.container(border=True):
        left, right = st.columns([2.3, 1], vertical_alignment="center")
        left.markdown(f"{SIGNS[finding.severity][0]} &nbsp;**{escape(finding.message)}**")
        if finding.advice:
            left.caption(escape(finding.advice))
        if finding.fix is not None:
            with right:
                _fix(store, live, info, finding, index)
        if finding.plot or finding.rows or finding.pairs:
            with st.expander("Show details", icon=":material/search:", expanded=index == 0):
                if finding.plot:
                    chart = plot_chart(finding.plot)
                    alt = described(chart, finding.message)
                    st.plotly_chart(
                        chart, width="stretch", config={"displayModeBar": False}, key=Key.PLOT.of(index), alt=alt
                    )
                _rows(data, finding, index)
                if finding.method:
                    st.caption(escape(finding.method))


def _fix(store: Store, live: Live | None, info: DatasetInfo, finding: Finding, index: int) -> None:
    if finding.fix is None:
        return
    widget: dict[str, Any] = {"width": "stretch", "key": Key.FIX.of(finding.code, index), "icon": ":material/build:"}
    title = escape(finding.fix.title)
    if live is None:
        _fix_for_all(store, info, title, finding, widget)
        return
    if _is_applied(live, finding.fix.edit):
        widget["icon"] = ":material/check:"
        st.button(title, disabled=True, help="Already applied. You can undo it on the Train page.", **widget)
    elif st.button(title, **widget):
        try:
            live.apply(data_change(store, live, finding.fix.edit))
        except ValueError as error:
            show_error(error)
        else:
            DataState.current().fixed = Fixed(live.id, live.view.state.revision, finding.fix.title)
            st.rerun()


def _fix_for_all(store: Store, info: DatasetInfo, title: str, finding: Finding, widget: dict[str, Any]) -> None:
    """Draw the fix of a finding in data that the open project does not use; it applies to new projects."""
    edit = finding.fix.edit if finding.fix is not None else {}
    training = default_training(info.name, store.home)
    if "data" not in edit and all(training.get(name) == value for name, value in edit.get("training", {}).items()):
        st.button(
            title, disabled=True, help="Already applied to new projects.", **{**widget, "icon": ":material/check:"}
        )
    elif st.button(title, help="Applies the fix to new projects with this data.", **widget):
        try:
            settle(info.name, edit, store.home)
        except ValueError as error:
            show_error(error)
        else:
            st.rerun()


def _is_applied(live: Live, edit: Edit) -> bool:
    """Return whether a fix of training settings is applied; the finding remains, because the data does not change."""
    training = live.project.training.model_dump(mode="json")
    training_edit = edit.get("training", {})
    return bool(training_edit) and all(training.get(name) == value for name, value in training_edit.items())


def data_change(store: Store, live: Live, edit: Edit) -> Edit:
    """Return an edit of the data with the resulting edits of Inputs, which take the new shapes of its fields.

    Raises:
        DataError: the data cannot be read with this edit.
    """
    if "data" not in edit:
        return edit
    choice = updated(live.project.data, edit["data"])
    after = schema(choice, store.home)
    return {"kind": "batch", "edits": [edit, *(reading_edits(live.project, after) if after else ())]}


def _rows(data: Prepared, finding: Finding, index: int) -> None:
    """Draw the rows of a finding: images side by side, other rows in a table."""
    notes = finding.notes
    if finding.pairs:
        _pairs(data, finding.pairs, notes, index)
        return
    if not finding.rows:
        return
    examples = [data.example(row) for row in finding.rows]
    if examples[0].image is not None:
        for start in range(0, min(len(examples), 2 * ACROSS), ACROSS):
            for offset, column in enumerate(column_row(ACROSS, Key.IMAGES.of(index, start), OnPhone.PAIRS)):
                if start + offset < len(examples):
                    example = examples[start + offset]
                    column.image(enlarged(example.image), width="stretch", alt=f"Image of row {example.row}")
                    column.caption(escape(_word(notes, start + offset) or f"Row {example.row}"))
        return
    if examples[0].series is not None:
        for offset, (column, example) in enumerate(zip(st.columns(3), examples[:3], strict=False)):
            chart = series_chart(example.series, small=True)
            key = Key.ODD.of(index, offset)
            alt = f"Series of row {example.row}"
            column.plotly_chart(chart, width="stretch", config={"displayModeBar": False}, key=key, alt=alt)
            column.caption(escape(_word(notes, offset) or f"Row {example.row}"))
        return
    lines = []
    for offset, example in enumerate(examples):
        note = {"": _word(notes, offset)} if notes else {}
        lines.append({"row": example.row, **note, **_cells(data, example.row, finding.columns)})
    st.dataframe(lines, hide_index=True, column_config=NOTE)


def _pairs(data: Prepared, pairs: Sequence[tuple[int, int]], notes: Sequence[str], index: int) -> None:
    if data.example(pairs[0][0]).image is not None:
        for start in range(0, min(len(pairs), 8), 4):
            for offset, column in enumerate(column_row(4, Key.IMAGES.of(index, start), OnPhone.PAIRS)):
                if start + offset < len(pairs):
                    pair = pairs[start + offset]
                    with column.container(border=True):
                        halves = column_row(2, Key.IMAGE_PAIR.of(index, start + offset), OnPhone.WHOLE)
                        for half, row in zip(halves, pair, strict=True):
                            half.image(enlarged(data.example(row).image), width="stretch", alt=f"Image of row {row}")
                        st.caption(escape(f"Rows {pair[0]} and {pair[1]} {_word(notes, start + offset)}"))
        return
    lines = []
    for offset, pair in enumerate(pairs):
        for row in pair:
            note = {"": _word(notes, offset)} if notes else {}
            lines.append({"pair": offset + 1, "row": row, "part": data.split_of(row), **note, **_cells(data, row, ())})
    st.dataframe(lines, hide_index=True, column_config=NOTE)


def _cells(data: Prepared, row: int, first: Sequence[str]) -> dict[str, str]:
    """Return a few columns of a row, the relevant ones first."""
    example = data.example(row)
    if example.text:
        return {"text": example.text[:300], data.schema.target.name: example.target[:80]}
    names = [*(name for name in first if name in example.columns), *example.columns]
    cells = {name: example.columns[name] for name in list(dict.fromkeys(names))[:12]}
    return {
        **{name: cell_text(value) for name, value in cells.items()},
        data.schema.target.name: example.target[:80],
    }


def cell_text(value: Any) -> str:
    """Return the text of a cell."""
    return number(value, 5) if isinstance(value, float) else "" if value is None else str(value)


def _word(notes: Sequence[str], index: int) -> str:
    return notes[index] if index < len(notes) else ""


def plot_chart(plot: Plot) -> go.Figure:
    """Return the chart of a finding."""
    import plotly.graph_objects as go

    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    series = list(zip((TRAIN, VALIDATION), plot.series.items(), strict=False))
    if plot.kind == "matrix":
        names = category_names(plot.names, 24)
        scale = [[0, "rgba(99,102,241,0.04)"], [1, "rgba(99,102,241,1)"]]
        values = next(iter(plot.series.values()))
        colors = {"colorscale": scale, "zmin": 0, "zmax": 1, "showscale": False}
        traces = [{"type": "heatmap", "z": values, "x": names, "y": names, **colors}]
        axis = {"type": "category", "showgrid": False}
        layout = {"xaxis": axis, "yaxis": {**axis, "autorange": "reversed"}}
    elif plot.kind == "bars":
        names = category_names(plot.names, 18)
        traces = [
            {"type": "bar", "x": names, "y": values, "name": name, "marker": {"color": tone}}
            for tone, (name, values) in series
        ]
        layout = {"xaxis": category_axis(len(names)), "yaxis": {"title": plot.axis}, "barmode": "group"}
    else:
        middles = [(low + high) / 2 for low, high in zip(plot.edges, plot.edges[1:], strict=False)]
        traces = [
            {"type": "bar", "x": middles, "y": values, "name": name, "marker": {"color": tone}, "opacity": 0.7}
            for tone, (name, values) in series
        ]
        split = "training" in plot.series
        layout = {"barmode": "overlay" if split else "stack", "bargap": 0.02, "xaxis": {"title": plot.axis}}
        if not split:
            layout["yaxis"] = {"type": "log"}  # a single outlier must be visible beside thousands of values
    height = max(280, min(620, 60 + 22 * len(plot.names))) if plot.kind == "matrix" else 240
    layout |= {
        "height": height,
        "margin": {**MARGIN, "t": 10},
        "showlegend": len(plot.series) > 1,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    return go.Figure(traces, layout)


__all__ = ["DataError", "cell_text", "data_change", "plot_chart", "quality", "reported"]
