"""Tasks: what a network is trained to do, as torch-free declarations. One task per file."""

from netloom.tasks.metrics import METRICS, Metric, higher_is_better, metric
from netloom.tasks.registry import student_task, task, tasks, usual_task
from netloom.tasks.task import Problem, Task

__all__ = [
    "METRICS",
    "Metric",
    "Problem",
    "Task",
    "higher_is_better",
    "metric",
    "student_task",
    "task",
    "tasks",
    "usual_task",
]
