"""Columns whose cells hold several values: inferred on import, encoded multi-hot, and supported by every feature."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import MultiLabelBinarizer
from streamlit.testing.v1 import AppTest

from netloom import export
from netloom.cli.rows import read_rows
from netloom.data import DataError, add_file, prepare, schema
from netloom.data.quality import Finding, report
from netloom.data.quality.overview import columns
from netloom.document import DataChoice, Training
from netloom.explain import explain
from netloom.modalities.columns.registry import inferred_kind
from netloom.runs import TrainedRun, fit_here, predict
from tests.export import bare
from tests.networks import chain

GENRES = ("Action", "Comedy", "Crime", "Drama", "Horror", "Sci-Fi")


def cells(joint: str = "|", count: int = 200) -> list[str]:
    dice = random.Random(0)
    return [joint.join(dice.sample(GENRES, dice.randint(1, 3))) for _ in range(count)]


def movies(joint: str = "|") -> bytes:
    dice = random.Random(1)
    genres = [*cells(joint), "", ""]
    rows = [f"{dice.randint(1950, 2020)},{text},{'yes' if 'Comedy' in text else 'no'}" for text in genres]
    return "\n".join(["year,genres,liked", *rows]).encode()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def choice(home: Path) -> DataChoice:
    return DataChoice(dataset=add_file(movies(), "movies.csv", home, target="liked").name)


@pytest.fixture(scope="module")
def run(choice: DataChoice, home: Path) -> TrainedRun:
    data_schema = schema(choice, home)
    assert data_schema is not None
    source = ("Input", data_schema.inputs[0].parameters())
    training = Training(epochs=2, batch_size=16)
    return fit_here(chain(source, ("Linear", {"units": 2}), data=choice, training=training), home)


def test_names_with_a_comma_are_not_sets() -> None:
    light = ["daylight", "night, dark", "night, illuminated", "night, dark"] * 6
    assert inferred_kind(pd.Series(light, dtype="string"), on_import=True).name == "category"
    assert inferred_kind(pd.Series([*light, "dark"], dtype="string"), on_import=True).name == "set"


@pytest.mark.parametrize("joint", ["|", ";", ", "])
def test_cells_with_recurring_values_are_inferred_as_sets(joint: str) -> None:
    assert inferred_kind(pd.Series(cells(joint)), on_import=True).name == "set"


@pytest.mark.parametrize(
    "values",
    [
        [f"Nr {row}|Street {row}" for row in range(200)],  # no value recurs
        ["Austin, TX", "Boston, MA", "Salem, MA", "Dallas, TX"] * 50,  # always two parts: a record
        ["1,5", "2,5", "3"] * 60,  # numbers
        ["red", "green|blue", "red", "green", "red"] * 40,  # few cells have the separator
        ["Adélie, small", "Gentoo", "Adélie, small"] * 60,  # the separator is part of a name
    ],
)
def test_other_cells_are_not_inferred_as_sets(values: list[str]) -> None:
    assert inferred_kind(pd.Series(values), on_import=True).name != "set"


def test_sets_are_inferred_only_on_import() -> None:
    assert inferred_kind(pd.Series(cells())).name != "set"


def test_set_encoding_matches_multi_label_binarizer(choice: DataChoice, home: Path) -> None:
    assert {column.name: column.kind for column in columns(choice, home)}["genres"] == "set"
    data = prepare(choice, home)
    sets = [[value for value in str(data.row(row)["genres"]).split("|") if value] for row in range(202)]
    binarizer = MultiLabelBinarizer().fit([sets[row] for row in data.split["train"].tolist()])
    assert data.schema.inputs[0].columns == ("year", *(f"genres: {value}" for value in binarizer.classes_))
    assert np.array_equal(data.inputs["features"][:, 1:].numpy(), binarizer.transform(sets))


def test_set_cells_may_be_lists_or_strings(choice: DataChoice, home: Path) -> None:
    data = prepare(choice, home)
    notations: list[Any] = ["Comedy|Drama", " Drama | Comedy", ["Drama", "Comedy"], "Comedy|Martian|Drama"]
    first, *other_rows = [data.encode({"year": 1999, "genres": notation})["features"] for notation in notations]
    assert first[0, 1:].sum() == 2
    for other in other_rows:
        assert torch.equal(first, other)
    empty: list[Any] = [None, "", [], "Martian"]
    for value in empty:
        assert not data.encode({"year": 1999, "genres": value})["features"][0, 1:].any()


def test_document_sets_separator_and_value_limit(choice: DataChoice, home: Path) -> None:
    def features(**settings: Any) -> tuple[str, ...]:
        changed = choice.model_copy(update={"options": {"columns": {"genres": settings}}})
        return prepare(changed, home).schema.inputs[0].columns

    assert len(features(values=2)) == 3
    assert features(separator="y|", values=1)[1].startswith("genres: ")
    with pytest.raises(DataError, match="has no setting 'scale'"):
        features(scale="minmax")


def test_csv_and_json_rows_get_the_same_predictions(run: TrainedRun, tmp_path: Path) -> None:
    rows = [{"year": 1999, "genres": ["Comedy", "Drama"]}, {"year": 1970, "genres": "Horror|Martian"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "rows.csv").write_text("genres;year\nComedy | Drama;1999\nHorror|Martian;1970\n")
    files = [read_rows(str(tmp_path / name), run.data.preprocess.to_json()).rows for name in ("rows.json", "rows.csv")]
    predictions = [predict(run, parsed) for parsed in files]
    assert predictions[0] == predictions[1]
    assert predictions[0][1]["unknown"] == {"genres": "Martian"}


def test_explanation_has_an_attribution_per_set_value(run: TrainedRun) -> None:
    explanation = explain(run, "integrated_gradients", 0)
    assert explanation.labels["features"] == ("year", *(f"genres: {value}" for value in GENRES))
    assert explanation.attributions["features"].shape == (1 + len(GENRES),)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bare.Interpreter]:
    """An interpreter with torch, safetensors and numpy."""
    interpreter = bare.Interpreter(bare.build(tmp_path_factory.mktemp("bare")), ("torch", "safetensors.torch", "numpy"))
    yield interpreter
    interpreter.close()


def test_exported_bundle_is_bitwise_equal_without_netloom(
    run: TrainedRun, python: bare.Interpreter, tmp_path: Path
) -> None:
    with zipfile.ZipFile(export.export(run, "bundle", tmp_path / "taken.zip").path) as archive:
        archive.extractall(tmp_path / "taken")
    rows = [run.data.row(row) for row in range(20)] + [{"year": 2001, "genres": ["Comedy", "Martian"]}]
    code = (
        "import json; from encoding.rows import encode_rows; from predict import load; _, fitted = load(); "
        "print(encode_rows(fitted, json.load(open('rows.json')))['features'].tobytes().hex())"
    )
    (tmp_path / "taken" / "rows.json").write_text(json.dumps(rows))
    done = python.run(tmp_path / "taken", "-c", f"import sys; sys.path.insert(0, '.'); {code}")
    assert done.returncode == 0, done.stderr
    features = torch.cat([run.data.encode(row)["features"] for row in rows])
    assert done.stdout.strip() == features.numpy().tobytes().hex()


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "pandas.csv"])
def test_lists_in_cells_are_sets_of_their_items(form: str, home: Path) -> None:
    """In each file, as in JSON rows to predict; a name may hold a comma."""
    dice = random.Random(1)
    lists = [dice.sample((*GENRES, "Crime, Noir"), dice.randint(0, 3)) for _ in range(100)]
    table = pd.DataFrame({"year": range(100), "genres": lists, "liked": ["yes", "no"] * 50})
    if form == "csv":
        table["genres"] = [json.dumps(items) for items in lists]
    content = (
        table.to_parquet()
        if form == "parquet"
        else table.to_json(orient="records", lines=True).encode()
        if form == "jsonl"
        else table.to_csv(index=False).encode()
    )
    data = prepare(DataChoice(dataset=add_file(content, f"films.{form}", home, target="liked").name), home)
    binarized = MultiLabelBinarizer().fit(lists)
    preprocess: Any = data.preprocess.to_json()
    [column] = preprocess["fields"][0]["columns"][1:]
    assert column["values"] == list(binarized.classes_)
    assert np.array_equal(data.inputs["features"][:, 1:], binarized.transform(lists))
    rows = [{"year": year, "genres": items} for year, items in enumerate(lists)]
    assert torch.equal(torch.cat([data.encode(row)["features"] for row in rows]), data.inputs["features"])


def test_lists_in_cells_of_categories_are_read_as_on_import(home: Path) -> None:
    rows: list[dict[str, Any]] = [{"size": ["S", "M"][: index % 3], "n": index} for index in range(60)]
    columns: Any = {"size": {"kind": "category"}}
    content = "\n".join(json.dumps({**row, "kind": "ab"[row["n"] // 2 % 2]}) for row in rows).encode()
    name = add_file(content, "sizes.jsonl", home, target="kind").name
    data = prepare(DataChoice(dataset=name, options={"columns": columns}), home)
    assert torch.equal(torch.cat([data.encode(row)["features"] for row in rows]), data.inputs["features"])


def editor() -> None:
    import streamlit as st

    from netloom.modalities.encoding.set_column import SetEncoder, SetState
    from netloom.ui.components.widgets import value_editor

    fitted = SetState(name="genres", type="set", separator="|", values=["Action", "Comedy"])
    st.session_state["now"] = value_editor(SetEncoder(fitted), "genres", "Comedy|Martian", "key")


@pytest.mark.usefixtures("component_manifests")
def test_example_editor_offers_training_values() -> None:
    app = AppTest.from_function(editor).run()
    (multiselect,) = app.multiselect
    assert multiselect.options == ["Action", "Comedy", "Martian"]
    assert multiselect.value == ["Comedy", "Martian"]
    multiselect.set_value(["Action", "Comedy"]).run()
    assert app.session_state["now"] == "Action|Comedy"


def faulty(home: Path, genres: list[str]) -> tuple[DataChoice, dict[str, Finding]]:
    """The findings for a column of sets."""
    dice = random.Random(2)
    rows = [f"{dice.randint(1950, 2020)},{text},{'yes' if dice.random() < 0.5 else 'no'}" for text in genres]
    content = "\n".join(["year,genres,liked", *rows]).encode()
    choice = DataChoice(dataset=add_file(content, "faulty.csv", home, target="liked").name)
    return choice, findings(choice, home)


def findings(choice: DataChoice, home: Path) -> dict[str, Finding]:
    quality_report = report(prepare(choice, home), choice, home, heavy=False)
    return {finding.code: finding for finding in quality_report.findings if "genres" in finding.columns}


def test_clean_sets_have_no_findings(tmp_path: Path) -> None:
    assert faulty(tmp_path, cells())[1] == {}


def test_empty_sets_are_found(tmp_path: Path) -> None:
    _, findings_by_code = faulty(tmp_path, [*cells(), "", " | ", ""])
    assert set(findings_by_code) == {"empty_sets"}
    assert findings_by_code["empty_sets"].count == 3
    assert findings_by_code["empty_sets"].rows == (200, 201, 202)
    assert findings_by_code["empty_sets"].severity == "hint"


def test_common_set_value_is_found(tmp_path: Path) -> None:
    _, findings_by_code = faulty(tmp_path, [f"{text}|Movie" if row else text for row, text in enumerate(cells())])
    assert set(findings_by_code) == {"common_set_values"}
    assert "'Movie'" in findings_by_code["common_set_values"].message


def test_rare_set_values_are_found_and_fixed(tmp_path: Path) -> None:
    choice, findings_by_code = faulty(
        tmp_path, [f"{text}|Western" if row < 3 else text for row, text in enumerate(cells())]
    )
    rare = findings_by_code["rare_set_values"]
    assert "1 value of 'genres' is in fewer than 5 rows: 'Western'" in rare.message
    assert rare.fix is not None
    after = DataChoice.model_validate({**choice.model_dump(mode="json"), **rare.fix.edit["data"]})
    assert findings(after, tmp_path) == {}
    assert prepare(after, tmp_path).schema.inputs[0].columns[1:] == tuple(f"genres: {value}" for value in GENRES)


def test_similar_set_values_are_found(tmp_path: Path) -> None:
    _, findings_by_code = faulty(
        tmp_path, [text.replace("Sci-Fi", "sci fi") if row % 2 else text for row, text in enumerate(cells())]
    )
    assert set(findings_by_code) == {"similar_set_values"}
    assert all(repr(value) in findings_by_code["similar_set_values"].message for value in ("Sci-Fi", "sci fi"))


def test_streamed_sets_give_the_same_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genres = [*cells(count=2_400), "", *["Comedy|Musical"] * 40]  # a value that only the last chunk has
    rows = [f"{1950 + row % 70},{text},{'yes' if row % 3 else 'no'}" for row, text in enumerate(genres)]
    content = "\n".join(["year,genres,liked", *rows]).encode()
    prepared, remarks = [], []
    for mib in (1_000.0, 0.01):
        monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", str(mib))
        info = add_file(content, "movies.csv", tmp_path, target="liked")
        choice = DataChoice(dataset=info.name)
        prepared.append(prepare(choice, tmp_path))
        remarks.append([finding.message for finding in report(prepared[-1], choice, tmp_path, heavy=False).findings])
    small, large = prepared
    assert large.raw.large
    assert not small.raw.large
    assert large.schema == small.schema
    assert large.preprocess == small.preprocess
    assert "genres: Musical" in large.schema.inputs[0].columns
    assert torch.equal(large.inputs["features"], small.inputs["features"])
    assert large.row(2_400) == small.row(2_400)
    assert remarks[0] == remarks[1]
    assert any("empty set" in remark for remark in remarks[0])
