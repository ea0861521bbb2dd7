"""The calibration of detectors, compared with matching and measures that are written again here."""

from __future__ import annotations

import io
import json
import math
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from sklearn import metrics

from netloom import export
from netloom.calibration import CalibrationReport, CalibrationSettings, calibrate
from netloom.calibration.scaling import calibrators
from netloom.core.errors import UsageError
from netloom.data.boxes import overlap
from netloom.data.preparation.box_decoding import detected, detected_logits
from netloom.data.preparation.calibrated import object_confidences
from netloom.explain.core.prediction import calibrated_text
from netloom.runs import TrainedRun, evaluate, predict
from netloom.runs.prediction.applied_calibration import PartCalibration, Scaling, applied, save, weights_checksum
from netloom.serving.models.served_model import ServedModel
from netloom.serving.schemas import answer_schema
from netloom.store import RunArtifacts
from netloom.tasks.detection import Detection
from netloom.training.objectives.average_precision import Matches, average_precisions, matched
from netloom.training.weights.weight_files import save_weights
from tests.calibration.examples import detector
from tests.export.bundles import modules_of

METHODS = tuple(calibrators())


def rows(run: TrainedRun, count: int = 30) -> list[dict[str, Any]]:
    return [run.data.row(int(row)) for row in run.data.split["test"][:count]]


def with_calibration(run: TrainedRun, report: CalibrationReport) -> TrainedRun:
    return replace(run, applied=report.applied)


