"""The Design page: a header, the canvas and a side panel."""

from __future__ import annotations

import time
from functools import partial

import streamlit as st

from netloom.compile import CompileError, source
from netloom.core.text import escape
from netloom.document import Edit
from netloom.editing.live import Live
from netloom.store import StoreError, VersionRow
from netloom.tasks import task, tasks
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.forms import bound, choose_data, refused
from netloom.ui.components.tabs import tabs
from netloom.ui.components.words import ago
from netloom.ui.data.caveats import data_caveats
from netloom.ui.design.canvas import canvas
from netloom.ui.design.canvas_payload import payload
from netloom.ui.design.exporting import deploy_button, export_menu
from netloom.ui.design.formula import formula
from netloom.ui.design.inspector import inspector
from netloom.ui.design.library import library
from netloom.ui.design.networks import visible_network
from netloom.ui.design.parts import changes, record, redraw, selected
from netloom.ui.design.state import DesignState, Key, Part, Refusals, sent_header, sent_selection, sent_sync, sent_wish
from netloom.ui.home.sharing import share
from netloom.ui.shell.background import in_background

HEIGHT = 690
# How often a tab checks for changes of the project by other tabs and users.
LOOK_EVERY_S = 2.0
# Where the buttons need two rows beside the fields, they are in a row of their own, so that the fields are not cut off.
FIELDS_STYLE = """<style>
@media (min-width: 641px) and (max-width: 1279px) {
  .st-key-fields > * > .stHorizontalBlock { row-gap: 0.75rem }
  .st-key-fields > * > .stHorizontalBlock > .stColumn { flex: 1 1 calc(33% - 1rem) }
  .st-key-fields > * > .stHorizontalBlock > .stColumn:last-child { flex-basis: 100% }
}
</style>"""
# The number of versions that are listed at first.
SHOWN = 60


def page(live: Live) -> None:
    """Draw the Design page."""
    in_background(live.analysis, "Reading the data and checking the network …")
    header = st.container()
    left, right = st.columns([3.4, 1.15], gap="small")
    # First, because the canvas may hold edits from while the server was away.
    with left:
        st.fragment(_canvas, run_every=LOOK_EVERY_S, key=Part.CANVAS)(live)
    with header:
        st.fragment(_header, key=Part.HEADER)(live)
    with right:
        st.fragment(_side_panel, key=Part.SIDE_PANEL)(live)


@guard()
def _side_panel(live: Live) -> None:
    network = visible_network(live, sent_wish(live.id)).name
    record(live, Part.SIDE_PANEL, network)
    # Each with its own guard: if one fails, Undo on the canvas and the versions are still available.
    tabs(
        {
            "Layer": lambda: _layer(live, network, selected(live, network)),
            "Code": guard()(lambda: _code(live)),
            "Versions": guard()(lambda: _versions(live)),
        },
        Key.TABS.of(live.id),
        HEIGHT - 60,
    )


def _layer(live: Live, network: str, selected: list[str]) -> None:
    with guard():
        formula(live, network)
    with guard():
        inspector(live, network, selected)


@guard()
def _header(live: Live) -> None:
    network = visible_network(live, sent_wish(live.id)).name
    record(live, Part.HEADER, network)
    with st.container(key=Key.FIELDS):
        st.html(FIELDS_STYLE)
        name, data, objective, tools = st.columns([1, 0.95, 0.9, 2.7], vertical_alignment="bottom")
    project, follow = live.project, partial(redraw, live)
    with name, guard():
        naming = bound(live, "bar/name", project.name, _rename, renews=True, follow=follow)
        st.text_input("Project", project.name, max_chars=200, **naming)
        refused(naming)
    with data, guard():
        choose_data(live, "bar/data", follow=follow)
    with objective, guard():
        objective_name = task(project.training.objective).name
        names = list(tasks())
        st.selectbox(
            "Objective",
            names,
            index=names.index(objective_name),
            format_func=lambda value: tasks()[value].title,
            **bound(live, "bar/objective", objective_name, _choose_objective, follow=follow),
        )
    with tools, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        with guard():
            library(live, network)
        with guard():
            share(live)
        with guard():
            export_menu(live)
        with guard():
            deploy_button(live)
        ready = not live.analysis().errors and bool(project.data.dataset)
        if st.button("Train", type="primary" if ready else "secondary", icon=":material/play_arrow:", width="stretch"):
            st.switch_page("pages/train.py")
    problem = live.problem or live.data_problem()
    if problem:
        show_error(problem)
    with guard():
        data_caveats(live, "design")


def _rename(name: str) -> Edit:
    return {"kind": "project", "name": name.strip() or "My network"}


def _choose_objective(name: str) -> Edit:
    return {"kind": "project", "training": {"objective": name}}


@guard()
def _canvas(live: Live) -> None:
    """Draw the canvas. An edit reruns only this fragment; once the browser shows the result, it requests the others."""

    def on_sync() -> None:
        refusals = live.sync(sent_sync(live.id))
        if refusals:  # they stay until there are others, because the answer of a rerun may never arrive
            state.refusals = Refusals(tuple(refusals), time.time())

    state = DesignState.current()
    visible = visible_network(live, sent_wish(live.id))
    record(live, Part.CANVAS, visible.name)
    sync, selection = sent_header(live.id), sent_selection(live.id)
    canvas(
        data=payload(
            live,
            visible,
            sync["client"] if sync else "",
            list(state.refusals.sentences),
            HEIGHT,
            refused_at=state.refusals.at,
            palettes={message["palette"] for message in (sync, selection) if message},
            wish=selection["about"] if selection else None,
            changes=changes(live, visible.name),
        ),
        key=Key.CANVAS.of(live.id),
        on_sync=on_sync,
        on_look=partial(redraw, live),
    )


def _code(live: Live) -> None:
    try:
        # The container scrolls instead of the code, because the keyboard reaches it by its button in every browser.
        with st.container(height=HEIGHT - 120, border=False):
            st.code(source(live.project, live.analysis()), language="python", wrap_lines=True)
    except CompileError as error:
        st.info("Fix the errors of the network to see the code.")
        for issue in error.issues[:8]:
            st.caption(f":material/error: {escape(issue.message)}")


def _versions(live: Live) -> None:
    """Draw the versions, newest first; named ones are listed whatever their age."""
    rows = live.store.versions(live.id)
    st.caption(
        "Saves a version every 30 s of work. Keeps all of the last hour, one per hour for a day and one per day for "
        "a year. Named versions are kept forever."
    )
    listed = DesignState.current().versions
    count = listed.get(live.id, SHOWN)
    for row in [*rows[:count], *(row for row in rows[count:] if row.name)]:
        _version(live, row)
    if len(rows) > count and st.button("Show older versions", width="stretch"):
        listed[live.id] = count + SHOWN
        st.rerun(scope="fragment")


def _version(live: Live, row: VersionRow) -> None:
    with st.container(border=True):
        st.markdown(f"**{row.number}** · {ago(row.created_at)}")
        key = Key.VERSION.of(row.number, row.name)
        name = st.text_input("Name", row.name, key=key, placeholder="Name to keep it", max_chars=200)
        try:
            if name != row.name:
                live.store.name_version(live.id, row.number, name)
            if st.button("Restore", key=Key.RESTORE.of(row.number), help="Undo reverts this", width="stretch"):
                live.replace(live.store.version(live.id, row.number))
                st.rerun()
        except StoreError as error:
            show_error(error)
