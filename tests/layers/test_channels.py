"""The declared layout of channels of all layers: the narrow layer computes what the masked one computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netloom.layers import Layer, registry
from netloom.layers.channels import Channels, PreservedChannels, Read, TensorAxis, Width
from netloom.layers.layer import Example, TensorSpec

State = dict[str, torch.Tensor]


def declared() -> Iterator[Any]:
    for name, kind in registry().items():
        if kind.channels is Layer.channels:
            continue
        for number, example in enumerate(kind.examples()):
            layer = kind(**example.params)
            if layer.channels(example.inputs) is not None:
                yield pytest.param(layer, example, id=f"{name}-{number}")


def module(layer: Layer, specs: dict[str, TensorSpec]) -> nn.Module:
    torch.manual_seed(0)
    built = layer.build(specs).build().eval()
    with torch.no_grad():
        for value in built.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape) + 0.1)
    return built


def inputs_of(specs: dict[str, TensorSpec], high: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    arrays = {}
    for port, spec in specs.items():
        shape = [length or 2 for length in spec.shape]
        is_int = spec.dtype == "int"
        arrays[port] = (
            torch.randint(0, high, shape, generator=generator) if is_int else torch.rand(shape, generator=generator)
        )
    return arrays


def places(weight: TensorAxis, count: int, left: np.ndarray) -> torch.Tensor:
    numbers = np.tile(np.repeat(np.arange(count), weight.block), weight.tiles)
    return torch.from_numpy(np.flatnonzero(np.isin(numbers, left)))


def sliced(state: State, weights: tuple[TensorAxis, ...], count: int, left: np.ndarray) -> State:
    result = dict(state)
    for weight in weights:
        assert result[weight.tensor].shape[weight.axis] == count * weight.block * weight.tiles
        result[weight.tensor] = result[weight.tensor].index_select(weight.axis, places(weight, count, left))
    return result


def outputs(built: nn.Module, arrays: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        result = built(*arrays.values())
    return list(result) if isinstance(result, tuple) else [result]


def narrow(layer: Layer, specs: dict[str, TensorSpec], state: State) -> nn.Module:
    built = layer.build(specs).build().eval()
    built.load_state_dict(state)
    return built


def narrower_spec(spec: TensorSpec, axis: int, size: int) -> TensorSpec:
    shape = list(spec.shape)
    shape[axis] = size
    return TensorSpec(tuple(shape), spec.dtype)


def check_reads(layer: Layer, example: Example, read: Read) -> None:
    """Zeros in the weights that read some input channels equal an input without these channels."""
    specs = dict(example.inputs)
    count = specs[read.port].size(read.axis)
    left = np.arange(0, count, 2)
    built, arrays = module(layer, specs), inputs_of(specs, example.high)
    state = built.state_dict()
    with torch.no_grad():
        for weight in read.weights:
            gone = places(weight, count, np.arange(1, count, 2))
            state[weight.tensor].index_fill_(weight.axis, gone, 0.0)
    expected = outputs(built, arrays)
    specs[read.port] = narrower_spec(specs[read.port], read.axis, len(left))
    arrays[read.port] = arrays[read.port].index_select(read.axis, torch.from_numpy(left))
    for first, second in zip(
        expected, outputs(narrow(layer, specs, sliced(state, read.weights, count, left)), arrays), strict=True
    ):
        torch.testing.assert_close(first, second)


def check_widths(layer: Layer, example: Example, widths: list[Width]) -> None:
    """Zeros in the weights that read some of the layer's own channels equal a layer without these channels."""
    specs, ports = dict(example.inputs), [port.name for port in layer.outputs()]
    built, arrays = module(layer, specs), inputs_of(specs, example.high)
    count = widths[0].count
    left = np.arange(0, count, 2)
    state = dict(built.state_dict())
    with torch.no_grad():
        for width in widths:
            assert width.count == count
            assert getattr(layer, width.parameter) == count
            for weight in width.reads:
                state[weight.tensor].index_fill_(weight.axis, places(weight, count, np.arange(1, count, 2)), 0.0)
    expected = outputs(built, arrays)
    values = layer.model_dump() | {widths[0].parameter: len(left), **widths[0].fixed}
    for width in widths:
        state = sliced(state, (*width.weights, *width.reads), count, left)
    results = outputs(narrow(type(layer)(**values), specs, state), arrays)
    axes = {port: (axis, width.copies) for width in widths for port, axis in width.outputs.items()}
    for port, first, second in zip(ports, expected, results, strict=True):
        if port in axes:
            axis, copies = axes[port]
            first = first.index_select(axis, places(TensorAxis("", tiles=copies), count, left))
        torch.testing.assert_close(first, second)


def check_kept(layer: Layer, example: Example, kept: PreservedChannels) -> None:
    """Without some channels of the input, the others stay as they are."""
    specs = dict(example.inputs)
    axis = 1 if kept.axis is None else kept.axis
    count = specs["in"].size(axis)
    left = np.flatnonzero(np.arange(count) // kept.together % 2 == 0)
    built, arrays = module(layer, specs), inputs_of(specs, example.high)
    multiplied = places(TensorAxis("", block=kept.multiplier), count, left)
    [expected] = outputs(built, arrays)
    state = dict(built.state_dict())
    for weight in kept.weights:
        assert state[weight.tensor].shape[weight.axis] == count * kept.multiplier
        state[weight.tensor] = state[weight.tensor].index_select(weight.axis, multiplied)
    values = layer.model_dump() | {name: len(left) // each for name, each in kept.counts.items()}
    specs["in"] = narrower_spec(specs["in"], axis, len(left))
    arrays["in"] = arrays["in"].index_select(axis, torch.from_numpy(left))
    [result] = outputs(narrow(type(layer)(**values), specs, state), arrays)
    torch.testing.assert_close(expected.index_select(axis, multiplied), result)


@pytest.mark.parametrize(("layer", "example"), list(declared()))
def test_declared_channels_can_be_removed(layer: Layer, example: Example) -> None:
    channels = layer.channels(example.inputs)
    assert isinstance(channels, Channels)
    for read in channels.reads:
        check_reads(layer, example, read)
    by_parameter: dict[str, list[Width]] = {}
    for width in channels.widths:
        by_parameter.setdefault(width.parameter, []).append(width)
    for widths in by_parameter.values():
        if widths[0].count > 1:
            check_widths(layer, example, widths)
    if channels.preserved is not None:
        check_kept(layer, example, channels.preserved)


def test_usual_layers_declare_their_channels() -> None:
    names = {item.id.rpartition("-")[0] for item in declared()}
    assert {"Linear", "Conv2d", "ConvTranspose2d", "BatchNorm2d", "GroupNorm", "LSTM", "SelfAttention"} <= names
