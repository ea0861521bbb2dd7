"""Column types, roles and preprocessing as set in a document, compared with scikit-learn and expected messages."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import preprocessing
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.multi_field import Categories, MultiFieldDataset
from netloom.data.quality.overview import columns as overview
from netloom.data.raw.table import Table
from netloom.data.raw.texts import Texts
from netloom.document import DataChoice, Project, blank, dumps, loads
from netloom.modalities.encoding.rows import encode_rows, restore_rows
from netloom.templates.starting import starters
from tests.data.brought import excel
from tests.data.samples import ROWS, csv_from_columns, example_columns, import_and_prepare

RANDOM = np.random.default_rng(3)
PRICE = np.where(RANDOM.random(ROWS) < 0.25, np.nan, RANDOM.exponential(size=ROWS) * 50)
WORDS = "red green blue big small round square old new light dark fast slow".split()
TEXTS = [" ".join(RANDOM.choice(WORDS, 6)) for _ in range(ROWS)]
DAYS = pd.date_range("2023-11-20", periods=ROWS, freq="29h").strftime("%Y-%m-%dT%H:%M").tolist()


@pytest.fixture(scope="module")
def uploaded_table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A table with many column types, and the folder that it was imported into."""
    home = tmp_path_factory.mktemp("home")
    return add_file(csv_from_columns(mixed()), "data.csv", home, target="label").name, home


def prepared_with(uploaded_table: tuple[str, Path], **columns_: Any) -> Prepared:
    """The table prepared with these settings."""
    name, home = uploaded_table
    return prepare(DataChoice(dataset=name, options={"columns": columns_}), home)


