"""The search algorithms of sweeps: how each chooses the values of the next trial from the results of earlier ones."""

from __future__ import annotations

import json
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from netloom.runs.search.search_space import Assignment, grid
from netloom.store import Sweep, Trial
from netloom.store.sweeps import ParameterSpace, SweepPlan

if TYPE_CHECKING:
    import optuna

# Steps of the golden section cover an interval evenly, whatever their number.
GOLDEN = (math.sqrt(5) - 1) / 2


class Sampler(ABC):
    """A search algorithm. `label` is its name in a sentence."""

    name: ClassVar[str]
    label: ClassVar[str]
    # Whether it tries the combinations of a grid, whose number is limited.
    uses_grid: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return self.label[:1].upper() + self.label[1:]

    @abstractmethod
    def suggest(self, sweep: Sweep, trials: Sequence[Trial]) -> Assignment:
        """Return the values of the next trial, given the existing ones."""


class OptunaSampler(Sampler):
    """A sampler of Optuna. Only the store persists the trials."""

    @abstractmethod
    def sampler(self, plan: SweepPlan, seed: int) -> optuna.samplers.BaseSampler:
        """Return the sampler for one suggestion."""

    def suggest(self, sweep: Sweep, trials: Sequence[Trial]) -> Assignment:
        space = sweep.plan["space"]
        # The seed depends only on the number of the trial, so every process draws the same values.
        sampler = self.sampler(sweep.plan, (sweep.plan["seed"] * 1_000_003 + len(trials)) % 2**31)
        params = study(sweep, trials, sampler).ask(fixed_distributions=_distributions(space)).params
        return {path: _value(space[path], params[path]) for path in space}


class TPE(OptunaSampler):
    name = "tpe"
    label = "TPE"

    def sampler(self, plan: SweepPlan, seed: int) -> optuna.samplers.BaseSampler:
        import optuna

        first = max(4, min(10, plan["trials"] // 4))
        # Optuna 4 warns at each suggestion that `multivariate` may change; in Optuna 5 it is stable.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        # `constant_liar` treats running trials as bad ones, because parallel trials would otherwise try nearly the same
        # values: https://optuna.readthedocs.io/en/stable/reference/samplers/generated/optuna.samplers.TPESampler.html
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, constant_liar=True, multivariate=True)


class RandomSearch(OptunaSampler):
    name = "random"
    label = "random"

    def sampler(self, plan: SweepPlan, seed: int) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.RandomSampler(seed=seed)


class GridSearch(Sampler):
    name = "grid"
    label = "grid"
    uses_grid = True

    def suggest(self, sweep: Sweep, trials: Sequence[Trial]) -> Assignment:
        combinations = grid(sweep.plan["space"])
        return combinations[len(trials) * _stride(len(combinations), sweep.plan) % len(combinations)]


SAMPLERS: dict[str, Sampler] = {sampler.name: sampler for sampler in (TPE(), RandomSearch(), GridSearch())}


def suggest(sweep: Sweep, trials: Sequence[Trial]) -> Assignment:
    """Return the values of the next trial of a sweep, given the existing ones."""
    return SAMPLERS[sweep.plan["sampler"]].suggest(sweep, trials)


def _stride(size: int, plan: SweepPlan) -> int:
    """Return the step of a grid between trials. It is 1 if all combinations are tried. Otherwise, it is near the golden
    section of their number, so that the tried ones are spread over the grid and none occurs twice."""
    if not plan.get("spread"):
        return 1
    return next(step for step in range(max(1, round(size * GOLDEN)), 2 * size + 2) if math.gcd(step, size) == 1)


def study(sweep: Sweep, trials: Sequence[Trial], sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """Return an Optuna study with the trials of the sweep; only the store persists them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=sweep.id, direction=sweep.plan["direction"], sampler=sampler)
    states = optuna.trial.TrialState
    kinds = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL, "running": states.RUNNING}
    distributions = _distributions(sweep.plan["space"])
    for trial in trials:
        has_value = trial.value is not None
        state = kinds[trial.state] if has_value or trial.state in ("failed", "running") else states.FAIL
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
                    # TPE ranks pruned trials by their intermediate values.
                    intermediate_values={0: trial.value} if state == states.PRUNED and trial.value is not None else {},
                )
            )
    return study


def _distributions(space: Mapping[str, ParameterSpace]) -> dict[str, optuna.distributions.BaseDistribution]:
    import optuna

    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for path, spec in space.items():
        if "choices" in spec:  # as text, because a choice of Optuna is a plain value, and one of ours can be a list
            distributions[path] = optuna.distributions.CategoricalDistribution(
                [json.dumps(item) for item in spec["choices"]]
            )
        elif spec["whole"]:
            # Optuna does not allow a step on a logarithmic scale.
            step = 1 if spec["log"] else int(spec.get("step", 1))
            distributions[path] = optuna.distributions.IntDistribution(
                int(spec["low"]), int(spec["high"]), log=spec["log"], step=step
            )
        else:
            low, high = float(spec["low"]), float(spec["high"])
            distributions[path] = optuna.distributions.FloatDistribution(
                low, high, log=spec["log"], step=spec.get("step")
            )
    return distributions


def _value(spec: ParameterSpace, param: Any) -> Any:
    return json.loads(param) if "choices" in spec else param
