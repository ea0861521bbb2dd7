"""Warnings about data that invalidates test scores, beside the scores."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.data.quality.severe_findings import Caveat
from netloom.ui.components.errors import show_error

REPORT = ":material/report:"


def score_caveats(caveats: Sequence[Caveat]) -> None:
    """Draw the caveats of the scores of a run."""
    if not caveats:
        return
    show_error([caveat.message for caveat in caveats], head="These scores are misleading.", icon=REPORT)
