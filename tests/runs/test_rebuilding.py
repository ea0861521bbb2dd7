"""Reconstruction and anomalies: measures against NumPy and scikit-learn, the threshold by trying every one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from netloom.data import Prepared, prepare, schema
from netloom.document import DataChoice, Project, Training
from netloom.explain import ExplainError, explain
from netloom.modalities.encoding.rows import restore_rows
from netloom.runs import TrainedRun, evaluate, fit_here, predict
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.objectives.anomaly_detection import choose_threshold, usual_class
from netloom.training.trainer import Callback
from netloom.validation import validate
from tests.networks import IMAGE, TOKENS, chain
from tests.runs.examples import Recorder, loop

RECONSTRUCTION, ANOMALY = OBJECTIVES["reconstruction"], OBJECTIVES["anomaly_detection"]


def autoencoder(**training: Any) -> Project:
    """Digits through a bottleneck, with dropout, so that random numbers matter."""
    return chain(
        IMAGE,
        ("Flatten", {}),
        ("Linear", {"units": 16}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.1}),
        ("Linear", {"units": 64}),
        ("Reshape", {"shape": [1, 8, 8]}),
        data=DataChoice(dataset="digits"),
        training=Training(**{"objective": "reconstruction", "epochs": 3, "device": "cpu", **training}),
    )


@cache
def pulses() -> TrainedRun:
    """The template of anomalies, trained for a moment."""
    project = templates()["pulses_anomaly"].project
    short = project.training.model_copy(update={"epochs": 12, "device": "cpu"})
    return fit_here(project.model_copy(update={"training": short}))


def told(run: TrainedRun, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The errors of a split by NumPy, and which rows are unusual."""
    rows = run.data.split[split].numpy()
    with torch.no_grad():
        output = run.model(run.data.inputs["signal"][rows]).numpy()
    error = ((output - run.data.inputs["signal"].numpy()[rows]) ** 2).mean((1, 2))
    return error, run.data.target.numpy()[rows] == 1


def test_reconstruction_equals_numpy(home: Path) -> None:
    data = prepare(DataChoice(dataset="digits"), home)
    rows, train = data.split["test"], data.split["train"]
    given = data.inputs["image"].double().numpy()
    output = data.inputs["image"][rows] + 0.3 * torch.randn(
        len(rows), 1, 8, 8, generator=torch.Generator().manual_seed(1)
    )
    found = RECONSTRUCTION.evaluate(output, data, rows, "test")
    off = output.double().numpy() - given[rows]
    assert found.metrics["mse"] == pytest.approx((off**2).mean(), rel=1e-5)
    assert found.metrics["mae"] == pytest.approx(np.abs(off).mean(), rel=1e-5)
    spread = ((given[rows] - given[train].mean(0)) ** 2).sum()
    assert found.metrics["explained"] == pytest.approx(1 - (off**2).sum() / spread, rel=1e-5)
    errors = (off**2).mean((1, 2, 3))
    assert found.worst[0].row == int(rows[errors.argmax()])
    assert found.panels[0]["row"] == int(rows[errors.argmax()])
    best = next(item for item in found.panels if item["group"] == "Best reconstructions")
    assert best["row"] == int(rows[errors.argmin()])
    assert len({item["row"] for item in found.panels}) == len(found.panels) == 16
    json.dumps(found.as_json(), allow_nan=False)


def test_what_is_shown_is_the_picture_itself(home: Path) -> None:
    data = prepare(DataChoice(dataset="digits"), home)
    rows = data.split["test"]
    perfect = RECONSTRUCTION.evaluate(data.inputs["image"][rows], data, rows, "test")
    assert perfect.metrics["explained"] == 1.0
    for item in perfect.panels:
        before, after = (np.array(part["values"]) for part in item["parts"])
        assert np.abs(before - after).max() < 1e-3
        assert np.allclose(before[0], data.example(item["row"]).image, atol=1e-3)


