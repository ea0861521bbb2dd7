"""Handed over objects equal those of the worker; their arrays are not copied, and their classes are known."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from netloom.data import Prepared, add_file, prepare
from netloom.data.preparation.prepare import clear_cache
from netloom.document import DataChoice
from netloom.jobs.handover import Handover, pack, unpack
from netloom.modalities.packed_texts import PackedTexts
from tests.data.brought import sounds

# One dataset of each class of raw data, and of each kind of target.
NAMES = (
    "cartpole", "clicks", "commands", "dates", "digits", "intents", "molecules", "paraphrases", "ratings",
    "shape_masks", "station", "tales", "wine",
)  # fmt: skip


def assert_equal(handed_over: Prepared, data: Prepared) -> None:
    assert handed_over.schema == data.schema
    assert handed_over.preprocess == data.preprocess
    assert handed_over.raw.fingerprint() == data.raw.fingerprint()
    assert np.array_equal(handed_over.target_values, data.target_values)
    for name, rows in data.rows.items():
        assert np.array_equal(handed_over.rows[name], rows)
    for name, values in data.inputs.items():
        assert handed_over.inputs[name].dtype == values.dtype
        assert np.array_equal(handed_over.inputs[name].numpy(), values.numpy())
    row = len(data.raw) - 1
    assert str(handed_over.example(row)) == str(data.example(row))


@pytest.mark.parametrize("name", NAMES)
def test_prepared_data_is_equal_after_the_handover(name: str, home: Path) -> None:
    data = prepare(DataChoice(dataset=name), home)
    handover = pack(data)
    assert len(handover.content) < 2_500_000  # the arrays are not part of the pickle
    assert_equal(unpack(handover), data)


def test_arrays_in_files_are_mapped_and_not_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = add_file(sounds(), "x.zip", home).name
    monkeypatch.setattr("netloom.data.uploads.kinds.sounds.MAX_CELLS", 1_000)
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.001")
    clear_cache()
    data = prepare(DataChoice(dataset=name, options={"seconds": 0.2}), home)
    assert data.files
    handover = pack(data)
    assert sum(handover.sizes) < 2_000  # neither the raw nor the encoded sounds
    assert_equal(unpack(handover), data)


def test_a_part_of_a_mapped_array_is_mapped_where_it_begins(tmp_path: Path) -> None:
    np.arange(1_000, dtype=np.int32).tofile(tmp_path / "numbers")
    whole = np.memmap(tmp_path / "numbers", np.int32, "r", offset=40)
    part = whole.view(np.ndarray)[100:300].reshape(20, 10)
    handover = pack(part)
    assert handover.sizes == []
    assert np.array_equal(unpack(handover), np.arange(110, 310).reshape(20, 10))


def test_other_classes_are_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match="system"):
        unpack(Handover(pickle.dumps(os.system), [], None))
    with pytest.raises(pickle.UnpicklingError, match="start_detached"):  # a function of Netloom
        unpack(Handover(b"cnetloom.core.processes\nstart_detached\n.", [], None))


def test_packed_texts_are_a_sequence_of_the_same_texts() -> None:
    texts = ["", "Grüße", "\ud800 alone", "日本", "end"]
    packed: PackedTexts = unpack(pack(PackedTexts.of(texts)))
    assert list(packed) == texts
    assert packed[1:4] == texts[1:4]
    assert packed[::-2] == texts[::-2]
    assert packed[-1] == "end"
    assert "日本" in packed
    with pytest.raises(IndexError):
        packed[5]
