"""The Try it page: an input on the left, the prediction of a run on the right; predictions for a file; or a chat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.data import DataError, schema
from netloom.document import DocumentError
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.store import Run, StoreError
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import show_error
from netloom.ui.components.state import Key as ComponentKey
from netloom.ui.explain.open_run import open_run
from netloom.ui.playground.batch import batch_of
from netloom.ui.playground.chat.view import chat
from netloom.ui.playground.one_input import Tried, one_input
from netloom.ui.playground.state import Key, TryItState
from netloom.ui.shell.background import in_background
from netloom.ui.shell.run_picker import choose_run, choose_weights, controls, page_head, run_labels, written_at

SINGLE_INPUT, BATCH, CHAT = "One input", "File", "Chat"
MODES = {SINGLE_INPUT: ":material/edit: One input", BATCH: ":material/table_rows: File", CHAT: ":material/forum: Chat"}
NO_RUN = "No second run"
COMPARE_HELP = (
    "Another run of this project that was trained on the same data or on a version of it. Both predict the same input."
)
STYLE = """<style>
.st-key-try-editor-live { position: absolute; }
/* A text in Arabic or Hebrew runs from right to left, with its punctuation. */
.stChatMessage p, .stMain textarea, .stTextInput input { unicode-bidi: plaintext; }
/* The fields of a table take the height of the screen before they scroll. */
@media (min-width: 641px) {
  .st-key-try-editor [class*=st-key-COLUMNS] { height: auto; max-height: max(360px, 100vh - 27rem); }
  .st-key-try-editor :has(> [class*=st-key-COLUMNS]) { height: auto; }
}
/* On a phone, the prediction is above the input, so that both are in view. */
@media (max-width: 640px) {
  .stColumn:has([class*=st-key-try-result], [class*=st-key-try-latent-images]) { order: -1; }
}
</style>""".replace("COLUMNS", ComponentKey.EXAMPLE_COLUMNS)
ERRORS = (DataError, StoreError, OSError, CheckpointError, DocumentError)


def page(live: Live) -> None:
    """Draw the Try it page."""
    head = page_head(live, "try it", MODES, Key.MODE)
    if head is None:
        return
    runs, mode = head
    st.html(STYLE)
    try:
        row = controls()
        with row:
            weights = choose_weights(live, choose_run(live, runs))
        tried = _loaded(live, weights)  # outside the row, which would place what is drawn meanwhile beside the choices
        second = _second(live, runs, tried, row) if mode == SINGLE_INPUT else None
        if mode == SINGLE_INPUT:
            one_input(tried, second)
        elif mode == BATCH:
            batch_of(tried)
        else:
            chat(tried, runs)
    except ERRORS as error:
        show_error(error)


def _loaded(live: Live, weights: RunWeights) -> Tried:
    """Return a run with its data and the weights that predict."""
    trained = in_background(partial(open_run, live.store, weights.run_id, weights.written), "Reading the data …")
    return Tried(live, trained, weights)


def _comparable(live: Live, runs: Sequence[Run], tried: Tried) -> list[Run]:
    """Return the other runs that read the same fields and predict the same target."""

    def is_comparable(run: Run) -> bool:
        data = live.store.artifacts(run.id).project().data
        if data.dataset == tried.trained.project.data.dataset:
            return True
        try:
            other = schema(data, live.store.home)
        except DataError:  # its dataset was deleted
            return False
        return other is not None and other.has_form_of(tried.trained.data.schema)

    # A variant is compared with its run, too.
    return [run for run in runs if (run.id != tried.run_id or tried.weights.variant) and is_comparable(run)]


def _second(live: Live, runs: Sequence[Run], tried: Tried, row: DeltaGenerator) -> Tried | None:
    """Draw the choice of a second run in the row of the controls, and return it."""
    other_runs = in_background(partial(_comparable, live, runs, tried), "Reading the data …")
    if not other_runs:
        return None
    state, labels = TryItState.current(), run_labels(runs)
    ids = ["", *(run.id for run in other_runs)]
    chosen = row.selectbox(
        "Compare with",
        ids,
        index=ids.index(state.compared) if state.compared in ids else 0,
        format_func=lambda run_id: labels.get(run_id, NO_RUN),
        help=COMPARE_HELP,
    )
    state.compared = str(chosen)
    if not chosen:
        return None
    checkpoint = live.store.artifacts(chosen).default_weights()
    return _loaded(live, RunWeights(str(chosen), checkpoint, written_at(live, str(chosen))))
