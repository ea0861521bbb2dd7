"""Calibrated runs: what is saved, what predictions say, and that exported bundles say the same."""

from __future__ import annotations

import copy
import io
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom
from netloom import export
from netloom.calibration import CalibrationSettings, calibrate, unavailable_reason
from netloom.core.errors import UsageError
from netloom.document import DataChoice, Training
from netloom.explain.core.prediction import calibrated_text, predict_example
from netloom.runs import TrainedRun, evaluate, fit_here, predict
from netloom.runs.prediction.applied_calibration import AppliedCalibration, applied, run_weights_checksum, save
from netloom.runs.prediction.embeddings import features, last_linear
from netloom.store import RunArtifacts
from netloom.tasks.registry import tasks
from netloom.training.weights.weight_files import CheckpointError, save_weights
from tests.calibration.examples import misleading_validation_rows, trained
from tests.export.bundles import modules_of
from tests.networks import chain, network, networks

CAREFUL = CalibrationSettings("platt", abstain_coverage=0.7, conformal=0.2)
NUMBERS = CalibrationSettings(conformal=0.2)


def rows(run: TrainedRun, count: int = 12) -> list[dict[str, Any]]:
    return [run.data.row(int(row)) for row in run.data.split["test"][:count]]


def calibrated(run: TrainedRun, settings: CalibrationSettings = CAREFUL) -> TrainedRun:
    return replace(run, applied=calibrate(run, settings).applied)


def bundle_answers(run: TrainedRun, folder: Path) -> list[dict[str, Any]]:
    """The predictions of the exported bundle for the same rows."""
    with zipfile.ZipFile(io.BytesIO(export.content(run, "bundle"))) as archive:
        archive.extractall(folder)
    assert "It is calibrated" in (folder / "README.md").read_text()
    with modules_of(folder):
        script = __import__("predict")
        network, preprocess = script.load(folder)
        plain = json.loads(json.dumps(rows(run), default=lambda value: np.asarray(value).tolist()))
        answers: list[dict[str, Any]] = script.predict(network, preprocess, plain)
    assert "predict" not in sys.modules
    return answers


def test_a_task_that_cannot_be_calibrated_says_why() -> None:
    for task in tasks().values():
        assert bool(task.confidence_unit) != task.not_calibrated.endswith("."), task.name


def test_intervals_of_several_numbers_have_their_names() -> None:
    [part] = calibrate(trained("station_dlinear"), NUMBERS).parts
    assert part.interval is not None
    assert part.interval.names[5:7] == ("temperature +6", "humidity +1")


@pytest.mark.parametrize(
    ("template", "settings"),
    [
        ("digits_mlp", CAREFUL),
        ("breast_cancer_binary", CAREFUL),
        ("requests_tagger", CalibrationSettings("isotonic", abstain_coverage=0.7)),
        ("commands_joint", CAREFUL),
        ("diabetes", NUMBERS),
        ("station_dlinear", NUMBERS),
    ],
)
def test_bundle_gives_equal_answers(template: str, settings: CalibrationSettings, tmp_path: Path) -> None:
    run = calibrated(trained(template), settings)
    answers = predict(run, rows(run))
    assert bundle_answers(run, tmp_path) == answers
    keys = {"interval"} if settings is NUMBERS else {"confidence", "abstained"}
    assert all(keys <= answer.keys() for answer in answers)
    for answer in answers:
        assert ("reason" in answer) == answer.get("abstained", False)
    beside_explanation = predict_example(run, int(run.data.split["test"][0])).calibrated
    assert beside_explanation.keys() == answers[0].keys()
    # One row and several rows differ by rounding
    assert calibrated_text(beside_explanation) == calibrated_text(answers[0])


def test_prediction_without_calibration_is_unchanged() -> None:
    run = trained("digits_mlp")
    before = predict(run, rows(run))
    assert predict(replace(calibrated(run), applied=None), rows(run)) == before
    assert set(before[0]) == {"prediction", "probabilities"}
    assert "calibration" not in run.decoding


