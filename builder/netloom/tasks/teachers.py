"""What tasks share that also learn from the outputs of an earlier run."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.core.text import in_sentence
from netloom.document import Training
from netloom.tasks.task import Problem, Task


def missing_teacher(training: Training, alone: type[Task]) -> Iterator[Problem]:
    """Yield the problem that no teacher is chosen; its fix is the task that learns without one."""
    if not training.teacher:
        title = in_sentence(alone.title)
        yield Problem(
            "teacher",
            "Knowledge distillation needs a teacher; choose a finished run as the teacher, or change the objective to "
            f"{title}.",
            f"Change the objective to {title}",
            {"objective": alone.name},
        )
