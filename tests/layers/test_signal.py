"""Spectra against torch, SciPy and the formulas of the mel scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch

from netloom.layers import TensorSpec, registry
from netloom.nn.signal import DCT, MFCC, FFTMagnitude, LogMel, STFTMagnitude


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    """Compute windows and filters in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("shape", [(2, 9), (2, 3, 8), (2, 3, 4, 5)])
def test_fft_magnitude_matches_the_fourier_sum(shape: tuple[int, ...], log: bool) -> None:
    x, length = torch.randn(shape), shape[-1]
    positions = torch.arange(length)
    waves = torch.stack([2 * math.pi * number * positions / length for number in range(length // 2 + 1)], 1)
    expected = ((x @ waves.cos()) ** 2 + (x @ waves.sin()) ** 2).sqrt()
    output = FFTMagnitude(log)(x)
    torch.testing.assert_close(output, (1 + expected).log() if log else expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("length", "window", "hop"), [(50, 16, 7), (50, 9, 4), (33, 32, 32), (400, 64, 16)])
def test_spectrogram_matches_torch(length: int, window: int, hop: int, center: bool, power: bool) -> None:
    x = torch.randn(2, length)
    hann = torch.hann_window(window)
    expected = torch.stft(x, window, hop, window=hann, center=center, pad_mode="reflect", return_complex=True)
    expected = expected.abs().transpose(1, 2)
    output = STFTMagnitude(window, hop, center, power)(x)
    torch.testing.assert_close(output, expected**2 if power else expected, rtol=0, atol=1e-10)


def mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


@pytest.mark.parametrize(("low", "high"), [(0.0, None), (100.0, 6000.0)])
def test_mel_filters_are_triangles_evenly_spaced_in_mel(low: float, high: float | None) -> None:
    rate, window, bands = 16_000, 400, 20
    filters = LogMel(rate, window, 160, bands, low, high).filters
    top = rate / 2 if high is None else high
    edges = [
        700 * (10 ** ((mel(low) + number * (mel(top) - mel(low)) / (bands + 1)) / 2595) - 1)
        for number in range(bands + 2)
    ]
    expected = torch.zeros(window // 2 + 1, bands)
    for row in range(window // 2 + 1):
        hertz = row * rate / window
        for band in range(bands):
            expected[row, band] = np.interp(hertz, edges[band : band + 3], [0.0, 1.0, 0.0])
    torch.testing.assert_close(filters, expected, rtol=0, atol=1e-10)
    assert edges[0] == pytest.approx(low, abs=1e-9)
    assert edges[-1] == pytest.approx(top)


def test_mel_scale_maps_1000_hz_to_1000_mel() -> None:
    """The anchor point of the mel scale, to 0.1; a 1000 Hz tone is loudest in the band that contains it."""
    assert mel(1000) == pytest.approx(1000, abs=0.1)
    module = LogMel(16_000, 512, 128, 40)
    tone = (2 * math.pi * 1000 * torch.arange(4096) / 16_000).sin()
    loudest = module(tone.unsqueeze(0)).mean(1).argmax()
    middle = mel(8000) / 41 * (int(loudest) + 1)
    assert abs(middle - 1000) < mel(8000) / 41


def test_log_mel_is_the_logarithm_of_the_filtered_power() -> None:
    module, x = LogMel(1_000, 64, 20, 8), torch.randn(2, 100)
    spectrum = torch.stft(x, 64, 20, window=torch.hann_window(64), return_complex=True).abs().transpose(1, 2) ** 2
    torch.testing.assert_close(module(x), (spectrum @ module.filters + 1e-6).log(), rtol=0, atol=1e-10)
    assert module(torch.zeros(1, 100)).allclose(torch.tensor(math.log(1e-6)))


@pytest.mark.parametrize(("size", "keep"), [(1, 1), (8, 8), (13, 5)])
def test_cosine_transform_matches_scipy(size: int, keep: int) -> None:
    x = torch.randn(2, 3, size)
    expected = torch.from_numpy(scipy.fft.dct(x.numpy(), type=2, norm="ortho"))[..., :keep]
    torch.testing.assert_close(DCT(size, keep)(x), expected, rtol=0, atol=1e-10)


def test_mfcc_is_the_cosine_transform_of_the_mel_bands() -> None:
    module, x = MFCC(1_000, 64, 20, 8, 5, 20.0, 400.0), torch.randn(2, 100)
    bands = LogMel(1_000, 64, 20, 8, 20.0, 400.0)(x)
    expected = torch.from_numpy(scipy.fft.dct(bands.numpy(), type=2, norm="ortho"))[..., :5]
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "module",
    [FFTMagnitude(True), STFTMagnitude(8, 3), STFTMagnitude(8, 3, False, True)],
    ids=["fft", "stft", "power"],
)
def test_spectral_layers_pass_gradcheck(module: torch.nn.Module) -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(module.double(), (torch.randn(2, 15, requires_grad=True),))


def test_mel_layers_pass_gradcheck() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 30, requires_grad=True)
    assert torch.autograd.gradcheck(LogMel(100, 16, 5, 3), (x,))
    assert torch.autograd.gradcheck(MFCC(100, 16, 5, 3, 2), (x,))


def test_silence_has_a_finite_gradient() -> None:
    for module in (FFTMagnitude(), STFTMagnitude(16, 5), LogMel(100, 16, 5, 3), MFCC(100, 16, 5, 3, 2)):
        x = torch.zeros(1, 30, requires_grad=True)
        module(x).sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("STFTMagnitude", {"window": 200}, "needs a waveform of at least 101 samples, received 100; lower window"),
        ("STFTMagnitude", {"window": 101, "center": False}, "needs a waveform of at least 101 samples, received 100"),
        ("LogMel", {"window": 400}, "needs a waveform of at least 201"),
        (
            "LogMel",
            {"window": 64, "rate": 1_000, "high": 501.0},
            "0 to 501 Hz are not possible at 1000 samples.*500 Hz",
        ),
        ("LogMel", {"window": 64, "rate": 1_000, "low": 500.0}, "500 to 500 Hz are not possible"),
        (
            "MFCC",
            {"window": 64, "coefficients": 41},
            "40 numbers have at most 40 coefficients, received 41; lower the number",
        ),
        ("DCT", {"keep": 101}, "100 numbers have at most 100 coefficients"),
    ],
)
def test_invalid_settings_are_refused_with_a_suggestion(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry()[name].model_validate(params).build({"in": TensorSpec((None, 100))}).build()


@pytest.mark.parametrize("window", [64, 75])
@pytest.mark.parametrize("center", [False, True])
def test_shortest_accepted_waveform_works(window: int, center: bool) -> None:
    minimum = window // 2 + 1 if center else window
    layer = registry()["STFTMagnitude"].model_validate({"window": window, "hop": 20, "center": center})
    built = layer.build({"in": TensorSpec((None, minimum))}).build()
    assert built(torch.randn(2, minimum)).shape[::2] == (2, window // 2 + 1)
    with pytest.raises(ValueError, match=f"a waveform of at least {minimum}"):
        layer.build({"in": TensorSpec((None, minimum - 1))})