def matched_again(run: TrainedRun, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and hits (M,) of all objects of a split, matched one by one as Pascal VOC does."""
    scores, hits = [], []
    output, target = run.output_of(split), run.data.target[run.data.split[split]]
    for names, values, boxes, true in zip(*(part.tolist() for part in detected(output)), target.tolist(), strict=True):
        free = [item for item in true if item[0] >= 0]
        for name, score, box in zip(names, values, boxes, strict=True):
            if not score:
                continue
            same = [item for item in free if item[0] == name]
            best = max(same, key=lambda item: overlap(box, item[1:]), default=None)
            is_hit = best is not None and overlap(box, best[1:]) >= 0.5
            if is_hit:
                free.remove(best)
            scores.append(score)
            hits.append(is_hit)
    return np.array(scores), np.array(hits, dtype=float)


def d_ece(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """The detection ECE of Küppers et al. 2020: the gaps of precision and confidence, weighted by the objects."""
    total = 0.0
    for number in range(bins):
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("method", METHODS)
def test_measures_are_those_of_the_objects_of_the_test_rows(method: str) -> None:
    run = detector()
    report = calibrate(run, CalibrationSettings(method))
    [part] = report.parts
    assert part.before is not None
    assert part.after is not None
    scores, right = matched_again(run, "test")
    counted = scores >= Detection.calibrated_from
    scores, right = scores[counted], right[counted]
    scaling = report.applied.parts[""].scaling
    assert scaling is not None
    if method == "isotonic":
        [curve] = scaling.curves
        calibrated = np.interp(scores, curve.x, curve.y)
    else:
        calibrated = expit(logit(scores) * scaling.scale[0] + scaling.shift[0])
    assert 0 < right.mean() < 1
    for measured, values in ((part.before.measures, scores), (part.after.measures, calibrated)):
        assert measured["ece"] == pytest.approx(d_ece(values, right), rel=1e-3)
        assert measured["brier"] == pytest.approx(metrics.brier_score_loss(right, values), rel=1e-4)
        assert measured["log_loss"] == pytest.approx(metrics.log_loss(right, values), rel=1e-4)
        assert "accuracy" not in measured
    assert part.before.equal_width.count
    assert sum(part.before.equal_width.count) == len(scores)


def test_the_map_is_that_of_a_logistic_regression_on_validation_objects() -> None:
    """Without its weak prior, Platt scaling is a logistic regression on the logit."""
    from scipy.optimize import minimize

    run = detector()
    scores, right = matched_again(run, "validation")
    counted = scores >= Detection.calibrated_from
    z, right = logit(scores[counted]), right[counted]

    def loss(values: np.ndarray) -> float:
        scaled = values[0] * z + values[1]
        return float((np.logaddexp(0, scaled) - right * scaled).sum() + ((values - [1, 0]) ** 2).sum() / 2)

    expected = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}).x
    scaling = calibrate(run, CalibrationSettings("platt")).applied.parts[""].scaling
    assert scaling is not None
    assert (scaling.scale[0], scaling.shift[0]) == pytest.approx(tuple(expected), rel=1e-3, abs=1e-3)


def test_simulated_overconfidence_is_corrected() -> None:
    """Objects that are right with the probability of half of their logit: the temperature is 2."""
    random = np.random.default_rng(0)
    z = random.normal(0, 3, 40_000)
    right = random.random(len(z)) < expit(z / 2)
    assert d_ece(expit(z), right.astype(float)) > 0.05
    from netloom.calibration.units import LabelUnits

    units = LabelUnits(z[:, None], right[:, None].astype(np.int64), np.arange(len(z)))
    scaling = calibrators()["temperature"].fit(units)
    assert scaling.scale[0] == pytest.approx(0.5, rel=0.05)
    calibrated = object_confidences(PartCalibration("sigmoid", "object", 2, scaling).as_json(), torch.from_numpy(z))
    assert d_ece(calibrated.numpy(), right.astype(float)) < 0.01


def average(matches: Matches, scores: torch.Tensor) -> list[float]:
    """The average precision of each class at each IoU with other scores."""
    changed = replace(matches, scores=scores)
    classes = range(int(matches.true.max()) + 1)
    return [value for number in classes for value in average_precisions(changed, number).tolist()]  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_average_precision_does_not_change(method: str) -> None:
    run = detector()
    calibration = calibrate(run, CalibrationSettings(method)).applied.parts[""].as_json()
    classes, logits, boxes = detected_logits(run.output_of("test").double())
    matches = matched((classes, logits.sigmoid(), boxes), run.data.target[run.data.split["test"]])
    before = average(matches, matches.scores)
    assert average(matches, object_confidences(calibration, logits)) == before
    assert 0 < np.mean(before) < 1
    # A map that is not increasing would change it
    assert average(matches, (1 - matches.scores).where(matches.scores > 0, 0.0)) != before


@pytest.mark.parametrize("method", METHODS)
def test_the_same_objects_are_predicted_in_the_same_order(method: str) -> None:
    run = detector()
    calibrated = with_calibration(run, calibrate(run, CalibrationSettings(method)))
    before, after = predict(run, rows(run)), predict(calibrated, rows(run))
    assert sum(len(answer["prediction"]) for answer in before) > 30
    for old, new in zip(before, after, strict=True):
        without_scores = [
            [{key: value for key, value in item.items() if key != "score"} for item in answer["prediction"]]
            for answer in (old, new)
        ]
        assert without_scores[0] == without_scores[1]
        scores = [item["score"] for item in new["prediction"]]
        assert scores == sorted(scores, reverse=True)
        assert all(score >= new["threshold"] - 1e-6 for score in scores)
        assert set(new) == {"prediction", "threshold"}
    assert [answer["prediction"] for answer in before] != [answer["prediction"] for answer in after]
    jsonschema.validate(after[0], answer_schema(ServedModel("shapes", calibrated, max_rows=1)))
    item, *_ = next(answer["prediction"] for answer in after if answer["prediction"])
    assert calibrated_text({"prediction": [item]}) == f"{item['class']} {item['score']:.1%}"
    assert calibrated_text({"prediction": []}) == "none"
    assert evaluate(calibrated).metrics == evaluate(run).metrics, "metrics are those of the network"


def test_the_threshold_has_the_best_f1_on_validation_rows() -> None:
    run = detector()
    report = calibrate(run, CalibrationSettings("platt"))
    [part] = report.parts
    decision = part.decision
    assert decision is not None
    scores, right = matched_again(run, "validation")
    true = int((run.data.target[run.data.split["validation"]][..., 0] >= 0).sum())

    def f1(limit: float) -> float:
        called = scores > limit
        return float(2 * right[called].sum() / (called.sum() + true))

    assert f1(decision.score) == pytest.approx(max(f1(score - 1e-7) for score in scores))
    scaling = report.applied.parts[""].scaling
    assert scaling is not None
    expected = expit(logit(decision.score) * scaling.scale[0] + scaling.shift[0])
    assert decision.confidence == pytest.approx(expected, rel=1e-6)
    answers = predict(with_calibration(run, report), rows(run, 2))
    assert answers[0]["threshold"] == pytest.approx(decision.confidence, rel=1e-6)
    assert decision.metrics == {
        name: value for name, value in evaluate(run).metrics.items() if name in ("map", "f1", "precision", "recall")
    }


def test_the_fit_reads_validation_rows_only() -> None:
    run = detector()
    expected = calibrate(run, CalibrationSettings("platt")).applied
    target = run.data.target.clone()
    for split in ("train", "test"):
        target[run.data.split[split]] = target[run.data.split[split]].roll(1, 0)
    other = replace(run, data=replace(run.data, target=target))
    assert calibrate(other, CalibrationSettings("platt")).applied == expected


@pytest.mark.parametrize("method", [*METHODS, "none"])
def test_the_bundle_gives_equal_answers(method: str, tmp_path: Path) -> None:
    run = with_calibration(detector(), calibrate(detector(), CalibrationSettings(method)))
    with zipfile.ZipFile(io.BytesIO(export.content(run, "bundle"))) as archive:
        archive.extractall(tmp_path)
    assert "the `score` of an object is the probability that it matches" in (tmp_path / "README.md").read_text()
    with modules_of(tmp_path):
        script = __import__("predict")
        network, preprocess = script.load(tmp_path)
        plain = json.loads(json.dumps(rows(run, 5), default=lambda value: np.asarray(value).tolist()))
        assert script.predict(network, preprocess, plain) == predict(run, rows(run, 5))
    assert "predict" not in sys.modules


def test_a_saved_calibration_of_objects_is_read_again(tmp_path: Path) -> None:
    run = detector()
    artifacts = RunArtifacts.in_directory(tmp_path / "run")
    artifacts.create()
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, run.model.state_dict())
    report = calibrate(run, CalibrationSettings("isotonic"), weights=weights_checksum(weights))
    save(artifacts, report.applied)
    assert applied(artifacts, weights) == report.applied


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (CalibrationSettings(conformal=0.1), "prediction sets"),
        (CalibrationSettings(abstain_risk=0.1), "abstention"),
        (CalibrationSettings(measure_ood=True), "scores of unfamiliar inputs"),
        (CalibrationSettings(dropout_passes=3), "Monte Carlo dropout"),
        (CalibrationSettings(ensemble=("a",)), "an ensemble"),
    ],
)
def test_what_needs_a_confidence_of_the_row_is_refused(settings: CalibrationSettings, words: str) -> None:
    with pytest.raises(UsageError, match=rf"Object detection has a confidence for each object, .*: {words}\. Leave"):
        calibrate(detector(), settings)


def test_a_map_that_would_reverse_the_order_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = detector()
    # On validation rows alone, objects are right where they were wrong
    parts = run.objective.calibrated_parts
    validation = run.data.split["validation"]

    def reversed_parts(output: torch.Tensor, data: Any, places: torch.Tensor) -> Any:
        [part] = parts(output, data, places)
        is_validation = torch.equal(places, validation)
        target = torch.where(part.target >= 0, 1 - part.target, -1) if is_validation else part.target
        return (replace(part, target=target),)

    monkeypatch.setattr(type(run.objective), "calibrated_parts", lambda self, *arguments: reversed_parts(*arguments))
    with pytest.raises(UsageError, match="a calibration would reverse their order"):
        calibrate(run, CalibrationSettings("platt"))
    calibrate(run, CalibrationSettings("temperature"))


def test_a_threshold_below_the_calibrated_scores_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    run = detector()
    [part] = calibrate(run, CalibrationSettings("platt")).parts
    assert not part.missed
    decision = part.decision
    assert decision is not None
    monkeypatch.setattr(Detection, "calibrated_from", decision.score + 0.01)
    [part] = calibrate(run, CalibrationSettings("platt")).parts
    assert "the confidence of those between is extrapolated" in part.missed[0]
    assert f"from a score of {decision.score:.1%}," in part.missed[0]  # as in the report of the threshold
    [part] = calibrate(run, CalibrationSettings("none")).parts
    assert not part.missed


def test_outputs_that_are_not_finite_are_refused() -> None:
    run = detector()

    class Broken(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = run.model(image)
            return output.index_fill(0, torch.tensor([0]), math.nan)

    with pytest.raises(UsageError, match=r"NaN or infinite for 1 of .* rows"):
        calibrate(replace(run, model=Broken()), CalibrationSettings())


def test_a_network_without_objects_says_so() -> None:
    run = detector()

    class Empty(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = run.model(image)
            return output - 20

    with pytest.raises(UsageError, match="at least 20 predicted objects in the validation rows, but there are 0"):
        calibrate(replace(run, model=Empty()), CalibrationSettings())
    with pytest.raises(UsageError, match="no object in the test rows"):
        calibrate(replace(run, model=Empty()), CalibrationSettings("none"))


def test_a_score_of_zero_stays_no_object() -> None:
    steps: Mapping[str, Any] = PartCalibration("sigmoid", "object", 2, Scaling("platt", (2.0,), (1.0,))).as_json()
    assert object_confidences(steps, torch.tensor([-math.inf, 0.0])).tolist() == [0.0, pytest.approx(expit(1.0))]
