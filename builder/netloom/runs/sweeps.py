"""Sweeps: many runs of one document with other values, chosen by a grid, by chance, or by the results of earlier ones.

No process of its own drives a sweep. Whoever sees a trial end (its worker, a server, a terminal) asks for the next; the
store sees to it that each is made once. So a sweep lives as long as its store. Folds of the data and seeds are grids.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from netloom.compile import CompileError
from netloom.data import DataError
from netloom.document import DocumentError, Edit, Project, loads
from netloom.runs import cluster, control
from netloom.runs.capacity import limits
from netloom.runs.cluster import drivers
from netloom.runs.search_space import SpaceError, assign, checked, edit, grid
from netloom.runs.trial import PRUNED, PRUNERS
from netloom.store import Full, Missing, Run, Store, StoreError, Sweep, Trial
from netloom.tasks import higher_is_better
from netloom.training.initialization import StartError
from netloom.validation.issue import Issue

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random", "grid")
KINDS = ("search", "folds", "seeds")
MAX_TRIALS = 10_000
GOLDEN = (math.sqrt(5) - 1) / 2
# How often a trial whose worker was killed is taken up again.
RETRIES = 2
_SPOILT = (CompileError, DataError, StartError, SpaceError, DocumentError)


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
) -> dict[str, Any]:
    """What a sweep is to do, checked.

    Raises:
        SpaceError: the space cannot be searched, or a setting is none.
    """
    for name, value, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS), ("kind", kind, KINDS)):
        if value not in known:
            raise SpaceError(f"There is no {name} {value!r:.40}; there are {', '.join(known)}.")
    if not 1 <= trials <= MAX_TRIALS:
        raise SpaceError(f"A sweep makes 1 to {MAX_TRIALS:,} trials, received {trials}.")
    if not 1 <= parallel <= 64:
        raise SpaceError(f"A sweep runs 1 to 64 trials at once, received {parallel}.")
    found = checked(project, space)
    rises = higher_is_better(metric)
    direction = direction or ("maximize" if rises else "minimize")
    if direction not in ("minimize", "maximize"):
        raise SpaceError(f"A measure is to minimize or to maximize, received {direction!r:.40}.")
    made = {"kind": kind, "space": found, "trials": trials, "sampler": sampler, "pruner": pruner, "metric": metric}
    if sampler == "grid":
        size = len(grid(found))
        made |= {"trials": min(trials, size), "spread": trials < size}
    return {
        **made,
        "direction": direction,
        "seed": seed,
        "parallel": parallel,
        "epochs": project.training.epochs,
        "backend": backend,
    }


def begin(
    store: Store, project_id: str, project: Project, made: dict[str, Any], *, title: str = "", owner: str = ""
) -> str:
    """Start a sweep over a document as `plan` made it, whose trials take turns as runs of `owner`. Returns the sweep's
    id."""
    title = title or f"{project.name}: {_words(made)}"
    sweep = store.create_sweep(project_id, project, made, title=title, owner=owner)
    control.tend(store)
    return sweep.id


def folds(project: Project, count: int, **more: Any) -> tuple[Project, dict[str, Any]]:
    """Cross-validation: every row is tested once, by a network that was not trained on it.

    Raises:
        SpaceError: there are too few or too many folds.
    """
    if not 2 <= count <= 100:
        raise SpaceError(f"Cross-validation has 2 to 100 folds, received {count}.")
    parted = assign(project, {"data.folds": count, "data.fold": 0})
    space = {"data.fold": {"choices": list(range(count))}}
    return parted, plan(parted, space, trials=count, sampler="grid", kind="folds", **more)


def seeds(project: Project, count: int, **more: Any) -> tuple[Project, dict[str, Any]]:
    """The same run over again from other first weights and in other orders: how much of a result is chance.

    Raises:
        SpaceError: there are too few or too many.
    """
    if not 2 <= count <= 1_000:
        raise SpaceError(f"A run is repeated over 2 to 1,000 seeds, received {count}.")
    first = project.training.seed
    space = {"training.seed": {"choices": [(first + place) % 2**31 for place in range(count)]}}
    return project, plan(project, space, trials=count, sampler="grid", kind="seeds", **more)


def stop(store: Store, sweep_id: str) -> None:
    """Make no more trials, and stop those that go on; it can be taken up again."""
    if store.stop_sweep(sweep_id):
        for trial in store.trials(sweep_id):
            if trial.state == "running" and trial.run_id:
                with contextlib.suppress(Missing):  # it was deleted a moment ago
                    store.note_about(trial.run_id, halted=True)
                    control.stop(store, trial.run_id)
        control.tend(store)


def resume(store: Store, sweep_id: str, *, more: int = 0, owner: str | None = None) -> None:
    """Take up a sweep that was stopped, or let one that finished make `more` trials, in the turns of `owner`; else of
    whose it was.

    Raises:
        StoreError: there is no such sweep, or someone else changed it at the same moment.
    """
    sweep = store.sweep(sweep_id)
    made = {**sweep.plan, "trials": sweep.plan["trials"] + min(more, left(sweep))}
    values = {"plan": made, "state": "running", "reason": "", "ended_at": None}
    if not store.change_sweep(sweep, owner=sweep.owner if owner is None else owner, **values):
        raise StoreError("This sweep was changed by someone else at the same moment; look at it and try again.")
    control.tend(store)


def left(sweep: Sweep) -> int:
    """How many trials more there could be: a grid has an end."""
    most = len(grid(sweep.plan["space"])) if sweep.plan["sampler"] == "grid" else MAX_TRIALS
    return max(0, min(MAX_TRIALS, most) - int(sweep.plan["trials"]))


def go_on(store: Store) -> None:
    """Note what came of trials, and begin the next ones, of all sweeps that run."""
    for sweep in store.sweeps(state="running"):
        _advance(store, sweep)


def best(sweep: Sweep, trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best result so far."""
    done = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    sign = -1 if sweep.plan["direction"] == "maximize" else 1
    return min(done, key=lambda trial: sign * float(trial.value or 0.0), default=None)


