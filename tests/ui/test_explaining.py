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
import plotly.graph_objects as go
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from netloom import runs
from netloom.explain import GROUPS, registry
from netloom.explain.core.baselines import choose, typical_row
from netloom.explain.core.examples import read_example
from netloom.explain.core.explanation import TITLES
from netloom.explain.plots.explanation_plots import array_table
from netloom.jobs import Pool
from netloom.jobs.requests.explanations import Attribution
from netloom.store import Run, open_store
from netloom.templates import templates
from netloom.ui.components.figure_export import written
from netloom.ui.explain.state import CompareWith
from netloom.ui.explain.view import SECTIONS, VIEWS, View, find_view
from netloom.ui.explain.views import attribution_plots
from netloom.ui.explain.views.training_trajectory import answers
from netloom.ui.shell.run_picker import UNKNOWN_RUN
from tests.runs.examples import trained_here

PAGES = Path(__file__).parents[2] / "pages"
# The views to open for each kind of run; all of them for the table, whose network is the fastest.
OPENED = {
    "breast_cancer": tuple(view.name for view in VIEWS),
    "intents_transformer": ("input", "attention"),
    "digits_cnn": ("input",),
}
TABLE, TEXT, IMAGE = OPENED
WHY = "Most confident mistake on the test rows"


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


def load_page(name: str, page: str = "explain", **parameters: str) -> AppTest:
    (project,) = [row.id for row in open_store().list_projects(limit=9) if row.name == name]
    app = AppTest.from_file(str(PAGES / f"{page}.py"), default_timeout=300)
    for key, value in {"project": project, **parameters}.items():
        app.query_params[key] = value
    return app.run()


def open_page(name: str) -> AppTest:
    app = load_page(name)
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    return app


def show_view(app: AppTest, name: str) -> None:
    """Open a view by its section and its title."""
    section = next(section for section in SECTIONS if name in [view.name for view in section.views])
    app.segmented_control(key="section").set_value(section.name).run()
    app.button_group(key=f"view {section.name}").set_value(name).run()


def choose_method(app: AppTest, name: str) -> None:
    app.session_state["method menu"] = True
    app.run()
    app.button(key=f"input method {name}").click().run()


@pytest.mark.parametrize("name", OPENED)
def test_each_view_opens(name: str) -> None:
    app = open_page(name)
    for view in OPENED[name]:
        show_view(app, view)
        assert not app.exception, view
        assert not app.error, (view, [item.value for item in app.error])
        assert app.info or any(item.value == _summary(view) for item in app.caption), view


@pytest.mark.parametrize("name", [TABLE, IMAGE])
def test_a_link_with_only_a_run_opens_its_project(name: str) -> None:
    def page() -> None:
        import streamlit as st

        from netloom.ui.shell import session

        st.title(getattr(session.current(), "id", ""))

    run = run_of(name)
    app = AppTest.from_function(page)
    app.query_params["run"] = run.id
    assert app.run().title[0].value == run.project_id


