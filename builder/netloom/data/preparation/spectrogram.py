"""Sounds that are read as their log-mel spectrograms: what is not said of one, and what is fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_CELLS
from netloom.data.preparation.fitting import Fitted, fit_channels
from netloom.modalities.encoding.series_fields import log_mel, mel_edges, mel_filters

LOG_MEL = "log_mel"
BANDS = 40  # where nothing else is said, as far as each of them has a frequency of its own
_WINDOW_S, _HOP_S = 0.025, 0.010


def log_mel_of(name: str, shape: tuple[int, ...], rate: int, settings: Mapping[str, Any]) -> Fitted:
    """The spectrogram that a document asks for, of sounds (R, L, 1) of `rate` samples a second; nothing is fitted yet.

    Raises:
        DataError: there can be no such spectrogram of these sounds.
    """
    rows, samples = shape[:2]
    named = f"The log-mel spectrogram of {name[:80]!r}"
    # A power of two is the fastest; where half of that is more than a short sound has, the longest that fits.
    usual = min(1 << max(4, round(_WINDOW_S * rate) - 1).bit_length(), max(2, 2 * (samples - 1)))
    window = int(settings.get("window", usual))
    hop = int(settings.get("hop", max(1, min(round(_HOP_S * rate), window // 2))))
    low, high = float(settings.get("low", 0.0)), float(settings.get("high", rate / 2))
    if samples <= window // 2:
        raise DataError(
            f"{named} needs sounds longer than half a window, {window // 2:,} samples, and these have {samples:,}; "
            "choose a shorter window."
        )
    if not low < high <= rate / 2:
        raise DataError(
            f"{named} cannot go from {low:g} to {high:g} Hz, as there are {rate:,} samples a second; take 0 or more, "
            f"then a higher frequency of {rate / 2:g} Hz or less."
        )
    steps = (samples + 2 * (window // 2) - window) // hop + 1
    made = {"rate": rate, "samples": samples, "window": window, "hop": hop, "low": low, "high": high}
    bands = int(settings.get("bands", _bands(made)))
    if rows * steps * bands > MAX_CELLS:
        raise DataError(
            f"{named} would hold {rows:,} × {steps:,} × {bands:,} numbers, more than fit into memory; choose a longer "
            "hop or fewer bands."
        )
    return {"name": name, "encoding": LOG_MEL, "shape": [steps, bands], **made}


def fit_log_mel(fitted: Fitted, windows: np.ndarray, rows: np.ndarray, scale: str) -> Fitted:
    """The same with how each band is scaled, by the sounds (R, L, 1) in the rows of the training split alone."""
    filters = mel_filters(fitted)
    steps, bands = fitted["shape"]
    found = np.empty((len(rows), steps, bands), np.float32)
    for place, row in enumerate(rows.tolist()):
        found[place] = log_mel(fitted, windows[row, :, 0].astype(np.float64), filters)
    # Band by band, as all of them in float64 may not fit.
    each = [fit_channels(found[:, :, band].reshape(-1, 1).astype(np.float64), scale) for band in range(bands)]
    return {**fitted, "mean": [one["mean"][0] for one in each], "std": [one["std"][0] for one in each]}


def spectrogram(fitted: Mapping[str, Any], samples: Any) -> np.ndarray:
    """A sound (L,) or (L, 1) as people see it: its log-mel spectrogram (T, bands), not scaled."""
    known = dict(fitted)
    return log_mel(known, np.asarray(samples, dtype=np.float64).reshape(-1), mel_filters(known))


def band_names(fitted: Mapping[str, Any]) -> tuple[str, ...]:
    """What people read of each band: where it peaks."""
    peaks = mel_edges(fitted["low"], fitted["high"], fitted["shape"][1])[1:-1]
    named = [tuple(f"{peak:,.{digits}f} Hz" for peak in peaks) for digits in range(4)]
    return next((names for names in named if len(set(names)) == len(names)), named[-1])


def told(fitted: Mapping[str, Any]) -> str:
    """A spectrogram in words."""
    steps, bands = fitted["shape"]
    window_ms, hop_ms = (1000 * fitted[name] / fitted["rate"] for name in ("window", "hop"))
    return (
        f"{steps:,} windows of {window_ms:.3g} ms, a new one every {hop_ms:.3g} ms, in {bands:,} bands from "
        f"{fitted['low']:,.0f} to {fitted['high']:,.0f} Hz"
    )


def empty_bands(fitted: Mapping[str, Any]) -> int:
    """How many bands are so narrow that no frequency of a window falls into them; they are always the same."""
    return int((mel_filters(dict(fitted)).sum(0) <= 0).sum())


def _bands(made: Mapping[str, Any]) -> int:
    """As many bands as usual, or the most of which none is empty."""
    return next((count for count in range(BANDS, 1, -1) if not empty_bands({**made, "shape": [1, count]})), 1)
