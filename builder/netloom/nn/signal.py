"""Spectra of signals: Fourier and cosine transforms, mel bands and cepstral coefficients."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class FFTMagnitude(nn.Module):
    """The magnitude of each frequency along the last axis, (N, …, L) -> (N, …, L // 2 + 1).

    With `log`, it is log(1 + magnitude). https://docs.pytorch.org/docs/stable/generated/torch.fft.rfft.html
    """

    def __init__(self, log: bool = False) -> None:
        super().__init__()
        self.log = log

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size: torch.Tensor = torch.fft.rfft(x).abs()
        return size.log1p() if self.log else size


class STFTMagnitude(nn.Module):
    """The magnitude spectrum of overlapping windows, (N, L) -> (N, T, window // 2 + 1); its square if `power`.

    A Hann function weights each window. With `center`, half a window is reflected at both ends, so that window t is
    centered at t · hop. https://docs.pytorch.org/docs/stable/generated/torch.stft.html
    """

    hann: torch.Tensor

    def __init__(self, window: int, hop: int, center: bool = True, power: bool = False) -> None:
        super().__init__()
        self.window, self.hop, self.center, self.power = window, hop, center, power
        angles = torch.arange(window) * (2.0 * math.pi / window)
        # The periodic Hann window, as torch.hann_window returns it. It follows from the settings, so it is not saved.
        self.register_buffer("hann", 0.5 - 0.5 * angles.cos(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.center:
            half = self.window // 2
            # Reflection needs an axis of channels, (N, 1, L).
            x = F.pad(x.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        # (N, L) -> (N, T, window) -> (N, T, window // 2 + 1)
        spectrum: torch.Tensor = torch.fft.rfft(x.unfold(1, self.window, self.hop) * self.hann)
        return spectrum.real.square() + spectrum.imag.square() if self.power else spectrum.abs()


class LogMel(nn.Module):
    """The log power in mel bands, (N, L) -> (N, T, bands).

    The bands are overlapping triangles, evenly spaced in mel = 2595 log₁₀(1 + Hz / 700) from `low` to `high` Hz.
    `rate` is in samples per second, `window` and `hop` are in samples. 10⁻⁶ is added before the logarithm.
    https://en.wikipedia.org/wiki/Mel_scale
    """

    filters: torch.Tensor

    def __init__(
        self, rate: int, window: int, hop: int, bands: int, low: float = 0.0, high: float | None = None
    ) -> None:
        super().__init__()
        high = rate / 2 if high is None else high
        if not low < high <= rate / 2:
            raise ValueError(
                f"bands from {low:g} to {high:g} Hz are not possible at {rate} samples per second; "
                f"choose 0 <= low < high <= {rate / 2:g} Hz"
            )
        self.stft = STFTMagnitude(window, hop, power=True)
        first, last = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (low, high))
        mels = first + torch.arange(bands + 2) * ((last - first) / (bands + 1))
        edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)  # (bands + 2,) in Hz
        frequencies = (torch.arange(window // 2 + 1) * (rate / window)).unsqueeze(1)  # (window // 2 + 1, 1) in Hz
        # Each triangle rises from the edge before its center and falls to the edge after it: (window // 2 + 1, bands).
        rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
        self.register_buffer("filters", torch.minimum(rising, falling).clamp(min=0.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        power: torch.Tensor = self.stft(x) @ self.filters
        return (power + 1e-6).log()  # finite in silence


class DCT(nn.Module):
    """The first `keep` coefficients of the orthonormal discrete cosine transform (type 2) of the last axis.

    https://en.wikipedia.org/wiki/Discrete_cosine_transform
    """

    basis: torch.Tensor

    def __init__(self, size: int, keep: int) -> None:
        super().__init__()
        if keep > size:
            raise ValueError(f"{size} numbers have at most {size} coefficients, received {keep}; lower the number")
        positions, waves = torch.arange(size).unsqueeze(1), torch.arange(keep)
        basis = ((positions + 0.5) * waves * (math.pi / size)).cos() * math.sqrt(2.0 / size)
        # The constant wave has twice the squared length of the others.
        scale = torch.where(waves == 0, math.sqrt(0.5), 1.0)
        self.register_buffer("basis", basis * scale, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.basis


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients: the cosine transform of log-mel bands, (N, L) -> (N, T, keep).

    https://en.wikipedia.org/wiki/Mel-frequency_cepstrum
    """

    def __init__(
        self,
        rate: int,
        window: int,
        hop: int,
        bands: int,
        keep: int,
        low: float = 0.0,
        high: float | None = None,
    ) -> None:
        super().__init__()
        self.log_mel = LogMel(rate, window, hop, bands, low, high)
        self.dct = DCT(bands, keep)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.dct(self.log_mel(x))
        return out
