"""Columns of codes that begin with 0: as numbers, 01 and 1 would be one class."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data import add_file, prepare
from netloom.data.tables.code_columns import are_codes
from netloom.data.tables.row_file import read_rows
from netloom.data.tables.streamed_text import StreamedText
from netloom.document import DataChoice

CELLS = [("01067", "01", "01", "0.5"), ("1067", "1", "02", "1"), ("20095", "02", "12", "07.5")] * 20
TABLE = "\n".join(["code,label,month,size", *map(",".join, CELLS)]).encode()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["01", "1", "02"], True),
        (["01067", "20095", "NA", ""], True),
        (["007", "1234567"], True),
        (["01", "02", "12"], False),  # months
        (["0", "1", "10"], False),
        (["0.5", "012.5"], False),
        (["-01", "002"], False),
        (["", "NA"], False),
    ],
)
def test_codes(cells: list[str], expected: bool) -> None:
    assert are_codes(cells) is expected


def test_codes_stay_apart_in_classes_categories_and_predicted_rows(home: Path) -> None:
    info = add_file(TABLE, "codes.csv", home, options={"target": "label"})
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.schema.target.classes == ("1", "01", "02")
    columns = {column.name: column for field in data.fields for column in field.columns}
    assert columns["code"].state.type == "category"
    assert {columns[name].state.type for name in ("month", "size")} == {"number"}
    rows = read_rows(b"code,month,size\n01067,1,2\n1067,01,2\n", "new.csv", data.preprocess.to_json()).rows
    assert [row["code"] for row in rows] == ["01067", "1067"]
    assert rows[0]["month"] == rows[1]["month"] == 1
    encoded = [columns["code"].encode([row]).tolist() for row in rows]
    assert encoded[0] != encoded[1]


def test_large_files_keep_codes(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_bytes(TABLE)
    (chunk, *_) = StreamedText(file, "codes.csv").chunks(None, lambda *progress: None)
    assert list(chunk["label"][:3]) == ["01", "1", "02"]
    assert list(chunk["month"][:3]) == [1, 2, 12]
