"""Recent projects, templates, and a new beginning."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from builder.graph import DocumentError, Project, blank, dumps, loads
from builder.store import ProjectRow, StoreError
from builder.templates import templates
from builder.ui import navigation, session
from builder.ui.picture import picture
from builder.ui.style import narrow
from builder.ui.words import ago, plain

navigation.ensure()

store = session.store()


def open_project(project_id: str) -> None:
    session.choose(project_id)
    st.switch_page("pages/design.py")


def new_project() -> None:
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    name = left.text_input("Name of a new project", placeholder="My network", max_chars=200, key="new name")
    if middle.button("New project", type="primary", icon=":material/add:", width="stretch"):
        open_project(store.create_project(blank(name.strip() or "My network")))
    with right.popover("Open a file", icon=":material/upload_file:", width="stretch"):
        file = st.file_uploader("A project that was saved as JSON", type="json", max_upload_size=20)
        if file and st.button("Open it", type="primary"):
            try:
                open_project(store.create_project(loads(file.getvalue())))
            except (DocumentError, StoreError) as error:
                st.error(str(error))


def grid(count: int) -> list[DeltaGenerator]:
    """Places for cards, four in a row."""
    rows = [st.columns(4) for _ in range(0, count, 4)]
    return [column for row in rows for column in row][:count]


def recent(rows: list[ProjectRow]) -> None:
    st.subheader("Recent projects")
    if not rows:
        st.caption("Nothing here yet. Start with a template below, or with an empty canvas.")
        return
    for column, row in zip(grid(len(rows)), rows, strict=True):
        with column, st.container(border=True, height="stretch"):
            project = loaded(row)
            if project is None:
                continue
            st.image(picture(project.main_network), width="stretch")
            st.markdown(f"**{plain(row.name)}**")
            st.caption(f"{len(project.main_network.nodes)} layers · {ago(row.updated_at)}")
            left, right = st.columns([3, 1])
            if left.button("Open", key=f"open {row.id}", width="stretch"):
                open_project(row.id)
            with right.popover("", icon=":material/more_horiz:", help="More"):
                more(row, project)


def loaded(row: ProjectRow) -> Project | None:
    """The project of a card; one that cannot be read says so on its card, and keeps no other from being shown."""
    try:
        return store.load(row.id).project
    except StoreError as error:
        st.error(str(error))
        return None


def more(row: ProjectRow, project: Project) -> None:
    if st.button("Duplicate", key=f"copy {row.id}", width="stretch"):
        store.create_project(project.model_copy(update={"name": f"{project.name} (copy)"[:200]}))
        st.rerun()
    st.download_button(
        "Save as JSON", dumps(project), "project.json", "application/json", key=f"save {row.id}", width="stretch"
    )
    st.caption("Deleting takes its versions and runs with it.")
    if st.button("Delete for ever", key=f"delete {row.id}", width="stretch"):
        store.delete_project(row.id)
        session.forget(row.id)
        st.rerun()


def gallery() -> None:
    st.subheader("Templates")
    st.caption("Complete networks with data that comes with Netloom. Each trains in seconds on a CPU.")
    every = list(templates().values())
    topics = list(dict.fromkeys(template.topic for template in every))
    chosen = st.pills("Topics", topics, label_visibility="collapsed", key="topic")
    shown = [template for template in every if chosen in (None, template.topic)]
    for column, template in zip(grid(len(shown)), shown, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.image(picture(template.project.main_network), width="stretch")
            st.markdown(f"**{template.title}**")
            st.caption(f"{template.topic} · {template.summary}")
            if st.button("Use this", key=f"template {template.name}", width="stretch"):
                open_project(store.create_project(template.project))


narrow()
st.title("Netloom")
st.markdown("Draw a neural network, train it, see why it answers as it does, and take it away as plain PyTorch.")
new_project()
recent(store.list_projects(limit=12))
gallery()
session.warm()
