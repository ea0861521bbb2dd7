"""Attacks, held against closed forms on linear networks and against the network itself."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from netloom.data.targets.fitted_target import FittedNumbers
from netloom.document import DataChoice, Training
from netloom.explain import ExplainError
from netloom.explain.core.cache import FOLDER
from netloom.explain.robustness.attack import METHODS, unavailable_reason
from netloom.explain.robustness.attack_targets import MIN_MOVE, attack_target, attacked_output
from netloom.explain.robustness.robustness import find_adversarial_example, robustness
from netloom.runs import TrainedRun, fit_here
from tests.explain.models import network, trained
from tests.explain.test_conformance import state
from tests.networks import project


@pytest.fixture(scope="module")
def linear() -> TrainedRun:
    """A linear classifier of two classes."""
    return fit_here(network("breast_cancer", ("Linear", {"units": 2}), epochs=6))


def closed_form(run: TrainedRun, row: int) -> float:
    """The margin over the 1-norm of the weights' difference: no change of less in every value turns the answer."""
    (weights, bias) = (value.double() for value in run.model.state_dict().values())
    x = run.data.inputs["features"][row].double()
    margin = (weights[0] - weights[1]) @ x + bias[0] - bias[1]
    return float(margin.abs() / (weights[0] - weights[1]).abs().sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row", [0, 19, 100, 300])
def test_the_least_strength_of_a_linear_classifier_is_its_closed_form(
    linear: TrainedRun, method: str, row: int
) -> None:
    found = find_adversarial_example(linear, row, method)
    assert found.least == pytest.approx(closed_form(linear, row), rel=2e-3)
    assert found.least is not None
    assert found.least > closed_form(linear, row) * (1 - 1e-5), "less cannot be enough"
    assert found.before.text != found.after.text
    column = linear.data.fields[0].columns[3]
    name, own = column.name, column.step * found.least
    assert abs(found.changed["features"][name] - found.values["features"][name]) == pytest.approx(own, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_of_a_linear_classifier_is_the_share_of_rows_within_its_closed_form(
    linear: TrainedRun, method: str
) -> None:
    steps = (0.0, 0.03, 0.1, 0.3, 0.7)
    found = robustness(linear, method, rows=10_000, strengths=steps)
    rows = linear.data.split["test"]
    answers = linear.output_of("test").argmax(1)
    right = answers == linear.data.target[rows]
    least = torch.tensor([closed_form(linear, int(row)) for row in rows])
    assert found.rows == len(rows)
    assert found.scores[0] == pytest.approx(float(right.double().mean())), "nothing is changed at strength 0"
    for strength, share in zip(found.strengths, found.scores, strict=True):
        assert share == pytest.approx(float((right & (least > strength)).double().mean()), abs=1.01 / len(rows))
    assert sum(found.counts.values()) == found.rows
    weighed = sum(found.by_class[name][2] * count for name, count in found.counts.items())
    assert weighed / found.rows == pytest.approx(found.scores[2])


@pytest.mark.parametrize("name", ["table", "strided", "regression"])
@pytest.mark.parametrize("method", METHODS)
def test_attacks_do_more_harm_the_stronger_they_are_and_more_than_chance(name: str, method: str) -> None:
    run = trained(name)
    found = robustness(run, method, rows=64)
    worse = 1 if name == "regression" else -1
    steps = worse * np.diff(found.scores)
    assert (steps >= -0.035).all(), "more strength does not help, within noise"
    assert worse * (found.scores[-1] - found.scores[0]) > 0.2
    assert worse * (found.scores[-1] - found.chance[-1]) > 0.1
    assert found.scores[0] == pytest.approx(found.chance[0])


def test_ten_steps_do_at_least_what_one_does() -> None:
    run = trained("strided")
    one, ten = (robustness(run, method, rows=64) for method in METHODS)
    assert all(b <= a + 0.02 for a, b in zip(one.scores, ten.scores, strict=True))


def test_attacked_pictures_stay_pictures_and_within_the_strength() -> None:
    run = trained("strided")
    for method in METHODS:
        found = find_adversarial_example(run, 5, method)
        before, after = found.values["image"], found.changed["image"]
        assert found.unit.startswith("brightness")
        assert found.least is not None
        shown = np.atleast_3d(run.data.example(5).image)
        np.testing.assert_allclose(before.transpose(1, 2, 0), shown, atol=1e-5)
        assert after.min() >= -1e-6
        assert after.max() <= 1 + 1e-6
        assert np.abs(after - before).max() <= found.least + 1e-5
        assert np.abs(after - before).max() > found.least / 2
        field = run.data.image_field("image")
        taken = (torch.tensor(after, dtype=torch.float32) - torch.tensor(field.mean)) / torch.tensor(field.std)
        with torch.no_grad():
            said = run.data.schema.target.classes[int(run.model(taken.float()[None]).argmax())]
        assert said == found.after.text != found.before.text


def test_a_number_has_changed_when_it_moved_by_half_a_deviation() -> None:
    run = trained("regression")
    found = find_adversarial_example(run, 3)
    (weights, _) = (value.double() for value in run.model.state_dict().values())
    assert found.least == pytest.approx(MIN_MOVE / float(weights.abs().sum()), rel=2e-3)


def test_the_network_and_the_random_numbers_are_as_before_even_if_it_is_ended() -> None:
    run = trained("strided")
    before, drawn = state(run), torch.get_rng_state().clone()
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        if len(shares) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        robustness(run, "pgd", rows=64, progress=stop)
    find_adversarial_example(run, 2, "pgd")
    assert shares == sorted(shares)
    assert torch.equal(drawn, torch.get_rng_state())
    assert str(state(run)) == str(before)


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
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
def kinds() -> dict[str, TrainedRun]:
    """Small networks whose answers are labels, a class for each pixel, and several outputs."""
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
def test_labels_pixels_and_each_of_several_outputs_can_be_attacked(
    kinds: dict[str, TrainedRun], name: str, output: str, measure: str
) -> None:
    run = kinds[name]
    found = robustness(run, "pgd", rows=10_000, output=output, strengths=(0.02, 0.1))
    assert (found.measure, found.output) == (measure, output)
    answers, truth = run.output_of("test"), run.data.target[run.data.split["test"]]
    if measure == "labels right":
        right = ((answers > 0) == (truth > 0)).double().mean()
    elif measure == "pixels right":
        right = (answers.argmax(1) == truth).double().mean()
    elif measure == "accuracy":
        right = (answers[:, :4].argmax(1) == truth[:, 0]).double().mean()
    else:
        fitted = run.data.fitted_targets[1]
        assert isinstance(fitted, FittedNumbers)
        right = (answers[:, 4] - truth[:, 1]).abs().mean() * fitted.std[0]
    assert found.scores[0] == pytest.approx(float(right), rel=1e-5)
    worse = 1 if measure == "mean absolute error" else -1
    assert worse * (found.scores[2] - found.scores[1]) > 0
    assert worse * (found.scores[2] - found.chance[2]) > 0
    assert found.shares == (worse < 0)


def test_a_label_more_or_less_takes_no_less_than_its_closed_form(kinds: dict[str, TrainedRun]) -> None:
    """A linear network's label turns where the strength times the 1-norm of its weights reaches its logit."""
    run, row = kinds["labels"], int(kinds["labels"].data.split["test"][0])
    weights, _ = run.model.state_dict().values()
    space = aim_space(run)
    with torch.no_grad():
        logits: torch.Tensor = run.model(run.data.inputs["image"][row : row + 1])[0]
    least = (logits.abs() / (weights * space).abs().sum(1)).min()
    found = find_adversarial_example(run, row, "pgd")
    assert found.least is not None
    assert found.least >= float(least) * (1 - 1e-4)
    assert found.before.text != found.after.text
    assert found.turned == "adds or removes a label"


def aim_space(run: TrainedRun) -> torch.Tensor:
    """By how much a pixel as the network takes it moves with a brightness of one."""
    return 1 / torch.tensor(run.data.image_field("image").std).float()


def test_one_pixel_of_two_is_half_of_what_was_found(kinds: dict[str, TrainedRun]) -> None:
    aim = attack_target(kinds["pixels"])
    own = torch.zeros(1, 5, 1, 4)
    own[0, 0, 0, :2] = own[0, 3, 0, 2:] = 1.0  # ground, ground, triangle, triangle
    other = own.repeat(3, 1, 1, 1)
    other[0, 2, 0, 2] = 2.0  # one of the two
    other[1, 2, 0, :2] = 2.0  # the ground alone
    assert aim.differs(other, own).tolist() == [True, False, False]


def test_what_is_explained_says_which_output_is_attacked(kinds: dict[str, TrainedRun]) -> None:
    run = kinds["several"]
    assert [attacked_output(run, asked) for asked in (None, "shape", "shape: cross", "area")] == [
        "",
        "shape",
        "shape",
        "area",
    ]
    assert attacked_output(kinds["labels"], "circle") == ""
    found = find_adversarial_example(run, 3, output="area")
    assert found.turned == "changes the prediction by half a standard deviation of the target"
    with pytest.raises(ExplainError, match="There is no output 'size'; choose one of shape, area"):
        find_adversarial_example(run, 3, output="size")
    with pytest.raises(ExplainError, match="this network has one"):
        robustness(kinds["labels"], output="size")


def test_tokens_and_other_answers_are_refused_with_a_reason() -> None:
    assert "tokens" in unavailable_reason(trained("transformer"))
    with pytest.raises(ExplainError, match="tokens"):
        robustness(trained("transformer"))
    run = trained("table")
    for objective, said in (
        ("reconstruction", "reconstructs its input"),
        ("ranking", "something else"),
        ("dqn", "an agent"),
    ):
        other = run.project.training.model_copy(update={"objective": objective})
        rebuilt: Any = SimpleNamespace(project=run.project.model_copy(update={"training": other}), data=run.data)
        assert said in unavailable_reason(rebuilt)
    with pytest.raises(ExplainError, match="no attack"):
        robustness(run, "magic")
    with pytest.raises(ExplainError, match="no split"):
        robustness(run, split="holdout")
