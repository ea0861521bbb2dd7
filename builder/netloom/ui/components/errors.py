"""The display and the log of errors on pages."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.core import log
from netloom.core.data_folder import home
from netloom.core.text import escape
from netloom.ui.components.streamlit_internals import ERROR_LOGGER


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Context that shows an error of a page as a sentence. Also a decorator, for fragments.

    The messages of Netloom's errors are sentences; the tracebacks of other errors are logged.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "netloom":
            show_error(error)
            return
        log_path = _keep(home(), error)
        hint = f" The details are in {log_path}." if log_path else ""
        name = type(error).__name__
        show_error(f"Netloom failed here ({name}). Your work is saved. Reload the page to continue.{hint}")


def show_error(
    problem: object, container: DeltaGenerator | None = None, *, head: str = "", icon: str | None = None
) -> None:
    """Show an error, a sentence, or a list of them, below a heading.

    The text may quote a document, a file or a run of another user, so it is escaped: an image in it would be fetched
    from any address as soon as it is shown.
    """
    lines = [escape(str(item)) for item in (problem if isinstance(problem, list) else [problem])]
    above = [f"**{head}**"] if head else []
    text = "\n".join([*above, "", *(f"- {line}" for line in lines)]) if len(lines) > 1 else " ".join([*above, *lines])
    (st if container is None else container).error(text, icon=icon)


@cache
def keep_callback_errors() -> logging.Handler:
    """Log the errors of widget callbacks as well, which Streamlit calls before the page and outside of `guard`."""
    handler = _Handler(logging.ERROR)
    logging.getLogger(ERROR_LOGGER).addHandler(handler)
    return handler


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            _keep(home(), record.exc_info[1])


def _keep(folder: Path, error: BaseException) -> Path | None:
    """Log the traceback of an error; return the path of the log, or None if it cannot be written."""
    path = folder / log.ERRORS
    try:
        log.write(path, "error", where="page", traceback="".join(traceback.format_exception(error)))
    except OSError:
        return None
    return path
