"""Sweeps: many runs of one document with different values, chosen by a grid, at random, or from earlier results.

A separate process advances them (`sweep_process`). Any process that monitors runs restarts it, so a sweep lives as long
as its store. Cross-validation folds and repeated seeds are grids.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.data import prepare, schema
from netloom.document import Edit, Project
from netloom.runs import control
from netloom.runs.execution.pruners import PRUNERS
from netloom.runs.history.fanova import MIN_RESULTS, fanova
from netloom.runs.search.samplers import SAMPLERS, study
from netloom.runs.search.search_space import SpaceError, assign, check_space, edit, grid
from netloom.runs.search.sweep_process import tend
from netloom.store import NotFoundError, Store, StoreError, Sweep, Trial
from netloom.store.run_summary import RunOrigin
from netloom.store.sweeps import SweepPlan
from netloom.tasks import higher_is_better
from netloom.training.objectives import OBJECTIVES

MAX_TRIALS = 10_000


@dataclass(frozen=True)
class SweepKind:
    """What a sweep is for. `repeat` returns the project and the plan of a number of repetitions of the same training,
    whose plural is `name`; a search has none."""

    name: str
    title: str
    help: str
    repeat: Callable[..., tuple[Project, SweepPlan]] | None = None
    # What users have to know about the confidence intervals of the repetitions.
    caveat: str = ""

    @property
    def is_search(self) -> bool:
        return self.repeat is None


def kind_of(plan: SweepPlan) -> SweepKind:
    return KINDS[plan["kind"]]


def plan(
    project: Project,
    space: Any,
    *,
    trials: int = 20,
    sampler: str = "tpe",
    pruner: str = "none",
    metric: str = "loss",
    direction: str = "",
    seed: int = 0,
    parallel: int = 1,
    kind: str = "search",
    backend: str = "",
) -> SweepPlan:
    """Return a validated plan of a sweep.

    Raises:
        SpaceError: the space cannot be searched, or a setting is invalid.
    """
    for name, value, options in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS), ("kind", kind, KINDS)):
        if value not in options:
            raise SpaceError(f"There is no {name} {value!r:.40}; choose one of {', '.join(options)}.")
    if not 1 <= trials <= MAX_TRIALS:
        raise SpaceError(f"The number of trials must be from 1 to {MAX_TRIALS:,}, received {trials}.")
    if not 1 <= parallel <= 64:
        raise SpaceError(f"The number of parallel trials must be from 1 to 64, received {parallel}.")
    search_space = check_space(project, space)
    rises = higher_is_better(metric)
    if direction not in ("", "minimize", "maximize"):
        raise SpaceError(f"The direction must be minimize or maximize, received {direction!r:.40}.")
    sweep_plan: SweepPlan = {
        "kind": kind,
        "space": search_space,
        "trials": trials,
        "sampler": sampler,
        "pruner": pruner,
        "metric": metric,
        "direction": "maximize" if direction == "maximize" or (rises and not direction) else "minimize",
        "seed": seed,
        "parallel": parallel,
        "epochs": project.training.epochs,
        "backend": backend,
    }
    if SAMPLERS[sampler].uses_grid:
        size = len(grid(search_space))
        sweep_plan |= {"trials": min(trials, size), "spread": trials < size}
    return sweep_plan


def start(store: Store, project_id: str, project: Project, plan: SweepPlan, *, title: str = "", owner: str = "") -> str:
    """Start a sweep over a document with a plan from `plan`; its trials are queued as runs of `owner`. Returns the id
    of the sweep.

    Raises:
        SpaceError: the curves do not have the metric, or a search would select trials by metrics on training rows, as
            the data has no validation rows.
        DataError: the data cannot be read.
    """
    _refuse_unknown_metric(store, project, plan)
    _refuse_search_without_validation(store, project, plan)
    title = title or f"{project.name}: {_description(plan)}"
    sweep = store.create_sweep(project_id, project, plan, title=title, owner=owner)
    tend(store)
    return sweep.id


def _refuse_unknown_metric(store: Store, project: Project, plan: SweepPlan) -> None:
    """Refuse a metric that no trial would have on its curves, such as one of the evaluation after training."""
    objective = OBJECTIVES[project.training.objective]
    if plan["metric"] in objective.monitors:
        return
    # The metrics of some tasks depend on the data
    fields = schema(project.data, store.home)
    described = objective.described(project.training, fields) if fields else objective
    if plan["metric"] not in {*described.monitors, *described.metrics}:
        raise SpaceError(
            f"{described.task.title} has no metric {plan['metric'][:40]!r} on validation rows during training; "
            f"choose one of {', '.join(described.monitors)}."
        )


def _refuse_search_without_validation(store: Store, project: Project, plan: SweepPlan) -> None:
    """Refuse a search by metrics on training rows, which prefers overfitting. Repetitions select nothing."""
    values = plan["space"].get("data.validation", {}).get("choices", [project.data.validation])
    if not kind_of(plan).is_search or 0 not in values:
        return
    choice = project.data.model_copy(update={"validation": 0.0})
    if prepare(choice, store.home).monitored_split != "validation":
        raise SpaceError(
            "A search compares trials on validation rows, but with a validation share of 0 the data has none; set the "
            "share above 0, such as 0.15. Cross-validation and repeated seeds work without validation rows."
        )


def folds(project: Project, count: int, **more: Any) -> tuple[Project, SweepPlan]:
    """Return a project and a plan for cross-validation: every row is tested once, by a network that was not trained on
    it.

    Raises:
        SpaceError: there are too few or too many folds.
    """
    if not 2 <= count <= 100:
        raise SpaceError(f"The number of folds must be from 2 to 100, received {count}.")
    parted = assign(project, {"data.folds": count, "data.fold": 0})
    space = {"data.fold": {"choices": list(range(count))}}
    return parted, plan(parted, space, trials=count, sampler="grid", kind="folds", **more)


def seeds(project: Project, count: int, **more: Any) -> tuple[Project, SweepPlan]:
    """Return a project and a plan that repeat a run with different initial weights and row orders, to measure the
    random variation of its result.

    Raises:
        SpaceError: there are too few or too many seeds.
    """
    if not 2 <= count <= 1_000:
        raise SpaceError(f"The number of seeds must be from 2 to 1,000, received {count}.")
    first = project.training.seed
    space = {"training.seed": {"choices": [(first + index) % 2**31 for index in range(count)]}}
    return project, plan(project, space, trials=count, sampler="grid", kind="seeds", **more)


def stop(store: Store, sweep_id: str) -> None:
    """Create no further trials and stop the active ones; the sweep can be resumed."""
    if store.stop_sweep(sweep_id):
        for trial in store.trials(sweep_id):
            if trial.state == "running" and trial.run_id:
                with contextlib.suppress(NotFoundError):  # the run was deleted a moment ago
                    store.note_about(trial.run_id, RunOrigin(halted=True))
                    control.stop(store, trial.run_id)
        tend(store)


def resume(store: Store, sweep_id: str, *, more: int = 0, owner: str | None = None) -> None:
    """Resume a stopped sweep, or add `more` trials to a finished one, queued for `owner`, by default for the owner of
    the sweep.

    Raises:
        StoreError: there is no such sweep, or it was changed at the same time.
    """
    sweep = store.sweep(sweep_id)
    plan: SweepPlan = {**sweep.plan, "trials": sweep.plan["trials"] + min(more, remaining_trials(sweep))}
    owner = sweep.owner if owner is None else owner
    if not store.change_sweep(sweep, owner=owner, plan=plan, state="running", reason="", ended_at=None):
        raise StoreError("This sweep was changed by someone else at the same moment; reload it and try again.")
    tend(store)


def remaining_trials(sweep: Sweep) -> int:
    """Return the number of further trials that are possible, as a grid is finite."""
    most = len(grid(sweep.plan["space"])) if SAMPLERS[sweep.plan["sampler"]].uses_grid else MAX_TRIALS
    return max(0, min(MAX_TRIALS, most) - int(sweep.plan["trials"]))


def best(sweep: Sweep, trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the best result so far."""
    done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    sign = -1 if sweep.plan["direction"] == "maximize" else 1
    return min(done, key=lambda trial: sign * float(trial.value or 0.0), default=None)