@pytest.mark.parametrize("name", ["digits", "sine", "breast_cancer"])
def test_fields_come_back_in_the_datas_own_units(name: str, home: Path) -> None:
    data = prepare(DataChoice(dataset=name), home)
    (field,) = data.preprocess["fields"]
    for row, back in enumerate(restore_rows(field, data.inputs[field["name"]][:5].numpy())):
        raw = data.row(row)
        expected = raw[field["name"]] if field["name"] in raw else list(raw.values())
        got = list(back.values()) if isinstance(back, dict) else back
        assert np.allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_categories_come_back_as_their_names() -> None:
    column = {"name": "colour", "type": "category", "values": ["blue", "red"]}
    number = {"name": "size", "type": "number", "mean": 10.0, "std": 2.0, "median": 10.0}
    field = {"name": "features", "encoding": "table", "columns": [column, number]}
    rows = restore_rows(field, np.array([[0.1, 0.7, 0.2, 1.0], [0.1, 0.2, 0.9, -1.0]]))
    assert rows == [{"colour": "red", "size": 12.0}, {"colour": "(other)", "size": 8.0}]


def test_the_loss_falls_and_resume_equals_uninterrupted(home: Path) -> None:
    whole = loop(autoencoder(), home)
    before = whole.evaluate("validation")["loss"]
    whole.fit(Callback())
    assert whole.evaluate("validation")["loss"] < 0.7 * before
    first = loop(autoencoder(), home)
    first.fit(Recorder(stop_at=31))
    saved = first.checkpoint()
    second = loop(autoencoder(), home)
    second.resume(saved, first.best.weights)
    second.fit(Callback())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_the_loss_of_a_variational_autoencoder_has_its_divergence(home: Path) -> None:
    """The KL divergence joins the loss through the module itself; what is recorded is the reconstruction alone."""
    project = templates()["digits_vae"].project
    short = project.training.model_copy(update={"epochs": 3, "device": "cpu"})
    made = loop(project.model_copy(update={"training": short}), home)
    part = next(module for module in made.model.modules() if hasattr(module, "auxiliary_loss"))
    setattr(part, "coefficient", 50.0)  # noqa: B010
    made.fit(Callback())
    mean = made.model.get_submodule("linear_2")
    with torch.no_grad():
        hidden = made.model.get_submodule("linear_1")(made.data.inputs["image"][:200].flatten(1)).relu()
        assert mean(hidden).abs().mean() < 0.05  # a heavy divergence leaves nothing of the code


def test_noise_stands_in_training_alone(home: Path) -> None:
    run = fit_here(
        templates()["digits_denoising"].project.model_copy(
            update={"training": Training(objective="reconstruction", epochs=1, device="cpu")}
        ),
        home,
    )
    rows = run.data.inputs["image"][:4]
    with torch.no_grad():
        assert torch.equal(run.model(rows), run.model(rows))
        run.model.train()
        assert not torch.equal(run.model(rows), run.model(rows))


def test_unusual_rows_do_not_enter_the_loss() -> None:
    data = prepare(DataChoice(dataset="pulses"))
    target = ANOMALY.target(data)
    assert usual_class(data) == 0
    rows = torch.tensor(
        [*torch.where(data.target == 0)[0][:3].tolist(), *torch.where(data.target == 1)[0][:2].tolist()]
    )
    output = torch.zeros(5, 48, 1)
    expected = data.inputs["signal"][rows[:3]].square().mean()
    assert float(ANOMALY.loss(output, target[rows])) == pytest.approx(float(expected), rel=1e-5)
    scores = ANOMALY.scores(output, target[rows])
    assert scores.count == 3
    assert float(scores.sums["loss"]) / 3 == pytest.approx(float(expected), rel=1e-5)
    none = ANOMALY.scores(output[3:], target[rows[3:]])
    assert (none.count, float(none.sums["loss"])) == (0, 0.0)


