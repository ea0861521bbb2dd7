"""Collected examples: suggestions from the requests, the list with its labels, and a dataset version of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape
from netloom.data import prepare
from netloom.data.dataset_version import why_no_version
from netloom.document import DataChoice
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.requests.monitoring import FindSuspects, MakeVersion, version_title
from netloom.monitoring import LogInfo
from netloom.monitoring.collecting import collect_request, restriction_of
from netloom.monitoring.suspects import MAX_LOGGED_ROWS, Suspect
from netloom.runs.derived.retraining import remark, retrain
from netloom.store import CollectedExample, Run
from netloom.ui.components.errors import guard
from netloom.ui.components.examples.label_input import label_input, label_of, picture_of, row_in_short
from netloom.ui.components.examples.mask_painter import mask_thumbnail
from netloom.ui.components.words import ago
from netloom.ui.explain.open_run import OpenRun, open_run
from netloom.ui.monitor.state import Key, MonitorState
from netloom.ui.monitor.watch import served_models
from netloom.ui.shell import identity, session
from netloom.ui.shell.background import in_background
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.run_links import run_link
from netloom.ui.shell.run_picker import choose_run, controls, written_at
from netloom.ui.shell.state import Query

if TYPE_CHECKING:
    import numpy as np

    from netloom.tasks.true_labels import TrueLabel

SUGGESTED, LISTED = 6, 10
WIDTHS = [3, 2, 1.2]
EDITOR_WIDTH = 560  # in pixels


def examples(live: Live, runs: Sequence[Run]) -> None:
    """Draw the suggestions, the list of collected examples, and the button for a dataset version."""
    with controls():
        run_id = choose_run(live, runs)
    weights = RunWeights(run_id, "", written_at(live, run_id))
    trained = in_background(partial(open_run, live.store, run_id, weights.written), "Reading the data …")
    true_label = trained.objective.task.true_label(trained.data.schema)
    if true_label is None:
        st.info(trained.objective.task.not_corrected)
        return
    if restriction := restriction_of(trained.data):
        st.caption(f":material/block: {escape(restriction)}")
    collected = live.store.collected(live.id).all()
    _list(live, trained, true_label, collected)
    if collected:
        _version(live, weights, trained, len(collected))
    infos = [info for info in served_models(live, runs) if run_id in info.runs]
    if infos:
        _suggestions(live, weights, trained, true_label, infos, {example.source for example in collected})


def _list(live: Live, trained: OpenRun, true_label: TrueLabel, collected: Sequence[CollectedExample]) -> None:
    count = len(collected)
    if not count:
        st.info(
            "No examples collected yet. Correct a prediction on the Try it page, or one of the logged requests "
            "below, to train on it later.",
            icon=":material/playlist_add:",
        )
        run_link("playground", live.id, trained.run.id, "monitor")
        return
    st.markdown(f"### {count:,} collected example{'s' * (count > 1)}")
    state = MonitorState.current()
    state.page = min(state.page, (count - 1) // LISTED)
    newest_first = list(reversed(collected))
    for example in newest_first[state.page * LISTED : (state.page + 1) * LISTED]:
        with st.container(border=True):
            left, middle, right = st.columns(WIDTHS, vertical_alignment="center")
            with left:
                row_in_short(trained.data, example.row)
                predicted = ""
                if example.prediction is not None:
                    predicted = f" · predicted {true_label.in_short(example.prediction)}"
                st.caption(escape(f"{example.origin} · {ago(_moment(example))}{predicted}"))
            with middle:
                key = Key.LABEL.of(example.id)
                check = partial(true_label.check_row, trained.data, example.row)
                relabel = partial(_relabel, live, example.id, true_label, key, check)
                editor = _label(trained, true_label, key, example.row, example.label, check, relabel)
            with right:
                st.button(
                    "Delete",
                    icon=":material/delete:",
                    key=Key.DELETE.of(example.id),
                    on_click=partial(_delete, live, example.id),
                    width="stretch",
                )
            editor()
    if count > LISTED:
        _pages(state, count)


def _label(
    trained: OpenRun,
    true_label: TrueLabel,
    key: str,
    row: Mapping[str, Any],
    value: Any,
    check: Callable[[Any], None],
    on_change: Callable[[], None] | None = None,
) -> Callable[[], None]:
    """Draw the input of a label. One that is painted or drawn on an image is drawn small, with a switch for its editor;
    the returned function draws the editor if it is open, which needs more room than a column."""
    if true_label.painted is None and true_label.boxed is None:
        label_input(true_label, key, value, check=check, on_change=on_change)
        return _no_editor
    st.caption(escape(true_label.in_short(value)))
    noun = "boxes"
    if true_label.painted is not None:
        noun = "mask"
        mask_thumbnail(value, "The mask of the row")
    if not st.toggle(f"Correct the {noun}", key=Key.PAINT.of(key)):
        return _no_editor
    picture = picture_of(trained.data, row)
    return partial(_on_image, true_label, key, value, f"Corrected {noun}", picture, check, on_change)


def _no_editor() -> None:
    """Draw nothing below a label."""


@st.fragment
@guard()
def _on_image(
    true_label: TrueLabel,
    key: str,
    value: Any,
    title: str,
    picture: np.ndarray | None,
    check: Callable[[Any], None],
    on_change: Callable[[], None] | None,
) -> None:
    """Draw the editor of a mask or of boxes; a stroke or a box redraws only the editor."""
    with st.container(width=EDITOR_WIDTH):
        label_input(true_label, key, value, title=title, check=check, on_change=on_change, picture=picture)


def _moment(example: CollectedExample) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(example.at)


def _pages(state: MonitorState, count: int) -> None:
    last = (count - 1) // LISTED

    def go(step: int) -> None:
        state.page = min(max(state.page + step, 0), last)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newer", key=Key.PREVIOUS, on_click=partial(go, -1), disabled=state.page == 0)
        st.button("Older", key=Key.NEXT, on_click=partial(go, 1), disabled=state.page == last)
        st.caption(f"Page {state.page + 1} of {last + 1}", width="content")


def _relabel(live: Live, example_id: str, true_label: TrueLabel, key: str, check: Callable[[Any], None]) -> None:
    label = label_of(true_label, key, check)
    if label is not None:
        live.store.collected(live.id).relabel(example_id, label)


def _delete(live: Live, example_id: str) -> None:
    live.store.collected(live.id).delete({example_id})


def _version(live: Live, weights: RunWeights, trained: OpenRun, count: int) -> None:
    state = MonitorState.current()
    if state.making is not None and state.making.weights != weights:  # that of another run
        state.making = state.version = None
    if why_no_version(trained.data):
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        title = st.text_input(
            "Name of the version",
            version_title(live.project.name, count),
            max_chars=100,
            key=Key.TITLE.of(count),
        )
        if st.button(
            "Create dataset version", icon=":material/dataset:", type="primary", key=Key.MAKE, width="content"
        ):
            request = MakeVersion(weights, title or live.project.name, secrets.token_hex(8))
            state.making, state.version = request, None
    if state.making is not None and state.version is None:
        try:
            state.version = computed(state.making, "Writing the rows …")
        finally:
            if state.version is None:
                state.making = None
    if state.version is not None:
        st.success(
            f"{escape(state.version.title)} has {state.version.rows:,} rows. Its validation and test rows are those of "
            "the data of the run. Choose it on the Data page, or retrain the run on it.",
            icon=":material/check_circle:",
        )
        version = DataChoice(dataset=state.version.name, split="given")
        after = in_background(partial(prepare, version, live.store.home), "Reading the data …")
        if note := remark(trained.data, after):
            st.caption(f":material/info: {escape(note)}")
        if st.button("Retrain from the current weights", icon=":material/model_training:", key=Key.RETRAIN):
            _retrain(live, weights.run_id, state.version.name)
        st.caption("When the new run has finished, *Promote* on the Deploy page compares it with this one.")
    else:
        st.caption("The collected examples become training rows; validation and test rows stay as they are.")


def _retrain(live: Live, run_id: str, dataset: str) -> None:
    """Start a run on a version from the weights of a run, and open it on the Train page."""
    begin = partial(retrain, live.store, run_id, dataset, owner=identity.owner())
    session.choose(live.id, in_background(begin, "Starting the run …"))
    st.switch_page("pages/train.py", query_params={Query.PROJECT.value: live.id})


def _suggestions(
    live: Live,
    weights: RunWeights,
    trained: OpenRun,
    true_label: TrueLabel,
    infos: Sequence[LogInfo],
    known: set[str],
) -> None:
    st.markdown("### From the requests")
    models = tuple(info.model for info in infos)
    stamp = "-".join(str(number) for info in infos for number in info.stamp)
    suggestions = computed(
        FindSuspects(weights, models, SUGGESTED + min(len(known), MAX_LOGGED_ROWS), stamp), "Reading the log …"
    )
    suspects = [suspect for suspect in suggestions.rows if suspect.source not in known][:SUGGESTED]
    if suggestions.note:
        st.caption(escape(suggestions.note))
    if not suspects:
        if not suggestions.note:
            is_bad = "is wrong or uncertain" if true_label.is_share else "has a large error or a low confidence"
            st.caption(f"No logged prediction {is_bad}.")
        return
    wrong = "that are wrong" if true_label.is_share else "with a large error"
    st.caption(f"Predictions {wrong} by their reported labels, then those with the lowest confidence.")
    for suspect in suspects:
        _suggestion(live, trained, true_label, suspect)


def _suggestion(live: Live, trained: OpenRun, true_label: TrueLabel, suspect: Suspect) -> None:
    row = suspect.row
    with st.container(border=True):
        left, middle, right = st.columns(WIDTHS, vertical_alignment="center")
        with left:
            row_in_short(trained.data, row.input)
            sure = f" ({row.confidence:.0%})" if row.confidence is not None else ""
            reported = f" · reported label {true_label.in_short(row.label)}" if row.label is not None else ""
            if suspect.error is not None and not true_label.is_share:
                reported += f" · large error: {true_label.written(suspect.error)}"
            predicted = f"Predicted {true_label.in_short(row.prediction)}{sure}{reported}"
            st.caption(escape(f"{predicted} · {suspect.model}"))
        key = Key.SUSPECT.of(suspect.model, row.id, row.row)
        with middle:
            check = partial(true_label.check_row, trained.data, row.input)
            editor = _label(trained, true_label, key, row.input, suspect.start, check)
        with right:
            st.button(
                "Collect",
                icon=":material/playlist_add:",
                key=Key.COLLECT.of(suspect.model, row.id, row.row),
                on_click=partial(_collect, live, suspect, true_label, key, check),
                width="stretch",
            )
        editor()


def _collect(live: Live, suspect: Suspect, true_label: TrueLabel, key: str, check: Callable[[Any], None]) -> None:
    label = label_of(true_label, key, check)
    if label is not None:
        collect_request(live.store, live.id, suspect, label)
