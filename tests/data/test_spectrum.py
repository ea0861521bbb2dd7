"""Sounds encoded as log-mel spectrograms: equal to the layer's output, or rejected with a message."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from netloom.data import DataError, Prepared, prepare
from netloom.data.raw.series import Series
from netloom.document import DataChoice
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.modalities.encoding.rows import encode_rows
from netloom.modalities.encoding.series_fields import LogMelEncoder, LogMelState
from netloom.modalities.fields.log_mel import empty_bands, spectrogram_spec
from netloom.nn.signal import LogMel

LENGTH, RATE = 1_200, 4_000


def spoken(**settings: Any) -> Prepared:
    field = {"sound": "log-mel", **settings}
    return prepare(DataChoice(dataset="spoken", options={"rows": 60, "fields": {"sound": field}}))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"window": 99, "hop": 30, "bands": 20},
        {"window": 256, "hop": 64, "bands": 16, "low": 100.0, "high": 1500.0, "scale": "minmax"},
        {"window": 64, "hop": 1_200, "bands": 1, "scale": "none"},
    ],
)
def test_log_mel_encoding_matches_the_log_mel_layer(settings: dict[str, Any]) -> None:
    data = spoken(**settings)
    field = data.field("sound")
    assert isinstance(field, LogMelEncoder)
    fitted = field.state
    assert isinstance(data.raw, Series)
    waves = torch.from_numpy(np.ascontiguousarray(data.raw.windows[:, :, 0])).double()
    layer = LogMel(
        RATE,
        fitted.window,
        fitted.hop,
        fitted.shape[1],
        settings.get("low", 0.0),
        settings.get("high", 2_000.0),
    ).double()
    for name, value in settings.items():
        assert getattr(fitted, name, value) == value
    with torch.no_grad():
        spectrograms = layer(waves).numpy()
    rows = data.split["train"].numpy()
    training_values = spectrograms[rows].reshape(-1, spectrograms.shape[2])
    scale = settings.get("scale", "standard")
    mean = training_values.mean(0) if scale == "standard" else training_values.min(0) if scale == "minmax" else 0.0
    std = (
        training_values.std(0)
        if scale == "standard"
        else training_values.max(0) - training_values.min(0)
        if scale == "minmax"
        else 1.0
    )
    assert data.schema.inputs[0].shape == spectrograms.shape[1:]
    assert len(data.schema.inputs[0].columns) == spectrograms.shape[2]
    assert np.allclose(data.inputs["sound"].numpy(), (spectrograms - mean) / std, atol=2e-4)
    # The displayed row has the same values, in original units.
    assert np.allclose(data.example(7).series, spectrograms[7], atol=2e-4)


def test_log_mel_scaling_uses_training_rows_only() -> None:
    data = spoken()
    raw, train = data.raw, data.split["train"].numpy()
    assert isinstance(raw, Series)
    louder = raw.windows.copy()
    louder[np.setdiff1d(np.arange(len(raw)), train)] *= 9
    other = Series(**{**vars(raw), "windows": louder})
    assert other.fit(train) == data.preprocess.fields[0]
    louder[train] *= 9
    changed, sound = other.fit(train), data.field("sound")
    assert isinstance(changed, LogMelState)
    assert changed.mean != sound.state.mean
    stored = json.loads(json.dumps(data.preprocess.to_json(), allow_nan=False))
    rows = [{"sound": raw.windows[row].tolist()} for row in range(4)]
    flat = [{"sound": raw.windows[row, :, 0].tolist()} for row in range(4)]
    for layout in (rows, flat):
        assert np.array_equal(encode_rows(stored, layout)["sound"], data.inputs["sound"][:4].numpy())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 2_400, "bands": 4}, "longer than half a window, 1,200 samples, and these have 1,200"),
        ({"low": 500.0, "high": 400.0}, "cannot go from 500 to 400 Hz"),
        ({"high": 2_001.0}, "2000 Hz or less"),
        ({"window": 1}, "window must be at least 2, received 1"),
        ({"hop": 1, "bands": 1_024}, "60 × 1,201 × 1,024"),
        ({"size": 9}, "takes no 'size'; it takes bands, high, hop, low, scale, sound, window"),
        ({"sound": "mfcc"}, "sound must be 'waveform' or 'log-mel'"),
    ],
)
def test_invalid_log_mel_settings_are_rejected(
    settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netloom.modalities.fields.log_mel.MAX_CELLS", 60 * 1_201 * 1_024 - 1)
    with pytest.raises(DataError) as caught:
        spoken(**settings)
    assert message in str(caught.value)


def test_log_mel_rejects_wrong_lengths_and_other_data() -> None:
    data = spoken()
    with pytest.raises(DataError, match=r"must have 1,200 samples at 4,000 Hz, received \(800,\)"):
        data.encode({"sound": [0.0] * 800})
    with pytest.raises(DataError, match="takes no 'sound'; it takes scale"):
        prepare(DataChoice(dataset="sine", options={"fields": {"series": {"sound": "log-mel"}}}))


@pytest.mark.parametrize(("rate", "seconds"), [(1_000, 0.05), (4_000, 0.3), (8_000, 1), (16_000, 2), (48_000, 1)])
def test_default_log_mel_settings_leave_no_empty_band(rate: int, seconds: float) -> None:
    shape = (10, round(rate * seconds), 1)

    def encoder(settings: dict[str, int]) -> LogMelEncoder:
        field = field_encoder(spectrogram_spec("sound", shape, rate, settings).state("sound"))
        assert isinstance(field, LogMelEncoder)
        return field

    assert not empty_bands(encoder({}).state)
    assert encoder({}).shape[1] >= 8
    assert empty_bands(encoder({"bands": 1_024}).state) > 200


def test_waveform_setting_equals_the_default() -> None:
    default = prepare(DataChoice(dataset="spoken", options={"rows": 60}))
    explicit = prepare(DataChoice(dataset="spoken", options={"rows": 60, "fields": {"sound": {"sound": "waveform"}}}))
    assert default.schema == explicit.schema
    assert default.schema.inputs[0].shape == (LENGTH, 1)
    assert torch.equal(default.inputs["sound"], explicit.inputs["sound"])
