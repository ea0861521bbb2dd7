"""The analysis of a project that is open, made once for all tabs that ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from netloom.data import Schema
from netloom.document import Project
from netloom.validation import Analysis, Issue, analyse, unknown


@dataclass(frozen=True)
class _Request:
    """An analysis that somebody makes, or has made, and what of."""

    project: Project
    schema: Schema | None
    future: Future[Analysis] = field(default_factory=Future)

    def fits(self, project: Project, schema: Schema | None) -> bool:
        return self.project is project and self.schema is schema


class Analyses:
    """Keeps the last analysis. The lock is held to see who makes it, never while it is made: a tab waits for nothing
    but the analysis that it asks for, and an edit for none.

    `report` is told of what Netloom itself failed at.
    """

    def __init__(self, report: Callable[[Issue], None]) -> None:
        self._lock = threading.Lock()
        self._last: _Request | None = None
        # What is not known now for such a failure is taken from here.
        self._previous: Analysis | None = None
        self._report = report

    def of(self, project: Project, schema: Schema | None) -> Analysis:
        """The analysis of a project with this schema of its data."""
        with self._lock:
            request, is_new = self._last, False
            if request is None or not request.fits(project, schema):
                request, is_new = _Request(project, schema), True
                self._last = request
        if is_new:
            self._compute(request)
        return request.future.result()

    def _compute(self, request: _Request) -> None:
        before = self._previous
        try:
            try:
                analysis = analyse(request.project, request.schema, before)
            except Exception as error:  # it raises nothing; yet all of the page hangs on it
                analysis = unknown(request.project, request.schema, before, error)
            self._previous = analysis
            for issue in analysis.issues:
                if issue.detail:
                    self._report(issue)
            request.future.set_result(analysis)
        except BaseException as error:
            with self._lock:
                if self._last is request:
                    self._last = None  # who asks again has it tried again
            request.future.set_exception(error)
