"""Issues of a project and their fixes, as data."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Literal

from netloom.core.plain_json import JsonObject
from netloom.document import Edit

Severity = Literal["error", "warning", "hint"]
_ORDER = {"error": 0, "warning": 1, "hint": 2}


@dataclass(frozen=True)
class Fix:
    """An edit that solves an issue with one click, and the text of its button (see netloom.document.edits)."""

    title: str
    edit: Edit


@dataclass(frozen=True)
class Issue:
    """One problem. `node` and its `port` or `field` are its location; all are None if it concerns the whole network.

    With `training_only`, the network runs and only its training is prevented. `detail` is for the log: the traceback of
    a failure of Netloom itself (see netloom.validation.faults).
    """

    code: str
    severity: Severity
    message: str
    network: str = "main"
    node: str | None = None
    port: str | None = None
    field: str | None = None
    fix: Fix | None = None
    training_only: bool = False
    detail: str = dataclass_field(default="", compare=False, repr=False)

    def as_json(self) -> JsonObject:
        fix: JsonObject | None = {"title": self.fix.title, "edit": self.fix.edit} if self.fix else None
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "network": self.network,
            "node": self.node,
            "port": self.port,
            "fix": fix,
        }


def by_severity(issues: list[Issue]) -> list[Issue]:
    """Sort issues by severity: errors, warnings, hints. The sort is stable."""
    return sorted(issues, key=lambda issue: _ORDER[issue.severity])
