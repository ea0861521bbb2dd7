"""Every modality × fitting × encoding × baseline × widget × export, in tests that each new modality joins."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import Prepared, prepare
from netloom.data.preparation.prepare import prepared_with
from netloom.data.preparation.preprocess import Preprocess
from netloom.data.quality.dataset_card import card
from netloom.data.schema import DatasetInfo
from netloom.document import DataChoice
from netloom.explain.core.baselines import BASELINES, Source, choose
from netloom.export.archive import packages, python, sources
from netloom.modalities.encoding.field_encoder import FIELD_ENCODERS, FieldEncoder
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.fields.modality import Editor, Modality
from netloom.modalities.fields.registry import modalities, modality_of
from netloom.modalities.settings import Settings

# A dataset for each encoding. A line here includes a new modality in all tests below.
DATA: dict[str, DataChoice] = {
    "image": DataChoice(dataset="digits"),
    "series": DataChoice(dataset="sine"),
    "log_mel": DataChoice(dataset="spoken", options={"rows": 60, "fields": {"sound": {"sound": "log-mel"}}}),
    "words": DataChoice(dataset="reviews", options={"rows": 80}),
    "letters": DataChoice(dataset="reviews", options={"rows": 80, "fields": {"text": {"tokens": "characters"}}}),
    "bpe": DataChoice(
        dataset="reviews", options={"rows": 80, "fields": {"text": {"tokens": "bpe", "vocabulary": 300}}}
    ),
    "characters": DataChoice(dataset="tales"),
    "begun": DataChoice(dataset="dates", options={"rows": 80}),
    "table": DataChoice(dataset="wine"),
    "categories": DataChoice(dataset="ratings", options={"rows": 200}),
}
ROWS = 6
# Streamlit's element types in each editor.
WIDGETS: dict[Editor, set[str]] = {
    Editor.COLUMNS: {"column"},
    Editor.IMAGE: {"plotly_chart"},
    Editor.SERIES: {"slider"},
    Editor.TEXT: {"text_area"},
    Editor.NONE: set(),
}


@cache
def prepared(encoding: str) -> tuple[Prepared, FieldSpec, FieldEncoder[Any]]:
    data = prepare(DATA[encoding])
    index = next(index for index, field in enumerate(data.fields) if field.encoding == encoding)
    return data, data.schema.inputs[index], data.fields[index]


def test_every_encoding_has_one_modality_and_test_data() -> None:
    assert set(DATA) == set(FIELD_ENCODERS)
    assert set(WIDGETS) == set(Editor)
    owners = [encoder.encoding for modality in modalities().values() for encoder in modality.encoders]
    assert sorted(owners) == sorted(FIELD_ENCODERS)
    assert len({modality.order for modality in modalities().values()}) == len(modalities())


@pytest.mark.parametrize("modality", modalities().values(), ids=lambda modality: modality.name)
def test_modality_declares_phrases_editor_and_settings(modality: Modality[Any]) -> None:
    for phrase in (modality.phrase, modality.rows_phrase, modality.usual_baseline_phrase, modality.center_phrase):
        assert phrase == phrase.strip(" .") != ""
    assert isinstance(modality.editor, Editor)
    assert issubclass(modality.settings, Settings)
    assert not modality.scale_setting or modality.scale_setting in modality.settings.model_fields


@pytest.mark.parametrize("encoding", DATA)
def test_fitted_state_round_trips_through_json(encoding: str) -> None:
    data, spec, field = prepared(encoding)
    stored = json.dumps(data.preprocess.to_json())
    restored_state = Preprocess.from_json(json.loads(stored))
    assert restored_state == data.preprocess
    assert json.dumps(restored_state.to_json()) == stored
    restored = prepared_with(data, restored_state)
    assert restored.schema == data.schema
    assert all(bool((restored.inputs[name] == values).all()) for name, values in data.inputs.items())
    assert bool((restored.target == data.target).all())
    assert restored.fitted_target == data.fitted_target
    assert restored.fitted_target.to_json() == data.preprocess.to_json()["target"]
    assert modality_of(field).kind == spec.kind


@pytest.mark.parametrize("encoding", DATA)
def test_encoded_rows_match_the_declared_shape_and_dtype(encoding: str) -> None:
    data, spec, field = prepared(encoding)
    encoded = field.encode([data.row(row) for row in range(ROWS)])
    np.testing.assert_array_equal(encoded, data.inputs[field.name][:ROWS].numpy())
    assert encoded.shape == (ROWS, *field.shape) == (ROWS, *spec.shape)
    assert field.vocabulary_size == spec.vocabulary
    assert encoded.dtype == (np.float32 if spec.vocabulary is None else np.int64)
    assert spec.vocabulary is None or int(data.inputs[field.name].max()) < spec.vocabulary
    assert not spec.columns or len(spec.columns) == spec.shape[-1]
    assert field.shown(data.row(0))
    if spec.vocabulary is None:
        restored = field.restore(encoded)
        assert len(restored) == ROWS


@pytest.mark.parametrize("encoding", DATA)
def test_dataset_card_describes_preprocessing(encoding: str) -> None:
    data, _, field = prepared(encoding)
    info = DatasetInfo(DATA[encoding].dataset, "title", "", "", "")
    descriptions = {entry["field"]: entry["how"] for entry in card(info, data, DATA[encoding])["preprocessing"]}
    assert descriptions[field.name] == modality_of(field).preprocessing(field)
    assert " " in descriptions[field.name]


@pytest.mark.parametrize("encoding", DATA)
def test_default_baseline_is_a_valid_described_example(encoding: str) -> None:
    data, spec, field = prepared(encoding)
    modality, inputs = modality_of(field), {name: values[:1] for name, values in data.inputs.items()}
    baseline_row = choose("usual", data, inputs)
    baseline = baseline_row.values[field.name]
    assert baseline.shape == (1, *spec.shape)
    assert baseline.dtype == inputs[field.name].dtype
    assert bool(baseline.isfinite().all())
    assert spec.vocabulary is None or 0 <= int(baseline.min()) <= int(baseline.max()) < spec.vocabulary
    assert modality.usual_baseline_phrase in baseline_row.words
    rows = data.inputs[field.name][:ROWS].numpy()
    distances = modality.distances(rows, rows[:1])
    assert distances.shape == (ROWS,)
    assert distances[0] == 0 <= distances.min()
    units = modality.units(field, rows[0])
    places = np.unique(units[units >= 0])
    assert units.shape == spec.shape
    assert places.tolist() == list(range(len(places)))
    source = Source(spec, data, inputs[field.name])
    available = {name for name, other in BASELINES.items() if other.fits(source)}
    assert {"usual", "row"} <= available
    assert ("zero" in available) == (spec.vocabulary is None)
    assert ("black" in available) == modality.has_brightness
    assert ("padding" in available) == modality.has_padding


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoders as exported with a network."""
    folder = tmp_path_factory.mktemp("bundle")
    for source in (*packages(), *sources()):
        path = folder / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(python(source.package, source.name), encoding="utf-8")
    return folder


