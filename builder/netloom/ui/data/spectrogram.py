"""Sounds on the Data page: as waveforms or spectrograms, with the settings of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from netloom.core.plain_json import JsonObject
from netloom.data.raw.series import Series
from netloom.document import Edit
from netloom.editing.live import Live
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.series_fields import LogMelEncoder
from netloom.modalities.fields.log_mel import SPECTROGRAM, describe, empty_bands
from netloom.ui.components.forms import bound, refused

_REPRESENTATIONS = {"Waveform": None, "Log-mel spectrogram": SPECTROGRAM}


def read_as(
    live: Live, part: Series, field: FieldEncoder[Any], edit: Callable[[JsonObject], Edit], container: Any
) -> None:
    """Draw the choice of the representation of sounds in `container`, and the settings of a spectrogram.

    `field` is the current encoder, and `edit` returns the edit for changed settings.
    """
    names = list(_REPRESENTATIONS)
    current = names[isinstance(field, LogMelEncoder)]
    binding = bound(
        live, f"{part.name}/sound", current, lambda name: edit({"sound": _REPRESENTATIONS[name]}), renews=True
    )
    container.selectbox(
        "Read as", names, names.index(current), help="Representation of the sound that the network receives", **binding
    )
    refused(binding)
    if isinstance(field, LogMelEncoder):
        _spectrogram(live, field, edit)


def _spectrogram(live: Live, field: LogMelEncoder, edit: Callable[[dict[str, Any]], Edit]) -> None:
    state, rate = field.state, field.sample_rate
    samples, bands = field.raw_shape[0], field.shape[1]
    # Label, setting, value, minimum, maximum and step
    widgets: tuple[tuple[str, str, Any, Any, Any, Any], ...] = (
        ("Window (samples)", "window", state.window, 2, max(2, 2 * (samples - 1)), 1),
        ("Hop (samples)", "hop", state.hop, 1, samples, 1),
        ("Mel bands", "bands", bands, 1, 1_024, 1),
        ("Min (Hz)", "low", state.low, 0.0, rate / 2, 50.0),
        ("Max (Hz)", "high", state.high, 1.0, rate / 2, 50.0),
    )
    for column, (label, setting, value, least, most, step) in zip(st.columns(5), widgets, strict=True):
        binding = bound(live, f"{field.name}/{setting}", value, _change(edit, setting), renews=True)
        format_ = "%.0f" if isinstance(value, float) else "%d"
        column.number_input(label, least, most, value, step, format_, **binding)
        refused(binding)
    empty = empty_bands(field.state)
    empty_note = (
        f" {empty} mel bands are narrower than the frequency resolution and always empty. Use fewer bands or a "
        "longer window."
    ) * bool(empty)
    st.caption(f"Shape {' × '.join(map(str, field.shape))}: {describe(field)}.{empty_note}")


def _change(edit: Callable[[dict[str, Any]], Edit], setting: str) -> Callable[[Any], Edit]:
    return lambda typed: edit({setting: typed})
