"""Vision blocks: parameter counts of whole networks against torchvision, and outputs against formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.layers import Call, TensorSpec, registry
from netloom.nn.position import PositionalEmbedding
from netloom.nn.transformer import TransformerEncoderBlock
from netloom.nn.vision import (
    AffineGrid,
    ConvNeXtBlock,
    DropPath,
    GridSample,
    InvertedResidual,
    MBConv,
    PatchEmbedding,
    ResidualBlock,
    SqueezeExcite,
    SwinBlock,
    WindowAttention,
)

# Values outside of an image that GridSample can read
OUTSIDE = ("zeros", "border", "reflection")


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def bias_of(layer: nn.Conv2d) -> torch.Tensor:
    assert layer.bias is not None
    return layer.bias


def layer_call(name: str, shape: tuple[int, ...], **params: Any) -> Call:
    """The call that the layer `name` builds for an image of `shape`."""
    return registry()[name].model_validate(params).build({"in": TensorSpec((None, *shape))})


def stem(filters: int, activation: nn.Module) -> list[nn.Module]:
    return [nn.Conv2d(3, filters, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(filters), activation]


def head(channels: int, filters: int, activation: nn.Module) -> list[nn.Module]:
    wide = [nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters), activation]
    return [*wide, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, 1000)]


def mobilenet_v2() -> nn.Module:
    """Table 2 of https://arxiv.org/abs/1801.04381: expansion, channels, repetitions, stride."""
    channels, blocks = 32, []
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, filters, times, stride in rows:
        for number in range(times):
            blocks.append(InvertedResidual(channels, filters, stride if number == 0 else 1, expansion))
            channels = filters
    return nn.Sequential(*stem(32, nn.ReLU6()), *blocks, *head(320, 1280, nn.ReLU6()))


def efficientnet_b0() -> nn.Module:
    """Table 1 of https://arxiv.org/abs/1905.11946: expansion, kernel, channels, repetitions, stride."""
    channels, blocks = 32, []
    rows = [
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ]
    for expansion, kernel, filters, times, stride in rows:
        for number in range(times):
            blocks.append(MBConv(channels, filters, kernel, stride if number == 0 else 1, expansion))
            channels = filters
    return nn.Sequential(*stem(32, nn.SiLU()), *blocks, *head(320, 1280, nn.SiLU()))


def resnet(times: tuple[int, ...], bottleneck: bool) -> nn.Module:
    """Table 1 of https://arxiv.org/abs/1512.03385."""
    channels, blocks = 64, []
    for stage, repeated in enumerate(times):
        filters = 64 * 2**stage * (4 if bottleneck else 1)
        for number in range(repeated):
            blocks.append(ResidualBlock(channels, filters, 2 if stage and not number else 1, bottleneck))
            channels = filters
    first = [nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*first, nn.MaxPool2d(3, stride=2, padding=1), *blocks, *last)


class Last(nn.Module):
    """A module over the channels of an image."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


def convnext_tiny() -> nn.Module:
    """Section 2 and table 9 of https://arxiv.org/abs/2201.03545."""
    widths, parts = (96, 192, 384, 768), []
    parts += [nn.Conv2d(3, 96, 4, stride=4), Last(nn.LayerNorm(96))]
    for stage, times in enumerate((3, 3, 9, 3)):
        if stage:
            parts += [Last(nn.LayerNorm(widths[stage - 1])), nn.Conv2d(widths[stage - 1], widths[stage], 2, stride=2)]
        parts += [ConvNeXtBlock(widths[stage]) for _ in range(times)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(768), nn.Linear(768, 1000))


