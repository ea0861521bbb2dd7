"""The Inputs, which read the data, and the Outputs, which the objective reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.layer import Call, Layer, Port, TensorSpec

Axis = Annotated[int, Field(ge=1, le=1_000_000)]
# The number of axes of an example; the kinds tensor and indices can have any number.
RANKS = {"vector": 1, "sequence": 2, "image": 3, "volume": 4, "tokens": 1}
WHOLE = ("tokens", "indices")


class Input(Layer):
    """A field of the dataset. The document stores its shape, so that a network can be built before data is selected."""

    group = "Input and output"
    title = "Input"
    summary = "Reads a field of the dataset, one example per row of the batch"
    keywords = ("data", "features", "source")
    is_linear = True
    is_common = True

    field: str = Field("", max_length=200, description="Field of the dataset")
    kind: Literal["vector", "sequence", "image", "volume", "tokens", "tensor", "indices"] = Field(
        "vector", description="Kind of an example; tensor and indices (integers) can have any shape"
    )
    shape: Annotated[tuple[Axis, ...], Field(strict=False, min_length=1, max_length=5)] = Field(
        (16,), description="Shape of an example without the batch axis: D; T, D; C, H, W; or T for tokens"
    )
    vocabulary: int | None = Field(None, ge=2, le=10_000_000, description="For tokens: size of the vocabulary")

    @model_validator(mode="after")
    def _rank(self) -> Input:
        # Any rank is right for the kinds without an entry.
        rank = RANKS.get(self.kind, len(self.shape))
        if len(self.shape) != rank:
            raise FieldValueError("shape", f"must have {rank} numbers for the kind {self.kind}", self.shape)
        return self

    def inputs(self) -> tuple[Port, ...]:
        return ()

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.spec().kind,), "One example per row"),)

    def spec(self) -> TensorSpec:
        """The shape and dtype of a batch, (N, *shape)."""
        return TensorSpec((None, *self.shape), "int" if self.kind in WHOLE else "float")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Identity")

    def brief(self) -> str:
        return self.field or self.kind


def input_parameters(spec: TensorSpec) -> dict[str, Any]:
    """The parameters of an Input for tensors of this shape and dtype."""
    kind = spec.kind if spec.kind != "any" else "tensor" if spec.dtype == "float" else "indices"
    return {"kind": kind, "shape": [length or 1 for length in spec.shape[1:]] or [1]}


def reads_tokens(params: Mapping[str, object]) -> bool:
    """Whether an Input with these parameters reads token ids, which have no gradient."""
    return params.get("kind") == "tokens"


def reads_image(params: Mapping[str, object]) -> bool:
    """Whether an Input with these parameters reads images."""
    return params.get("kind") == "image"


class Output(Layer):
    """An output of the network, which the objective and the explanations read."""

    group = "Input and output"
    title = "Output"
    summary = "An output of the network, which the objective reads"
    keywords = ("result", "prediction", "logits", "target")
    is_linear = True
    is_common = True

    name: str = Field("output", min_length=1, max_length=64, description="Name of this output")

    def outputs(self) -> tuple[Port, ...]:
        return ()

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Identity")

    def brief(self) -> str:
        return self.name
