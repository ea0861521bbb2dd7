"""Sounds on the data page: read as waveforms or as spectrograms, and how these are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from netloom.data.preparation.spectrogram import LOG_MEL, empty_bands, told
from netloom.data.raw_dataset import Series
from netloom.document import Edit
from netloom.editing.live import Live
from netloom.ui.components.forms import bound, refused

_WAYS = {"Waveform": None, "Log-mel spectrogram": "log-mel"}


def read_as(
    live: Live, part: Series, fitted: Mapping[str, Any], edit: Callable[[dict[str, Any]], Edit], place: Any
) -> None:
    """Ask how a field of sounds is read, in `place`; of a spectrogram, how it is made. `fitted` is how it is read now,
    and `edit` makes the edit of a change."""
    names = list(_WAYS)
    current = names[fitted["encoding"] == LOG_MEL]
    binding = bound(live, f"{part.name}/sound", current, lambda name: edit({"sound": _WAYS[name]}), renews=True)
    place.selectbox(
        "Read as", names, names.index(current), help="Representation of the sound that the network receives", **binding
    )
    refused(binding)
    if fitted["encoding"] == LOG_MEL:
        _spectrogram(live, part.name, fitted, edit)


def _spectrogram(live: Live, name: str, fitted: Mapping[str, Any], edit: Callable[[dict[str, Any]], Edit]) -> None:
    samples, rate = int(fitted["samples"]), int(fitted["rate"])
    # The words, the setting, what it is now, from where to where, and by how much a click moves it.
    widgets: tuple[tuple[str, str, Any, Any, Any, Any], ...] = (
        ("Window (samples)", "window", int(fitted["window"]), 2, max(2, 2 * (samples - 1)), 1),
        ("Hop (samples)", "hop", int(fitted["hop"]), 1, samples, 1),
        ("Mel bands", "bands", int(fitted["shape"][1]), 1, 1_024, 1),
        ("Min (Hz)", "low", float(fitted["low"]), 0.0, rate / 2, 50.0),
        ("Max (Hz)", "high", float(fitted["high"]), 1.0, rate / 2, 50.0),
    )
    for column, (label, setting, value, least, most, step) in zip(st.columns(5), widgets, strict=True):
        binding = bound(live, f"{name}/{setting}", value, _change(edit, setting), renews=True)
        format_ = "%.0f" if isinstance(value, float) else "%d"
        column.number_input(label, least, most, value, step, format_, **binding)
        refused(binding)
    empty = empty_bands(fitted)
    told_of_empty = (
        f" {empty} mel bands are narrower than the frequency resolution and always empty. Use fewer bands or a "
        "longer window."
    ) * bool(empty)
    st.caption(f"Shape {' × '.join(map(str, fitted['shape']))}: {told(fitted)}.{told_of_empty}")


def _change(edit: Callable[[dict[str, Any]], Edit], setting: str) -> Callable[[Any], Edit]:
    return lambda typed: edit({setting: typed})
