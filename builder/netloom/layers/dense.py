"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.channels import Channels, Read, TensorAxis, Width, axes
from netloom.layers.layer import Call, Layer, Port, TensorSpec


class Linear(Layer):
    """y = xWᵀ + b over the last axis, (N, …, D) -> (N, …, units)."""

    group = "Dense"
    title = "Linear"
    summary = "A weighted sum of all features for each unit, over the last axis (fully connected)"
    keywords = ("dense", "fully connected", "fc", "mlp", "projection", "head", "classifier")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html"
    is_linear = True
    supports_weight_tying = True
    is_common = True

    units: int = Field(64, ge=1, le=1_000_000, description="Number of output features")
    bias: bool = Field(True, description="Add a learned bias")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence", "image")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Linear", (specs["in"].size(-1), self.units), {} if self.bias else {"bias": False})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        weights = axes("weight", *(("bias",) if self.bias else ()))
        return Channels((Read(-1, (TensorAxis("weight", 1),)),), (Width("units", self.units, weights, {"out": -1}),))

    def brief(self) -> str:
        return f"{self.units} units"


class TransposedLinear(Layer):
    """y = xW + b over the last axis, (N, …, D) -> (N, …, units); W (D, units) is the weight of the reverse Linear."""

    group = "Dense"
    title = "Transposed linear"
    summary = "A linear layer that can share the transposed weights of another Linear, as in tied autoencoders"
    keywords = ("dense", "tied", "weight sharing", "autoencoder", "decoder", "transpose")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html"
    is_linear = True
    supports_weight_tying = True

    units: int = Field(64, ge=1, le=1_000_000, description="Number of output features")
    bias: bool = Field(True, description="Add a learned bias")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence", "image")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("TransposedLinear", (specs["in"].size(-1), self.units), {} if self.bias else {"bias": False})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        weights = (TensorAxis("weight", 1), *axes(*(("bias",) if self.bias else ())))
        return Channels((Read(-1, axes("weight")),), (Width("units", self.units, weights, {"out": -1}),))

    def brief(self) -> str:
        return f"{self.units} units"