def test_anomalies_equal_scikit_learn_with_a_threshold_from_validation_rows() -> None:
    run = pulses()
    found = evaluate(run)
    error, unusual = told(run, "test")
    assert found.metrics["roc_auc"] == pytest.approx(metrics.roc_auc_score(unusual, error), abs=1e-6)
    threshold = found.metrics["threshold"]
    assert threshold == run.calibration["threshold"]
    guess = error > threshold
    assert found.metrics["precision"] == pytest.approx(metrics.precision_score(unusual, guess))
    assert found.metrics["recall"] == pytest.approx(metrics.recall_score(unusual, guess))
    assert found.metrics["f1"] == pytest.approx(metrics.f1_score(unusual, guess))
    # No threshold does better on the validation rows; the test rows had no say.
    seen, known = told(run, "validation")
    tried = [metrics.f1_score(known, seen > value) for value in [-1.0, *seen.tolist()]]
    assert metrics.f1_score(known, seen > threshold) == pytest.approx(max(tried))
    json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_threshold_is_that_of_trying_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    error = random.integers(0, 12, 40).astype(np.float32)  # with equal errors, which cannot be parted
    unusual = (error + random.normal(0, 4, 40)) > 8
    unusual[0] = True
    found = choose_threshold(torch.from_numpy(error), torch.from_numpy(unusual))
    scores = [metrics.f1_score(unusual, error > value, zero_division=0) for value in np.arange(0, 12) + 0.5]
    assert metrics.f1_score(unusual, error > found, zero_division=0) == pytest.approx(max(scores))


def test_without_an_unusual_row_nothing_seen_is_called_unusual() -> None:
    error = torch.tensor([0.1, 0.5, 0.3])
    assert choose_threshold(error, torch.zeros(3, dtype=torch.bool)) == pytest.approx(0.5)


def test_calling_everything_unusual_is_among_the_thresholds() -> None:
    error, unusual = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, True, False, True])
    assert bool((error > choose_threshold(error, unusual)).all())


def test_without_a_threshold_the_unusual_rows_are_the_worst() -> None:
    """Every row is predicted usual then, and no distance from the threshold is finite."""
    run = pulses()
    rows = run.data.split["test"]
    found = run.objective.evaluate(run.output_of("test"), run.data, rows, "test")
    unusual = set(rows[run.data.target[rows] != usual_class(run.data)].tolist())
    count = min(len(unusual), len(found.worst))
    assert count > 0
    assert {worst.row for worst in found.worst[:count]} <= unusual


def test_answers_say_what_is_unusual_and_explanations_where() -> None:
    run = pulses()
    error, _ = told(run, "test")
    rows = run.data.split["test"].tolist()
    worst = rows[int(error.argmax())]
    usual, odd = predict(run, [run.data.row(rows[int(error.argmin())]), run.data.row(worst)])
    assert (usual["prediction"], odd["prediction"]) == ("usual", "unusual")
    assert odd["error"] == pytest.approx(float(error.max()), rel=1e-4)
    found = explain(run, "integrated_gradients", worst)
    assert found.target.kind == "error"
    assert found.proofs.completeness is not None
    assert found.proofs.completeness.answer == pytest.approx(float(error.max()), rel=1e-4)
    assert (found.proofs.completeness.relative_error or 0) < 0.02
    with pytest.raises(ExplainError, match="leave the target out"):
        explain(run, "occlusion", worst, target="unusual")


def test_what_cannot_be_given_back_is_an_issue(home: Path) -> None:
    images: Prepared = prepare(DataChoice(dataset="digits"), home)
    flat = chain(IMAGE, ("Flatten", {}), ("Linear", {"units": 64}), training=Training(objective="reconstruction"))
    (issue,) = [issue for issue in validate(flat, images.schema) if issue.severity == "error"]
    assert "the field image of the data needs (N, 1, 8, 8)" in issue.message
    assert issue.fix is not None
    assert "Reshape" in issue.fix.title
    texts = schema(DataChoice(dataset="intents"), home)
    assert texts is not None
    spoken = chain(TOKENS, ("Embedding", {}), ("Flatten", {}), training=Training(objective="reconstruction"))
    codes = {issue.code: issue.message for issue in validate(spoken, texts)}
    assert "contains tokens" in codes["objective"]
    numbers = schema(DataChoice(dataset="diabetes"), home)
    wrong = chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [10]}),
        ("Linear", {"units": 10}),
        training=Training(objective="anomaly_detection"),
    )
    assert any(
        "anomaly detection needs data whose target is classes" in issue.message for issue in validate(wrong, numbers)
    )
