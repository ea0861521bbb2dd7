"""The declaration of a quality check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from netloom.data.quality.finding import Finding
from netloom.data.quality.quality_view import QualityView


class QualityCheck(ABC):
    """Looks for one kind of problem in data.

    A concrete subclass in a module of `data/quality/checks` is part of the report without being listed anywhere.

    Attributes:
        title: The problem, as a phrase for the list of checks.
        order: The position among the checks; the lowest comes first.
        is_slow: Whether the check is skipped in quick reports.
        is_in_overview: Whether the check also runs wherever data is shown, so that it has to be fast.
        invalidates_results: Whether its errors make test scores untrue. These errors are shown beside each score;
            such a check is in the overview too.
    """

    title: ClassVar[str]
    order: ClassVar[int]
    is_slow: ClassVar[bool] = False
    is_in_overview: ClassVar[bool] = False
    invalidates_results: ClassVar[bool] = False

    @abstractmethod
    def check(self, view: QualityView) -> Iterator[Finding]:
        """Yield the findings of this check."""

    def findings(self, view: QualityView) -> Iterator[Finding]:
        """Yield the findings of this check; messages with figures of a sample of the rows say so."""
        for finding in self.check(view):
            if finding.exact or not view.is_sample:
                yield finding
            else:
                sample = f"in a sample of {len(view):,} of {len(view.used_rows):,} rows"
                yield replace(finding, message=f"{finding.message.rstrip('.')} ({sample}).")
