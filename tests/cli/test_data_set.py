"""`netloom data set`, `fit`, `schema` and `check --fix`: what the Data and Design pages do, from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from netloom.data import add_file, prepare
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.uploads.upload_kind import DEFAULTS
from netloom.document import Project, dumps, read, write
from netloom.templates import architectures, templates
from netloom.validation.document_schema import document_schema
from tests.cli.conftest import Console
from tests.data.box_files import kaggle_csv, objects
from tests.data.crafted import make_csv, make_zip
from tests.data.samples import class_images
from tests.networks import IMAGE, chain

ROWS = [f"{row},{row % 70},{'abc'[row % 3]},{'train' if row % 5 else 'test'},{row % 2}" for row in range(100)]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a table of people."""
    home = tmp_path_factory.mktemp("people")
    add_file(make_csv("id,age,town,part,survived", ROWS), "people.csv", home, target="survived")
    return home


@pytest.fixture
def on_people(console: Console, people: Path) -> Console:
    console.home = people
    console("data", "report", "people", "--take-back", "--quick")
    return console


def splits(console: Console, *arguments: object) -> dict[str, int]:
    answer = console("data", "set", "people", *arguments, "--json")
    assert answer.code == 0, answer.err
    counts: dict[str, int] = answer.value["splits"]
    return counts


def test_data_set_changes_columns_roles_and_split(on_people: Console) -> None:
    arguments = ("--column", "age=numeric:minmax:impute=mean", "--role", "id=ignore", "--split", "column:part")
    assert splits(on_people, *arguments, "--validation", 0.1) == {"train": 72, "validation": 8, "test": 20}
    name = on_people("data", "show", "people", "--json").value["name"]
    choice = default_choice(name, on_people.home)
    assert choice.options.get("columns") == {
        "id": {"role": "ignore"},
        "age": {"scale": "minmax", "impute": "mean"},
        "part": {"role": "split"},
    }
    # A later call keeps what it does not name.
    assert splits(on_people, "--validation", 0) == {"train": 80, "validation": 0, "test": 20}
    assert default_choice(name, on_people.home).options == choice.options
    assert splits(on_people, "--column", "age=auto", "--split", "random") == {"train": 85, "validation": 0, "test": 15}
    assert "age" not in str(default_choice(name, on_people.home).options["columns"])
    assert splits(on_people, "--reset") == {"train": 68, "validation": 12, "test": 20}
    assert default_choice(name, on_people.home).options == {}


def test_the_examples_of_columns_in_the_help_are_valid(console: Console, home: Path) -> None:
    lines = [f"{row % 31},{'abc'[row % 3]},{row / 7},some words {row % 5},{row % 2}" for row in range(60)]
    add_file(make_csv("age,town,price,note,y", lines), "goods.csv", home, target="y")
    console.home = home
    words = " ".join(console("data", "set", "--help").out.split()).partition("for the same kind")[0]
    examples = re.findall(r"\b(?:age|town|price|note)=[\w:=]+", words.partition("kind and preprocessing")[2])
    assert len(examples) == 5
    for example in examples:
        answer = console("data", "set", "goods", "--column", example)
        assert answer.code == 0, answer.err


def test_data_set_changes_the_target(on_people: Console) -> None:
    answer = on_people("data", "set", "people", "--target", "age", "--json").value
    assert (answer["target"]["kind"], answer["target"]["name"]) == ("number", "age")
    answer = on_people("data", "set", "people", "--role", "town=target", "--json").value
    assert (answer["target"]["kind"], answer["target"]["name"]) == ("class", "town")
    shown = on_people("data", "show", "people").out
    assert "; predicts town\n" in shown
    assert "models  breast_cancer (netloom fit NAME --data …)" in shown
    answer = on_people("data", "set", "people", "--target", "town", "--target", "age", "--json").value
    assert [part["name"] for part in answer["target"]["parts"]] == ["age", "town"]


