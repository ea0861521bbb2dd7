"""The predictions of a run for the rows of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape, file_stem
from netloom.data import DataError
from netloom.jobs import JobError
from netloom.jobs.requests.predictions import SHOWN, BatchResult, PredictFile, row_of_batch
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import show_error
from netloom.ui.playground.input_actions import input_actions
from netloom.ui.playground.state import Batch, Key, TryItState
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.row_upload import row_upload, stored_name, stored_upload

if TYPE_CHECKING:
    from netloom.modalities.encoding.cells import RawRow
    from netloom.modalities.encoding.field_encoder import FieldEncoder
    from netloom.ui.components.streamlit_internals import UploadedFile
    from netloom.ui.playground.one_input import Tried

ERRORS = (DataError, JobError, CheckpointError, OSError)


def batch_of(tried: Tried) -> None:
    """Draw the upload of a file, and the predictions for its rows."""
    names = _expected(tried)
    file = row_upload(Key.BATCH_FILE.of(tried.run_id))
    st.caption(f"The network reads {names}. Other columns are kept beside the predictions.")
    if file is None:
        st.info(
            "Drop a table with these columns, or a zip with one image, sound, text or pair of images per example. The "
            "predictions can be downloaded beside the inputs."
        )
        return
    result = _result(tried, file)
    if result is not None:
        _show(tried, file.name, result)


def _expected(tried: Tried) -> str:
    """Return the columns that a file needs, as Markdown."""
    columns: list[str] = []
    for field in tried.trained.data.fields:
        if field.name in tried.trained.fields and field.is_required:
            columns += [column.date_column or column.name for column in field.columns] or [
                field.source_column or field.name
            ]
    names = list(dict.fromkeys(columns))
    shown = ", ".join(f"**{escape(name[:40])}**" for name in names[:12])
    return f"{shown} and {len(names) - 12} more columns" if len(names) > 12 else shown


def _result(tried: Tried, file: UploadedFile) -> BatchResult | None:
    """Return the predictions for a file, computed once; None after an error."""
    state, store = TryItState.current(), tried.live.store
    request = PredictFile(tried.weights, stored_name(file), file.name)
    # The key also changes with the weights and the calibration of the run, on which the predictions depend.
    key = request.key(store.home)
    if state.batch is None or state.batch.key != key:
        try:
            with stored_upload(store, tried.run_id, file):
                state.batch = Batch(key, computed(request, "Predicting …"))
        except ERRORS as error:
            show_error(error)
            return None
    return state.batch.result


def _show(tried: Tried, name: str, result: BatchResult) -> None:
    for note in result.notes:
        st.caption(escape(note))
    share = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")
    chosen = st.dataframe(
        list(result.shown),
        column_config={"confidence": share},
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=Key.BATCH_ROWS.of(result.first_rows),  # the selection is by number, so that another file has another table
    )
    artifacts = tried.live.store.artifacts(tried.run_id)
    count = f"{result.rows:,} row{'s' * (result.rows != 1)}"
    more = f" The first {SHOWN} are shown." if result.rows > SHOWN else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        for number in chosen["selection"]["rows"]:
            raw = _as_in_data(tried, row_of_batch(artifacts.export_file(result.first_rows), number))
            row = TryItState.current().rows.get(tried.run_id, 0)
            st.markdown(f"**Row {number + 1}**", width="content")
            input_actions(tried.live, tried.trained, tried.weights, raw, row, is_row=False)
        st.caption(f"{count}.{more} Select a row to explain or to collect it.", width="content")
    with st.container(horizontal=True):
        for title, stored, suffix, kind in (
            ("Download CSV", result.csv, "csv", "text/csv"),
            ("Download JSON lines", result.json_lines, "jsonl", "application/jsonl"),
        ):
            st.download_button(
                title,
                artifacts.export_file(stored).read_bytes(),
                f"{file_stem(name.rpartition('.')[0])}-predictions.{suffix}",
                kind,
                icon=":material/download:",
                key=Key.DOWNLOAD.of(suffix),
                on_click="ignore",
            )
    st.caption("In CSV, a text that a spreadsheet would run as a formula begins with an apostrophe.")


def _as_in_data(tried: Tried, row: RawRow) -> RawRow:
    """Return a row of a file with the columns of the data: without others, with missing ones as None, and with those
    that the network does not read from the first row of the data."""
    data, fields = tried.trained.data, tried.trained.fields
    names = {name for field in data.fields if field.name in fields for name in _names(field)}
    own = {name: value for name, value in row.items() if name in names}
    return {**{name: None if name in names else value for name, value in data.row(0).items()}, **own}


def _names(field: FieldEncoder[Any]) -> set[str]:
    """Return the keys of a raw row that a field can read."""
    dates = {column.date_column for column in field.columns if column.date_column}
    return {field.name, field.source_column or field.name, *(column.name for column in field.columns), *dates}
