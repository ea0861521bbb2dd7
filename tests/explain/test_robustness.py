"""Adversarial attacks, compared with closed forms on linear networks and with the network itself."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from netloom.data import add_file
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.document import DataChoice, Training, updated
from netloom.explain import ExplainError
from netloom.explain.core.cache import FOLDER
from netloom.explain.robustness.attack import METHODS, unavailable_reason
from netloom.explain.robustness.attack_targets import MIN_MOVE, attack_target, attacked_output
from netloom.explain.robustness.robustness import find_adversarial_example, has_misleading_gradients, robustness
from netloom.runs import TrainedRun, fit_here
from netloom.templates import templates
from netloom.templates.starting import fit
from tests.explain.models import network, trained
from tests.explain.test_conformance import state
from tests.networks import project


@pytest.fixture(scope="module")
def linear_run() -> TrainedRun:
    """A linear classifier of two classes."""
    return fit_here(network("breast_cancer", ("Linear", {"units": 2}), epochs=6))


def closed_form_strength(run: TrainedRun, row: int) -> float:
    """The margin divided by the 1-norm of the weight difference: the minimal L∞ change that flips the prediction."""
    (weights, bias) = (value.double() for value in run.model.state_dict().values())
    x = run.data.inputs["features"][row].double()
    margin = (weights[0] - weights[1]) @ x + bias[0] - bias[1]
    return float(margin.abs() / (weights[0] - weights[1]).abs().sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row", [0, 19, 100, 300])
def test_minimum_strength_matches_linear_closed_form(linear_run: TrainedRun, method: str, row: int) -> None:
    attack = find_adversarial_example(linear_run, row, method)
    assert attack.min_strength == pytest.approx(closed_form_strength(linear_run, row), rel=2e-3)
    assert attack.min_strength is not None
    assert attack.min_strength > closed_form_strength(linear_run, row) * (1 - 1e-5), (
        "no smaller perturbation can succeed"
    )
    assert attack.before.text != attack.after.text
    column = linear_run.data.fields[0].columns[3]
    name, step = column.name, column.step * attack.min_strength
    assert abs(attack.changed["features"][name] - attack.values["features"][name]) == pytest.approx(step, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_robust_accuracy_curve_matches_linear_closed_form(linear_run: TrainedRun, method: str) -> None:
    steps = (0.0, 0.03, 0.1, 0.3, 0.7)
    report = robustness(linear_run, method, rows=10_000, strengths=steps)
    rows = linear_run.data.split["test"]
    answers = linear_run.output_of("test").argmax(1)
    is_correct = answers == linear_run.data.target[rows]
    least = torch.tensor([closed_form_strength(linear_run, int(row)) for row in rows])
    assert report.rows == len(rows)
    assert report.scores[0] == pytest.approx(float(is_correct.double().mean())), "strength 0 changes nothing"
    for strength, share in zip(report.strengths, report.scores, strict=True):
        assert share == pytest.approx(float((is_correct & (least > strength)).double().mean()), abs=1.01 / len(rows))
    assert sum(report.counts.values()) == report.rows
    weighted_sum = sum(report.by_class[name][2] * count for name, count in report.counts.items())
    assert weighted_sum / report.rows == pytest.approx(report.scores[2])


@pytest.mark.parametrize("name", ["table", "strided", "regression"])
@pytest.mark.parametrize("method", METHODS)
def test_attacks_grow_with_strength_and_beat_random_noise(name: str, method: str) -> None:
    run = trained(name)
    report = robustness(run, method, rows=64)
    worse = 1 if name == "regression" else -1
    steps = worse * np.diff(report.scores)
    assert (steps >= -0.05).all(), "scores do not improve with strength, within three of 64 rows"
    assert worse * (report.scores[-1] - report.scores[0]) > 0.2
    assert worse * (report.scores[-1] - report.random_scores[-1]) > 0.1
    assert report.scores[0] == pytest.approx(report.random_scores[0])


def test_misleading_gradients_are_found_in_any_unit_and_not_in_single_rows() -> None:
    for unit in (1e-9, 1.0, 1e9):
        errors = (unit, 1.1 * unit)
        assert has_misleading_gradients(errors, (unit, 1.5 * unit), 200, are_errors=True)
        assert not has_misleading_gradients(errors, (unit, 1.11 * unit), 200, are_errors=True)
    assert has_misleading_gradients((0.9, 0.8), (0.9, 0.7), 200, are_errors=False)
    assert not has_misleading_gradients((0.9, 0.8), (0.9, 0.7), 10, are_errors=False)


def test_pgd_is_at_least_as_strong_as_fgsm() -> None:
    run = trained("strided")
    fgsm, pgd = (robustness(run, method, rows=64) for method in METHODS)
    assert all(b <= a + 0.02 for a, b in zip(fgsm.scores, pgd.scores, strict=True))


def test_adversarial_images_stay_in_range_and_strength() -> None:
    run = trained("strided")
    for method in METHODS:
        attack = find_adversarial_example(run, 5, method)
        before, after = attack.values["image"], attack.changed["image"]
        assert attack.unit.startswith("brightness")
        assert attack.min_strength is not None
        shown = np.atleast_3d(run.data.example(5).image)
        np.testing.assert_allclose(before.transpose(1, 2, 0), shown, atol=1e-5)
        assert after.min() >= -1e-6
        assert after.max() <= 1 + 1e-6
        assert np.abs(after - before).max() <= attack.min_strength + 1e-5
        assert np.abs(after - before).max() > attack.min_strength / 2
        field = run.data.image_field("image")
        scaled = (torch.tensor(after, dtype=torch.float32) - torch.tensor(field.mean)) / torch.tensor(field.std)
        with torch.no_grad():
            predicted = run.data.schema.target.classes[int(run.model(scaled.float()[None]).argmax())]
        assert predicted == attack.after.text != attack.before.text


def test_regression_attack_succeeds_at_half_a_standard_deviation() -> None:
    run = trained("regression")
    attack = find_adversarial_example(run, 3)
    (weights, _) = (value.double() for value in run.model.state_dict().values())
    assert attack.min_strength == pytest.approx(MIN_MOVE / float(weights.abs().sum()), rel=2e-3)


def test_cancelled_attack_restores_model_and_rng_state() -> None:
    run = trained("strided")
    before, rng_state = state(run), torch.get_rng_state().clone()
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        if len(shares) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        robustness(run, "pgd", rows=64, progress=stop)
    find_adversarial_example(run, 2, "pgd")
    assert shares == sorted(shares)
    assert torch.equal(rng_state, torch.get_rng_state())
    assert str(state(run)) == str(before)


def test_robustness_report_is_cached(tmp_path: Path) -> None:
    run = trained("table")
    first = robustness(run, rows=20, folder=tmp_path)
    assert asdict(robustness(run, rows=20, folder=tmp_path)) == asdict(first)
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 1
    assert robustness(run, rows=20, seed=1, folder=tmp_path).seconds != first.seconds
    assert robustness(run, "pgd", rows=20, folder=tmp_path).method == "pgd"
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 3
    assert asdict(replace(robustness(run, rows=20), seconds=0.0)) == asdict(replace(first, seconds=0.0))
    json.dumps(asdict(first))


@pytest.fixture(scope="module")
def task_runs() -> dict[str, TrainedRun]:
    """Small networks for multi-label, segmentation and multi-output tasks."""
    several = project(
        {
            "x": ("Input", {"field": "image", "kind": "image", "shape": [1, 24, 24]}),
            "flat": ("Flatten", {}),
            "shape": ("Linear", {"units": 4}),
            "area": ("Linear", {"units": 1}),
            "o1": ("Output", {"name": "shape"}),
            "o2": ("Output", {"name": "area"}),
        },
        [("x", "flat"), ("flat", "shape"), ("flat", "area"), ("shape", "o1"), ("area", "o2")],
        data=DataChoice(dataset="shape_facts", options={"rows": 200}),
        training=Training(epochs=4, objective="several_outputs"),
    )
    few: dict[str, Any] = {"options": {"rows": 200}, "learning_rate": 0.01}
    labels = network("scenes", ("Flatten", {}), ("Linear", {"units": 4}), epochs=4, objective="multi_label", **few)
    pixels = network(
        "shape_masks", ("Conv2d", {"filters": 8}), ("ReLU", {}), ("Conv2d", {"filters": 5}), epochs=6,
        objective="segmentation", **few,
    )  # fmt: skip
    return {"labels": fit_here(labels), "pixels": fit_here(pixels), "several": fit_here(several)}


@pytest.mark.parametrize(
    ("name", "output", "measure"),
    [
        ("labels", "", "labels right"),
        ("pixels", "", "pixels right"),
        ("several", "shape", "accuracy"),
        ("several", "area", "mean absolute error"),
    ],
)
def test_multi_label_segmentation_and_multi_output_are_attacked(
    task_runs: dict[str, TrainedRun], name: str, output: str, measure: str
) -> None:
    run = task_runs[name]
    report = robustness(run, "pgd", rows=10_000, output=output, strengths=(0.02, 0.1))
    assert (report.measure, report.output) == (measure, output)
    answers, truth = run.output_of("test"), run.data.target[run.data.split["test"]]
    if measure == "labels right":
        limits = torch.tensor([run.calibration[str(label)] for label in range(4)])
        expected = ((answers.sigmoid() > limits) == (truth > 0)).double().mean()
    elif measure == "pixels right":
        expected = (answers.argmax(1) == truth).double().mean()
    elif measure == "accuracy":
        expected = (answers[:, :4].argmax(1) == truth[:, 0]).double().mean()
    else:
        fitted = run.data.fitted_targets[1]
        assert isinstance(fitted, FittedNumbers)
        expected = (answers[:, 4] - truth[:, 1]).abs().mean() * fitted.std[0]
    assert report.scores[0] == pytest.approx(float(expected), rel=1e-5)
    worse = 1 if measure == "mean absolute error" else -1
    assert worse * (report.scores[2] - report.scores[1]) > 0
    assert worse * (report.scores[2] - report.random_scores[2]) > 0
    assert report.shares == (worse < 0)


def test_errors_of_several_numbers_have_a_common_unit(home: Path) -> None:
    """A second target is a thousand times as large, so that it would be all of an error in the units of the data."""
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 2))
    lines = [f"{x},{y},{x + y},{1_000 * x}" for x, y in values]
    choice: Any = {name: {"role": "target"} for name in ("sum", "large")}
    info = add_file("\n".join(["x,y,sum,large", *lines]).encode(), "sums.csv", home)
    data = DataChoice(dataset=info.name, options={"columns": choice})
    fitted = fit(templates()["diabetes"].project, data, "Sums", home)
    assert fitted is not None
    run = fit_here(
        fitted.project.model_copy(update={"training": updated(fitted.project.training, {"epochs": 1})}), home
    )
    report = robustness(run, "fgsm", rows=10_000, strengths=(0.5,))
    assert report.measure == "mean absolute error (scaled)"
    assert not report.shares
    error = run.output_of("test") - run.data.target[run.data.split["test"]]
    assert report.scores[0] == pytest.approx(float(error.abs().mean()), rel=1e-4)


def test_multi_label_attack_needs_at_least_closed_form_strength(task_runs: dict[str, TrainedRun]) -> None:
    """A label of a linear network flips when strength × the 1-norm of its weights reaches the distance of the logit
    from its threshold."""
    run, row = task_runs["labels"], int(task_runs["labels"].data.split["test"][0])
    weights, _ = run.model.state_dict().values()
    space = pixel_scale(run)
    with torch.no_grad():
        logits: torch.Tensor = run.model(run.data.inputs["image"][row : row + 1])[0]
    limits = torch.tensor([run.calibration[str(label)] for label in range(4)]).logit()
    least = ((logits - limits).abs() / (weights * space).abs().sum(1)).min()
    attack = find_adversarial_example(run, row, "pgd")
    assert attack.min_strength is not None
    assert attack.min_strength >= float(least) * (1 - 1e-4)
    assert attack.before.text != attack.after.text
    assert attack.change == "adds or removes a label"


def pixel_scale(run: TrainedRun) -> torch.Tensor:
    """The change of a normalized pixel per unit of brightness."""
    return 1 / torch.tensor(run.data.image_field("image").std).float()


def test_segmentation_differs_when_half_the_foreground_changes(task_runs: dict[str, TrainedRun]) -> None:
    target = attack_target(task_runs["pixels"])
    original = torch.zeros(1, 5, 1, 4)
    original[0, 0, 0, :2] = original[0, 3, 0, 2:] = 1.0  # background, background, triangle, triangle
    attacked = original.repeat(3, 1, 1, 1)
    attacked[0, 2, 0, 2] = 2.0  # one of two triangle pixels
    attacked[1, 2, 0, :2] = 2.0  # the background only
    assert target.differs(attacked, original).tolist() == [True, False, False]


def test_explained_target_selects_the_attacked_output(task_runs: dict[str, TrainedRun]) -> None:
    run = task_runs["several"]
    assert [attacked_output(run, target) for target in (None, "shape", "shape: cross", "area")] == [
        "",
        "shape",
        "shape",
        "area",
    ]
    assert attacked_output(task_runs["labels"], "circle") == ""
    attack = find_adversarial_example(run, 3, output="area")
    assert attack.change == "changes the prediction by half a standard deviation of the target"
    with pytest.raises(ExplainError, match="There is no output 'size'; choose one of shape, area"):
        find_adversarial_example(run, 3, output="size")
    with pytest.raises(ExplainError, match="this network has one"):
        robustness(task_runs["labels"], output="size")


def test_unsupported_inputs_and_objectives_are_refused() -> None:
    assert "tokens" in unavailable_reason(trained("transformer"))
    with pytest.raises(ExplainError, match="tokens"):
        robustness(trained("transformer"))
    run = trained("table")
    for objective, reason in (
        ("reconstruction", "reconstructs its input"),
        ("ranking", "something else"),
        ("dqn", "an agent"),
    ):
        other = run.project.training.model_copy(update={"objective": objective})
        rebuilt: Any = SimpleNamespace(
            project=run.project.model_copy(update={"training": other}), data=run.data, model=run.model
        )
        assert reason in unavailable_reason(rebuilt)
    with pytest.raises(ExplainError, match="no attack"):
        robustness(run, "magic")
    with pytest.raises(ExplainError, match="no split"):
        robustness(run, split="holdout")
