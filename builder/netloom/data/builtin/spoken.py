"""Spoken digits from a synthesizer, by the formants of vowels and the noise of consonants."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset

RATE = 4_000
LENGTH = 1_200
# The first two formants in Hz, the loudness of the voice, and that of the noise, of some English sounds.
_SOUNDS = {
    "i": (300, 1900, 1.0, 0.0), "I": (400, 1750, 1.0, 0.0), "e": (530, 1700, 1.0, 0.0), "ai": (750, 1300, 1.0, 0.0),
    "o": (500, 900, 1.0, 0.0), "u": (320, 870, 1.0, 0.0), "a": (700, 1150, 1.0, 0.0), "r": (450, 1250, 0.7, 0.0),
    "w": (320, 700, 0.7, 0.0), "n": (250, 1100, 0.5, 0.0), "v": (280, 1000, 0.4, 0.15), "z": (280, 1500, 0.4, 0.3),
    "s": (0, 1800, 0.0, 0.5), "f": (0, 1300, 0.0, 0.25), "th": (0, 1500, 0.0, 0.2), "t": (0, 1700, 0.0, 0.4),
    "k": (0, 1000, 0.0, 0.35), "-": (0, 500, 0.0, 0.0),
}  # fmt: skip
_WORDS = {
    "zero": "z I r o", "one": "w a n", "two": "t u u", "three": "th r i i", "four": "f o r", "five": "f ai I v",
    "six": "s I k s", "seven": "s e v e n", "eight": "e I - t", "nine": "n ai I n",
}  # fmt: skip


class Spoken(Dataset):
    """Ten digits, each with a random voice, speed and noise."""

    name = "spoken"
    example_count = 600
    title = "Spoken digits"
    kind = "audio"
    task = "classification"
    summary = "The digits zero to nine, synthesized in many voices"

    rows: Rows = Field(600, description="Number of recordings")
    noise: float = Field(0.02, ge=0, le=1, description="Standard deviation of the noise")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % len(_WORDS)
        words = list(_WORDS.values())
        waves = np.stack([self._say(words[number].split(), random) for number in target])
        return Series(
            name="sound",
            target=target,
            target_kind="class",
            target_name="digit",
            classes=tuple(_WORDS),
            windows=waves[:, :, None].astype(np.float32),
            channels=("sound",),
            rate=RATE,
        )

    def _say(self, sounds: list[str], random: np.random.Generator) -> np.ndarray:
        """Return a word as a waveform (L,): a buzzing voice and noise, shaped by gliding formants."""
        length = int(LENGTH * random.uniform(0.6, 0.95))
        shares = np.cumsum(random.uniform(0.7, 1.3, len(sounds)))
        middles = (shares - np.diff(shares, prepend=0) / 2) / shares[-1] * length
        time = np.arange(length)
        table = np.array([_SOUNDS[sound] for sound in sounds], dtype=np.float64)
        throat = random.uniform(0.88, 1.14)  # a shorter vocal tract has higher formants
        first, second, voiced, noisy = (np.interp(time, middles, column) for column in table.T)
        pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(time / length * random.uniform(1, 4)))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        voice = np.zeros(length)
        for number in range(1, 16):
            frequency = number * pitch
            gain = sum(1 / (1 + ((frequency - throat * peak) / 90) ** 2) for peak in (first, second))
            voice += np.sin(number * phase) * gain * (frequency < RATE / 2)
        hiss = random.normal(size=length) * np.cos(2 * np.pi * np.cumsum(second * throat) / RATE)
        wave = (voiced * voice + noisy * hiss) * np.minimum(1, np.minimum(time, time[::-1]) / 60)
        start = int(random.integers(LENGTH - length + 1))
        full = random.normal(0, self.noise, LENGTH)
        full[start : start + length] += 0.3 * random.uniform(0.7, 1.3) * wave
        return full