@pytest.mark.parametrize(
    "settings",
    [
        CalibrationSettings("temperature", abstain_coverage=0.7, conformal=0.2),
        CalibrationSettings("temperature", abstain_coverage=0.9, conformal=0.2, ood_score="energy"),
        CalibrationSettings("temperature", conformal=0.2, ood_score="softmax"),
    ],
    ids=["confidence", "confidence and energy", "maximum probability"],
)
def test_figures_of_the_report_are_those_of_the_predictions(settings: CalibrationSettings) -> None:
    run = trained("digits_mlp")
    report = calibrate(run, settings)
    test = run.data.split["test"]
    answers = predict(replace(run, applied=report.applied), [run.data.row(int(row)) for row in test])
    classes = run.data.schema.target.classes
    truth = [classes[int(index)] for index in run.data.target[test]]
    (part,) = report.parts
    assert part.selected is not None
    assert part.sets is not None
    answered = [not answer["abstained"] for answer in answers]
    assert np.mean(answered) == pytest.approx(part.selected.coverage)
    wrong = [
        answer["prediction"] != true
        for answer, true, is_answered in zip(answers, truth, answered, strict=True)
        if is_answered
    ]
    assert np.mean(wrong) == pytest.approx(part.selected.risk)
    covered = [true in answer["prediction_set"] for answer, true in zip(answers, truth, strict=True)]
    assert np.mean(covered) == pytest.approx(part.sets.coverage)
    assert part.after is not None
    losses = [-np.log(answer["probabilities"][true]) for answer, true in zip(answers, truth, strict=True)]
    assert np.mean(losses) == pytest.approx(part.after.measures["log_loss"], rel=1e-4)


def test_sets_that_cover_too_little_on_test_rows_are_called_unreliable() -> None:
    run = trained("digits_mlp")
    settings = CalibrationSettings("temperature", conformal=0.1)
    assert "prediction sets" not in calibrate(run, settings).verdict
    target, test = run.data.target.clone(), run.data.split["test"]
    target[test] = target[test].roll(1)
    wrong = calibrate(replace(run, data=replace(run.data, target=target)), settings)
    (part,) = wrong.parts
    assert part.sets is not None
    assert f"contain the true class of {part.sets.coverage:.1%} of the test rows instead of 90%" in wrong.verdict


def test_fit_reads_validation_rows_only() -> None:
    run = trained("digits_mlp")
    expected = calibrate(run, CAREFUL).applied
    target = run.data.target.clone()
    for split in ("train", "test"):
        rows_of_split = run.data.split[split]
        target[rows_of_split] = target[rows_of_split].roll(1)
    assert calibrate(replace(run, data=replace(run.data, target=target)), CAREFUL).applied == expected


def test_thresholds_are_chosen_on_other_rows_than_the_map_of_probabilities() -> None:
    (both,) = calibrate(trained("digits_mlp"), CAREFUL).parts
    validation = len(trained("digits_mlp").data.split["validation"])
    assert both.fitted + both.chosen == validation
    (alone,) = calibrate(trained("digits_mlp"), CalibrationSettings()).parts
    assert (alone.fitted, alone.chosen) == (validation, 0)
    (neither,) = calibrate(trained("digits_mlp"), CalibrationSettings("none")).parts
    assert (neither.fitted, neither.chosen) == (0, 0)


def test_several_outputs_are_calibrated_each(tmp_path: Path) -> None:
    run = trained("shapes_two_outputs")
    run = calibrated(run, CalibrationSettings("temperature", conformal=0.2))
    answers = predict(run, rows(run))
    assert bundle_answers(run, tmp_path) == answers
    assert "prediction_set" in answers[0]["outputs"]["shape"]
    interval = answers[0]["outputs"]["area"]["interval"]
    assert interval["low"] < answers[0]["prediction"]["area"] < interval["high"]
    text = calibrated_text(answers[0])
    assert text.startswith(f"shape: {answers[0]['prediction']['shape']}, confidence ")
    assert text.endswith(f", 80% interval from {interval['low']:.4g} to {interval['high']:.4g}")


def test_labels_and_pixels_have_a_confidence_but_no_sets() -> None:
    for template in ("scenes_labels", "shapes_unet"):
        run = trained(template, rows=300)
        report = calibrate(run, CalibrationSettings("temperature", abstain_coverage=0.8, conformal=0.1))
        (part,) = report.parts
        assert part.sets is None
        assert "Prediction sets need one class for each row" in part.missed[0]
        answer = predict(replace(run, applied=report.applied), rows(run, 1))[0]
        assert 0 < answer["confidence"] <= 1
        assert isinstance(answer["abstained"], bool)


