"""Sounds from WAV and FLAC files, as one channel at one rate."""

from __future__ import annotations

import io
from math import gcd

import numpy as np

from netloom.core.errors import DataError

LONGEST_S = 60.0
RATES = (1_000, 192_000)


def read_sound(content: bytes, name: str, rate: int) -> np.ndarray:
    """A sound (L,) from -1 to 1, the mean of its channels at `rate`; what is behind `LONGEST_S` is left out.

    Raises:
        DataError: it is no sound that can be read.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            own = int(file.samplerate)
            if file.format not in ("WAV", "WAVEX", "FLAC", "RF64", "AIFF"):
                raise DataError(f"{name[:100]!r} is a {file.format} sound; save it as WAV or FLAC.")
            if not RATES[0] <= own <= RATES[1] or file.channels > 32:
                raise DataError(
                    f"{name[:100]!r} has {own:,} samples a second in {file.channels} channels; is it damaged?"
                )
            samples = file.read(int(LONGEST_S * own), dtype="float32", always_2d=True).mean(axis=1)
    except DataError:
        raise
    except Exception as error:
        # libsndfile's reasons are many; each means the same to a person.
        reason = " ".join(str(error).split())[-80:].rstrip(". ")
        raise DataError(
            f"{name[:100]!r} is no sound that can be read ({reason}); remove it, or save it again as WAV or FLAC."
        ) from None
    if not len(samples):
        raise DataError(f"{name[:100]!r} is a sound of no length; remove it.")
    return resampled(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), own, rate)


def resampled(samples: np.ndarray, own: int, rate: int) -> np.ndarray:
    """A sound (L,) at another rate."""
    if own == rate:
        return samples
    from scipy.signal import resample_poly

    common = gcd(own, rate)
    found: np.ndarray = resample_poly(samples, rate // common, own // common)
    return found.astype(np.float32)


def is_cut(content: bytes) -> bool:
    """Whether a WAV file has fewer bytes than it says; what was written while it was not known how many says so."""
    said = int.from_bytes(content[4:8], "little")
    return content[:4] == b"RIFF" and len(content) - 8 < said < 2**31 - 1


def own_rate(content: bytes, name: str) -> int:
    """The samples a second of a file.

    Raises:
        DataError: it is no sound that can be read.
    """
    import soundfile

    try:
        return int(soundfile.info(io.BytesIO(content)).samplerate)
    except Exception:
        raise DataError(
            f"{name[:100]!r} is no sound that can be read: it is damaged, cut short or of another form; remove it, or "
            "save it again as WAV or FLAC."
        ) from None
