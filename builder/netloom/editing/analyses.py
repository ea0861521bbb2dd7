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
class _Asked:
    """An analysis that somebody makes, or has made, and what of."""

    project: Project
    schema: Schema | None
    answer: Future[Analysis] = field(default_factory=Future)

    def fits(self, project: Project, schema: Schema | None) -> bool:
        return self.project is project and self.schema is schema


class Analyses:
    """Keeps the last analysis. The lock is held to see who makes it, never while it is made: a tab waits for nothing
    but the analysis that it asks for, and an edit for none.

    `report` is told of what Netloom itself failed at.
    """

    def __init__(self, report: Callable[[Issue], None]) -> None:
        self._lock = threading.Lock()
        self._last: _Asked | None = None
        # What is not known now for such a failure is taken from here.
        self._before: Analysis | None = None
        self._report = report

    def of(self, project: Project, schema: Schema | None) -> Analysis:
        """The analysis of a project with this schema of its data."""
        with self._lock:
            asked, mine = self._last, False
            if asked is None or not asked.fits(project, schema):
                asked, mine = _Asked(project, schema), True
                self._last = asked
        if mine:
            self._make(asked)
        return asked.answer.result()

    def _make(self, asked: _Asked) -> None:
        before = self._before
        try:
            try:
                found = analyse(asked.project, asked.schema, before)
            except Exception as error:  # it raises nothing; yet all of the page hangs on it
                found = unknown(asked.project, asked.schema, before, error)
            self._before = found
            for issue in found.issues:
                if issue.detail:
                    self._report(issue)
            asked.answer.set_result(found)
        except BaseException as error:
            with self._lock:
                if self._last is asked:
                    self._last = None  # who asks again has it tried again
            asked.answer.set_exception(error)
