"""Frequencies of signals: of waveforms (N, L), and of the last axis of other tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from netloom.layers.layer import Call, Example, Layer, Port, TensorSpec


class FFTMagnitude(Layer):
    """|rfft(x)| over the last axis, (N, …, L) -> (N, …, L // 2 + 1)."""

    group = "Signal"
    title = "FFT magnitude"
    summary = "The magnitude of each frequency along the last axis"
    keywords = ("fourier", "spectrum", "frequency", "fft", "vibration", "audio", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.fft.rfft.html"

    log: bool = Field(False, description="Return log(1 + magnitude), which compresses the range")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence", "image"), "(N, …, L)"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("FFTMagnitude", (), {"log": True} if self.log else {})

    def brief(self) -> str:
        return "log" if self.log else ""


class DCT(Layer):
    """The orthonormal DCT-II of the last axis, (N, …, L) -> (N, …, keep)."""

    group = "Signal"
    title = "Cosine transform (DCT)"
    summary = "The discrete cosine transform of the last axis; keeps the lowest frequencies"
    keywords = ("dct", "discrete cosine transform", "frequency", "compression", "cepstrum")
    url = "https://en.wikipedia.org/wiki/Discrete_cosine_transform"
    is_linear = True

    keep: int = Field(8, ge=1, le=65_536, description="Number of coefficients to keep; at most the length of the axis")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence", "image"), "(N, …, L)"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("DCT", (specs["in"].size(-1), self.keep))

    def brief(self) -> str:
        return f"{self.keep} coefficients"


class _Waveform(Layer):
    window: int = Field(400, ge=2, le=65_536, description="Size of the window in samples; 400 is 25 ms at 16 kHz")
    hop: int = Field(160, ge=1, le=65_536, description="Distance between windows in samples")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector",), "A waveform, (N, L)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "One step for each window"),)

    def _fits(self, specs: Mapping[str, TensorSpec], center: bool = True) -> None:
        # Reflection pads fewer values than the signal has, and torch.stft pads half a window at each end.
        length, least = specs["in"].size(1), self.window // 2 + 1 if center else self.window
        if length < least:
            raise ValueError(
                f"a window of {self.window} samples needs a waveform of at least {least} samples, received "
                f"{length}; lower window"
            )


class STFTMagnitude(_Waveform):
    """|STFT(x)| with a Hann window, (N, L) -> (N, T, window // 2 + 1)."""

    group = "Signal"
    title = "Spectrogram (STFT)"
    summary = (
        "The magnitude of each frequency in short overlapping windows of a waveform (short-time Fourier transform)"
    )
    keywords = ("stft", "short-time fourier", "spectrogram", "audio", "speech", "frequency")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.stft.html"

    center: bool = Field(
        True,
        description="Pad both ends by half a window with their reflection, to center the first window at the start",
    )
    power: bool = Field(False, description="Return the power (squared magnitude)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        self._fits(specs, self.center)
        return Call("STFTMagnitude", (self.window, self.hop), self.non_defaults("center", "power"))

    def brief(self) -> str:
        return f"{self.window} every {self.hop}"

    @classmethod
    def examples(cls) -> list[Example]:
        waveform = {"in": TensorSpec((None, 50))}
        return [
            Example({"window": 16, "hop": 7}, waveform),
            Example({"window": 9, "hop": 4, "center": False, "power": True}, waveform),
        ]


class _Mel(_Waveform):
    rate: int = Field(16_000, ge=1, le=1_000_000, description="Sample rate in Hz")
    bands: int = Field(40, ge=1, le=1_024, description="Number of mel bands")
    low: float = Field(0.0, ge=0, le=500_000, description="Lowest frequency in Hz")
    high: float | None = Field(None, gt=0, le=500_000, description="Highest frequency in Hz; empty: half of rate")

    def _range(self) -> dict[str, float]:
        low = {"low": self.low} if self.low else {}
        return low | ({"high": self.high} if self.high is not None else {})

    @classmethod
    def examples(cls) -> list[Example]:
        params: dict[str, Any] = {"window": 64, "hop": 20, "rate": 1_000, "bands": 8}
        return [
            Example({**params, **more}, {"in": TensorSpec((None, 100))}) for more in ({}, {"low": 20.0, "high": 400.0})
        ]


class LogMel(_Mel):
    """log(10⁻⁶ + mel filters · |STFT(x)|²), (N, L) -> (N, T, bands)."""

    group = "Signal"
    title = "Log-mel spectrogram"
    summary = "The logarithm of the energy in mel bands, which follow human hearing, for each window"
    keywords = ("mel", "spectrogram", "audio", "speech", "filterbank", "fbank", "sound")
    url = "https://en.wikipedia.org/wiki/Mel_scale"

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        self._fits(specs)
        return Call("LogMel", (self.rate, self.window, self.hop, self.bands), self._range())

    def brief(self) -> str:
        return f"{self.bands} bands"


class MFCC(_Mel):
    """DCT of the log-mel spectrogram, (N, L) -> (N, T, coefficients)."""

    group = "Signal"
    title = "MFCC"
    summary = "Mel-frequency cepstral coefficients: the shape of the spectrum in a few numbers, for each window"
    keywords = ("mel", "cepstrum", "cepstral", "audio", "speech", "dct", "sound")
    url = "https://en.wikipedia.org/wiki/Mel-frequency_cepstrum"

    coefficients: int = Field(13, ge=1, le=1_024, description="Number of coefficients; at most the number of bands")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        self._fits(specs)
        return Call("MFCC", (self.rate, self.window, self.hop, self.bands, self.coefficients), self._range())

    def brief(self) -> str:
        return f"{self.coefficients} of {self.bands} bands"

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({**example.params, "coefficients": 5}, example.inputs) for example in super().examples()]
