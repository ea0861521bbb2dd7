"""Prediction rows are parsed like imported training data: equal cells, in any dialect, become equal bits."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.core.errors import DataError
from netloom.data import Prepared, add_file, prepare
from netloom.data.dialect import (
    MISSING_MARKS,
    FileError,
    has_no_header,
    infer_dialect,
    preamble_lines,
    without_preamble,
)
from netloom.data.sequence_pairs import DECODER_INPUT
from netloom.data.tables.plain_types import strip_cells
from netloom.data.tables.raw_rows import RowFile, summarize_warnings, unknown_categories, with_warnings
from netloom.data.tables.readers import read_table
from netloom.data.tables.row_file import read_rows
from netloom.document import DataChoice
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.coercion import are_grouped, date_forms, moment, number
from netloom.modalities.encoding.rows import encode_rows
from netloom.sandbox import read_batch
from tests.data.brought import EXAMPLE_FILES
from tests.data.samples import import_error

ROWS = 90
COLORS = ("red", "grün", "a,b", 'say "x"', "two\nlines", "it's; so", "x|y", "tab\there")
# The type and preprocessing of each column; empty settings are inferred.
COLUMNS: dict[str, dict[str, Any]] = {
    "size": {"indicator": True},
    "price": {"scale": "quantile"},
    "count": {"scale": "log1p", "impute": "most_frequent"},
    "code": {"kind": "category"},
    "half": {"kind": "category", "encode": "index"},
    "color": {"kind": "category"},
    "shelf": {"kind": "category", "encode": "hash", "buckets": 7},
    "paid": {"kind": "boolean"},
    "flag": {"kind": "category"},
    "sold": {},
    "when": {"parts": ["days", "weekday", "hour", "quarter"]},
    "note": {"kind": "text"},
    "letters": {"kind": "text", "tokens": "characters"},
}


@dataclass(frozen=True)
class Writing:
    """The CSV dialect of a file."""

    separator: str = ","
    decimal: str = "."
    grouped: bool = False
    dates: str = "iso"
    encoding: str = "utf-8"
    newline: str = "\n"
    blanks: bool = False
    trailing: bool = False
    quote_all: bool = False
    missing: str = ""
    true: str = "True"
    shuffled: bool = False
    extra: bool = False


DIALECTS = {
    "plain": Writing(),
    "blanks after commas": Writing(blanks=True),
    "semicolons and decimal commas": Writing(";", ",", newline="\r\n", encoding="utf-8-sig"),
    "semicolons and grouped numbers": Writing(";", ",", grouped=True, dates="%d.%m.%Y", encoding="cp1252"),
    "tabs": Writing("\t", encoding="utf-16", missing="NA"),
    "tabs and decimal commas": Writing("\t", ",", missing="null"),
    "bars": Writing("|", missing="N/A", blanks=True, trailing=True),
    "everything in quotes": Writing(quote_all=True, grouped=True, missing="None"),
    "other spelling": Writing(true="TRUE", dates="%d/%m/%Y", missing="NaN", newline="\r", quote_all=True),
    "names of months": Writing(dates="%d-%b-%Y"),
    "German times": Writing(";", ",", dates="%d.%m.%Y %H:%M"),
    "American times": Writing(dates="%m/%d/%Y %I:%M %p"),
    "times to the second": Writing(dates="%d/%m/%Y %H:%M:%S"),
    "year first": Writing(dates="%Y/%m/%d"),
    "another order": Writing(shuffled=True, extra=True, encoding="utf-16-le", true="true"),
    "separators at the end": Writing(trailing=True, missing="n/a"),
}


def rows(count: int = ROWS, dated: bool = True) -> list[dict[str, Any]]:
    """Cells of every type; None marks a missing cell."""
    draw, table_rows = random.Random(7), []
    for index in range(count):
        row: dict[str, Any] = {
            "size": draw.choice([draw.gauss(0, 3), draw.random() * 1e-7, 1 / 3, 0.1 + 0.2]),
            "price": round(draw.uniform(800, 3_000_000), 2),
            "count": draw.randrange(40),
            "code": draw.choice([1, 2, 30]),
            "half": draw.choice([0.5, 1.5, 22.25]),
            "color": draw.choice(COLORS),
            "shelf": draw.choice("ABC"),
            "paid": draw.choice([True, False]),
            "flag": draw.choice([True, False]),
            "sold": draw.choice([True, False]),
            "when": datetime(2023, 1, 25) + timedelta(days=index, hours=(index % 24) * dated),
            "note": f"word {index % 9} is not {draw.choice(['good', 'bad', 'so-so'])}, or is it?",
            "letters": draw.choice(["abc", "xyz äö", "q"]) + str(index % 5),
            "label": "yes" if draw.random() < 0.5 else "no",
        }
        for name in row:
            if name not in ("label", "sold") and draw.random() < 0.08:
                row[name] = None
        table_rows.append(row)
    return table_rows


def cell(value: Any, dialect: Writing) -> str:
    if value is None:
        return dialect.missing
    if isinstance(value, bool):
        return dialect.true if value else {"True": "False", "TRUE": "FALSE", "true": "false"}[dialect.true]
    if isinstance(value, datetime):
        return value.isoformat() if dialect.dates == "iso" else value.strftime(dialect.dates)
    if isinstance(value, float):
        text = f"{value:,.2f}" if dialect.grouped and value > 1_000 else repr(value)
        swap = {",": ".", ".": ","} if dialect.decimal == "," else {}
        return "".join(swap.get(letter, letter) for letter in text)
    return str(value)


def write(table_rows: list[dict[str, Any]], dialect: Writing) -> bytes:
    names = list(table_rows[0])
    if dialect.shuffled:
        random.Random(1).shuffle(names)
    text = io.StringIO(newline="")
    end = dialect.separator * dialect.trailing
    writer = csv.writer(
        text,
        delimiter=dialect.separator,
        lineterminator=end + dialect.newline,
        quoting=csv.QUOTE_ALL if dialect.quote_all else csv.QUOTE_MINIMAL,
    )
    writer.writerow([*names, *["more"] * dialect.extra])
    writer.writerows(
        [*(cell(row[name], dialect) for name in names), *["surplus"] * dialect.extra] for row in table_rows
    )
    content = text.getvalue()
    if dialect.blanks:  # only between cells, not inside quotes
        quoted, parts = False, []
        for letter in content:
            quoted ^= letter == '"'
            parts.append(letter + " " if letter == dialect.separator and not quoted else letter)
        content = "".join(parts)
    return content.encode(dialect.encoding)


def import_csv(content: bytes, home: Path, columns: dict[str, Any] | None = None) -> Prepared:
    info = add_file(content, "goods.csv", home, kind="table", target="label")
    return prepare(DataChoice(dataset=info.name, options=dict[str, Any](columns=columns or COLUMNS)), home)


def encode_csv(content: bytes, data: Prepared) -> dict[str, np.ndarray]:
    preprocess = json.loads(json.dumps(data.preprocess.to_json()))  # as exported
    return encode_rows(preprocess, read_rows(content, "goods.csv", preprocess).rows)


def assert_bitwise_equal(content: bytes, data: Prepared) -> None:
    arrays = encode_csv(content, data)
    assert arrays.keys() == data.inputs.keys()
    for name, array in arrays.items():
        assert array.tobytes() == data.inputs[name].numpy().tobytes(), name


@pytest.fixture(scope="module")
def plain_data(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Prepared]:
    """Data imported from a plain CSV file, with and without times of day."""
    home = tmp_path_factory.mktemp("home")
    return {dated: import_csv(write(rows(dated=dated), Writing()), home) for dated in (True, False)}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_csv_dialect_encodes_bitwise_equal_to_import(
    name: str, home: Path, plain_data: dict[bool, Prepared]
) -> None:
    """Import and prediction read the same file; or training reads the dialect and prediction a plain file; or the other
    way around, for a file written by another program."""
    dialect = DIALECTS[name]
    dated = dialect.dates == "iso" or ":" in dialect.dates
    table_rows = rows(dated=dated)
    data = import_csv(write(table_rows, replace(dialect, extra=False)), home)
    assert data.schema.rows == ROWS
    assert_bitwise_equal(write(table_rows, dialect), data)
    assert_bitwise_equal(write(table_rows, Writing()), data)
    assert_bitwise_equal(write(table_rows, dialect), plain_data[dated])


@pytest.mark.parametrize("filename", EXAMPLE_FILES)
def test_prediction_rows_encode_bitwise_equal_to_training(filename: str, home: Path) -> None:
    info = add_file(EXAMPLE_FILES[filename][0](), filename, home)
    data = prepare(DataChoice(dataset=info.name), home)
    raw_rows = [
        {name: np.asarray(value).tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in data.raw.rows(0, 3)
    ]
    contents = {"json": json.dumps(raw_rows), "jsonl": "\n".join(map(json.dumps, raw_rows))}
    for form, separator in (("csv", ","), ("tsv", "\t")):
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(raw_rows[0])
        writer.writerows(
            [json.dumps(cell) if isinstance(cell, list) else cell for cell in row.values()] for row in raw_rows
        )
        contents[form] = text.getvalue()
    for form, content in contents.items():
        preprocess = data.preprocess.to_json()
        arrays = encode_rows(preprocess, read_rows(content.encode(), f"rows.{form}", preprocess).rows)
        for name, array in arrays.items():
            assert array.tobytes() == data.inputs[name][:3].numpy().tobytes(), (form, name)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_records_hold_numbers_with_symbols_and_groups_as_files_do(form: str, home: Path) -> None:
    rows = [
        {"price": f"${1000 + index:,}", "share": f"{index}.5%", "size": f"{index},000,250.5", "label": "ab"[index % 2]}
        for index in range(40)
    ]
    lines = "\n".join(map(json.dumps, rows)).encode()
    content = lines if form == "jsonl" else pd.DataFrame(rows).to_csv(index=False).encode()
    data = prepare(DataChoice(dataset=add_file(content, f"goods.{form}", home, target="label").name), home)
    preprocess = data.preprocess.to_json()
    [features] = encode_rows(preprocess, read_rows(lines, "goods.jsonl", preprocess).rows).values()
    assert features.tobytes() == data.inputs["features"].numpy().tobytes()
    with pytest.raises(EncodeError, match="takes numbers, received '€5'"):
        encode_rows(preprocess, [{**rows[0], "price": "€5"}])


def test_lines_of_json_may_hold_other_line_separators(home: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"place": f"{'ab'[i % 2]}\u2028c\x85d", "size": i, "label": "xy"[i // 2 % 2]} for i in range(40)
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    data = prepare(DataChoice(dataset=add_file(lines, "places.jsonl", home, target="label").name), home)
    assert [data.raw.row(index)["place"] for index in range(40)] == [row["place"] for row in rows]
    preprocess = data.preprocess.to_json()
    assert read_rows(lines, "places.jsonl", preprocess).rows == [{**row, "size": float(row["size"])} for row in rows]
    broken = lines.replace(b'"size": 7,', b'"size" 7,')
    assert "line 8 is not a complete record" in import_error(broken, home, "places.jsonl")


@pytest.mark.parametrize("tokens", ["words", "characters", "bpe"])
def test_records_without_a_name_have_missing_values_as_in_training(tokens: str, home: Path) -> None:
    draw = random.Random(0)
    records: list[dict[str, Any]] = []
    for index in range(60):
        record = {
            "size": index,
            "place": {"town": "AB"[index % 2], "rooms": index % 7},
            "note": f"no {draw.choice(['good', 'bad'])} things to say about the number {draw.random()}",
            "label": "xy"[index // 2 % 2],
        }
        left_out = {3: ("size", "note"), 4: ("place",), 5: (), 6: ("note",)}.get(index % 9, ())
        records.append({name: value for name, value in record.items() if name not in left_out})
    records[5] |= {"place": None, "note": None}
    content = "\n".join(map(json.dumps, records)).encode()
    info = add_file(content, "places.jsonl", home, kind="table", target="label")
    options: dict[str, Any] = {"columns": {"note": {"kind": "text", "tokens": tokens}}}
    data = prepare(DataChoice(dataset=info.name, options=options), home)
    preprocess = json.loads(json.dumps(data.preprocess.to_json()))
    arrays = encode_rows(preprocess, read_rows(content, "places.jsonl", preprocess).rows)
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: values.numpy().tobytes() for name, values in data.inputs.items()
    }
    with pytest.raises(EncodeError, match="no column 'size'"):
        encode_rows(preprocess, read_rows(json.dumps(records[3]).encode(), "places.json", preprocess).rows)


@pytest.mark.parametrize("filename", ["people.jsonl", "numbers.tsv", "questions.csv", "stars.csv"])
def test_imported_file_is_a_valid_row_file(filename: str, home: Path) -> None:
    """With the file's column names, whatever the fields made from them are called."""
    content = EXAMPLE_FILES[filename][0]()
    data = prepare(DataChoice(dataset=add_file(content, filename, home).name), home)
    prediction_rows = read_rows(content, filename, data.preprocess.to_json()).rows
    assert len(prediction_rows) == data.schema.rows
    for name, array in encode_rows(data.preprocess.to_json(), prediction_rows).items():
        if name != DECODER_INPUT:
            assert array.tobytes() == data.inputs[name].numpy().tobytes(), name


