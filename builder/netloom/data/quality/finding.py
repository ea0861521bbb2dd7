"""Findings of quality checks, as data that pages, the command line and dataset cards show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from netloom.core.plain_json import JsonObject

Severity = Literal["error", "warning", "hint"]
MAX_EXAMPLES = 24  # rows, or pairs of rows, that a finding lists
_ORDER = {"error": 0, "warning": 1, "hint": 2}


@dataclass(frozen=True)
class Fix:
    """An edit of the document (see `netloom.document.edits`) that a button applies; `title` is its label."""

    title: str
    edit: dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """Values to draw: `bars` over `names`, a `histogram` over the `edges` of its bins in one or two `series`, or a
    `matrix` with `names` as rows and columns and values from 0 to 1."""

    kind: Literal["bars", "histogram", "matrix"]
    names: tuple[str, ...] = ()
    series: dict[str, Any] = field(default_factory=dict)
    edges: tuple[float, ...] = ()
    axis: str = ""


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        code: A stable identifier of the kind of problem.
        severity: An error invalidates test scores, a warning harms training, a hint is good to know.
        rows: Examples, by row number, at most `MAX_EXAMPLES`.
        pairs: Pairs of row numbers that belong together, such as duplicates.
        notes: A remark for each of `rows` or `pairs`.
        count: The number of affected rows, classes or values, beyond the examples.
        method: How the problem was detected, if the method has limits.
        exact: Whether all rows were checked, even if checks of this data see a sample.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    count: int = 0
    plot: Plot | None = None
    fix: Fix | None = None
    method: str = ""
    exact: bool = False

    def as_json(self) -> JsonObject:
        return asdict(self)


@dataclass(frozen=True)
class Report:
    """The findings of a quality report and the titles of its checks. `rows_checked` of `rows` rows were checked."""

    rows: int
    rows_checked: int
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    elapsed_s: float = 0.0

    def as_json(self) -> JsonObject:
        return asdict(self)


def by_severity(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings sorted by severity, errors first; the order within each severity stays."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def quoted(names: Sequence[str], most: int = 4) -> str:
    """Return names as an enumeration: 'a', 'b' and 'c'; beyond `most`, the others are counted."""
    listed = [repr(name[:60]) for name in names[:most]]
    more = len(names) - len(listed)
    if more:
        return f"{', '.join(listed)} and {more:,} more"
    return " and ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
