"""The check of an imported network: what cannot run is refused, and what cannot be trained here is a remark."""

from __future__ import annotations

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.core.text import plain
from netloom.document import Project
from netloom.validation import analyze


def check_network(project: Project) -> tuple[str, ...]:
    """Check an imported network. Returns remarks on what prevents its training, such as its need for memory.

    Raises:
        UnreadableModelError: The network cannot run.
    """
    analysis = analyze(project)
    if analysis.network_errors:
        raise UnreadableModelError(f"The imported network is not valid: {plain(analysis.network_errors[0].message)}")
    by_kind: dict[str, list[str]] = {}
    for issue in analysis.errors:
        by_kind.setdefault(issue.code, []).append(issue.message)
    return tuple(
        f"{first} {len(further) + 1} layers have this problem." if further else first
        for first, *further in by_kind.values()
    )
