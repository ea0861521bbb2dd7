"""Settings of the training section that have no effect on the loss, given the task and the other settings."""

from __future__ import annotations

from functools import cache

from netloom.document import Training
from netloom.tasks.registry import tasks


def unread_settings(training: Training) -> set[str]:
    """Return the names of the settings of losses that the task does not read; empty for an unknown task."""
    task = tasks().get(training.objective)
    if task is None:
        return set()
    return set(_settings().difference(task.read_settings(training)))


@cache
def _settings() -> frozenset[str]:
    """Return the settings of the losses of all tasks; every edit of a document needs them."""
    return frozenset(name for task in tasks().values() for name in task.settings)