def swin_tiny() -> nn.Module:
    """Table 7 of https://arxiv.org/abs/2103.14030."""
    parts: list[nn.Module] = [nn.Conv2d(3, 96, 4, stride=4), Last(nn.LayerNorm(96))]
    for stage, times in enumerate((2, 2, 6, 2)):
        dim = 96 * 2**stage
        if stage:
            merged = nn.Sequential(nn.LayerNorm(2 * dim), nn.Linear(2 * dim, dim, bias=False))
            parts += [nn.PixelUnshuffle(2), Last(merged)]
        parts += [SwinBlock(dim, 3 * 2**stage, 7, shift=number % 2 == 1) for number in range(times)]
    return nn.Sequential(*parts, Last(nn.LayerNorm(768)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(768, 1000))


def vit_b16() -> nn.Module:
    """Table 1 of https://arxiv.org/abs/2010.11929."""
    blocks = [TransformerEncoderBlock(768, 12, 3072) for _ in range(12)]
    first = [PatchEmbedding(3, 16, 768, class_token=True), PositionalEmbedding(197, 768)]
    return nn.Sequential(*first, *blocks, nn.LayerNorm(768), nn.Linear(768, 1000))


# `num_params` on the page of each network at https://docs.pytorch.org/vision/stable/models.html
@pytest.mark.parametrize(
    ("network", "count", "shape"),
    [
        pytest.param(mobilenet_v2, 3_504_872, (2, 1000), marks=pytest.mark.long),  # has the blocks of EfficientNet
        (efficientnet_b0, 5_288_548, (2, 1000)),
        (lambda: resnet((2, 2, 2, 2), False), 11_689_512, (2, 1000)),
        (lambda: resnet((3, 4, 6, 3), True), 25_557_032, (2, 1000)),
        (convnext_tiny, 28_589_128, (2, 1000)),
        (swin_tiny, 28_288_354, (2, 1000)),
        (vit_b16, 86_567_656, (2, 197, 1000)),
    ],
    ids=["mobilenet_v2", "efficientnet_b0", "resnet18", "resnet50", "convnext_tiny", "swin_t", "vit_b_16"],
)
def test_parameter_counts_match_torchvision(
    network: Callable[[], nn.Module], count: int, shape: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        built = network()
        assert parameter_count(built) == count
        assert built(torch.zeros(2, 3, 224, 224)).shape == shape


def test_drop_path_drops_whole_examples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.randn(20_000, 2, 3) + 2
    out = DropPath(0.25)(x)
    keep_mask = out.abs().sum((1, 2)) > 0
    assert torch.equal(out[~keep_mask], torch.zeros_like(out[~keep_mask]))
    torch.testing.assert_close(out[keep_mask], x[keep_mask] / 0.75)
    assert float(keep_mask.float().mean()) == pytest.approx(0.75, abs=0.015)  # five standard deviations
    assert DropPath(0.25).eval()(x) is x


@pytest.mark.parametrize("name", ["MBConv", "ConvNeXtBlock", "SwinBlock"])
def test_block_with_dropped_branch_returns_its_input(name: str) -> None:
    torch.manual_seed(0)
    modules: dict[str, nn.Module] = {
        "MBConv": MBConv(4, 4, drop_path=0.999999),
        "ConvNeXtBlock": ConvNeXtBlock(4, drop_path=0.999999),
        "SwinBlock": SwinBlock(4, 2, 4, drop_path=0.999999),
    }
    x = torch.randn(3, 4, 8, 8)
    assert torch.equal(modules[name](x), x)
    assert not torch.equal(modules[name].eval()(x), x)


def test_squeeze_excite_matches_its_formula() -> None:
    module, x = SqueezeExcite(6, 3).double(), torch.randn(2, 6, 4, 5, dtype=torch.float64)
    for example, out in zip(x, module(x), strict=True):
        means = torch.stack([channel.sum() / 20 for channel in example])
        hidden = (module.reduce.weight[:, :, 0, 0] @ means + bias_of(module.reduce)).clamp(min=0)
        gate = 1 / (1 + torch.exp(-(module.expand.weight[:, :, 0, 0] @ hidden + bias_of(module.expand))))
        torch.testing.assert_close(out, example * gate[:, None, None], rtol=0, atol=1e-10)
    assert parameter_count(module) == 2 * 6 * 3 + 3 + 6


@pytest.mark.parametrize("token", [False, True])
def test_patches_are_in_row_major_order(token: bool) -> None:
    module, x = PatchEmbedding(3, 2, 5, token).double(), torch.randn(2, 3, 4, 6, dtype=torch.float64)
    out, weight = module(x), module.project.weight.flatten(1)
    assert out.shape == (2, 6 + token, 5)
    for row in range(2):
        for column in range(3):
            patch = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1)
            expected = patch @ weight.T + bias_of(module.project)
            torch.testing.assert_close(out[:, token + 3 * row + column], expected, rtol=0, atol=1e-10)
    if module.class_token is not None:
        assert torch.equal(out[:, 0], module.class_token[0].expand(2, -1))


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize(("height", "width", "window"), [(8, 8, 4), (6, 9, 3), (4, 8, 4), (4, 4, 4), (5, 10, 5)])
def test_window_attention_matches_masked_attention(height: int, width: int, window: int, shift: bool) -> None:
    """Full attention over all positions, masked to those in the same window, without rolling or partitioning."""
    torch.manual_seed(0)
    module = WindowAttention(6, 2, window, shift).double()
    nn.init.normal_(module.bias)
    x = torch.randn(2, 6, height, width, dtype=torch.float64)
    positions = [(y, z) for y in range(height) for z in range(width)]

    def window_of(y: int, z: int) -> tuple[int, int]:
        down, right = (window // 2 if shift and size > window else 0 for size in (height, width))
        return (y - down) // window, (z - right) // window

    expected = torch.zeros_like(x)
    for example in range(2):
        rows = x[example].flatten(1).T @ module.qkv.weight.T + module.qkv.bias  # (places, 18)
        mixed = []
        for number in range(2):
            q, k, v = (rows[:, 6 * part + 3 * number : 6 * part + 3 * number + 3] for part in range(3))
            scores = torch.full((len(positions), len(positions)), -math.inf, dtype=torch.float64)
            for i, (y, z) in enumerate(positions):
                for j, (a, b) in enumerate(positions):
                    if window_of(y, z) == window_of(a, b):
                        distance = (y - a + window - 1) * (2 * window - 1) + z - b + window - 1
                        scores[i, j] = q[i] @ k[j] / math.sqrt(3) + module.bias[distance, number]
            mixed.append(scores.softmax(1) @ v)
        out = torch.cat(mixed, 1) @ module.out.weight.T + module.out.bias
        expected[example] = out.T.reshape(6, height, width)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)


def test_window_attention_passes_gradcheck() -> None:
    torch.manual_seed(0)
    module = WindowAttention(4, 2, 2, shift=True).double()
    x = torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


@pytest.mark.parametrize("block", [InvertedResidual(4, 4), MBConv(4, 4), ResidualBlock(4, 4), ConvNeXtBlock(4)])
def test_blocks_with_zero_branch_are_the_identity(block: nn.Module) -> None:
    """With zeros in the last layer of the branch, the block returns its input."""
    x = torch.rand(2, 4, 6, 6)
    last = block.reduce if isinstance(block, ConvNeXtBlock) else block.get_submodule("layers")[-1]  # type: ignore[index]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(block(x), x)


def randomized_for_evaluation(block: nn.Module) -> nn.Module:
    """The block in evaluation mode, with random parameters and running statistics instead of zeros and ones."""
    torch.manual_seed(0)
    block = block.double().eval()
    for name, value in block.state_dict().items():
        if value.is_floating_point():
            nn.init.uniform_(value, 0.5, 1.5) if "var" in name or value.dim() == 1 else nn.init.normal_(value)
    return block


def convolution_steps(block: nn.Module) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """The block's convolutions in order, each followed by its batch norm."""
    layers = [layer for layer in block.get_submodule("layers").children() if not isinstance(layer, SqueezeExcite)]
    normalized_convolutions: list[Callable[[torch.Tensor], torch.Tensor]] = []
    for layer, norm in pairwise(layers):
        if isinstance(layer, nn.Conv2d):
            assert isinstance(norm, nn.BatchNorm2d)

            def step(x: torch.Tensor, layer: nn.Conv2d = layer, norm: nn.BatchNorm2d = norm) -> torch.Tensor:
                x = F.conv2d(x, layer.weight, None, layer.stride, layer.padding, groups=layer.groups)
                return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

            normalized_convolutions.append(step)
    return normalized_convolutions


def image(channels: int = 4) -> torch.Tensor:
    return torch.randn(2, channels, 6, 6, dtype=torch.float64)


@pytest.mark.parametrize("filters", [4, 6])
def test_inverted_residual_matches_its_formula(filters: int) -> None:
    """Table 1 of https://arxiv.org/abs/1801.04381"""
    block, x = randomized_for_evaluation(InvertedResidual(4, filters, expansion=3)), image()
    widen, filter_each, narrow = convolution_steps(block)
    expected = narrow(filter_each(widen(x).clamp(0, 6)).clamp(0, 6))
    torch.testing.assert_close(block(x), expected + x if filters == 4 else expected, rtol=1e-10, atol=1e-10)


def test_mbconv_matches_its_formula() -> None:
    """https://arxiv.org/abs/1905.11946; squeeze and excite reduces to a quarter of the input channels."""
    block, x = randomized_for_evaluation(MBConv(4, 4, 5, expansion=3)), image()
    widen, filter_each, narrow = convolution_steps(block)
    excite = next(layer for layer in block.get_submodule("layers").children() if isinstance(layer, SqueezeExcite))
    assert excite.reduce.out_channels == 1
    wide = F.silu(filter_each(F.silu(widen(x))))
    hidden = F.silu(F.conv2d(wide.mean((2, 3), keepdim=True), excite.reduce.weight, excite.reduce.bias))
    gate = torch.sigmoid(F.conv2d(hidden, excite.expand.weight, excite.expand.bias))
    torch.testing.assert_close(block(x), x + narrow(wide * gate), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_residual_block_matches_its_formula(bottleneck: bool, stride: int) -> None:
    """Figures 2 and 5 of https://arxiv.org/abs/1512.03385"""
    block = randomized_for_evaluation(ResidualBlock(8, 8, stride, bottleneck))
    x = image(8)
    branch = x
    *before, last = convolution_steps(block)
    for step in before:
        branch = step(branch).clamp(min=0)
    shortcut = x
    if stride == 2:
        convolution, norm = block.get_submodule("shortcut").children()
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        shortcut = torch.einsum("nchw,fc->nfhw", x[:, :, ::2, ::2], convolution.weight[:, :, 0, 0])
        shortcut = F.batch_norm(shortcut, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    layers = block.get_submodule("layers").children()
    kernel_sizes = [layer.kernel_size[0] for layer in layers if isinstance(layer, nn.Conv2d)]
    assert kernel_sizes == ([1, 3, 1] if bottleneck else [3, 3])
    torch.testing.assert_close(block(x), (last(branch) + shortcut).clamp(min=0), rtol=1e-10, atol=1e-10)


def test_convnext_block_matches_its_formula() -> None:
    """Figure 4 of https://arxiv.org/abs/2201.03545"""
    block, x = ConvNeXtBlock(4), image()
    torch.testing.assert_close(block.scale, torch.full((4,), 1e-6))
    randomized_for_evaluation(block)
    branch = F.conv2d(x, block.depthwise.weight, block.depthwise.bias, padding=3, groups=4).permute(0, 2, 3, 1)
    mean, variance = branch.mean(3, keepdim=True), branch.var(3, correction=0, keepdim=True)
    branch = (branch - mean) / (variance + 1e-6).sqrt() * block.norm.weight + block.norm.bias
    wide = branch @ block.expand.weight.T + block.expand.bias
    wide = wide * 0.5 * (1 + torch.erf(wide / math.sqrt(2)))
    branch = block.scale * (wide @ block.reduce.weight.T + block.reduce.bias)
    torch.testing.assert_close(block(x), x + branch.permute(0, 3, 1, 2), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shift", [False, True])
def test_swin_block_matches_its_formula(shift: bool) -> None:
    """Equation 3 of https://arxiv.org/abs/2103.14030, around the attention tested above."""
    block, x = SwinBlock(4, 2, 3, shift), image()
    randomized_for_evaluation(block)

    def layer_normed(x: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
        mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
        scaled = (x - mean) / (variance + 1e-5).sqrt()
        return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]

    assert block.attention.shift is shift
    middle = x + block.attention(layer_normed(x, block.norm1))
    wide, _, narrow = block.feed_forward
    assert isinstance(wide, nn.Linear)
    assert isinstance(narrow, nn.Linear)
    hidden = torch.einsum("nchw,dc->ndhw", layer_normed(middle, block.norm2), wide.weight) + wide.bias[:, None, None]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    branch = torch.einsum("ndhw,cd->nchw", hidden, narrow.weight) + narrow.bias[:, None, None]
    torch.testing.assert_close(block(x), middle + branch, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["InvertedResidual", "MBConv", "ResidualBlock"])
@pytest.mark.parametrize(("filters", "stride"), [(4, 1), (8, 1), (4, 2), (8, 2)])
def test_stride_and_filters_determine_the_output_shape(name: str, filters: int, stride: int) -> None:
    built = layer_call(name, (4, 7, 8), filters=filters, stride=stride).build()
    assert built(torch.randn(2, 4, 7, 8)).shape == (2, filters, -(-7 // stride), 8 // stride)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("PatchEmbedding", {"patch": 5}, "patches of 5 do not divide an image of 8 × 12.*such as 4"),
        ("WindowAttention", {"window": 3}, "windows of 3 do not divide an image of 8 × 12.*such as 2"),
        ("SwinBlock", {"window": 8}, "windows of 8 do not divide an image of 8 × 12.*such as 4"),
        ("SwinBlock", {"heads": 3}, "3 heads cannot divide 4 channels"),
        ("WindowAttention", {"heads": 3}, "3 heads cannot divide 4 channels"),
        ("ResidualBlock", {"filters": 6, "kind": "bottleneck"}, "a quarter of the 6 filters.*multiple of 4"),
        ("ConvNeXtBlock", {"kernel_size": 4}, "kernel_size=4 has no center.*odd"),
        ("MBConv", {"kernel_size": 4}, "kernel_size=4 has no center.*odd"),
    ],
)
def test_invalid_settings_are_refused_with_a_suggestion(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer_call(name, (4, 8, 12), **params).build()


def test_an_affine_grid_turns_an_image() -> None:
    image = torch.randn(2, 3, 4, 4)
    quarter_turn = torch.tensor([[0.0, -1.0, 0.0, 1.0, 0.0, 0.0]]).expand(2, 6)
    grid = AffineGrid(4, 4)(quarter_turn)
    torch.testing.assert_close(GridSample()(image, grid), torch.rot90(image, 1, (2, 3)), atol=1e-5, rtol=1e-5)


def test_positions_outside_of_an_image_have_the_chosen_values() -> None:
    image = torch.arange(1.0, 5.0).view(1, 1, 2, 2)
    outside = torch.tensor([-1.0, -5.0]).view(1, 1, 1, 2)
    corners = {name: GridSample("nearest", name, align_corners=True)(image, outside).item() for name in OUTSIDE}
    # Reflected at −1 and 1, −5 is −1 again.
    assert corners == {"zeros": 0.0, "border": 1.0, "reflection": 1.0}


def test_grids_and_maps_of_other_shapes_are_refused() -> None:
    specs = {"image": TensorSpec((None, 3, 4, 4)), "grid": TensorSpec((None, 4, 4, 3))}
    with pytest.raises(ValueError, match=r"two coordinates for each pixel, \(N, H, W, 2\), received"):
        registry()["GridSample"]().build(specs)
    with pytest.raises(ValueError, match="an affine map has 6 numbers"):
        registry()["AffineGrid"]().build({"in": TensorSpec((None, 4))})
