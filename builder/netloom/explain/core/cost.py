"""The shapes and costs of a network that is trained already, and so needs no check."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.validation import Context


def measure_network(project: Project) -> Context:
    """The main network with all that it is made of, as `analyse` finds it, without its rules: those generate code and
    look for what is wrong, which takes ten times as long.

    Raises:
        RuntimeError: never of a network that was trained, of which there is room for one.
    """
    from netloom.validation.context import ContextCache

    analysis = ContextCache(project, None).use(project.main)
    if analysis is None:
        raise RuntimeError("The main network could not be measured.")
    return analysis
