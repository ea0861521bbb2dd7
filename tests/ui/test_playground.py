"""The Try it page: an input of each modality is predicted, generated, explained, and read from files."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.calibration import CalibrationSettings, calibrate
from netloom.data import FieldSpec, prepare
from netloom.data.dataset_version import make_version
from netloom.data.schema import ForecastTarget, Schema, TargetSpec
from netloom.data.uploads.files import series_files
from netloom.document import DataChoice
from netloom.modalities.encoding.tags import IGNORE
from netloom.runs.prediction.applied_calibration import run_weights_checksum, save
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.components.state import ExampleState
from netloom.ui.explain.example_picker import CUSTOM
from netloom.ui.explain.state import ExplainState
from netloom.ui.playground.series import past_values, predicted_by_series
from netloom.ui.playground.state import TryItState
from netloom.ui.shell.row_upload import TYPES
from tests.runs.examples import trained_here
from tests.ui.page_texts import checked

PAGE = Path(__file__).parents[2] / "pages" / "playground.py"
# Rows of generated data, where fewer of them do not change the shapes of the network.
ROWS = 300
GENERATED = (
    "shapes_unet shapes_detector scenes_labels spoken_gru molecules_gcn shapes_simclr shapes_two_outputs".split()
)
# One network per modality or kind of prediction, each with a text that its result shows.
SHOWN = {
    "breast_cancer": "%",
    "diabetes": "unit of the column",
    "digits_cnn": "%",
    "shapes_unet": "st-image",
    "shapes_detector": "No object has a score|Boxes in pixels",
    "requests_tagger": "border-bottom|No entity",
    "tales_gpt": "Continue the text",
    "dates_gru": "Sample an answer",
    "digits_vae": "Generated images",
    "digits_gan": "Generated images",
    "scenes_labels": "above its threshold",
    "sine": "forecast",
    "spoken_gru": "%",
    "molecules_gcn": "%",
    "ratings_bpr": "highest scores",
    "cartpole_dqn": "return that the agent expects",
    "pulses_anomaly": "Reconstruction error",
    "shapes_simclr": "embeddings close to each other",
    "same_digits_contrastive": "distance of the two embeddings",
    "commands_joint": "%",
    "shapes_two_outputs": "area",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, to which `open_page` adds the networks."""
    return tmp_path_factory.mktemp("tried")


@pytest.fixture(autouse=True)
def _use_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(folder))
    st.cache_resource.clear()
    st.cache_data.clear()


def project_of(name: str) -> str:
    """The id of the project of a network with an untrained run: the page is the same. The first test adds it."""
    store = open_store()
    known = [row.id for row in store.list_projects(limit=99) if row.name == name]
    if known:
        return known[0]
    project = templates()[name].project
    rows = {"rows": ROWS} if name in GENERATED else {}
    data = project.data.model_copy(update={"options": {**project.data.options, **rows}})
    training = project.training.model_copy(update={"epochs": 0, "device": "cpu", "teacher": ""})
    short = project.model_copy(update={"name": name, "data": data, "training": training})
    project_id = store.create_project(short)
    for _ in range(2 if name == "breast_cancer" else 1):
        with trained_here():
            run_id = runs.start(store, project_id, short)
        assert store.run(run_id).state == "finished"
    return project_id


def open_page(name: str) -> AppTest:
    project = project_of(name)
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = project
    return checked(app.run())


def page_text(app: AppTest) -> str:
    """All texts of the page, with the markup of drawn results."""
    kinds = ("markdown", "caption", "html", "metric", "image", "info")
    return " ".join(str(item.proto) for kind in kinds for item in app.get(kind))


def headline(app: AppTest) -> str:
    return next(item.value for item in app.markdown if item.value.startswith("### "))


def row_number(app: AppTest) -> Any:
    return next(item for item in app.number_input if item.label == "Start from row")


def uploader(app: AppTest) -> Any:
    return app.get("file_uploader")[0]