def test_data_set_gives_columns_of_pairs_a_role(console: Console) -> None:
    rows = [f"one is {i},two is {i},{i % 2},p{i % 6},{'train' if i % 6 else 'test'}" for i in range(60)]
    add_file(make_csv("s1,s2,same,person,part", rows), "pairs.csv", console.home, options={"split": None})
    grouped = console("data", "set", "pairs", "--role", "person=group", "--json").value
    assert sum(grouped["splits"].values()) == 60
    assert all(count % 10 == 0 for count in grouped["splits"].values())
    by_column = console("data", "set", "pairs", "--split", "column:part", "--validation", 0, "--json").value
    assert by_column["splits"] == {"train": 50, "validation": 0, "test": 10}
    assert console("data", "set", "pairs", "--target", "person", "--json").value["target"]["name"] == "person"
    assert (
        "has no role 'weight'; it has target, group, split."
        in console("data", "set", "pairs", "--role", "s1=weight").err
    )
    assert "one column to predict" in console("data", "set", "pairs", "--target", "same", "--target", "person").err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("data", "set", "poeple"), "did you mean 'people'?"),
        (("data", "set", "people", "--column", "agee=number"), "did you mean 'age'?"),
        (("data", "set", "people", "--column", "age=numbr"), "did you mean 'number'?"),
        (("data", "set", "people", "--column", "age=number:standrd"), "did you mean 'standard'?"),
        (("data", "set", "people", "--column", "age=number:imput=mean"), "did you mean 'impute'?"),
        (("data", "set", "people", "--role", "id=ignor"), "did you mean 'ignore'?"),
        (("data", "set", "people", "--target", "surived"), "did you mean 'survived'?"),
        (("data", "set", "people", "--split", "gruop"), "did you mean 'group'?"),
        (("data", "set", "people", "--validation", "0.9"), "at most 0.5"),
        (("data", "set", "people", "--split", "group"), "give a column the role group"),
        (("data", "set", "digits", "--column", "age=number"), "does not have columns"),
        (("data", "set", "digits", "--field", "imge.normalize=none"), "did you mean 'image'?"),
        (("fit", "digit_cnn", "--data", "digits"), "did you mean 'digits_cnn'?"),
        (("templates", "--write", "digit_cnn", "x.json"), "did you mean 'digits_cnn'?"),
    ],
)
def test_mistyped_names_get_a_suggestion(on_people: Console, arguments: tuple[str, ...], hint: str) -> None:
    answer = on_people(*arguments)
    assert answer.code != 0
    assert hint in answer.err
    assert not [*on_people.home.glob("data/defaults/*")]


def test_fit_adapts_a_template_to_data_with_its_settings(on_people: Console, tmp_path: Path) -> None:
    on_people("data", "set", "people", "--role", "id=ignore", "--validation", 0)
    path = tmp_path / "people.json"
    assert on_people("fit", "breast_cancer", "--data", "people", "--to", path).code == 0
    project = read(path)
    assert project.data.validation == 0
    columns: Any = project.data.options["columns"]
    assert columns["id"] == {"role": "ignore"}
    assert project.main_network.nodes["input_1"].params["shape"] == [5]  # the age, three towns, and others
    assert on_people("check", path).code == 0


def test_fit_gives_each_input_a_branch(console: Console, tmp_path: Path) -> None:
    rows = "".join(f"{n},{'good' if n % 3 else 'bad'} flat {n},{n % 3}\n" for n in range(60))
    (tmp_path / "flats.csv").write_text(f"size,note,stars\n{rows}")
    assert console("data", "add", tmp_path / "flats.csv").code == 0
    refused = console("fit", "mixed", "--data", "flats")
    assert refused.code != 0
    assert "with several inputs" in refused.err
    assert console("data", "set", "flats", "--column", "note=text").code == 0
    answer = console("fit", "mixed", "--data", "flats", "--json")
    assert answer.code == 0, answer.err
    kinds = {node["type"] for node in answer.value["networks"]["main"]["nodes"].values()}
    assert {"Embedding", "Linear", "Concat"} <= kinds


