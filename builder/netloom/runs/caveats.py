"""Caveats of the test metrics of a run: findings in its data that invalidate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netloom.data.quality.severe_findings import Caveat

if TYPE_CHECKING:
    from netloom.store import Run
    from netloom.store.run_summary import NotedCaveat


def caveats_of(run: Run) -> list[Caveat]:
    """Return the caveats of an evaluated run."""
    return [Caveat(**item) for item in run.summary.get("caveats", [])]


def as_summary(caveats: Sequence[Caveat]) -> list[NotedCaveat]:
    """Return the caveats as the summary of a run stores them."""
    return [{"code": caveat.code, "message": caveat.message} for caveat in caveats]