def button(app: AppTest, label: str) -> Any:
    return next(item for item in app.button if item.label == label)


def test_files_of_series_can_be_chosen() -> None:
    assert {suffix.removeprefix(".") for suffix in series_files.SUFFIXES[:1]} <= {*TYPES}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHOWN else pytest.mark.long) for name in templates()]
)
def test_each_template_predicts_a_test_row(name: str) -> None:
    app = open_page(name)
    text = page_text(app)
    shown = SHOWN.get(name, "### |unit of the column")
    if shown != "st-image":
        assert any(part in text for part in shown.split("|")), text[-1500:]
    if name != "digits_gan":
        row = row_number(app)
        checked(row.set_value(0).run())
        assert row_number(app).value == 0


def test_prediction_follows_an_edited_column_and_reset_undoes_it() -> None:
    app = open_page("breast_cancer")
    checked(row_number(app).set_value(3).run())
    before = page_text(app)
    assert "Row 3, " in before
    column = next(item for item in app.number_input if item.label == "mean radius")
    assert column.value is not None
    checked(column.set_value(column.value * 3).run())
    changed = page_text(app)
    assert changed != before
    assert "label is unknown" in changed
    checked(button(app, "Reset").click().run())
    assert page_text(app) == before


@pytest.mark.parametrize("name", ["breast_cancer", "sine"])
def test_what_a_calibration_adds_is_shown(name: str) -> None:
    """Abstention, familiarity and prediction set of classes; the interval of numbers, for each step of a forecast."""
    project, store = project_of(name), open_store()
    run_id = store.runs(project)[0].id
    run, artifacts = runs.load_run(store, run_id), store.artifacts(run_id)
    settings = CalibrationSettings(abstain_coverage=0.1, conformal=0.1, ood_score="energy" if name != "sine" else "")
    save(artifacts, calibrate(run, settings, weights=run_weights_checksum(artifacts)).applied)
    try:
        app = open_page(name)
        checked(next(item for item in app.selectbox if item.label == "Run").set_value(run_id).run())
        checked(row_number(app).set_value(0).run())
        run = runs.load_run(store, run_id)
        [answer] = runs.predict(run, [run.data.row(0)])
        text = " ".join(item.value for item in (*app.markdown, *app.warning)).replace("\\", "")
        if name == "sine":
            assert "Interval with 90% coverage" in text
            low = answer["interval"]["low"]
            assert isinstance(low, float) or len(app.dataframe[0].value) == len(low)
            return
        assert f"Confidence: **{answer['confidence']:.1%}** · Familiarity: **" in text
        assert f"Prediction set: **{', '.join(answer['prediction_set'])}**" in text
        assert ("**Abstained**: " in text) == answer["abstained"]
        assert answer.get("reason", "") in text
    finally:
        artifacts.delete_calibration()


def test_forecast_of_one_of_several_channels_follows_the_values_of_that_channel() -> None:
    columns = ("temperature", "humidity")
    target = TargetSpec("number", "humidity, 2 steps", shape=(2,), forecast=ForecastTarget(("humidity",), 2))
    schema = Schema((FieldSpec("series", "sequence", (3, 2), columns=columns),), target, 100)
    [name] = by_series = predicted_by_series(schema, [5.0, 6.0])
    assert by_series == {"humidity": [5.0, 6.0]}
    history = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    np.testing.assert_array_equal(past_values(history, columns, name), [10, 20, 30])
    assert not past_values(history, columns, "pressure").size, "the network does not read it"
    np.testing.assert_array_equal(past_values(history[:, :1], ("value",), "next value"), [1, 2, 3])


def test_prediction_follows_a_typed_text() -> None:
    app = open_page("requests_tagger")
    checked(app.text_area[0].set_value("book a table in Paris for two").run())
    text = page_text(app)
    assert ">paris<" in text or " paris " in text
    assert "label is unknown" in text


def test_another_row_is_a_test_row() -> None:
    app = open_page("breast_cancer")
    first = row_number(app).value
    checked(button(app, "Another row").click().run())
    assert row_number(app).value != first or app.session_state[TryItState.name()].rows


