"""Sounds from WAV and FLAC files, as one channel at one sample rate."""

from __future__ import annotations

import io
from math import gcd

import numpy as np

from netloom.core.errors import DataError

LONGEST_S = 60.0
RATES = (1_000, 192_000)


def read_sound(content: bytes, name: str, rate: int) -> np.ndarray:
    """Read a sound (L,) with values from −1 to 1: the mean of its channels, resampled to `rate` Hz.

    At most the first `LONGEST_S` seconds are read.

    Raises:
        DataError: The sound cannot be read.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            file_rate = int(file.samplerate)
            if file.format not in ("WAV", "WAVEX", "FLAC", "RF64", "AIFF"):
                raise DataError(f"{name[:100]!r} is a {file.format} sound; save it as WAV or FLAC.")
            if not RATES[0] <= file_rate <= RATES[1] or file.channels > 32:
                raise DataError(
                    f"{name[:100]!r} has {file_rate:,} samples per second in {file.channels} channels; is it damaged?"
                )
            samples = file.read(int(LONGEST_S * file_rate), dtype="float32", always_2d=True).mean(axis=1)
    except DataError:
        raise
    except Exception as error:
        # libsndfile reports many kinds of errors; the remedy is the same.
        reason = " ".join(str(error).split())[-80:].rstrip(". ")
        raise DataError(
            f"{name[:100]!r} is not a readable sound ({reason}); remove it, or save it again as WAV or FLAC."
        ) from None
    if not len(samples):
        raise DataError(f"{name[:100]!r} is a sound without samples; remove it.")
    return resampled(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), file_rate, rate)


def resampled(samples: np.ndarray, file_rate: int, rate: int) -> np.ndarray:
    """Return a sound (L,) resampled from one rate to another, in Hz."""
    if file_rate == rate:
        return samples
    from scipy.signal import resample_poly

    common = gcd(file_rate, rate)
    # Includes the low-pass filter against aliasing
    converted: np.ndarray = resample_poly(samples, rate // common, file_rate // common)
    return converted.astype(np.float32)


def is_cut(content: bytes) -> bool:
    """Return whether a WAV file has fewer bytes than its header declares; recorders that stream declare the maximum."""
    declared = int.from_bytes(content[4:8], "little")
    return content[:4] == b"RIFF" and len(content) - 8 < declared < 2**31 - 1


def native_rate(content: bytes, name: str) -> int:
    """Return the sample rate of a file, in Hz.

    Raises:
        DataError: The sound cannot be read.
    """
    import soundfile

    try:
        return int(soundfile.info(io.BytesIO(content)).samplerate)
    except Exception:
        raise DataError(
            f"{name[:100]!r} is not a readable sound: it is damaged, incomplete or of another format; remove it, or "
            "save it again as WAV or FLAC."
        ) from None
