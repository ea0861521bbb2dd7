"""A project is open as long as somebody looks at it, and the last few besides."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from netloom.document import blank
from netloom.editing.live import Live
from netloom.editing.open_projects import KEPT, OpenProjects
from netloom.store import Store, open_store


def opened(projects: OpenProjects, store: Store, project_id: str) -> Live:
    return projects.get(project_id, lambda: Live(store, project_id))


def test_projects_that_nobody_looks_at_are_closed(home: Path) -> None:
    store, projects = open_store(home), OpenProjects()
    ids = [store.create_project(blank(f"Project {number}")) for number in range(KEPT + 5)]
    held = opened(projects, store, ids[0])  # as the session of a tab holds it
    for project_id in ids:
        opened(projects, store, project_id)
    gc.collect()
    assert len(projects) == KEPT + 1
    assert opened(projects, store, ids[0]) is held
    last = id(opened(projects, store, ids[-1]))
    assert id(opened(projects, store, ids[-1])) == last  # a reload finds what can be undone
    del held
    for project_id in ids[1:]:
        opened(projects, store, project_id)
    gc.collect()
    assert len(projects) == KEPT
    projects.close(ids[-1])
    gc.collect()
    assert len(projects) == KEPT - 1


def test_all_who_open_a_project_at_once_get_the_same_editor(home: Path) -> None:
    store, projects = open_store(home), OpenProjects()
    project_id = store.create_project(blank("Project"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: opened(projects, store, project_id), range(24)))
    assert len(set(map(id, found))) == 1
