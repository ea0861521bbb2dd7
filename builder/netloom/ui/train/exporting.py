"""The export of a run: its formats, and the file that was built."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError
from netloom.editing.live import Live
from netloom.export import Format
from netloom.jobs import JobError, RunWeights
from netloom.jobs.requests.exports import Export
from netloom.store import Run
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import show_error
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.run_picker import chosen_variant
from netloom.ui.train.state import BuiltFile, Key, TrainState


def take_away(live: Live, run: Run) -> None:
    """Draw the export formats. The outputs of each file are compared with the app's before it can be downloaded."""
    from netloom import export

    artifacts = live.store.artifacts(run.id)
    measured = RunWeights(run.id, artifacts.default_weights(), artifacts.weights_written_at())
    weights = chosen_variant(live, measured) or replace(measured, checkpoint="")
    # The complete bundle first, then formats of networks, then formats for display.
    formats = [kind for kind in export.export_formats() if kind.contains_onnx or not weights.is_variant]
    formats = sorted(formats, key=lambda kind: (not kind.is_first, kind.tolerance is None))
    format_index = st.radio(
        "Format",
        range(len(formats)),
        format_func=lambda number: formats[number].title,
        captions=[kind.summary for kind in formats],
        key=Key.FORMAT.of(*filter(None, (run.id, weights.variant))),
    )
    kind = formats[format_index]
    with_runtime = bool(kind.runtime) and _includes_runtime(live, run, kind)
    button = "Build zip" if kind.suffix.endswith(".zip") else "Build file"
    state = TrainState.current()
    if st.button(button, icon=":material/folder_zip:", key=Key.BUILD.of(run.id)):
        state.built = None  # after an error, the previous file must not be offered
        try:
            exported = computed(
                Export(weights, kind.name, with_runtime), "Building the file and comparing its outputs with the app's …"
            )
            file = artifacts.export_file(exported.stored).read_bytes()
            state.built = BuiltFile(weights, kind.name, file, exported.name, exported.verdict, with_runtime)
        except (DataError, CheckpointError, JobError, export.ExportError, OSError) as error:
            show_error(f"The export failed: {error}")
    built = state.built
    if built is not None and (built.weights, built.format, built.with_runtime) == (weights, kind.name, with_runtime):
        file, name, verdict = built.content, built.name, built.verdict
        st.download_button(
            f"Download zip ({kind.contains})" if kind.contains else f"Download {name}",
            file,
            name,
            kind.media_type,
            type="primary",
            icon=":material/download:",
        )
        st.caption(escape(verdict))
    source = artifacts.source()
    with st.expander("Source code of the trained model"):
        st.code(source, language="python")


def _includes_runtime(live: Live, run: Run, kind: Format) -> bool:
    """Draw the option that puts the runtime of a format into the file; it is disabled where that cannot be done."""
    reason = kind.runtime_unavailable_reason(live.store.home)
    is_chosen = st.checkbox(
        f"Include {kind.runtime}", disabled=bool(reason), key=Key.INCLUDE_RUNTIME.of(run.id), help=kind.runtime_help
    )
    if reason:
        st.caption(f":material/block: {escape(reason)}")
    return is_chosen and not reason
