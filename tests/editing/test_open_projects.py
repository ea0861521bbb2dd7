"""A project stays open while a session uses it; a few recent ones stay open as well."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from netloom.document import blank
from netloom.editing.live import Live
from netloom.editing.open_projects import MAX_RECENT, OpenProjects
from netloom.store import Store, open_store


def open_live(projects: OpenProjects, store: Store, project_id: str) -> Live:
    return projects.get(project_id, lambda: Live(store, project_id))


def test_unused_projects_are_closed_beyond_the_limit(home: Path) -> None:
    store, projects = open_store(home), OpenProjects()
    ids = [store.create_project(blank(f"Project {number}")) for number in range(MAX_RECENT + 5)]
    open_project = open_live(projects, store, ids[0])  # as a tab session references it
    for project_id in ids:
        open_live(projects, store, project_id)
    gc.collect()
    assert len(projects) == MAX_RECENT + 1
    assert open_live(projects, store, ids[0]) is open_project
    last = id(open_live(projects, store, ids[-1]))
    assert id(open_live(projects, store, ids[-1])) == last  # a page reload keeps the undo history
    del open_project
    for project_id in ids[1:]:
        open_live(projects, store, project_id)
    gc.collect()
    assert len(projects) == MAX_RECENT
    projects.close(ids[-1])
    gc.collect()
    assert len(projects) == MAX_RECENT - 1


def test_concurrent_opens_return_the_same_editor(home: Path) -> None:
    store, projects = open_store(home), OpenProjects()
    project_id = store.create_project(blank("Project"))
    with ThreadPoolExecutor(8) as pool:
        editors = list(pool.map(lambda _: open_live(projects, store, project_id), range(24)))
    assert len(set(map(id, editors))) == 1
