"""The menu of a project's card: rename, duplicate, save and delete."""

from __future__ import annotations

import streamlit as st

from netloom.document import Project, dumps
from netloom.runs import ACTIVE
from netloom.store import ProjectRow, Store, StoreError
from netloom.ui.components.errors import show_error
from netloom.ui.home.state import Key
from netloom.ui.shell import session


def project_menu(store: Store, row: ProjectRow, project: Project) -> None:
    """Draw the menu of a card."""
    named = st.text_input("Name", row.name, max_chars=200, key=Key.NAME.of(row.id, row.name)).strip()
    if st.button("Rename", key=Key.RENAME.of(row.id), width="stretch", disabled=named in ("", row.name)):
        _rename(row.id, named)
    if st.button("Duplicate", key=Key.COPY.of(row.id), width="stretch"):
        store.create_project(project.model_copy(update={"name": f"{project.name[:193]} (copy)"}))
        st.rerun()
    st.download_button(
        "Save as JSON", dumps(project), "project.json", "application/json", key=Key.SAVE.of(row.id), width="stretch"
    )
    if st.toggle("Delete project", key=Key.SURE.of(row.id)):
        _delete(store, row)


def _rename(project_id: str, name: str) -> None:
    """Rename a project through its editor, so that tabs that show it are updated and Undo reverts it."""
    try:
        problems = session.live(project_id).apply({"kind": "project", "name": name})
    except (ValueError, StoreError) as error:
        problems = [str(error)]
    if problems:
        show_error(" ".join(problems))
    else:
        st.rerun()


def _delete(store: Store, row: ProjectRow) -> None:
    going = sum(run.state in ACTIVE for run in store.runs(row.id))
    ends = f" The {going} active runs stop immediately." if going > 1 else " The active run stops immediately."
    st.caption(f"Deletes the versions and runs, too. This cannot be undone.{ends if going else ''}")
    if st.button("Delete permanently", type="primary", key=Key.DELETE.of(row.id), width="stretch"):
        store.delete_project(row.id)  # a worker whose run is gone ends by itself
        session.forget(row.id)
        st.rerun()
