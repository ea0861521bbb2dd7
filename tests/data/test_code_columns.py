"""Columns of codes that begin with 0: as numbers, 01 and 1 would be one class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netloom.core.plain_json import JsonObject
from netloom.data import add_file, prepare
from netloom.data.tables.code_columns import are_codes
from netloom.data.tables.row_file import read_rows
from netloom.data.tables.streamed_text import StreamedText
from netloom.document import DataChoice
from netloom.modalities.encoding.rows import encode_rows
from tests.data.brought import bars, png
from tests.data.crafted import make_csv, make_zip

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


@pytest.mark.parametrize("encode", ["onehot", "index"])
def test_numbers_are_the_codes_that_lost_their_zeros(encode: str, home: Path) -> None:
    rows = (f"{('007', '1200', '0300', '05', '5')[i % 5]},{i % 3},{'ab'[i % 2]}" for i in range(60))
    info = add_file(make_csv("code,size,label", rows), "codes.csv", home, options={"target": "label"})
    options: dict[str, Any] = {"columns": {"code": {"kind": "category", "encode": encode}}}
    preprocess = prepare(DataChoice(dataset=info.name, options=options), home).preprocess.to_json()

    def encoded(*codes: object) -> list[bytes]:
        rows: list[dict[str, object]] = [{"code": code, "size": 1} for code in codes]
        return [b"".join(array.tobytes() for array in encode_rows(preprocess, [row]).values()) for row in rows]

    assert encoded(7, 300.0, 1200.0, 5) == encoded("007", "0300", "1200", "5")
    # A text is taken as it is, 8 is unknown, and 5.0 may be 05 or 5
    assert encoded("7", 8, 5.0, True) == encoded("other", "other", "other", "other")


def test_large_files_keep_codes(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_bytes(TABLE)
    (chunk, *_) = StreamedText(file, "codes.csv").chunks(None, lambda *progress: None)
    assert list(chunk["label"][:3]) == ["01", "1", "02"]
    assert list(chunk["month"][:3]) == [1, 2, 12]


class TestTwoDigits:
    """Numbers such as 01 to 12 are numbers as features; names of classes and files are the texts of the file."""

    ROWS = "\n".join(["month,size,class", *(f"{i % 12 + 1:02d},{i % 7}.5,{i % 11:02d}" for i in range(110))])

    def test_classes_keep_their_zeros(self, home: Path) -> None:
        info = add_file(self.ROWS.encode(), "months.csv", home, options={"target": "class"})
        data = prepare(DataChoice(dataset=info.name), home)
        assert data.schema.target.classes == tuple(f"{number:02d}" for number in range(11))
        columns = {column.name: column.state.type for field in data.fields for column in field.columns}
        assert columns == {"month": "number", "size": "number"}

    def test_labels_and_several_targets_keep_their_zeros(self, home: Path) -> None:
        several: JsonObject = {"size": {"role": "target"}}
        for task, columns in (("multi_label", {}), ("several_outputs", several)):
            options: JsonObject = {"target": "class", "task": task, "columns": columns}
            info = add_file(self.ROWS.encode(), f"{task}.csv", home, options=options)
            target = prepare(DataChoice(dataset=info.name), home).schema.target
            classes = target.classes or next(part.classes for part in target.parts if part.classes)
            assert classes[:3] == ("00", "01", "02"), task

    def test_files_without_a_leading_zero_are_joined(self, home: Path) -> None:
        header, *rows = self.ROWS.splitlines()
        large = [row for row in rows if row.endswith("10")]
        files = {
            "train.csv": "\n".join([header, *rows]).encode(),
            "test.csv": "\n".join([header, *large, *large]).encode(),
        }
        info = add_file(files, "joined", home, options={"target": "class"})
        classes = prepare(DataChoice(dataset=info.name), home).schema.target.classes
        assert classes == tuple(f"{number:02d}" for number in range(11))

    def test_large_files_keep_them(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.0005")
        info = add_file(self.ROWS.encode(), "large.csv", home, options={"target": "class"})
        assert prepare(DataChoice(dataset=info.name), home).schema.target.classes[:2] == ("00", "01")

    def test_tables_name_files_with_zeros(self, home: Path) -> None:
        rows = [f"{number:02d},{'even' if number % 2 == 0 else 'odd'}" for number in range(40)]
        pictures = {f"pictures/{number:02d}.png": png(pixels) for number, pixels in enumerate(bars(40)[0])}
        content = make_zip({**pictures, "labels.csv": make_csv("file,label", rows)})
        info = add_file(content, "pictures.zip", home)
        data = prepare(DataChoice(dataset=info.name), home)
        assert len(data.target) == 40
        assert data.schema.target.classes == ("even", "odd")
