"""`netloom calibrate`, and the predictions that follow it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.calibration.examples import misleading_validation_rows
from tests.cli.conftest import Console, Trained, called
from tests.networks import with_rows
from tests.runs.examples import trained_here


def rows_file(trained: Trained, folder: Path) -> Path:
    from netloom.runs import load_run
    from netloom.store import open_store

    run = load_run(open_store(trained.home), trained.run)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:20]]
    file = folder / "rows.json"
    file.write_text(json.dumps([{name: value.tolist() for name, value in row.items()} for row in rows]))
    return file


def test_calibration_is_measured_applied_and_removed(trained: Trained, tmp_path: Path) -> None:
    file, home = rows_file(trained, tmp_path), trained.home
    before = called("predict", trained.run, file, "--home", home, "--json").value
    options = ("--abstain-coverage", 0.5, "--conformal", 0.2, "--home", home)
    dry = called("calibrate", trained.run, *options, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert dry.value["saved"] is False
    assert called("predict", trained.run, file, "--home", home, "--json").value == before
    try:
        applied = called("calibrate", trained.run, *options)
        assert applied.code == 0, applied.err
        assert any(line.startswith("ECE ") for line in applied.out.splitlines())  # a line of the table
        assert "Predictions use this calibration now." in applied.out
        after = called("predict", trained.run, file, "--home", home, "--json").value
        part = dry.value["applied"]["parts"][""]
        for answer in after:
            assert answer["abstained"] == (answer["confidence"] < part["abstention"]["threshold"])
            assert answer["prediction"] in answer["prediction_set"]
        assert any(answer["abstained"] for answer in after)
        assert [answer["prediction"] for answer in after] == [answer["prediction"] for answer in before]
        text = called("predict", trained.run, file, "--home", home).out
        assert "abstains: The confidence" in text
        assert "one of " in text
        row = tmp_path / "row.json"
        row.write_text(json.dumps(json.loads(file.read_text())[0]))
        explained = called("explain", trained.run, "--file", row, "--home", home)
        note = f"calibrated prediction: {after[0]['prediction']}, confidence {after[0]['confidence']:.1%}"
        assert note in explained.out, explained.err
        value = called("explain", trained.run, "--file", row, "--home", home, "--json").value
        calibrated, numbers = value["calibrated"], ("probabilities", "confidence")
        # Beside other rows of a batch, a row is rounded differently
        assert all(calibrated.pop(key) == pytest.approx(after[0].pop(key), rel=1e-4) for key in numbers)
        assert calibrated == after[0]
    finally:
        reset = called("calibrate", trained.run, "--reset", "--home", home)
    assert reset.out == "The calibration was removed.\n"
    assert called("predict", trained.run, file, "--home", home, "--json").value == before


def test_calibration_of_other_weights_is_not_called_used(trained: Trained, tmp_path: Path) -> None:
    from netloom.runs.history import weight_history
    from netloom.store import open_store
    from netloom.training.weights.weight_files import read_weights, save_weights

    home = tmp_path / "home"
    shutil.copytree(trained.home, home)
    last = weight_history.weights_path(open_store(home).artifacts(trained.run), "last")
    save_weights(last, {name: values * 1.5 for name, values in read_weights(last).items()})
    best, last_lines = (
        called("calibrate", trained.run, "--checkpoint", name, "--home", home).out.splitlines()
        for name in ("best", "last")
    )
    assert best[-1] == "Predictions use this calibration now."
    assert last_lines[-1].startswith("The calibration is saved, but predictions do not use it: it belongs to the last")
    assert best[0] == "270 validation rows for the calibration map, 270 test rows"


def test_a_calibration_that_is_worse_is_applied_on_request_only(home: Path, console: Console) -> None:
    from netloom import runs
    from netloom.store import open_store

    store, project = open_store(home), misleading_validation_rows(home)
    with trained_here():
        run_id = runs.start(store, store.create_project(project), project)
    answer = console("calibrate", run_id, "--json").value
    assert answer["worse"]
    assert not answer["saved"]
    last_line = console("calibrate", run_id).out.splitlines()[-1]
    assert last_line == "The predictions are unchanged; --even-if-worse applies the calibration all the same."
    assert store.artifacts(run_id).calibration() is None
    last_line = console("calibrate", run_id, "--even-if-worse").out.splitlines()[-1]
    assert last_line == "Predictions use this calibration now."
    assert store.artifacts(run_id).calibration() is not None


def test_a_detector_is_calibrated_by_its_objects(home: Path, console: Console) -> None:
    from netloom import runs
    from netloom.store import open_store
    from netloom.templates import templates

    store, project = open_store(home), with_rows(templates()["shapes_detector"].project, 300)
    training = project.training.model_copy(update={"epochs": 2, "device": "cpu"})
    with trained_here():
        run_id = runs.start(store, store.create_project(project), project.model_copy(update={"training": training}))
    refused = console("calibrate", run_id, "--conformal", 0.1)
    assert refused.code == 2
    assert "has a confidence for each object, and none for a row as a whole" in refused.err
    answer = console("calibrate", run_id, "--method", "platt", "--dry-run", "--json")
    assert answer.code == 0, answer.err
    [part] = answer.value["parts"]
    assert part["unit"] == "object"
    assert set(part["decision"]["metrics"]) == {"map", "f1", "precision", "recall"}
    text = console("calibrate", run_id, "--method", "platt", "--even-if-worse").out
    assert f"objects are predicted from a score of {part['decision']['score']:.1%} of the network" in text
    assert "Predictions use this calibration now." in text


def test_other_data_of_the_same_shape_is_measured(trained: Trained) -> None:
    answer = called(
        "calibrate", trained.run, "--method", "none", "--ood", "digits", "--dry-run", "--home", trained.home, "--json"
    )
    assert answer.code == 0, answer.err
    energy = next(score for score in answer.value["scores"] if score["name"] == "energy")
    same = energy["separates"][0]
    assert same["auroc"] == pytest.approx(0.5, abs=0.02)  # the test rows of the same data
    names = {item["other"] for item in energy["separates"]}
    assert {"Noise", "Blur"} <= names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "cake"), "no calibration method 'cake'"),
        (("--abstain-risk", 0.1, "--abstain-coverage", 0.9), "for a risk or for a coverage"),
        (("--conformal", 2), "must be between 0 and 1, but is 2"),
        (("--ood", "breast_cancer"), "choose a dataset with inputs of the same shape"),
        (("--ood", "no such data"), "There is no dataset"),
        (("--dropout", 1), "--dropout takes 2 to 200 passes"),
    ],
)
def test_wrong_options_are_usage_errors(trained: Trained, options: tuple[object, ...], message: str) -> None:
    answer = called("calibrate", trained.run, *options, "--home", trained.home)
    assert answer.code == 2
    assert message in answer.err