def mixed() -> dict[str, Any]:
    return example_columns(
        price=PRICE,
        rooms=np.arange(ROWS) % 4,
        paid=["yes", "no", ""] * (ROWS // 3) + ["no"] * (ROWS % 3),
        when=DAYS,
        note=TEXTS,
        city=[f"city {n // 2}" for n in range(ROWS)],
        house=np.arange(ROWS) // 4,
    )


def feature(data: Prepared, name: str) -> np.ndarray:
    """One column of the features, (R,)."""
    field = next(field for field in data.schema.inputs if field.name == "features")
    values: np.ndarray = data.inputs["features"][:, field.columns.index(name)].numpy()
    return values


# ---------------------------------------------------------------- numbers

SCALERS: dict[str, Any] = {
    "standard": preprocessing.StandardScaler(),
    "minmax": preprocessing.MinMaxScaler(),
    "quantile": preprocessing.QuantileTransformer(n_quantiles=56, subsample=None),
    "normal": preprocessing.QuantileTransformer(n_quantiles=56, subsample=None, output_distribution="normal"),
    "log1p": preprocessing.FunctionTransformer(np.log1p),
    "log_standard": make_pipeline(preprocessing.FunctionTransformer(np.log1p), preprocessing.StandardScaler()),
    "none": preprocessing.FunctionTransformer(),
}
IMPUTERS = {
    "median": SimpleImputer(strategy="median"),
    "mean": SimpleImputer(strategy="mean"),
    "most_frequent": SimpleImputer(strategy="most_frequent"),
    "constant": SimpleImputer(strategy="constant", fill_value=7.5),
}


@pytest.mark.parametrize("scale", SCALERS)
def test_numeric_scaling_matches_scikit_learn(uploaded_table: tuple[str, Path], scale: str) -> None:
    data = prepared_with(uploaded_table, price={"scale": scale, "impute": "mean"})
    train = data.split["train"].numpy()
    assert len(train) == 56
    reference = make_pipeline(SimpleImputer(strategy="mean"), SCALERS[scale]).fit(PRICE[train, None])
    assert np.allclose(feature(data, "price"), reference.transform(PRICE[:, None])[:, 0], atol=2e-5)


@pytest.mark.parametrize("impute", IMPUTERS)
@pytest.mark.parametrize("name", ["price", "rooms"])
def test_numeric_imputation_matches_scikit_learn(uploaded_table: tuple[str, Path], impute: str, name: str) -> None:
    settings = {"impute": impute, "scale": "none", "indicator": True, **({"fill": 7.5} if impute == "constant" else {})}
    data = prepared_with(uploaded_table, **{name: settings})
    values = np.asarray(mixed()[name], dtype=np.float64)[:, None]
    train = data.split["train"].numpy()
    reference = IMPUTERS[impute].fit(values[train]).transform(values)
    assert np.allclose(feature(data, name), reference[:, 0])
    missing = MissingIndicator(features="all").fit(values[train]).transform(values)
    assert np.array_equal(feature(data, f"{name} is missing"), missing[:, 0])


def test_quantile_scaling_with_ties_matches_scikit_learn(home: Path) -> None:
    spent = np.where(RANDOM.random(ROWS) < 0.6, 0.0, RANDOM.exponential(size=ROWS)).round(1)
    data = import_and_prepare(
        csv_from_columns(example_columns(spent=spent)), home, columns={"spent": {"scale": "quantile"}}
    )
    train = data.split["train"].numpy()
    reference = preprocessing.QuantileTransformer(n_quantiles=len(train), subsample=None).fit(spent[train, None])
    assert np.allclose(feature(data, "spent"), reference.transform(spent[:, None])[:, 0], atol=1e-6)


@pytest.mark.parametrize("scale", SCALERS)
def test_scaling_inverts_to_original_units(uploaded_table: tuple[str, Path], scale: str) -> None:
    data = prepared_with(uploaded_table, price={"scale": scale, "indicator": True})
    field = next(field for field in data.preprocess.fields if field.name == "features")
    rows = data.split["train"].numpy()
    rows = rows[~np.isnan(PRICE[rows])]
    prices = [row["price"] for row in restore_rows(field, data.inputs["features"][rows].numpy())]
    assert np.allclose(prices, PRICE[rows], rtol=1e-3)


# ---------------------------------------------------------------- categories, dates, booleans


def test_one_hot_encoding_matches_scikit_learn(home: Path) -> None:
    kinds = [None if n % 9 == 0 else kind for n, kind in enumerate(example_columns()["kind"])]
    data = import_and_prepare(
        csv_from_columns(example_columns() | {"kind": kinds}), home, columns={"kind": {"impute": "most_frequent"}}
    )
    train = data.split["train"].numpy()
    reference = make_pipeline(
        SimpleImputer(strategy="most_frequent", missing_values=None), preprocessing.OneHotEncoder(sparse_output=False)
    ).fit(np.array(kinds, dtype=object)[train, None])
    expected = reference.transform(np.array(kinds, dtype=object)[:, None])
    encoded = np.stack([feature(data, f"kind = {name}") for name in "abc"], axis=1)
    assert np.array_equal(encoded, expected)


def test_hashed_categories_use_stable_buckets(uploaded_table: tuple[str, Path]) -> None:
    data = prepared_with(uploaded_table, city={"kind": "category", "encode": "hash", "buckets": 16})
    names = [name for name in data.schema.inputs[0].columns if name.startswith("city #")]
    assert len(names) == 16
    encoded = np.stack([feature(data, name) for name in names], axis=1)
    assert (encoded.sum(1) == 1).all()
    assert np.array_equal(encoded[::2], encoded[1::2])  # two rows of each city
    unseen = data.encode({**data.row(0), "city": "never seen"})["features"]
    assert unseen[0, [data.schema.inputs[0].columns.index(name) for name in names]].sum() == 1


def test_index_encoded_categories_become_embedding_indices(uploaded_table: tuple[str, Path]) -> None:
    indexed = {"kind": "category", "encode": "index"}
    data = prepared_with(uploaded_table, kind=indexed, rooms=indexed, city={"kind": "category", "encode": "own"})
    assert isinstance(data.raw, MultiFieldDataset)
    fields = {field.name: field for field in data.schema.inputs}
    assert fields["categories"].columns == ("kind", "rooms")
    assert (fields["city"].kind, fields["city"].shape) == ("tokens", (1,))
    column: Any = data.fields[1].columns[0].state
    kinds = column.values
    assert [["", *kinds][number] for number in data.inputs["categories"][:, 0].tolist()] == list(mixed()["kind"])
    # Equal numbers are the same category in any notation.
    rows = [{**data.row(0), "rooms": cell} for cell in (3, 3.0, "3", " 3.0 ", "9")]
    indices = encode_rows(data.preprocess.to_json(), rows)["categories"][:, 1].tolist()
    assert indices[0] == indices[1] == indices[2] == indices[3] > 0
    assert indices[4] == 0


@pytest.mark.parametrize("cities", [60, 10])
def test_constant_fill_gets_a_category_even_if_rare(home: Path, cities: int) -> None:
    city = [f"city {n % cities:02}" for n in range(ROWS * 9)]
    table = {
        "size": range(ROWS * 9 + 8),
        "city": [*city, *["unknown", ""] * 4],
        "label": ["a", "b"] * (len(city) // 2 + 4),
    }
    info = add_file(csv_from_columns(table), "c.csv", home, target="label")
    options: dict[str, Any] = {"columns": {"city": {"kind": "category", "impute": "constant", "fill": "unknown"}}}
    data = prepare(DataChoice(dataset=info.name, options=options), home)
    missing = data.encode({**data.row(0), "city": ""})["features"][0].tolist()
    assert missing[data.schema.inputs[0].columns.index("city = unknown")] == 1


def test_dates_expand_to_the_selected_parts(uploaded_table: tuple[str, Path]) -> None:
    parts = ["year", "quarter", "month", "day", "yearday", "weekday", "hour", "minute", "days"]
    data = prepared_with(uploaded_table, when={"parts": parts, "scale": "none"})
    moments = pd.to_datetime(pd.Series(DAYS))
    names = {"weekday": "day_of_week", "yearday": "day_of_year"}
    for part in parts[:-1]:
        assert np.array_equal(feature(data, f"when ({part})"), getattr(moments.dt, names.get(part, part))), part
    # A prediction row holds the date as in the file.
    plain = {name: cells[5] for name, cells in mixed().items()}
    assert torch.equal(data.encode(plain)["features"][0], data.inputs["features"][5])


def test_boolean_column_encodes_yes_as_1_no_as_0(uploaded_table: tuple[str, Path]) -> None:
    data = prepared_with(uploaded_table, paid={"kind": "boolean", "scale": "none", "impute": "constant", "fill": -1.0})
    expected = [{"yes": 1, "no": 0, "": -1}[cell] for cell in mixed()["paid"]]
    assert feature(data, "paid").tolist() == expected
    for cell, number in (("Yes", 1), (True, 1), ("0", 0), ("false", 0), (None, -1), ("NA", -1)):
        row = data.encode({**data.row(0), "paid": cell})["features"][0]
        assert row[data.schema.inputs[0].columns.index("paid")] == number
    with pytest.raises(DataError, match="takes yes or no"):
        data.encode({**data.row(0), "paid": "perhaps"})


def test_text_column_becomes_a_separate_input(uploaded_table: tuple[str, Path]) -> None:
    data = prepared_with(uploaded_table, note={"kind": "text", "tokens": "words"})
    assert [field.kind for field in data.schema.inputs] == ["vector", "tokens"]
    raw = (
        next(part for part in data.raw.parts if isinstance(part, Texts))
        if isinstance(data.raw, MultiFieldDataset)
        else None
    )
    assert raw is not None
    assert list(raw.texts) == TEXTS
    assert data.example(0).text == TEXTS[0]
    plain = {name: cells[5] for name, cells in mixed().items()}  # the text under its column name
    assert torch.equal(data.encode(plain)["text"][0], data.inputs["text"][5])


# ---------------------------------------------------------------- roles


def test_multiple_numeric_targets_are_standardized(uploaded_table: tuple[str, Path]) -> None:
    data = prepared_with(uploaded_table, label={"role": "input"}, size={"role": "target"}, house={"role": "target"})
    assert data.schema.target.name == "size, house"
    assert data.schema.target.number_names == ("size", "house")
    assert data.schema.target.shape == (2,)
    expected = np.stack([mixed()["size"], mixed()["house"]], axis=1)
    assert np.allclose(data.restore(data.target).numpy(), expected, atol=1e-4)
    reference = preprocessing.StandardScaler().fit(expected[data.split["train"].numpy()])
    assert np.allclose(data.target.numpy(), reference.transform(expected), atol=1e-5)


def test_columns_with_other_roles_are_not_inputs(home: Path) -> None:
    part = (["train"] * 6 + ["Val", "test"]) * (ROWS // 8)
    table = csv_from_columns(mixed() | {"part": part, "weight": np.arange(ROWS) + 1.0})
    data = import_and_prepare(table, home, columns={"part": {"role": "split"}, "weight": {"role": "weight"}})
    assert sorted(data.split["test"].tolist()) == list(range(7, ROWS, 8))
    assert not any(name.startswith(("part", "weight")) for name in data.schema.inputs[0].columns)
    assert data.weights is not None
    assert data.weights[data.split["train"]].mean().item() == pytest.approx(1)
    assert torch.allclose(data.weights / data.weights[0], torch.arange(1.0, ROWS + 1))
    table = csv_from_columns(mixed())
    data = import_and_prepare(table, home, columns={"house": {"role": "group"}})
    houses = [set((rows // 4).tolist()) for rows in data.split.values()]
    assert sum(map(len, houses)) == len(set().union(*houses))
    data = import_and_prepare(table, home, columns={"when": {"role": "time"}})
    assert [rows.tolist() for rows in data.split.values()] == [
        list(range(56)),
        list(range(56, 68)),
        list(range(68, 80)),
    ]


def test_numeric_target_can_be_regression_or_classification(uploaded_table: tuple[str, Path]) -> None:
    assert (
        prepared_with(
            uploaded_table, label={"role": "ignore"}, rooms={"role": "target", "kind": "number"}
        ).schema.target.kind
        == "number"
    )
    classes = prepared_with(
        uploaded_table, label={"role": "ignore"}, rooms={"role": "target", "kind": "category"}
    ).schema.target.classes
    assert classes == ("0", "1", "2", "3")


def test_ignored_columns_do_not_affect_encoding(uploaded_table: tuple[str, Path]) -> None:
    data = prepared_with(uploaded_table, price={"role": "ignore"})
    assert "price" not in data.schema.inputs[0].columns
    row = data.row(0)
    assert torch.equal(data.encode(row)["features"], data.encode({**row, "price": 9})["features"])


# ---------------------------------------------------------------- leakage

EVERYTHING: dict[str, Any] = {
    "size": {"scale": "normal", "impute": "mean"},
    "price": {"scale": "quantile", "impute": "most_frequent", "indicator": True},
    "rooms": {"kind": "category", "encode": "index", "impute": "most_frequent"},
    "kind": {"impute": "constant", "fill": "none"},
    "paid": {"kind": "boolean", "scale": "minmax"},
    "when": {"parts": ["year", "hour"], "scale": "log_standard"},
    "note": {"kind": "text", "tokens": "bpe", "vocabulary": 300},
    "city": {"kind": "category", "encode": "own"},
    "house": {"role": "ignore"},
}


def test_preprocessing_ignores_validation_and_test_rows(home: Path, uploaded_table: tuple[str, Path]) -> None:
    first = prepared_with(uploaded_table, **EVERYTHING)
    table = pd.DataFrame(mixed())
    unused_rows = torch.cat([first.split["validation"], first.split["test"]]).numpy()
    changed_values: dict[str, Any] = {
        "size": 1e6, "price": -1e6, "rooms": 99, "kind": "new", "paid": "yes", "when": "2099-12-31T23:59",
        "note": "zyx wvu zyx wvu", "city": "elsewhere",
    }  # fmt: skip
    for name, value in changed_values.items():
        table.loc[unused_rows, name] = value
    second = import_and_prepare(table.to_csv(index=False).encode(), home, columns=EVERYTHING)
    assert torch.equal(first.split["train"], second.split["train"])
    assert first.preprocess == second.preprocess
    table.loc[first.split["train"].numpy()[:20], ["size", "price"]] = 3.0  # training rows do have an effect
    assert (
        import_and_prepare(table.to_csv(index=False).encode(), home, columns=EVERYTHING).preprocess != first.preprocess
    )


def test_csv_rows_encode_as_in_training(uploaded_table: tuple[str, Path]) -> None:
    data = prepared_with(uploaded_table, **EVERYTHING)
    preprocess = json.loads(json.dumps(data.preprocess.to_json(), allow_nan=False))
    # The rows of the file as a CSV reader returns them: every cell is a string.
    rows: list[Any] = pd.read_csv(io.BytesIO(csv_from_columns(mixed())), dtype=str, keep_default_na=False).to_dict(
        "records"
    )
    for name, array in encode_rows(preprocess, rows).items():
        assert np.allclose(array, data.inputs[name].numpy(), atol=1e-6), name


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "everything"])
def test_columnar_and_row_encoding_are_bitwise_equal(
    uploaded_table: tuple[str, Path], settings: dict[str, Any]
) -> None:
    data = prepared_with(uploaded_table, **settings)
    arrays = encode_rows(data.preprocess.to_json(), [data.row(index) for index in range(len(data.raw))])
    assert list(arrays) == list(data.inputs)
    for name, array in arrays.items():
        assert array.dtype == data.inputs[name].numpy().dtype
        assert array.tobytes() == data.inputs[name].numpy().tobytes()


# ---------------------------------------------------------------- invalid settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nosuch": {"role": "ignore"}}, "no column 'nosuch'"),
        ({"price": {"role": "boss"}}, "'price': role must be 'input'"),
        ({"price": {"speed": 1}}, "no setting 'speed'"),
        ({"price": {"scale": "big"}}, "scale must be"),
        ({"price": 5}, "'price'"),
        ([], "holds settings by the name"),
        ({"price": {"tokens": "bpe"}}, "has no setting 'tokens'"),
        ({"kind": {"scale": "minmax"}}, "has no setting 'scale'"),
        ({"kind": {"impute": "mean"}}, "no mean"),
        ({"price": {"impute": "constant"}}, "'fill'"),
        ({"price": {"impute": "constant", "fill": "much"}}, "a number"),
        ({"note": {"kind": "text", "vocabulary": 10}}, "vocabulary must be"),
        ({"kind": {"kind": "number"}}, "no numbers"),
        ({"kind": {"kind": "date"}}, "no dates"),
        ({"kind": {"kind": "boolean"}}, "yes or no"),
        ({"when": {"kind": "number"}}, "holds dates"),
        ({"when": {"kind": "category"}}, "holds dates"),
        ({"kind": {"role": "weight"}}, "are not numbers"),
        ({"price": {"role": "weight"}}, "missing"),
        ({"kind": {"role": "split"}}, "train, validation or test"),
        ({"kind": {"role": "time"}}, "no dates"),
        ({"house": {"role": "group"}, "city": {"role": "group"}}, "both have the role group"),
        ({"label": {"role": "input"}}, "nothing to predict"),
        ({"size": {"role": "target"}}, "Several targets"),
        ({"label": {"kind": "text"}}, "cannot be predicted"),
        ({"note": {"role": "target"}, "label": {"role": "ignore"}}, "A text cannot be predicted from a table"),
    ],
    ids=str,
)
def test_invalid_column_settings_are_rejected_with_a_message(
    uploaded_table: tuple[str, Path], settings: Any, message: str
) -> None:
    name, home = uploaded_table
    with pytest.raises(DataError, match=message) as caught:
        prepare(DataChoice(dataset=name, options={"columns": settings}), home)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_builtin_tables_accept_column_settings() -> None:
    default = prepare(DataChoice(dataset="wine"))
    options: dict[str, Any] = {"columns": {"alcohol": {"scale": "minmax"}, "ash": {"role": "ignore"}}}
    data = prepare(DataChoice(dataset="wine", options=options))
    assert isinstance(default.raw, Table)
    assert set(default.schema.inputs[0].columns) - set(data.schema.inputs[0].columns) == {"ash"}
    alcohol = default.raw.numbers["alcohol"][:, None]
    reference = preprocessing.MinMaxScaler().fit(alcohol[data.split["train"].numpy()])
    assert np.allclose(feature(data, "alcohol"), reference.transform(alcohol)[:, 0], atol=1e-6)
    columns_by_name = {column.name: column for column in overview(DataChoice(dataset="wine", options=options))}
    assert (columns_by_name["ash"].role, columns_by_name["alcohol"].role) == ("ignore", "input")
    with pytest.raises(DataError, match="can only be input or ignore"):
        prepare(DataChoice(dataset="wine", options={"columns": {"ash": {"role": "target"}}}))
    clicks = prepare(DataChoice(dataset="clicks", options={"columns": {"site": {"role": "ignore"}}}))
    assert isinstance(clicks.raw, Categories)
    assert "site" not in clicks.schema.inputs[0].columns


# ---------------------------------------------------------------- overview and document


def test_overview_counts_match_pandas(home: Path) -> None:
    table = pd.DataFrame(mixed())
    info = add_file(csv_from_columns(mixed()), "data.csv", home, target="label")
    columns_by_name = {column.name: column for column in overview(DataChoice(dataset=info.name), home)}
    assert list(columns_by_name) == list(table.columns)
    for name, column in columns_by_name.items():
        values = table[name].replace("", None)
        assert (column.missing, column.distinct) == (values.isna().sum(), values.nunique()), name
    kinds = {name: (column.kind, column.role) for name, column in columns_by_name.items()}
    assert kinds == {
        "size": ("number", "input"), "kind": ("category", "input"), "price": ("number", "input"),
        "rooms": ("number", "input"), "paid": ("category", "input"), "when": ("date", "input"),
        "note": ("text", "input"), "city": ("category", "input"), "house": ("number", "input"),
        "label": ("category", "target"),
    }  # fmt: skip
    assert float(columns_by_name["price"].low) == pytest.approx(np.nanmin(PRICE), rel=1e-5)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("Total", "'age' is read as categories, as 'Total' in row 61 is not a number like the others"),
        ("?", ""),
    ],
)
def test_a_cell_that_makes_numbers_categories_is_named(cell: str, reason: str, home: Path) -> None:
    table = {"age": [*(row % 13 for row in range(60)), cell], "size": range(61), "label": [*"ab" * 30, "a"]}
    data = prepare(DataChoice(dataset=add_file(csv_from_columns(table), "data.csv", home, target="label").name), home)
    assert any(reason in warning for warning in data.raw.warnings) is bool(reason)
    assert len(data.schema.inputs[0].columns) == (16 if reason else 2)


