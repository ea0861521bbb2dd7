"""The Runs page: a table of all runs with filters, the actions of one run, and the comparison of several."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape, size
from netloom.data import DataError, prepare
from netloom.editing.live import Live
from netloom.runs import ACTIVE
from netloom.runs import evaluation as evaluation_of
from netloom.runs.derived import continuation, reproduction
from netloom.runs.history import records, snapshots
from netloom.runs.history.comparison import document, measure_of
from netloom.runs.history.run_table import RunTable, matching, run_table
from netloom.runs.resources.capacity import places
from netloom.runs.resources.energy import sentence
from netloom.store import Run, Store, StoreError
from netloom.store.run_summary import Reproduction
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.errors import show_error
from netloom.ui.components.metric_texts import metric_table
from netloom.ui.components.page_state import value_of
from netloom.ui.components.words import unique_labels
from netloom.ui.explain.state import WorstExamples
from netloom.ui.runs.calibration import calibration
from netloom.ui.runs.comparison import comparison
from netloom.ui.runs.run_columns import column_titles, columns_bar, groups_table, shown_columns, value_columns
from netloom.ui.runs.run_export import hand_over
from netloom.ui.runs.state import Filters, Key, RunsState
from netloom.ui.runs.sweeps import sweep_section
from netloom.ui.shell import identity, notifications, session
from netloom.ui.shell.background import in_background
from netloom.ui.shell.recovery import offer_recovery
from netloom.ui.shell.run_links import RUN_PAGES, run_link
from netloom.ui.shell.run_picker import warn_of_unknown_run
from netloom.ui.shell.run_refresh import State, rerun_on_change
from netloom.ui.shell.state import Query
from netloom.ui.train.results import worst_examples
from netloom.ui.train.run_actions import ask, delete, extend
from netloom.ui.train.run_monitor import STATES

LIMIT = 1_000
# Widths in pixels of a title of a sweep's run, a few tags, the beginning of a note, and of the form that edits them.
TITLE_WIDTH, TAGS_WIDTH, NOTES_WIDTH, NAMING_WIDTH = 200, 130, 170, 420
PARTS = {"runs": "Runs", "sweeps": "Sweeps"}
WORST_EXAMPLES = WorstExamples("runs", "Runs", Key.WORST, True)


def page(live: Live) -> None:
    """Draw the Runs page."""
    chosen = st.segmented_control(
        "Part",
        list(PARTS),
        default="runs",
        format_func=PARTS.__getitem__,
        key=Key.PART,
        label_visibility="collapsed",
    )
    if chosen == "sweeps":
        sweep_section(live)
        return
    runs = live.store.runs(limit=LIMIT)
    if offer_recovery(live.store) and not runs:
        return
    if not runs:
        st.markdown("## No runs yet")
        st.caption("Start a run on the Train page. This page lists and compares the runs of all projects.")
        if st.button("Go to Train", type="primary", icon=":material/show_chart:"):
            st.switch_page("pages/train.py")
        return
    _follow_link({run.id for run in runs})
    filtered = _filtered(live, runs)
    rerun_on_change(_progress(runs), lambda: _progress(live.store.active_runs()))
    if not filtered:
        st.markdown("## No runs match the filters")
        st.button(f"Show all {len(runs):,}", icon=":material/filter_alt_off:", on_click=Filters().show)
        return
    table = run_table(live.store, filtered)
    columns_bar(table)
    state = RunsState.current()
    filtered = matching(table, state.conditions)
    if state.conditions and not filtered:
        st.markdown("## No runs match the conditions")
        return
    # Without a condition, the settings that differ are the same, so the table need not be made again.
    table = run_table(live.store, filtered) if len(filtered) < len(table.runs) else table
    if state.group_by in table.values:
        groups_table(table, state.group_by)
    picked = _table(live.store, table)
    with st.container(horizontal=True, vertical_alignment="center"):
        some = f"{len(filtered):,} of " if len(filtered) < len(runs) else ""
        st.caption(f"{some}{len(runs):,} run{'s'[: len(runs) != 1]}")
        notifications.button(Key.NOTICE)
        hand_over(picked or filtered, bool(picked))
    if not picked:
        st.caption(
            "Select one run to edit, extend or branch it, or several runs to compare them. By keyboard, Shift+Space "
            "selects the row of a cell."
        )
    elif len(picked) == 1:
        _selected_run(live, picked[0])
        comparison(live.store, picked)
    else:
        comparison(live.store, picked)


def _follow_link(run_ids: Collection[str]) -> None:
    """Select the run that the address names; draw a warning if there is no such run."""
    warn_of_unknown_run(run_ids)
    state, linked = RunsState.current(), Query.RUN.get()
    if linked in run_ids and linked != state.linked:
        state.linked, state.chosen = str(linked), [str(linked)]


def _progress(runs: Sequence[Run]) -> State:
    return frozenset((run.id, run.state, run.epoch) for run in runs if run.state in ACTIVE)


def _filtered(live: Live, runs: list[Run]) -> list[Run]:
    names = {row.id: row.name for row in live.store.list_projects()}
    projects = list(dict.fromkeys(run.project_id for run in runs))
    labels = unique_labels({"": "All projects", **{key: names.get(key, key[:8]) for key in projects}})
    state = RunsState.current()
    state.filters.restore()
    project_column, state_column, tag_column, text_column = column_row(
        [1.4, 1.4, 1.2, 1.4], Key.FILTER_PROJECT, OnPhone.PAIRS
    )
    project_column.selectbox("Project", list(labels), format_func=labels.__getitem__, key=Key.FILTER_PROJECT)
    # All states, and the selected tags, so that a change of a run does not change the filter.
    state_column.multiselect(
        "State", list(STATES), format_func=lambda key: STATES[key][1], placeholder="All", key=Key.FILTER_STATE
    )
    tags = sorted({tag for run in runs for tag in run.tags}.union(value_of(Key.FILTER_TAG)))
    tag_column.multiselect("Tag", tags, placeholder="All", key=Key.FILTER_TAG)
    text_column.text_input("Title or notes", placeholder="Search", key=Key.FILTER_TEXT)
    state.filters = Filters.typed()
    return list(filter(state.filters.accepts, runs))


def _table(store: Store, table: RunTable) -> list[Run]:
    """Draw the table of runs, and return the selected ones."""
    runs = table.runs
    names = {row.id: row.name for row in store.list_projects()}
    ids = [run.id for run in runs]
    shown = shown_columns(table)
    line = {run_id: f" · {words}" for run_id, words in places(store).items()}
    columns: dict[str, list[Any]] = {
        "Title": [run.title for run in runs],
        "Project": [names.get(run.project_id, "") for run in runs],
        **value_columns(table, [name for name in shown if name in table.metrics]),
        "State": [STATES[run.state][1] + line.get(run.id, "") for run in runs],
        "Epochs done": [run.epoch for run in runs],
        **value_columns(table, [name for name in shown if name not in table.metrics]),
        "Started": [run.created_at for run in runs],
        "Tags": [list(run.tags) for run in runs],
        "Notes": [run.notes for run in runs],
    }
    # Empty columns are omitted.
    columns = {name: cells for name, cells in columns.items() if name not in ("Tags", "Notes") or any(cells)}
    if len(names) == 1 or all(map(str.startswith, columns["Title"], columns["Project"])):
        del columns["Project"]
    # The key depends on the rows, because a selection is by row number and would refer to other runs otherwise.
    key = Key.TABLE.of(hash((*ids, *columns)))
    chosen = RunsState.current().chosen
    titles = column_titles(table)
    numbers = [titles[name] for name in table.settings if table.is_number(name)]
    st.dataframe(
        metric_table(columns, {titles[name]: measure_of(name) for name in shown if name in table.metrics}),
        hide_index=True,
        height=min(38 + 35 * max(len(runs), 1), 388),
        on_select=partial(_choose, key, ids),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [row for row, run_id in enumerate(ids) if run_id in chosen]}},
        placeholder="",
        key=key,
        column_config={
            **dict.fromkeys(numbers, st.column_config.NumberColumn(format="%.4g")),
            "Tags": st.column_config.ListColumn(width=TAGS_WIDTH),
            "Notes": st.column_config.TextColumn(width=NOTES_WIDTH),
            "Started": st.column_config.DatetimeColumn(format="distance"),
            "Title": st.column_config.TextColumn(width=TITLE_WIDTH),
        },
    )
    _choose(key, ids)
    by_id = {run.id: run for run in runs}
    return [by_id[run_id] for run_id in RunsState.current().chosen if run_id in by_id]


def _choose(key: str, ids: list[str]) -> None:
    """Store the selection by ids, because new runs, filters and a change of page create another table.

    Runs that a filter hides stay selected. This is also the callback, because a click can arrive after another table
    was created.
    """
    rows: list[int] = value_of(key)["selection"]["rows"]
    state = RunsState.current()
    state.chosen = [run_id for run_id in state.chosen if run_id not in ids] + [ids[row] for row in rows]


def _selected_run(live: Live, run: Run) -> None:
    """Draw the actions of one run."""
    st.markdown(f"## {escape(run.title)}")
    energy = sentence(run.summary)
    st.caption(" · ".join(part for part in (STATES[run.state][1], escape(run.reason), energy) if part))
    store = live.store
    ended = run.state not in ACTIVE
    has_weights = bool(store.artifacts(run.id).weights_written_at())
    with st.container(horizontal=True, gap="small", key=Key.ACTIONS):  # as many beside each other as fit
        if st.button("Open", icon=":material/show_chart:", key=Key.OPEN.of(run.id)):
            session.choose(run.project_id, run.id)
            st.switch_page("pages/train.py")
        for target in RUN_PAGES:
            run_link(target, run.project_id, run.id, "runs", disabled=not (ended and has_weights))
        with st.popover("Extend", icon=":material/update:", disabled=not ended):
            extend(store, run)
        with st.popover("Branch", icon=":material/alt_route:"):
            _branch(store, run)
        if st.button("Reproduce run", icon=":material/replay:", key=Key.AGAIN.of(run.id), disabled=not ended):
            ask(
                lambda: reproduction.repeat(store, run.id, owner=identity.owner()),
                "The run started again from its folder.",
            )
        with st.popover("Name", icon=":material/edit:"):
            _describe(store, run)
        with st.popover("Delete", icon=":material/delete:"):
            if delete(store, run):
                st.rerun()
    _repeated(store, run)
    _worst_examples(store, run)
    if ended and has_weights:
        _calibration(store, run)


def _calibration(store: Store, run: Run) -> None:
    """Draw the calibration of a run when it is opened."""
    expander = st.expander("Calibration", icon=":material/balance:", key=Key.CALIBRATION.of(run.id), on_change="rerun")
    if expander.open:
        with expander:
            calibration(store, run)


def _worst_examples(store: Store, run: Run) -> None:
    """Draw the mistakes of a run, which link to their explanations; only when they are opened, as this reads the
    data."""
    key = Key.WORST.of(run.id)
    if run.state in ACTIVE or not run.summary.test:
        return
    expander = st.expander("Worst examples", icon=":material/error_outline:", key=key, on_change="rerun")
    if not expander.open:
        return
    with expander:
        try:
            evaluation = evaluation_of(store, run.id)
            choice = store.artifacts(run.id).project().data
            data = in_background(partial(prepare, choice, store.home), "Reading the data …")
        except (DataError, CheckpointError) as error:
            show_error(error)
            return
        if evaluation is None:
            st.caption("This run was not evaluated on test rows, so there are no worst examples.")
        elif not evaluation.episodes:
            worst_examples(run, evaluation, data, WORST_EXAMPLES)
        else:
            st.caption("An agent has episodes instead of test rows. Open the run to see them.")


def _branch(store: Store, run: Run) -> None:
    checkpoints = snapshots.epoch_snapshots(store.artifacts(run.id))
    options: list[int | str] = ["best", "last", *(item.epoch for item in checkpoints)]
    total, most = size(sum(item.size_bytes for item in checkpoints)), size(snapshots.max_bytes())
    st.caption(
        f"Starts a new run from a checkpoint of this run. {len(checkpoints)} checkpoints are "
        f"stored ({total} of {most})."
    )
    at = st.selectbox(
        "Checkpoint",
        options,
        format_func=lambda key: f"After epoch {key}" if isinstance(key, int) else key.capitalize(),
        key=Key.BRANCH_AT.of(run.id),
    )
    run_document = document(store, run.id)
    rate = run_document.training.learning_rate if run_document else 1e-3
    epochs = st.number_input("Epochs", 1, 10_000, 10, key=Key.BRANCH_EPOCHS.of(run.id))
    learning_rate = st.number_input("Learning rate", 1e-7, 10.0, rate, format="%g", key=Key.BRANCH_RATE.of(run.id))
    if st.button("Start branch", type="primary", key=Key.BRANCH.of(run.id)):
        changes = {"epochs": int(epochs), "learning_rate": float(learning_rate)}
        ask(
            lambda: continuation.branch(store, run.id, at, training=changes, owner=identity.owner()),
            "The branch started.",
        )


def _describe(store: Store, run: Run) -> None:
    with st.form(Key.DESCRIBE.of(run.id), border=False, width=NAMING_WIDTH):
        title = st.text_input("Title", run.title, max_chars=200)
        tags = st.text_input("Tags", ", ".join(run.tags), help="Separated by commas")
        notes = st.text_area("Notes", run.notes, max_chars=20_000, height=160)
        if st.form_submit_button("Save", type="primary"):
            values: dict[str, Any] = {"title": title.strip() or run.title, "tags": tags.split(","), "notes": notes}
            ask(lambda: records.describe(store, run.id, **values), "")


def _repeated(store: Store, run: Run) -> None:
    """Draw the comparison of this run with the run that it reproduces, if there is one."""
    if not isinstance(run.about.start, Reproduction) or run.state in ACTIVE:
        return
    try:
        reproduced = reproduction.compare_runs(store, store.run(run.about.start.run), run)
    except StoreError:
        st.caption("Reproduces a run that was deleted.")
        return
    (st.success if reproduced.same else st.warning)(reproduced.sentence())
