"""The data page's sections: what each shows, what a click mends, and what augmentation declares."""

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
from netloom.document import Augment, DataChoice, Project, Training
from netloom.store import Store, open_store
from netloom.templates import templates
from netloom.templates.starting import NETWORKS, STARTERS, start, starters
from netloom.ui.data.page import SECTIONS
from netloom.ui.data.quality import plot_chart
from netloom.ui.data.state import Key
from netloom.validation import analyse
from tests.data.brought import tone
from tests.data.crafted import packed
from tests.networks import TABLE, chain

PAGE = Path(__file__).parents[2] / "pages" / "data.py"


@pytest.fixture(autouse=True)
def _fresh(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def opened(section: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.session_state[Key.SECTION] = section
    app.run()
    assert not app.exception
    return app


def project_of(store: Store) -> Project:
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
    app = opened(section)
    assert not app.error
    assert any(item.value for item in (*app.caption, *app.info, *app.markdown, *app.success))


def faulty(home: Path) -> DataChoice:
    """A table with repeated rows and a column of one value."""
    random = np.random.default_rng(0)
    label = np.arange(200) % 2
    table = pd.DataFrame({"a": random.normal(size=200) + 3 * label, "b": random.normal(size=200), "same": 1.0})
    table["label"] = np.array(["no", "yes"])[label]
    table = pd.concat([table, table.iloc[:12]], ignore_index=True)
    return DataChoice(dataset=add_file(table.to_csv(index=False).encode(), "faulty.csv", home).name)


def test_one_click_mends_and_another_takes_it_back(home: Path) -> None:
    store, choice = open_store(home), faulty(home)
    wide = ("Input", {"field": "features", "kind": "vector", "shape": [3]})
    project = chain(wide, ("Linear", {"units": 2})).model_copy(update={"data": choice})
    store.create_project(project)
    app = opened("Quality")
    assert any("repeat another row exactly" in item.value for item in app.markdown)
    next(button for button in app.button if button.label == "Keep one of each").click().run()
    assert not app.exception
    assert project_of(store).data.duplicates == "drop"
    assert not any("repeat another row exactly" in item.value for item in app.markdown)
    next(button for button in app.button if "same" in button.label).click().run()
    mended = project_of(store)
    assert mended.data.options["columns"] == {"same": {"role": "ignore"}}
    assert mended.main_network.nodes["input_1"].params["shape"] == [2]  # the network reads what is left
    next(button for button in app.button if button.label == "Undo").click().run()
    assert project_of(store).data.options == {}
    assert project_of(store).main_network.nodes["input_1"].params["shape"] == [3]


def test_a_mend_of_training_is_made_once(home: Path) -> None:
    random = np.random.default_rng(0)
    label = np.where(np.arange(220) < 210, "often", "rare")
    table = pd.DataFrame({"a": random.normal(size=220), "b": random.normal(size=220), "label": label})
    name = add_file(table.to_csv(index=False).encode(), "uneven.csv", home, target="label").name
    wide = ("Input", {"field": "features", "kind": "vector", "shape": [2]})
    store = open_store(home)
    store.create_project(chain(wide, ("Linear", {"units": 2})).model_copy(update={"data": DataChoice(dataset=name)}))
    app = opened("Quality")
    weigh = next(button for button in app.button if button.label == "Weigh the classes")
    assert not weigh.disabled
    weigh.click().run()
    assert project_of(store).training.class_weights == "balanced"
    assert next(button for button in app.button if button.label == "Weigh the classes").disabled


def test_a_split_that_cannot_be_is_refused_where_it_was_asked(home: Path) -> None:
    store, choice = open_store(home), faulty(home)
    wide = ("Input", {"field": "features", "kind": "vector", "shape": [3]})
    store.create_project(chain(wide, ("Linear", {"units": 2})).model_copy(update={"data": choice}))
    app = opened("Columns")
    for label, value in (("Test", 0.5), ("Validation", 0.5)):
        next(item for item in app.number_input if item.label == label).set_value(value).run()
    assert [item.value for item in app.error]
    assert not app.exception
    assert project_of(store).data.validation + project_of(store).data.test < 1


def test_every_pick_in_the_list_counts() -> None:
    app = opened("Overview")
    for name, title in (("wine", "Wine"), ("digits", "Handwritten digits"), ("wine", "Wine"), ("sine", "Noisy sine")):
        app.radio[0].set_value(name).run()
        assert app.subheader[0].value == title


def test_fixes_before_any_project_are_taken_over_by_new_ones(home: Path) -> None:
    store, choice = open_store(home), faulty(home)
    app = opened("Quality")
    next(button for button in app.button if button.label == "Keep one of each").click().run()
    assert not app.exception
    assert any("apply to new projects" in item.value for item in app.success)
    assert not any("repeat another row exactly" in item.value for item in app.markdown)
    assert default_choice(choice.dataset, home).duplicates == "drop"
    next(button for button in app.button if button.key == "start breast_cancer").click().run()
    made = project_of(store)
    assert (made.data.dataset, made.data.duplicates) == (choice.dataset, "drop")


def leaking(home: Path) -> DataChoice:
    """A table with a column that gives the target away."""
    random = np.random.default_rng(0)
    label = np.arange(200) % 2
    table = pd.DataFrame({"a": random.normal(size=200) + label, "alive": np.array(["n", "y"])[label], "label": label})
    table["b"] = random.normal(size=200)
    content = table.to_csv(index=False).encode()
    return DataChoice(dataset=add_file(content, "leak.csv", home, target="label").name)


@pytest.mark.parametrize("page", ["design", "train"])
def test_a_leak_stands_beside_the_choice_of_data_and_is_fixed_there(home: Path, page: str) -> None:
    store, choice = open_store(home), leaking(home)
    project = start(templates()["breast_cancer"], choice, "leak", home)
    assert project is not None
    store.create_project(project)
    app = AppTest.from_file(str(PAGE.with_name(f"{page}.py")), default_timeout=60).run()
    assert not app.exception
    assert any("'alive' all but gives the target away" in item.value for item in app.error)
    next(button for button in app.button if button.label == "Leave out 'alive'").click().run()
    assert not app.exception
    assert not app.error
    assert project_of(store).data.options["columns"] == {"alive": {"role": "ignore"}}


def test_augmentations_are_declared_set_and_taken_away(home: Path) -> None:
    store = open_store(home)
    store.create_project(templates()["digits_cnn"].project)
    app = opened("Augment")
    next(button for button in app.button if button.label == "Add recommended").click().run()
    assert [one.kind for one in project_of(store).training.augment] == ["crop", "rotate", "cutout"]
    next(item for item in app.slider if item.label == "Degrees").set_value(40.0).run()
    assert project_of(store).training.augment[1].params == {"degrees": 40.0}
    next(item for item in app.selectbox if item.label == "Add augmentation").set_value("mixup").run()
    assert [one.kind for one in project_of(store).training.augment] == ["crop", "rotate", "cutout", "mixup"]
    remove = [button for button in app.button if button.help == "Remove"]
    assert len(remove) == 4
    remove[0].click().run()
    assert not app.exception
    assert [one.kind for one in project_of(store).training.augment] == ["rotate", "cutout", "mixup"]


@pytest.mark.parametrize(
    "plot",
    [
        Plot("bars", ("a", "b"), {"rows": [1, 2]}, axis="Rows"),
        Plot("bars", ("a", "b"), {"training": [0.5, 0.5], "test": [0.1, 0.9]}),
        Plot("histogram", series={"usual": [3, 4], "far out": [0, 1]}, edges=(0.0, 1.0, 2.0), axis="x"),
        Plot("matrix", ("a", "b"), {"together": [[1, 0.5], [0.5, 1]]}),
    ],
)
def test_every_kind_of_plot_is_drawn_with_its_numbers(plot: Plot) -> None:
    drawn = plot_chart(plot).to_dict()["data"]
    assert len(drawn) == len(plot.series)
    for trace, values in zip(drawn, plot.series.values(), strict=True):
        assert list(trace["z"] if plot.kind == "matrix" else trace["y"]) == list(values)


def brought(home: Path, name: str, rows: int = 60) -> str:
    """A table that somebody added, of two classes that lie one after the other."""
    label = np.repeat(["no", "yes"], rows // 2)
    table = pd.DataFrame({"a": np.arange(rows) % 7 + 0.5, "b": np.arange(rows) * 0.1, "label": label})
    return add_file(table.to_csv(index=False).encode(), name, home).name


def test_two_uploads_of_one_name_are_told_apart(home: Path) -> None:
    older, newer = brought(home, "sales.csv", 60), brought(home, "sales.csv", 80)
    app = opened("Overview")
    for name, rows in ((older, "60"), (newer, "80"), (older, "60")):
        app.radio[0].set_value(name).run()
        assert app.metric[0].value == rows
    labels = app.radio[0].options
    assert len(set(labels)) == len(labels)


def test_other_data_takes_what_was_set_of_columns_that_it_has(home: Path) -> None:
    """What it does not take is told, and what is predicted is asked of the new data."""
    names = []
    for place, head in enumerate(("size,color,kind", "size,shade,sort")):
        rows = (f"{row % 7},{'rgb'[row % 3]},{'pq'[row % 2]}" for row in range(60))
        names.append(add_file("\n".join([head, *rows]).encode(), f"goods {place}.csv", home).name)
    said = {"columns": {"size": {"scale": "minmax"}, "color": {"impute": "most_frequent"}, "kind": {"role": "target"}}}
    store = open_store(home)
    store.create_project(
        chain(TABLE, ("Linear", {"units": 2}), data=DataChoice.model_validate({"dataset": names[0], "options": said}))
    )
    app = AppTest.from_file(str(PAGE.with_name("design.py")), default_timeout=60).run()
    next(one for one in app.selectbox if one.label == "Data").select(names[1]).run()
    assert not app.exception
    found = project_of(store).data
    assert (found.dataset, found.options) == (names[1], {"columns": {"size": {"scale": "minmax"}}})
    assert ["column 'color' does not fit" in toast.value for toast in app.toast] == [True]


def test_a_network_is_started_for_the_data_that_is_shown(home: Path) -> None:
    store, (older, newer) = open_store(home), (brought(home, "sales.csv", 60), brought(home, "sales.csv", 80))
    app = opened("Overview")
    app.radio[0].set_value(older).run()
    begin = next(button for button in app.button if button.label == "Dense layers")
    assert not any("Breast cancer" in button.label for button in app.button)  # the template's own data is no help here
    begin.click().run()
    project = project_of(store)
    assert (project.data.dataset, project.name) == (older, "sales")
    assert newer != older


def test_data_is_deleted_by_a_second_click_alone(home: Path) -> None:
    name = brought(home, "sales.csv")
    app = opened("Overview")
    app.radio[0].set_value(name).run()
    assert not [button for button in app.button if button.label == "Delete"]  # the first click opens what asks
    next(button for button in app.button if button.label == "Delete data").click().run()
    assert not app.exception
    assert not list((home / "data").iterdir())
    assert "sales" not in app.radio[0].options


def remarked() -> None:
    """What is said of one remark, and of two; runs by itself within Streamlit."""
    from netloom.ui.data.page import show_remarks

    show_remarks([], ["- alone"])
    show_remarks(["first"], ["second"])


def test_a_remark_that_is_alone_has_no_bullet() -> None:
    alone, two = AppTest.from_function(remarked, default_timeout=60).run().warning
    assert (alone.value, alone.icon) == ("\\- alone", ":material/warning:")
    assert two.value.splitlines()[:2] == ["- first", "- second"]


def test_the_first_look_is_at_many_classes(home: Path) -> None:
    name = brought(home, "sorted.csv", 400)
    app = opened("Overview")
    app.radio[0].set_value(name).run()
    assert set(app.dataframe[0].value["label"]) == {"no", "yes"}  # the second begins at row 200


def test_actions_of_an_environment_are_counted(home: Path) -> None:
    from netloom.data import prepare, statistics

    data = prepare(DataChoice(dataset="cartpole"), home)
    counts = statistics(data).classes
    assert sum(counts.values()) == len(data.target)
    assert counts == {name: int((data.target == place).sum()) for place, name in enumerate(data.schema.target.classes)}


def test_no_section_is_empty_for_pictures_that_no_project_uses(home: Path) -> None:
    app = opened("Columns")
    app.radio[0].set_value("digits").run()
    assert list(app.dataframe[0].value["Role"]) == ["input", "target"]
    assert any("Use this data in a project" in item.value for item in app.caption)


def test_the_train_page_says_which_rows_are_varied(home: Path) -> None:
    store = open_store(home)
    training = Training(augment=(Augment(kind="crop"), Augment(kind="cutout")))
    store.create_project(templates()["digits_cnn"].project.model_copy(update={"training": training}))
    app = AppTest.from_file(str(PAGE.with_name("train.py")), default_timeout=60).run()
    assert not app.exception
    assert any("random crop, cutout" in item.value for item in app.caption)


def test_every_network_to_start_with_has_a_name_of_its_own() -> None:
    for names in (*STARTERS.values(), ("spoken_cnn", *STARTERS[("sequence",), "class"])):
        titles = [NETWORKS[name][0] for name in names]
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_sounds_of_any_rate_become_spectrograms_where_the_template_reads_those(home: Path, rate: int) -> None:
    tones = packed({f"{'ab'[i % 2]}/{i}.wav": tone(300 + 40 * i, 0.2, rate) for i in range(20)})
    choice = DataChoice(dataset=add_file(tones, "tones.zip", home, options={"rate": rate}).name)
    found = schema(choice, home)
    assert found is not None
    assert [template.name for template in starters(choice, found)] == ["spoken_cnn", "sine_tcn", "spoken_gru"]
    drawn, heard = (start(templates()[name], choice, "Tones", home) for name in ("spoken_cnn", "spoken_gru"))
    assert drawn is not None
    assert heard is not None
    layers = {node.type: node for node in drawn.main_network.nodes.values()}
    assert layers["LogMel"].params["rate"] == rate
    assert "fields" not in drawn.data.options
    assert heard.data.options["fields"] == {"sound": {"sound": "log-mel"}}
    assert analyse(heard, schema(heard.data, home)).issues == []
