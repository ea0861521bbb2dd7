"""The quality report: the findings of all checks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.progress import ProgressCallback, ignore_progress
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import Finding, Report, by_severity
from netloom.data.quality.quality_view import QualityView
from netloom.data.quality.registry import quality_checks

if TYPE_CHECKING:
    from netloom.document import DataChoice


def report(
    data: Prepared,
    choice: DataChoice | None = None,
    home: Path | None = None,
    *,
    heavy: bool = True,
    progress: ProgressCallback = ignore_progress,
) -> Report:
    """Run all checks.

    Args:
        choice: The settings of the document that fixes edit; without it, findings have no fixes.
        home: The folder of uploads, whose tables may have columns that are not part of `data`.
        heavy: Whether slow checks run.
        progress: Called before each check with its title.

    Returns:
        The findings, the most severe first.
    """
    start = time.perf_counter()
    view, findings = QualityView(data, choice, home), list[Finding]()
    checks = [check for check in quality_checks() if heavy or not check.is_slow]
    for number, check in enumerate(checks):
        progress(number / len(checks), check.title)
        findings += check.findings(view)
    titles = tuple(check.title for check in checks)
    elapsed_s = time.perf_counter() - start
    return Report(len(view.used_rows), len(view), by_severity(findings), titles, elapsed_s)
