"""Settings of the training section that have no effect on the loss, given the task and the other settings."""

from __future__ import annotations

from netloom.document import Training
from netloom.tasks.registry import tasks


def unread_settings(training: Training) -> set[str]:
    """Return the names of the settings of losses that the task does not read; empty for an unknown task."""
    task = tasks().get(training.objective)
    if task is None:
        return set()
    return {name for task in tasks().values() for name in task.settings}.difference(task.read_settings(training))