@pytest.mark.parametrize(
    "cells", [["2020Q1", "2020Q4"], ["Jan 2020", "Sep 2021"], ["2020W05", "2020W53"], ["Q1 1999", "Q2 2000"]]
)
def test_classes_are_periods_as_in_the_file(cells: list[str], home: Path) -> None:
    content = csv_from_columns({"size": range(60), "when": cells * 30})
    data = prepare(DataChoice(dataset=add_file(content, "data.csv", home, target="when").name), home)
    assert list(data.schema.target.classes) == cells


@pytest.mark.parametrize(
    ("period", "written", "odd"),
    [("M", "%b %Y", "Total"), ("Q", "%Y-Q%q", "2020Q5"), ("D", "%d.%m.%Y", "?!"), ("W", "%GW%V", "2019W53")],
)
def test_a_cell_that_makes_written_dates_texts_is_named(period: str, written: str, odd: str, home: Path) -> None:
    dates = pd.period_range("1960-01-04", periods=60, freq=period).start_time
    days = (dates.to_period(period) if "%q" in written else dates).strftime(written)
    content = csv_from_columns({"day": [*days, odd], "size": range(61), "other": range(61)})
    data = prepare(DataChoice(dataset=add_file(content, "data.csv", home, kind="table").name), home)
    reason = f", as {odd!r} in row 61 is not a date like the others; fix or empty that cell."
    assert any(warning.endswith(reason) for warning in data.raw.warnings)
    with pytest.raises(DataError, match=re.escape(f"The times in 'day' cannot be put in order{reason}")):
        add_file(content, "data.csv", home, kind="series", options={"time": "day"})


