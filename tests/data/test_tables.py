"""Uploaded tables: what is read, what is rejected, and with which messages."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from netloom.data import DataError, Prepared, add_file, prepare, statistics
from netloom.data.raw.table import Table
from netloom.data.raw.texts import Texts
from netloom.data.tables import readers as reading
from netloom.document import DataChoice
from tests.data.samples import (
    HOSTILE,
    ROWS,
    csv_from_columns,
    example_columns,
    import_and_prepare,
    import_error,
    parquet_bytes,
)

NUMBERS = np.random.default_rng(1).normal(size=ROWS)
SENTENCES = [f"sentence number {n} has words of its own" for n in range(ROWS)]


def _features(data: Prepared) -> tuple[str, ...]:
    return data.schema.inputs[0].columns


# ---------------------------------------------------------------- reading


@pytest.fixture(scope="module")
def plain_table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return import_and_prepare(csv_from_columns(example_columns()), tmp_path_factory.mktemp("home"))


def test_a_csv_becomes_numbers_and_categories(home: Path) -> None:
    data = import_and_prepare(csv_from_columns(example_columns()), home)
    assert _features(data) == ("size", "kind = a", "kind = b", "kind = c", "kind = (other)")
    assert data.schema.target.classes == ("no", "yes")
    assert data.schema.rows == ROWS


@pytest.mark.parametrize(
    "content",
    [
        csv_from_columns(example_columns()),
        csv_from_columns(example_columns(), sep=";"),
        csv_from_columns(example_columns(), sep="\t"),
        csv_from_columns(example_columns(), sep="|"),
        csv_from_columns(example_columns(), sep=";", decimal=","),
        csv_from_columns(example_columns()).replace(b"\n", b"\r\n"),
        csv_from_columns(example_columns()).replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + csv_from_columns(example_columns()),
        csv_from_columns(example_columns()).decode().encode("utf-16"),
        csv_from_columns(example_columns(), quoting=1),
        b"\n\n" + csv_from_columns(example_columns()) + b"\n\n",
        csv_from_columns(example_columns()).replace(b",", b", "),
    ],
    ids="comma semicolon tab bar decimal-comma windows mac bom utf16 quoted blank-lines spaces".split(),
)
def test_csv_dialects_are_read_alike(home: Path, plain_table: Prepared, content: bytes) -> None:
    reference, data = plain_table, import_and_prepare(content, home)
    assert _features(data) == _features(reference)
    assert torch.allclose(data.inputs["features"], reference.inputs["features"])
    assert torch.equal(data.target, reference.target)


def test_parquet_and_csv_are_read_alike(home: Path) -> None:
    reference, data = (
        import_and_prepare(csv_from_columns(example_columns()), home),
        import_and_prepare(parquet_bytes(example_columns()), home, "data.parquet"),
    )
    assert torch.allclose(data.inputs["features"], reference.inputs["features"])


def test_headerless_first_line_is_data(home: Path) -> None:
    table = pd.DataFrame({"a": NUMBERS, "b": NUMBERS**2, "c": np.arange(ROWS) % 2})
    data = import_and_prepare(table.to_csv(index=False, header=False).encode(), home)
    assert data.schema.rows == ROWS
    assert _features(data) == ("column 1", "column 2")
    assert "first line looks like data" in statistics(data).remarks[0]
    words = pd.DataFrame({"a": ["ham", "spam"] * (ROWS // 2), "b": SENTENCES})
    data = import_and_prepare(words.to_csv(index=False, header=False).encode(), home)
    assert data.schema.rows == ROWS
    assert data.schema.target.classes == ("ham", "spam")


def test_header_name_matching_a_cell_stays_a_header(home: Path) -> None:
    table = {"a": NUMBERS, "c": ["a", "b", "c", "d"] * (ROWS // 4), "1": np.arange(ROWS) % 2}
    data = import_and_prepare(csv_from_columns(table), home)
    assert _features(data) == ("a", "c = a", "c = b", "c = c", "c = d", "c = (other)")
    assert data.schema.rows == ROWS


def test_tsv_quotes_are_literal(home: Path) -> None:
    lines = [("spam\t" if n % 3 else "ham\t") + '"' * (n % 4 == 0) + SENTENCES[n] for n in range(ROWS)]
    assert import_and_prepare("\n".join(["label\ttext", *lines]).encode(), home, "data.tsv").schema.rows == ROWS


def test_duplicate_column_names_become_unique(home: Path) -> None:
    content = b"x,x,,y\n" + b"".join(b"%d,%d,%d,%d\n" % (n, n * n, -n, n % 2) for n in range(ROWS))
    assert len(set(_features(import_and_prepare(content, home)))) == 3


def test_column_with_late_text_is_text_throughout(home: Path) -> None:
    kinds = [str(n % 4) for n in range(30_000)] + ["x"]
    table = {"kind": kinds, "size": np.arange(len(kinds)) / 7, "label": np.arange(len(kinds)) % 2}
    data = import_and_prepare(csv_from_columns(table), home)
    assert _features(data) == ("size", "kind = 0", "kind = 1", "kind = 2", "kind = 3", "kind = x", "kind = (other)")


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([decimal.Decimal(n) / 7 for n in range(ROWS)], ("own", "size")),
        ([datetime.date(2024, 1, 1) + datetime.timedelta(n) for n in range(ROWS)], ("own (days)", "own (month)")),
        (pd.date_range("2024-01-01", periods=ROWS, tz="Asia/Tokyo"), ("own (days)", "own (month)")),
        (pd.to_timedelta(np.arange(ROWS), unit="s"), ("own", "size")),
        (pd.array([1, None] * (ROWS // 2), dtype="Int64"), ("own", "size")),
        (pd.Categorical(["u", "v"] * (ROWS // 2)), ("own = (other)", "own = u")),
        (pd.array([True, None] * (ROWS // 2), dtype="boolean"), ("own = ", "own = (other)")),
        ([[1, 2], [3]] * (ROWS // 2), ("own = (other)", "own = [1, 2]")),
        ([{"k": 1}, {"k": 2}] * (ROWS // 2), ("own = (other)", 'own = {"k": 1}')),
        ([b"raw", b"\xff"] * (ROWS // 2), ("own = (other)", "own = raw")),
        (np.full(ROWS, 2**64 - 1, dtype=np.uint64), ("own", "size")),
        (np.arange(ROWS).astype(np.float16), ("own", "size")),
    ],
    ids="decimal date zoned duration nullable category boolean list struct bytes uint64 half".split(),
)
def test_every_parquet_type_is_read(home: Path, values: Any, expected: tuple[str, ...]) -> None:
    table = {"own": values, "size": NUMBERS, "label": np.arange(ROWS) % 2}
    data = import_and_prepare(parquet_bytes(table), home, "data.parquet")
    features = sorted(_features(data))
    assert tuple(features[:2]) == expected
    assert data.inputs["features"].isfinite().all()
    assert statistics(data).rows == ROWS


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["1970-01-11", "1970-02-01"], [10, 31]),
        (["1970-01-01 12:00:00", "1970-01-02T06:00"], [0.5, 1.25]),
        (["1970-01-02T00:00:00Z", "1970-01-02T00:00:00+12:00"], [1, 0.5]),
        (["1970-01", "1969-12"], [0, -31]),
    ],
)
def test_dates_become_days_months_and_weekdays(home: Path, dates: list[str], days: list[float]) -> None:
    table: dict[str, Any] = {"when": dates * (ROWS // 2), "size": NUMBERS, "label": np.arange(ROWS) % 3}
    data = import_and_prepare(csv_from_columns(table), home)
    assert isinstance(data.raw, Table)
    assert data.raw.numbers["when (days)"][:2].tolist() == days
    expected = [pd.Timestamp(text) for text in dates]
    expected = [moment if moment.tz is None else moment.tz_convert("UTC") for moment in expected]
    assert data.raw.numbers["when (month)"][:2].tolist() == [moment.month for moment in expected]
    assert data.raw.numbers["when (weekday)"][:2].tolist() == [moment.weekday() for moment in expected]
    for index in (0, 1):  # a prediction row holds the date as in the file
        row = {"when": dates[index], "size": str(table["size"][index])}
        assert torch.allclose(data.encode(row)["features"][0], data.inputs["features"][index], atol=1e-6)
    with pytest.raises(DataError, match="takes dates such as"):
        data.encode({"when": "yesterday", "size": 1})


def test_date_parts_do_not_overwrite_columns(home: Path) -> None:
    table = example_columns() | {"when": ["2024-05-01", "2024-05-02"] * (ROWS // 2), "when (days)": NUMBERS}
    data = import_and_prepare(csv_from_columns(table), home, target="label")
    assert isinstance(data.raw, Table)
    assert np.array_equal(data.raw.numbers["when (days)"], NUMBERS)
    assert "when (days)'" in data.raw.numbers


def test_id_columns_are_dropped_with_a_warning(home: Path) -> None:
    table = {"Unnamed: 0": range(ROWS), "user_id": range(100, 100 + ROWS), "code": [f"k{n}" for n in range(ROWS)]}
    data = import_and_prepare(csv_from_columns(table | example_columns()), home)
    assert _features(data)[0] == "size"
    remarks = " ".join(data.warnings)
    assert all(name in remarks for name in table)


def test_plain_counter_is_not_an_id_column(home: Path) -> None:
    data = import_and_prepare(csv_from_columns({"x": range(ROWS), "y": np.arange(ROWS) * 2.5}), home)
    assert _features(data) == ("x",)


def test_imputation_and_scaling_match_scikit_learn(home: Path) -> None:
    random = np.random.default_rng(5)
    table = pd.DataFrame(example_columns())
    table["size"] = np.where(random.random(ROWS) < 0.3, np.nan, table["size"] * 1e-19)
    table.loc[random.random(ROWS) < 0.2, "kind"] = None
    table["same"] = 0.1
    data = import_and_prepare(table.to_csv(index=False).encode(), home)
    assert isinstance(data.raw, Table)
    train = data.split["train"].numpy()
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(table[["size", "same"]].iloc[train])
    places = [data.schema.inputs[0].columns.index(name) for name in ("size", "same")]
    features = data.inputs["features"].numpy()
    assert np.allclose(features[:, places], numeric.transform(table[["size", "same"]]), atol=1e-5)
    kinds = table[["kind"]].fillna("").astype(str)
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(kinds.iloc[train]).transform(kinds)
    index = data.schema.inputs[0].columns.index("kind = ")
    assert np.array_equal(features[:, index : index + 4], hot)


def test_fitted_state_ignores_validation_and_test_rows(home: Path) -> None:
    table = pd.DataFrame(example_columns(price=NUMBERS))
    first = import_and_prepare(table.to_csv(index=False).encode(), home)
    table.loc[first.split["test"].numpy(), ["size", "price"]] = 1e9
    table.loc[first.split["validation"].numpy(), "kind"] = "never seen"
    second = import_and_prepare(table.to_csv(index=False).encode(), home)
    assert torch.equal(first.split["train"], second.split["train"])
    assert first.preprocess == second.preprocess
    assert first.fingerprint != second.fingerprint


def test_unseen_categories_encode_as_other(home: Path) -> None:
    data = import_and_prepare(csv_from_columns(example_columns()), home)
    for value in ("zebra", None, "", float("nan"), "</script>"):
        features = data.encode({"size": 0, "kind": value})["features"][0]
        assert features[1:].tolist() == [0, 0, 0, 1]


# ---------------------------------------------------------------- targets


def test_target_with_few_values_is_a_class(home: Path) -> None:
    table = {"a": NUMBERS, "price": NUMBERS * 100, "stars": np.arange(ROWS) % 5}
    assert import_and_prepare(csv_from_columns(table), home).schema.target.classes == ("0", "1", "2", "3", "4")
    data = import_and_prepare(csv_from_columns(table), home, target="price")
    assert data.schema.target.kind == "number"
    assert torch.allclose(data.restore(data.target)[:, 0].double(), torch.tensor(table["price"]), rtol=1e-5, atol=1e-3)
    assert import_and_prepare(csv_from_columns(table), home, task="regression").schema.target.kind == "number"


def test_target_column_is_found_by_name(home: Path) -> None:
    info = add_file(csv_from_columns({"Label": ["a", "b"] * (ROWS // 2), "x": NUMBERS}), "data.csv", home)
    assert prepare(DataChoice(dataset=info.name), home).schema.target.name == "Label"
    info = add_file(csv_from_columns({"v1": ["ham", "spam"] * (ROWS // 2), "v2": SENTENCES}), "data.csv", home)
    assert prepare(DataChoice(dataset=info.name), home).schema.target.name == "v1"
    info = add_file(csv_from_columns(example_columns()), "data.csv", home, target="kind")
    assert prepare(DataChoice(dataset=info.name), home).schema.target.name == "kind"


def test_rows_without_target_are_dropped_with_warning(home: Path) -> None:
    table = pd.DataFrame(example_columns())
    table.loc[:9, "label"] = None
    data = import_and_prepare(table.to_csv(index=False).encode(), home)
    assert data.schema.rows == ROWS - 10
    assert "Left out 10 rows without a value in 'label'." in data.warnings


# ---------------------------------------------------------------- texts


def test_text_table_is_tokenized_into_words(home: Path) -> None:
    data = import_and_prepare(
        csv_from_columns({"id": range(ROWS), "text": SENTENCES, "label": np.arange(ROWS) % 2}), home
    )
    assert isinstance(data.raw, Texts)
    assert data.schema.inputs[0].kind == "tokens"
    assert data.example(3).text == SENTENCES[3]
    assert data.example(3).tokens[:2] == ("sentence", "number")


def test_text_column_is_selectable_in_a_numeric_table(home: Path) -> None:
    table = example_columns(text=SENTENCES)
    assert import_and_prepare(csv_from_columns(table), home).schema.inputs[0].kind == "vector"
    assert import_and_prepare(csv_from_columns(table), home, text="text").schema.inputs[0].kind == "tokens"
    columns = {"text": SENTENCES, "more": SENTENCES[::-1], "label": np.arange(ROWS) % 2}
    inputs = import_and_prepare(csv_from_columns(columns), home).schema.inputs
    assert [field.name for field in inputs] == ["text", "more"]
    assert len(import_and_prepare(csv_from_columns(columns), home, text=None).schema.inputs) == 2


# ---------------------------------------------------------------- rejections

_NONE = [float("nan")] * ROWS
REFUSED = {
    "nothing": (b"", "empty"),
    "blank": (b" \n \n", "empty"),
    "header alone": (b"a,b,label\n", "no rows"),
    "one column": (b"a\n1\n2\n", "one column"),
    "few rows": (csv_from_columns(example_columns()).split(b"\n", 6)[0] + b"\n1,a,yes\n2,a,no\n", "at least 10"),
    "one class": (csv_from_columns(example_columns() | {"label": "yes"}), "one value only"),
    "no target": (csv_from_columns(example_columns() | {"label": _NONE}), "nothing to predict"),
    "nothing to learn from": (
        csv_from_columns({"a": _NONE, "b": _NONE, "label": [1, 2] * (ROWS // 2)}),
        "can be learned from",
    ),
    "many classes": (csv_from_columns({"a": NUMBERS, "label": [f"k{n}" for n in range(ROWS)]}), "too many for classes"),
    "same number": (csv_from_columns({"a": NUMBERS, "label": [1.5] * ROWS}), "same value|one value"),
    "infinite target": (csv_from_columns({"a": NUMBERS, "label": [*NUMBERS[1:], np.inf]}), "infinite"),
    "huge target": (csv_from_columns({"a": NUMBERS, "label": [*NUMBERS[1:], 1e300]}), "too large"),
    "broken utf 16": (b"\xff\xfea", "UTF-8|UTF-16|not"),
    "binary": (bytes(range(256)) * 9, "has an unknown type"),
    "nul": (b"a,label\n" + b"1,2\n" * 9 + b"\x00,1\n", "NUL"),
    "ragged": (b"a,label\n1,2\n1,2,3,4\n", "cannot be read as CSV|more fields"),
    "more fields than names": (b"a,label\n" + b"1,2,3\n" * 20, "more fields"),
    "open quote": (b'a,label\n"1,2\n3,4\n', "cannot be read as CSV|one column|no rows"),
    "columns": (b"," * 5_000 + b"\n" + b"," * 5_000, "columns"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_csv_is_rejected_with_a_message(home: Path, name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(DataError, match=words) as caught:
        import_and_prepare(content, home)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert not list((home / "data").glob("*"))


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(100) + b"PAR1", parquet_bytes(example_columns())[:-40]])
def test_invalid_parquet_is_rejected_with_a_message(home: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="not a readable Parquet file"):
        add_file(content, "data.parquet", home)


def test_damaged_parquet_raises_only_data_errors(home: Path) -> None:
    random, valid = np.random.default_rng(0), parquet_bytes(example_columns())
    for _ in range(60):
        content = bytearray(valid)
        for index in random.integers(0, len(valid), 3):
            content[index] = random.integers(256)
        assert "\n" not in import_error(bytes(content), home, "data.parquet")


def test_oversized_table_is_rejected(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_CELLS", 200)
    for content, filename in (
        (csv_from_columns(example_columns()), "data.csv"),
        (parquet_bytes(example_columns()), "data.parquet"),
    ):
        with pytest.raises(DataError, match="at most"):
            add_file(content, filename, home)
    monkeypatch.undo()
    monkeypatch.setattr(reading, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(DataError, match="unpack"):
        add_file(parquet_bytes(example_columns()), "data.parquet", home)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "nosuch"}, "no column 'nosuch'"),
        ({"target": ["label"]}, "no column"),
        ({"task": "guessing"}, "task"),
        ({"task": {}}, "task"),
        ({"task": "regression"}, "no numbers"),
        ({"text": "nosuch"}, "no column"),
        ({"text": ["size"]}, "no column"),
        ({"text": {"a": 1}}, "no column"),
        ({"speed": 1}, "no option 'speed'"),
        ({"</script>\n": 1}, "no option"),
    ],
)
def test_invalid_options_are_rejected_with_a_message(home: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        import_and_prepare(csv_from_columns(example_columns()), home, **options)
    assert "\n" not in str(caught.value)


def test_infinite_and_extreme_numbers_are_missing(home: Path) -> None:
    table = example_columns(a=["inf", "-inf"] * (ROWS // 2), b=np.where(NUMBERS > 1, 1e300, NUMBERS), c=NUMBERS * 1e90)
    data = import_and_prepare(csv_from_columns(table), home)
    assert "a" not in _features(data)
    assert {"b", "c"} <= set(_features(data))
    assert data.inputs["features"].isfinite().all()
    for value in (1e300, -1e300, 1e308):
        assert data.encode({"size": value, "kind": "a", "b": value, "c": value})["features"].isfinite().all()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_plain_text(home: Path, name: str) -> None:
    table = {name: NUMBERS, "kind": [name, "b"] * (ROWS // 2), "label": [f"{name}1", f"{name}2"] * (ROWS // 2)}
    before = sorted(path for path in home.parent.rglob("*") if "data" not in path.parts)
    info = add_file(csv_from_columns(table), f"{name}.csv", home, name=name)
    data = prepare(DataChoice(dataset=info.name), home)
    assert name.strip() in [name for name, _, _ in [column.partition(" = ") for column in _features(data)]]
    assert f"kind = {name}" in _features(data)
    assert f"{name}1" in data.schema.target.classes
    assert info.title == name
    assert statistics(data).columns[0]["column"] == name
    assert sorted(path for path in home.parent.rglob("*") if "data" not in path.parts) == before
