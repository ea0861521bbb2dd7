"""Runs of templates, for the benchmarks of pages."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.store import Store


def finished_runs(store: Store, names: Sequence[str], epochs: int) -> dict[str, tuple[str, str]]:
    """Return the ids of the project and of the finished run of each template."""
    from netloom import runs
    from netloom.templates import templates

    finished = {}
    for name in names:
        template = templates()[name].project
        training = template.training.model_copy(update={"epochs": epochs, "device": "cpu"})
        project = template.model_copy(update={"training": training})
        project_id = store.create_project(project)
        run_id = runs.start(store, project_id, project)
        if runs.wait(store, run_id, 600).state == "finished":
            finished[name] = (project_id, run_id)
    return finished