def test_total_in_a_row_without_a_target_is_named(home: Path) -> None:
    lines = [f"{index * 1.5},{index % 7},{'ab'[index % 2]}" for index in range(60)]
    content = "\n".join(["size,count,label", *lines, "Total,200,"]).encode()
    data = prepare(DataChoice(dataset=add_file(content, "sizes.csv", home, target="label").name), home)
    assert any("left out, as 'Total' in row 61 is not a number like the others" in text for text in data.warnings)


def test_numbers_with_groups_or_three_decimals_are_named(home: Path) -> None:
    lines = [f'"{index + 20},{index:03}",{index % 7},{"ab"[index % 2]}' for index in range(60)]
    content = "\n".join(["salary,count,label", *lines]).encode()
    data = prepare(DataChoice(dataset=add_file(content, "salaries.csv", home, target="label").name), home)
    assert any("as '20,000' can have a group of digits or three decimals" in text for text in data.warnings)
    with pytest.raises(DataError, match=r"'salary' has 60 different values .* as '20,000' can have a group"):
        add_file(content, "salaries.csv", home, target="salary")


def test_numbers_with_groups_of_another_decimal_mark_are_named(home: Path) -> None:
    lines = [f"{index + 1},{index:03},000;{index},5;{'ab'[index % 2]}" for index in range(60)]
    content = "\n".join(["salary;share;label", *lines]).encode()
    data = prepare(DataChoice(dataset=add_file(content, "salaries.csv", home, target="label").name), home)
    note = "as '1,000,000' is written for a decimal point, and the file is read with a decimal comma"
    assert any(note in text for text in data.warnings)