def test_a_rerun_of_the_attention_view_makes_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each click reruns the page; only the open tabs are drawn, and what they show was made before."""
    app = open_page(TEXT)
    show_view(app, "attention")
    figures: list[object] = []
    make = go.Figure.__init__

    def count(figure: go.Figure, *values: Any, **more: Any) -> None:
        figures.append(figure)
        make(figure, *values, **more)

    monkeypatch.setattr(go.Figure, "__init__", count)
    app.run()
    assert not app.exception
    assert not figures
    app.session_state["attention drawings Lines Heatmap"] = "Heatmap"
    app.run()
    assert not app.exception
    assert len(figures) == 1, "the tab that was opened"
    app.session_state["attention details"] = True
    app.run()
    assert any("Entropy" in item.value for item in app.caption)


def _summary(name: str) -> str:
    return next(view.summary for view in VIEWS if view.name == name)


@pytest.mark.parametrize("view", [view.name for view in VIEWS if view.compares])
def test_each_view_compares_two_checkpoints(view: str) -> None:
    app = open_page(TABLE)
    show_view(app, view)
    if any("attention" in item.value or "sub" in item.value for item in app.info):
        return  # the view does not apply to this network
    compare = next(item for item in app.selectbox if item.label == "Compare with")
    compare.set_value(CompareWith.CHECKPOINT).run()
    second = next(item for item in app.selectbox if item.label == "Second checkpoint")
    second.select_index(len(second.options) - 1).run()
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    assert any("Best weights" in item.value for item in app.markdown)


def test_page_opens_the_most_confident_mistake() -> None:
    app = open_page(TEXT)
    evaluation = runs.evaluation(open_store(), run_of(TEXT).id)
    assert evaluation is not None
    mistake = evaluation.most_confident_mistake
    assert mistake is not None
    assert number_of(app).value == mistake.row
    assert any(item.value == f"Row {mistake.row}. {WHY} ({mistake.confidence:.0%})." for item in app.caption)
    assert all(item.is_mistake for item in evaluation.mistakes)
    mistakes = next(item for item in app.selectbox if item.label.startswith("Mistakes"))
    assert mistakes.label == f"Mistakes ({len(evaluation.mistakes)})"
    mistakes.set_value(evaluation.mistakes[-1].row).run()
    assert number_of(app).value == evaluation.mistakes[-1].row
    assert not app.error


def test_nothing_is_computed_before_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []
    submit = Pool.submit

    def record_submit(pool: Pool, request: Any, *args: Any) -> Any:
        requests.append(type(request).__name__)
        return submit(pool, request, *args)

    monkeypatch.setattr(Pool, "submit", record_submit)
    open_page(TABLE)
    assert requests == ["Inspect", "Attribution"]


def test_typed_row_is_explained_and_written_to_the_address() -> None:
    app = open_page(TABLE)
    run = runs.load_run(open_store(), run_of(TABLE).id)
    row = int(run.data.split["train"][0])
    number_of(app).set_value(row).run()
    assert any(item.value.startswith(f"Row {row}, a training row.") for item in app.caption)
    address = {name: "".join(app.query_params[name]) for name in ("run", "row", "view")}
    assert address == {"run": run_of(TABLE).id, "row": str(row), "view": "input"}
    assert not app.error


@pytest.mark.parametrize(
    ("link", "view", "compared"),
    [
        ("what-if", "what if", "none"),
        ("overall", "overall", "none"),
        ("Global", "overall", "none"),
        ("training", "input", "checkpoint"),
        ("Across checkpoints", "input", "checkpoint"),
        ("compare", "input", "method"),
        ("label-errors", "label errors", "none"),
        ("attribution_flow", "flow", "none"),
        *((view.slug, view.name, "none") for view in VIEWS),
    ],
)
def test_view_names_of_links_lead_to_views(link: str, view: str, compared: str) -> None:
    found = find_view(link)
    assert found is not None
    assert (found[0].name, found[1]) == (view, compared)


def test_link_opens_its_row_and_view() -> None:
    app = load_page(TABLE, row="17", view="influence")
    assert not app.error
    assert number_of(app).value == 17
    assert app.segmented_control(key="section").value == "data"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"view": "nonsense"}, "which does not exist"),
        ({"row": "-3"}, "is not a row number"),
        ({"row": "99999"}, "the data has the rows 0 to 568"),
        ({"run": "nonsense"}, "a run that this page cannot show"),
    ],
)
def test_link_to_what_does_not_exist_shows_a_message(parameters: dict[str, str], message: str) -> None:
    app = load_page(TABLE, **parameters)
    assert not app.exception
    assert any(message in item.value.replace("\\", "") for item in app.warning), [item.value for item in app.warning]
    assert any("Prediction: " in item.value for item in app.markdown)


@pytest.mark.parametrize("page", ["train", "runs", "playground", "deploy", "monitor"])
def test_pages_warn_of_a_link_to_an_unknown_run(page: str) -> None:
    app = load_page(TABLE, page=page, run="nonsense")
    for _ in range(2):  # a rerun without a choice, such as that of a fragment, keeps the warning
        assert not app.exception
        assert [item.value for item in app.warning] == [UNKNOWN_RUN]
        app.run()
    known = load_page(TABLE, page=page, run=run_of(TABLE).id)
    assert not known.exception
    assert not known.warning


def number_of(app: AppTest) -> Any:
    """The field of the row number."""
    return next(item for item in app.number_input if item.label == "Row number")


def run_of(name: str) -> Run:
    store = open_store()
    (run,) = [run for row in store.list_projects(limit=9) if row.name == name for run in store.runs(row.id)]
    return run


def test_prediction_shows_faithfulness_badge_and_numbers() -> None:
    app = open_page(TABLE)
    shown = " ".join(item.value for item in app.markdown)
    assert "Prediction: " in shown
    assert "Completeness error" in shown
    assert "of random orders" in shown
    assert "-badge[" in shown


def container_keys(block: Block) -> str:
    """The keys of the containers within a block."""
    within = [container_keys(child) for child in block.children.values() if isinstance(child, Block)]
    return " ".join([str(block.proto), *within])


@pytest.mark.parametrize(("bars", "style"), [(0, "explain-long-figure"), (99, "explain-figure")])
def test_a_phone_limits_the_height_of_few_bars_only(bars: int, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of many bars, such as the words of a long text, would overlap."""
    monkeypatch.setattr(attribution_plots, "MAX_LIMITED_BARS", bars)
    assert f"{style} bars" in container_keys(open_page(TEXT).main)


