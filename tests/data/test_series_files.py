"""Labeled series in `.ts` files, such as those of the UEA & UCR archive, with the split of their files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from netloom.core.errors import DataError
from netloom.data import Prepared, prepare
from netloom.data.raw.series import Series
from netloom.data.uploads import add_file, open_source
from netloom.document import DataChoice
from netloom.sandbox import FileInspection
from netloom.sandbox.batch_files import read_batch

RANDOM = np.random.default_rng(0)
HEADER = "#Made for a test\n@problemName Waves\n@timeStamps false\n@missing false\n@univariate {}\n{}\n@data\n"


def written(rows: list[np.ndarray], labels: list[str], kind: str = "@classLabel true up down") -> bytes:
    """The text of a `.ts` file with series (steps, channels)."""
    lines = [
        ":".join([*(",".join(f"{value:.6g}" for value in channel) for channel in row.T), label])
        for row, label in zip(rows, labels, strict=True)
    ]
    return (HEADER.format("false", kind) + "\n".join(lines) + "\n").encode()


def waves(count: int, steps: list[int]) -> tuple[list[np.ndarray], list[str]]:
    rows = [RANDOM.normal(size=(steps[row % len(steps)], 2)).round(3) for row in range(count)]
    return rows, [("up", "down")[row % 2] for row in range(count)]


def added(files: dict[str, bytes] | bytes, home: Path, filename: str = "Waves") -> Prepared:
    return prepare(DataChoice(dataset=add_file(files, filename, home).name), home)


def test_channels_classes_and_the_split_of_the_files_are_read(home: Path) -> None:
    train, labels = waves(20, [9])
    test, test_labels = waves(10, [9])
    data = added({"Waves_TRAIN.ts": written(train, labels), "Waves_TEST.ts": written(test, test_labels)}, home)
    assert isinstance(data.raw, Series)
    assert np.allclose(data.raw.windows, np.stack([*train, *test]))
    assert [data.raw.classes[index] for index in data.raw.target.ravel()] == [*labels, *test_labels]
    assert data.schema.target.name == "label"
    assert sorted(data.split["test"].tolist()) == list(range(20, 30))


def test_shorter_series_end_with_zeros_and_a_note(home: Path) -> None:
    rows, labels = waves(20, [4, 7])
    longer, longer_labels = waves(10, [12])
    data = added({"Waves_TRAIN.ts": written(rows, labels), "Waves_TEST.ts": written(longer, longer_labels)}, home)
    windows = data.raw.windows  # type: ignore[attr-defined]
    assert windows.shape == (30, 12, 2)
    assert np.allclose(windows[0, :4], rows[0])
    assert not windows[0, 4:].any()
    assert "The series have 4 to 12 steps; zeros follow the shorter ones, up to 12." in data.warnings


def test_a_file_of_series_is_predicted(home: Path) -> None:
    rows, labels = waves(20, [12])
    data = added(written(rows, labels), home, "Waves_TRAIN.ts")
    shorter, its_labels = waves(2, [12, 7])
    read = read_batch(written(shorter, its_labels), "new.ts", data.preprocess.to_json())
    assert np.allclose(read.rows[0]["series"], shorter[0])
    assert np.allclose(read.rows[1]["series"][:7], shorter[1])
    assert not np.any(read.rows[1]["series"][7:])
    assert read.notes == ["Zeros follow 1 series with fewer than 12 steps."]


def test_numbers_are_predicted_by_regression(home: Path) -> None:
    rows, _ = waves(20, [5])
    values = [f"{row.mean():.4g}" for row in rows]
    data = added(written(rows, values, "@targetLabel true"), home, "waves.ts")
    assert data.schema.target.type.is_number
    assert data.schema.target.name == "value"
    assert np.allclose(data.raw.target.ravel(), [float(value) for value in values])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@timeStamps false", "@timeStamps true", "'a.ts' has time stamps, which are not read"),
        ("@classLabel true up down", "@targetLabel true", "A label of 'a.ts' is not a number"),
        ("1,2:3,4:up", "1,two:3,4:up", "Line 9 of 'a.ts' has a step that is not a number"),
        ("1,2:3,4:up", "1,2:3,4,5:up", "Line 9 of 'a.ts' has channels of 2, 3 steps"),
        ("1,2:3,4:up", "1,2:up", "Line 9 of 'a.ts' has 1 channel, and the first row has 2"),
        ("1,2:3,4:up", "1,?:3,4:up", "holds numbers that are missing"),
    ],
)
def test_other_files_are_refused_with_a_reason(old: str, new: str, message: str, home: Path) -> None:
    lines = ["5,6:7,8:down", "1,2:3,4:up", *["5,6:7,8:down", "1,2:3,4:up"] * 8]
    text = HEADER.format("false", "@classLabel true up down") + "\n".join(lines)
    with pytest.raises(DataError, match=re.escape(message)):
        added(text.replace(old, new, 1).encode(), home, "a.ts")


def test_series_to_forecast_are_refused() -> None:
    text = "@relation M1\n@attribute series_name string\n@frequency yearly\n@horizon 6\n@data\nT1:3600,7700,12300\n"
    for name in ("m1.tsf", "m1.txt"):
        with pytest.raises(DataError, match=r"has series to forecast, each with its own steps \(\.tsf\)"):
            open_source(text.encode(), name)


def test_series_without_labels_are_refused(home: Path) -> None:
    text = HEADER.format("true", "@classLabel false") + "1,2\n3,4\n"
    with pytest.raises(DataError, match="is the only array; an array of targets is needed"):
        added(text.encode(), home, "a.ts")


def test_a_file_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"'a\.ts' has no series below '@data'"):
        open_source(HEADER.format("true", "@classLabel true up").encode(), "a.ts")


def test_other_texts_with_this_suffix_stay_texts() -> None:
    source = open_source({"a.ts": b"export const a = 1\n", "b.ts": b"let data = '@data'\n"}, "code")
    assert source.names == ("a.ts", "b.ts")


def test_the_confined_process_reads_them() -> None:
    rows, labels = waves(20, [5])
    inspection = FileInspection({"Waves_TRAIN.ts": written(rows, labels)}, "Waves_TRAIN.ts")
    try:
        assert inspection.kinds()[0].name == "arrays"
    finally:
        inspection.close()
