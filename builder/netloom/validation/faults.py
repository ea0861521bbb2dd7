"""Failures of Netloom itself as issues, so that one layer or rule that fails does not stop the rest."""

from __future__ import annotations

import traceback

from netloom.core.text import plain
from netloom.validation.issue import Issue, Severity

CODE = "internal"
MAX_DETAIL = 20_000


def fault(
    error: BaseException, doing: str, network: str, node: str | None = None, severity: Severity = "error"
) -> Issue:
    """Return the issue for an unexpected exception.

    `doing` is the failed action, such as "measure Linear (linear_1)".
    """
    text = plain(str(error))[:200].rstrip(". ")
    cause = type(error).__name__ + (f": {text}" if text else "")
    return Issue(
        code=CODE,
        severity=severity,
        message=f"Netloom failed to {doing} ({cause}) because of a bug. The previous results are shown. Please report "
        f"this{'; as a workaround, try another layer or other parameters' if node else ''}.",
        network=network,
        node=node,
        detail="".join(traceback.format_exception(error))[-MAX_DETAIL:],
    )
