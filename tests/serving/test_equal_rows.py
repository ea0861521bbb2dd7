"""The same rows in a file and in requests of all formats: the same predictions, or the same refusal."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pandas as pd
import pytest

from netloom.core.errors import DataError
from netloom.data import add_file
from netloom.data.tables.raw_rows import with_warnings
from netloom.document import DataChoice, updated
from netloom.runs import fit_here
from netloom.runs.prediction.batch_prediction import predict_rows
from netloom.sandbox import read_batch
from netloom.serving.schemas import row_schema
from netloom.templates import templates
from netloom.templates.starting import fit
from tests.serving.asgi import Application

ROW = {"size": 2.5, "town": "Köln", "day": "05.03.2024", "paid": "yes", "code": 2}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    home = tmp_path_factory.mktemp("equal")
    towns = ("Köln", "Bonn", "Ulm")
    lines = [
        f"{'' if index % 9 == 4 else index / 7},{towns[index % 3] if index % 10 else ''},{index % 27 + 1:02}.03.2024,"
        f"{'yes' if index % 2 else 'no'},{index % 4},{'a' if index % 5 > 2 else 'b'}"
        for index in range(80)
    ]
    info = add_file("\n".join(["size,town,day,paid,code,label", *lines]).encode(), "a.csv", home, target="label")
    columns: dict[str, Any] = {"paid": {"kind": "boolean"}, "code": {"kind": "category"}}
    data = DataChoice(dataset=info.name, options={"columns": columns})
    fitted = fit(templates()["breast_cancer"].project, data, "Rows", home)
    assert fitted is not None
    training = updated(fitted.project.training, {"epochs": 1})
    return Application(home, fit_here(fitted.project.model_copy(update={"training": training}), home))


def by_file(application: Application, content: bytes, name: str) -> Any:
    """The answers of `netloom predict`, or its refusal."""
    trained = application.model.trained
    try:
        file = read_batch(content, name, trained.preprocess.to_json())
        return with_warnings(predict_rows(trained, file.rows), unreadable=file.unreadable)
    except DataError as error:
        return str(error)


def posted(application: Application, body: Any, path: str = "/predict", kind: str = "application/json") -> Any:
    reply = application.post(path, body if isinstance(body, bytes) else json.dumps(body).encode(), content_type=kind)
    value = reply.value
    return value.get("predictions", value.get("error", value)) if isinstance(value, dict) else value


def as_csv(records: list[dict[str, Any]]) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for record in records for name in record)))
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue().encode()


def as_json(application: Application, records: list[dict[str, Any]]) -> list[Any]:
    """What each format of JSON gives."""
    names = list(dict.fromkeys(name for record in records for name in record))
    split = {"columns": names, "data": [[record.get(name) for name in names] for record in records]}
    return [
        by_file(application, json.dumps(records).encode(), "a.json"),
        posted(application, records),
        posted(application, {"dataframe_records": records}, "/invocations"),
        posted(application, {"dataframe_split": split}, "/invocations"),
    ]


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name not in names}


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "size": None, "town": None, "day": None, "paid": None, "code": None},
        {**ROW, "size": float("nan")},
        {**ROW, "size": "2.5", "code": "2", "paid": True},
        {**ROW, "size": " 2.5 ", "town": " Köln ", "day": "2024-03-05", "code": 2.0},
        {**ROW, "size": "NaN", "town": "NA", "day": "n/a"},
        {**ROW, "size": "about 3"},
        {**ROW, "size": "inf"},
        {**ROW, "size": 1e200},
        {**ROW, "day": "tomorrow"},
        {**ROW, "town": "Rom", "code": 7},
        {**ROW, "more": {"x": 1}},
        without("size", "day"),
    ],
)
def test_files_and_requests_give_equal_answers(application: Application, row: dict[str, Any]) -> None:
    records = [ROW, row]
    expected = by_file(application, as_csv(records), "a.csv")
    assert isinstance(expected, list), expected
    assert as_json(application, records) == [expected] * 4
    assert posted(application, as_csv(records), kind="text/csv") == expected


def test_dates_in_another_format_are_read_where_it_is_clear(application: Application) -> None:
    records = [{**ROW, "day": day} for day in ("3/5/2024", "3/27/2024")]
    as_iso = [{**ROW, "day": day} for day in ("2024-03-05", "2024-03-27")]
    expected = by_file(application, as_csv(as_iso), "a.csv")
    assert as_json(application, records) == [expected] * 4


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([ROW, {"other": 1}], "Row 2: The row has no column 'size'"),
        ([without("town")], "The row has no column 'town'"),
        ([{**ROW, "size": "large"}], "The column 'size' takes numbers, received 'large'"),
        ([ROW, {**ROW, "paid": "maybe"}], "Row 2: The column 'paid' takes yes or no, received 'maybe'"),
        ([ROW, 3], "A row is an object with a value for each column; row 2 of"),
    ],
)
def test_files_and_requests_refuse_the_same_rows(application: Application, records: list[Any], message: str) -> None:
    assert message in by_file(application, json.dumps(records).encode(), "a.json")
    assert message in posted(application, records)


def test_numbers_of_a_parquet_file_have_all_digits(application: Application) -> None:
    sizes = [1.2345678901234568e-10, 1 / 3, 123456.78901234567]
    records = [{**ROW, "size": size, "code": 2} for size in sizes]
    stream = io.BytesIO()
    pd.DataFrame(records).to_parquet(stream)
    trained = application.model.trained
    file = read_batch(stream.getvalue(), "a.parquet", trained.preprocess.to_json())
    assert [row["size"] for row in file.rows] == sizes


def test_the_example_fits_its_schema(application: Application) -> None:
    example = application.model.example
    jsonschema.validate(example, row_schema(application.model))
    assert isinstance(example["paid"], bool)
    assert posted(application, example) == posted(application, {**example, "paid": float(example["paid"])})
