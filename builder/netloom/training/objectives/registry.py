"""All objectives by the name of their task; a new file in this package registers itself."""

from __future__ import annotations

from functools import cache

from netloom.core.registry import discover
from netloom.training.objectives.objective import Objective


@cache
def objectives() -> dict[str, Objective]:
    """Return all objectives in the order of tasks."""
    classes = discover(
        Objective,
        "netloom.training.objectives",
        declared_by="task",
        name=lambda kind: kind.task.name,
        order=lambda kind: kind.task.order,
    )
    return {name: kind() for name, kind in classes.items()}
