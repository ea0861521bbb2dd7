"""Images as columns of patches and back, and one axis split into several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec
from netloom.layers.probability import Probabilities, reshaped

Size = Annotated[int, Field(ge=-1, le=100_000_000)]


class _Patches(Layer):
    is_linear = True

    kernel_size: int = Field(2, ge=1, le=1_024, description="Height and width of a patch")
    stride: int | None = Field(
        None, ge=1, le=1_024, description="Distance between patches; empty: adjacent patches without overlap"
    )
    padding: int = Field(0, ge=0, le=1_024, description="Number of zeros added at each border of the image")
    dilation: int = Field(1, ge=1, le=1_024, description="Spacing between the pixels of a patch")

    def _count(self, length: int) -> int:
        """The number of patches along an axis, by the formula of torch.nn.Unfold."""
        reach = self.dilation * (self.kernel_size - 1) + 1
        return max(0, (length + 2 * self.padding - reach) // (self.stride or self.kernel_size) + 1)

    def _options(self) -> dict[str, int]:
        options = {"dilation": (self.dilation, 1), "padding": (self.padding, 0)}
        kwargs = {key: value for key, (value, default) in options.items() if value != default}
        return {**kwargs, "stride": self.stride or self.kernel_size}

    def brief(self) -> str:
        return f"{self.kernel_size}×{self.kernel_size}"


class Unfold(_Patches):
    """(N, C, H, W) -> (N, C·k², L): each of the L patches of k×k pixels is a column."""

    group = "Shape"
    title = "Unfold"
    summary = "Extracts the patches of an image, each as a column"
    keywords = ("im2col", "patches", "sliding window", "blocks", "patch embedding")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html"

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def channel_axis(self, axis: int) -> int:
        return 1

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if not (self._count(specs["in"].size(2)) and self._count(specs["in"].size(3))):
            raise ValueError(f"a patch of {self.brief()} does not fit into {specs['in']}; lower kernel_size")
        return Call("nn.Unfold", (self.kernel_size,), self._options())


class Fold(_Patches):
    """(N, C·k², L) -> (N, C, height, width): overlapping patches are summed."""

    group = "Shape"
    title = "Fold"
    summary = "Combines patches to an image; overlapping values are summed"
    keywords = ("col2im", "patches", "blocks", "reassemble")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html"

    height: int = Field(8, ge=1, le=65_536, description="Height of the image")
    width: int = Field(8, ge=1, le=65_536, description="Width of the image")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example(inputs={"in": TensorSpec((None, 12, 16))}),
            Example({"height": 5, "width": 4, "stride": 1}, {"in": TensorSpec((None, 4, 12))}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, C·k², patches)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        rows, columns = (self._count(length) for length in (self.height, self.width))
        area = self.kernel_size**2
        if specs["in"].size(1) % area or specs["in"].size(2) != rows * columns:
            raise ValueError(
                f"an image of {self.height}×{self.width} has {rows}×{columns} patches, so (N, channels × {area}, "
                f"{rows * columns}) is expected, received {specs['in']}; change its height, width or stride"
            )
        return Call("nn.Fold", ((self.height, self.width), self.kernel_size), self._options())

    def brief(self) -> str:
        return f"to {self.height}×{self.width}"


class Unflatten(Layer):
    """Splits an axis of length A·B·…, such as (N, A·B) -> (N, A, B)."""

    group = "Shape"
    title = "Unflatten"
    summary = "Splits one axis into several, such as 64 features into an 8 × 8 image"
    keywords = ("reshape", "view", "split axis")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html"
    is_linear = True

    axis: int = Field(1, ge=1, le=4, description="Axis to split, counted from 1 after the batch axis")
    sizes: Annotated[tuple[Size, ...], Field(strict=False, min_length=1, max_length=4)] = Field(
        (1, -1), description="Lengths of the new axes; one can be -1, which is inferred"
    )

    @model_validator(mode="after")
    def _fillable(self) -> Unflatten:
        if self.sizes.count(-1) > 1 or 0 in self.sizes:
            raise FieldValueError("sizes", "must be positive numbers, except for one -1", self.sizes)
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        kinds: dict[Kind, tuple[int, list[int]]] = {
            "vector": (1, [3, -1]),
            "sequence": (2, [4, 4]),
            "image": (1, [2, 2]),
        }
        return [Example({"axis": axis, "sizes": sizes}, {"in": SAMPLES[kind]}) for kind, (axis, sizes) in kinds.items()]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.axis >= len(specs["in"].shape):
            raise ValueError(f"axis={self.axis} is not an axis of {specs['in']}; choose a smaller axis")
        length, product = specs["in"].size(self.axis), 1
        for size in self.sizes:
            product *= size if size > 0 else 1
        if length % product or (-1 not in self.sizes and length != product):
            listed = " × ".join(map(str, self.sizes))
            raise ValueError(f"axis {self.axis} of {specs['in']} has the length {length}, not {listed}")
        return Call("nn.Unflatten", (self.axis, self.sizes))

    def brief(self) -> str:
        return f"axis {self.axis}: {' × '.join(map(str, self.sizes))}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return reshaped(inputs.get("in"), specs["in"].shape, out.shape)
