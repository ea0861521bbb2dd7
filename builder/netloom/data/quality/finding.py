"""What is remarkable about data, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "hint"]
SHOWN = 24  # rows, or pairs of rows, that a finding names to be looked at
_ORDER = {"error": 0, "warning": 1, "hint": 2}


@dataclass(frozen=True)
class Fix:
    """A mend that one click applies: what the button says, and the edit (see netloom.document.edits)."""

    title: str
    edit: dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """Numbers to draw: `bars` over names, a `histogram` over the edges of its bins in one or two `series`, or a
    `matrix` whose rows and columns are `names`, with values from 0 to 1."""

    kind: Literal["bars", "histogram", "matrix"]
    names: tuple[str, ...] = ()
    series: dict[str, Any] = field(default_factory=dict)
    edges: tuple[float, ...] = ()
    axis: str = ""


@dataclass(frozen=True)
class Finding:
    """One finding. `rows` are to be looked at, `pairs` belong together, `count` is how many there are altogether.

    An error makes what is measured on the test rows untrue, a warning harms training, a hint is good to know.
    `method` says how it was found, where that has limits. It is `exact` where all rows were looked at, even of data of
    which checks see a sample.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()  # a word beside each row
    count: int = 0
    plot: Plot | None = None
    fix: Fix | None = None
    method: str = ""
    exact: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Report:
    """What was found in data, and what was looked for. `looked_at` is how many of its rows were: all, or a sample."""

    rows: int
    looked_at: int
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    elapsed_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then hints; otherwise as they were found."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def named(names: Sequence[str], most: int = 4) -> str:
    """Some names in a sentence."""
    shown = [repr(name[:60]) for name in names[:most]]
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def are(count: int, one: str, many: str = "") -> str:
    """A count with its noun: 1 row, 2 rows."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