def test_decimal_commas_in_a_spreadsheet_are_named(home: Path) -> None:
    rows: list[list[Any]] = [["sales", "count", "kind"]]
    rows += ([f"1.{index:03},50 €", index % 7, "ab"[index % 2]] for index in range(60))
    info = add_file(excel({"Sheet": rows}), "sales.xlsx", home, target="kind")
    note = "as '1.000,50 €' is written for a decimal comma, and the file is read with a decimal point"
    assert any(note in text for text in prepare(DataChoice(dataset=info.name), home).warnings)


def test_a_decimal_comma_in_quotes_is_noted(home: Path) -> None:
    lines = [f'"{index},5",{"ab"[index % 2]}' for index in range(60)]
    content = "\n".join(["share,label", *lines]).encode()
    data = prepare(DataChoice(dataset=add_file(content, "shares.csv", home, target="label").name), home)
    assert (data.row(3)["share"], data.warnings[0]) == (
        3.5,
        'Numbers in quotes such as "0,5" are read with a decimal comma.',
    )


def test_ambiguous_dates_are_named(home: Path) -> None:
    days = [f"{row % 12 + 1:02}/{row // 12 + 1:02}/2024" for row in range(60)]
    table = {"day": days, "size": range(60), "label": [*"ab" * 30]}
    data = prepare(DataChoice(dataset=add_file(csv_from_columns(table), "data.csv", home, target="label").name), home)
    assert any("can begin with the day or with the month" in warning for warning in data.raw.warnings)


