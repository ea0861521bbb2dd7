"""All tasks by name; a new file in this package registers itself."""

from __future__ import annotations

from functools import cache

from netloom.core.registry import discover
from netloom.data.schema import TARGET_TYPES
from netloom.document.former_names import FORMER_TASKS
from netloom.tasks.task import Task


@cache
def tasks() -> dict[str, Task]:
    """Return all tasks by name, in display order."""
    declared = discover(Task, "netloom.tasks", order=lambda kind: kind.order)
    return {name: kind() for name, kind in declared.items()}


def task(name: str) -> Task:
    """Return a task by its name, also a former one; classification if it is unknown, such as a task of a later
    version."""
    return tasks().get(FORMER_TASKS.get(name, name)) or tasks()[TARGET_TYPES["class"].usual_task]


def student_task(name: str) -> str:
    """Return the name of the task by which a network learns from one that is trained for this task; "" if none does,
    and for an unknown task."""
    task = tasks().get(name)
    return "" if task is None else task.student


def usual_task(target: str) -> Task | None:
    """Return the default task for a kind of target."""
    target_type = TARGET_TYPES.get(target)
    return tasks().get(target_type.usual_task) if target_type else None
