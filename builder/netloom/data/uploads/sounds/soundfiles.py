"""Sounds from WAV and FLAC files, as one channel at one sample rate."""

from __future__ import annotations

import io
from math import gcd

import numpy as np

from netloom.core.errors import DamagedFileError, DataError

LONGEST_S = 60.0
RATES = (1_000, 192_000)
LEVELS = 32_768  # of a sample from 0 to 1 in 16 bits


def read_sound(content: bytes, name: str, rate: int) -> np.ndarray:
    """Read a sound (L,) with values from −1 to 1: the mean of its channels, resampled to `rate` Hz, in 16 bits.

    At most the first `LONGEST_S` seconds are read. Sounds of uploads are stored with 16 bits, so that those to predict
    are rounded and clipped in the same way.

    Raises:
        DataError: The sound cannot be read.
    """
    samples, file_rate = read_samples(content, name)
    return from_levels(to_levels(resampled(samples, file_rate, rate)))


def to_levels(samples: np.ndarray) -> np.ndarray:
    """Return a sound (L,) as int16: those from a file with 16 bits, one channel and the same rate are its own."""
    levels: np.ndarray = np.rint(samples * np.float32(LEVELS)).clip(-LEVELS, LEVELS - 1).astype(np.int16)
    return levels


def from_levels(levels: np.ndarray, count: int = LEVELS) -> np.ndarray:
    """Return the samples (L,) of a sound in int16, as float32; `count` is the level of 1."""
    return levels / np.float32(count)


def read_samples(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Read the first `LONGEST_S` seconds of a sound (L,), the mean of its channels, and its rate in Hz.

    Raises:
        DataError: The sound cannot be read.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            file_rate = int(file.samplerate)
            if file.format not in ("WAV", "WAVEX", "FLAC", "RF64", "AIFF"):
                raise DataError(f"{name[:100]!r} is a sound in the format {file.format}; save it as WAV or FLAC.")
            if not RATES[0] <= file_rate <= RATES[1] or file.channels > 32:
                raise DataError(
                    f"{name[:100]!r} has {file_rate:,} samples per second in {file.channels} channels; is it damaged?"
                )
            samples = file.read(int(LONGEST_S * file_rate), dtype="float32", always_2d=True).mean(axis=1)
    except DataError:
        raise
    except Exception as error:
        # libsndfile reports many kinds of errors; the remedy is the same.
        reason = " ".join(str(error).rpartition(": ")[2].split())[-80:].rstrip(". ")
        raise DamagedFileError(
            f"{name[:100]!r} is not a readable sound ({reason}); remove it, or save it again as WAV or FLAC."
        ) from None
    if not len(samples):
        raise DamagedFileError(f"{name[:100]!r} is a sound without samples; remove it.")
    return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), file_rate


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
        raise DamagedFileError(
            f"{name[:100]!r} is not a readable sound: it is damaged, incomplete or of another format; remove it, or "
            "save it again as WAV or FLAC."
        ) from None
