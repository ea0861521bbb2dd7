"""All checks, and the report that they make."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality import (
    classes,
    columns,
    drift,
    duplicates,
    labels,
    missing,
    mixed_kinds,
    near_duplicates,
    outliers,
    unseen,
)
from netloom.data.quality.finding import Finding, Report, order
from netloom.data.quality.quality_view import Look

if TYPE_CHECKING:
    from netloom.document import DataChoice


class Check(Protocol):
    """Looks for one thing. A heavy one is run only where it is asked for; a severe one finds what makes results
    untrue."""

    @property
    def title(self) -> str: ...

    @property
    def heavy(self) -> bool: ...

    @property
    def severe(self) -> bool: ...

    def check(self, look: Look) -> Iterator[Finding]:
        """Everything that this check finds."""
        ...


# What is looked for wherever data is shown; everything else is for the report.
AT_ONCE: tuple[Check, ...] = (
    classes.Imbalance(),
    classes.SmallClasses(),
    missing.Missing(),
    columns.Constant(),
    columns.GivesAway(),
    unseen.UnseenLabels(),
    duplicates.Leakage(),
)
CHECKS: tuple[Check, ...] = (
    duplicates.Leakage(),
    columns.GivesAway(),
    unseen.UnseenLabels(),
    duplicates.Repeated(),
    classes.Imbalance(),
    classes.SmallClasses(),
    missing.Missing(),
    mixed_kinds.MixedKinds(),
    outliers.FarValues(),
    outliers.OddExamples(),
    columns.Constant(),
    columns.Identical(),
    mixed_kinds.RareCategories(),
    drift.SplitDrift(),
    near_duplicates.NearLeakage(),
    labels.LabelNoise(),
    outliers.UnusualRows(),
)


def looked(check: Check, look: Look) -> Iterator[Finding]:
    """What a check finds; where it saw a sample of the rows, the sentence says so, as its figures are of these."""
    for finding in check.check(look):
        if finding.exact or not look.sampled:
            yield finding
        else:
            said = f"{finding.message.rstrip('.')} (in a sample of {len(look):,} of {len(look.used):,} rows)."
            yield replace(finding, message=said)


def report(
    data: Prepared,
    choice: DataChoice | None = None,
    home: Path | None = None,
    *,
    heavy: bool = True,
    progress: Callable[[float, str], None] | None = None,
) -> Report:
    """Everything that is found in data, the worst first.

    `choice` is what fixes are made for, `home` where its upload lies, in which columns may stand that are not read;
    `progress` is told the share that is done, and what is looked for next.
    """
    began = time.perf_counter()
    look, found = Look(data, choice, home), list[Finding]()
    run = [check for check in CHECKS if heavy or not check.heavy]
    for place, check in enumerate(run):
        if progress is not None:
            progress(place / len(run), check.title)
        found += looked(check, look)
    titles = tuple(check.title for check in run)
    return Report(len(look.used), len(look), order(found), titles, time.perf_counter() - began)