def test_custom_text_gets_the_networks_prediction() -> None:
    app = open_page(TEXT)
    example_source(app).set_value("Custom input").run()
    app.text_area[0].set_value("how much money do I have").run()
    assert not app.exception
    assert not app.error
    store = open_store()
    (run,) = [run for row in store.list_projects(limit=9) if row.name == TEXT for run in store.runs(row.id)]
    prediction = runs.predict(runs.load_run(store, run.id), [{"text": "how much money do I have"}])[0]["prediction"]
    headings = [item.value for item in app.markdown if item.value.startswith("### Prediction")]
    assert headings[0].replace("\\", "").startswith(f"### Prediction: **{prediction}**")


def example_source(app: AppTest) -> Any:
    return next(item for item in app.segmented_control if item.label == "Example")


def test_custom_number_changes_the_prediction() -> None:
    app = open_page(TABLE)
    shares = _shares(app)
    example_source(app).set_value("Custom input").run()
    assert _shares(app) == shares
    box = next(item for item in app.number_input if str(item.key).startswith("own "))
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
    app.session_state["method menu"] = True
    app.run()
    assert app.button(key="input method deep_lift").disabled
    assert any(item.value.startswith("Unavailable: ") for item in app.caption)
    listed = [str(item.key) for item in app.button if str(item.key).startswith("input method ")]
    assert listed == [f"input method {name}" for name in sorted(registry(), key=_place_in_menu)]
    assert not app.exception


def _place_in_menu(name: str) -> tuple[int, int]:
    return list(GROUPS).index(registry()[name].group), list(registry()).index(name)


def test_method_of_layers_opens_the_layers_view_and_back() -> None:
    app = open_page(TABLE)
    choose_method(app, "layer_conductance")
    assert app.button_group(key="view prediction").value == "layers"
    assert app.session_state["method menu"] is False
    assert any("Completeness error" in item.value for item in app.markdown)
    choose_method(app, "saliency")
    assert app.button_group(key="view prediction").value == "input"
    show_view(app, "layers")
    assert any(item.value.startswith(registry()["layer_conductance"].summary) for item in app.caption)
    assert not app.error


