"""What has to be known beside the test score of a run: what its data has that makes the score untrue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.data.quality.severe_findings import Caveat

if TYPE_CHECKING:
    from netloom.store import Run

_KEY = "caveats"


def caveats_of(run: Run) -> list[Caveat]:
    """The caveats of a run that was measured."""
    return [Caveat(**item) for item in run.summary.get(_KEY, [])]


def facts(found: Sequence[Caveat]) -> dict[str, Any]:
    """What a run's summary holds of them."""
    return {_KEY: [asdict(one) for one in found]} if found else {}
