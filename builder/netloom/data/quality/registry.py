"""All quality checks, found by discovery."""

from __future__ import annotations

from functools import cache

from netloom.core.registry import discover
from netloom.data.quality.check import QualityCheck


@cache
def quality_checks() -> tuple[QualityCheck, ...]:
    """Return an instance of each class in the modules of `data/quality/checks`, in their order.

    Raises:
        ImportError: A module cannot be imported.
    """
    checks = discover(
        QualityCheck,
        "netloom.data.quality.checks",
        declared_by="title",
        order=lambda check: check.order,
    )
    return tuple(check() for check in checks.values())
