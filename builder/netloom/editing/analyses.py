"""The analysis of an open project, computed once for all tabs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from netloom.core.errors import JobError
from netloom.data import Schema
from netloom.document import Project
from netloom.validation import Analysis, Issue, analyze, failed_analysis


@dataclass(frozen=True)
class _Request:
    """An analysis that is computed or done, and its inputs."""

    project: Project
    schema: Schema | None
    future: Future[Analysis] = field(default_factory=Future)

    def fits(self, project: Project, schema: Schema | None) -> bool:
        return self.project is project and self.schema is schema


class Analyses:
    """Keeps the last analysis. The lock is held to decide who computes it, never during the computation: a tab waits
    only for the analysis that it needs, and an edit waits for none.

    `report` is called with each issue about a failure of Netloom itself.
    """

    def __init__(self, report: Callable[[Issue], None]) -> None:
        self._lock = threading.Lock()
        self._last: _Request | None = None
        # Replaces what a failure of Netloom leaves unknown.
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
                analysis = analyze(request.project, request.schema, before)
            except JobError:
                raise
            except Exception as error:  # analyze() should not raise, but the whole page depends on it
                analysis = failed_analysis(request.project, request.schema, before, error)
            self._previous = analysis
            for issue in analysis.issues:
                if issue.detail:
                    self._report(issue)
            request.future.set_result(analysis)
        except BaseException as error:
            with self._lock:
                if self._last is request:
                    self._last = None  # the next call tries again
            request.future.set_exception(error)
