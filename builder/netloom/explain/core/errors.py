"""Why something cannot be explained."""

from __future__ import annotations

from netloom.core.errors import UsageError


class ExplainError(ValueError):
    """What was asked for cannot be explained; the message is one sentence that says why, and what can."""


class UnknownChoiceError(ExplainError, UsageError):
    """An output, class, node, row, method or option was asked for that does not exist; the message lists what does."""
