"""Convolutions, transposed convolutions, and their depthwise variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.channels import Channels, PreservedChannels, Read, TensorAxis, Width, axes
from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec

# The number of spatial axes of each kind
RANKS: Mapping[Kind, int] = {"sequence": 1, "image": 2, "volume": 3}
Length = Annotated[int, Field(ge=1, le=1_024)]
Lengths = Annotated[tuple[Length, ...], Field(strict=False, max_length=3)]

Borders = Annotated[tuple[Annotated[int, Field(ge=0, le=512)], ...], Field(strict=False, max_length=3)]


def check_per_axis(name: str, values: tuple[int, ...], kind: Kind) -> None:
    """Check that a parameter has one number for each spatial axis, or none.

    Raises:
        FieldValueError: It has another number of them.
    """
    if values and len(values) != RANKS[kind]:
        raise FieldValueError(name, f"must have one number for each of the {RANKS[kind]} axes, or be empty", values)


def one_or_all(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """One number if it is the same for all axes."""
    return values[0] if len(set(values)) == 1 else values


def _check_kernel(spec: TensorSpec, kernel: tuple[int, ...], borders: tuple[int, ...], dilation: int) -> None:
    """Check that a dilated kernel fits into its padded input. PyTorch 2.11 does not if it fits along one of the axes.

    Raises:
        ValueError: It does not fit.
    """
    reach = [dilation * (length - 1) + 1 for length in kernel]
    padded = [spec.size(axis) + 2 * border for axis, border in enumerate(borders, 2)]
    if any(length > available for length, available in zip(reach, padded, strict=True)):
        sides = ["×".join(map(str, lengths)) for lengths in (reach, padded)]
        raise ValueError(
            f"the kernel of {sides[0]} is larger than its padded input of {sides[1]}; "
            "lower kernel_size or raise padding"
        )


class _Filter(Layer):
    kind: ClassVar[Kind]
    # The axis of the weight with an index for each filter
    _filter_axis: ClassVar[int] = 0
    is_linear = True

    filters: int = Field(32, ge=1, le=65_536, description="Number of output channels")
    kernel_size: int = Field(3, ge=1, le=1_024, description="Size of the kernel along each axis")
    stride: int = Field(1, ge=1, le=1_024, description="Step of the kernel along each axis")
    padding: int = Field(1, ge=0, le=1_024, description="Number of zeros added at each border")
    dilation: int = Field(1, ge=1, le=1_024, description="Spacing between the elements of the kernel")
    groups: int = Field(
        1, ge=1, le=65_536, description="Number of groups that the channels are split into; groups do not mix"
    )
    bias: bool = Field(True, description="Add a learned bias to each channel")
    kernel_shape: Lengths = Field(
        (), description="Size of the kernel for each axis separately, such as 1, 7; empty: kernel_size"
    )

    @model_validator(mode="after")
    def _kernel(self) -> _Filter:
        check_per_axis("kernel_shape", self.kernel_shape, self.kind)
        return self

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def channel_axis(self, axis: int) -> int:
        return 1

    @property
    def _lengths(self) -> tuple[int, ...]:
        return self.kernel_shape or (self.kernel_size,) * RANKS[self.kind]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels = specs["in"].size(1)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"groups={self.groups} must divide the {channels} input channel{'s' * (channels != 1)} and the "
                f"{self.filters} filter{'s' * (self.filters != 1)}"
            )
        # Arguments equal to their default are omitted, so that generated code stays short.
        options = self._options()
        kwargs = {key: value for key, value in options.items() if value != _DEFAULTS[key]}
        return Call(
            f"nn.{type(self).__name__}", (channels, self.filters, self.kernel_shape or self.kernel_size), kwargs
        )

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels | None:
        bias = ("bias",) if self.bias else ()
        if self.groups == 1:
            width = Width("filters", self.filters, (TensorAxis("weight", self._filter_axis), *axes(*bias)), {"out": 1})
            return Channels((Read(1, (TensorAxis("weight", 1 - self._filter_axis),)),), (width,))
        if self.groups == self.filters == specs["in"].size(1):
            return Channels(preserved=PreservedChannels(1, axes("weight", *bias), counts={"groups": 1, "filters": 1}))
        return None  # groups of several channels

    def _options(self) -> dict[str, int | bool | str | tuple[int, ...]]:
        names = ("stride", "padding", "dilation", "groups", "bias")
        return {name: getattr(self, name) for name in names}

    def brief(self) -> str:
        return f"{self.filters} × {'×'.join(map(str, self._lengths))}"


# The defaults of PyTorch, which generated code omits.
_DEFAULTS: Mapping[str, int | bool | str] = {
    "stride": 1,
    "padding": 0,
    "output_padding": 0,
    "dilation": 1,
    "groups": 1,
    "bias": True,
    "padding_mode": "zeros",
}


class _Convolution(_Filter):
    same: bool = Field(
        False, description="Pads so that the size stays the same, or is divided by stride; replaces padding"
    )
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = Field(
        "zeros",
        description="Values beyond the border: zeros, reflect (mirrored), replicate (the last value) or circular",
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        call = super().build(specs)
        added = call.kwargs.get("padding", 0)
        # Checked here, because PyTorch refuses such padding only in `forward`
        borders = added if isinstance(added, tuple) else (int(added or 0),) * RANKS[self.kind]
        for axis, border in enumerate(borders, 2):
            length = specs["in"].size(axis)
            # A reflection does not repeat the border itself; circular padding wraps around at most once.
            if border > {"reflect": length - 1, "circular": length}.get(self.padding_mode, border):
                raise ValueError(
                    f"{self.padding_mode} cannot add {border} values at a border of length {length}; lower padding, "
                    "or choose zeros or replicate"
                )
        _check_kernel(specs["in"], self._lengths, borders, self.dilation)
        return call

    def remark(self) -> str:
        if self.same or self.stride > 1:
            return ""
        reach = [self.dilation * (length - 1) for length in self._lengths]
        changes = [2 * self.padding - value for value in reach]
        if not any(changes):
            return ""
        distinct = list(dict.fromkeys(changes))
        start = "Each axis changes" if len(distinct) == 1 else "The axes change"
        change = f"{start} by {', '.join(f'{value:+d}' for value in (changes if len(distinct) > 1 else distinct))}"
        if any(value % 2 for value in reach):
            return f"{change}: a kernel of even size has no center. An odd kernel_size can keep the size."
        padding = f"padding {reach[0] // 2}, or same," if len(set(reach)) == 1 else "same"
        return f"{change}. {padding.capitalize()} keeps the size."

    def _options(self) -> dict[str, int | bool | str | tuple[int, ...]]:
        options = super()._options() | {"padding_mode": self.padding_mode}
        if self.same:
            # Explicit padding instead of PyTorch's padding="same", which refuses strides other than 1
            reach = [self.dilation * (length - 1) for length in self._lengths]
            if any(value % 2 for value in reach):
                raise ValueError(
                    f"a filter of {'×'.join(map(str, self._lengths))} has no center, so it cannot keep the size; "
                    "choose an odd kernel_size, or turn same off"
                )
            # Both borders get half of what the kernel takes away, d·(k − 1) per axis.
            halves = tuple(value // 2 for value in reach)
            options["padding"] = halves[0] if len(set(halves)) == 1 else halves
        return options


class Conv1d(_Convolution):
    """(N, C, L) -> (N, filters, L')."""

    group = "Convolution"
    title = "Conv 1D"
    summary = "Convolves a sequence (N, channels, length) with learned filters"
    keywords = ("cnn", "convolution", "filter", "temporal", "audio", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html"
    kind = "sequence"
    is_common = True


class Conv2d(_Convolution):
    """(N, C, H, W) -> (N, filters, H', W')."""

    group = "Convolution"
    title = "Conv 2D"
    summary = "Convolves an image with learned filters"
    keywords = ("cnn", "convolution", "filter", "image", "vision")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html"
    kind = "image"
    makes_feature_maps = True
    is_common = True


class Conv3d(_Convolution):
    """(N, C, D, H, W) -> (N, filters, D', H', W')."""

    group = "Convolution"
    title = "Conv 3D"
    summary = "Convolves a volume or a video with learned filters"
    keywords = ("cnn", "convolution", "filter", "volume", "video", "voxel", "medical")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html"
    kind = "volume"


class _Transposed(_Filter):
    _filter_axis: ClassVar[int] = 1  # (C, filters, …)

    kernel_size: int = Field(2, ge=1, le=1_024, description="Size of the kernel along each axis")
    stride: int = Field(2, ge=1, le=1_024, description="Factor by which each axis grows")
    padding: int = Field(0, ge=0, le=1_024, description="Number of values cut off at each border")
    output_padding: int = Field(0, ge=0, le=1_024, description="Number of values added at one end; less than stride")
    strides: Lengths = Field((), description="Factor of growth for each axis separately, such as 1, 2; empty: stride")

    @model_validator(mode="after")
    def _growth(self) -> _Transposed:
        check_per_axis("strides", self.strides, self.kind)
        return self

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        for axis, (length, stride) in enumerate(zip(self._lengths, self._steps, strict=True), 2):
            output_length = (
                (specs["in"].size(axis) - 1) * stride + self.dilation * (length - 1) + 1 + self.output_padding
            )
            if output_length <= 2 * self.padding:
                raise ValueError(f"padding={self.padding} removes the whole length of {output_length}; lower it")
        return super().build(specs)

    def _options(self) -> dict[str, int | bool | str | tuple[int, ...]]:
        smallest = min(self._steps)
        if self.output_padding >= max(smallest, self.dilation):
            raise ValueError(
                f"output_padding={self.output_padding} must be less than stride={smallest} or "
                f"dilation={self.dilation}; lower it"
            )
        return super()._options() | {"stride": one_or_all(self._steps), "output_padding": self.output_padding}

    @property
    def _steps(self) -> tuple[int, ...]:
        return self.strides or (self.stride,) * RANKS[self.kind]


class ConvTranspose1d(_Transposed):
    """(N, C, L) -> (N, filters, L'), L' = (L − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1."""

    group = "Convolution"
    title = "Transposed conv 1D"
    summary = "A transposed convolution, which lengthens a sequence (N, channels, length)"
    keywords = ("deconvolution", "upsample", "upconv", "decoder", "generator", "audio")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html"
    kind = "sequence"


class ConvTranspose2d(_Transposed):
    """(N, C, H, W) -> (N, filters, H', W'), each axis as in a transposed convolution of a sequence."""

    group = "Convolution"
    title = "Transposed conv 2D"
    summary = "A transposed convolution, which enlarges an image"
    keywords = ("deconvolution", "upsample", "upconv", "decoder", "generator", "unet", "segmentation")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html"
    kind = "image"


class ConvTranspose3d(_Transposed):
    """(N, C, D, H, W) -> (N, filters, D', H', W'), each axis as in a transposed convolution of a sequence."""

    group = "Convolution"
    title = "Transposed conv 3D"
    summary = "A transposed convolution, which enlarges a volume"
    keywords = ("deconvolution", "upsample", "upconv", "decoder", "generator", "volume", "video")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html"
    kind = "volume"


class _PerChannel(Layer):
    is_linear = True
    makes_feature_maps = True

    kernel_size: int = Field(3, ge=1, le=1_024, description="Size of the kernel along each axis")
    stride: int = Field(1, ge=1, le=1_024, description="Step of the kernel along each axis")
    padding: int = Field(1, ge=0, le=1_024, description="Number of zeros added at each border")
    dilation: int = Field(1, ge=1, le=1_024, description="Spacing between the elements of the kernel")
    bias: bool = Field(True, description="Add learned biases")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)

    def _options(self, spec: TensorSpec) -> dict[str, int | bool]:
        _check_kernel(spec, (self.kernel_size,) * 2, (self.padding,) * 2, self.dilation)
        names = ("stride", "padding", "dilation", "bias")
        return {name: getattr(self, name) for name in names if getattr(self, name) != _DEFAULTS[name]}


class DepthwiseConv2d(_PerChannel):
    """(N, C, H, W) -> (N, C·multiplier, H', W'): each channel has its own filters."""

    group = "Convolution"
    title = "Depthwise conv 2D"
    summary = "Convolves each channel of an image separately, so that channels do not mix"
    keywords = ("convolution", "mobilenet", "xception", "groups", "depthwise", "light")
    url = "https://arxiv.org/abs/1610.02357"

    multiplier: int = Field(1, ge=1, le=1_024, description="Number of output channels per input channel")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels = specs["in"].size(1)
        args = (channels, channels * self.multiplier, self.kernel_size)
        return Call("nn.Conv2d", args, {**self._options(specs["in"]), "groups": channels})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(
            preserved=PreservedChannels(
                1, axes("weight", *(("bias",) if self.bias else ())), multiplier=self.multiplier
            )
        )

    def brief(self) -> str:
        return f"{self.kernel_size}×{self.kernel_size}{f', {self.multiplier} each' if self.multiplier > 1 else ''}"


class SeparableConv2d(_PerChannel):
    """(N, C, H, W) -> (N, filters, H', W'): a filter per channel, then a 1×1 convolution that mixes them."""

    group = "Convolution"
    title = "Separable conv 2D"
    summary = "A depthwise convolution followed by a 1×1 convolution, which needs fewer parameters than a full one"
    keywords = ("convolution", "mobilenet", "xception", "depthwise", "pointwise", "light")
    url = "https://arxiv.org/abs/1610.02357"

    filters: int = Field(32, ge=1, le=65_536, description="Number of output channels")

    @classmethod
    def examples(cls) -> list[Example]:
        image = {"in": SAMPLES["image"]}
        return [Example(inputs=image), Example({"filters": 6, "stride": 2, "bias": False}, image)]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        args = (specs["in"].size(1), self.filters, self.kernel_size)
        return Call("SeparableConv2d", args, self._options(specs["in"]))

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        # A channel and its own filter go together, so that the 1×1 convolution alone decides whether they are read.
        names = ("weight", "bias") if self.bias else ("weight",)
        depthwise_axes = axes(*(f"depthwise.{name}" for name in names))
        pointwise_axes = axes(*(f"pointwise.{name}" for name in names))
        read = Read(1, (*depthwise_axes, TensorAxis("pointwise.weight", 1)))
        return Channels((read,), (Width("filters", self.filters, pointwise_axes, {"out": 1}),))

    def brief(self) -> str:
        return f"{self.filters} × {self.kernel_size}×{self.kernel_size}"