def test_headline_buttons_lead_to_attention_and_back() -> None:
    app = open_page(TEXT)
    verdicts = (*TITLES.values(), "Faithfulness checks passed")
    sentence = sentence_of(app)
    assert any(verdict in sentence for verdict in verdicts)
    app.button(key="leads to attention").click().run()
    assert app.button_group(key="view prediction").value == "attention"
    assert any(re.search(r"head \d of layer \d", item.value) for item in app.markdown)
    app.button(key="leads to input").click().run()
    assert app.button_group(key="view prediction").value == "input"
    assert sentence in [item.value for item in app.markdown]
    assert not app.exception


def sentence_of(app: AppTest) -> str:
    """The sentence below the picture."""
    (sentence,) = [item.value for item in app.markdown if "(compared with" in item.value]
    return str(sentence)


def test_model_without_attention_has_no_attention_button() -> None:
    assert "leads to attention" not in [item.key for item in open_page(TABLE).button]


def test_selected_baseline_and_steps_apply_to_the_explanations() -> None:
    app = open_page(TABLE)
    (run_id,) = {str(item.key).partition(" ")[2] for item in app.selectbox if str(item.key).startswith("baseline ")}
    app.selectbox(key=f"baseline {run_id}").set_value("class").run()
    class_name = app.selectbox(key=f"baseline class {run_id}").options[-1]
    app.selectbox(key=f"baseline class {run_id}").set_value(class_name).run()
    app.number_input(key=f"steps {run_id}").set_value(12).run()
    sentence = sentence_of(app)
    assert f"compared with the mean of the training rows of the class {class_name}" in sentence
    assert any("with 12 steps" in item.value for item in app.caption)
    show_view(app, "overall")
    assert any(f"rows of the class {class_name}, over" in item.value.replace("\\", "") for item in app.markdown)
    show_view(app, "input")
    choose_method(app, "saliency")
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
    sentence = sentence_of(app)
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


@pytest.mark.parametrize(("share", "threshold"), [(0.34, 0.3), (0.34, 0.5)])
def test_prediction_of_two_classes_is_compared_with_the_label(share: float, threshold: float) -> None:
    def page(share: float, threshold: float) -> None:
        from types import SimpleNamespace

        import streamlit as st
        import torch

        from netloom.data import prepare
        from netloom.document import DataChoice
        from netloom.explain.core.targets import choose, predict
        from netloom.templates import templates
        from netloom.training import OBJECTIVES
        from netloom.ui.explain.prediction import show_prediction

        training = templates()["breast_cancer_binary"].project.training
        data = prepare(DataChoice(dataset="breast_cancer"))
        output = torch.tensor([[share]]).logit()
        prediction = predict(choose(None, output, data, {}, training), output, data, {}, {"threshold": threshold})
        places = SimpleNamespace(head=st.container(), probabilities=st.container())
        trained = SimpleNamespace(data=data, objective=OBJECTIVES["binary_classification"])
        inspection = SimpleNamespace(is_calibrated=threshold != 0.5)
        answer = SimpleNamespace(calibrated={"prediction": "malignant", "confidence": 0.8, "abstained": True})
        context: Any = SimpleNamespace(trained=trained, places=places, why="", inspection=inspection, answer=answer)
        row = data.raw.target.tolist().index(1)
        show_prediction(context, prediction, data.example(row))

    app = AppTest.from_function(page, args=(share, threshold), default_timeout=60).run()
    assert not app.exception
    is_tuned = share > threshold
    assert ("correct]" in app.markdown[0].value) == is_tuned
    assert ("incorrect, the label is benign" in app.markdown[0].value) == (not is_tuned)
    assert any("threshold" in caption.value for caption in app.caption) == is_tuned
    note = "Calibrated prediction: **malignant, confidence 80.0%, abstained**"
    assert any(note in caption.value.replace("\\", "") for caption in app.caption) == is_tuned


def test_long_texts_are_shown_outside_the_table() -> None:
    def page() -> None:
        from netloom.data import Example
        from netloom.ui.explain.example_picker import show_whole_example
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
        explanation = SimpleNamespace(target=target, prediction=prediction, example=example, score=1.0)
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
