"""Errors in data that invalidate test scores; they are shown beside every score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netloom.core.delegation import Delegable
from netloom.core.errors import DataError
from netloom.data.caching import memmap_cache
from netloom.data.caching.single_flight import once
from netloom.data.preparation.prepare import choice_key, prepare
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import Finding, Fix
from netloom.data.quality.quality_view import QualityView
from netloom.data.quality.registry import quality_checks
from netloom.document import DataChoice


@dataclass(frozen=True)
class Caveat:
    """A sentence that belongs beside a score on this data, and the code of its finding."""

    code: str
    message: str


def high_findings(choice: DataChoice, home: Path | None = None) -> tuple[Finding, ...]:
    """Return the severe findings of the chosen data, cached; () if it cannot be read."""
    if not choice.dataset:
        return ()
    try:
        return _high_findings(*choice_key(choice, home))
    except DataError:
        return ()


def severe(data: Prepared, choice: DataChoice) -> tuple[Finding, ...]:
    """Return the severe findings of prepared data, without plots."""
    view = QualityView(data, choice)
    checks = [check for check in quality_checks() if check.invalidates_results]
    findings = [finding for check in checks for finding in check.findings(view) if finding.severity == "error"]
    return tuple(replace(finding, plot=None) for finding in findings)


def caveats(findings: Sequence[Finding]) -> list[Caveat]:
    """Return the caveats of a score on data with these findings."""
    return [Caveat(finding.code, finding.message) for finding in findings]


@once(256)
def _high_findings(chosen: str, home: str) -> tuple[Finding, ...]:
    return severe_findings(chosen, home)


@Delegable
def severe_findings(key: str, home: str) -> tuple[Finding, ...]:
    """Return the severe findings of a choice by its `choice_key`. A web server delegates this to a worker."""
    choice = DataChoice.model_validate_json(key)
    data = prepare(choice, Path(home) if home else None)
    # The checks of data larger than memory take long, so their findings are stored beside it.
    folder = data.raw.folder if data.raw.large else None
    stored = memmap_cache.remembered(
        folder, f"severe-{memmap_cache.key(key)}", lambda: [finding.as_json() for finding in severe(data, choice)]
    )
    return tuple(_finding_of(finding) for finding in stored)


def _finding_of(stored: dict[str, Any]) -> Finding:
    sequences = {name: tuple(stored[name]) for name in ("columns", "rows", "notes")}
    pairs = tuple((int(first), int(second)) for first, second in stored["pairs"])
    fix = Fix(**stored["fix"]) if stored["fix"] else None
    return Finding(**{**stored, **sequences, "pairs": pairs, "fix": fix})
