"""Noise, gradient reversal and vector quantization against formulas and torch's distributions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from netloom.compile import module as compiled
from netloom.layers import TensorSpec, registry
from netloom.nn.generative import GaussianNoise, GradientReversal, Reparameterize, VectorQuantizer
from tests.networks import network, networks


def test_kl_divergence_matches_torch() -> None:
    mean, log_variance = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum((1, 2)).mean()
    torch.testing.assert_close(Reparameterize.divergence(mean, log_variance), expected, rtol=0, atol=1e-10)
    module = Reparameterize(0.3)
    module(mean, log_variance)
    torch.testing.assert_close(module.auxiliary_loss, 0.3 * expected, rtol=0, atol=1e-10)
    mean.requires_grad_()
    log_variance.requires_grad_()
    assert torch.autograd.gradcheck(Reparameterize.divergence, (mean, log_variance))


def test_samples_have_the_given_mean_and_variance() -> None:
    torch.manual_seed(0)
    rows = 200_000
    mean, log_variance = torch.tensor([1.0, -2.0]).expand(rows, -1), torch.tensor([0.0, -2.0]).expand(rows, -1)
    out = Reparameterize()(mean, log_variance)
    deviation = (0.5 * log_variance[0]).exp()
    assert ((out.mean(0) - mean[0]).abs() < 5 * deviation / rows**0.5).all()
    torch.testing.assert_close(out.std(0), deviation, rtol=0.01, atol=0)


def test_reparameterization_returns_the_mean_in_evaluation() -> None:
    module, mean = Reparameterize().eval(), torch.randn(3, 2)
    assert torch.equal(module(mean, torch.randn(3, 2)), mean)
    assert module.auxiliary_loss is None


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 3.0])
def test_gradient_reversal_negates_and_scales_the_gradient(coefficient: float) -> None:
    module, x, weight = GradientReversal(coefficient), torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    out = module(x)
    assert torch.equal(out, x)
    (gradient,) = torch.autograd.grad((out * weight).sum(), x)
    torch.testing.assert_close(gradient, -coefficient * weight, rtol=0, atol=1e-6)
    assert module.eval()(x) is x


def test_gaussian_noise_acts_only_in_training() -> None:
    torch.manual_seed(0)
    module, x = GaussianNoise(0.5), torch.full((200_000,), 3.0)
    out = module(x)
    assert float(out.mean()) == pytest.approx(3.0, abs=0.006)
    assert float(out.std()) == pytest.approx(0.5, rel=0.01)
    assert module.eval()(x) is x


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 3, 4, 2)])
def test_quantizer_selects_the_nearest_codes(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    image = len(shape) == 4
    module = VectorQuantizer(3, 6, 0.4, channels_first=image).double()
    nn.init.normal_(module.codebook.weight)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    out, chosen = module(x)
    vectors, quantized = (value.flatten(2).transpose(1, 2) if image else value for value in (x, out))
    squares = []
    for example, rows, codes in zip(vectors, quantized, chosen.flatten(1), strict=True):
        for vector, row, code in zip(example, rows, codes, strict=True):
            distances = [(vector - code_vector).square().sum() for code_vector in module.codebook.weight]
            assert int(code) == min(range(6), key=lambda number: float(distances[number].detach()))
            torch.testing.assert_close(row, module.codebook.weight[code], rtol=0, atol=1e-10)
            squares.append(distances[int(code)].detach())
    mean = torch.stack(squares).sum() / x.numel()
    torch.testing.assert_close(module.auxiliary_loss, 1.4 * mean, rtol=0, atol=1e-10)


def test_quantizer_has_straight_through_and_codebook_gradients() -> None:
    """Equation 3 of https://arxiv.org/abs/1711.00937: the first term moves the codes, the second the input."""
    torch.manual_seed(0)
    module = VectorQuantizer(3, 6, 0.4).double()
    x, weight = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True), torch.randn(2, 5, 3).double()
    out, chosen = module(x)
    (straight,) = torch.autograd.grad((out * weight).sum(), x)
    assert torch.equal(straight, weight)
    assert module.auxiliary_loss is not None
    to_x, to_codes = torch.autograd.grad(module.auxiliary_loss, (x, module.codebook.weight))
    difference = x.detach() - module.codebook.weight.detach()[chosen]
    torch.testing.assert_close(to_x, 0.4 * 2 * difference / x.numel(), rtol=0, atol=1e-10)
    expected = torch.zeros(6, 3, dtype=torch.float64).index_add(0, chosen.flatten(), -2 * difference.flatten(0, 1))
    torch.testing.assert_close(to_codes, expected / x.numel(), rtol=0, atol=1e-10)


def test_quantizer_has_no_loss_in_evaluation() -> None:
    module, x = VectorQuantizer(3, 6).eval(), torch.randn(2, 5, 3)
    trained, _ = copy.deepcopy(module).train()(x)
    assert torch.equal(module(x)[0], trained)
    assert module.auxiliary_loss is None


def test_mean_and_variance_of_different_shapes_are_refused() -> None:
    specs = {"mean": TensorSpec((None, 4)), "log_variance": TensorSpec((None, 5))}
    with pytest.raises(ValueError, match=r"mean \(N, 4\) and log_variance \(N, 5\) must have the same shape"):
        registry()["Reparameterize"]().build(specs)


@pytest.mark.parametrize("stop_gradient", [False, True])
def test_identity_stops_the_gradient_if_set(stop_gradient: bool) -> None:
    document = networks(
        main=network(
            {
                "x": ("Input", {"kind": "vector", "shape": [3]}),
                "before": ("Linear", {"units": 2}),
                "same": ("Identity", {"stop_gradient": stop_gradient}),
                "after": ("Linear", {"units": 2}),
                "y": ("Output", {}),
            }
        )
    )
    model, x = compiled(document), torch.randn(4, 3)
    hidden = model.get_submodule("before")(x)
    torch.testing.assert_close(model(x), model.get_submodule("after")(hidden))
    model(x).sum().backward()
    has_gradient = [model.get_parameter(f"{name}.weight").grad is not None for name in ("before", "after")]
    assert has_gradient == [not stop_gradient, True]