def best_edit(sweep: Sweep, project: Project, trial: Trial) -> Edit:
    """The edit that puts a trial's values into a project.

    Raises:
        SpaceError: the project has changed so far that they have no place in it any more.
    """
    checked(project, {path: {"choices": [value]} for path, value in trial.assigned.items()})
    return edit(project, trial.assigned)


def importance(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, float]:
    """Which share of the differences between results each parameter explains; empty where too few are known."""
    done = [trial for trial in trials if trial.state == "complete"]
    varied = [path for path in sweep.plan["space"] if len({json.dumps(trial.assigned.get(path)) for trial in done}) > 1]
    if len(done) < 4 or not varied or len({trial.value for trial in done}) < 2:
        return {}
    import optuna

    study = _study(sweep, done, optuna.samplers.RandomSampler(seed=0))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
    return dict(sorted(((path, float(value)) for path, value in found.items()), key=lambda item: -item[1]))


def note_ends(store: Store, sweep_id: str) -> list[Trial]:
    """Note what came of those trials that have ended. Returns all trials."""
    sweep = store.sweep(sweep_id)
    for trial in store.trials(sweep_id):
        if trial.state == "running":
            _settle(store, sweep, trial)
    return store.trials(sweep_id)


def _advance(store: Store, sweep: Sweep) -> None:
    trials = note_ends(store, sweep.id)
    going = sum(trial.state == "running" for trial in trials)
    if sweep.plan.get("backend") == cluster.RAY and (going or len(trials) < sweep.plan["trials"]):
        drivers.ensure(store, sweep, going)
        return
    while going < sweep.plan["parallel"] and len(trials) < sweep.plan["trials"]:
        if store.sweep(sweep.id).state != "running":
            return
        try:
            store.room(sweep.owner, limits())
            begun = make(store, sweep, trials) is not None
        except (Full, Missing):  # no room, or another process was faster
            return
        going += begun
        trials = store.trials(sweep.id)
    if going == 0 and len(trials) >= sweep.plan["trials"]:
        store.change_sweep(sweep, state="finished", ended_at=datetime.now(UTC))


def make(store: Store, sweep: Sweep, trials: list[Trial], place: str = "") -> str | None:
    """Begin the next trial. Returns its run, or None where its document cannot be trained, as is noted then.

    With a `place`, its worker is started there by somebody else, and it takes no turn in the queue.
    """
    number = len(trials)
    assigned = ask(sweep, trials)
    document = loads(sweep.document)
    try:
        project = assign(document, assigned)
        name = f"{sweep.title[:150]} · {number + 1}"
        about = {"sweep": sweep.id, "trial": number, "assigned": assigned}
        more: dict[str, Any] = {"owner": sweep.owner, "tags": ("sweep",), "about": about}
        more |= {"title": name, "trial": (sweep.id, number, assigned), "place": place}
        return control.start(store, sweep.project_id, project, **more)
    except _SPOILT as error:
        store.fail_trial(sweep.id, number, assigned, _why(error))
        return None


def ask(sweep: Sweep, trials: list[Trial]) -> dict[str, Any]:
    """The values of the next trial, after those that are there."""
    space = sweep.plan["space"]
    if sweep.plan["sampler"] == "grid":
        combinations = grid(space)
        return combinations[len(trials) * _stride(len(combinations), sweep.plan) % len(combinations)]
    import optuna

    seed = (sweep.plan["seed"] * 1_000_003 + len(trials)) % 2**31
    if sweep.plan["sampler"] == "random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        first = max(4, min(10, sweep.plan["trials"] // 4))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, constant_liar=True, multivariate=True)
    found = _study(sweep, trials, sampler).ask(fixed_distributions=_distributions(space)).params
    return {path: _value(space[path], found[path]) for path in space}


