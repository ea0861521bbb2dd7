"""The predictions of a run for the rows of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import escape, file_stem
from netloom.data import DataError
from netloom.jobs import JobError
from netloom.jobs.predictions import SHOWN, BatchResult, PredictFile
from netloom.training.weight_files import CheckpointError
from netloom.ui.playground.state import Batch, Key, TryItState
from netloom.ui.shell.errors import show_error
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.row_upload import row_upload, stored_name, stored_upload

if TYPE_CHECKING:
    from netloom.ui.playground.one_input import Tried
    from netloom.ui.shell.streamlit_internals import UploadedFile

ERRORS = (DataError, JobError, CheckpointError, OSError)


def batch_of(tried: Tried) -> None:
    """Draw the upload of a file, and the predictions for its rows."""
    names = _expected(tried)
    file = row_upload(Key.BATCH_FILE.of(tried.run_id))
    st.caption(f"The network reads {names}. Other columns are kept beside the predictions.")
    if file is None:
        st.info(
            "Drop a table with these columns, or a zip with one image, sound or text per example. The predictions can "
            "be downloaded beside the inputs."
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
    st.dataframe(list(result.shown), column_config={"confidence": share}, hide_index=True, width="stretch")
    more = f" The first {SHOWN} are shown." if result.rows > SHOWN else ""
    st.caption(f"{result.rows:,} rows.{more}")
    artifacts = tried.live.store.artifacts(tried.run_id)
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
