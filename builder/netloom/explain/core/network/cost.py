"""Shapes and costs of a trained network, without validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.validation import Context


def measure_network(project: Project) -> Context:
    """Analyze the main network and its subnetworks as `analyze`, but without its rules.

    The rules generate code and search for problems, which takes ten times as long.

    Raises:
        RuntimeError: The network could not be measured, which does not happen for a trained network.
        JobError: A worker measures layers for this process, and it ended.
    """
    from netloom.validation.analysis import with_measurements
    from netloom.validation.context_cache import ContextCache

    analysis = with_measurements(
        project, lambda measure: ContextCache(project, None, measure=measure).use(project.main)
    )
    if analysis is None:
        raise RuntimeError("The main network could not be measured.")
    return analysis
