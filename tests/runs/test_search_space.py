"""Search spaces: what can be searched, what is refused, and documents with values put in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from netloom.document import Project, apply, dumps
from netloom.runs.search import sweep_trials, sweeps
from netloom.runs.search.search_space import SpaceError, assign, check_space, edit, grid, searchable, value_of
from netloom.runs.search.trial import replay_trial
from netloom.store import Sweep, Trial
from netloom.store.sweeps import SweepPlan
from tests.networks import network, networks
from tests.runs.examples import moons


def test_everything_declared_can_be_searched() -> None:
    project = moons()
    found = {item.path: item for item in searchable(project)}
    for path in ("training.learning_rate", "training.batch_size", "training.optimizer", "data.seed"):
        assert path in found
    assert found["main.linear_1.units"].value == 16
    assert found["main.linear_1.units"].proposal == {"low": 4, "high": 64, "log": True, "whole": True}
    assert found["main.dropout_1.rate"].proposal["high"] <= 1
    for item in found.values():
        space = check_space(project, {item.path: item.proposal})
        for combination in grid(space)[:2]:
            changed = assign(project, combination)
            assert value_of(changed, item.path) == combination[item.path]


def test_values_are_put_in_by_one_edit_that_can_be_undone() -> None:
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
    made = edit(project, values)
    changed = apply(project, made)
    assert made["kind"] == "batch"
    assert {path: value_of(changed, path) for path in values} == values
    assert changed.networks["main"].nodes["linear_1"].params["units"] == "width * 2"
    assert project.training.learning_rate != 0.5


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({}, "A search space is a JSON object"),
        ([], "A search space is a JSON object"),
        ({"training.speed": {"low": 1, "high": 2}}, "There is no 'training.speed' in this document; training has "),
        ({"other.linear_1.units": {"low": 1, "high": 2}}, "a path begins with one of training, data, main"),
        ({"main.linear_9.units": {"low": 1, "high": 2}}, "There is no node 'linear_9'"),
        ({"main.linear_1.size": {"low": 1, "high": 2}}, "linear_1 has no parameter 'size'; it has units, bias"),
        ({"training.learning_rate": {"low": 2, "high": 1}}, "low is below high, received 2 and 1"),
        ({"training.learning_rate": {"low": 0, "high": 1, "log": True}}, "on a logarithmic scale low is above 0"),
        ({"training.learning_rate": {"low": "a", "high": 1}}, "takes low and high as numbers"),
        ({"training.learning_rate": {"low": 1e999, "high": 1}}, "takes low and high as numbers"),
        ({"training.learning_rate": {"low": 0, "high": 1, "steps": 3}}, "'steps' is not known"),
        ({"training.learning_rate": {"choices": []}}, "choices are a list of 1 to"),
        ({"training.learning_rate": {"low": 0, "high": 1, "step": 0}}, "step is a number above 0"),
        ({"training.learning_rate": 3}, "takes an object with low and high"),
    ],
)
def test_what_cannot_be_searched_gets_a_sentence(space: Any, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        check_space(moons(), space)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_that_cannot_stand_there_are_refused() -> None:
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
    found = grid(space)
    assert len(found) == 3 * 4 * 2
    assert len({str(item) for item in found}) == len(found)
    assert [round(item["training.learning_rate"], 9) for item in found[::8]] == [0.001, 0.01, 0.1]
    assert [item["main.linear_1.units"] for item in found[:8:2]] == [1, 2, 3, 4]


def sweep(project: Project, space: Any, **settings: Any) -> Sweep:
    made = sweeps.plan(project, space, **settings)
    moment: Any = None
    return Sweep("s", "p", "t", "", "running", "", "", made, moment, None)


def asked(found: Sweep, count: int, judge: Any) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(count):
        values = sweep_trials.suggest(found, trials)
        trials.append(Trial(number, None, "complete", values, judge(values), ""))
    return trials


SPACE = {
    "training.learning_rate": {"low": 1e-5, "high": 1, "log": True},
    "main.linear_1.units": {"low": 2, "high": 64},
    "training.optimizer": {"choices": ["adam", "sgd"]},
    "training.gradient_clip": {"choices": [None, 1.0]},
}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_values_lie_in_their_space_and_are_the_same_again(sampler: str) -> None:
    def judge(values: dict[str, Any]) -> float:
        return float(values["main.linear_1.units"])

    found = sweep(moons(), SPACE, sampler=sampler, trials=12)
    trials = asked(found, 12, judge)
    for trial in trials:
        assert 1e-5 <= trial.assigned["training.learning_rate"] <= 1
        assert type(trial.assigned["main.linear_1.units"]) is int
        assert 2 <= trial.assigned["main.linear_1.units"] <= 64
        assert trial.assigned["training.optimizer"] in ("adam", "sgd")
        assert trial.assigned["training.gradient_clip"] in (None, 1.0)
        assign(moons(), trial.assigned)
    assert asked(found, 12, judge) == trials
    assert len({str(trial.assigned) for trial in trials}) == 12


def test_tpe_learns_and_chance_does_not() -> None:
    """The lowest value lies at units 30: of the later trials, those that learn come nearer."""

    def judge(values: dict[str, Any]) -> float:
        return float(abs(values["main.linear_1.units"] - 30) / 30)

    space = {"main.linear_1.units": {"low": 1, "high": 500}}
    means = {}
    for sampler in ("random", "tpe"):
        trials = asked(sweep(moons(), space, sampler=sampler, trials=40, seed=1), 40, judge)
        means[sampler] = sum(trial.value or 0 for trial in trials[-15:]) / 15
    assert means["tpe"] < means["random"] / 2, means


def test_what_the_results_depend_on() -> None:
    found = sweep(moons(), SPACE, sampler="random", trials=30)
    trials = asked(found, 30, lambda values: float(values["main.linear_1.units"]))
    shares = sweeps.importance(found, trials)
    assert next(iter(shares)) == "main.linear_1.units"
    assert shares["main.linear_1.units"] > 0.9
    assert sweeps.importance(found, trials[:2]) == {}
    best = sweeps.best(found, trials)
    assert best is not None
    assert best.value == min(trial.value or 0 for trial in trials)
    upwards = sweep(moons(), SPACE, metric="accuracy")
    assert upwards.plan["direction"] == "maximize"
    best = sweeps.best(upwards, trials)
    assert best is not None
    assert best.value == max(trial.value or 0 for trial in trials)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_hopeless_trial_is_pruned_and_the_best_is_not(pruner: str) -> None:
    plan = sweeps.plan(moons(epochs=20), SPACE, pruner=pruner)
    curves = {str(number): [(epoch, 1.0 + number / 10 - epoch / 40) for epoch in range(20)] for number in range(12)}
    trials = [Trial(number, str(number), "complete", {}, curves[str(number)][-1][1], "") for number in range(12)]

    def ends(offset: float) -> int | None:
        mine = replay_trial("study", plan, trials, curves, 12)
        for epoch in range(20):
            mine.report(offset - epoch / 40, epoch)
            if mine.should_prune():
                return epoch
        return None

    assert ends(0.5) is None
    worst = ends(9.0)
    assert worst is not None
    assert worst < 19


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sampler": "luck"}, "There is no sampler 'luck'; there are tpe, random, grid"),
        ({"pruner": "axe"}, "There is no pruner 'axe'"),
        ({"trials": 0}, "1 to 10,000 trials, received 0"),
        ({"direction": "sideways"}, "to minimize or to maximize"),
    ],
)
def test_a_plan_that_is_none_gets_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        sweeps.plan(moons(), SPACE, **settings)


def test_a_part_of_a_grid_lies_everywhere_in_it_and_goes_on_to_the_end() -> None:
    space: dict[str, Any] = {
        "training.learning_rate": {"choices": [0.001, 0.01, 0.1]},
        "training.batch_size": {"choices": [8, 16, 32, 64]},
        "training.weight_decay": {"choices": [0.0, 0.1]},
    }
    made = sweeps.plan(moons(), space, trials=10, sampler="grid")
    sweep = _sweep(made)
    asked = [sweep_trials.suggest(sweep, [None] * number) for number in range(24)]  # type: ignore[list-item]
    assert len({tuple(item.values()) for item in asked}) == 24, "each combination once"
    assert {tuple(item.values()) for item in asked} == {tuple(item.values()) for item in grid(made["space"])}
    for path, spec in space.items():
        assert {item[path] for item in asked[:10]} == set(spec["choices"]), path
    assert sweeps.remaining_trials(sweep) == 14
    whole = _sweep(sweeps.plan(moons(), space, trials=100, sampler="grid"))
    assert sweeps.remaining_trials(whole) == 0
    assert [sweep_trials.suggest(whole, [None] * number) for number in range(24)] == grid(made["space"])  # type: ignore[list-item]


def _sweep(made: SweepPlan) -> Sweep:
    return Sweep("1", "2", "A sweep", "", "running", "", dumps(moons()), made, datetime.now(UTC), None)


def test_what_the_objective_does_not_read_is_not_offered() -> None:
    def offered(project: Project) -> set[str]:
        return {item.path.removeprefix("training.") for item in searchable(project) if item.path.startswith("training")}

    classes = offered(moons())
    assert {"learning_rate", "batch_size", "optimizer", "label_smoothing"} <= classes
    assert not classes & {"margin", "temperature", "top_k", "teacher_share", "huber_delta", "quantile", "agent.clip"}
    assert {"temperature", "teacher_share"} <= offered(moons(objective="distillation"))
    huber = offered(moons(objective="regression", regression_loss="huber"))
    assert "huber_delta" in huber
    assert not huber & {"quantile", "label_smoothing"}
    agent = offered(moons(objective="ppo"))
    assert {"agent.clip", "agent.rollout", "agent.discount"} <= agent
    assert not agent & {"agent.epsilon_start", "accumulation"}
    found = check_space(moons(objective="ppo"), {"training.agent.rollout": {"low": 64, "high": 512}})
    assert found["training.agent.rollout"]["whole"] is True
    assert assign(moons(objective="ppo"), {"training.agent.rollout": 128}).training.agent.rollout == 128


def test_folds_and_seeds_are_grids() -> None:
    project, made = sweeps.folds(moons(), 4)
    assert [value_of(assign(project, item), "data.fold") for item in grid(made["space"])] == [0, 1, 2, 3]
    assert (project.data.folds, made["trials"], made["kind"]) == (4, 4, "folds")
    project, made = sweeps.seeds(moons(seed=2**31 - 2), 3)
    assert [item["training.seed"] for item in grid(made["space"])] == [2**31 - 2, 2**31 - 1, 0]
    with pytest.raises(SpaceError):
        sweeps.folds(moons(), 1)


def test_proposed_ranges_are_round() -> None:
    """Also around a value that a search found."""
    (rate,) = [one for one in searchable(moons(learning_rate=0.00126355981)) if one.path == "training.learning_rate"]
    assert rate.proposal == {"low": 0.00013, "high": 0.013, "log": True}
