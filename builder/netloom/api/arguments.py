"""Checks of the project or run that a call receives."""

from __future__ import annotations

from netloom.core.errors import UsageError
from netloom.document import Project
from netloom.runs import TrainedRun

SEVERAL_TARGETS = (
    "to predict several columns, add the data first, and then name each of them: netloom data set NAME --target COLUMN "
    "--target COLUMN. To forecast several columns of a series, use the option target=COLUMN,COLUMN"
)


def require_project(project: object) -> None:
    """Refuse anything but a project, such as the path of a document.

    Raises:
        UsageError: this is not a project.
    """
    _require("project", project, Project, "netloom.open_project(…) opens one by its path or name")


def require_run(run: object) -> None:
    """Refuse anything but a run, such as the id of one.

    Raises:
        UsageError: this is not a run.
    """
    _require("run", run, TrainedRun, "netloom.load_run(…) loads one by its id")


def require_one_target(target: object) -> None:
    """Refuse anything but the name of one column or None, such as a list of names.

    Raises:
        UsageError: this is neither.
    """
    if target is not None:
        _require("target", target, str, SEVERAL_TARGETS)


def _require(what: str, value: object, expected: type, remedy: str) -> None:
    if not isinstance(value, expected):
        raise UsageError(f"The {what} must be a {expected.__name__}, received a {type(value).__name__}; {remedy}.")