def test_explain_opens_with_the_edited_input() -> None:
    app = open_page("requests_tagger")
    checked(app.text_area[0].set_value("remind Anna on Friday").run())
    button(app, "Explain this").click().run()
    state = app.session_state[ExplainState.name()]
    [(run_id, handed)] = state.handed.items()
    assert "remind Anna on Friday" in str(handed.row) or ["remind", "Anna", "on", "Friday"] in handed.row.values()
    assert state.sources[run_id] == CUSTOM
    explain = AppTest.from_file(str(PAGE.with_name("explain.py")), default_timeout=300)
    explain.session_state[ExplainState.name()] = state
    explain.query_params["project"] = open_store().run(run_id).project_id
    checked(explain.run())
    assert explain.text_area[0].value == "remind Anna on Friday"


def test_explain_opens_with_an_unchanged_row_as_a_row() -> None:
    app = open_page("breast_cancer")
    checked(row_number(app).set_value(5).run())
    button(app, "Explain this").click().run()
    state = app.session_state[ExplainState.name()]
    assert list(state.rows.values()) == [5]
    assert not state.handed


def test_two_runs_predict_the_same_input() -> None:
    app = open_page("breast_cancer")
    other = next(item for item in app.selectbox if item.label == "Compare with")
    project = project_of("breast_cancer")
    first = next(item for item in app.selectbox if item.label == "Run").value
    [second] = [run.id for run in open_store().runs(project) if run.id != first]
    checked(other.set_value(second).run())
    assert sum(item.value.startswith("### ") for item in app.markdown) == 2


def test_a_run_on_a_version_of_the_data_is_compared() -> None:
    """Runs on other data are not offered."""
    store, project = open_store(), templates()["breast_cancer"].project
    data = prepare(project.data, store.home)
    version = make_version(data, [(data.row(0), "benign")], store.home, "More")
    untrained = project.training.model_copy(update={"epochs": 0})
    project = project.model_copy(update={"name": "versions", "training": untrained})
    on_version = project.model_copy(update={"data": DataChoice(dataset=version.name)})
    other = templates()["diabetes"].project
    other = other.model_copy(update={"training": other.training.model_copy(update={"epochs": 0})})
    project_id = store.create_project(project)
    with trained_here():
        first, second, _ = (runs.start(store, project_id, one) for one in (project, on_version, other))
    app = open_page("versions")
    checked(next(item for item in app.selectbox if item.label == "Run").set_value(first).run())
    compared = next(item for item in app.selectbox if item.label == "Compare with")
    assert len(compared.options) == 2, "no second run, or that on the version"
    checked(compared.set_value(second).run())
    assert sum(item.value.startswith("### ") for item in app.markdown) == 2


@pytest.mark.parametrize("name", ["tales_gpt", "dates_gru"])
def test_text_is_generated_and_equal_seeds_give_equal_texts(name: str) -> None:
    app = open_page(name)
    checked(row_number(app).set_value(1).run())
    length = next(item for item in app.number_input if item.label == "Length")
    length.set_value(6)
    next(item for item in app.slider if item.label == "Temperature").set_value(1.0)
    texts = []
    for seed in (3, 3, 4):
        next(item for item in app.number_input if item.label == "Seed").set_value(seed)
        checked(button(app, "Generate").click().run())
        [written] = app.session_state[TryItState.name()].written.values()
        assert written.ended
        texts.append(written.text)
    assert texts[0] == texts[1]
    assert name == "dates_gru" or (texts[0] != texts[2] and len(texts[0]) == 6)


def test_sliders_of_latent_variables_change_the_image() -> None:
    app = open_page("digits_gan")
    pictures = [str(item.proto) for item in app.get("image")]
    assert len(pictures) == 12
    checked(app.slider[0].set_value(3.0).run())
    changed = [str(item.proto) for item in app.get("image")]
    assert changed[0] != pictures[0]
    assert changed[1:] == pictures[1:]
    checked(button(app, "Next").click().run())
    assert [str(item.proto) for item in app.get("image")][1:] != pictures[1:]


