"""The encoder module of an exported network: it runs on its own and rejects invalid input."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import DataError, Prepared
from netloom.data.builtin_registry import builtin
from netloom.export.archive import packages, python, sources
from netloom.modalities.encoding.cells import EncodeError, date_part
from netloom.modalities.encoding.rows import encode, encode_rows
from netloom.modalities.encoding.tokenization import words
from tests.data.samples import (
    builtin_data,
    class_images,
    csv_from_columns,
    example_columns,
    import_and_prepare,
    make_deflated_zip,
)

ALONE = """
import builtins, json, sys
sys.path.insert(0, sys.argv[1])
allowed, real = set(sys.stdlib_module_names) | {"numpy", "encoding"}, builtins.__import__
def limited(name, globals=None, locals=None, fromlist=(), level=0):
    asking = (globals or {}).get("__name__", "")
    if not asking.startswith("numpy") and level == 0 and name.partition(".")[0] not in allowed:
        raise ImportError(name)
    return real(name, globals, locals, fromlist, level)
builtins.__import__ = limited
from encoding.rows import encode
request = json.load(sys.stdin)
arrays = encode(request["preprocess"], request["row"])
assert not {"torch", "pandas", "netloom"} & set(sys.modules)
print(json.dumps({name: [str(array.dtype), array.tolist()] for name, array in arrays.items()}))
"""


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the encoders as exported."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "encoding").mkdir()
    for source_file in (*packages(), *sources()):
        (folder / source_file.path).write_text(python(source_file.package, source_file.name), encoding="utf-8")
    return folder


def _encode_in_isolation(package: Path, data: Prepared, row: int) -> dict[str, np.ndarray]:
    request = json.dumps({"preprocess": data.preprocess.to_json(), "row": _plain(data.row(row))}, allow_nan=False)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(package)], input=request, capture_output=True, text=True, check=True
    )
    return {name: np.array(values, dtype=kind) for name, (kind, values) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", ["digits", "wine", "sine", "intents", "tales"])
def test_exported_encoder_runs_without_torch_or_netloom(package: Path, name: str) -> None:
    data = builtin_data(name)
    for field, array in _encode_in_isolation(package, data, 3).items():
        assert array.dtype == data.inputs[field].numpy().dtype
        assert np.array_equal(array[0], data.inputs[field][3].numpy())


@pytest.mark.parametrize("name", [*builtin(), "table", "pictures"])
def test_preprocessing_state_round_trips_through_json(home: Path, name: str) -> None:
    if name == "table":
        data = import_and_prepare(
            csv_from_columns(example_columns(when=["2024-05-31", "", "2023-01-01T12:30:00", "1969-02-03"] * 20)), home
        )
    elif name == "pictures":
        data = import_and_prepare(make_deflated_zip(class_images()), home, "pictures.zip", size=9)
    else:
        data = builtin_data(name)
    stored = json.loads(json.dumps(data.preprocess.to_json(), allow_nan=False))
    rows = json.loads(json.dumps([_plain(data.row(row)) for row in range(8)], allow_nan=False))
    for field, array in encode_rows(stored, rows).items():
        assert np.array_equal(array, data.inputs[field][:8].numpy())


def test_table_encodes_csv_strings_like_typed_values(home: Path) -> None:
    data = import_and_prepare(csv_from_columns(example_columns(flag=["True", "False"] * 40)), home)
    typed = data.encode({"size": 1.5, "kind": "a", "flag": True})
    texts = data.encode({"size": " 1.5 ", "kind": "a", "flag": "true"})
    assert typed["features"].tolist() == texts["features"].tolist()
    missing = [data.encode({"size": cell, "kind": "a", "flag": 1})["features"].tolist() for cell in ("", "NA", None)]
    assert missing[0] == missing[1] == missing[2]


@pytest.mark.parametrize("cells", [[1, 2.5, None], ["1", " 2.5", ""], [1, "2.5", "NA"], [True, 2.5, "null"]])
def test_number_encoding_ignores_their_spelling(home: Path, cells: list[Any]) -> None:
    data = import_and_prepare(csv_from_columns(example_columns()), home)
    rows = [{"size": cell, "kind": "a"} for cell in cells]
    preprocess = data.preprocess.to_json()
    together = encode_rows(preprocess, rows)["features"]
    assert np.array_equal(together, np.concatenate([encode(preprocess, row)["features"] for row in rows]))
    column: Any = data.fields[0].columns[0].state
    expected = (np.array([1, 2.5, column.median]) - column.mean) / column.std
    assert np.allclose(together[:, 0], expected)


@pytest.mark.parametrize("cell", ["many", "1,5", "inf", "-inf", math.inf, [1], {}, object(), 10**400])
def test_table_rejects_non_numeric_cells(home: Path, cell: Any) -> None:
    with pytest.raises(DataError, match="'size' takes"):
        import_and_prepare(csv_from_columns(example_columns()), home).encode({"size": cell, "kind": "a"})


RAGGED: list[Any] = [
    None, "abc", {"a": 1}, [[1, 2], [3]], [], 7, [["x"] * 8] * 8, [[math.nan] * 8] * 8, [[1e999] * 8] * 8,
    np.zeros((8, 9)), np.zeros((2, 8, 8)), np.zeros((8, 8, 3)), np.zeros((1, 1, 8, 8)), [[10**400] * 8] * 8,
]  # fmt: skip


@pytest.mark.parametrize("value", RAGGED, ids=range(len(RAGGED)))
@pytest.mark.parametrize(("name", "field"), [("digits", "image"), ("sine", "series")])
def test_image_and_series_reject_invalid_shapes(name: str, field: str, value: Any) -> None:
    with pytest.raises(DataError) as caught:
        builtin_data(name).encode({field: value})
    assert str(caught.value).endswith(".")


def test_image_channels_may_be_first_last_or_absent(home: Path) -> None:
    data = import_and_prepare(make_deflated_zip(class_images()), home, "pictures.zip", size=9)
    pixels = data.row(0)["image"]
    assert pixels.shape == (3, 9, 9)
    turned = data.encode({"image": pixels.transpose(1, 2, 0)})["image"]
    assert turned.tolist() == data.encode({"image": pixels})["image"].tolist()
    digits = builtin_data("digits")
    flat = digits.encode({"image": digits.row(5)["image"][0]})["image"]
    assert flat.tolist() == digits.inputs["image"][5:6].tolist()


@pytest.mark.parametrize("name", ["digits", "wine", "sine", "intents"])
def test_row_without_a_field_names_the_missing_column(name: str) -> None:
    data = builtin_data(name)
    with pytest.raises(EncodeError, match="has no column"):
        encode(data.preprocess.to_json(), {"</script>": 1})


def test_word_tokenizer_keeps_contractions_together() -> None:
    assert words("Don't stop, Zoë’s 2nd-best!") == ["don't", "stop", ",", "zoë's", "2nd", "-", "best", "!"]
    assert words("") == []


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("1970-01-01", "days", 0),
        ("1970-01-02 12:00", "days", 1.5),
        ("1969-12-31T23:00:00-01:00", "days", 0),
        ("2024-02-29", "weekday", 3),
        ("2024-02", "month", 2),
        ("2024-12-31T23:30:00-02:00", "month", 1),
    ],
)
def test_date_parts_are_extracted(text: str, part: str, expected: float) -> None:
    assert date_part(text, part, "when") == expected


def test_missing_dates_are_nan_and_invalid_dates_fail() -> None:
    assert all(math.isnan(date_part(value, "days", "when")) for value in (None, "", " ", "NaT", math.nan))
    for value in ("tomorrow", "31.12.2024", 5, "2024-13-01"):
        with pytest.raises(EncodeError, match="takes dates"):
            date_part(value, "days", "when")
