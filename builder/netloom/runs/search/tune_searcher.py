"""The searcher of Ray Tune: it asks the sweep for the next trial and creates a run for each suggestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from netloom.runs.search import sweep_trials
from netloom.store import NotFoundError, Store, open_store


class SweepSearcher(Searcher):
    """Asks the sweep in a data folder. `order` contains the settings that workers of trials need."""

    def __init__(self, home: Path, sweep_id: str, order: dict[str, Any], metric: str, mode: str) -> None:
        super().__init__(metric=metric, mode=mode)
        self._home, self._sweep_id, self._order = home, sweep_id, order
        self._opened: Store | None = None

    @property
    def _store(self) -> Store:
        if self._opened is None:
            self._opened = open_store(self._home)
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}  # Tune pickles its searcher, and a connection cannot be pickled

    def suggest(self, trial_id: str) -> Any:
        run_id = _next(self._store, self._sweep_id)
        return Searcher.FINISHED if run_id is None else {"run": run_id, "order": self._order}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        sweep_trials.record_ended_trials(self._store, self._sweep_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing, as the store has the whole state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as the store has the whole state."""


def _next(store: Store, sweep_id: str) -> str | None:
    """Return the run of the next trial; None if there are no more trials."""
    while True:
        sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
        if sweep.state != "running" or len(trials) >= sweep.plan["trials"]:
            return None
        try:
            run_id = sweep_trials.start_trial(store, sweep, trials, worker_host="waiting for Ray")
        except NotFoundError:  # another process has created this trial
            continue
        if run_id is not None:  # otherwise its document cannot be trained, which is recorded in the trial
            return run_id