def test_network_that_ends_in_a_softmax_is_calibrated_by_its_logits(tmp_path: Path) -> None:
    layers = [("Linear", {"units": 16}), ("ReLU", {}), ("Linear", {"units": 2})]
    start = ("Input", {"field": "features", "kind": "vector", "shape": [2]})
    training, choice = Training(epochs=3, learning_rate=0.01, device="cpu"), DataChoice(dataset="moons")
    plain = fit_here(chain(start, *layers, data=choice, training=training))
    with_softmax = fit_here(chain(start, *layers, ("Softmax", {}), data=choice, training=training))
    chosen = [calibrate(run, CAREFUL).applied.parts[""] for run in (with_softmax, plain)]
    assert chosen[0] == chosen[1]
    run = calibrated(with_softmax)
    # The bundle reads log-probabilities, which differ from the logits by a constant and by rounding.
    for exported, local in zip(bundle_answers(run, tmp_path), predict(run, rows(run)), strict=True):
        assert exported["prediction_set"] == local["prediction_set"]
        assert exported["confidence"] == pytest.approx(local["confidence"], abs=1e-5)
    with pytest.raises(UsageError, match="energy needs logits"):
        calibrate(with_softmax, CalibrationSettings(ood_score="energy"))


def test_layer_that_is_called_several_times_gives_one_feature_vector_for_each_row() -> None:
    start = ("Input", {"field": "features", "kind": "vector", "shape": [2]})
    block = network({"input": start, "linear": ("Linear", {"units": 2}), "tanh": ("Tanh", {}), "y": ("Output", {})})
    repeated = ("Subnetwork", {"network": "block", "repeat": 3, "shared": True})
    project = networks(main=network({"input": start, "blocks": repeated, "y": ("Output", {})}), block=block)
    training, choice = Training(epochs=2, learning_rate=0.01, device="cpu"), DataChoice(dataset="moons")
    run = fit_here(project.model_copy(update={"data": choice, "training": training}))
    report = calibrate(run, CalibrationSettings("none", measure_ood=True))
    inputs = {"features": torch.randn(5, 2)}
    layer = last_linear(run, inputs)
    assert layer is not None
    with torch.no_grad():
        values = inputs["features"]
        for _ in range(2):
            values = layer(values).tanh()
    np.testing.assert_allclose(features(run, layer, inputs), values.numpy(), atol=1e-6)
    assert report.scores[-1].name == "mahalanobis"


@pytest.mark.parametrize(("template", "of"), [("digits_mlp", ""), ("shapes_two_outputs", "shape ")])
def test_a_measure_has_the_interval_of_the_evaluation(template: str, of: str) -> None:
    run = trained(template)
    evaluation = evaluate(run)
    before = next(part.before for part in calibrate(run, CalibrationSettings()).parts if part.before)
    for measure, metric in (("accuracy", f"{of}accuracy"), ("log_loss", f"{of}loss")):
        if metric not in evaluation.metrics:
            continue
        assert before.measures[measure] == pytest.approx(evaluation.metrics[metric], abs=1e-6)
        assert before.intervals[measure] == pytest.approx(evaluation.intervals[metric], abs=1e-5)


def test_unfamiliar_inputs_are_rejected() -> None:
    run = trained("digits_mlp", epochs=8)
    report = calibrate(run, CalibrationSettings("none", measure_ood=True, ood_score="energy"))
    names = [score.name for score in report.scores]
    assert names == ["softmax", "energy", "mahalanobis"]
    for score in report.scores:
        assert score.accepted == pytest.approx(0.95, abs=0.05)
    distance = report.scores[2].separates[0]
    assert distance.other == "Noise"
    assert distance.auroc > 0.9
    # Gray pictures are like no digit.
    flat = [{**row, "image": np.full_like(row["image"], 0.5)} for row in rows(run, 2)]
    answers = predict(replace(run, applied=report.applied), flat)
    assert all(answer["abstained"] for answer in answers)
    assert "unlike the training data" in answers[0]["reason"]


def test_dropout_passes_change_neither_the_run_nor_the_random_numbers() -> None:
    run = trained("digits_cnn")
    before = run.output_of("test")
    torch.manual_seed(5)
    first = torch.rand(3)
    torch.manual_seed(5)
    settings = CalibrationSettings("none", dropout_passes=3, seed=1)
    (ensemble,) = calibrate(run, settings).ensembles
    assert torch.equal(torch.rand(3), first)
    assert torch.equal(run.output_of("test"), before)
    assert calibrate(run, settings).ensembles == (ensemble,)
    assert ensemble.members == 3
    assert 0 < ensemble.mutual_information < ensemble.entropy
    with pytest.raises(UsageError, match="needs a network with a Dropout layer"):
        calibrate(trained("spirals"), settings)


