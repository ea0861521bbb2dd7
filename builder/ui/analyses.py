"""The analysis of a project that is open, made once for all tabs that ask for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from builder.check import Analysis, analyse
from builder.data import Schema
from builder.graph import Project


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
    but the analysis that it asks for, and an edit for none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: _Asked | None = None

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
        try:
            asked.answer.set_result(analyse(asked.project, asked.schema))
        except BaseException as error:
            with self._lock:
                if self._last is asked:
                    self._last = None  # who asks again has it tried again
            asked.answer.set_exception(error)
