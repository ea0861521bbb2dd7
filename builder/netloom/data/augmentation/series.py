"""Augmentations of series and sounds: loudness, noise, shift, and masked intervals of time or bands of frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from netloom.data.augmentation.augmentation import Change, Facts, Random
from netloom.modalities.field_spec import Kind

if TYPE_CHECKING:
    import torch


class _Series(Change):
    kinds: ClassVar[tuple[Kind, ...]] = ("sequence",)


class Jitter(_Series):
    name = "jitter"
    title = "Jitter"
    summary = "Adds Gaussian noise to every number"
    kinds: ClassVar[tuple[Kind, ...]] = ("sequence", "vector")
    amount: float = Field(
        0.05, gt=0, le=5, description="Standard deviation of the noise, relative to that of the training rows"
    )

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        return values + self.amount * random.normal(tuple(values.shape))


class Scaling(_Series):
    name = "scaling"
    title = "Scaling"
    summary = "Multiplies the whole series by a factor, which makes a sound louder or softer"
    amount: float = Field(0.1, gt=0, le=0.9, description="Maximum relative change")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        return values * random.uniform((len(values), 1, 1), 1 - self.amount, 1 + self.amount)


class TimeShift(_Series):
    name = "time_shift"
    title = "Time shift"
    summary = "Shifts the series in time; the gap is filled with the nearest value"
    largest: float = Field(0.1, gt=0, le=0.9, description="Maximum shift, as a share of the length")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        import torch

        rows, steps, _ = values.shape
        reach = max(1, round(self.largest * steps))
        shift = random.whole((rows, 1), -reach, reach)
        positions = (torch.arange(steps, device=values.device) - shift).clamp(0, steps - 1)
        return values.gather(1, positions[:, :, None].expand_as(values))


class TimeMask(_Series):
    """https://arxiv.org/abs/1904.08779"""

    name = "time_mask"
    title = "Time mask"
    summary = "Replaces intervals of time with the mean"
    masks: int = Field(1, ge=1, le=10, description="Number of intervals")
    largest: float = Field(0.1, gt=0, le=0.9, description="Maximum length of an interval, as a share of the length")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        for _ in range(self.masks):
            values = values.masked_fill(stretch(len(values), values.shape[1], self.largest, random)[:, :, None], 0.0)
        return values


class FrequencyMask(_Series):
    """https://arxiv.org/abs/1904.08779"""

    name = "frequency_mask"
    title = "Frequency mask"
    summary = "Removes bands of frequencies: columns of a spectrogram, or of the spectrum of a waveform"
    masks: int = Field(1, ge=1, le=10, description="Number of bands")
    largest: float = Field(0.15, gt=0, le=0.9, description="Maximum width of a band, as a share of all frequencies")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        import torch

        if values.shape[2] > 1:
            for _ in range(self.masks):
                hidden = stretch(len(values), values.shape[2], self.largest, random)
                values = values.masked_fill(hidden[:, None, :], 0.0)
            return values
        spectrum = torch.fft.rfft(values, dim=1)
        for _ in range(self.masks):
            hidden = stretch(len(values), spectrum.shape[1], self.largest, random)
            spectrum = spectrum.masked_fill(hidden[:, :, None], 0.0)
        restored: torch.Tensor = torch.fft.irfft(spectrum, n=values.shape[1], dim=1)
        return restored


def stretch(rows: int, length: int, largest: float, random: Random) -> torch.Tensor:
    """Return which of `length` positions are in an interval of random length up to `largest`, bool (N, length)."""
    import torch

    size = random.whole((rows, 1), 0, max(1, round(largest * length)))
    start = (random.uniform((rows, 1)) * (length - size + 1)).floor()
    positions = torch.arange(length, device=start.device)
    return (positions >= start) & (positions < start + size)
