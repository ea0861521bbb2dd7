"""The errors of jobs that were ended, or failed in a worker, as a page shows them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from netloom.core import log
from netloom.core.errors import JobError
from netloom.core.text import size
from netloom.jobs.job import JobCancelledError
from netloom.jobs.workers.lanes import memory_limit


def cancelled() -> JobCancelledError:
    """Return the error of a job that was cancelled."""
    return JobCancelledError("This was canceled.")


def time_limit_error(seconds: float) -> JobError:
    """Return the error of a job that was ended at its time limit."""
    hours = f"{seconds / 3600:.3g}"
    return JobError(
        f"This was stopped after {hours} hours, the time limit of a job; choose fewer rows or steps, "
        "or set NETLOOM_JOB_HOURS."
    )


def ended_process_error(exit_code: int | None) -> JobError:
    """Return the error of a job whose process has ended."""
    how = f" (signal {-exit_code})" if exit_code is not None and exit_code < 0 else ""
    return JobError(
        f"The process that computed this ended unexpectedly{how}, perhaps because the machine ran out of memory. "
        "Another one has taken its place; try again."
    )


def reported_error(home: Path, message: Mapping[str, Any]) -> Exception:
    """Return an error from a worker, with its original class if that belongs to Netloom or to Python."""
    if message["failed"] == "memory":
        return JobError(
            f"This exceeded the memory limit of a job, {size(memory_limit())}; choose fewer rows, or set "
            "NETLOOM_JOB_MEMORY_GB."
        )
    module, name = message["class"]
    if message["failed"] == "fault":
        return _failed(home, name, str(message["details"]))
    if module.partition(".")[0] in ("netloom", "builtins"):
        kind = getattr(import_module(module), name, None)
        with contextlib.suppress(TypeError):  # the class takes other arguments than a message
            if isinstance(kind, type) and issubclass(kind, Exception):
                return kind(message["sentence"])
    return JobError(str(message["sentence"]))


def unexpected_error(home: Path, error: Exception) -> JobError:
    """Return the error of a job in whose handling this process failed; the details are written to the log."""
    return _failed(home, type(error).__name__, "".join(traceback.format_exception(error)))


def _failed(home: Path, name: str, details: str) -> JobError:
    """Return the error of a job in which Netloom itself failed; the details are written to the log."""
    path = home / log.ERRORS
    location = ""
    with contextlib.suppress(OSError):
        log.write(path, "error", where="job", traceback=details)
        location = f" The details are in {path}."
    return JobError(f"Netloom failed here ({name}).{location}")
