"""The sections of the data page: their content, one-click fixes and data augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.data import add_file, schema
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.quality import Plot
from netloom.data.schema import Schema, TargetSpec
from netloom.document import Augment, DataChoice, Project, Training
from netloom.store import Store, open_store
from netloom.templates import templates
from netloom.templates.starting import NETWORKS, STARTERS, start, starters
from netloom.ui.data.page import SECTIONS
from netloom.ui.data.quality import plot_chart
from netloom.ui.data.state import Key
from netloom.ui.train.state import Key as TrainKey
from netloom.validation import analyze
from tests.data.brought import tone
from tests.data.crafted import make_zip
from tests.networks import TABLE, chain

PAGE = Path(__file__).parents[2] / "pages" / "data.py"


@pytest.fixture(autouse=True)
def _clear_caches(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def open_section(section: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.session_state[Key.SECTION] = section
    app.run()
    assert not app.exception
    return app


def latest_project(store: Store) -> Project:
    return store.load(store.list_projects(limit=1)[0].id).project


@pytest.mark.parametrize(
    ("section", "dataset"),
    [(section, dataset) for section in SECTIONS for dataset in ("", "breast_cancer")]
    + [("Augment", dataset) for dataset in ("shape_masks", "intents", "sine", "clicks")],
)
def test_each_section_opens(section: str, dataset: str, home: Path) -> None:
    augment = {"shape_masks": "crop", "intents": "token_dropout", "sine": "jitter", "breast_cancer": "jitter"}
    if dataset:
        declared = (Augment(kind=augment[dataset]),) if dataset in augment else ()
        project = chain(TABLE, ("Linear", {"units": 2}), training=Training(augment=declared))
        open_store(home).create_project(project.model_copy(update={"data": DataChoice(dataset=dataset)}))
    app = open_section(section)
    assert not app.error
    assert any(item.value for item in (*app.caption, *app.info, *app.markdown, *app.success))


def add_faulty_table(home: Path) -> DataChoice:
    """A table with repeated rows and a constant column."""
    random = np.random.default_rng(0)
    label = np.arange(200) % 2
    table = pd.DataFrame({"a": random.normal(size=200) + 3 * label, "b": random.normal(size=200), "same": 1.0})
    table["label"] = np.array(["no", "yes"])[label]
    table = pd.concat([table, table.iloc[:12]], ignore_index=True)
    return DataChoice(dataset=add_file(table.to_csv(index=False).encode(), "faulty.csv", home).name)


def test_quality_fix_applies_in_one_click_and_undoes(home: Path) -> None:
    store, choice = open_store(home), add_faulty_table(home)
    wide = ("Input", {"field": "features", "kind": "vector", "shape": [3]})
    project = chain(wide, ("Linear", {"units": 2})).model_copy(update={"data": choice})
    store.create_project(project)
    app = open_section("Quality")
    assert any("repeat another row exactly" in item.value for item in app.markdown)
    next(button for button in app.button if button.label == "Keep one of each").click().run()
    assert not app.exception
    assert latest_project(store).data.duplicates == "drop"
    assert not any("repeat another row exactly" in item.value for item in app.markdown)
    next(button for button in app.button if "same" in button.label).click().run()
    fixed_project = latest_project(store)
    assert fixed_project.data.options["columns"] == {"same": {"role": "ignore"}}
    assert fixed_project.main_network.nodes["input_1"].params["shape"] == [2]  # the input follows the remaining columns
    next(button for button in app.button if button.label == "Undo").click().run()
    assert latest_project(store).data.options == {}
    assert latest_project(store).main_network.nodes["input_1"].params["shape"] == [3]


def test_training_fix_applies_once(home: Path) -> None:
    random = np.random.default_rng(0)
    label = np.where(np.arange(220) < 210, "often", "rare")
    table = pd.DataFrame({"a": random.normal(size=220), "b": random.normal(size=220), "label": label})
    name = add_file(table.to_csv(index=False).encode(), "uneven.csv", home, target="label").name
    wide = ("Input", {"field": "features", "kind": "vector", "shape": [2]})
    store = open_store(home)
    store.create_project(chain(wide, ("Linear", {"units": 2})).model_copy(update={"data": DataChoice(dataset=name)}))
    app = open_section("Quality")
    balance = next(button for button in app.button if button.label == "Balance the class weights")
    assert not balance.disabled
    balance.click().run()
    assert latest_project(store).training.class_weights == "balanced"
    assert next(button for button in app.button if button.label == "Balance the class weights").disabled


def test_invalid_split_is_rejected_with_an_error(home: Path) -> None:
    store, choice = open_store(home), add_faulty_table(home)
    wide = ("Input", {"field": "features", "kind": "vector", "shape": [3]})
    store.create_project(chain(wide, ("Linear", {"units": 2})).model_copy(update={"data": choice}))
    app = open_section("Columns")
    for label, value in (("Test", 0.5), ("Validation", 0.5)):
        next(item for item in app.number_input if item.label == label).set_value(value).run()
    assert [item.value for item in app.error]
    assert not app.exception
    assert latest_project(store).data.validation + latest_project(store).data.test < 1


def test_every_dataset_selection_takes_effect() -> None:
    app = open_section("Overview")
    for name, title in (("wine", "Wine"), ("digits", "Handwritten digits"), ("wine", "Wine"), ("sine", "Noisy sine")):
        app.radio[0].set_value(name).run()
        assert app.header[0].value == title


def test_fixes_without_a_project_apply_to_new_projects(home: Path) -> None:
    store, choice = open_store(home), add_faulty_table(home)
    app = open_section("Quality")
    assert not app.success, "no fix was made yet"
    next(button for button in app.button if button.label == "Keep one of each").click().run()
    assert not app.exception
    assert any("apply to new projects" in item.value for item in app.success)
    assert not any("repeat another row exactly" in item.value for item in app.markdown)
    assert default_choice(choice.dataset, home).duplicates == "drop"
    next(button for button in app.button if button.key == "start breast_cancer").click().run()
    new_project = latest_project(store)
    assert (new_project.data.dataset, new_project.data.duplicates) == (choice.dataset, "drop")


def add_leaking_table(home: Path) -> DataChoice:
    """A table with a column that reveals the target."""
    random = np.random.default_rng(0)
    label = np.arange(200) % 2
    table = pd.DataFrame({"a": random.normal(size=200) + label, "alive": np.array(["n", "y"])[label], "label": label})
    table["b"] = random.normal(size=200)
    content = table.to_csv(index=False).encode()
    return DataChoice(dataset=add_file(content, "leak.csv", home, target="label").name)


@pytest.mark.parametrize("page", ["design", "train"])
def test_leak_is_reported_and_fixed_beside_the_data_choice(home: Path, page: str) -> None:
    store, choice = open_store(home), add_leaking_table(home)
    project = start(templates()["breast_cancer"], choice, "leak", home)
    assert project is not None
    store.create_project(project)
    app = AppTest.from_file(str(PAGE.with_name(f"{page}.py")), default_timeout=60).run()
    assert not app.exception
    assert any("'alive' almost determines the target" in item.value for item in app.error)
    next(button for button in app.button if button.label == "Leave out 'alive'").click().run()
    assert not app.exception
    assert not app.error
    assert latest_project(store).data.options["columns"] == {"alive": {"role": "ignore"}}


def test_augmentations_can_be_added_configured_and_removed(home: Path) -> None:
    store = open_store(home)
    store.create_project(templates()["digits_cnn"].project)
    app = open_section("Augment")
    next(button for button in app.button if button.label == "Add recommended").click().run()
    assert [augment.kind for augment in latest_project(store).training.augment] == ["crop", "rotate", "cutout"]
    next(item for item in app.slider if item.label == "Degrees").set_value(40.0).run()
    assert latest_project(store).training.augment[1].params == {"degrees": 40.0}
    next(item for item in app.selectbox if item.label == "Add augmentation").set_value("mixup").run()
    assert [augment.kind for augment in latest_project(store).training.augment] == ["crop", "rotate", "cutout", "mixup"]
    remove = [button for button in app.button if button.help == "Remove"]
    assert len(remove) == 4
    remove[0].click().run()
    assert not app.exception
    assert [augment.kind for augment in latest_project(store).training.augment] == ["rotate", "cutout", "mixup"]


@pytest.mark.parametrize(
    "plot",
    [
        Plot("bars", ("a", "b"), {"rows": [1, 2]}, axis="Rows"),
        Plot("bars", ("a", "b"), {"training": [0.5, 0.5], "test": [0.1, 0.9]}),
        Plot("histogram", series={"usual": [3, 4], "outliers": [0, 1]}, edges=(0.0, 1.0, 2.0), axis="x"),
        Plot("matrix", ("a", "b"), {"together": [[1, 0.5], [0.5, 1]]}),
    ],
)
def test_every_plot_kind_draws_its_values(plot: Plot) -> None:
    traces = plot_chart(plot).to_dict()["data"]
    assert len(traces) == len(plot.series)
    for trace, values in zip(traces, plot.series.values(), strict=True):
        assert list(trace["z"] if plot.kind == "matrix" else trace["y"]) == list(values)


def add_table(home: Path, name: str, rows: int = 60) -> str:
    """Add a table whose two classes are contiguous blocks of rows."""
    label = np.repeat(["no", "yes"], rows // 2)
    table = pd.DataFrame({"a": np.arange(rows) % 7 + 0.5, "b": np.arange(rows) * 0.1, "label": label})
    return add_file(table.to_csv(index=False).encode(), name, home).name


def test_uploads_with_the_same_name_get_distinct_labels(home: Path) -> None:
    older, newer = add_table(home, "sales.csv", 60), add_table(home, "sales.csv", 80)
    app = open_section("Overview")
    for name, rows in ((older, "60"), (newer, "80"), (older, "60")):
        app.radio[0].set_value(name).run()
        assert app.metric[0].value == rows
    labels = app.radio[0].options
    assert len(set(labels)) == len(labels)


def test_changed_dataset_keeps_settings_of_shared_columns(home: Path) -> None:
    """Settings that do not fit are reported, and the target is inferred from the new data."""
    names = []
    for index, head in enumerate(("size,color,kind", "size,shade,sort")):
        rows = (f"{row % 7},{'rgb'[row % 3]},{'pq'[row % 2]}" for row in range(60))
        names.append(add_file("\n".join([head, *rows]).encode(), f"goods {index}.csv", home).name)
    options = {
        "columns": {"size": {"scale": "minmax"}, "color": {"impute": "most_frequent"}, "kind": {"role": "target"}}
    }
    store = open_store(home)
    store.create_project(
        chain(
            TABLE, ("Linear", {"units": 2}), data=DataChoice.model_validate({"dataset": names[0], "options": options})
        )
    )
    app = AppTest.from_file(str(PAGE.with_name("design.py")), default_timeout=60).run()
    next(selectbox for selectbox in app.selectbox if selectbox.label == "Data").select(names[1]).run()
    assert not app.exception
    data = latest_project(store).data
    assert (data.dataset, data.options) == (names[1], {"columns": {"size": {"scale": "minmax"}}})
    assert ["column 'color' in the document does not fit" in toast.value for toast in app.toast] == [True]


def test_new_model_uses_the_displayed_dataset(home: Path) -> None:
    store, (older, newer) = open_store(home), (add_table(home, "sales.csv", 60), add_table(home, "sales.csv", 80))
    app = open_section("Overview")
    app.radio[0].set_value(older).run()
    create_button = next(button for button in app.button if button.label == "Dense layers")
    # Templates that are tied to their own data are not offered.
    assert not any("Breast cancer" in button.label for button in app.button)
    create_button.click().run()
    project = latest_project(store)
    assert (project.data.dataset, project.name) == (older, "sales")
    assert newer != older


def test_data_deletion_asks_for_confirmation(home: Path) -> None:
    name = add_table(home, "sales.csv")
    app = open_section("Overview")
    app.radio[0].set_value(name).run()
    assert not [button for button in app.button if button.label == "Delete"]  # the first click opens the confirmation
    next(button for button in app.button if button.label == "Delete data").click().run()
    assert not app.exception
    assert not list((home / "data").iterdir())
    assert "sales" not in app.radio[0].options


def warnings_page() -> None:
    """Show one warning, then two together; AppTest runs the source of this function alone."""
    from netloom.ui.data.page import show_remarks

    show_remarks([], ["- alone"])
    show_remarks(["first"], ["second"])


def test_single_warning_has_no_bullet() -> None:
    alone, two = AppTest.from_function(warnings_page, default_timeout=60).run().warning
    assert (alone.value, alone.icon) == ("\\- alone", ":material/warning:")
    assert two.value.splitlines()[:2] == ["- first", "- second"]


def test_preview_rows_cover_every_class(home: Path) -> None:
    name = add_table(home, "sorted.csv", 400)
    app = open_section("Overview")
    app.radio[0].set_value(name).run()
    assert set(app.dataframe[0].value["label"]) == {"no", "yes"}  # the second begins at row 200


def test_statistics_count_the_actions_of_an_environment(home: Path) -> None:
    from netloom.data import prepare, statistics

    data = prepare(DataChoice(dataset="cartpole"), home)
    counts = statistics(data).classes
    assert sum(counts.values()) == len(data.target)
    assert counts == {name: int((data.target == index).sum()) for index, name in enumerate(data.schema.target.classes)}


def test_columns_section_describes_unused_image_data(home: Path) -> None:
    app = open_section("Columns")
    app.radio[0].set_value("digits").run()
    assert list(app.dataframe[0].value["Role"]) == ["input", "target"]
    assert any("Use this data in a project" in item.value for item in app.caption)


def test_train_page_lists_the_augmentations(home: Path) -> None:
    store = open_store(home)
    training = Training(augment=(Augment(kind="crop"), Augment(kind="cutout")))
    store.create_project(templates()["digits_cnn"].project.model_copy(update={"training": training}))
    app = AppTest.from_file(str(PAGE.with_name("train.py")), default_timeout=60)
    app.session_state[TrainKey.DATA.of(True)] = True  # open the expander
    app.run()
    assert not app.exception
    assert any("random crop, cutout" in item.value for item in app.caption)


def test_starter_networks_have_unique_titles() -> None:
    for names in (*STARTERS.values(), ("spoken_cnn", *STARTERS[("sequence",), "class"])):
        titles = [NETWORKS[name][0] for name in names]
        assert len(set(titles)) == len(titles)


def test_data_without_inputs_has_no_starters() -> None:
    data_schema = Schema((), TargetSpec("number"), 10)
    assert starters(DataChoice(dataset="own"), data_schema) == []


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_starters_read_sounds_of_any_rate_as_spectrograms(home: Path, rate: int) -> None:
    tones = make_zip({f"{'ab'[i % 2]}/{i}.wav": tone(300 + 40 * i, 0.2, rate) for i in range(20)})
    choice = DataChoice(dataset=add_file(tones, "tones.zip", home, options={"rate": rate}).name)
    data_schema = schema(choice, home)
    assert data_schema is not None
    assert [template.name for template in starters(choice, data_schema)] == [
        "spoken_cnn",
        "cbf_fcn",
        "sine_tcn",
        "spoken_gru",
    ]
    cnn, gru = (start(templates()[name], choice, "Tones", home) for name in ("spoken_cnn", "spoken_gru"))
    assert cnn is not None
    assert gru is not None
    layers = {node.type: node for node in cnn.main_network.nodes.values()}
    assert layers["LogMel"].params["rate"] == rate
    assert "fields" not in cnn.data.options
    assert gru.data.options["fields"] == {"sound": {"sound": "log-mel"}}
    assert analyze(gru, schema(gru.data, home)).issues == []


def test_datasets_are_found_by_text_type_task_and_size_and_the_selected_one_stays(home: Path) -> None:
    app = open_section("Overview")
    title = app.header[0].value

    def listed() -> list[str]:
        radios = [radio for radio in app.radio if radio.key == Key.DATASETS]
        return [label.replace("\\", "").partition(" :")[0] for label in radios[0].options] if radios else []

    every = listed()
    app.text_input(key=Key.FILTER_TEXT).set_value("UCI").run()
    assert listed() == ["Handwritten digits (UCI digits)", "Breast cancer (UCI WDBC)", "Wine (UCI Wine)"]
    app.selectbox(key=Key.FILTER_KIND).set_value("table")
    app.selectbox(key=Key.FILTER_SIZE).set_value("medium").run()
    assert not listed()
    assert app.header[0].value == title
    app.text_input(key=Key.FILTER_TEXT).set_value("")
    app.selectbox(key=Key.FILTER_TASK).set_value("regression").run()
    assert listed() == ["Movie ratings"]
    app.radio(key=Key.DATASETS).set_value("ratings").run()
    assert app.header[0].value == "Movie ratings"
    for key in (Key.FILTER_KIND, Key.FILTER_SIZE, Key.FILTER_TASK):
        app.selectbox(key=key).set_value("")
    app.run()
    assert not app.exception
    assert listed() == every
    assert app.radio(key=Key.DATASETS).value == "ratings"