def test_file_is_predicted_and_an_unfit_one_is_refused() -> None:
    app = open_page("diabetes")
    checked(app.segmented_control(key="try mode").set_value("File").run())
    assert any("Drop a table" in item.value for item in app.info)
    project = project_of("diabetes")
    run_id = open_store().runs(project)[0].id
    run = runs.load_run(open_store(), run_id)
    row = {name: float(value) for name, value in run.data.row(0).items() if isinstance(value, (int, float, np.number))}
    text = f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
    checked(uploader(app).upload("rows.csv", text.encode(), "text/csv").run())
    table = app.dataframe[0].value
    expected = runs.predict(run, [row])[0]["prediction"]
    assert float(table["prediction"][0]) == pytest.approx(expected, rel=1e-4)
    assert any("1 row." in item.value for item in app.caption)
    folder = open_store().artifacts(run_id).local_directory()
    assert not list(folder.glob("upload-*")), "the upload is deleted after it was read"
    before = app.session_state[TryItState.name()].batch
    checked(app.segmented_control(key=f"weights {run_id}").set_value("last").run())
    after = app.session_state[TryItState.name()].batch
    assert (before.key, before.result.csv) != (after.key, after.result.csv), "other weights predict again"
    uploader(app).upload("bad.csv", b"a,b\n1,2\n", "text/csv").run()
    assert "has no column" in app.error[0].value


@pytest.mark.long
def test_objects_in_the_images_of_a_file_are_named_in_words() -> None:
    app = open_page("shapes_detector")
    checked(app.segmented_control(key="try mode").set_value("File").run())
    content, file = BytesIO(), BytesIO()
    Image.fromarray(np.zeros((48, 48), dtype=np.uint8)).save(file, "PNG")
    with ZipFile(content, "w") as archive:
        archive.writestr("a.png", file.getvalue())
    checked(uploader(app).upload("images.zip", content.getvalue(), "application/zip").run())
    assert app.dataframe[0].value["prediction"].tolist() == ["no object"]


def test_row_of_a_file_is_collected_and_explained_as_a_single_input_is() -> None:
    app = open_page("breast_cancer")
    run_id, store = str(next(item for item in app.selectbox if item.label == "Run").value), open_store()
    data = runs.load_run(store, run_id).data
    rows = [{name: float(value) for name, value in data.row(number).items()} for number in (0, 1)]
    lines = [{**row, "mean radius": row["mean radius"] + 1, "patient": number} for number, row in enumerate(rows)]
    checked(app.segmented_control(key="try mode").set_value("File").run())
    checked(uploader(app).upload("rows.json", json.dumps(lines).encode(), "application/json").run())
    assert "Explain this" not in [item.label for item in app.button]
    app.session_state[str(app.dataframe[0].key)] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    checked(app.run())
    assert "**Row 2**" in [item.value for item in app.markdown]
    label = next(item for item in app.selectbox if item.label == "Correct label")
    checked(label.set_value("benign").run())
    app = checked(button(app, "Collect this input").click().run())
    [example] = store.collected(store.run(run_id).project_id).all()
    expected = {name: value for name, value in lines[1].items() if name != "patient"}
    assert (example.row, example.label, example.origin) == (expected, "benign", "Try it")
    button(app, "Explain this").click().run()
    handed = app.session_state[ExplainState.name()].handed[run_id].row
    assert handed == expected, "the columns of the data alone"


def test_input_is_collected_with_its_correct_label() -> None:
    app = open_page("digits_cnn")
    project = project_of("digits_cnn")
    app = checked(button(app, "Collect this input").click().run())
    assert "Choose the correct label first." in [item.value for item in app.warning]
    label = next(item for item in app.selectbox if item.label == "Correct label")
    checked(label.set_value("7").run())
    app = checked(button(app, "Collect this input").click().run())
    assert "Collected. The project has 1 collected example." in [item.value for item in app.success]
    [example] = open_store().collected(project).all()
    assert (example.label, example.origin) == ("7", "Try it")
    assert np.shape(example.row["image"]) == (1, 8, 8)


