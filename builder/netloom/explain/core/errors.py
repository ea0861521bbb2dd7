"""Errors that say why something cannot be explained."""

from __future__ import annotations

from netloom.core.errors import UsageError


class ExplainError(ValueError):
    """The request cannot be explained; the message says in one sentence why, and what is possible."""


class UnknownChoiceError(ExplainError, UsageError):
    """The chosen output, class, node, row, method or option does not exist; the message lists valid choices."""
