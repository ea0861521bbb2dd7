"""The explain page: each view opens, custom inputs get a prediction, and what is unsupported gives a reason."""

from __future__ import annotations

import csv
import io
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.explain.core.baselines import choose, typical_row
from netloom.explain.core.examples import read_example
from netloom.explain.core.explanation import TITLES
from netloom.explain.plots.explanation_plots import array_table
from netloom.jobs import Pool
from netloom.jobs.explanations import Attribution
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.components.figure_export import written
from netloom.ui.explain.view import VIEWS, View
from netloom.ui.explain.views.training_trajectory import answers
from tests.runs.examples import trained_here

PAGE = Path(__file__).parents[2] / "pages" / "explain.py"
# The views to open for each kind of run; all of them for the table, whose network is the fastest.
OPENED = {
    "breast_cancer": tuple(view.name for view in VIEWS),
    "intents_transformer": ("input", "attention"),
    "digits_cnn": ("input",),
}
TABLE, TEXT, IMAGE = OPENED


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a run on a table, one on texts and one on images."""
    folder: Path = tmp_path_factory.mktemp("explained")
    store = open_store(folder)
    for name in OPENED:
        project = templates()[name].project
        short = project.model_copy(update={"name": name, "training": project.training.model_copy(update={"epochs": 1})})
        with trained_here():
            run_id = runs.start(store, store.create_project(short), short)
        assert store.run(run_id).state == "finished"
    return folder


@pytest.fixture(autouse=True)
def _use_trained_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(trained))
    st.cache_resource.clear()
    st.cache_data.clear()


def load_page(name: str) -> AppTest:
    (project,) = [row.id for row in open_store().list_projects(limit=9) if row.name == name]
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = project
    return app.run()


def open_page(name: str) -> AppTest:
    app = load_page(name)
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    return app


@pytest.mark.parametrize("name", OPENED)
def test_each_view_opens(name: str) -> None:
    app = open_page(name)
    for view in OPENED[name]:
        app.segmented_control(key="view").set_value(view).run()
        assert not app.exception, view
        assert not app.error, (view, [item.value for item in app.error])
        assert app.info or any(item.value.startswith(_summary(view)) for item in app.caption), view


def _summary(name: str) -> str:
    return next(view.summary for view in VIEWS if view.name == name)


def test_prediction_shows_faithfulness_badge_and_numbers() -> None:
    app = open_page(TABLE)
    shown = " ".join(item.value for item in app.markdown)
    assert "Prediction: " in shown
    assert "completeness error" in shown
    assert "of random baselines" in shown
    assert "-badge[" in shown


def test_custom_text_gets_the_networks_prediction() -> None:
    app = open_page(TEXT)
    app.segmented_control(key="examples Test rows").set_value("Custom input").run()
    app.text_area[0].set_value("how much money do I have").run()
    assert not app.exception
    assert not app.error
    store = open_store()
    (run,) = [run for row in store.list_projects(limit=9) if row.name == TEXT for run in store.runs(row.id)]
    prediction = runs.predict(runs.load_run(store, run.id), [{"text": "how much money do I have"}])[0]["prediction"]
    headings = [item.value for item in app.markdown if item.value.startswith("### Prediction")]
    assert headings[0].replace("\\", "").startswith(f"### Prediction: **{prediction}**")


def test_custom_number_changes_the_prediction() -> None:
    app = open_page(TABLE)
    shares = _shares(app)
    app.segmented_control(key="examples Test rows").set_value("Custom input").run()
    assert _shares(app) == shares
    box = app.number_input[0]
    assert box.value is not None
    box.set_value(box.value * 3).run()
    assert not app.error
    assert _shares(app) != shares


def _shares(app: AppTest) -> list[Any]:
    """The values of the probability bars of the top predictions."""
    bars: Any = app.get("progress")
    return [item.value for item in bars]


def test_unsupported_method_shows_the_reason() -> None:
    app = open_page(TEXT)
    app.button_group(key="input method Gradients").set_value("deep_lift").run()
    assert not app.exception
    assert any("does not support this network" in item.value for item in app.info)


def test_headline_buttons_lead_to_attention_and_back() -> None:
    app = open_page(TEXT)
    verdicts = (*TITLES.values(), "Faithfulness checks passed")
    (sentence,) = [item.value for item in app.markdown if item.value.startswith("#### ")]
    assert any(verdict in sentence for verdict in verdicts)
    app.button(key="leads to attention").click().run()
    assert app.segmented_control(key="view").value == "attention"
    assert any(re.search(r"head \d of layer \d", item.value) for item in app.markdown)
    app.button(key="leads to input").click().run()
    assert app.segmented_control(key="view").value == "input"
    assert sentence in [item.value for item in app.markdown]
    assert not app.exception


def test_model_without_attention_has_no_attention_button() -> None:
    assert "leads to attention" not in [item.key for item in open_page(TABLE).button]


def test_selected_baseline_and_steps_apply_to_the_explanations() -> None:
    app = open_page(TABLE)
    (run_id,) = {str(item.key).partition(" ")[2] for item in app.selectbox if str(item.key).startswith("baseline ")}
    app.selectbox(key=f"baseline {run_id}").set_value("class").run()
    class_name = app.selectbox(key=f"baseline class {run_id}").options[-1]
    app.selectbox(key=f"baseline class {run_id}").set_value(class_name).run()
    app.number_input(key=f"steps {run_id}").set_value(12).run()
    (sentence,) = [item.value for item in app.markdown if item.value.startswith("#### ")]
    assert f"compared with the mean of the training rows of the class {class_name}" in sentence
    assert any("with 12 steps" in item.value for item in app.caption)
    app.segmented_control(key="view").set_value("overall").run()
    assert any(f"rows of the class {class_name}, over" in item.value.replace("\\", "") for item in app.caption)
    app.segmented_control(key="view").set_value("input").run()
    app.button_group(key="input method Gradients").set_value("saliency").run()
    assert any("does not use the chosen baseline and steps" in item.value for item in app.caption)
    assert not app.exception


@pytest.mark.parametrize("name", OPENED)
def test_custom_baseline_row_is_used_as_entered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Attribution] = []
    submit = Pool.submit

    def record_submit(pool: Pool, request: Any, *args: Any) -> Any:
        requests.extend([request] if isinstance(request, Attribution) else [])
        return submit(pool, request, *args)

    def baseline_values(field: str) -> torch.Tensor:
        """The baseline values of the last explanation."""
        inputs, _ = read_example(run.data, requests[-1].row)
        return choose(requests[-1].options["baseline"], run.data, inputs).values[field]

    monkeypatch.setattr(Pool, "submit", record_submit)
    app = open_page(name)
    (run_id,) = {str(item.key).partition(" ")[2] for item in app.selectbox if str(item.key).startswith("baseline ")}
    picker = app.selectbox(key=f"baseline {run_id}")
    assert picker.options[-1] == "Custom row"
    picker.set_value("custom").run()
    run = runs.load_run(open_store(), run_id)
    number = typical_row(run.data, run.fields)
    entered, key = run.data.row(number), f"own baseline {run_id} {number}"
    assert all(
        torch.equal(baseline_values(input_field), run.data.inputs[input_field][number : number + 1])
        for input_field in run.fields
    )
    if name == TABLE:
        box = next(item for item in app.number_input if str(item.key).startswith(key))
        entered[str(box.label).replace("\\", "")] = 3 * float(box.value or 1)
        box.set_value(3 * float(box.value or 1)).run()
    elif name == TEXT:
        entered["text"] = "play some music"
        app.text_area(key=f"{key} text").set_value(entered["text"]).run()
    else:
        buffer = io.BytesIO()
        Image.new("L", (8, 8), 255).save(buffer, "PNG")
        app.segmented_control(key=f"{key} image way").set_value("Upload").run()
        app.file_uploader(key=f"{key} image file").set_value(("white.png", buffer.getvalue(), "image/png")).run()
        entered["image"] = np.full((1, 8, 8), 1 / run.data.image_field("image").scale)
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    for field, values in run.data.encode(entered, run.fields).items():
        assert not torch.equal(values, run.data.inputs[field][number : number + 1])
        assert torch.equal(baseline_values(field), values)
    (sentence,) = [item.value for item in app.markdown if item.value.startswith("#### ")]
    assert "compared with a row of your own" in sentence


def test_unreadable_baseline_image_shows_an_error() -> None:
    app = open_page(IMAGE)
    (run_id,) = {str(item.key).partition(" ")[2] for item in app.selectbox if str(item.key).startswith("baseline ")}
    app.selectbox(key=f"baseline {run_id}").set_value("custom").run()
    (input_mode,) = [item for item in app.segmented_control if str(item.key).startswith("own baseline ")]
    input_mode.set_value("Upload").run()
    app.file_uploader[0].set_value(("torn.png", b"no picture", "image/png")).run()
    assert not app.exception
    assert any("is not a readable image" in item.value for item in app.error), [item.value for item in app.error]


def test_damaged_weights_show_an_error() -> None:
    (weights,) = [
        open_store().artifacts(run.id).local_directory() / "best.safetensors"
        for row in open_store().list_projects(limit=9)
        for run in open_store().runs(row.id)
        if row.name == TABLE
    ]
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    try:
        (error,) = load_page(TABLE).error
        assert re.search("The file .* from a backup, .* reproduce the run", error.value)
    finally:
        weights.write_bytes(whole)
    open_page(TABLE)


def test_last_weights_can_be_explained() -> None:
    app = open_page(TABLE)
    weights = next(item for item in app.segmented_control if item.label == "Weights")
    weights.set_value("last").run()
    assert not app.error
    assert any("Weights last" in item.value for item in app.caption)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_reference_resolves_to_a_function(view: View) -> None:
    for reference in filter(None, (view.draws, view.obstacle)):
        module, _, name = reference.partition(":")
        assert callable(getattr(import_module(module), name))
    assert view.summary.endswith(".")


def test_view_names_and_titles_are_unique() -> None:
    for names in ([view.name for view in VIEWS], [view.title for view in VIEWS]):
        assert len(set(names)) == len(names)


def test_tagging_target_is_selected_by_word_and_tag() -> None:
    def page() -> None:
        from types import SimpleNamespace

        import streamlit as st

        from netloom.data import prepare
        from netloom.document import DataChoice
        from netloom.templates import templates
        from netloom.training import OBJECTIVES
        from netloom.ui.explain.page import choose_target

        project = templates()["requests_tagger"].project
        data = prepare(DataChoice(dataset=project.data.dataset))
        run: Any = SimpleNamespace(data=data, project=project, objective=OBJECTIVES["tagging"])
        st.session_state["asked"] = choose_target(run, 3)
        st.session_state["words"] = data.example(3).tokens

    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert app.session_state["asked"] is None, "the first entity, as where nobody chooses"
    word, tag = app.selectbox
    words = app.session_state["words"]
    assert word.options[1:] == [f"{index + 1} · {text}" for index, text in enumerate(words)]
    word.set_value(2).run()
    assert app.session_state["asked"] == {"position": 2}
    app.selectbox[1].set_value(tag.options[1]).run()
    assert app.session_state["asked"] == {"position": 2, "token": tag.options[1]}


def test_long_texts_are_shown_outside_the_table() -> None:
    def page() -> None:
        from netloom.data import Example
        from netloom.ui.explain.page import show_whole_example
        from netloom.ui.explain.views.influence import show_row

        show_whole_example(Example(1, "", columns={"first": "put on some music by Ben", "age": 41.0}))
        show_row(Example(2, "", image=[[0.0, 1.0]], columns={"weight": 36.0}))

    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert app.markdown[0].value == "**first**  \nput on some music by Ben"
    (table,) = app.dataframe
    assert table.value["column"].tolist() == ["age"]
    assert app.caption[-1].value == "weight **36**"


@pytest.mark.parametrize(
    ("shares", "truth", "title", "drawn"),
    [
        ([{"a": 0.1, "b": 0.9}, {"a": 0.8, "b": 0.2}], "a", "Probability of a", ["of a"]),
        ([{"a": 0.1, "b": 0.9}, {"a": 0.8, "b": 0.2}], "b", "Probability", ["of a", "of b (true)"]),
        ([{"a": 0.1}, {"a": 0.8}], "O O B-a", "Probability of a", ["of a"]),
        ([{"b": 0.9}, {"a": 0.8}], "b", "The score of a", ["a"]),
    ],
)
def test_training_trajectory_curves_have_a_value_per_checkpoint(
    shares: list[dict[str, float]], truth: str, title: str, drawn: list[str]
) -> None:
    frames = []
    for probabilities in shares:
        target = SimpleNamespace(name="a", quantity="the score of a")
        prediction, example = SimpleNamespace(probabilities=probabilities), SimpleNamespace(target=truth)
        explanation = SimpleNamespace(target=target, prediction=prediction, example=example, answer=1.0)
        frames.append(SimpleNamespace(explanation=explanation, probability=probabilities.get("a")))
    trajectory: Any = SimpleNamespace(frames=frames, final=frames[-1])
    axis_title, curves = answers(trajectory, by_class=True)
    assert (axis_title, list(curves)) == (title, drawn)
    assert all(value is not None for values in curves.values() for value in values)


def test_csv_export_preserves_exact_values() -> None:
    values = np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 7
    rows = list(csv.DictReader(io.StringIO(written(array_table(values, ("channel", "row", "column"))))))
    assert [float(row["attribution"]) for row in rows] == values.ravel().tolist()
    assert (rows[5]["channel"], rows[5]["row"], rows[5]["column"]) == ("0", "1", "1")
    assert written([{"a": 1, "b": "x, y"}]) == 'a,b\n1,"x, y"\n'
