"""The Home page: recent projects, templates, and new projects."""

from __future__ import annotations

from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.core.text import escape
from netloom.document import Project, blank
from netloom.store import ProjectRow, Store, StoreError
from netloom.tasks import task
from netloom.templates import Architecture, Template, architectures, templates
from netloom.templates.template_search import SIZE_TITLES, TemplateSearch, task_name
from netloom.ui.components.card_grid import card_grid
from netloom.ui.components.charts.network_thumbnail import picture
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.errors import show_error
from netloom.ui.components.icon_popover import icon_popover
from netloom.ui.components.words import ago, count
from netloom.ui.home.import_form import import_button
from netloom.ui.home.project_menu import project_menu
from netloom.ui.home.sharing import shared_project
from netloom.ui.home.state import HomeState, Key
from netloom.ui.shell import session
from netloom.ui.shell.recovery import offer_recovery
from netloom.ui.shell.tour import offer_tour

T = TypeVar("T")
# The number of cards before a click on Show all: rows of four.
RECENT_SHOWN, TEMPLATES_SHOWN, ARCHITECTURES_SHOWN = 4, 8, 4
# Each card reads its project, so that a long list would draw slowly: older projects are found by their names.
RECENT_LISTED, MAX_PROJECTS = 12, 10_000


def preload() -> None:
    """Read the documents of templates, which are cached."""
    _ = [template.project for template in templates().values()]
    _ = [architecture.project for architecture in architectures().values()]


def page(store: Store) -> None:
    """Draw the Home page."""
    st.title("Netloom")
    st.markdown("Build neural networks, train them, explain their predictions and export them as plain PyTorch.")
    lost = offer_recovery(store)
    shared_project(store, _open)
    projects = store.list_projects(limit=MAX_PROJECTS)
    offer_tour(store, first_visit=not projects and not lost)
    _new_project(store)
    if projects or not lost:
        _recent(store, projects)
    _gallery(store)


def _open(project_id: str) -> None:
    session.choose(project_id)
    st.switch_page("pages/design.py")


def _new_project(store: Store) -> None:
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    name = left.text_input("Name of a new project", placeholder="My network", max_chars=200, key=Key.NEW_NAME)
    if middle.button("New project", type="primary", icon=":material/add:", width="stretch"):
        _open(store.create_project(blank(name.strip() or "My network")))
    with right:
        import_button(store, _open)


def _recent(store: Store, rows: list[ProjectRow]) -> None:
    st.header("Recent projects")
    if not rows:
        st.caption("No projects yet. Start with a template below or with an empty canvas.")
        return
    text = ""
    if len(rows) > RECENT_LISTED:
        text = st.text_input("Search projects", placeholder="Name of a project", key=Key.PROJECT_SEARCH).strip()
    matching = [row for row in rows if text.casefold() in row.name.casefold()]
    if not matching:
        st.caption("No project has this in its name.")
    listed = matching[:RECENT_LISTED]
    for container, row in _shown(listed, RECENT_SHOWN, "recent projects", filtered=bool(text)):
        with container, st.container(border=True, height="stretch"):
            project = _loaded(store, row)
            if project is None:
                if st.button("Older versions", key=Key.OLDER.of(row.id), width="stretch"):
                    _open(row.id)
                continue
            st.image(picture(project.main_network), width="stretch", alt="Graph of the network")
            st.markdown(f"**{escape(row.name)}**")
            st.caption(f"{len(project.main_network.nodes)} layers · {ago(row.updated_at)}")
            with st.container(horizontal=True):
                if st.button("Open", key=Key.OPEN.of(row.id), width="stretch"):
                    _open(row.id)
                with icon_popover("More", ":material/more_horiz:", row.id):
                    project_menu(store, row, project)
    if len(matching) > len(listed):
        st.caption(f"{len(rows)} projects. Search by name to see those that are not among the {RECENT_LISTED} newest.")


def _loaded(store: Store, row: ProjectRow) -> Project | None:
    """Return the project of a card; None after an error, which is drawn on this card only."""
    try:
        return store.load(row.id).project
    except StoreError as error:
        show_error(error)
        return None


def _gallery(store: Store) -> None:
    """Draw the templates and the architectures that match the filters; without a filter, a few of each."""
    st.header("Templates")
    st.caption("Complete networks with built-in data. Each trains in seconds on a CPU.")
    every, published = list(templates().values()), list(architectures().values())
    filters = _filters(every, published)
    filtered = filters != TemplateSearch()
    visible = [item for item in every if filters.accepts(item)]
    for container, template in _shown(visible, TEMPLATES_SHOWN, "templates", filtered=filtered):
        _card(store, container, template, f"{template.topic} · {template.summary}")
    st.header("Published architectures")
    st.caption(
        "With exactly the published numbers of parameters, without data: upload your own, or explore the layers."
    )
    matching = [item for item in published if filters.accepts(item)]
    for container, architecture in _shown(matching, ARCHITECTURES_SHOWN, "architectures", filtered=filtered):
        _card(
            store,
            container,
            architecture,
            f"{architecture.year} · {count(architecture.parameters)} parameters · {architecture.summary}",
        )


def _filters(every: list[Template], published: list[Architecture]) -> TemplateSearch:
    """Draw the filters by text, task, type and size."""
    topics = list(dict.fromkeys([*(item.topic for item in every), *(item.topic for item in published)]))
    names = {name: task(name).title for name in map(task_name, every)}
    search, tasks, sizes = column_row([2, 1, 1], Key.SEARCH, OnPhone.PAIRS)
    text = search.text_input("Search", placeholder="Name, data or architecture", key=Key.SEARCH)
    objective = tasks.selectbox("Task", ["", *names], format_func=lambda name: names.get(name, "All"), key=Key.TASK)
    size = sizes.selectbox(
        "Size", ["", *SIZE_TITLES], format_func=lambda name: SIZE_TITLES.get(name, "All"), key=Key.SIZE
    )
    topic = st.pills("Type", topics, label_visibility="collapsed", key=Key.TOPIC)
    return TemplateSearch(text.strip(), objective, size, topic or "")


def _shown(items: list[T], first: int, name: str, *, filtered: bool) -> list[tuple[DeltaGenerator, T]]:
    """Return the place of each card: of all of them for a filter or after a click, otherwise of the first ones, which a
    narrow screen shows in one row."""
    if not items:
        st.caption("No matches. Change the filters.")
        return []
    state = HomeState.current()
    few = not filtered and name not in state.expanded
    if few and len(items) > first:
        if st.button(f"Show all {len(items)} {name}", key=Key.SHOW_ALL.of(name)):
            state.expanded = (*state.expanded, name)
            st.rerun()
        items = items[:first]
    grid = card_grid(name, swiped=few)
    return [(grid, item) for item in items]


def _card(store: Store, container: DeltaGenerator, begin: Template | Architecture, text: str) -> None:
    with container, st.container(border=True, height="stretch"):
        st.image(picture(begin.project.main_network), width="stretch", alt="Graph of the network")
        st.markdown(f"**{begin.title}**")
        st.caption(text)
        if st.button("Use template", key=Key.TEMPLATE.of(begin.name), width="stretch"):
            _open(store.create_project(begin.project))
