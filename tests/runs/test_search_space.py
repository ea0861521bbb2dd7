"""Search spaces: searchable paths, refused spaces, and documents with assigned values."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from netloom.cli.commands import sweep as sweep_command
from netloom.document import Project, apply, dumps
from netloom.runs.execution.pruners import PRUNERS
from netloom.runs.execution.trial_pruner import replay_trial
from netloom.runs.search import sweeps
from netloom.runs.search.samplers import SAMPLERS, suggest
from netloom.runs.search.search_space import SpaceError, assign, check_space, edit, grid, searchable, value_of
from netloom.store import Sweep, Trial, open_store
from netloom.store.sweeps import SweepPlan
from netloom.templates import templates
from tests.networks import network, networks, with_rows
from tests.runs.examples import moons


def test_declared_settings_are_searchable() -> None:
    project = moons()
    items = {item.path: item for item in searchable(project)}
    for path in ("training.learning_rate", "training.batch_size", "training.optimizer", "data.seed"):
        assert path in items
    assert items["main.linear_1.units"].value == 16
    assert items["main.linear_1.units"].proposal == {"low": 4, "high": 64, "log": True, "whole": True}
    assert items["main.dropout_1.rate"].proposal["high"] <= 1
    for item in items.values():
        space = check_space(project, {item.path: item.proposal})
        for combination in grid(space)[:2]:
            changed = assign(project, combination)
            assert value_of(changed, item.path) == combination[item.path]


def test_values_are_assigned_in_one_undoable_edit() -> None:
    main = network({"input_1": ("Input", {}), "linear_1": ("Linear", {"units": "width * 2"})}, width=8, depth=2)
    project = networks(main=main)
    values = {
        "training.learning_rate": 0.5,
        "training.optimizer_settings.momentum": 0.8,
        "training.seed": 9,
        "data.validation": 0.2,
        "main.parameters.width": 4,
        "main.parameters.depth": 5,
        "main.linear_1.bias": False,
    }
    batch = edit(project, values)
    changed = apply(project, batch)
    assert batch["kind"] == "batch"
    assert {path: value_of(changed, path) for path in values} == values
    assert changed.networks["main"].nodes["linear_1"].params["units"] == "width * 2"
    assert project.training.learning_rate != 0.5


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({}, "A search space must be a JSON object"),
        ([], "A search space must be a JSON object"),
        ({"training.speed": {"low": 1, "high": 2}}, "There is no 'training.speed' in this document; training has "),
        ({"other.linear_1.units": {"low": 1, "high": 2}}, "a path begins with one of training, data, main"),
        ({"main.linear_9.units": {"low": 1, "high": 2}}, "There is no node 'linear_9'"),
        ({"main.linear_1.size": {"low": 1, "high": 2}}, "linear_1 has no parameter 'size'; it has units, bias"),
        ({"training.learning_rate": {"low": 2, "high": 1}}, "low must be below high, received 2 and 1"),
        ({"training.learning_rate": {"low": 0, "high": 1, "log": True}}, "on a logarithmic scale, low must be above 0"),
        ({"training.learning_rate": {"low": "a", "high": 1}}, "needs low and high as numbers"),
        ({"training.learning_rate": {"low": 1e999, "high": 1}}, "needs low and high as numbers"),
        ({"training.learning_rate": {"low": 0, "high": 1, "steps": 3}}, "'steps' is not known"),
        ({"training.learning_rate": {"choices": []}}, "choices must be a list of 1 to"),
        ({"training.learning_rate": {"low": 0, "high": 1, "step": 0}}, "step must be a number above 0"),
        ({"training.learning_rate": 3}, "must be an object with low and high"),
    ],
)
def test_invalid_space_is_refused_with_a_message(space: Any, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        check_space(moons(), space)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_invalid_values_are_refused() -> None:
    with pytest.raises(SpaceError):
        assign(moons(), {"training.learning_rate": -1})
    with pytest.raises(SpaceError):
        assign(moons(), {"training.batch_size": "many"})


def test_a_grid_has_every_combination_once() -> None:
    space = check_space(
        moons(),
        {
            "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True, "points": 3},
            "main.linear_1.units": {"low": 1, "high": 4, "points": 10},
            "training.optimizer": {"choices": ["adam", "sgd", "adam"]},
        },
    )
    combinations = grid(space)
    assert len(combinations) == 3 * 4 * 2
    assert len({str(item) for item in combinations}) == len(combinations)
    assert [round(item["training.learning_rate"], 9) for item in combinations[::8]] == [0.001, 0.01, 0.1]
    assert [item["main.linear_1.units"] for item in combinations[:8:2]] == [1, 2, 3, 4]


def make_sweep(project: Project, space: Any, **settings: Any) -> Sweep:
    plan = sweeps.plan(project, space, **settings)
    created_at: Any = None
    return Sweep("s", "p", "t", "", "running", "", "", plan, created_at, None)


def suggest_trials(sweep: Sweep, count: int, objective: Any) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(count):
        values = suggest(sweep, trials)
        trials.append(Trial(number, None, "complete", values, objective(values), ""))
    return trials


SPACE = {
    "training.learning_rate": {"low": 1e-5, "high": 1, "log": True},
    "main.linear_1.units": {"low": 2, "high": 64},
    "training.optimizer": {"choices": ["adam", "sgd"]},
    "training.gradient_clip": {"choices": [None, 1.0]},
}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_suggestions_stay_in_their_space_and_are_reproducible(sampler: str) -> None:
    def objective(values: dict[str, Any]) -> float:
        return float(values["main.linear_1.units"])

    sweep = make_sweep(moons(), SPACE, sampler=sampler, trials=12)
    trials = suggest_trials(sweep, 12, objective)
    for trial in trials:
        assert 1e-5 <= trial.assigned["training.learning_rate"] <= 1
        assert type(trial.assigned["main.linear_1.units"]) is int
        assert 2 <= trial.assigned["main.linear_1.units"] <= 64
        assert trial.assigned["training.optimizer"] in ("adam", "sgd")
        assert trial.assigned["training.gradient_clip"] in (None, 1.0)
        assign(moons(), trial.assigned)
    assert suggest_trials(sweep, 12, objective) == trials
    assert len({str(trial.assigned) for trial in trials}) == 12


def test_tpe_beats_random_search() -> None:
    """The minimum is at 30 units: the later trials of TPE come closer to it."""

    def objective(values: dict[str, Any]) -> float:
        return float(abs(values["main.linear_1.units"] - 30) / 30)

    space = {"main.linear_1.units": {"low": 1, "high": 500}}
    means = {}
    for sampler in ("random", "tpe"):
        trials = suggest_trials(make_sweep(moons(), space, sampler=sampler, trials=40, seed=1), 40, objective)
        means[sampler] = sum(trial.value or 0 for trial in trials[-15:]) / 15
    assert means["tpe"] < means["random"] / 2, means


def test_importance_and_best_trial() -> None:
    sweep = make_sweep(moons(), SPACE, sampler="random", trials=30)
    trials = suggest_trials(sweep, 30, lambda values: float(values["main.linear_1.units"]))
    shares = sweeps.importance(sweep, trials)
    assert next(iter(shares)) == "main.linear_1.units"
    assert shares["main.linear_1.units"] > 0.9
    assert sweeps.importance(sweep, trials[:2]) == {}
    best = sweeps.best(sweep, trials)
    assert best is not None
    assert best.value == min(trial.value or 0 for trial in trials)
    maximizing = make_sweep(moons(), SPACE, metric="accuracy")
    assert maximizing.plan["direction"] == "maximize"
    best = sweeps.best(maximizing, trials)
    assert best is not None
    assert best.value == max(trial.value or 0 for trial in trials)


def test_command_line_offers_all_samplers_and_pruners() -> None:
    """It names them itself, because it builds its parser without importing them."""
    assert tuple(SAMPLERS) == sweep_command.SAMPLERS
    assert tuple(PRUNERS) == sweep_command.PRUNERS


@pytest.mark.parametrize("pruner", [name for name, pruner in PRUNERS.items() if pruner.create])
def test_pruner_stops_the_worst_trial_not_the_best(pruner: str) -> None:
    plan = sweeps.plan(moons(epochs=20), SPACE, pruner=pruner)
    curves = {str(number): [(epoch, 1.0 + number / 10 - epoch / 40) for epoch in range(20)] for number in range(12)}
    trials = [Trial(number, str(number), "complete", {}, curves[str(number)][-1][1], "") for number in range(12)]

    def pruned_at(offset: float) -> int | None:
        trial = replay_trial("study", plan, trials, curves, 12)
        for epoch in range(20):
            trial.report(offset - epoch / 40, epoch)
            if trial.should_prune():
                return epoch
        return None

    assert pruned_at(0.5) is None
    worst = pruned_at(9.0)
    assert worst is not None
    assert worst < 19


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sampler": "luck"}, "There is no sampler 'luck'; choose one of tpe, random, grid"),
        ({"pruner": "axe"}, "There is no pruner 'axe'"),
        ({"trials": 0}, "trials must be from 1 to 10,000, received 0"),
        ({"direction": "sideways"}, "must be minimize or maximize"),
    ],
)
def test_invalid_plan_is_refused_with_a_message(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        sweeps.plan(moons(), SPACE, **settings)


def test_partial_grid_covers_all_values_and_can_be_completed() -> None:
    space: dict[str, Any] = {
        "training.learning_rate": {"choices": [0.001, 0.01, 0.1]},
        "training.batch_size": {"choices": [8, 16, 32, 64]},
        "training.weight_decay": {"choices": [0.0, 0.1]},
    }
    plan = sweeps.plan(moons(), space, trials=10, sampler="grid")
    partial = _sweep(plan)
    suggestions = [suggest(partial, [None] * number) for number in range(24)]  # type: ignore[list-item]
    assert len({tuple(item.values()) for item in suggestions}) == 24, "each combination once"
    assert {tuple(item.values()) for item in suggestions} == {tuple(item.values()) for item in grid(plan["space"])}
    for path, spec in space.items():
        assert {item[path] for item in suggestions[:10]} == set(spec["choices"]), path
    assert sweeps.remaining_trials(partial) == 14
    complete = _sweep(sweeps.plan(moons(), space, trials=100, sampler="grid"))
    assert sweeps.remaining_trials(complete) == 0
    assert [suggest(complete, [None] * number) for number in range(24)] == grid(plan["space"])  # type: ignore[list-item]


def _sweep(plan: SweepPlan) -> Sweep:
    return Sweep("1", "2", "A sweep", "", "running", "", dumps(moons()), plan, datetime.now(UTC), None)


def test_only_settings_of_the_objective_are_searchable() -> None:
    def offered(project: Project) -> set[str]:
        return {item.path.removeprefix("training.") for item in searchable(project) if item.path.startswith("training")}

    classes = offered(moons())
    assert {"learning_rate", "batch_size", "optimizer", "label_smoothing"} <= classes
    assert not classes & {
        "margin",
        "temperature",
        "top_k",
        "distillation_weight",
        "huber_delta",
        "quantile",
        "agent.clip_range",
    }
    assert {"temperature", "distillation_weight"} <= offered(moons(objective="distillation"))
    huber = offered(moons(objective="regression", regression_loss="huber"))
    assert "huber_delta" in huber
    assert not huber & {"quantile", "label_smoothing"}
    agent = offered(moons(objective="ppo"))
    assert {"agent.clip_range", "agent.rollout_steps", "agent.discount"} <= agent
    assert not agent & {"agent.epsilon_start", "gradient_accumulation_steps"}
    space = check_space(moons(objective="ppo"), {"training.agent.rollout_steps": {"low": 64, "high": 512}})
    assert space["training.agent.rollout_steps"]["whole"] is True
    assert assign(moons(objective="ppo"), {"training.agent.rollout_steps": 128}).training.agent.rollout_steps == 128


def test_folds_and_seeds_are_grids() -> None:
    project, plan = sweeps.folds(moons(), 4)
    assert [value_of(assign(project, item), "data.fold") for item in grid(plan["space"])] == [0, 1, 2, 3]
    assert (project.data.folds, plan["trials"], plan["kind"]) == (4, 4, "folds")
    project, plan = sweeps.seeds(moons(seed=2**31 - 2), 3)
    assert [item["training.seed"] for item in grid(plan["space"])] == [2**31 - 2, 2**31 - 1, 0]
    with pytest.raises(SpaceError):
        sweeps.folds(moons(), 1)


@pytest.mark.parametrize(
    ("template", "metric", "choices"),
    [
        ("shapes_detector", "map_75", "loss, map, f1, precision, recall"),
        ("breast_cancer", "mape", "loss, accuracy, macro_f1"),
        ("breast_cancer_binary", "precision", "loss, accuracy, roc_auc, pr_auc"),
    ],
)
def test_a_metric_that_no_trial_would_have_is_refused(template: str, metric: str, choices: str, home: Path) -> None:
    """Its trials would all be trained for nothing."""
    store, project = open_store(home), with_rows(templates()[template].project, 60)
    project, plan = sweeps.seeds(project, 2, metric=metric)
    with pytest.raises(SpaceError, match=f"has no metric '{metric}' on validation rows .* choose one of {choices}"):
        sweeps.start(store, store.create_project(project), project, plan)
    assert not store.sweeps()
    store.close()


def test_proposed_ranges_are_round() -> None:
    """Also around a value from an earlier search."""
    (rate,) = [item for item in searchable(moons(learning_rate=0.00126355981)) if item.path == "training.learning_rate"]
    assert rate.proposal == {"low": 0.00013, "high": 0.013, "log": True}
