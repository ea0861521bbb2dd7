"""`netloom card`: the model card of a run as Markdown, HTML and JSON."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from huggingface_hub import ModelCard

from netloom.api import load_run
from netloom.calibration.stored_measures import MEASURES
from netloom.document import updated
from netloom.export.model_card.collect import collect, summary_of
from netloom.export.model_card.html import html
from netloom.export.model_card.markdown import markdown
from netloom.runs import load_run as load_stored_run
from netloom.runs import start
from netloom.runs.run_lookup import find_run
from netloom.store import open_store
from netloom.templates import templates
from tests.cli.conftest import Console, Trained
from tests.runs.examples import trained_here

pytestmark = pytest.mark.usefixtures("operators")

HOSTILE = "<script>alert(1)</script> [click](https://evil.example) | `x` $y$ ---\n# Heading\n- item\n12. first"


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Trained:
    """A copy of the data folder, because a statement is stored with the run."""
    shutil.copytree(trained.home, tmp_path / "copy")
    return Trained(tmp_path / "copy", trained.document, trained.answer)


def test_hugging_face_reads_the_metrics_of_the_evaluation(console: Console, copy: Trained, tmp_path: Path) -> None:
    expected = console("evaluate", "last", "--home", copy.home, "--json").value["metrics"]
    path = tmp_path / "card.md"
    answer = console("card", "last", "--home", copy.home, "--to", path, "--license", "mit")
    assert answer.code == 0, answer.err
    card = ModelCard(path.read_text())
    metadata = vars(card.data)
    assert metadata["license"] == "mit"
    assert {result.metric_type: result.metric_value for result in metadata["eval_results"]} == expected
    assert {result.dataset_split for result in metadata["eval_results"]} == {"test"}


def test_both_forms_draw_the_network(console: Console, copy: Trained, tmp_path: Path) -> None:
    flowchart = console("export", "last", "--home", copy.home, "--format", "mermaid", "--to", tmp_path / "network.mmd")
    assert flowchart.code == 0, flowchart.err
    page, text = tmp_path / "card.html", tmp_path / "card.md"
    for path in (page, text):
        assert console("card", "last", "--home", copy.home, "--to", path).code == 0
    assert f"```mermaid\n{(tmp_path / 'network.mmd').read_text()}```\n" in text.read_text()
    assert '<div class="drawing wide"><svg' in page.read_text()


def test_the_first_sentence_names_the_target_once() -> None:
    assert summary_of("Predicts one of several classes", "species") == "Predicts one of several classes: species."
    assert summary_of("Finds the objects in an image", "objects") == "Finds the objects in an image."
    assert summary_of("Writes a text", "") == "Writes a text."


def test_statement_is_stored_with_the_run(console: Console, copy: Trained) -> None:
    arguments = ("card", "last", "--home", copy.home)
    assert console(*arguments, "--intended-use", "Reading digits", "--authors", "A class").code == 0
    assert console(*arguments, "--authors", "Two classes").code == 0
    statement = console(*arguments, "--json").value["statement"]
    assert (statement["intended_use"], statement["authors"]) == ("Reading digits", "Two classes")


def test_texts_are_never_markup(console: Console, copy: Trained, tmp_path: Path) -> None:
    markdown_package = import_module("markdown")  # without types
    page, text = tmp_path / "card.html", tmp_path / "card.md"
    for path in (page, text):
        answer = console("card", "last", "--home", copy.home, "--to", path, "--limitations", HOSTILE)
        assert answer.code == 0, answer.err
    content = text.read_text().partition("\n---\n")[2]
    rendered = markdown_package.markdown(content, extensions=["tables"])
    for source in (page.read_text(), rendered):
        tags = _tags(source)
        assert not {"script", "a", "img", "iframe"} & set(tags)
        assert "evil.example" in source
    assert tags.count("h1") == 1
    assert "ol" not in tags


def test_scores_of_classes_have_intervals(console: Console, copy: Trained) -> None:
    card = console("card", "last", "--home", copy.home, "--json").value
    (classes,) = [table for table in card["tables"] if table["title"] == "Scores by class"]
    assert len(classes["rows"]) == 10
    for row in classes["rows"]:
        recall = float(row[classes["header"].index("Recall")])
        low, high = (float(bound.rstrip("%")) / 100 for bound in row[-1].split(" to "))
        assert low <= recall + 5e-4
        assert high >= recall - 5e-4
        assert high > low


def test_rows_that_depend_on_each_other_have_no_interval_of_independent_rows(trained: Trained) -> None:
    run, store = load_run(home=trained.home), open_store(trained.home)
    groups = np.arange(len(run.data.raw)) // 2
    grouped = replace(run, data=replace(run.data, raw=replace(run.data.raw, groups=groups)))
    headers = [collect(store, each, measure=False).tables[0].header for each in (run, grouped)]
    assert headers[0] == (*headers[1], "Recall, 95% CI")


def test_card_names_the_unit_of_errors(home: Path, tmp_path: Path) -> None:
    project, store = templates()["diabetes"].project, open_store(home)
    project = project.model_copy(update={"training": updated(project.training, {"epochs": 1, "device": "cpu"})})
    with trained_here():
        run = load_stored_run(store, start(store, store.create_project(project), project))
    card = collect(store, run)
    unit = "Errors are in the unit of progression."
    assert card.unit == unit
    for text in (markdown(card), html(card)):
        assert text.count(unit.rstrip(".")) == 1
        assert "Fisher" not in text, "slices are tested by proportions only"


@pytest.mark.parametrize(
    ("template", "changes", "expected"),
    [
        (
            "diabetes",
            {"optimizer": "sgd", "optimizer_settings": {"momentum": 0.5, "nesterov": True}},
            {"Optimizer settings": "momentum 0.5, nesterov yes"},
        ),
        (
            "shapes_two_outputs",
            {"outputs": {"area": {"weight": 2}, "shape": {"class_weights": "balanced"}}},
            {"Outputs": "area (weight 2), shape (class weights balanced)"},
        ),
        ("cartpole_dqn", {"agent": {"discount": 0.9, "double": False}}, {"Agent": "discount 0.9, double no"}),
    ],
)
def test_settings_that_consist_of_several_are_listed_by_name(
    home: Path, template: str, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    project, store = templates()[template].project, open_store(home)
    training = updated(project.training, {**changes, "epochs": 0, "device": "cpu"})
    project = project.model_copy(update={"training": training})
    with trained_here():
        run = load_stored_run(store, start(store, store.create_project(project), project))
    settings = dict(collect(store, run, measure=False).training)
    assert {name: settings.get(name) for name in expected} == expected


def test_card_has_what_was_measured_of_the_weights(console: Console, copy: Trained, tmp_path: Path) -> None:
    arguments = ("--home", copy.home)
    run = copy.run[:8]
    before = {item["title"]: item for item in console("card", "last", *arguments, "--json").value["evidence"]}
    assert before["Robustness"]["missing"] == f"Not measured; netloom robustness {run} measures it."
    calibrated = console("calibrate", "last", *arguments, "--dry-run", "--abstain-risk", 0.05, "--json")
    assert calibrated.code == 0, calibrated.err
    attacked = console("robustness", "last", *arguments, "--rows", 20, "--strengths", "0.05", "--json")
    assert attacked.code == 0, attacked.err
    assert console("explain", "last", *arguments, "--over", "test", "--rows", 8).code == 0
    card = console("card", "last", *arguments, "--json").value
    calibration, robustness, explanations = (dict(item["facts"]) for item in card["evidence"])
    [part] = calibrated.value["parts"]
    for name, title in MEASURES.items():
        values = [float(value) for value in re.findall(r"\d[\d.]*", calibration[title])[:2]]
        assert values == pytest.approx([part[when]["measures"][name] for when in ("before", "after")], rel=1e-2)
    assert "below a confidence of" in calibration["Abstention"]
    assert calibration["Predictions"] == "do not use this calibration"
    calibration_arguments = ("calibrate", "last", *arguments, "--abstain-risk")
    for options, sentence in (
        ((0.05,), "use this calibration"),
        ((0.2, "--dry-run"), "use another calibration, which was measured before"),
        ((0.05, "--dry-run", "--ood-score", "softmax"), "use another calibration, which was measured before"),
    ):
        assert console(*calibration_arguments, *options).code == 0
        card = console("card", "last", *arguments, "--json").value
        assert dict(card["evidence"][0]["facts"])["Predictions"] == sentence
    assert "or below a familiarity of" in dict(card["evidence"][0]["facts"])["Abstention"]
    [attack] = robustness.values()
    assert "at 0.05" in attack
    assert attacked.value["verdict"]["sentence"] in attack
    [explained] = explanations.values()
    assert "8 of" in explained
    assert card["layers"]["rows"][0][1] == "Input"
    text = console("card", "last", *arguments).out
    assert "## Robustness" in text
    assert "### Layers" in text


def test_onnx_files_and_notebooks_have_the_card(console: Console, copy: Trained, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    answer = console("export", "last", "--home", copy.home, "--format", "onnx", "--to", path)
    assert answer.code == 0, answer.err
    [card] = [item.value for item in onnx.load(path).metadata_props if item.key == "model_card"]
    assert "Scores by class" in card
    files = exported(console, copy.home, tmp_path / "notebook.zip", "notebook")
    assert "Scores by class" in files["MODEL_CARD.md"]


def test_pytorch_programs_have_the_card_as_an_extra_file(console: Console, copy: Trained, tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    answer = console("export", "last", "--home", copy.home, "--format", "pt2", "--to", path)
    assert answer.code == 0, answer.err
    extra = {"MODEL_CARD.md": "", "preprocess.json": ""}
    program = torch.export.load(path, extra_files=extra)
    assert "Scores by class" in extra["MODEL_CARD.md"]
    assert json.loads(extra["preprocess.json"])["target"]["kind"] == "class"
    run = load_run(home=copy.home)
    inputs = run.data.inputs["image"][:5]
    with torch.no_grad():
        torch.testing.assert_close(program.module()(inputs), run.model(inputs))


@pytest.mark.parametrize("kind", ["bundle", "production"])
def test_exported_folders_have_the_card(console: Console, copy: Trained, tmp_path: Path, kind: str) -> None:
    assert console("card", "last", "--home", copy.home, "--intended-use", "Reading digits").code == 0
    metrics = console("evaluate", "last", "--home", copy.home, "--json").value["metrics"]
    files = exported(console, copy.home, tmp_path / "model.zip", kind)
    card = ModelCard(files["README.md"])
    # As the Hugging Face Hub reads a folder
    assert {result.metric_type: result.metric_value for result in vars(card.data)["eval_results"]} == metrics
    assert "python predict.py" in card.text
    assert "(MODEL_CARD.md)" in card.text
    assert "Reading digits" in files["MODEL_CARD.md"]
    assert "Scores by class" in files["MODEL_CARD.md"]
    assert "Scores by slice of the test rows were not measured" in files["MODEL_CARD.md"]


@pytest.mark.parametrize("damage", [None, b"{"], ids=["missing", "damaged"])
def test_a_card_says_what_was_not_measured(
    console: Console, copy: Trained, tmp_path: Path, damage: bytes | None
) -> None:
    store = open_store(copy.home)
    file = store.artifacts(find_run(store, "last").id).evaluation_file
    file.unlink()
    if damage:
        file.write_bytes(damage)
    text = exported(console, copy.home, tmp_path / "model.zip", "bundle")["MODEL_CARD.md"]
    assert "The metrics of these weights were not measured" in text
    assert "Accuracy" not in text
    assert file.is_file() == bool(damage), "an export measures nothing"


def exported(console: Console, home: Path, path: Path, kind: str) -> dict[str, str]:
    """The texts of an exported zip by their names."""
    answer = console("export", "last", "--home", home, "--format", kind, "--to", path)
    assert answer.code == 0, answer.err
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".md")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--to", "card.txt"), "must end in .md or .html"), (("--authors", "x" * 5_000), "at most 4,000")],
)
def test_invalid_arguments_are_refused(
    console: Console, copy: Trained, arguments: tuple[str, str], message: str
) -> None:
    answer = console("card", "last", "--home", copy.home, *arguments)
    assert answer.code in (1, 2)
    assert message in answer.err


def _tags(source: str) -> list[str]:
    class Collector(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    collector = Collector()
    collector.feed(source)
    return collector.tags
