"""Pruning of a trial by its worker: after each epoch, whether to continue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netloom.runs.execution.pruners import PRUNERS
from netloom.store import Run, Store, Trial
from netloom.store.run_end import RunEnd
from netloom.store.sweeps import SweepPlan
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    import optuna


class TrialPruner(Callback):
    """Stops a trial after an epoch whose metrics are not promising. `end` says so then."""

    def __init__(self, store: Store, run: Run) -> None:
        self.end: RunEnd | None = None
        self._split = "validation"
        self._trial: optuna.Trial | None = None
        sweep = store.sweep(str(run.sweep_id))
        self._metric = str(sweep.plan["metric"])
        if PRUNERS[sweep.plan.get("pruner", "none")].create is None:
            return
        trials = store.trials(sweep.id)
        mine = next((trial for trial in trials if trial.run_id == run.id), None)
        if mine is not None:
            curves = monitored_curves(store, [trial.run_id for trial in trials if trial.run_id], self._metric)
            self._trial = replay_trial(sweep.id, sweep.plan, trials, curves, mine.number)

    def start(self, trainer: Trainer) -> None:
        self._split = trainer.monitored_split

    def should_continue(self, trainer: Trainer) -> bool:
        return self.end is None

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        value = values.get(self._metric) if split == self._split else None
        if self._trial is None or value is None or self.end:
            return
        self._trial.report(value, epoch)  # after an epoch, counted from 0
        if self._trial.should_prune():
            reason = f"Pruned: after epoch {epoch + 1} its {self._metric} of {value:.4g} was not promising."
            self.end = RunEnd("pruned", reason)


def monitored_curves(store: Store, run_ids: Sequence[str], metric: str) -> dict[str, list[tuple[int, float]]]:
    """Return the epochs and values of a metric on the validation rows of runs, or on the training rows of runs that
    have no validation rows."""
    validated = store.curves(run_ids, metric)
    unvalidated = [run_id for run_id, curve in validated.items() if not curve]
    return {**validated, **(store.curves(unvalidated, metric, "train") if unvalidated else {})}


def replay_trial(
    name: str, plan: SweepPlan, trials: list[Trial], curves: dict[str, list[tuple[int, float]]], number: int
) -> optuna.Trial:
    """Return trial `number` in a study that replays the trials before it in order, from their curves.

    Hyperband derives the bracket of a trial from the name of its study and its number, so these must be those of the
    sweep.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    create = PRUNERS[plan["pruner"]].create
    study = optuna.create_study(
        study_name=name,
        direction=plan["direction"],
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=create(max(1, int(plan.get("epochs", 1)))) if create else optuna.pruners.NopPruner(),
    )
    for trial_number in range(number + 1):
        trial = study.ask()
        if trial_number == number:
            break
        earlier = next((trial_of_number for trial_of_number in trials if trial_of_number.number == trial_number), None)
        curve = curves.get(earlier.run_id or "", []) if earlier else []
        for epoch, value in curve:
            trial.report(value, epoch)
            trial.should_prune()  # also records the rung that the trial reached
        if earlier is None or earlier.state in ("failed", "running") or not curve:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif earlier.state == "pruned":
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, earlier.value)
    return trial
