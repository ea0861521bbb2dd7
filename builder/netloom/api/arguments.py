"""Checks of the project or run that a call receives."""

from __future__ import annotations

from netloom.core.errors import UsageError
from netloom.document import Project
from netloom.runs import TrainedRun


def require_project(project: object) -> None:
    """Refuse anything but a project, such as the path of a document.

    Raises:
        UsageError: this is not a project.
    """
    if not isinstance(project, Project):
        raise UsageError(
            f"The project must be a Project, received a {type(project).__name__}; netloom.open_project(…) opens one by "
            "its path or name."
        )


def require_run(run: object) -> None:
    """Refuse anything but a run, such as the id of one.

    Raises:
        UsageError: this is not a run.
    """
    if not isinstance(run, TrainedRun):
        raise UsageError(
            f"The run must be a TrainedRun, received a {type(run).__name__}; netloom.load_run(…) loads one by its id."
        )
