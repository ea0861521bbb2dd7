"""Layers that wrap a torch.nn module: equal bit for bit, with published parameter counts and sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F  # noqa: N812

import netloom.nn as netloom_modules
from netloom.layers import TensorSpec, registry
from netloom.layers.layer import SAMPLES
from netloom.validation.measure import measure

# Layer, parameters, inputs (a kind, or shapes by port), and the torch.nn module that it must equal.
Inputs = str | dict[str, tuple[int, ...]]
PLAIN = (
    "ReLU ReLU6 SELU Mish SiLU GELU ELU CELU Hardswish Hardsigmoid Hardtanh Hardshrink Softshrink Tanhshrink Softplus"
)
SAME_NAME = f"{PLAIN} Softsign LogSigmoid RReLU PReLU Sigmoid Tanh LeakyReLU Identity".split()
KINDS = ("vector", "sequence", "image", "volume")
PADS = {
    "ZeroPad": nn.ZeroPad2d,
    "ReflectionPad": nn.ReflectionPad2d,
    "ReplicationPad": nn.ReplicationPad2d,
    "CircularPad": nn.CircularPad2d,
}


def without_bias(norm: nn.Module) -> nn.Module:
    """What `bias=False` makes in newer versions of PyTorch."""
    norm.register_parameter("bias", None)
    return norm


CASES: list[tuple[str, dict[str, Any], Inputs, Callable[[], nn.Module]]] = [
    *((name, {}, kind, getattr(nn, name)) for name in SAME_NAME for kind in KINDS),
    ("GELU", {"approximate": "tanh"}, "vector", lambda: nn.GELU(approximate="tanh")),
    ("ELU", {"alpha": 0.3}, "vector", lambda: nn.ELU(0.3)),
    ("CELU", {"alpha": 0.3}, "vector", lambda: nn.CELU(0.3)),
    ("LeakyReLU", {"slope": 0.3}, "vector", lambda: nn.LeakyReLU(0.3)),
    ("Hardtanh", {"low": -0.2, "high": 0.7}, "vector", lambda: nn.Hardtanh(-0.2, 0.7)),
    ("Hardshrink", {"threshold": 0.9}, "vector", lambda: nn.Hardshrink(0.9)),
    ("Softshrink", {"threshold": 0.9}, "vector", lambda: nn.Softshrink(0.9)),
    ("Softplus", {"beta": 3.0, "threshold": 1.0}, "vector", lambda: nn.Softplus(3.0, 1.0)),
    ("Threshold", {"threshold": 0.1, "value": -2.0}, "image", lambda: nn.Threshold(0.1, -2.0)),
    ("RReLU", {"low": 0.1, "high": 0.9}, "vector", lambda: nn.RReLU(0.1, 0.9)),
    ("PReLU", {"per_channel": True, "slope": 0.1}, "image", lambda: nn.PReLU(4, 0.1)),
    ("Softmax", {}, "sequence", lambda: nn.Softmax(2)),
    ("Softmax", {"axis": 1}, "image", lambda: nn.Softmax(1)),
    ("Softmin", {}, "vector", lambda: nn.Softmin(1)),
    ("LogSoftmax", {"axis": 1}, "sequence", lambda: nn.LogSoftmax(1)),
    ("Softmax2d", {}, "image", nn.Softmax2d),
    ("GLU", {}, "sequence", nn.GLU),
    ("GLU", {"axis": 1}, "image", lambda: nn.GLU(1)),
    ("Conv1d", {"filters": 6, "groups": 2, "stride": 2, "padding_mode": "circular"}, "sequence",
     lambda: nn.Conv1d(8, 6, 3, 2, 1, groups=2, padding_mode="circular")),
    ("Conv1d", {"filters": 6, "kernel_size": 5, "dilation": 2, "same": True}, "sequence",
     lambda: nn.Conv1d(8, 6, 5, padding="same", dilation=2)),
    ("Conv2d", {"filters": 6, "kernel_shape": [1, 5], "same": True}, "image",
     lambda: nn.Conv2d(4, 6, (1, 5), padding="same")),
    ("Conv2d", {"filters": 6, "padding_mode": "reflect"}, "image",
     lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")),
    ("Conv2d", {"filters": 6, "padding_mode": "replicate", "padding": 2, "dilation": 2, "bias": False}, "image",
     lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False, padding_mode="replicate")),
    ("Conv3d", {"filters": 6}, "volume", lambda: nn.Conv3d(2, 6, 3, padding=1)),
    ("Conv3d", {"filters": 6, "kernel_shape": [1, 3, 3], "same": True, "groups": 2}, "volume",
     lambda: nn.Conv3d(2, 6, (1, 3, 3), padding=(0, 1, 1), groups=2)),
    ("DepthwiseConv2d", {"multiplier": 3, "stride": 2}, "image",
     lambda: nn.Conv2d(4, 12, 3, stride=2, padding=1, groups=4)),
    ("ConvTranspose1d", {"filters": 6}, "sequence", lambda: nn.ConvTranspose1d(8, 6, 2, 2)),
    ("ConvTranspose2d", {"filters": 6, "kernel_size": 3, "padding": 1, "output_padding": 1, "groups": 2}, "image",
     lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)),
    ("ConvTranspose2d", {"filters": 6, "kernel_shape": [3, 2], "dilation": 2, "bias": False}, "image",
     lambda: nn.ConvTranspose2d(4, 6, (3, 2), 2, bias=False, dilation=2)),
    ("ConvTranspose3d", {"filters": 6}, "volume", lambda: nn.ConvTranspose3d(2, 6, 2, 2)),
    *((f"{stem}Pool{rank}d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, KINDS[rank],
       lambda stem=stem, rank=rank: getattr(nn, f"{stem}Pool{rank}d")(3, 2, 1, ceil_mode=True))
      for stem in ("Max", "Avg") for rank in (1, 2, 3)),
    *((f"MaxPool{rank}dIndices", {"kernel_size": 3, "stride": 2, "padding": 1}, KINDS[rank],
       lambda rank=rank: getattr(nn, f"MaxPool{rank}d")(3, 2, 1, return_indices=True)) for rank in (1, 2, 3)),
    *((f"LPPool{rank}d", {"norm": 4, "kernel_size": 3, "stride": 1, "ceil_mode": True}, KINDS[rank],
       lambda rank=rank: getattr(nn, f"LPPool{rank}d")(4, 3, 1, ceil_mode=True)) for rank in (1, 2, 3)),
    *((f"Adaptive{stem}Pool{rank}d", {"size": 3}, KINDS[rank],
       lambda stem=stem, rank=rank: getattr(nn, f"Adaptive{stem}Pool{rank}d")(3))
      for stem in ("Avg", "Max") for rank in (1, 2, 3)),
    ("BatchNorm1d", {"affine": False}, "sequence", lambda: nn.BatchNorm1d(8, affine=False)),
    ("BatchNorm3d", {"momentum": 0.3, "epsilon": 0.01}, "volume", lambda: nn.BatchNorm3d(2, 0.01, 0.3)),
    ("InstanceNorm1d", {}, "sequence", lambda: nn.InstanceNorm1d(8)),
    ("InstanceNorm2d", {"affine": True, "epsilon": 0.1}, "image", lambda: nn.InstanceNorm2d(4, 0.1, affine=True)),
    ("InstanceNorm3d", {}, "volume", lambda: nn.InstanceNorm3d(2)),
    ("GroupNorm", {"groups": 2, "affine": False}, "image", lambda: nn.GroupNorm(2, 4, affine=False)),
    ("GroupNorm", {"groups": 2, "epsilon": 0.1}, "vector", lambda: nn.GroupNorm(2, 12, 0.1)),
    *((f"{stem}Norm{rank}d", {"affine": True, "bias": False, "epsilon": 0.1}, KINDS[rank],
       lambda kind=f"{stem}Norm{rank}d", channels=(8, 4, 2)[rank - 1]: without_bias(
           getattr(nn, kind)(channels, 0.1, affine=True)))
      for stem in ("Batch", "Instance") for rank in (1, 2, 3)),
    ("BatchNorm2d", {"bias": False, "momentum": 0.3}, "image", lambda: without_bias(nn.BatchNorm2d(4, momentum=0.3))),
    ("GroupNorm", {"groups": 2, "bias": False}, "image", lambda: without_bias(nn.GroupNorm(2, 4))),
    ("GroupNorm", {"groups": 2, "affine": False, "bias": False}, "image", lambda: nn.GroupNorm(2, 4, affine=False)),
    ("LayerNorm", {"axes": 3, "affine": False}, "image", lambda: nn.LayerNorm((4, 8, 8), elementwise_affine=False)),
    ("RMSNorm", {}, "sequence", lambda: nn.RMSNorm(16)),
    ("RMSNorm", {"epsilon": 0.1, "axes": 2}, "image", lambda: nn.RMSNorm((8, 8), 0.1)),
    ("LocalResponseNorm", {"size": 3, "alpha": 0.5, "beta": 0.9, "k": 2.0}, "image",
     lambda: nn.LocalResponseNorm(3, 0.5, 0.9, 2.0)),
    *((name, {"rate": 0.3}, kind, lambda name=name: getattr(nn, name)(0.3))
      for name, kind in (("Dropout", "volume"), ("Dropout1d", "sequence"), ("Dropout2d", "image"),
                         ("Dropout3d", "volume"), ("AlphaDropout", "vector"), ("FeatureAlphaDropout", "image"))),
    *((f"{stem}{rank}d", {"padding": 2}, KINDS[rank],
       lambda stem=stem, rank=rank: getattr(nn, f"{stem}{rank}d")(2)) for stem in PADS for rank in (1, 2, 3)),
    *((f"{stem}2d", {"sides": [1, 0, 3, 2]}, "image", lambda kind=kind: kind((1, 0, 3, 2)))
      for stem, kind in PADS.items()),
    *((f"ConstantPad{rank}d", {"padding": 2, "value": 1.5}, KINDS[rank],
       lambda rank=rank: getattr(nn, f"ConstantPad{rank}d")(2, 1.5)) for rank in (1, 2, 3)),
    ("Upsample", {}, "image", lambda: nn.Upsample(scale_factor=2.0)),
    ("Upsample", {"scale": 1.5, "mode": "linear"}, "sequence", lambda: nn.Upsample(scale_factor=1.5, mode="linear")),
    ("Upsample", {"size": [5, 11], "mode": "linear", "align_corners": True}, "image",
     lambda: nn.Upsample((5, 11), mode="bilinear", align_corners=True)),
    ("Upsample", {"mode": "bicubic"}, "image", lambda: nn.Upsample(scale_factor=2.0, mode="bicubic")),
    ("Upsample", {"mode": "linear"}, "volume", lambda: nn.Upsample(scale_factor=2.0, mode="trilinear")),
    ("Upsample", {"mode": "nearest-exact", "scale": 0.6}, "image",
     lambda: nn.Upsample(scale_factor=0.6, mode="nearest-exact")),
    ("PixelShuffle", {}, "image", lambda: nn.PixelShuffle(2)),
    ("PixelUnshuffle", {"factor": 4}, "image", lambda: nn.PixelUnshuffle(4)),
    ("ChannelShuffle", {}, "image", lambda: nn.ChannelShuffle(2)),
    ("Unfold", {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}, "image", lambda: nn.Unfold(3, 2, 1, 2)),
    ("Fold", {"kernel_size": 3, "stride": 2, "padding": 1, "height": 7, "width": 9}, {"in": (18, 20)},
     lambda: nn.Fold((7, 9), 3, 1, 1, 2)),
    ("Unflatten", {"axis": 2, "sizes": [2, -1]}, "sequence", lambda: nn.Unflatten(2, (2, -1))),
    ("PairwiseDistance", {"p": 3.0, "epsilon": 0.1}, {"a": (4, 6), "b": (4, 6)},
     lambda: nn.PairwiseDistance(3.0, 0.1, keepdim=True)),
    ("Bilinear", {"units": 5}, {"a": (6,), "b": (3,)}, lambda: nn.Bilinear(6, 3, 5)),
    ("RNNCell", {"nonlinearity": "relu"}, {"in": (6,), "state": (5,)}, lambda: nn.RNNCell(6, 5, nonlinearity="relu")),
    ("GRUCell", {"bias": False}, {"in": (6,), "state": (5,)}, lambda: nn.GRUCell(6, 5, bias=False)),
    ("Embedding", {"vocabulary": 9, "dim": 5, "padding_token": 2}, "tokens", lambda: nn.Embedding(9, 5, 2)),
    *(("EmbeddingBag", {"vocabulary": 9, "dim": 5, "padding_token": 2, "mode": mode}, "tokens",
       lambda mode=mode: nn.EmbeddingBag(9, 5, mode=mode, padding_idx=2)) for mode in ("mean", "sum", "max")),
]  # fmt: skip


def specs(name: str, params: dict[str, Any], inputs: Inputs) -> dict[str, TensorSpec]:
    if isinstance(inputs, dict):
        return {port: TensorSpec((None, *shape)) for port, shape in inputs.items()}
    sample = next(spec for kind, spec in SAMPLES.items() if kind == inputs)
    return {port.name: sample for port in registry()[name].model_validate(params).inputs()}


def build_from_source(name: str, params: dict[str, Any], input_specs: dict[str, TensorSpec]) -> nn.Module:
    """The module built from the generated source, which must have the type of the directly built one."""
    call = registry()[name].model_validate(params).build(input_specs)
    module = eval(call.source(), {"nn": nn} | {key: getattr(netloom_modules, key) for key in netloom_modules.__all__})
    assert type(module) is type(call.build())
    assert isinstance(module, nn.Module)
    return module


def random_inputs(input_specs: dict[str, TensorSpec], batch: int = 3, high: int = 9) -> list[torch.Tensor]:
    shapes = [(batch, *(spec.size(axis) for axis in range(1, len(spec.shape)))) for spec in input_specs.values()]
    return [
        torch.randint(0, high, shape) if spec.dtype == "int" else torch.randn(shape, requires_grad=True)
        for spec, shape in zip(input_specs.values(), shapes, strict=True)
    ]


def seed(number: int) -> None:
    """torch.manual_seed without the bookkeeping for absent devices."""
    torch.default_generator.manual_seed(number)


def run_seeded(module: nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    seed(5)
    result = module(*inputs)
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize(
    ("name", "params", "given_inputs", "direct"),
    [pytest.param(*case, id=f"{case[0]}-{number}") for number, case in enumerate(CASES)],
)
def test_layer_equals_torch_bit_for_bit(
    name: str, params: dict[str, Any], given_inputs: Inputs, direct: Callable[[], nn.Module]
) -> None:
    known = specs(name, params, given_inputs)
    seed(1)
    layer = build_from_source(name, params, known)
    seed(1)
    torch_layer = direct()
    seed(2)
    inputs = random_inputs(known)
    for training in (True, False):
        results = [run_seeded(module.train(training), inputs) for module in (layer, torch_layer)]
        gradients = []
        for outputs, module in zip(results, (layer, torch_layer), strict=True):
            seed(3)
            differentiable = [value for value in (*inputs, *module.parameters()) if value.requires_grad]
            total = sum((value * torch.randn_like(value)).sum() for value in outputs if value.is_floating_point())
            gradients.append(torch.autograd.grad(torch.as_tensor(total), differentiable))
        for pair in (results, gradients):
            assert len(pair[0]) == len(pair[1]), f"training={training}"
            assert all(torch.equal(actual, expected) for actual, expected in zip(*pair, strict=True)), (
                f"training={training}"
            )
    measured = measure(registry()[name].model_validate(params), tuple(known.items()))
    assert [(3, *spec.shape[1:]) for spec in measured.outputs.values()] == [tuple(value.shape) for value in results[1]]
    assert measured.parameters == sum(parameter.numel() for parameter in torch_layer.parameters())
    assert layer.state_dict().keys() == torch_layer.state_dict().keys()


LEFT_OUT = {
    *"MultiheadAttention Transformer TransformerDecoder TransformerDecoderLayer".split(),  # covered by other test files
    *"TransformerEncoder TransformerEncoderLayer CosineSimilarity".split(),
    *"UpsamplingBilinear2d UpsamplingNearest2d CrossMapLRN2d SyncBatchNorm AdaptiveLogSoftmaxWithLoss".split(),
    *"Container Module ModuleDict ModuleList ParameterDict ParameterList Sequential DataParallel".split(),
    *"RNNBase RNNCellBase".split(),
}


def test_every_torch_layer_is_in_the_catalog() -> None:
    torch_layers = {
        name for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)
    }
    torch_layers = {
        name for name in torch_layers if not name.startswith("Lazy") and not name.endswith(("Loss", "Loss2d"))
    }
    assert torch_layers - LEFT_OUT <= set(registry())


def test_default_source_of_layers_is_unchanged() -> None:
    image, sequence = {"in": SAMPLES["image"]}, {"in": SAMPLES["sequence"]}
    expected_calls = {
        "Conv1d": (sequence, "nn.Conv1d(8, 32, 3, padding=1)"),
        "Conv2d": (image, "nn.Conv2d(4, 32, 3, padding=1)"),
        "MaxPool1d": (sequence, "nn.MaxPool1d(2)"),
        "MaxPool2d": (image, "nn.MaxPool2d(2)"),
        "AvgPool1d": (sequence, "nn.AvgPool1d(2)"),
        "AvgPool2d": (image, "nn.AvgPool2d(2)"),
        "AdaptiveAvgPool2d": (image, "nn.AdaptiveAvgPool2d(1)"),
        "AdaptiveMaxPool2d": (image, "nn.AdaptiveMaxPool2d(1)"),
        "GlobalAvgPool": (image, "GlobalAvgPool()"),
        "BatchNorm1d": (sequence, "nn.BatchNorm1d(8)"),
        "BatchNorm2d": (image, "nn.BatchNorm2d(4)"),
        "LayerNorm": (sequence, "nn.LayerNorm(16)"),
        "Dropout": (image, "nn.Dropout(0.5)"),
        "ReLU": (image, "nn.ReLU()"),
        "LeakyReLU": (image, "nn.LeakyReLU(0.01)"),
        "GELU": (image, "nn.GELU()"),
        "ELU": (image, "nn.ELU()"),
        "Softplus": (image, "nn.Softplus()"),
        "Softmax": (image, "nn.Softmax(dim=-1)"),
        "Embedding": ({"in": SAMPLES["tokens"]}, "nn.Embedding(1000, 32)"),
        "LSTM": (sequence, "LSTM(16, 64, batch_first=True)"),
        "GRU": (sequence, "GRU(16, 64, batch_first=True)"),
    }
    assert {name: registry()[name]().build(known).source() for name, (known, _) in expected_calls.items()} == {
        name: source for name, (_, source) in expected_calls.items()
    }


@pytest.mark.parametrize(
    ("name", "params", "inputs", "count"),
    [
        ("Conv2d", {"filters": 64}, {"in": (3, 224, 224)}, 1_792),  # VGG-16's first, as Keras prints it
        ("Conv2d", {"filters": 96, "kernel_size": 11, "stride": 4}, {"in": (3, 227, 227)}, 34_944),  # AlexNet's first
        ("Conv2d", {"filters": 6, "kernel_size": 5, "padding": 0}, {"in": (1, 32, 32)}, 156),  # LeNet-5's C1
        ("Conv3d", {"filters": 64}, {"in": (3, 16, 112, 112)}, 64 * 3 * 27 + 64),  # C3D's first
        ("Conv2d", {"filters": 16, "groups": 4, "kernel_shape": [1, 5]}, {"in": (8, 9, 9)}, 16 * 2 * 5 + 16),
        ("ConvTranspose2d", {"filters": 512}, {"in": (1024, 28, 28)}, 1024 * 512 * 4 + 512),  # U-Net's first
        ("ConvTranspose2d", {"filters": 16, "groups": 4}, {"in": (8, 9, 9)}, 8 * 4 * 4 + 16),
        ("DepthwiseConv2d", {"multiplier": 2}, {"in": (8, 9, 9)}, 16 * 9 + 16),
        ("SeparableConv2d", {"filters": 64, "bias": False}, {"in": (32, 112, 112)}, 32 * 9 + 32 * 64),  # MobileNet's
        ("SeparableConv2d", {"filters": 64}, {"in": (32, 112, 112)}, 32 * 10 + 33 * 64),
        ("PReLU", {}, "image", 1),
        ("PReLU", {"per_channel": True}, "image", 4),
        ("GroupNorm", {"groups": 2}, "image", 2 * 4),
        ("InstanceNorm2d", {}, "image", 0),
        ("InstanceNorm2d", {"affine": True}, "image", 2 * 4),
        ("RMSNorm", {}, "sequence", 16),
        ("LayerNorm", {"axes": 3}, "image", 2 * 4 * 8 * 8),
        ("BatchNorm3d", {}, "volume", 2 * 2),
        ("RNN", {"hidden_size": 20}, "sequence", 20 * 16 + 20 * 20 + 2 * 20),
        ("RNN", {"hidden_size": 5, "layers": 2, "bidirectional": True}, "sequence",
         2 * (5 * 16 + 5 * 5 + 10) + 2 * (5 * 10 + 5 * 5 + 10)),
        ("RNNCell", {}, {"in": (6,), "state": (5,)}, 5 * 6 + 5 * 5 + 10),
        ("GRUCell", {}, {"in": (6,), "state": (5,)}, 3 * (5 * 6 + 5 * 5 + 10)),
        ("LSTMCell", {}, {"in": (6,), "state": (5,), "memory": (5,)}, 4 * (5 * 6 + 5 * 5 + 10)),
        ("LSTMCell", {"bias": False}, {"in": (6,), "state": (5,), "memory": (5,)}, 4 * (5 * 6 + 5 * 5)),
        ("Bilinear", {"units": 7}, {"a": (6,), "b": (5,)}, 7 * 6 * 5 + 7),
        ("EmbeddingBag", {"vocabulary": 1000, "dim": 8}, "tokens", 8_000),
    ],
)  # fmt: skip
def test_parameter_counts_match_published_values(name: str, params: dict[str, Any], inputs: Inputs, count: int) -> None:
    assert (
        measure(registry()[name].model_validate(params), tuple(specs(name, params, inputs).items())).parameters == count
    )


def output_sizes(name: str, length: int, **params: int | bool) -> tuple[int | None, ...]:
    layer = registry()[name].model_validate(params)
    measured = measure(layer, (("in", TensorSpec((None, 4, length, length + 3))),))
    assert measured.refusal is None, measured.refusal
    return measured.outputs["out"].shape[2:]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_convolution_output_sizes_match_the_formulas(kernel: int) -> None:
    for length, stride, dilation in product((9, 14), (1, 2, 3), (1, 2)):
        extent, input_sizes = dilation * (kernel - 1) + 1, (length, length + 3)
        common = {"kernel_size": kernel, "stride": stride, "padding": 1, "dilation": dilation}
        assert output_sizes("Conv2d", length, **common) == tuple(
            (side + 2 - extent) // stride + 1 for side in input_sizes
        ), common
        longer = tuple((side - 1) * stride - 2 + extent for side in input_sizes)
        assert output_sizes("ConvTranspose2d", length, **common) == longer, common
        if stride > 1:
            added = output_sizes("ConvTranspose2d", length, **common, output_padding=1)
            assert added == tuple(side + 1 for side in longer), common
        if extent % 2:
            same_sizes = output_sizes("Conv2d", length, **common, same=True)
            assert same_sizes == tuple(math.ceil(side / stride) for side in input_sizes), common


@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d", "LPPool2d"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pooling_output_sizes_match_the_formulas(name: str, stride: int) -> None:
    for length in range(5, 12):
        common = {"kernel_size": 3, "stride": stride}
        assert output_sizes(name, length, **common) == tuple((side - 3) // stride + 1 for side in (length, length + 3))
        ceiling = tuple(math.ceil((side - 3) / stride) + 1 for side in (length, length + 3))
        assert output_sizes(name, length, **common, ceil_mode=True) == ceiling


def test_convolution_flops_match_the_formulas() -> None:
    image = (("in", TensorSpec((None, 4, 6, 5))),)
    layers = registry()
    assert measure(layers["Conv2d"].model_validate({"filters": 8, "groups": 2}), image).flops == 2 * 8 * 30 * 2 * 9
    assert measure(layers["ConvTranspose2d"].model_validate({"filters": 8}), image).flops == 2 * 4 * 30 * 8 * 4
    separable = measure(layers["SeparableConv2d"].model_validate({"filters": 8}), image).flops
    assert separable == 2 * 30 * (4 * 9 + 4 * 8)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), (3, 3, 0)])
def test_unpooling_inverts_pooling(rank: int, kernel: int, stride: int | None, padding: int) -> None:
    params = {"kernel_size": kernel, "stride": stride, "padding": padding}
    torch.manual_seed(0)
    x = torch.randn(3, 2, *(9, 10, 7)[:rank], dtype=torch.float64)
    shape = TensorSpec((None, *x.shape[1:]))
    pooled, indices = build_from_source(f"MaxPool{rank}dIndices", params, {"in": shape})(x)
    inner = (None, *pooled.shape[1:])
    known = {"in": TensorSpec(inner), "indices": TensorSpec(inner, "int")}
    sized = build_from_source(f"MaxUnpool{rank}d", {**params, "size": list(x.shape[2:])}, known)
    torch_layer = getattr(nn, f"MaxUnpool{rank}d")(kernel, stride, padding)
    expected = torch_layer(pooled, indices, x.shape[2:])
    assert torch.equal(sized(pooled, indices), expected)
    restored = expected != 0
    assert restored.any()
    assert torch.equal(expected[restored], x[restored])
    if kernel <= (stride or kernel):  # otherwise PyTorch restores a maximum of two overlapping windows twice
        assert torch.autograd.gradcheck(sized, (pooled.clone().requires_grad_(), indices), fast_mode=True)
    unsized = build_from_source(f"MaxUnpool{rank}d", params, known)
    valid_indices = torch.zeros_like(indices)  # indices that are valid for both sizes
    valid_indices += torch.arange(valid_indices[0, 0].numel()).view(valid_indices.shape[2:])
    assert torch.equal(unsized(pooled, valid_indices), torch_layer(pooled, valid_indices))
    measured = measure(registry()[f"MaxUnpool{rank}d"].model_validate(params), tuple(known.items()))
    assert measured.outputs["out"].shape[2:] == torch_layer(pooled, valid_indices).shape[2:]


def test_separable_convolution_matches_depthwise_then_pointwise() -> None:
    torch.manual_seed(0)
    convolution = build_from_source(
        "SeparableConv2d", {"filters": 3, "stride": 2, "dilation": 2}, {"in": TensorSpec((None, 2, 7, 6))}
    )
    convolution = convolution.double()
    state = convolution.state_dict()
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    each = [
        F.conv2d(
            x[:, c : c + 1],
            state["depthwise.weight"][c : c + 1],
            state["depthwise.bias"][c : c + 1],
            stride=2,
            padding=1,
            dilation=2,
        )
        for c in range(2)
    ]
    mixed = torch.einsum("nchw,fc->nfhw", torch.cat(each, 1), state["pointwise.weight"][:, :, 0, 0])
    expected = mixed + state["pointwise.bias"].view(1, -1, 1, 1)
    torch.testing.assert_close(convolution(x), expected, rtol=1e-10, atol=1e-10)
    assert torch.autograd.gradcheck(convolution, (x,))


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("both", [False, True])
def test_rnn_matches_its_formula_step_by_step(nonlinearity: str, both: bool) -> None:
    torch.manual_seed(0)
    params = {"hidden_size": 3, "layers": 2, "bidirectional": both, "nonlinearity": nonlinearity}
    rnn = build_from_source("RNN", params, {"in": TensorSpec((None, 5, 4))}).double()
    weights = rnn.state_dict()
    function = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    values = x
    for layer in range(2):
        directions, last_states = [], []
        for suffix in ("", "_reverse")[: 1 + both]:
            w, u, b, c = (
                weights[f"{kind}_l{layer}{suffix}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            state, steps = torch.zeros(2, 3, dtype=torch.float64), []
            order = range(4, -1, -1) if suffix else range(5)
            for step in order:
                state = function(values[:, step] @ w.T + b + state @ u.T + c)
                steps.append(state)
            directions.append(torch.stack(steps[::-1] if suffix else steps, dim=1))
            last_states.append(state)
        values = torch.cat(directions, dim=2)
    sequence, last = rnn(x)
    torch.testing.assert_close(sequence, values, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(last, torch.cat(last_states, dim=1), rtol=1e-10, atol=1e-10)
    assert torch.autograd.gradcheck(rnn, (x.requires_grad_(),))


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_cell_in_a_loop_equals_the_recurrent_layer(name: str) -> None:
    torch.manual_seed(0)
    vector = {"in": TensorSpec((None, 4)), "state": TensorSpec((None, 3)), "memory": TensorSpec((None, 3))}
    known = vector if name == "LSTM" else {key: vector[key] for key in ("in", "state")}
    cell = build_from_source(f"{name}Cell", {}, known).double()
    recurrent_layer = build_from_source(name, {"hidden_size": 3}, {"in": TensorSpec((None, 6, 4))}).double()
    recurrent_layer.load_state_dict({f"{key}_l0": value for key, value in cell.state_dict().items()})
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    states = [torch.zeros(2, 3, dtype=torch.float64) for _ in list(known)[1:]]
    steps = []
    for step in range(6):
        result = cell(x[:, step], *states)
        states = list(result) if isinstance(result, tuple) else [result]
        steps.append(states[0])
    sequence, last = recurrent_layer(x)
    torch.testing.assert_close(sequence, torch.stack(steps, 1), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(last, states[0], rtol=1e-10, atol=1e-10)
    arguments = [torch.randn(2, width, dtype=torch.float64, requires_grad=True) for width in (4, *[3] * len(states))]
    assert torch.autograd.gradcheck(cell, tuple(arguments))


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_begin_and_end_with_the_states_of_torch(name: str) -> None:
    torch.manual_seed(0)
    params = {"hidden_size": 3, "layers": 2, "bidirectional": True, "initial_state": True, "final_states": True}
    ports = [port.name for port in registry()[name].model_validate(params).inputs()]
    specs = {"in": TensorSpec((None, 5, 4))} | {port: TensorSpec((None, 12)) for port in ports[1:]}
    layer = build_from_source(name, params, specs)
    reference = getattr(nn, name)(4, 3, 2, batch_first=True, bidirectional=True)
    reference.load_state_dict(layer.state_dict())
    x, *states = torch.randn(2, 5, 4), *(torch.randn(2, 12) for _ in ports[1:])
    by_layer = tuple(state.view(2, 4, 3).transpose(0, 1).contiguous() for state in states)
    sequence, finals = reference(x, by_layer if len(states) > 1 else by_layer[0])
    finals = finals if isinstance(finals, tuple) else (finals,)
    expected = [sequence, torch.cat([finals[0][2], finals[0][3]], 1), *(torch.cat([*part], 1) for part in finals)]
    assert all(
        torch.equal(output, expected_output)
        for output, expected_output in zip(layer(x, *states), expected, strict=True)
    )


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("bias", [True, False])
def test_recurrent_layers_computed_step_by_step_equal_torch(name: str, bias: bool) -> None:
    torch.manual_seed(0)
    reference = getattr(nn, name)(4, 3, 2, batch_first=True, bidirectional=True, bias=bias)
    options = {"num_layers": 2, "batch_first": True, "bidirectional": True, "bias": bias, "final_states": True}
    stepped = getattr(netloom_modules, f"Stepped{name}")(
        4, 3, **({"nonlinearity": "tanh"} if name == "RNN" else {}), **options
    )
    stepped.load_state_dict(reference.state_dict())
    x, states = torch.randn(2, 5, 4), tuple(torch.randn(4, 2, 3) for _ in range(1 + (name == "LSTM")))
    sequence, finals = reference(x, states if len(states) > 1 else states[0])
    finals = finals if isinstance(finals, tuple) else (finals,)
    result = stepped(x, *(state.transpose(0, 1).flatten(1) for state in states))
    for value, expected in zip(result, (sequence, None, *finals), strict=True):
        if expected is not None:
            shaped = expected if expected is sequence else expected.transpose(0, 1).flatten(1)
            torch.testing.assert_close(value, shaped, rtol=1e-5, atol=1e-6)


def test_lstm_cell_equals_torch() -> None:
    known = {"in": TensorSpec((None, 4)), "state": TensorSpec((None, 3)), "memory": TensorSpec((None, 3))}
    torch.manual_seed(1)
    cell = build_from_source("LSTMCell", {}, known)
    torch.manual_seed(1)
    torch_cell = nn.LSTMCell(4, 3)
    x, h, c = torch.randn(2, 4), torch.randn(2, 3), torch.randn(2, 3)
    assert all(
        torch.equal(actual, expected) for actual, expected in zip(cell(x, h, c), torch_cell(x, (h, c)), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "params", "inputs", "message"),
    [
        ("Conv2d", {"kernel_size": 4, "same": True}, {"in": (4, 8, 8)}, "odd kernel_size"),
        ("Conv2d", {"groups": 3}, {"in": (4, 8, 8)}, "must divide the 4 input channels"),
        (
            *("Conv2d", {"kernel_shape": [11, 3]}, {"in": (4, 8, 8)}),
            "the kernel of 11×3 is larger than its padded input of 10×10; lower kernel_size or raise padding",
        ),
        ("Conv1d", {"dilation": 5}, {"in": (4, 8)}, "the kernel of 11 is larger than its padded input of 10"),
        ("DepthwiseConv2d", {"kernel_size": 9}, {"in": (4, 6, 8)}, "the kernel of 9×9"),
        ("SeparableConv2d", {"dilation": 5}, {"in": (4, 8, 9)}, "padded input of 10×11"),
        ("ConvTranspose2d", {"output_padding": 2}, {"in": (4, 8, 8)}, "output_padding=2 must be less than stride=2"),
        ("ConvTranspose2d", {"kernel_size": 1, "padding": 9}, {"in": (4, 8, 8)}, "removes the whole length"),
        ("MaxPool3d", {"kernel_size": 9}, {"in": (4, 8, 8, 8)}, "window is larger"),
        ("MaxPool2d", {"padding": 2}, {"in": (4, 8, 8)}, "more than half"),
        ("LPPool2d", {"kernel_size": 9}, {"in": (4, 8, 8)}, "window is larger"),
        ("Conv2d", {"padding_mode": "reflect", "padding": 8}, {"in": (4, 9, 8)}, "reflect cannot add 8"),
        ("Conv2d", {"padding_mode": "circular", "padding": 9}, {"in": (4, 8, 9)}, "circular cannot add 9"),
        ("MaxPool1d", {"kernel_size": 9}, {"in": (4, 8)}, "window is larger than its input of 4x8"),
        ("InstanceNorm2d", {}, {"in": (4, 1, 1)}, "one value per channel"),
        ("GroupNorm", {"groups": 4}, {"in": (4,)}, "lower groups"),
        ("GroupNorm", {"groups": 3}, {"in": (4, 8, 8)}, "must divide the 4 input channels"),
        ("LayerNorm", {"axes": 3}, {"in": (4, 8)}, "axes=3 is more than the 2 axes"),
        ("Softmax", {"axis": 3}, {"in": (4, 8)}, "axis=3 is not an axis"),
        ("GLU", {}, {"in": (4, 7)}, "odd length"),
        ("GLU", {"axis": 3}, {"in": (4, 8)}, "axis=3 is not an axis"),
        ("ReflectionPad2d", {"padding": 8}, {"in": (4, 8, 8)}, "take at most 7"),
        ("ReflectionPad2d", {"sides": [0, 0, 5, 0]}, {"in": (4, 5, 8)}, "take at most 4"),
        ("CircularPad2d", {"padding": 9}, {"in": (4, 8, 8)}, "take at most 8"),
        ("PixelShuffle", {"factor": 3}, {"in": (4, 8, 8)}, "multiple of factor² = 9"),
        ("PixelUnshuffle", {"factor": 3}, {"in": (4, 8, 8)}, "must divide the height"),
        ("ChannelShuffle", {"groups": 3}, {"in": (4, 8, 8)}, "must divide the 4 input channels"),
        ("Upsample", {"mode": "bicubic"}, {"in": (4, 8)}, "bicubic needs an image"),
        ("Upsample", {"size": [3]}, {"in": (4, 8, 8)}, "2 axes"),
        ("Upsample", {"scale": 0.1}, {"in": (4, 8, 8)}, "raise it"),
        ("Fold", {}, {"in": (4, 9)}, "4×4 patches"),
        ("Unfold", {"kernel_size": 9}, {"in": (4, 8, 8)}, "does not fit"),
        ("Unflatten", {"sizes": [5, -1]}, {"in": (12,)}, "not 5 × -1"),
        ("Unflatten", {"sizes": [3, 2]}, {"in": (12,)}, "not 3 × 2"),
        ("Unflatten", {"axis": 2}, {"in": (12,)}, "axis=2 is not an axis"),
        ("PairwiseDistance", {}, {"a": (4,), "b": (5,)}, "the same shape"),
        ("Bilinear", {}, {"a": (4, 5), "b": (5, 5)}, "all axes except the last"),
        ("LSTMCell", {}, {"in": (4,), "state": (5,), "memory": (6,)}, "must have the same shape"),
        (
            "GRU",
            {"hidden_size": 3, "layers": 2, "initial_state": True},
            {"in": (5, 4), "initial_state": (3,)},
            "initial_state (N, 3) should have layers × directions × hidden_size = 2 × 1 × 3 = 6 features",
        ),
        ("MaxUnpool2d", {"size": [8, 10]}, {"in": (2, 4, 4), "indices": (2, 4, 4)}, "must be integers"),
    ],
)
def test_refusals_state_what_is_expected(
    name: str, params: dict[str, Any], inputs: dict[str, tuple[int, ...]], message: str
) -> None:
    refusal = measure(registry()[name].model_validate(params), tuple(specs(name, params, inputs).items())).refusal
    assert refusal is not None
    assert message in refusal


def test_unpooling_output_size_is_bounded() -> None:
    shape = (None, 2, 4, 4)
    known = (("in", TensorSpec(shape)), ("indices", TensorSpec(shape, "int")))
    for params, said in (({"size": [8, 10]}, "by less than 2"), ({"padding": 2}, "padding=2 gives an output")):
        refusal = measure(registry()["MaxUnpool2d"].model_validate(params), known).refusal
        assert refusal is not None
        assert said in refusal


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Conv2d", {"kernel_shape": [3]}),
        ("Conv1d", {"kernel_shape": [3, 3]}),
        ("Conv2d", {"kernel_shape": [0, 3]}),
        ("ZeroPad2d", {"sides": [1, 2]}),
        ("ZeroPad1d", {"sides": [-1, 2]}),
        ("LPPool2d", {"norm": 3}),
        ("Hardtanh", {"low": 1.0}),
        ("RReLU", {"low": 0.9}),
        ("Upsample", {"align_corners": True}),
        ("Unflatten", {"sizes": [-1, -1]}),
        ("Unflatten", {"sizes": [0]}),
        ("MaxUnpool2d", {"size": [4]}),
        ("Embedding", {"padding_token": 1000}),
        ("EmbeddingBag", {"padding_token": 1000}),
    ],
)
def test_invalid_parameters_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry()[name].model_validate(params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, ""),
        ({"kernel_size": 5}, "Each axis changes by -2. Padding 2, or same, keeps the size."),
        ({"kernel_size": 5, "same": True}, ""),
        ({"stride": 2, "kernel_size": 5}, ""),
        ({"kernel_size": 4}, "Each axis changes by -1: a kernel of even size has no center."),
        ({"kernel_shape": [1, 7]}, "The axes change by +2, -4. Same keeps the size."),
    ],
)
def test_convolution_says_how_it_changes_the_size(params: dict[str, Any], message: str) -> None:
    layer = registry()["Conv2d"].model_validate(params)
    assert layer.remark().startswith(message) if message else layer.remark() == ""
