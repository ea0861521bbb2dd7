"""The monitored values of predictions: those of every task, and that a changed prediction is found and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.data.schema import ForecastTarget, Schema, TargetSpec
from netloom.drift import compare
from netloom.drift.monitored import Quantity, predictions
from netloom.monitoring import LogSettings, RequestLog
from netloom.monitoring.log_reader import read_log
from netloom.runs import TrainedRun
from netloom.runs.prediction.trained_run import answers
from netloom.tasks.answers import MONITORED
from netloom.tasks.registry import tasks
from netloom.templates import templates
from netloom.training.streaming import take
from tests.explain.models import untrained_run
from tests.networks import with_rows

ROWS = 24
# What is compared of the predictions of a template, beside the confidence
MONITORED_NAMES = {
    "digits_mlp": {"prediction"},
    "breast_cancer_binary": {"prediction"},
    "scenes_labels": {
        "prediction: labels",
        *(f"prediction: labels named {name}" for name in ("circle", "square", "triangle", "cross")),
    },
    "diabetes": {"prediction"},
    "station_dlinear": {f"prediction: {name}" for name in ("temperature", "humidity", "radiation")},
    "shapes_two_outputs": {"prediction: shape", "prediction: area"},
    "shapes_unet": {
        "prediction: classes",
        *(f"prediction: share of {name}" for name in ("ground", "circle", "square")),
    },
    "shapes_detector": {"prediction: objects"},
    "requests_tagger": {"prediction: entities", "prediction: entities of the kind date"},
    "commands_joint": {"prediction", "prediction: entities"},
    "digits_autoencoder": {"error"},
    "pulses_anomaly": {"prediction", "error"},
    "same_digits_contrastive": {"prediction", "distance"},
    "dates_gru": {"prediction: characters"},
    "tales": {"prediction"},
    "ratings_bpr": {"prediction"},
    "shapes_simclr": set(),  # an embedding, whose distribution is compared as a whole
}


def run_of(name: str) -> TrainedRun:
    return untrained_run(with_rows(templates()[name].project, 400))


def answered(run: TrainedRun) -> list[dict[str, Any]]:
    rows = run.data.split["test"][:ROWS].numpy()
    return answers(run, take(run.data, run.fields, rows), run.output)


def by_name(quantities: list[Quantity]) -> dict[str, tuple[list[Any], list[Any]]]:
    return {quantity.name: (quantity.reference.tolist(), quantity.current.tolist()) for quantity in quantities}


@pytest.mark.parametrize("name", MONITORED_NAMES)
def test_predictions_of_each_task_are_compared_and_read_from_a_log(name: str, tmp_path: Path) -> None:
    run = run_of(name)
    found = answered(run)
    quantities = by_name(predictions(run, found, found))
    assert quantities.keys() >= MONITORED_NAMES[name], quantities.keys()
    assert bool(quantities) == bool(MONITORED_NAMES[name])
    log = RequestLog(tmp_path, "model", LogSettings())
    task, schema = run.objective.task, run.data.schema
    bodies = log.encode((), [{}] * ROWS, [{**one, MONITORED: task.monitored_values(one, schema)} for one in found])
    log.write("a", "run", "model/1", 1.0, bodies)
    log.close()
    logged = [
        {"prediction": row.prediction, "confidence": row.confidence, MONITORED: row.monitored}
        for row in read_log(tmp_path, "model", "run", ROWS).rows
    ]
    assert len(logged) == ROWS
    assert by_name(predictions(run, found, logged)) == quantities


def test_names_cover_every_task_with_monitored_predictions() -> None:
    covered = {type(run_of(name).objective.task).monitored_values for name in MONITORED_NAMES}
    assert covered == {type(task).monitored_values for task in tasks().values()}


CLASSES = ("cat", "dog")
CAT, DOG = ({"class": name, "score": 0.5, "box": [0.0, 0.0, 0.5, side]} for name, side in (("cat", 0.5), ("dog", 1.0)))
OBJECTS = "prediction: objects"


@pytest.mark.parametrize(
    ("task", "target", "prediction", "values"),
    [
        ("detection", {"classes": CLASSES}, [CAT, DOG, CAT], {
            OBJECTS: 3, f"{OBJECTS} of the class cat": 2, f"{OBJECTS} of the class dog": 1,
            "prediction: mean score of the objects": 0.5, "prediction: mean area of the boxes": pytest.approx(1 / 3),
        }),
        ("detection", {"classes": ("cat",)}, [], {OBJECTS: 0}),
        ("multi_label", {"classes": CLASSES}, ["dog"], {
            "prediction: labels": 1, "prediction: labels named cat": 0, "prediction: labels named dog": 1,
        }),
        ("multi_label", {"classes": tuple(map(str, range(21)))}, ["3", "20"], {"prediction: labels": 2}),
        ("tagging", {"classes": ("O", "B-place", "I-place")}, ["B-place", "I-place", "O", "B-place"], {
            "prediction: entities": 2,
        }),
        ("tagging", {"classes": ("NN", "VB")}, ["NN", "VB", "NN"], {
            "prediction: words": 3, "prediction: words with the tag NN": 2, "prediction: words with the tag VB": 1,
        }),
        ("regression", {"shape": (2,)}, [1.0, 2.0], {"prediction: y 1": 1.0, "prediction: y 2": 2.0}),
        ("regression", {"shape": (4,), "forecast": ForecastTarget(("u", "v"), 2)}, {"u": [1.0, 2.0], "v": [4.0, 6.0]},
         {"prediction: u": 1.5, "prediction: v": 5.0}),
        ("several_outputs", {}, {"kind": "cat", "sizes": [1.0, 3.0]},
         {"prediction: kind": "cat", "prediction: sizes": 2}),
        ("seq2seq", {}, "2024", {"prediction: characters": 4}),
    ],
)  # fmt: skip
def test_values_of_a_prediction(task: str, target: dict[str, Any], prediction: Any, values: dict[str, Any]) -> None:
    kind = tasks()[task].target
    assert kind is not None
    spec = TargetSpec(kind, "y", **target)
    assert tasks()[task].monitored_values({"prediction": prediction}, Schema((), spec, 0)) == values


def test_masks_with_many_classes_are_compared_by_the_number_of_classes_in_them() -> None:
    classes = tuple(map(str, range(21)))
    answer = {"prediction": [[0, 3]], "shares": {**dict.fromkeys(classes, 0.0), "0": 0.5, "3": 0.5}}
    schema = Schema((), TargetSpec("mask", "mask", classes=classes, shape=(1, 2)), 0)
    assert tasks()["segmentation"].monitored_values(answer, schema) == {"prediction: classes": 2}
    assert tasks()["segmentation"].monitored_values({"prediction": [[0, 3]]}, schema) == {}, "of an earlier version"


def test_more_predicted_objects_are_drift_and_named() -> None:
    run = run_of("shapes_detector")
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:40]]
    before = [*answered(run), *answered(run)][:40]
    more = [{**one, "prediction": [*one["prediction"], CAT, DOG], "threshold": 0.5} for one in before]
    report = compare(run, rows, answered=more)
    assert OBJECTS in {drift.name for drift in report.quantities if drift.is_drift}


def test_outputs_that_are_not_finite_are_noted_and_no_drift() -> None:
    run = run_of("spirals")
    with torch.no_grad():
        next(run.model.parameters()).fill_(torch.nan)
    report = compare(run, [run.data.row(int(row)) for row in run.data.split["test"][:40]])
    assert not report.is_drift, report.sentence
    assert report.note.startswith("Some outputs of the network are not finite numbers, so they are not compared.")
