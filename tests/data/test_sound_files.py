"""Sounds as other programs write them, compared with SciPy."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.io import wavfile

from netloom.data import DataError, Prepared
from netloom.data.uploads.sounds.soundfiles import read_sound
from netloom.sandbox import read_batch
from tests.data.crafted import make_zip
from tests.data.samples import import_and_prepare

RATE = 8_000
LOUD, QUIET = "louder than full scale", "quieter than 0.001 of full scale"


def _tone(number: int, peak: float = 0.5, rate: int = RATE) -> np.ndarray:
    """A tenth of a second, with a little noise."""
    random = np.random.default_rng(number)
    times = np.arange(rate // 10) / rate
    tone: np.ndarray = peak * np.sin(2 * np.pi * (300 + 300 * (number % 2)) * times + number)
    return tone + peak * random.normal(scale=0.02, size=len(times))


def _file(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype, format=form)
    return stream.getvalue()


def _files(peak: float = 0.5, rate: int = RATE, subtype: str = "PCM_16", form: str = "WAV") -> dict[str, bytes]:
    return {
        f"{('low', 'high')[number % 2]}/{number}.{form.lower()}": _file(_tone(number, peak, rate), rate, subtype, form)
        for number in range(16)
    }


def _prepare(files: dict[str, bytes], home: Path) -> Prepared:
    return import_and_prepare(make_zip(files), home, "sounds.zip")


@pytest.mark.parametrize(("subtype", "divisor"), [("PCM_U8", 128), ("PCM_16", 32_768), ("PCM_24", 2**31)])
def test_samples_are_those_of_the_file(subtype: str, divisor: int) -> None:
    content = _file(_tone(1), subtype=subtype)
    reference = wavfile.read(io.BytesIO(content))[1].astype(np.float64)
    expected = (reference - 128 if subtype == "PCM_U8" else reference) / divisor
    exact = subtype != "PCM_24"  # 24 bits are rounded to 16
    np.testing.assert_allclose(read_sound(content, "a.wav", RATE), expected, rtol=0, atol=0 if exact else 2**-16)


@pytest.mark.parametrize(
    ("peak", "rate", "subtype", "note"),
    [(0.5, RATE, "PCM_16", ""), (0.5, 44_100, "PCM_24", ""), (3.0, RATE, "FLOAT", LOUD), (1e-4, RATE, "FLOAT", QUIET)],
)
def test_predicted_sounds_equal_those_of_training(peak: float, rate: int, subtype: str, note: str, home: Path) -> None:
    files = _files(peak, rate, subtype)
    data = _prepare(files, home)
    rows = read_batch(make_zip(files), "sounds.zip", data.preprocess.to_json()).rows
    assert [row.pop("file") for row in rows] == sorted(files)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(data.encode(row)["sound"][0], data.inputs["sound"][number])
    assert [note in warning for warning in data.warnings] == [True] * bool(note)


def test_damaged_sounds_are_refused_and_other_formats_are_noted(home: Path) -> None:
    ogg = _file(_tone(1), subtype="VORBIS", form="OGG")
    data = _prepare(_files() | {"low/x.ogg": ogg, "low/Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(99)}, home)
    assert data.schema.rows == 16
    assert data.warnings == ["A file was left out: 'low/x.ogg' is an Ogg sound; save it as WAV or FLAC."]
    with pytest.raises(DataError, match=r"'low/x.wav' is not a readable sound \(Format not recognised\)"):
        _prepare(_files() | {"low/x.wav": b"something else" * 20}, home)


@pytest.mark.parametrize(
    ("form", "subtype", "words"),
    [("MP3", "MPEG_LAYER_III", "an MP3 sound"), ("OGG", "VORBIS", "an Ogg sound"), ("AIFF", "PCM_16", "an AIFF sound")],
)
def test_other_formats_are_refused_by_name(form: str, subtype: str, words: str, home: Path) -> None:
    with pytest.raises(DataError, match=f"16 files were left out: .* is {words}; save it as WAV or FLAC"):
        _prepare(_files(subtype=subtype, form=form), home)