def _stride(size: int, plan: dict[str, Any]) -> int:
    """How far a grid goes at each trial: from one combination to the next, or where not all of them are tried by the
    golden section of all, so that those which are tried lie everywhere and none comes twice."""
    if not plan.get("spread"):
        return 1
    return next(step for step in range(max(1, round(size * GOLDEN)), 2 * size + 2) if math.gcd(step, size) == 1)


def _study(sweep: Sweep, trials: Sequence[Trial], sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """What Optuna would know of the sweep; the store alone keeps it."""
    import warnings

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=sweep.id, direction=sweep.plan["direction"], sampler=sampler)
    states = optuna.trial.TrialState
    kinds = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL, "running": states.RUNNING}
    distributions = _distributions(sweep.plan["space"])
    for trial in trials:
        known = trial.value is not None
        state = kinds[trial.state] if known or trial.state in ("failed", "running") else states.FAIL
        params = {
            path: json.dumps(value) if "choices" in sweep.plan["space"][path] else value
            for path, value in trial.assigned.items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study.add_trial(
                optuna.create_trial(
                    params=params,
                    distributions=distributions,
                    state=state,
                    value=trial.value if state == states.COMPLETE else None,
                    intermediate_values={0: trial.value} if state == states.PRUNED and trial.value is not None else {},
                )
            )
    return study


def _distributions(space: dict[str, dict[str, Any]]) -> dict[str, optuna.distributions.BaseDistribution]:
    import optuna

    made: dict[str, optuna.distributions.BaseDistribution] = {}
    for path, spec in space.items():
        if "choices" in spec:
            made[path] = optuna.distributions.CategoricalDistribution([json.dumps(item) for item in spec["choices"]])
        elif spec["whole"]:
            step = 1 if spec["log"] else int(spec.get("step", 1))
            made[path] = optuna.distributions.IntDistribution(spec["low"], spec["high"], log=spec["log"], step=step)
        else:
            low, high = float(spec["low"]), float(spec["high"])
            made[path] = optuna.distributions.FloatDistribution(low, high, log=spec["log"], step=spec.get("step"))
    return made


def _value(spec: dict[str, Any], found: Any) -> Any:
    return json.loads(found) if "choices" in spec else found


def _settle(store: Store, sweep: Sweep, trial: Trial) -> None:
    """Note what came of a trial that was going on, if it has ended."""
    try:
        run = store.run(str(trial.run_id))
    except StoreError:
        store.end_trial(sweep.id, trial, "failed", None, "Its run was deleted.")
        return
    if run.state in control.ACTIVE:
        return
    value = result(store, sweep, run)
    if run.state == "finished":
        state, reason = ("complete", "") if value is not None else ("failed", f"It has no {sweep.plan['metric']}.")
        store.end_trial(sweep.id, trial, state, value, reason, run=run)
    elif run.reason.startswith(PRUNED):
        store.end_trial(sweep.id, trial, "pruned", value, run.reason, run=run)
    elif _goes_on(store, sweep, run):
        return
    else:
        store.end_trial(sweep.id, trial, "failed", None, run.reason or "It was stopped.", run=run)


def _goes_on(store: Store, sweep: Sweep, run: Run) -> bool:
    """Take up a trial that was cut off: its worker was killed, or its sweep was stopped with it. It is counted in the
    step that puts it back, or a worker that dies at once would be found before that, and taken up for ever."""
    tries = int(run.about.get("retries", 0))
    cut = run.state == "failed" and run.reason.startswith(control.CUT_OFF) and tries < RETRIES
    halted = run.state == "stopped" and run.about.get("halted")
    if not cut and not halted:
        return False
    with contextlib.suppress(StoreError):  # no room at the moment, or another process was faster
        control.enter(store, run, owner=sweep.owner, about={"retries": tries + bool(cut)})
    return True


def result(store: Store, sweep: Sweep, run: Run) -> float | None:
    """The best value of the sweep's measure on the validation rows."""
    curve = store.curves([run.id], sweep.plan["metric"])[run.id]
    values = [value for _, value in curve if math.isfinite(value)]
    pick = max if sweep.plan["direction"] == "maximize" else min
    return pick(values, default=None)


def _why(error: Exception) -> str:
    issues: Sequence[Issue] = getattr(error, "issues", ())
    return issues[0].message if issues else str(error)


def _words(made: dict[str, Any]) -> str:
    if made["kind"] == "folds":
        return f"{made['trials']} folds"
    named = {"tpe": "TPE"}.get(made["sampler"], made["sampler"])
    return f"{made['trials']} seeds" if made["kind"] == "seeds" else f"{named} sweep"
