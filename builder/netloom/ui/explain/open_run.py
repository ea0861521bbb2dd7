"""A run on the Explain page: its document and its data. Its network is in the workers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from netloom.compile import input_fields
from netloom.data import Prepared, prepare
from netloom.data.caching.single_flight import once
from netloom.data.preparation.fitted_state import with_stored_state
from netloom.document import Project
from netloom.store import Run, Store
from netloom.training.objectives import OBJECTIVES, Objective


@dataclass(frozen=True)
class OpenRun:
    """A run with its document and data."""

    project: Project
    data: Prepared
    run: Run

    @cached_property
    def objective(self) -> Objective:
        training = self.project.training
        return OBJECTIVES[training.objective].described(training, self.data.schema)

    @property
    def fields(self) -> list[str]:
        """The fields of the data in the order of the network's inputs."""
        return input_fields(self.project)


def open_run(store: Store, run_id: str, written_at: float) -> OpenRun:
    """Return a run of the store. The last few are cached, by the time at which their weights were written.

    Raises:
        DataError: its data does not exist any more.
        FileNotFoundError: it has no document.
    """
    return _open_run(store, run_id, written_at)


def forget_open_runs() -> None:
    """Clear the cache of runs and their data."""
    _open_run.cache_clear()


@once(6)
def _open_run(store: Store, run_id: str, written_at: float) -> OpenRun:
    artifacts = store.artifacts(run_id)
    project = artifacts.project()
    return OpenRun(project, with_stored_state(prepare(project.data, store.home), artifacts), store.run(run_id))