def test_tags_are_typed_and_checked_against_the_words() -> None:
    app = open_page("requests_tagger")
    project = project_of("requests_tagger")
    tags = next(item for item in app.text_area if item.label == "Correct label")
    proposed = (tags.value or "").split()
    assert set(proposed) - {"O"}, "the predicted tags"
    tags.set_value("O")
    app = checked(button(app, "Collect this input").click().run())
    assert "but the label has 1 tag\\." in " ".join(item.value for item in app.caption)
    assert open_store().collected(project).all() == []
    typed = " ".join([*proposed[:-1], "B-person"])
    next(item for item in app.text_area if item.label == "Correct label").set_value(typed)
    checked(button(app, "Collect this input").click().run())
    [example] = open_store().collected(project).all()
    assert example.label == typed.split()


def test_a_network_without_labels_cannot_collect() -> None:
    app = open_page("digits_vae")
    assert "Collect this input" not in {item.label for item in app.button}
    assert button(app, "Collect").disabled


def test_a_mask_is_painted_over_the_prediction_and_collected() -> None:
    """A stroke on the chart needs a browser; here, the painter has one already."""
    app = open_page("shapes_unet")
    state = app.session_state[ExampleState.name()]
    [key] = state.masks
    predicted = state.masks[key].copy()
    checked(button(app, "Collect this input").click().run())
    assert "Paint or upload the correct label first." in [item.value for item in app.warning]
    state.strokes[key] += [([(0, 0), (2, 3)], "square"), ([(5, 7)], "no class (void)")]
    checked(button(app, "Collect this input").click().run())
    [run] = [run for run in open_store().runs() if run.title.startswith("shapes_unet")]
    [example] = open_store().collected(run.project_id).all()
    expected = predicted.copy()
    expected[0, 0] = expected[2, 3] = 2
    expected[5, 7] = IGNORE
    assert np.array_equal(example.label, expected)


def test_predicted_objects_are_corrected_and_collected() -> None:
    app = open_page("shapes_detector")
    typed = next(item for item in app.text_area if item.label == "Correct label")
    typed.set_value("square 0.1 0.2 0.5 2")
    app = checked(button(app, "Collect this input").click().run())
    assert "A box has sides from 0 to 1" in " ".join(item.value for item in app.caption)
    assert "Type the correct label first." in [item.value for item in app.warning]
    next(item for item in app.text_area if item.label == "Correct label").set_value("square 0.1 0.2 0.5 0.75")
    checked(button(app, "Collect this input").click().run())
    [run] = [run for run in open_store().runs() if run.title.startswith("shapes_detector")]
    [example] = open_store().collected(run.project_id).all()
    assert example.label == [{"class": "square", "box": [0.1, 0.2, 0.5, 0.75]}]


def test_outputs_of_different_kinds_are_corrected_by_name() -> None:
    app = open_page("shapes_two_outputs")
    typed = next(item for item in app.text_area if item.label == "Correct label")
    assert [line.partition(":")[0] for line in (typed.value or "").splitlines()] == ["shape", "area"], "the prediction"
    typed.set_value("shape: hexagon\narea: 12.5")
    app = checked(button(app, "Collect this input").click().run())
    assert "is not a class of the model" in " ".join(item.value for item in app.caption)
    next(item for item in app.text_area if item.label == "Correct label").set_value("shape: square\narea: 12.5")
    checked(button(app, "Collect this input").click().run())
    [example] = open_store().collected(project_of("shapes_two_outputs")).all()
    assert example.label == {"shape": "square", "area": 12.5}


def test_a_language_model_says_why_its_inputs_are_not_collected() -> None:
    assert "Many continuations of a text are right" in button(open_page("tales_gpt"), "Collect").help
