"""Pooling over windows, and max unpooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.convolution.convolution import RANKS, Borders, Lengths, check_per_axis, one_or_all
from netloom.layers.layer import Call, Example, Kind, Layer, Port, TensorSpec


class _Window(Layer):
    kind: ClassVar[Kind]

    kernel_size: int = Field(2, ge=1, le=1_024, description="Size of the window along each axis")
    stride: int | None = Field(None, ge=1, le=1_024, description="Step of the window; empty: the size of the window")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def channel_axis(self, axis: int) -> int:
        return 1

    def brief(self) -> str:
        return "×".join([str(self.kernel_size)] * RANKS[self.kind])

    def _check(self, spec: TensorSpec, padding: int = 0) -> None:
        if padding * 2 > self.kernel_size:
            raise ValueError(f"padding={padding} is more than half of kernel_size={self.kernel_size}")
        if any(spec.size(axis) + 2 * padding < self.kernel_size for axis in range(2, len(spec.shape))):
            lengths = "x".join(str(spec.size(axis)) for axis in range(1, len(spec.shape)))
            raise ValueError(f"the window is larger than its input of {lengths}; lower kernel_size")

    def _stride(self) -> dict[str, int]:
        return {"stride": self.stride} if self.stride is not None and self.stride != self.kernel_size else {}


class _Padded(_Window):
    padding: int = Field(0, ge=0, le=512, description="Padding at each border, at most half the size of the window")

    def _border(self) -> dict[str, int]:
        return {"padding": self.padding} if self.padding else {}


class _Pooling(_Padded):
    ceil_mode: bool = Field(False, description="Include windows that the far border cuts off")
    kernel_shape: Lengths = Field(
        (), description="Size of the window for each axis separately, such as 1, 3; empty: kernel_size"
    )
    strides: Lengths = Field((), description="Step of the window for each axis separately; empty: stride")
    paddings: Borders = Field((), description="Padding for each axis separately; empty: padding")

    @model_validator(mode="after")
    def _per_axis(self) -> _Pooling:
        for name in self._names_per_axis():
            check_per_axis(name, getattr(self, name), self.kind)
        return self

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        windows, strides, paddings = self.windows, self.steps, self.borders
        self._check_windows(specs["in"], windows, paddings)
        kwargs: dict[str, int | bool | tuple[int, ...]] = {}
        if strides != windows:
            kwargs["stride"] = one_or_all(strides)
        if any(paddings):
            kwargs["padding"] = one_or_all(paddings)
        kwargs |= self._options()
        if self.ceil_mode:
            kwargs["ceil_mode"] = True
        return Call(f"nn.{type(self).__name__}", (one_or_all(windows),), kwargs)

    def brief(self) -> str:
        return "×".join(map(str, self.windows))

    @property
    def windows(self) -> tuple[int, ...]:
        """The size of the window along each axis."""
        return self.kernel_shape or (self.kernel_size,) * RANKS[self.kind]

    @property
    def steps(self) -> tuple[int, ...]:
        """The step of the window along each axis."""
        return self.strides or (self.stride and (self.stride,) * RANKS[self.kind]) or self.windows

    @property
    def borders(self) -> tuple[int, ...]:
        """The padding along each axis."""
        return self.paddings or (self.padding,) * RANKS[self.kind]

    def _names_per_axis(self) -> tuple[str, ...]:
        return ("kernel_shape", "strides", "paddings")

    def _options(self) -> dict[str, int | bool | tuple[int, ...]]:
        return {}

    def _reach(self, windows: tuple[int, ...]) -> tuple[int, ...]:
        """The length that a window covers along each axis."""
        return windows

    def _check_windows(self, spec: TensorSpec, windows: tuple[int, ...], paddings: tuple[int, ...]) -> None:
        for axis, (window, reach, padding) in enumerate(zip(windows, self._reach(windows), paddings, strict=True), 2):
            if padding * 2 > window:
                raise ValueError(f"padding={padding} is more than half of kernel_size={window}")
            if spec.size(axis) + 2 * padding < reach:
                lengths = "x".join(str(spec.size(dimension)) for dimension in range(1, len(spec.shape)))
                raise ValueError(f"the window is larger than its input of {lengths}; lower kernel_size")


class _MaxPooling(_Pooling):
    dilations: Lengths = Field(
        (), description="Spacing between the values of a window for each axis, such as 2, 2; empty: 1"
    )

    def _names_per_axis(self) -> tuple[str, ...]:
        return (*super()._names_per_axis(), "dilations")

    def _options(self) -> dict[str, int | bool | tuple[int, ...]]:
        return {"dilation": one_or_all(self.dilations)} if any(step > 1 for step in self.dilations) else {}

    def _reach(self, windows: tuple[int, ...]) -> tuple[int, ...]:
        steps = self.dilations or (1,) * len(windows)
        return tuple(step * (window - 1) + 1 for step, window in zip(steps, windows, strict=True))


class _AvgPooling(_Pooling):
    is_linear = True

    count_include_pad: bool = Field(
        True, description="Count the zeros of the padding in the mean; turn off to average only values of the input"
    )

    def _options(self) -> dict[str, int | bool | tuple[int, ...]]:
        return {} if self.count_include_pad else {"count_include_pad": False}


class MaxPool2d(_MaxPooling):
    """(N, C, H, W) -> (N, C, H', W'), the maximum of each window."""

    group = "Pooling"
    title = "Max pool 2D"
    summary = "The maximum of each window of an image"
    keywords = ("downsample", "maximum", "subsampling")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html"
    kind = "image"
    is_common = True


class AvgPool2d(_AvgPooling):
    """(N, C, H, W) -> (N, C, H', W'), the mean of each window."""

    group = "Pooling"
    title = "Average pool 2D"
    summary = "The mean of each window of an image"
    keywords = ("downsample", "mean", "average", "subsampling")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html"
    kind = "image"
    is_common = True


class MaxPool1d(_MaxPooling):
    """(N, C, L) -> (N, C, L'), the maximum of each window."""

    group = "Pooling"
    title = "Max pool 1D"
    summary = "The maximum of each window of a sequence (N, channels, length)"
    keywords = ("downsample", "maximum", "temporal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html"
    kind = "sequence"
    is_common = True


class AvgPool1d(_AvgPooling):
    """(N, C, L) -> (N, C, L'), the mean of each window."""

    group = "Pooling"
    title = "Average pool 1D"
    summary = "The mean of each window of a sequence (N, channels, length)"
    keywords = ("downsample", "mean", "average", "temporal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html"
    kind = "sequence"


class MaxPool3d(_MaxPooling):
    """(N, C, D, H, W) -> (N, C, D', H', W'), the maximum of each window."""

    group = "Pooling"
    title = "Max pool 3D"
    summary = "The maximum of each window of a volume"
    keywords = ("downsample", "maximum", "video", "voxel")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html"
    kind = "volume"


class AvgPool3d(_AvgPooling):
    """(N, C, D, H, W) -> (N, C, D', H', W'), the mean of each window."""

    group = "Pooling"
    title = "Average pool 3D"
    summary = "The mean of each window of a volume"
    keywords = ("downsample", "mean", "average", "video", "voxel")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html"
    kind = "volume"


class _IndexedPooling(_Padded):
    # The second output holds the integer indices of the maxima, which have no gradient.
    differentiable: ClassVar[bool] = False

    def outputs(self) -> tuple[Port, ...]:
        doc = "Position of each maximum, counted row by row within its channel"
        return (Port("out", (self.kind,)), Port("indices", ("any",), doc))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        self._check(specs["in"], self.padding)
        # One module of PyTorch for two layers: ports are declared per class, and only this one has a second output.
        name = type(self).__name__.removesuffix("Indices")
        return Call(f"nn.{name}", (self.kernel_size,), {**self._stride(), **self._border(), "return_indices": True})


class MaxPool1dIndices(_IndexedPooling):
    """(N, C, L) -> the maximum of each window and its position, (N, C, L') each."""

    group = "Pooling"
    title = "Max pool 1D with indices"
    summary = "The maximum of each window of a sequence and its position"
    keywords = ("downsample", "maximum", "argmax", "unpool")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html"
    kind = "sequence"


class MaxPool2dIndices(_IndexedPooling):
    """(N, C, H, W) -> the maximum of each window and its position, (N, C, H', W') each."""

    group = "Pooling"
    title = "Max pool 2D with indices"
    summary = "The maximum of each window of an image and its position"
    keywords = ("downsample", "maximum", "argmax", "unpool", "segnet", "autoencoder")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html"
    kind = "image"


class MaxPool3dIndices(_IndexedPooling):
    """(N, C, D, H, W) -> the maximum of each window and its position, (N, C, D', H', W') each."""

    group = "Pooling"
    title = "Max pool 3D with indices"
    summary = "The maximum of each window of a volume and its position"
    keywords = ("downsample", "maximum", "argmax", "unpool")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html"
    kind = "volume"


class _Unpooling(_Padded):
    size: Lengths = Field(
        (),
        description="Output size, if the pooled input is not a multiple of the window; empty: the smallest that fits",
    )

    @model_validator(mode="after")
    def _size(self) -> _Unpooling:
        if self.size and len(self.size) != RANKS[self.kind]:
            raise FieldValueError(
                "size", f"must have one number for each of the {RANKS[self.kind]} axes, or be empty", self.size
            )
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        sizes: dict[Kind, tuple[int, ...]] = {"sequence": (4,), "image": (4, 4), "volume": (2, 3, 3)}
        lengths = sizes[cls.kind]
        # Valid indices are less than the number of values of an unpooled channel, in which each axis is twice as long.
        high = 2 ** len(lengths)
        for length in lengths:
            high *= length
        shape = (None, 2, *lengths)
        inputs = {"in": TensorSpec(shape), "indices": TensorSpec(shape, "int")}
        return [Example(inputs=inputs, high=high)]

    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("in", (self.kind,)),
            Port("indices", ("any",), "Position of each value, from a max pool with indices"),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["in"].shape != specs["indices"].shape or specs["indices"].dtype != "int":
            raise ValueError(
                f"indices {specs['indices']} must be integers of the shape {specs['in']} of the input; connect both "
                "to the same max pool with indices"
            )
        stride = self.stride or self.kernel_size
        lengths = [specs["in"].size(axis) for axis in range(2, len(specs["in"].shape))]
        output_size = tuple((length - 1) * stride - 2 * self.padding + self.kernel_size for length in lengths)
        if self.padding * 2 > self.kernel_size or min(output_size) < 1:
            raise ValueError(f"padding={self.padding} gives an output of the size {output_size}; lower it")
        for size, length in zip(self.size, output_size, strict=bool(self.size)):
            # The range of output_size that torch.nn.MaxUnpool2d accepts
            if abs(size - length) >= stride:
                raise ValueError(
                    f"size={self.size} must differ from {output_size} by less than {stride} along each axis"
                )
        return Call("MaxUnpool", (self.size or output_size,))


class MaxUnpool1d(_Unpooling):
    """(N, C, L) and indices -> (N, C, L'), zero except at the positions of the maxima."""

    group = "Pooling"
    title = "Max unpool 1D"
    summary = "Puts each value of a sequence back at the position of its maximum, with zeros elsewhere"
    keywords = ("upsample", "decoder", "inverse")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool1d.html"
    kind = "sequence"


class MaxUnpool2d(_Unpooling):
    """(N, C, H, W) and indices -> (N, C, H', W'), zero except at the positions of the maxima."""

    group = "Pooling"
    title = "Max unpool 2D"
    summary = "Puts each value of an image back at the position of its maximum, with zeros elsewhere"
    keywords = ("upsample", "decoder", "inverse", "segnet")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html"
    kind = "image"


class MaxUnpool3d(_Unpooling):
    """(N, C, D, H, W) and indices -> (N, C, D', H', W'), zero except at the positions of the maxima."""

    group = "Pooling"
    title = "Max unpool 3D"
    summary = "Puts each value of a volume back at the position of its maximum, with zeros elsewhere"
    keywords = ("upsample", "decoder", "inverse")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool3d.html"
    kind = "volume"


class _PowerPooling(_Window):
    norm: int = Field(
        2,
        ge=1,
        le=16,
        description="Order of the norm (p): 1 is the sum, 2 the root of the sum of squares; 1 or an even number",
    )
    ceil_mode: bool = Field(False, description="Include windows that the far border cuts off")

    @model_validator(mode="after")
    def _even(self) -> _PowerPooling:
        if self.norm > 1 and self.norm % 2:
            raise FieldValueError("norm", "must be 1 or an even number, because a negative sum has no root", self.norm)
        return self

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        self._check(specs["in"])
        kwargs = self._stride()
        if self.ceil_mode:
            kwargs["ceil_mode"] = True
        return Call(f"nn.{type(self).__name__}", (self.norm, self.kernel_size), kwargs)


class LPPool1d(_PowerPooling):
    """(N, C, L) -> (N, C, L'), (Σ xᵖ)^(1/p) over each window."""

    group = "Pooling"
    title = "Power pool 1D"
    summary = "The p-norm of each window of a sequence (N, channels, length)"
    keywords = ("downsample", "lp", "norm", "l2", "power average")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool1d.html"
    kind = "sequence"


class LPPool2d(_PowerPooling):
    """(N, C, H, W) -> (N, C, H', W'), (Σ xᵖ)^(1/p) over each window."""

    group = "Pooling"
    title = "Power pool 2D"
    summary = "The p-norm of each window of an image"
    keywords = ("downsample", "lp", "norm", "l2", "power average")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html"
    kind = "image"


class LPPool3d(_PowerPooling):
    """(N, C, D, H, W) -> (N, C, D', H', W'), (Σ xᵖ)^(1/p) over each window."""

    group = "Pooling"
    title = "Power pool 3D"
    summary = "The p-norm of each window of a volume"
    keywords = ("downsample", "lp", "norm", "l2", "power average")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool3d.html"
    kind = "volume"
