"""A bundle matches the app's predictions for every task: all bundles run in one bare interpreter."""

from __future__ import annotations

import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom import export
from netloom.compile.importers import read_model
from netloom.data import prepare, schema
from netloom.document import DataChoice, Training
from netloom.runs import TrainedRun, fit_here, predict
from netloom.templates import templates
from tests.export import bare

pytestmark = pytest.mark.usefixtures("operators")

KINDS = {
    "digits_autoencoder": {},
    "pulses_anomaly": {"rows": 200},
    "shapes_unet": {"rows": 60},
    "shapes_detector": {"rows": 60},
    "requests_tagger": {},
    "commands_joint": {},
    "ratings_ncf": {},
    "digits_gan": {"noise_size": 16},
    "dates_gru": {},
    "breast_cancer_binary": {},
    "scenes_labels": {"rows": 60},
    "shapes_two_outputs": {"rows": 60},
    "same_digits_contrastive": {"rows": 100},
    "shapes_simclr": {"rows": 60},
    "ratings_bpr": {"rows": 300},
}
# All bundles have modules of the same names, so these are unloaded between bundles.
ASK = """
import importlib, json, sys
found = {}
for name in sys.argv[1:]:
    sys.path.insert(0, name)
    for module in ("predict", "encode", "model", "network"):
        sys.modules.pop(module, None)
    predict = importlib.import_module("predict")
    assert not any(module.startswith("netloom") for module in sys.modules)
    with open(f"{name}/rows.json", encoding="utf-8") as file:
        found[name] = predict.predict(*predict.load(), json.load(file))
    sys.path.pop(0)
print(json.dumps(found))
"""


@cache
def trained_template(name: str) -> TrainedRun:
    """A template after one short epoch, on less data where its shapes allow that."""
    project = templates()[name].project
    short = Training(**{**project.training.model_dump(), "epochs": 1, "device": "cpu"})
    data = DataChoice(dataset=project.data.dataset, options=dict(KINDS[name]))
    assert schema(data) is not None
    return fit_here(project.model_copy(update={"training": short, "data": data}))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, python: bare.Interpreter) -> dict[str, Any]:
    """The predictions of each bundle for three rows, by template name."""
    folder: Path = tmp_path_factory.mktemp("bundles")
    for name in KINDS:
        run = trained_template(name)
        archive = export.export(run, "bundle", folder / f"{name}.zip").path
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder / name)
        (folder / name / "rows.json").write_text(json.dumps(json_rows(run)), encoding="utf-8")
    process = python.run(folder, "-c", ASK, *KINDS)
    assert process.returncode == 0, process.stderr
    answers_by_template: dict[str, Any] = json.loads(process.stdout)
    return answers_by_template


def json_rows(run: TrainedRun) -> list[dict[str, Any]]:
    """Three test rows in JSON form."""
    chosen = run.data.split["test"][:3].tolist()
    return [
        {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in run.data.row(row).items()}
        for row in chosen
    ]


def approximately_equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            approximately_equal(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list):
        return len(first) == len(second) and all(map(approximately_equal, first, second))
    return first == pytest.approx(second, rel=1e-3, abs=1e-4) if isinstance(first, float) else bool(first == second)


@pytest.mark.parametrize("name", KINDS)
def test_bundle_predictions_match_app_for_every_task(name: str, answers: dict[str, Any]) -> None:
    expected = json.loads(json.dumps(predict(trained_template(name), json_rows(trained_template(name)))))
    for row in expected if name == "digits_gan" else []:
        del row["real"]  # the score of the discriminator, which is not in the bundle
    assert approximately_equal(expected, answers[name])


@pytest.mark.parametrize("name", KINDS)
def test_bundle_readme_describes_the_prediction(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(export.export(trained_template(name), "bundle", tmp_path).path) as members:
        readme = members.read("README.md").decode()
    sentences = {
        "digits_autoencoder": "reconstructed row and its error",
        "pulses_anomaly": "usual or unusual",
        "shapes_unet": "for each pixel",
        "shapes_detector": "a list of objects of 4 classes",
        "requests_tagger": "a tag for each word",
        "commands_joint": "a class with its probability, a tag for each word",
        "ratings_ncf": "a number in the units of the data",
        "digits_gan": "the image that is generated from the noise",
        "dates_gru": "generated token by token",
        "breast_cancer_binary": "malignant or benign, with the probability of each",
        "scenes_labels": "the set of labels out of 4 that apply",
        "shapes_two_outputs": "one for each of shape, area",
        "same_digits_contrastive": "the distance of their embeddings",
        "shapes_simclr": "an embedding",
        "ratings_bpr": "a more relevant item for the user",
    }
    assert sentences[name] in readme


def test_bundle_contains_the_calibrated_threshold(answers: dict[str, Any]) -> None:
    run = trained_template("pulses_anomaly")
    assert {row["threshold"] for row in answers["pulses_anomaly"]} == {run.calibration["threshold"]}
    assert prepare(run.project.data).preprocess.target.kind == "class"  # the schema of the data is unchanged


def test_each_label_has_its_threshold(answers: dict[str, Any]) -> None:
    run = trained_template("scenes_labels")
    for row in answers["scenes_labels"]:
        assert list(row["thresholds"]) == list(row["probabilities"])
        above = [name for name, share in row["probabilities"].items() if share > row["thresholds"][name]]
        assert row["prediction"] == above
    assert list(answers["scenes_labels"][0]["thresholds"].values()) == list(run.calibration.values())


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_gan_export_contains_only_the_generator(kind: str, tmp_path: Path) -> None:
    run = trained_template("digits_gan")
    report = export.export(run, kind, tmp_path)
    assert report.verdict().startswith("The file contains the generator;")
    imported = read_model(report.path).project
    assert not {node.type for network in imported.networks.values() for node in network.nodes.values()} & {"Conv2d"}
    noise = torch.randn(3, 16)
    with torch.no_grad():
        (generated,) = export.registry()[kind].answers(report.path.read_bytes(), [(noise,)])[0]
        assert torch.allclose(generated, run.model(noise)[0], atol=1e-5)
