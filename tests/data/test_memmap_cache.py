"""Images and sounds larger than the memory limit stay in files, with bitwise equal values."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.data import add_file, prepare
from netloom.data.caching.memmap_cache import ArrayFiles
from netloom.data.preparation.prepare import clear_cache, read
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.uploads.images.image_questions import load_arrays
from netloom.document import DataChoice
from netloom.modalities.encoding.field_encoder import ScaledEncoder
from netloom.modalities.fields.series import fit_channels, fit_windows
from tests.data.brought import labeled_pictures, masks, png, sounds
from tests.data.crafted import make_zip

EVERYWHERE = ("data.uploads.kinds.sounds", "modalities.fields.series")


def _is_memory_mapped(values: np.ndarray) -> bool:
    """Whether an array or one of its bases is memory-mapped."""
    base: object = values
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def test_large_arrays_are_memory_mapped_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays: dict[str, Any] = {
        "pixels": np.arange(6_000, dtype=np.uint8).reshape(10, 20, 30),
        "few": np.arange(3),
        "deep": np.ones(999),
    }
    np.savez(tmp_path / "images.npz", **arrays)
    monkeypatch.setattr("netloom.data.uploads.images.image_questions.MAPPED_BYTES", 5_000)
    loaded = load_arrays(tmp_path)
    assert {name for name, values in loaded.items() if _is_memory_mapped(values)} == {"pixels", "deep"}
    for name, values in arrays.items():
        assert loaded[name].dtype == values.dtype
        assert np.array_equal(loaded[name], values)


@pytest.mark.parametrize("cut", [40, 3_000])
def test_truncated_archive_is_rejected(tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.data.uploads.images.image_questions.MAPPED_BYTES", 100)
    np.savez(tmp_path / "images.npz", pixels=np.zeros(6_000))
    content = (tmp_path / "images.npz").read_bytes()
    (tmp_path / "images.npz").write_bytes(content[:cut] + content[-200:])
    with pytest.raises((OSError, ValueError, zipfile.BadZipFile)):
        load_arrays(tmp_path)


@pytest.mark.parametrize("build", [labeled_pictures, masks])
def test_memory_mapped_images_are_bitwise_equal(home: Path, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = DataChoice(dataset=add_file(build(), "x.zip", home).name, options={"size": 12})
    before = prepare(choice, home)
    monkeypatch.setattr("netloom.data.uploads.images.image_questions.MAPPED_BYTES", 100)
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.001")
    clear_cache()
    after = prepare(choice, home)
    assert isinstance(after.raw, Images)
    assert after.files
    assert after.fingerprint == before.fingerprint
    assert after.preprocess == before.preprocess
    assert torch.equal(after.inputs["image"], before.inputs["image"])
    assert torch.equal(after.target, before.target)


def test_images_of_mixed_sizes_are_resized_to_one(home: Path) -> None:
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 255, (side, side), dtype=np.uint8) for side in [9, 200, 17, 130] * 4]
    info = add_file(
        make_zip({f"{'ab'[i % 2]}/{i:02}.png": png(image) for i, image in enumerate(pixels)}), "x.zip", home
    )
    raw = read(DataChoice(dataset=info.name, options={"size": 128}), home)
    assert isinstance(raw, Images)
    assert raw.pixels.shape == (16, 1, 128, 128)
    assert (raw.pixels.std((1, 2, 3)) > 20).all()  # no image is empty


def _prepared_sounds(home: Path, name: str, **settings: object) -> tuple[Series, ScaledEncoder[Any], torch.Tensor, str]:
    clear_cache()
    options: dict[str, Any] = {"seconds": 0.2, **({"fields": {"sound": settings}} if settings else {})}
    data = prepare(DataChoice(dataset=name, options=options), home)
    assert isinstance(data.raw, Series)
    field = data.field("sound")
    assert isinstance(field, ScaledEncoder)
    return data.raw, field, data.inputs["sound"], data.fingerprint


@pytest.mark.parametrize("scale", ["standard", "minmax", "none"])
def test_memory_mapped_sounds_match_those_in_memory(home: Path, scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = add_file(sounds(), "x.zip", home).name
    before = _prepared_sounds(home, name, scale=scale)
    assert not list(home.glob("data/*/maps/rows-*"))
    for module in EVERYWHERE:
        monkeypatch.setattr(f"netloom.{module}.MAX_CELLS", 1_000)
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.001")
    after = _prepared_sounds(home, name, scale=scale)
    assert len(list(home.glob("data/*/maps/rows-*"))) == 2  # the raw and the encoded sounds
    assert after[3] == before[3]
    assert np.array_equal(after[0].windows, before[0].windows)
    assert np.allclose(after[1].mean, before[1].mean, atol=1e-6)
    assert np.allclose(after[1].std, before[1].std, rtol=1e-5)
    assert torch.allclose(after[2], before[2], atol=1e-5)


def test_chunked_window_scaling_matches_scaling_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    windows = (random.normal(size=(700, 9, 3)) * [1, 20, 0] + [5, -3, 2]).astype(np.float64)
    rows = random.permutation(700)[:600]
    monkeypatch.setattr("netloom.modalities.fields.series.MAX_CELLS", 10)
    for scale in ("standard", "minmax", "none"):
        at_once, parts = fit_channels(windows[rows].reshape(-1, 3), scale), fit_windows(windows, rows, scale)
        assert np.allclose(at_once.mean, parts.mean, rtol=1e-9)
        assert np.allclose(at_once.std, parts.std, rtol=1e-9)
    assert fit_windows(windows, rows, "standard").std[2] == 1.0


def test_an_empty_array_keeps_its_dtype(tmp_path: Path) -> None:
    files = ArrayFiles(tmp_path, "empty")
    files.array("numbers", (0, 3), np.int64)
    array = files.finish()["numbers"].array()
    assert array.dtype == np.int64
    assert array.shape == (0, 3)
