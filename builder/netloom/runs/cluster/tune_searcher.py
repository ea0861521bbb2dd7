"""What Ray Tune asks for the next trial: the sweep itself, which makes a run of each answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from netloom.runs import sweep_trials
from netloom.store import NotFoundError, Store, open_store


class SweepSearcher(Searcher):
    """Asks the sweep in a data folder. `order` is what the workers of trials have to know."""

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
        return {**self.__dict__, "_opened": None}  # Tune writes its searcher down now and then

    def suggest(self, trial_id: str) -> Any:
        run_id = _next(self._store, self._sweep_id)
        return Searcher.FINISHED if run_id is None else {"run": run_id, "order": self._order}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        sweep_trials.record_ended_trials(self._store, self._sweep_id)

    def save(self, checkpoint_path: str) -> None:
        """The store has everything."""

    def restore(self, checkpoint_path: str) -> None:
        """The store has everything."""


def _next(store: Store, sweep_id: str) -> str | None:
    """The run of the next trial; None where there is to be none any more."""
    while True:
        sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
        if sweep.state != "running" or len(trials) >= sweep.plan["trials"]:
            return None
        try:
            run_id = sweep_trials.start_trial(store, sweep, trials, place="waiting for Ray")
        except NotFoundError:  # another process made this one
            continue
        if run_id is not None:  # else its document cannot be trained, which is noted
            return run_id
