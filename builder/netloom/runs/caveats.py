"""Caveats of the test metrics of a run: findings in its data that invalidate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netloom.data.quality.severe_findings import Caveat
from netloom.store.run_summary import NotedCaveat

if TYPE_CHECKING:
    from netloom.store import Run


def caveats_of(run: Run) -> list[Caveat]:
    """Return the caveats of an evaluated run."""
    return [Caveat(item.code, item.message) for item in run.summary.caveats]


def as_summary(caveats: Sequence[Caveat]) -> tuple[NotedCaveat, ...]:
    """Return the caveats as the summary of a run stores them."""
    return tuple(NotedCaveat(code=caveat.code, message=caveat.message) for caveat in caveats)
