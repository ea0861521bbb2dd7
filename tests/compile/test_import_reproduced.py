"""Modules as public models have them: equal outputs, equal parameters, a step of training, another export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.cli.bench.imports.case import Reference
from netloom.cli.bench.imports.measure import compare, measure_case
from netloom.cli.bench.imports.modules import as_module_case
from netloom.compile.importers.onnx import import_bytes


class Model(nn.Module):
    """A network whose forward pass is a function of itself and its input."""

    def __init__(self, forward: Callable[[Any, torch.Tensor], Any], **parts: object) -> None:
        super().__init__()
        self.function = forward
        self.linear = nn.Linear(4, 4)
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(self.function(self, x))
        return result


def rotary(model: Any, x: torch.Tensor) -> Any:
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        angles = torch.outer(torch.arange(x.shape[1]).float(), model.frequencies)
        cosine, sine = angles.cos(), angles.sin()
    return x * cosine + x.flip(2) * sine


def written_constants(model: Any, x: torch.Tensor) -> Any:
    mask = torch.zeros(5, 4)
    mask[1:, :2].fill_(2.0)
    mask[0] = torch.arange(4).to(torch.float32)
    steps = torch.diff(torch.arange(6)).to(x.dtype)
    return x * mask + F.dropout(steps, 0.1, model.training)[:, None]


def position_bias(model: Any, x: torch.Tensor) -> Any:
    distance = (torch.arange(5)[None] - torch.arange(5)[:, None]).abs().clamp(max=2)
    bias = model.table(distance).permute(2, 0, 1).unsqueeze(0)  # (1, heads, T, T)
    visible = torch.ones(5, 5, dtype=torch.bool).tril()
    heads = x.view(*x.shape[:2], 2, 2).transpose(1, 2)
    scores = heads @ heads.transpose(2, 3) + torch.where(visible, bias, -1e9)
    return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)


def projected_positions(model: Any, x: torch.Tensor) -> Any:
    return x + model.projection(model.norm(model.positions))[None, :5]


def one_plus_weight(model: Any, x: torch.Tensor) -> Any:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1.0 + model.weight)


def segments(model: Any, x: torch.Tensor) -> Any:
    return x + model.table(torch.zeros(x.shape[:2], dtype=torch.long))


def shift_alone(model: Any, x: torch.Tensor) -> Any:
    return F.layer_norm(x, (4,), model.weight)


def one_head_of_keys(model: Any, x: torch.Tensor) -> Any:
    queries = x.view(*x.shape[:2], 2, 2).transpose(1, 2)
    keys = x[..., :2].unsqueeze(1)
    return F.scaled_dot_product_attention(queries, keys, keys).transpose(1, 2).flatten(2)


MODELS = {
    "rotary positions without gradient": Model(rotary, frequencies=torch.tensor([1.0, 0.5, 0.1, 0.01])),
    "constants written in place": Model(written_constants),
    "position bias": Model(position_bias, table=nn.Embedding(3, 2)),
    "layers on a parameter": Model(
        projected_positions,
        positions=nn.Parameter(torch.randn(7, 4)),
        norm=nn.LayerNorm(4),
        projection=nn.Linear(4, 4),
    ),
    "one plus weight": Model(one_plus_weight, weight=nn.Parameter(torch.randn(4))),
    "dropout in place": Model(lambda model, x: F.dropout(x * 2, 0.2, model.training, inplace=True)),
    "a learned number": Model(lambda model, x: x * model.scale.exp(), scale=nn.Parameter(torch.tensor(0.3))),
    "one row for all positions": Model(segments, table=nn.Embedding(2, 4)),
    "layer norm without a shift": Model(shift_alone, weight=nn.Parameter(torch.randn(4))),
    "one head of keys": Model(one_head_of_keys),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_module_is_reproduced(name: str) -> None:
    outcome = measure_case("own", as_module_case(name, lambda: (MODELS[name], (torch.randn(2, 5, 4),))))
    assert (outcome.state, outcome.reason) == ("reproduced", "")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.norm(x + F.gelu(self.linear(x)))
        return result


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = nn.Linear(4, 4), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for _ in range(3):
            x = self.block(x)
        return x


def test_a_block_that_is_applied_repeatedly_keeps_one_set_of_weights() -> None:
    outcome = measure_case("own", as_module_case("albert", lambda: (Repeated(), (torch.randn(2, 5, 4),))))
    assert (outcome.state, outcome.reason) == ("reproduced", "")


class Branch(nn.Module):
    """Reads the middle of another branch of the same class's module, as the bottlenecks of MobileBERT do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        middle = self.one(x).relu()
        return middle, self.two(middle) + other


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches, self.blocks = nn.ModuleList(Branch() for _ in range(2)), nn.ModuleList(Block() for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for branch, block in zip(self.branches, self.blocks, strict=True):
            middle, out = branch(x, x)
            x = block(out) + middle
        return x


def test_blocks_that_read_several_outputs_of_other_blocks_are_grouped() -> None:
    outcome = measure_case("own", as_module_case("branches", lambda: (Branches(), (torch.randn(2, 5, 4),))))
    assert (outcome.state, outcome.reason) == ("reproduced", "")


def test_a_part_in_lower_precision_is_refused() -> None:
    def half(model: Any, x: torch.Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model.linear(x).float()

    outcome = measure_case("own", as_module_case("half", lambda: (Model(half), (torch.randn(2, 5, 4),))))
    assert (outcome.state, "autocast" in outcome.reason) == ("refused", True)


POOLS = {
    "window, stride and padding per axis": nn.MaxPool2d((2, 3), (1, 2), (1, 0)),
    "dilation": nn.MaxPool2d(2, 1, dilation=(2, 1)),
    "mean without padding": nn.AvgPool2d((3, 2), (2, 1), (1, 1), count_include_pad=False),
    "mean of a sequence": nn.AvgPool1d(3, 2, 1, count_include_pad=False),
    "transposed convolution": nn.ConvTranspose2d(2, 3, 3, (3, 2), 1, 1),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling_with_settings_per_axis_is_reproduced(name: str) -> None:
    rows = torch.randn(2, 2, 9) if "sequence" in name else torch.randn(2, 2, 7, 8)
    outcome = measure_case("own", as_module_case(name, lambda: (POOLS[name], (rows,))))
    assert (outcome.state, outcome.reason) == ("reproduced", "")


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_onnx_pooling_with_unequal_borders_is_reproduced(kind: str) -> None:
    node = helper.make_node(kind, ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 2], pads=[0, 1, 1, 0])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    x.CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 6, 7]))
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    rows = -np.random.default_rng(0).random((2, 3, 6, 7), np.float32) - 1
    content = model.SerializeToString()
    expected = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": rows})[0]
    reference = Reference((torch.from_numpy(rows),), (torch.from_numpy(expected),))
    assert compare(import_bytes(content), reference)[0] == ""
