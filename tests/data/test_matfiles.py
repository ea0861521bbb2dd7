"""MAT files are read as arrays with their rows first, and nothing but numbers and texts is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from netloom.core.errors import DataError
from netloom.data import Prepared, prepare
from netloom.data.uploads import add_file, open_source
from netloom.data.uploads.files.matfiles import read_mat, rows_first
from netloom.document import DataChoice
from netloom.sandbox import FileInspection
from tests.data.brought import bars

PIXELS, LABELS = bars(60)
ROWS = PIXELS.reshape(60, -1).astype(np.float64)


def level5(*, compressed: bool = True, **variables: Any) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


def version73(**variables: np.ndarray) -> bytes:
    """An HDF5 file behind the header of MATLAB, with reversed axes as MATLAB writes them."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        for name, array in variables.items():
            file[name] = array.T
    content = bytearray(stream.getvalue())
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64"
    content[: len(header)] = header
    return bytes(content)


def added(content: Any, filename: str, home: Path) -> Prepared:
    return prepare(DataChoice(dataset=add_file(content, filename, home).name), home)


@pytest.mark.parametrize("write", [level5, version73])
def test_arrays_of_both_versions_are_read_alike(write: Any, home: Path) -> None:
    data = added(write(X=ROWS, y=LABELS[:, None] + 1), "bars.mat", home)
    assert data.raw.target.tolist() == LABELS.tolist()
    assert data.raw.classes == ("1", "2")
    assert [data.raw.row(3)[name] for name in ("x1", "x2")] == ROWS[3, :2].tolist()


def test_images_whose_rows_are_last_are_turned(home: Path) -> None:
    images = np.stack([PIXELS] * 3, axis=-1).transpose(1, 2, 3, 0)  # (H, W, C, R), as in SVHN
    data = added(level5(X=images, y=LABELS[:, None]), "train_32x32.mat", home)
    assert [(field.kind, field.shape) for field in data.schema.inputs] == [("image", (3, 10, 10))]
    assert np.array_equal(data.raw.pixels[7, 0], PIXELS[7])  # type: ignore[attr-defined]


def test_files_of_parts_give_the_split(home: Path) -> None:
    files = {
        f"{part}.mat": level5(X=ROWS[rows], y=LABELS[rows, None])
        for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60)))
    }
    assert len(added(files, "bars", home).split["test"]) == 20


def test_structures_and_cells_of_texts_are_read() -> None:
    names = np.array(["lying", "standing"], dtype=object)[LABELS]
    arrays = read_mat(level5(data={"X": ROWS, "label": names}, title="bars"), "bars.mat")
    assert sorted(arrays) == ["data.X", "data.label", "title"]
    assert rows_first(arrays)["data.label"].tolist() == names.tolist()


def test_rows_stay_first_where_both_axes_could_be_rows() -> None:
    square = np.arange(9.0).reshape(3, 3)
    assert np.array_equal(rows_first({"X": square, "y": np.zeros((3, 1))})["X"], square)
    assert rows_first({"X": square})["X"] is not None


def test_matlab_file_is_read_in_the_confined_process(home: Path) -> None:
    inspection = FileInspection({"bars.mat": level5(X=ROWS, y=LABELS[:, None])}, "bars.mat")
    try:
        assert inspection.reader().name == "arrays"
        assert inspection.add(home).rows == 60
    finally:
        inspection.close()


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["secret"] = np.arange(60.0)
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        file["y"] = LABELS
        file["link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "secret")
        file.create_dataset("outside", (60,), "f8", external=[(str(tmp_path / "secret.h5"), 0, 480)])
        layout = h5py.VirtualLayout((60,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "secret", (60,))
        file.create_virtual_dataset("virtual", layout)
    content = bytearray(stream.getvalue())
    content[:19] = b"MATLAB 7.3 MAT-file"
    assert list(read_mat(bytes(content), "links.mat")) == ["y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (level5(X=ROWS)[:700], "is not a readable MAT file: it is damaged or incomplete"),
        (version73(X=ROWS)[:900], "is not a readable MAT file: it is damaged or incomplete"),
        (level5(nested=np.array([[1, 2], [3, 4, 5]], dtype=object)), r"has no arrays .* \(found: 'nested'\)"),
    ],
)  # fmt: skip
def test_broken_files_are_rejected(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(content, "bars.mat")


def test_large_arrays_are_rejected_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.data.uploads.files.matfiles.MAX_STORED_BYTES", 10_000)
    for content in (level5(X=ROWS), version73(X=ROWS)):
        with pytest.raises(DataError, match="take 0 MiB; at most 0 MiB"):
            read_mat(content, "large.mat")