def test_numeric_user_ids_are_read_as_numbers(home: Path) -> None:
    lines = ["user,item,rating", *(f"{index % 7},{index % 5}.0,{index % 4}" for index in range(60))]
    content = "\n".join(lines).encode()
    data = prepare(DataChoice(dataset=add_file(content, "stars.csv", home, kind="ratings").name), home)
    for file_content in (content, content.replace(b".0,", b","), b"item;user\n" + b"0,0;0\n1,0;1\n"):
        for name, array in encode_rows(
            data.preprocess.to_json(), read_rows(file_content, "x.csv", data.preprocess.to_json()).rows
        ).items():
            assert array.min() > 0, "all categories are known"
            assert array.tobytes() == data.inputs[name][: len(array)].numpy().tobytes(), name


# ---------------------------------------------------------------- single cells


CELLS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**19), 10**19).map(str),
    st.sampled_from(
        [*sorted(MISSING_MARKS), "inf", "-Infinity", "1e400", "1.", ".5", "+7", "007", "1_000", "0x10", "1e"]
    ),
    st.sampled_from(
        ["true", "TRUE", "yes", "no", "?", "-", " ", "١٢", "1,234.5", "12,000", "2024-05-31", "31.12.2024"]
    ),
    st.text("ab ,;\t|\"'\n\r.0é", max_size=6),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=3, max_size=12), st.sampled_from([",", ";", "\t", "|"]), st.booleans()
)
def test_arbitrary_cells_are_read_as_on_import(pairs: list[tuple[str, str]], separator: str, quoted: bool) -> None:
    """Arbitrary columns, which the import reads as numbers, dates, booleans or texts."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows([("first", "second", "third"), *((*pair, "x") for pair in pairs)])
    try:
        table, _ = read_table(text.getvalue().encode(), "text", "x.csv")
    except ValueError:
        return  # e.g. a single row of missing values
    if "column 1" in table or len(table) != len(pairs):
        return
    for name in ("first", "second"):
        values, notation = table[name], table.attrs.get("written", {}).get(name)
        if values.dtype.kind == "M":
            column: dict[str, Any] = {"type": "date", "form": notation}
        elif values.dtype.kind in "fiu":
            column = {"type": "number", "median": 0.0, "mean": 0.0, "std": 1.0, "grouped": notation == "grouped"}
        elif values.dtype.kind == "b":
            column = {"type": "category", "values": ["False", "True"], "logical": True}
        else:
            column = {"type": "category", "values": [], "logical": set(values.dropna()) <= {"True", "False"}}
        kind = column["type"]
        field = {"name": "all", "encoding": "table", "columns": [{"name": name, **column}]}
        if kind == "date":
            days = {"name": "days", "type": "number", "part": "days", "date": name, "form": notation}
            field["columns"] = [{**days, "mean": 0.0, "std": 1.0}]
        prediction_rows = read_rows(text.getvalue().encode(), "x.csv", {"fields": [field]}).rows
        for row, value in zip(prediction_rows, values, strict=True):
            missing = pd.isna(value)
            if kind == "number":
                same = row[name] is None if missing or abs(value) > 1e100 else row[name] == float(value)
            elif kind == "date":
                same = row[name] is None if missing else datetime.fromisoformat(row[name]) == value
            else:
                cell = row[name] and (row[name].capitalize() if column["logical"] else row[name])
                same = cell is None if missing else cell == str(value)
            assert same, (name, row[name], value, column)


@pytest.mark.parametrize("dtype", ["object", "string"])
def test_texts_beside_a_missing_cell_are_stripped(dtype: str) -> None:
    """pandas reads texts as objects before version 3."""
    assert strip_cells(pd.Series([" a", None, "b "], dtype=dtype)).dropna().tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("cell", "decimal", "grouped", "value"),
    [
        ("1.5", ".", False, 1.5), ("1,5", ",", False, 1.5), (" +7 ", ".", False, 7.0), ("1e-3", ".", False, 0.001),
        ("1.5", ",", False, None), ("1,5", ".", False, None), ("1_000", ".", False, None), ("0x10", ".", False, None),
        ("1,234.5", ".", True, 1234.5), ("1.234,5", ",", True, 1234.5), ("12,34", ".", True, None),
        ("TRUE", ".", False, 1.0), ("", ".", False, None), ("nan", ".", False, None),
    ],
)  # fmt: skip
def test_number_parsing_follows_decimal_and_grouping(
    cell: str, decimal: str, grouped: bool, value: float | None
) -> None:
    assert number(cell, decimal, grouped) == value


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("31.05.2024 13:05", "2024-05-31T13:05:00"),
        ("31.5.2024 9:05:07.25", "2024-05-31T09:05:07.250000"),
        ("31/05/2024 12:00 AM", "2024-05-31T00:00:00"),
        ("05/31/2024 12:30 p.m.", "2024-05-31T12:30:00"),
        ("05/31/2024 1:30:15 PM", "2024-05-31T13:30:15"),
        ("2024/05/31 13:30", "2024-05-31T13:30:00"),
        ("31.05.2024 24:00", None),
        ("05/31/2024 13:30 PM", None),
        ("05/31/2024 0:30 AM", None),
        ("31.05.2024 13", None),
    ],
)
def test_dates_of_numbers_can_have_a_time(cell: str, time: str | None) -> None:
    forms = date_forms([cell])
    times = [read.isoformat() for form in forms if (read := moment(cell, form))]
    assert times == ([f"{time}+00:00"] if time else [])


def test_date_forms_lists_ambiguous_formats() -> None:
    assert date_forms(["1.2.2024", "31.12.2023"]) == ["%d.%m.%Y"]
    assert date_forms(["1/2/2024", "31/12/2023"]) == ["%d/%m/%Y"]
    assert date_forms(["1/2/2024", "3/4/2024"]) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert date_forms(["1/2/2024", "2024-05-31"]) == []
    assert date_forms(["1/2/24", "3/4/24"]) == ["%d/%m/%y", "%m/%d/%y"]
    assert date_forms(["1/2/24", "31/12/2023"]) == []
    assert date_forms(["1.2.24", "10.4.12"]) == []  # versions
    assert moment("31/2/2024", "%d/%m/%Y") is None


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("31-May-2024", "2024-05-31"),
        ("31-May-24", "2024-05-31"),
        ("4 Jul 98", "1998-07-04"),
        ("31.05.24", "2024-05-31"),
        ("31-5-2024", "2024-05-31"),
        ("05-31-2024", "2024-05-31"),
        ("5/31/24", "2024-05-31"),
        ("31/5/69 13:00", "1969-05-31"),
        ("31 may 2024", "2024-05-31"),
        ("May 31, 2024", "2024-05-31"),
        ("Sept. 3 2024", "2024-09-03"),
        ("Jan 2020", "2020-01-01"),
        ("December-2020", "2020-12-01"),
        ("2020 Feb", "2020-02-01"),
        ("2020M07", "2020-07-01"),
        ("2020Q4", "2020-10-01"),
        ("2020-Q1", "2020-01-01"),
        ("Q3/2021", "2021-07-01"),
        ("2020W05", "2020-01-27"),
        ("W53 2020", "2020-12-28"),
    ],
)
def test_written_dates_and_periods_are_read_in_one_way(cell: str, date: str) -> None:
    """A period begins with its first day; the week of ISO 8601 with its Monday."""
    (form,) = date_forms([cell])
    read = moment(cell, form)
    assert read is not None
    assert read.date().isoformat() == date


@pytest.mark.parametrize(
    "cell",
    [
        "Jan", "Model 2020", "Maybe 2020", "Jane 2020", "2020Q5", "2020M13", "W54 2020", "31 Feb 2024", "7 2024",
        "1234M10", "4711Q2", "3000W12", "Q1 0500", "W53 2021",
    ],
)  # fmt: skip
def test_other_texts_with_a_year_are_no_dates(cell: str) -> None:
    assert date_forms([cell]) == []


# ---------------------------------------------------------------- reports and rejections


def import_goods(home: Path, dialect: Writing | None = None) -> Prepared:
    return import_csv(write(rows(dated=dialect is None), dialect or Writing()), home)


def read_edited_rows(data: Prepared, change: dict[int, dict[str, Any]], *names: str) -> RowFile:
    """The first rows of the file with other cells and, if given, only the columns `names`."""
    edited_rows = [{name: cell(value, Writing()) for name, value in row.items()} for row in rows()[:10]]
    for index, cells in change.items():
        edited_rows[index] |= cells
    selected_rows = [{name: row[name] for name in names or row} for row in edited_rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, selected_rows[0])
    writer.writeheader()
    writer.writerows(selected_rows)
    return read_rows(text.getvalue().encode(), "new.csv", data.preprocess.to_json())


def test_unknown_and_unreadable_cells_are_reported(home: Path) -> None:
    data = import_goods(home)
    row_file = read_edited_rows(
        data, {2: {"color": "blue"}, 3: {"size": "abc", "color": "blue", "code": "7"}, 4: {"when": "later"}}
    )
    assert [row_file.rows[index]["size"] for index in (3,)] == [None]
    assert row_file.unreadable[3:5] == [{"size": "abc"}, {"when": "later"}]
    unknown = unknown_categories(data.preprocess.to_json(), row_file.rows)
    assert unknown[2:4] == [{"color": "blue"}, {"color": "blue", "code": "7"}]
    assert not any(unknown[:2] + unknown[4:])
    answers = with_warnings(
        [{"prediction": index} for index in range(10)], unknown=unknown, unreadable=row_file.unreadable
    )
    assert answers[0] == {"prediction": 0}
    assert answers[3] == {
        "prediction": 3, "unknown": {"color": "blue", "code": "7"}, "unreadable": {"size": "abc"},
    }  # fmt: skip
    summary = summarize_warnings(answers)
    assert any(line.startswith("Column 'color': 2 of 10 rows") and "'blue' (2)" in line for line in summary)
    assert any(line.startswith("Column 'size': 1 of 10 rows") and "'abc'" in line for line in summary)
    assert len(summary) == 4


def test_missing_or_mistyped_column_is_rejected(home: Path) -> None:
    data = import_goods(home)
    with pytest.raises(EncodeError, match=r"^'new.csv' has no columns 'price', 'when'; it has 'size', 'count', 'code'"):
        read_edited_rows(data, {}, *(name for name in COLUMNS if name not in ("price", "when")))
    with pytest.raises(EncodeError, match="The column 'price' takes numbers, received 'a lot'"):
        read_edited_rows(data, {index: {"price": "a lot"} for index in range(10)})
    with pytest.raises(EncodeError, match="The column 'paid' takes yes or no, received 'maybe'"):
        read_edited_rows(data, {3: {"paid": "maybe"}})


def test_ambiguous_dates_follow_the_training_format(home: Path) -> None:
    dialect = Writing(dates="%d/%m/%Y")
    american = import_goods(home / "a", replace(dialect, dates="%m/%d/%Y"))
    for data, month in ((import_goods(home / "b", dialect), 4), (american, 3)):
        ((first, second),) = [
            [
                row["when"]
                for row in read_edited_rows(data, {index: {"when": "03/04/2023"} for index in range(10)}).rows[:2]
            ]
        ]
        assert first == second
        assert datetime.fromisoformat(str(first)).month == month
    with pytest.raises(EncodeError, match="can be read in two ways"):
        read_edited_rows(import_goods(home / "c"), {index: {"when": "03/04/2023"} for index in range(10)})


@pytest.mark.parametrize("written", ["%d.%m.%Y", "%d-%b-%Y", "%b %d, %Y", "%b %Y"])
def test_json_and_mixed_rows_have_dates_in_the_format_of_training(written: str, home: Path) -> None:
    """JSON as in the file that was added, and cells in ISO format beside others."""
    dates = [datetime(1600 + 10 * index, index % 12 + 1, 1) for index in range(40)]
    records = [{"when": date.strftime(written), "a": index % 7, "y": index / 3} for index, date in enumerate(dates)]
    content = "\n".join(map(json.dumps, records)).encode()
    data = prepare(DataChoice(dataset=add_file(content, "a.jsonl", home, target="y").name), home)
    mixed = pd.DataFrame(records)
    mixed.loc[3:30, "when"] = [date.date().isoformat() for date in dates[3:31]]
    (name,), preprocess = data.inputs, data.preprocess.to_json()
    for filename, rows_content in (("a.jsonl", content), ("a.csv", mixed.to_csv(index=False).encode())):
        file = read_rows(rows_content, filename, preprocess)
        assert not any(file.unreadable)
        assert encode_rows(preprocess, file.rows)[name].tobytes() == data.inputs[name].numpy().tobytes()
    mixed.loc[5, "when"] = "later"
    unreadable = read_rows(mixed.to_csv(index=False).encode(), "a.csv", preprocess).unreadable
    assert list(filter(None, unreadable)) == [{"when": "later"}]


def test_files_without_a_header_are_read(home: Path) -> None:
    lines = [f"{index % 7},{index * 0.37:.3f},{index % 3},{'yes' if index % 7 > 3 else 'no'}" for index in range(60)]
    info = add_file("\n".join(lines).encode(), "x.csv", home, target="column 4")
    data = prepare(DataChoice(dataset=info.name), home)
    for content in (lines, lines[5:6], [line.rpartition(",")[0] for line in lines[:9]]):
        row_file = read_rows("\n".join(content).encode(), "x.csv", data.preprocess.to_json())
        start = 5 if len(content) == 1 else 0
        assert len(row_file.rows) == len(content)
        array = encode_rows(data.preprocess.to_json(), row_file.rows)["features"]
        assert array.tobytes() == data.inputs["features"][start : start + len(content)].numpy().tobytes()
    reordered_lines = ["column 2,column 1,column 3", "0.37,1,1"]
    array = encode_rows(
        data.preprocess.to_json(),
        read_rows("\n".join(reordered_lines).encode(), "x.csv", data.preprocess.to_json()).rows,
    )["features"]
    assert array.tobytes() == data.inputs["features"][1:2].numpy().tobytes()
    assert has_no_header([["1", "2"], ["3", "4"]])


LOCALIZED = {  # each file, and the first row of its numbers
    "symbols": ("rate,price,label", lambda row: f'{row % 50}%,"${row % 9},{row:03}",{"ab"[row % 2]}', [2.0, 2_002.0]),
    "spaces between groups": (
        "rate;price;label",
        lambda row: f"{row} 250;{row} 250,5;{'ab'[row % 2]}",
        [2_250.0, 2_250.5],
    ),
    "narrow spaces": (
        "rate;price;label",
        lambda row: f"{row}\u202f250;{row}\u00a0250,5;{'ab'[row % 2]}",
        [2_250.0, 2_250.5],
    ),
    "apostrophes": (
        "rate,price,label",
        lambda row: f"{row}'250,CHF {row}\u2019250.5,{'ab'[row % 2]}",
        [2_250.0, 2_250.5],
    ),
    "groups of India": (
        "rate,price,label",
        lambda row: f'"{row % 9},23,456",{row / 4},{"ab"[row % 2]}',
        [223_456.0, 0.5],
    ),
    "codes and units": ("rate,price,label", lambda row: f"{row}.5 kg,{row} EUR,{'ab'[row % 2]}", [2.5, 2.0]),
    "signs": ("rate,price,label", lambda row: f"\u2212{row},($1.{row:02}),{'ab'[row % 2]}", [-2.0, -1.02]),
    "quoted decimal commas": ("a,b,label", lambda row: f'"{row},5","{row},25",{"xy"[row % 2]}', [2.5, 2.25]),
    "percentages with decimal commas": (
        "rate;price;label",
        lambda row: f"{row},5 %;{row},25;{'ab'[row % 2]}",
        [2.5, 2.25],
    ),
    "marks of spreadsheets": (
        "rate,price,label",
        lambda row: f"{row},{('#DIV/0!', row, '—')[row % 3]},{'ab'[row % 2]}",
        [2.0, None],
    ),
    "words for missing numbers": (
        "rate,price,label",
        lambda row: f"{row},{('na', row, 'Missing')[row % 3]},{'ab'[row % 2]}",
        [2.0, None],
    ),
    "marks": ("rate,price,label", lambda row: f"{row},{'?' if row % 3 else row},{'ab'[row % 2]}", [2.0, None]),
    "comment": ("# by a tool\n# 2, 3\nrate,price,label", lambda row: f"{row},{row / 4},{'ab'[row % 2]}", [2.0, 0.5]),
    "title": ("A report,,\n,,\nrate,price,label", lambda row: f"{row},{row / 4},{'ab'[row % 2]}", [2.0, 0.5]),
    "separator": ("sep=;\nrate;price;label", lambda row: f"{row};{row / 4};{'ab'[row % 2]}", [2.0, 0.5]),
    "number sign": ("#,price,label", lambda row: f"{row},{row / 4},{'ab'[row % 2]}", [2.0, 0.5]),
    "years of two digits": (
        "rate,day,label",
        lambda row: f"{row},{row % 12 + 1}/{row % 28 + 1}/{row % 30:02},{'ab'[row % 2]}",
        [2.0, 11_749.0, 3.0, 6.0],
    ),
    "decimal commas": ("rate;price;label", lambda row: f"{row},5;-{row}.250,25;{'ab'[row % 2]}", [2.5, -2_250.25]),
    "more decimal commas": ("a;b;label", lambda row: f"{row},5;{row},25;{row % 2},0", [2.5, 2.25]),
}


@pytest.mark.parametrize("kind", LOCALIZED)
def test_symbols_marks_and_lines_before_the_header_are_read_alike(kind: str, home: Path) -> None:
    header, line, expected = LOCALIZED[kind]
    text = "\n".join([header, *map(line, range(60))])
    data = prepare(DataChoice(dataset=add_file(text.encode(), "data.csv", home).name), home)
    assert data.schema.rows == 60
    assert list(data.row(2).values()) == expected
    for last in (None, -57):  # all rows, and a few
        lines = [header, *map(line, range(60))][: last or None]
        file = read_rows("\n".join(lines).encode(), "x.csv", data.preprocess.to_json())
        array = encode_rows(data.preprocess.to_json(), file.rows)["features"]
        assert array.tobytes() == data.inputs["features"][: len(array)].numpy().tobytes()
        assert file.unreadable == [{}] * len(array)


@pytest.mark.parametrize(
    ("text", "before", "separator", "decimal"),
    [
        ("a;b;c\n" + "1,5;2,5;3,5\n" * 9, 0, ";", ","),
        ("1,5;2,5;3,5\n" * 9, 0, ";", ","),
        ("id;text;label\n" + "3;this, that, and so on, too;yes\n4;well, no;no\n" * 5, 0, ";", "."),
        ("3;this, that, and so on, too;yes\n4;well, no;no\n" * 5, 0, ";", "."),
        ("Report of 2024\nid;text;label\n" + "3;this, that, and so on, too;yes\n4;well, no;no\n" * 5, 1, ";", "."),
        ("x,tags,y\n" + "1,a;b,2\n3,c,4\n" * 5, 0, ",", "."),
        ('x,text,y\n1,"a; b; c; d",2\n3,"e; f; g; h",4\n', 0, ",", "."),
        ("\t".join("abc") + "\n" + "1,5\t2,5\tx\n" * 9, 0, "\t", ","),
        ("x,y\n" + '"1,5",2\n"0,25",3\n' * 5, 0, ",", ","),
        ("x,y\n" + '"1,5",0.5\n"0,25",3\n' * 5, 0, ",", "."),  # a point is the decimal mark
        ("x,y\n" + '"1,5",2\n"1,2,3",3\n' * 5, 0, ",", "."),  # lists of labels
        ("x,y\n" + '"1,5",2\n"2,3",3\n' * 5, 0, ",", "."),  # can be lists of labels
    ],
)
def test_separators_are_inferred_beside_commas_in_numbers_and_texts(
    text: str, before: int, separator: str, decimal: str
) -> None:
    assert preamble_lines(text) == before
    dialect = infer_dialect(without_preamble(text))
    assert (dialect.separator, dialect.decimal) == (separator, decimal)


def test_other_symbols_are_unreadable_in_prediction(home: Path) -> None:
    rows = [f'{row / 100},"${row},000",{"ab"[row % 2]}' for row in range(1, 61)]
    text = "\n".join(["share,price,label", *rows])
    data = prepare(DataChoice(dataset=add_file(text.encode(), "data.csv", home).name), home)
    read = read_rows(b'share,price\n0.5,"$5,000"\n12%,5000\n0.5,5000%\n', "x.csv", data.preprocess.to_json())
    assert [(row["share"], row["price"]) for row in read.rows] == [(0.5, 5_000), (None, 5_000), (0.5, None)]
    assert read.unreadable == [{}, {"share": "12%"}, {"price": "5000%"}]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["12%", "3%"], True),
        (["$1,200", "$5"], True),
        (["-$5", "$7.25"], True),
        (["12%", "3"], False),  # a share beside a percentage would be 100 times too small
        (["$5", "€5"], False),
        (["1,5%", "2%"], False),  # a decimal comma beside commas that separate cells
        (["5 kg", "7 kg"], True),
        (["5 kg", "7 g"], False),
        (["2D", "3D"], False),
        (["030 123", "031 456"], False),  # the beginning of a telephone number
        (["1 234", "12 345"], True),
        (["1 23", "12 345"], False),
    ],
)
def test_columns_with_one_symbol_are_numbers(cells: list[str], numbers: bool) -> None:
    assert are_grouped(cells) is numbers


def test_numbers_as_pandas_writes_them_name_columns() -> None:
    rows = [["north", "3", "1.5", "2"], ["south", "4", "2.5", "1"]]
    assert not has_no_header([["", "2019", "2020", "2021"], *rows])
    assert not has_no_header([["", "142.24", "144.78", "147.32"], ["9.4", "0", "0", "1"], ["9.5", "1", "0", "2"]])
    assert not has_no_header([["", "0"], ["1821", "269"], ["1822", "321"]])  # a series of pandas without a name
    assert has_no_header([["", "1"], ["1821", "269"], ["1822", "321"]])
    assert not has_no_header([["0", "1", "2", "3"], ["5.1", "3.5", "1.4", "0"], ["4.9", "3.0", "1.4", "0"]])
    assert has_no_header([["0", "1", "2", "3"], ["5", "3", "1", "0"], ["4", "3", "1", "0"]])
    assert has_no_header([["", "2021", "2019", "2020"], *rows])
    assert has_no_header([["", "2019", "2020", "2021"], *rows, ["", "1", "2", "3"]])  # an empty cell is a missing value


@pytest.mark.parametrize("first", ["0,1,2,3", ",19,20,21"])
def test_networks_without_column_names_read_such_numbers_as_a_row(first: str, home: Path) -> None:
    lines = [f"{i / 7:.3f},{i % 5},{i * 2.5},{i % 2}" for i in range(40)]
    data = prepare(DataChoice(dataset=add_file("\n".join(lines).encode(), "a.csv", home).name), home)
    rows = read_rows("\n".join([first, *lines]).encode(), "a.csv", data.preprocess.to_json()).rows
    assert (len(rows), rows[0]["column 3"], rows[1]["column 2"]) == (41, float(first.split(",")[2]), 0.0)


def test_header_differs_from_a_pair_of_sentences_without_punctuation() -> None:
    pairs = [["the old dog", "der alte Hund"], ["the cat", "der Hund"], ["old", "alte"], ["the dog", "der Hund"]]
    assert has_no_header(pairs)
    assert not has_no_header([["text to translate", "the answer"], *pairs])
    assert not has_no_header([["text", "translation"], *pairs])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"size,price\n1,2\n1,2,3\n", "line 3 has 3 cells where 2 were expected"),
        (b"size,price\n", "has no rows"),
        (b" \n", "is empty"),
        (b"size\x00,price\n1,2\n", "NUL character in line 1"),
        (bytes(range(256)), "is not UTF-8 text"),
        (b'[{"size": 1}, 2]', "row 2 of 'new.csv' is not one"),
        (b"[[" * 100_000, "nested too deeply"),
    ],
)
def test_unreadable_row_file_is_rejected_with_a_message(content: bytes, message: str) -> None:
    size = {"name": "size", "type": "number", "median": 0.0, "mean": 0.0, "std": 1.0}
    preprocess = {"fields": [{"name": "all", "encoding": "table", "columns": [size]}]}
    name = "new.csv" if content[:1] not in b"[{" else "new.json"
    with pytest.raises(FileError) as caught:
        read_rows(content, name, preprocess)
    assert message.replace("new.csv", name) in str(caught.value)


STEPS = {
    "fields": [
        {"name": "series", "encoding": "series", "shape": [3, 2], "mean": [0, 0], "std": [1, 1], "channels": ["b", "a"]}
    ]
}


def test_last_time_steps_of_a_file_are_a_row() -> None:
    text = "time;a;b\n" + "".join(f"{step};{step},5;{10 * step}\n" for step in range(5))
    file = read_rows(text.encode(), "a.csv", STEPS)
    assert file.rows == [{"series": [[20, 2.5], [30, 3.5], [40, 4.5]]}]
    as_cell = read_rows(b'series\n"[[20, 2.5], [30, 3.5], [40, 4.5]]"\n', "a.csv", STEPS)
    assert as_cell.rows == file.rows


def test_symbols_and_groups_of_digits_in_time_steps_are_read_as_in_training(home: Path) -> None:
    days = [f"{datetime(2024, 1, 1) + timedelta(days=day):%Y-%m-%d}" for day in range(60)]
    lines = [f'{day},{index}.5%,"$1,{index:03}"' for index, day in enumerate(days)]
    content = "\n".join(["day,share,price", *lines]).encode()
    options: dict[str, Any] = {"target": ["price"], "values": ["share"], "window": 2}
    info = add_file(content, "shares.csv", home, kind="series", options=options)
    preprocess = prepare(DataChoice(dataset=info.name), home).preprocess.to_json()
    file = read_rows(content, "shares.csv", json.loads(json.dumps(preprocess)))
    assert file.rows == [{"series": [[1058, 58.5], [1059, 59.5]]}]


def test_time_steps_of_a_spreadsheet_are_a_row() -> None:
    steps = {"fields": [{**STEPS["fields"][0], "time": "time"}]}
    records = [
        {"time": f"2024-03-{5 - step:02}T00:00:00.000", "a": 4 - step, "b": 10 * (4 - step)} for step in range(5)
    ]
    file = read_rows(json.dumps(records).encode(), "a.xlsx.json", steps)
    assert file.rows == [{"series": [[20, 2], [30, 3], [40, 4]]}]
    as_field = read_rows(json.dumps([{"series": [[1, 2]] * 3}, {"series": [[1, 2]] * 3}]).encode(), "a.json", steps)
    assert len(as_field.rows) == 2


@pytest.mark.parametrize(
    ("times", "odd"),
    [
        (["05/01/2024", "04/01/2024", "03/01/2024", "02/01/2024", "01/01/2024"], "05/01/2024"),
        (["May 2024", "Apr 2024", "Total", "Mar 2024", "Feb 2024"], "Total"),
        (["1", "2", "3", "x", "4"], "x"),
    ],
)
def test_times_that_cannot_be_ordered_are_refused(times: list[str], odd: str) -> None:
    steps = {"fields": [{**STEPS["fields"][0], "time": "time"}]}
    lines = "".join(f"{time},{index},{index}\n" for index, time in enumerate(times))
    with pytest.raises(EncodeError, match=f"The times in 'time', such as '{odd}', cannot be put in order; write all"):
        read_rows(f"time,a,b\n{lines}".encode(), "a.csv", steps)


@pytest.mark.parametrize(
    "times",
    [
        ["5", "4", "3", "2", "1"],
        ["2024-03-05", "2024-03-04", "2024-03-03", "2024-03-02", "2024-03-01"],
        ["14.02.2024", "13.02.2024", "01.02.2024", "31.01.2024", "30.01.2024"],
    ],
)
def test_time_steps_of_a_file_are_ordered_as_in_training(times: list[str]) -> None:
    steps = {"fields": [{**STEPS["fields"][0], "time": "time"}]}
    lines = [f"{time};{4 - step};{10 * (4 - step)}\n" for step, time in enumerate(times)]
    file = read_rows(f"time;a;b\n{''.join(lines)}".encode(), "a.csv", steps)
    assert file.rows == [{"series": [[20, 2], [30, 3], [40, 4]]}]
    repeated = read_rows(f"time;a;b\n{''.join([*lines, f'{times[2]};9;9', chr(10)])}".encode(), "a.csv", steps)
    assert repeated.rows == [{"series": [[9, 9], [30, 3], [40, 4]]}]


def test_missing_numbers_of_time_steps_are_filled_as_in_training() -> None:
    file = read_rows(b"a,b\n9,7\n,8\n3,\n4,5\n", "a.csv", STEPS)
    assert file.rows == [{"series": [[8, 9], [8, 3], [5, 4]]}]
    assert file.notes[1:] == [
        "1 missing value of 'b' in these steps is filled with the last value before, as in training.",
        "1 missing value of 'a' in these steps is filled with the last value before, as in training.",
    ]
    assert read_rows(b"a,b\n,7\n2,8\n3,9\n", "a.csv", STEPS).rows == [{"series": [[7, 2], [8, 2], [9, 3]]}]
    records = [{"a": 9, "b": 7}, {"b": 8}, {"a": 3}, {"a": 4, "b": float("nan")}]
    assert read_rows(json.dumps(records).encode(), "a.json", STEPS).rows == [{"series": [[8, 9], [8, 3], [8, 4]]}]


def test_gaps_in_a_window_are_filled_as_in_training() -> None:
    windows = [[[None, 9], [8, None], [7, 3]], [[8, 9], [8, 9], [7, 3]]]
    with_gaps, filled = (encode_rows(STEPS, [{"series": window}])["series"] for window in windows)
    assert np.array_equal(with_gaps, filled)
    for value, message in ((None, "without a single number"), (float("inf"), "finite numbers")):
        with pytest.raises(EncodeError, match=message):
            encode_rows(STEPS, [{"series": [[value, 1], [value, 2], [value, 3]]}])
    whole_series = {"fields": [{**STEPS["fields"][0], "channels": []}]}
    with pytest.raises(EncodeError, match="finite numbers"):
        encode_rows(whole_series, [{"series": windows[0]}])


@pytest.mark.parametrize("series", ["shop", "series"])
def test_the_file_of_a_run_on_several_series_has_a_row_for_each(home: Path, series: str) -> None:
    """The ID can also have the name of the field."""
    days = [f"{datetime(2024, 1, 1) + timedelta(days=day):%Y-%m-%d}" for day in range(60)]
    starts = (("ö", 0), ("b", 500))
    lines = [f"{name},{day},{start + index}" for index, day in enumerate(days) for name, start in starts]
    header = f"{series},day,sales"
    options: dict[str, Any] = {"target": ["sales"], "series": series, "window": 2}
    content = "\n".join([header, *lines]).encode()
    info = add_file(content, "shops.csv", home, kind="series", options=options)
    preprocess = json.loads(json.dumps(prepare(DataChoice(dataset=info.name), home).preprocess.to_json()))
    file = read_rows("\n".join([header, *lines, "c,2024-01-01,3"]).encode(), "shops.csv", preprocess)
    assert [row["series"] for row in file.rows] == [[[58], [59]], [[558], [559]]]
    assert (file.names, file.name_column) == (["ö", "b"], series)
    answers = file.annotated([{"prediction": 60.0}, {"prediction": 560.0}])
    assert answers == [{series: "ö", "prediction": 60.0}, {series: "b", "prediction": 560.0}]
    assert file.notes == [
        f"The last 2 time steps of each of 2 series in '{series}' are the input, in the order of 'day'.",
        "Left out 1 series with fewer than 2 time steps, such as 'c'.",
    ]
    records = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    assert read_rows(json.dumps(records).encode(), "a.json", preprocess).rows == file.rows
    unnamed = read_rows("\n".join(["day,sales", *(f"{day},7" for day in days)]).encode(), "a.csv", preprocess)
    assert unnamed.rows == [{"series": [[7], [7]]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "1 time steps, but the network reads 3"),
        ("a,b\n1,2\n3,x\n4,5\n", "Line 3 of 'a.csv' has no number in column 'b', but 'x'; correct it."),
        ("a,b\n1,\n3,\n4,\n", "'a.csv' has no numbers in the column 'b'"),
        ("a,c\n1,2\n", "has no column 'b'; it has 'a', 'c'. It needs the columns of the series with one time step"),
    ],
)
def test_incomplete_time_steps_are_refused(text: str, message: str) -> None:
    with pytest.raises(EncodeError, match=re.escape(message)):
        read_rows(text.encode(), "a.csv", STEPS)


def test_records_without_a_column_of_the_series_are_refused_by_its_name() -> None:
    with pytest.raises(EncodeError, match=r"The file has no column 'b'; it has 'a', 'day'. It needs the columns"):
        read_rows(b'[{"a": 1, "day": 2}, {"a": 2}, {"a": 3}]', "a.json", STEPS)
    with pytest.raises(EncodeError, match="The row has no column 'series'"):
        encode_rows(STEPS, read_rows(b'[{"x": 1}, {"x": 2}]', "a.json", STEPS).rows)


def test_missing_values_of_a_single_column_are_rows() -> None:
    column = {"name": "size", "type": "number", "median": 0.0, "mean": 0.0, "std": 1.0}
    preprocess = {"fields": [{"name": "all", "encoding": "table", "columns": [column]}]}
    content = pd.DataFrame({"size": [1.0, None, 3.0]}).to_csv(index=False)
    assert '""' in content
    assert [row["size"] for row in read_rows(content.encode(), "a.csv", preprocess).rows] == [1, None, 3]
    assert [row["size"] for row in read_rows(b"size\n1\n\n  \n3\n", "a.csv", preprocess).rows] == [1, 3]


@pytest.mark.parametrize("content", [b'""', b'""\n""', b'"'])
def test_a_file_of_quotes_has_no_rows(content: bytes) -> None:
    with pytest.raises(FileError, match="no rows"):
        read_rows(content, "quotes.csv", {"fields": []})


def json_layouts() -> dict[str, str]:
    """The same table as JSON in each layout."""
    frame = pd.DataFrame(
        {"a": [index / 7 for index in range(30)], "b": ["x", "y", "z"] * 10, "label": ["left", "right"] * 15}
    )
    records = frame.to_dict("records")
    layouts = {orient: frame.to_json(orient=orient) for orient in ("records", "split", "index", "columns", "table")}
    return {
        **layouts,
        "lists by name": json.dumps(frame.to_dict("list")),
        "records under a name": json.dumps({"version": 1, "rows": records}),
        "parts of a split": json.dumps({"train": records[:20], "validation": records[20:25], "test": records[25:]}),
        "parts with numbered records": json.dumps(
            {"train": dict(enumerate(records[:15])), "test": dict(enumerate(records[15:]))}
        ),
        "blanks around names": json.dumps([{f" {name} ": cell for name, cell in row.items()} for row in records]),
    }


@pytest.mark.parametrize("layout", json_layouts())
def test_a_run_reads_its_own_json_file_in_each_layout(layout: str, home: Path) -> None:
    content = json_layouts()[layout].encode()
    data = prepare(DataChoice(dataset=add_file(content, "a.json", home, target="label").name), home)
    preprocess = data.preprocess.to_json()
    file = read_rows(content, "a.json", preprocess)
    assert len(file.rows) == 30
    assert encode_rows(preprocess, file.rows)["features"].tobytes() == data.inputs["features"].numpy().tobytes()


def test_rows_of_lists_have_numbered_columns(home: Path) -> None:
    cells = [[index / 7, "xyz"[index % 3], index % 2] for index in range(30)]
    content = json.dumps(cells).encode()
    data = prepare(DataChoice(dataset=add_file(content, "a.json", home, target="3").name), home)
    preprocess = data.preprocess.to_json()
    encoded = encode_rows(preprocess, read_rows(content, "a.json", preprocess).rows)
    assert encoded["features"].tobytes() == data.inputs["features"].numpy().tobytes()


def test_a_record_with_lists_or_objects_stays_a_record() -> None:
    columns = [
        {"name": "tags", "type": "set", "separator": "|", "values": ["u", "v"]},
        {"name": "place.x", "type": "number", "median": 0.0, "mean": 0.0, "std": 1.0},
    ]
    preprocess = {"fields": [{"name": "all", "encoding": "table", "columns": columns}]}
    file = read_rows(b'{"tags": ["u", "v"], "place": {"x": 2}, "other": {"1": 2}}', "a.json", preprocess)
    assert file.is_single
    assert encode_rows(preprocess, file.rows)["all"].tolist() == [[1, 1, 2]]
    only_set = {"fields": [{"name": "all", "encoding": "table", "columns": columns[:1]}]}
    assert read_rows(b'{"tags": ["u", "v"]}', "a.json", only_set).rows == [{"tags": ["u", "v"]}]


def test_a_run_reads_its_own_file_in_other_formats(home: Path) -> None:
    header = "@relation x\n@attribute a numeric\n@attribute b {x,y,z}\n@attribute label {left,right}\n@data\n"
    lines = [f"{index / 7},{'xyz'[index % 3]},{'left' if index % 2 else 'right'}" for index in range(30)]
    arff = (header + "\n".join(lines)).encode()
    packed = gzip.compress("\n".join(["a,b,label", *lines]).encode())
    for content, name in ((arff, "a.arff"), (packed, "a.csv.gz")):
        data = prepare(DataChoice(dataset=add_file(content, name, home, target="label").name), home)
        preprocess = data.preprocess.to_json()
        encoded = encode_rows(preprocess, read_batch(content, name, preprocess).rows)
        assert encoded["features"].tobytes() == data.inputs["features"].numpy().tobytes()


def test_a_text_file_is_a_row_of_a_network_that_reads_a_text_alone() -> None:
    text = {"name": "text", "encoding": "words", "vocabulary": ["", "?", "win"], "length": 4, "column": "message"}
    content = "Win £100, now!\nCall 80082\n"
    file = read_batch(content.encode(), "a.txt", {"fields": [text]})
    assert (file.rows, file.is_single) == ([{"text": content}], True)
    assert file.notes == ["'a.txt' is read as one text, as its first line does not name the column 'message'."]
    with pytest.raises(DataError, match="line 3 has 3 cells where 2 were expected"):
        read_batch(b"message,id\nWin,1\nCall, now,2\n", "a.txt", {"fields": [text]})
    assert read_batch(b"Hello, you\nCall, now, please\n", "a.txt", {"fields": [text]}).is_single
    assert read_batch(b"message\nWin\nCall\n", "a.txt", {"fields": [text]}).rows == [
        {"message": "Win"},
        {"message": "Call"},
    ]
    for name, fields in (("a.csv", [text]), ("a.txt", [text, {**text, "name": "other", "column": "other"}])):
        with pytest.raises(DataError, match=r"has no columns? 'message'"):
            read_batch(content.encode(), name, {"fields": fields})
    with pytest.raises(DataError, match="is empty"):
        read_batch(b" \n", "a.txt", {"fields": [text]})