def test_ensemble_of_seeds_is_the_mean_of_its_runs() -> None:
    run, second_run = trained("digits_mlp"), trained("digits_mlp", seed=1)
    report = calibrate(run, CalibrationSettings("none", ensemble=("other",)), ensemble_members=[second_run])
    (ensemble,) = report.ensembles
    shares = [member.output_of("test").double().softmax(1) for member in (run, second_run)]
    target = run.data.target[run.data.split["test"]]
    mean = torch.stack(shares).mean(0)
    assert ensemble.after["accuracy"] == pytest.approx(float((mean.argmax(1) == target).double().mean()))
    expected = -mean.gather(1, target[:, None]).log().mean()
    assert ensemble.after["log_loss"] == pytest.approx(float(expected))
    with pytest.raises(UsageError, match="runs of the same"):
        calibrate(run, CalibrationSettings("none", ensemble=("x",)), ensemble_members=[trained("breast_cancer_binary")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "There is no calibration method 'magic'"),
        ({"abstain_risk": 0.1, "abstain_coverage": 0.9}, "for a risk or for a coverage"),
        ({"conformal": 1.5}, "must be between 0 and 1, but is 1.5"),
        ({"conformal": 0.001}, "needs at least 999 calibration rows"),
        ({"dropout_passes": 1}, "takes 2 to 200 passes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        calibrate(trained("digits_mlp"), CalibrationSettings(**changes))


def test_outputs_that_are_not_finite_are_refused() -> None:
    run = trained("digits_mlp")
    network = copy.deepcopy(run.model)
    for parameter in network.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(UsageError, match="NaN or infinite for 270 of 270 rows"):
        calibrate(replace(run, model=network), CalibrationSettings())


def test_one_group_of_validation_rows_cannot_be_divided() -> None:
    run = trained("requests_tagger")
    groups, rows = run.data.raw.groups, run.data.split["validation"]
    assert groups is not None
    raw = replace(run.data.raw, groups=np.where(np.isin(np.arange(len(groups)), rows), groups[rows[0]], groups))
    one_group = replace(run, data=replace(run.data, raw=raw))
    with pytest.raises(UsageError, match="only one independent block"):
        calibrate(one_group, CalibrationSettings(abstain_coverage=0.5))
    assert calibrate(one_group, CalibrationSettings()).parts[0].fitted == len(rows)


def test_reconstruction_is_refused_with_the_reason() -> None:
    run = trained("digits_autoencoder")
    assert "not a probability" in unavailable_reason(run)
    with pytest.raises(UsageError, match="not a probability"):
        calibrate(run, CalibrationSettings())


def test_a_calibration_that_is_worse_is_applied_only_if_this_is_accepted(home: Path) -> None:
    run = fit_here(misleading_validation_rows(home), home)
    report = netloom.calibrate(run)
    assert report.worse
    assert "worse, so it is not recommended" in report.verdict
    with pytest.raises(UsageError, match="makes the probabilities worse on the test rows"):
        netloom.apply_calibration(run, report)
    assert netloom.apply_calibration(run, report, even_if_worse=True).applied == report.applied


class TestFile:
    """The saved calibration belongs to weights, and a damaged one is noticed."""

    def artifacts(self, folder: Path) -> tuple[RunArtifacts, TrainedRun, AppliedCalibration]:
        run = trained("digits_mlp")
        artifacts = RunArtifacts.in_directory(folder / "run")
        artifacts.create()
        artifacts.save_project(run.project)
        save_weights(artifacts.best_weights, run.model.state_dict())
        chosen = calibrate(run, CAREFUL, weights=run_weights_checksum(artifacts)).applied
        save(artifacts, chosen)
        return artifacts, run, chosen

    def test_is_read_as_it_was_saved(self, tmp_path: Path) -> None:
        artifacts, _, chosen = self.artifacts(tmp_path)
        assert applied(artifacts, artifacts.best_weights) == chosen
        artifacts.delete_calibration()
        assert applied(artifacts, artifacts.best_weights) is None

    def test_does_not_apply_to_other_weights(self, tmp_path: Path) -> None:
        artifacts, run, _ = self.artifacts(tmp_path)
        changed_weights = {name: value + 1 for name, value in run.model.state_dict().items()}
        save_weights(artifacts.best_weights, changed_weights)
        assert applied(artifacts, artifacts.best_weights) is None

    @pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": 2}', b'{"version": 1, "weights": ""}'])
    def test_damage_is_named(self, content: bytes, tmp_path: Path) -> None:
        artifacts, _, _ = self.artifacts(tmp_path)
        artifacts.calibration_file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"calibration\.json is damaged"):
            applied(artifacts, artifacts.best_weights)

    def test_values_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        artifacts, _, chosen = self.artifacts(tmp_path)
        part = chosen.parts[""]
        assert part.conformal is not None
        broken = replace(part, conformal=replace(part.conformal, threshold=float("inf")))
        with pytest.raises(ValueError, match="finite"):
            save(artifacts, replace(chosen, parts={"": broken}))
