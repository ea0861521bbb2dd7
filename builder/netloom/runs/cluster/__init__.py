"""Training on a Ray cluster: one run on several workers by Ray Train; `search` has the trials of a sweep by Ray Tune.

Ray is an extra (`pip install -e ".[cluster]"`) and is imported when first needed.
"""

from __future__ import annotations

from importlib.util import find_spec

from netloom.document import Project
from netloom.tasks import task
from netloom.training.weights.initialization import StartError

RAY = "ray"
MAX_WORKERS = 1_024


def available() -> bool:
    """Return whether Ray is installed on this machine."""
    return find_spec("ray") is not None


def check(project: Project, workers: int, *, on_this_machine: bool = True) -> None:
    """Check that a project can be trained with this number of workers. Ray can be missing unless the run starts
    `on_this_machine`.

    Raises:
        StartError: the project cannot be trained with these workers.
    """
    trained = task(project.training.objective)
    if on_this_machine and not available():
        raise StartError(
            'Ray is not installed here; add it with pip install -e ".[cluster]", or train on this machine.'
        )
    if not 1 <= workers <= MAX_WORKERS:
        raise StartError(f"The number of workers must be from 1 to {MAX_WORKERS:,}, received {workers}.")
    if trained.environment and workers > 1:
        raise StartError(
            f"{trained.title} learns from the steps of one agent, which cannot be divided; choose 1 worker."
        )
    if trained.alternating and workers > 1:
        raise StartError(
            f"{trained.title} trains two networks alternately, which several workers do not support; choose 1 worker."
        )
