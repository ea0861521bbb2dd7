"""Reconstruction and anomaly detection: metrics against NumPy and scikit-learn, the threshold against an exhaustive
search."""

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
    """Digits through a bottleneck with dropout, so that random numbers matter."""
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
    """The anomaly detection template after a short training."""
    project = templates()["pulses_anomaly"].project
    short = project.training.model_copy(update={"epochs": 12, "device": "cpu"})
    return fit_here(project.model_copy(update={"training": short}))


def errors_and_anomalies(run: TrainedRun, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The errors of a split by NumPy, and which of its rows are anomalies."""
    rows = run.data.split[split].numpy()
    with torch.no_grad():
        output = run.model(run.data.inputs["signal"][rows]).numpy()
    error = ((output - run.data.inputs["signal"].numpy()[rows]) ** 2).mean((1, 2))
    return error, run.data.target.numpy()[rows] == 1


def test_reconstruction_equals_numpy(home: Path) -> None:
    data = prepare(DataChoice(dataset="digits"), home)
    rows, train = data.split["test"], data.split["train"]
    images = data.inputs["image"].double().numpy()
    output = data.inputs["image"][rows] + 0.3 * torch.randn(
        len(rows), 1, 8, 8, generator=torch.Generator().manual_seed(1)
    )
    evaluation = RECONSTRUCTION.evaluate(output, data, rows, "test")
    residuals = output.double().numpy() - images[rows]
    assert evaluation.metrics["mse"] == pytest.approx((residuals**2).mean(), rel=1e-5)
    assert evaluation.metrics["mae"] == pytest.approx(np.abs(residuals).mean(), rel=1e-5)
    total_variance = ((images[rows] - images[train].mean(0)) ** 2).sum()
    assert evaluation.metrics["explained"] == pytest.approx(1 - (residuals**2).sum() / total_variance, rel=1e-5)
    errors = (residuals**2).mean((1, 2, 3))
    assert evaluation.worst[0].row == int(rows[errors.argmax()])
    assert evaluation.panels[0]["row"] == int(rows[errors.argmax()])
    best = next(item for item in evaluation.panels if item["group"] == "Best reconstructions")
    assert best["row"] == int(rows[errors.argmin()])
    assert len({item["row"] for item in evaluation.panels}) == len(evaluation.panels) == 16
    json.dumps(evaluation.as_json(), allow_nan=False)


def test_panels_show_the_original_image(home: Path) -> None:
    data = prepare(DataChoice(dataset="digits"), home)
    rows = data.split["test"]
    perfect = RECONSTRUCTION.evaluate(data.inputs["image"][rows], data, rows, "test")
    assert perfect.metrics["explained"] == 1.0
    for panel in perfect.panels:
        before, after = (np.array(part["values"]) for part in panel["parts"])
        assert np.abs(before - after).max() < 1e-3
        assert np.allclose(before[0], data.example(panel["row"]).image, atol=1e-3)


@pytest.mark.parametrize("name", ["digits", "sine", "breast_cancer"])
def test_restored_rows_have_the_units_of_the_data(name: str, home: Path) -> None:
    data = prepare(DataChoice(dataset=name), home)
    (field,) = data.preprocess.fields
    for row, restored in enumerate(restore_rows(field, data.inputs[field.name][:5].numpy())):
        raw = data.row(row)
        expected = raw[field.name] if field.name in raw else list(raw.values())
        values = list(restored.values()) if isinstance(restored, dict) else restored
        assert np.allclose(values, expected, rtol=1e-4, atol=1e-4)


def test_restored_categories_have_their_names() -> None:
    column = {"name": "colour", "type": "category", "values": ["blue", "red"]}
    number = {"name": "size", "type": "number", "mean": 10.0, "std": 2.0, "median": 10.0}
    field = {"name": "features", "encoding": "table", "columns": [column, number]}
    rows = restore_rows(field, np.array([[0.1, 0.7, 0.2, 1.0], [0.1, 0.2, 0.9, -1.0]]))
    assert rows == [{"colour": "red", "size": 12.0}, {"colour": "(other)", "size": 8.0}]


def test_loss_falls_and_resume_matches_uninterrupted(home: Path) -> None:
    uninterrupted = loop(autoencoder(), home)
    before = uninterrupted.evaluate("validation")["loss"]
    uninterrupted.fit(Callback())
    assert uninterrupted.evaluate("validation")["loss"] < 0.7 * before
    first = loop(autoencoder(), home)
    first.fit(Recorder(stop_at=31))
    saved = first.checkpoint()
    second = loop(autoencoder(), home)
    second.resume(saved, first.best.weights)
    second.fit(Callback())
    for name, value in uninterrupted.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_vae_loss_includes_kl_divergence(home: Path) -> None:
    """The KL divergence is added to the loss by the module; only the reconstruction loss is logged."""
    project = templates()["digits_vae"].project
    short = project.training.model_copy(update={"epochs": 3, "device": "cpu"})
    trainer = loop(project.model_copy(update={"training": short}), home)
    latent = next(module for module in trainer.model.modules() if hasattr(module, "auxiliary_loss"))
    setattr(latent, "coefficient", 50.0)  # noqa: B010
    trainer.fit(Callback())
    mean = trainer.model.get_submodule("linear_2")
    with torch.no_grad():
        hidden = trainer.model.get_submodule("linear_1")(trainer.data.inputs["image"][:200].flatten(1)).relu()
        assert mean(hidden).abs().mean() < 0.05  # a large KL weight collapses the latent code


def test_noise_is_active_only_in_training(home: Path) -> None:
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


def test_anomalies_are_excluded_from_the_loss() -> None:
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


def test_anomaly_metrics_match_scikit_learn_with_validation_threshold() -> None:
    run = pulses()
    evaluation = evaluate(run)
    error, labels = errors_and_anomalies(run, "test")
    assert evaluation.metrics["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, error), abs=1e-6)
    threshold = evaluation.metrics["threshold"]
    assert threshold == run.calibration["threshold"]
    predicted = error > threshold
    assert evaluation.metrics["precision"] == pytest.approx(metrics.precision_score(labels, predicted))
    assert evaluation.metrics["recall"] == pytest.approx(metrics.recall_score(labels, predicted))
    assert evaluation.metrics["f1"] == pytest.approx(metrics.f1_score(labels, predicted))
    # No threshold scores better on the validation rows; the test rows are not used.
    validation_error, validation_labels = errors_and_anomalies(run, "validation")
    f1_scores = [
        metrics.f1_score(validation_labels, validation_error > value) for value in [-1.0, *validation_error.tolist()]
    ]
    assert metrics.f1_score(validation_labels, validation_error > threshold) == pytest.approx(max(f1_scores))
    json.dumps(evaluation.as_json(), allow_nan=False)


@pytest.mark.parametrize("seed", range(5))
def test_best_threshold_matches_exhaustive_search(seed: int) -> None:
    random = np.random.default_rng(seed)
    error = random.integers(0, 12, 40).astype(np.float32)  # with ties, which no threshold separates
    unusual = (error + random.normal(0, 4, 40)) > 8
    unusual[0] = True
    threshold = choose_threshold(torch.from_numpy(error), torch.from_numpy(unusual))
    scores = [metrics.f1_score(unusual, error > value, zero_division=0) for value in np.arange(0, 12) + 0.5]
    assert metrics.f1_score(unusual, error > threshold, zero_division=0) == pytest.approx(max(scores))


def test_threshold_without_anomalies_flags_no_row() -> None:
    error = torch.tensor([0.1, 0.5, 0.3])
    assert choose_threshold(error, torch.zeros(3, dtype=torch.bool)) == pytest.approx(0.5)


def test_threshold_can_flag_all_rows() -> None:
    error, unusual = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, True, False, True])
    assert bool((error > choose_threshold(error, unusual)).all())


def test_worst_rows_without_threshold_are_anomalies() -> None:
    """Every row is then predicted as normal, and no distance from the threshold is finite."""
    run = pulses()
    rows = run.data.split["test"]
    evaluation = run.objective.evaluate(run.output_of("test"), run.data, rows, "test")
    unusual = set(rows[run.data.target[rows] != usual_class(run.data)].tolist())
    count = min(len(unusual), len(evaluation.worst))
    assert count > 0
    assert {worst.row for worst in evaluation.worst[:count]} <= unusual


def test_anomaly_predictions_and_attributions_match_the_error() -> None:
    run = pulses()
    error, _ = errors_and_anomalies(run, "test")
    rows = run.data.split["test"].tolist()
    worst = rows[int(error.argmax())]
    usual, anomaly = predict(run, [run.data.row(rows[int(error.argmin())]), run.data.row(worst)])
    assert (usual["prediction"], anomaly["prediction"]) == ("usual", "unusual")
    assert anomaly["error"] == pytest.approx(float(error.max()), rel=1e-4)
    explanation = explain(run, "integrated_gradients", worst)
    assert explanation.target.kind == "error"
    assert explanation.proofs.completeness is not None
    assert explanation.proofs.completeness.score == pytest.approx(float(error.max()), rel=1e-4)
    assert (explanation.proofs.completeness.relative_error or 0) < 0.02
    with pytest.raises(ExplainError, match="leave the target out"):
        explain(run, "occlusion", worst, target="unusual")


def test_unreconstructable_outputs_are_validation_errors(home: Path) -> None:
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
