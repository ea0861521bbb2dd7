"""What has to be known beside the test score of a run: what its data has that makes the score untrue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netloom.data.quality.severe_findings import Caveat

if TYPE_CHECKING:
    from netloom.store import Run
    from netloom.store.run_summary import NotedCaveat


def caveats_of(run: Run) -> list[Caveat]:
    """The caveats of a run that was measured."""
    return [Caveat(**item) for item in run.summary.get("caveats", [])]


def as_summary(caveats: Sequence[Caveat]) -> list[NotedCaveat]:
    """The caveats as the summary of a run holds them."""
    return [{"code": caveat.code, "message": caveat.message} for caveat in caveats]
