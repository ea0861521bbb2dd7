"""The preprocessing fitted for a run stays the same, even if a new fit would differ."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.data import DataError, prepare
from netloom.data.preparation.fitted_state import keep_fitted, stored_state, with_stored_state
from netloom.document import DataChoice
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.field_encoder import FIELD_ENCODERS, field_state
from netloom.store import RunArtifacts
from tests.data.samples import csv_from_columns, example_columns, import_and_prepare
from tests.data.test_columns import EVERYTHING, mixed


def test_first_fitted_preprocessing_is_reused(home: Path, tmp_path: Path) -> None:
    data = import_and_prepare(csv_from_columns(mixed()), home, columns=EVERYTHING)
    assert with_stored_state(data, RunArtifacts.in_directory(tmp_path)) is data
    assert keep_fitted(data, RunArtifacts.in_directory(tmp_path)) is data
    assert json.loads((tmp_path / "preprocess.json").read_text()) == data.preprocess.to_json()
    other = import_and_prepare(csv_from_columns(mixed()), home, columns=EVERYTHING | {"size": {"scale": "none"}})
    restored = keep_fitted(other, RunArtifacts.in_directory(tmp_path))
    assert restored.preprocess == data.preprocess
    for name, values in data.inputs.items():
        assert torch.equal(restored.inputs[name], values)
    assert torch.equal(restored.target, data.target)
    assert restored.schema == data.schema
    assert restored.encode(restored.row(0))["features"].tolist() == data.inputs["features"][:1].tolist()


@pytest.mark.parametrize("name", ["digits", "sine", "dates", "commands", "tales"])
def test_fitted_state_is_restored_for_every_modality(name: str, tmp_path: Path) -> None:
    data = prepare(DataChoice(dataset=name))
    keep_fitted(prepare(DataChoice(dataset=name, seed=4)), RunArtifacts.in_directory(tmp_path))
    other = with_stored_state(data, RunArtifacts.in_directory(tmp_path))
    assert other.preprocess.to_json() == json.loads((tmp_path / "preprocess.json").read_text())
    encoded = other.encode(other.row(2))
    assert all(torch.equal(encoded[name][0], values[2]) for name, values in other.inputs.items())


def test_changed_data_is_rejected_with_a_message(home: Path, tmp_path: Path) -> None:
    keep_fitted(
        import_and_prepare(csv_from_columns(example_columns(more=example_columns()["size"])), home),
        RunArtifacts.in_directory(tmp_path),
    )
    with pytest.raises(DataError, match="start a new run"):
        with_stored_state(
            import_and_prepare(csv_from_columns(example_columns()), home), RunArtifacts.in_directory(tmp_path)
        )


@pytest.mark.parametrize("content", ["{", "[]", '{"fields": [], "target": {"kind": "nothing"}}', '{"fields": [{}]}'])
def test_damaged_fitted_state_is_rejected_with_a_message(content: str, tmp_path: Path) -> None:
    (tmp_path / "preprocess.json").write_text(content)
    with pytest.raises(DataError, match=r"preprocess\.json is damaged; start a new run"):
        stored_state(RunArtifacts.in_directory(tmp_path))


@pytest.mark.parametrize("encoding", FIELD_ENCODERS)
def test_a_field_without_a_fitted_value_is_rejected_by_its_name(encoding: str) -> None:
    required = [field.name for field in fields(FIELD_ENCODERS[encoding].state_type) if field.default is MISSING]
    state: dict[str, object] = {name: [] if name == "columns" else 1 for name in required} | {
        "name": "x",
        "encoding": encoding,
    }
    assert field_state(state).to_json() == state
    del state[required[-1]]
    with pytest.raises(EncodeError, match=f"The fitted state of 'x' has no '{required[-1]}'"):
        field_state(state)


def test_empty_settings_equal_the_defaults() -> None:
    options: dict[str, Any] = {"fields": {}, "columns": {}}
    default, data = (prepare(DataChoice(dataset="wine", options=settings)) for settings in ({}, options))
    assert default.preprocess == data.preprocess
