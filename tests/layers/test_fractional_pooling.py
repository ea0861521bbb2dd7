"""Fractional pooling against torch: random regions in training, fixed regions in evaluation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.layers import TensorSpec, registry
from netloom.nn import FractionalMaxPool  # type: ignore[attr-defined]
from netloom.validation.measure import measure


def pool(name: str, lengths: tuple[int, ...], **params: Any) -> nn.Module:
    layer = registry()[name].model_validate(params)
    return layer.build({"in": TensorSpec((None, 2, *lengths))}).build()


@pytest.mark.parametrize(("rank", "lengths"), [(2, (9, 14)), (3, (5, 9, 7))])
@pytest.mark.parametrize("ratio", [0.31, 0.5, 0.7])
def test_training_mode_matches_torch(rank: int, lengths: tuple[int, ...], ratio: float) -> None:
    x = torch.randn(3, 2, *lengths, requires_grad=True)
    torch_layer = getattr(nn, f"FractionalMaxPool{rank}d")(2, output_ratio=ratio)
    results = []
    for module in (pool(f"FractionalMaxPool{rank}d", lengths, ratio=ratio).train(), torch_layer):
        torch.manual_seed(4)
        output = module(x)
        results.append((output, torch.autograd.grad(output.square().sum(), x)[0]))
    assert all(torch.equal(actual, expected) for actual, expected in zip(*results, strict=True))
    measured = measure(
        registry()[f"FractionalMaxPool{rank}d"].model_validate({"ratio": ratio}),
        (("in", TensorSpec((None, 2, *lengths))),),
    )
    assert measured.outputs["out"].shape[1:] == results[1][0].shape[1:]


def test_regions_are_random_in_training_and_fixed_in_evaluation() -> None:
    module, x = pool("FractionalMaxPool2d", (30, 30)), torch.randn(2, 2, 30, 30)
    module.train()
    assert not torch.equal(module(x), module(x))
    module.eval()
    before = torch.get_rng_state()
    assert torch.equal(module(x), module(x))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_evaluation_matches_torch_with_fixed_samples(kernel: int) -> None:
    for length in range(kernel, 40):
        for size in range(1, length - kernel + 2):
            x = torch.randn(1, 2, length, 8)
            half = torch.full((1, 2, 2), 0.5)
            expected = F.fractional_max_pool2d(x, (kernel, kernel), (size, 2), _random_samples=half)
            assert torch.equal(FractionalMaxPool(kernel, (size, 2)).eval()(x), expected), (length, size)


def test_3d_evaluation_matches_torch_with_fixed_samples() -> None:
    x, half = torch.randn(2, 3, 7, 9, 11), torch.full((2, 3, 3), 0.5)
    expected = nn.FractionalMaxPool3d(3, output_size=(4, 5, 6), _random_samples=half)(x)
    assert torch.equal(pool("FractionalMaxPool3d", (7, 9, 11), kernel_size=3, size=[4, 5, 6]).eval()(x), expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ratio": 0.05}, "a ratio of 0.05 of a length of 9 is less than 1; raise it"),
        ({"size": [9, 9]}, "9 windows of kernel_size=2 need a length of 10, received 9"),
        ({"kernel_size": 8}, "6 windows of kernel_size=8 need a length of 13, received 9"),
        ({"size": [3]}, "size must have one number for each of the 2 axes, or be empty"),
    ],
)
def test_invalid_sizes_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool("FractionalMaxPool2d", (9, 9), **params)