def test_prose_beside_other_inputs_is_an_input_and_names_are_not(home: Path) -> None:
    rows = 60
    messages = [f"the parcel {row} did not arrive on time" for row in range(rows)]
    names = [f"Anna Berta Clara {chr(65 + row % 26)}{row}" for row in range(rows)]
    table = {"lang": ["en", "de"] * 30, "message": messages, "name": names, "label": ["a", "b", "c"] * 20}
    data = prepare(DataChoice(dataset=add_file(csv_from_columns(table), "data.csv", home, target="label").name), home)
    assert [field.name for field in data.schema.inputs] == ["features", "text"]
    assert any("'name' has 60 different texts" in warning for warning in data.raw.warnings)


def test_titles_and_bodies_are_both_inputs(home: Path) -> None:
    bodies = [f"the parcel {row} did not arrive on time" for row in range(60)]
    titles = [f"Parcel {row} Is Late" for row in range(60)]
    table = {"title": titles, "body": bodies, "label": ["a", "b", "c"] * 20}
    choice = DataChoice(dataset=add_file(csv_from_columns(table), "data.csv", home).name)
    data = prepare(choice, home)
    assert [field.name for field in data.schema.inputs] == ["title", "body"]
    # Each has a vocabulary of its own, so that no network reads both with the same weights.
    assert [template.name for template in starters(choice, data.schema)] == ["mixed"]


def test_column_settings_round_trip_through_the_document(home: Path) -> None:
    info = add_file(csv_from_columns(mixed()), "data.csv", home, target="label")
    choice = DataChoice(dataset=info.name, split="group", folds=4, fold=2, options={"columns": EVERYTHING})
    project: Project = blank("x").model_copy(update={"data": choice})
    assert loads(dumps(project)) == project
    assert "split" not in dumps(blank("x"))