def best_edit(sweep: Sweep, project: Project, trial: Trial, home: Path) -> Edit:
    """Return the edit that assigns the values of a trial in a project.

    Raises:
        DataError: the data cannot be read.
        SpaceError: the project has changed, and no longer has these paths.
    """
    check_space(project, {path: {"choices": [value]} for path, value in trial.assigned.items()})
    return edit(project, trial.assigned, home)


def missing_results(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """Return a sentence for a cross-validation or a repetition whose statistics lack failed trials; else ""."""
    failed = sum(trial.state == "failed" for trial in trials)
    kind = kind_of(sweep.plan)
    if kind.is_search or not failed:
        return ""
    return f"{failed} of {sweep.plan['trials']} {kind.name} failed and are not part of these statistics."


def importance(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, float]:
    """Return the share of the variation of results that each parameter explains by fANOVA, the largest first; empty
    with too few results."""
    done = [trial for trial in trials if trial.state == "complete"]
    varied = [path for path in sweep.plan["space"] if len({json.dumps(trial.assigned.get(path)) for trial in done}) > 1]
    if len(done) < MIN_RESULTS or not varied or len({trial.value for trial in done}) < 2:
        return {}
    import optuna

    # A study needs a sampler, which draws nothing here.
    return fanova(study(sweep, done, optuna.samplers.RandomSampler(seed=0)), varied)


def _description(plan: SweepPlan) -> str:
    kind = kind_of(plan)
    return f"{SAMPLERS[plan['sampler']].label} sweep" if kind.is_search else f"{plan['trials']} {kind.name}"


_ALL = (
    SweepKind("search", "Search", "Hyperparameter search. Each trial is an ordinary run in the queue."),
    SweepKind(
        "folds",
        "Cross-validation",
        "Every row is tested once, by a model that was not trained on it.",
        folds,
        "Folds share most of their training rows, so the true interval is wider.",
    ),
    SweepKind(
        "seeds",
        "Seeds",
        "Repeats the run with other random seeds, to measure how much the result varies.",
        seeds,
    ),
)
KINDS: dict[str, SweepKind] = {kind.name: kind for kind in _ALL}
