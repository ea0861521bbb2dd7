"""Labels and names in error messages, shortened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SHOWN = 20  # names that a message lists


def shown(label: Any) -> str:
    """Return a label in quotes, up to 60 characters."""
    return repr(label)[:60]


def listed(names: Sequence[str]) -> str:
    """Return names in quotes, separated by commas."""
    return ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