def test_look_shows_what_an_option_without_an_answer_means(console: Console, tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(make_zip(kaggle_csv(objects())))
    looked = console("data", "add", tmp_path / "photos.zip", "--look", "--option", "category=none").out
    assert "Find objects of the class 'object' in 20 images." in looked
    assert "(one class for all objects)" in looked


def test_fit_keeps_an_objective_that_needs_no_target(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "vae.json"
    write(path, templates()["digits_autoencoder"].project)
    answer = console("fit", path, "--data", "digits", "--json")
    assert answer.code == 0, answer.err
    assert answer.value["training"]["objective"] == "reconstruction"


def test_fit_keeps_weights_tied_in_a_language_model(console: Console) -> None:
    answer = console("fit", "gpt2", "--data", "tales", "--json")
    assert answer.code == 0, answer.err
    nodes = answer.value["networks"]["main"]["nodes"]
    assert {node["params"]["vocabulary"] for node in nodes.values() if node["type"] == "Embedding"} == {56}
    assert any(node["shares"] for node in nodes.values())


def test_fit_that_fails_lists_errors_and_writes_nothing(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "wine.json"
    answer = console("fit", "digits_cnn", "--data", "wine", "--to", path)
    assert answer.code == 1
    assert "expects an image" in answer.err
    assert not path.exists()


def test_check_fix_saves_a_document_without_errors(console: Console, tmp_path: Path) -> None:
    path, copy = tmp_path / "wide.json", tmp_path / "fixed.json"
    project = templates()["digits_mlp"].project
    wide = project.model_copy(update={"data": project.data.model_copy(update={"dataset": "shapes"})})
    write(path, wide)
    assert console("check", path).code == 1
    assert console("check", path, "--fix", "--to", copy).code == 0
    assert read(path) == wide
    answer = console("check", path, "--fix")
    assert answer.code == 0
    assert "Fixed: " in answer.err
    assert read(path) == read(copy)
    assert console("check", path, "--to", copy).code == 2


def test_check_fix_leaves_what_has_no_fix(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "mystery.json"
    mystery = chain(IMAGE, ("Lineer", {"units": 3}))
    write(path, mystery)
    answer = console("check", path, "--fix")
    assert answer.code == 1
    assert "did you mean Linear" in answer.out
    assert read(path) == mystery  # removing the layer would be no repair


def test_json_schema_accepts_every_template_and_refuses_typos(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    assert console("schema", "--to", path).code == 0
    schema = json.loads(path.read_text())
    assert schema == document_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    documents: dict[str, Project] = {name: item.project for name, item in [*templates().items()][::6]}
    documents |= {name: item.project for name, item in [*architectures().items()][::6]}
    for name, project in documents.items():
        assert not [*validator.iter_errors(json.loads(dumps(project)))], name
    plain = json.loads(dumps(chain(IMAGE, ("Flatten", {}), ("Linear", {"units": 3}))))
    linear = next(node for node in plain["networks"]["main"]["nodes"].values() if node["type"] == "Linear")
    for params, fits in (({"units": "width * 2"}, True), ({"unit": 3}, False), ({"units": -3}, False)):
        linear["params"] = params
        assert validator.is_valid(plain) == fits, params
    named = tmp_path / "named.json"
    named.write_text(json.dumps({"$schema": "schema.json", **json.loads(dumps(templates()["spirals"].project))}))
    assert read(named) == templates()["spirals"].project


def test_data_set_chooses_the_columns_to_forecast(console: Console, home: Path) -> None:
    rows = [f"2024-01-{1 + row // 24:02} {row % 24:02}:00,{row},{2 * row},{-row},{'train' if row < 150 else 'test'}"
            for row in range(240)]  # fmt: skip
    add_file(make_csv("time,sun,rain,wind,part", rows), "weather.csv", home, kind="series", options={"split": None})
    console.home = home
    answer = console("data", "set", "weather", "--target", "rain", "--target", "sun", "--option", "horizon=2", "--json")
    assert answer.code == 0, answer.err
    assert answer.value["target"]["forecast"] == {"series": ["rain", "sun"], "horizon": 2}
    assert "20 of" in answer.value["reach_back"]
    answer = console("data", "set", "weather", "--split", "column:part", "--validation", 0, "--json")
    assert (answer.value["splits"]["validation"], answer.value["splits"]["test"]) == (0, 89)
    answer = console("data", "set", "weather", "--target", "part")
    assert answer.code == 1
    assert "has no columns to predict 'part'" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "column:part", "--test", 0.3), "--test has no effect, because the data gives the test rows"),
        (("--split", "random", "--fold", 1), "--fold has no effect, because there are no folds"),
        (("--split", "random", "--gap", 5), "--gap has no effect, because no rows are separated by time"),
        (("--split", "random", "--folds", 3, "--test", 0.3), "--test has no effect, because the test rows are those"),
        (("--validation", 0, "--validation-of", "rows"), "--validation-of has no effect, because the share"),
    ],
)
def test_settings_of_a_split_without_effect_are_refused(
    on_people: Console, arguments: tuple[object, ...], message: str
) -> None:
    before = default_choice(on_people("data", "show", "people", "--json").value["name"], on_people.home)
    answer = on_people("data", "set", "people", *arguments)
    assert (answer.code, message in answer.err) == (2, True), answer.err
    assert default_choice(before.dataset, on_people.home) == before


def test_options_of_images_are_read_by_their_former_names(console: Console, tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(make_zip(class_images()))
    added = console("data", "add", tmp_path / "photos.zip", "--option", "grey=true", "--json").value["name"]
    assert console("data", "set", added, "--field", "image.normalise=unit").code == 0
    folder = console.home / "data"
    for path, present, former in (
        (folder / added / "meta.json", "grayscale", "grey"),
        (folder / DEFAULTS / f"{added}.json", "normalize", "normalise"),
    ):
        assert f'"{present}"' in path.read_text()
        path.write_text(path.read_text().replace(f'"{present}"', f'"{former}"'))
        choice = default_choice(added, console.home)
        assert choice.options == {"fields": {"image": {"normalize": "unit"}}}
        assert prepare(choice, console.home).schema.inputs[0].shape == (1, 12, 12)
