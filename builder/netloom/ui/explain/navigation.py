"""The sections and views of the Explain page, and its address."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.state import Address, CompareWith, ExplainState, Key
from netloom.ui.explain.view import SECTIONS, VIEWS, View, find_view, section_of
from netloom.ui.shell.state import Query


def followed_link(run_ids: Collection[str]) -> tuple[str, list[str]]:
    """Apply the parameters of a link that opened the page. Return its run, "" if it names none of these, and
    messages on other parameters that it cannot apply."""
    state, problems = ExplainState.current(), list[str]()
    address = Address(Query.RUN.get() or "", Query.ROW.get() or "", Query.VIEW.get() or "")
    if address in (state.address, Address()):
        return "", []
    run_id = address.run if address.run in run_ids else ""
    if address.view:
        linked_view = find_view(address.view)
        if linked_view is None:
            names = ", ".join(view.slug for view in VIEWS)
            problems.append(f"The link names the view {address.view[:40]!r}, which does not exist. Views: {names}.")
        else:
            state.view, state.compare_with = linked_view[0].name, linked_view[1]
    if address.row:
        if address.row.isdecimal() and len(address.row) < 16:
            state.linked_row = int(address.row)
        else:
            problems.append(f"The link names the row {address.row[:40]!r}, which is not a row number.")
    return run_id, problems


def write_address(run_id: str, row: object, view: View) -> None:
    """Write what the page shows to its address, so that it can be copied as a link."""
    state = ExplainState.current()
    number = str(row) if isinstance(row, int) and view.reads_example else ""
    address = Address(run_id, number, view.slug)
    state.address = address
    for query, value in ((Query.RUN, address.run), (Query.ROW, address.row), (Query.VIEW, address.view)):
        if query.get() != (value or None):
            query.set(value or None)


def choose_view() -> View:
    """Draw the sections, and the views of the chosen one; return the chosen view."""
    state = ExplainState.current()
    view = next((view for view in VIEWS if view.name == state.view), VIEWS[0])
    section = section_of(view)
    state.section_views[section.name] = view.name
    sections = {item.name: item for item in SECTIONS}
    # The values are set before the widgets are drawn, because links and buttons choose a view as well.
    set_value(Key.SECTION, section.name)
    set_value(Key.VIEW.of(section.name), view.name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control(
            "Section",
            list(sections),
            format_func=lambda name: sections[name].title,
            required=True,
            key=Key.SECTION,
            label_visibility="collapsed",
            on_change=_open_section,
        )
        st.pills(
            "View",
            [item.name for item in section.views],
            format_func=lambda name: next(item.title for item in section.views if item.name == name),
            required=True,
            key=Key.VIEW.of(section.name),
            label_visibility="collapsed",
            wrap=True,
            on_change=_open_view,
            args=(section.name,),
        )
    if state.compare_with not in (CompareWith.NONE, *view.compares):
        state.compare_with = CompareWith.NONE
    return view


def _open_section() -> None:
    state, name = ExplainState.current(), str(value_of(Key.SECTION))
    section = next(section for section in SECTIONS if section.name == name)
    state.view = state.section_views.get(section.name, section.views[0].name)


def _open_view(section: str) -> None:
    ExplainState.current().view = str(value_of(Key.VIEW.of(section)))