EXPORTED = """
import json, sys
import numpy as np
from encoding.rows import encode_rows
preprocess, rows = json.loads(sys.stdin.read())
for name, values in encode_rows(preprocess, rows).items():
    np.save(sys.argv[1] + "/" + name + ".npy", values)
assert not [name for name in sys.modules if name.split(".")[0] in ("torch", "netloom", "pydantic", "pandas")]
"""


@pytest.mark.parametrize("encoding", DATA)
def test_exported_encoder_is_bitwise_equal_using_numpy_only(encoding: str, bundle: Path, tmp_path: Path) -> None:
    data, _, field = prepared(encoding)
    rows = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in data.row(row).items()}
        for row in range(ROWS)
    ]
    subprocess.run(
        [sys.executable, "-c", EXPORTED, str(tmp_path)],
        input=json.dumps([data.preprocess.to_json(), rows]),
        cwd=bundle,
        text=True,
        check=True,
    )
    exported = np.load(tmp_path / f"{field.name}.npy")
    assert exported.tobytes() == data.inputs[field.name][:ROWS].numpy().tobytes()


@pytest.mark.usefixtures("component_manifests")
@pytest.mark.parametrize("encoding", DATA)
def test_example_editor_shows_the_modality_widget(encoding: str) -> None:
    from streamlit.testing.v1 import AppTest

    def page(encoding: str) -> None:
        from netloom.ui.components.examples.example_editor import edited
        from tests.data.test_modalities import prepared

        data, _, _ = prepared(encoding)
        edited(data, data.row(0), "example", {})

    _, _, field = prepared(encoding)
    app = AppTest.from_function(page, args=(encoding,), default_timeout=60).run()
    assert not app.exception
    widgets = {element.type for element in app.main}
    assert widgets >= WIDGETS[modality_of(field).editor], widgets
