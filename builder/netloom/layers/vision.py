"""Blocks of well-known vision networks, each as one layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec
from netloom.layers.operations.operation import floats
from netloom.layers.probability import Probabilities

_CORNERS = "Let −1 and 1 mean the centers of the outermost pixels instead of the borders of the image"


class _VisionBlock(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",), "(N, C, H, W)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)


class DropPath(Layer):
    """In training, x / (1 − rate), or 0 for a whole example with the probability rate; any shape."""

    group = "Vision block"
    title = "Drop path"
    summary = "Sets a residual branch to 0 for random examples in training (stochastic depth)"
    keywords = ("stochastic depth", "dropout", "regularisation", "residual")
    url = "https://arxiv.org/abs/1603.09382"
    is_linear = True

    rate: float = Field(0.1, ge=0, lt=1, description="Probability that the branch is dropped for an example")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)  # the scale 1 / (1 − rate) would make integers real numbers, but only in training
        return Call("DropPath", (self.rate,))

    def brief(self) -> str:
        return f"{self.rate:g}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return inputs.get("in")


class SqueezeExcite(_VisionBlock):
    """x · sigmoid(W₂ relu(W₁ mean(x))), a weight for each channel, (N, C, H, W) -> (N, C, H, W)."""

    group = "Vision block"
    title = "Squeeze and excite"
    summary = "Weights each channel by a gate that is computed from the whole image"
    keywords = ("se", "channel attention", "senet", "gate", "recalibration")
    url = "https://arxiv.org/abs/1709.01507"
    makes_feature_maps = True

    reduction: int = Field(16, ge=1, le=4_096, description="Ratio of the channels to the hidden size")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels = specs["in"].size(1)
        # A small network would otherwise have a hidden size of 0.
        return Call("SqueezeExcite", (channels, max(1, channels // self.reduction)))

    def brief(self) -> str:
        return f"1 / {self.reduction}"


class InvertedResidual(_VisionBlock):
    """(N, C, H, W) -> (N, filters, H / stride, W / stride)."""

    group = "Vision block"
    title = "Inverted residual"
    summary = "The block of MobileNetV2: expand, convolve each channel separately, project"
    keywords = ("mobilenet", "depthwise", "separable", "bottleneck", "cnn", "mobile")
    url = "https://arxiv.org/abs/1801.04381"
    makes_feature_maps = True

    filters: int = Field(32, ge=1, le=65_536, description="Number of output channels")
    stride: int = Field(1, ge=1, le=8, description="Step of the kernel; 2 halves the size of the image")
    expansion: int = Field(6, ge=1, le=64, description="Ratio of the hidden channels to the input channels")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("InvertedResidual", (specs["in"].size(1), self.filters), self.non_defaults("stride", "expansion"))

    def brief(self) -> str:
        return f"{self.filters} × {self.expansion}{f', stride {self.stride}' if self.stride > 1 else ''}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example(params, {"in": SAMPLES["image"]})
            for params in ({"filters": 4}, {"filters": 6, "stride": 2, "expansion": 1})
        ]


class MBConv(_VisionBlock):
    """(N, C, H, W) -> (N, filters, H / stride, W / stride)."""

    group = "Vision block"
    title = "MBConv"
    summary = "The block of EfficientNet: an inverted residual with squeeze-and-excitation"
    keywords = ("efficientnet", "mobilenet", "depthwise", "separable", "squeeze", "cnn")
    url = "https://arxiv.org/abs/1905.11946"
    makes_feature_maps = True

    filters: int = Field(32, ge=1, le=65_536, description="Number of output channels")
    kernel_size: int = Field(3, ge=1, le=63, description="Size of the kernel, an odd number")
    stride: int = Field(1, ge=1, le=8, description="Step of the kernel; 2 halves the size of the image")
    expansion: int = Field(6, ge=1, le=64, description="Ratio of the hidden channels to the input channels")
    drop_path: float = Field(0.0, ge=0, lt=1, description="Probability that an example skips the block in training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(
            "MBConv",
            (specs["in"].size(1), self.filters),
            self.non_defaults("kernel_size", "stride", "expansion", "drop_path"),
        )

    def brief(self) -> str:
        return f"{self.filters} × {self.expansion}{f', stride {self.stride}' if self.stride > 1 else ''}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example(params, {"in": SAMPLES["image"]})
            for params in ({"filters": 4, "drop_path": 0.2}, {"filters": 6, "stride": 2, "kernel_size": 5})
        ]


class ConvNeXtBlock(_VisionBlock):
    """(N, C, H, W) -> (N, C, H, W)."""

    group = "Vision block"
    title = "ConvNeXt block"
    summary = "A depthwise 7×7 convolution and two linear layers per position, with a residual connection"
    keywords = ("convnext", "depthwise", "large kernel", "cnn", "residual")
    url = "https://arxiv.org/abs/2201.03545"
    makes_feature_maps = True

    kernel_size: int = Field(7, ge=1, le=63, description="Size of the kernel, an odd number")
    expansion: int = Field(4, ge=1, le=64, description="Ratio of the hidden size to the channels")
    drop_path: float = Field(0.0, ge=0, lt=1, description="Probability that an example skips the block in training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("ConvNeXtBlock", (specs["in"].size(1),), self.non_defaults("kernel_size", "expansion", "drop_path"))

    def brief(self) -> str:
        return f"{self.kernel_size}×{self.kernel_size}"


class ResidualBlock(_VisionBlock):
    """relu(f(x) + x), (N, C, H, W) -> (N, filters, H / stride, W / stride)."""

    group = "Vision block"
    title = "Residual block"
    summary = "The block of ResNet: convolutions with a residual connection"
    keywords = ("resnet", "skip", "shortcut", "basic block", "bottleneck", "cnn")
    url = "https://arxiv.org/abs/1512.03385"
    makes_feature_maps = True
    is_common = True

    filters: int = Field(64, ge=1, le=65_536, description="Number of output channels")
    stride: int = Field(1, ge=1, le=8, description="Step of the kernel; 2 halves the size of the image")
    kind: Literal["basic", "bottleneck"] = Field(
        "basic", description="basic: two 3×3 convolutions; bottleneck: a 3×3 convolution between two 1×1 convolutions"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        stride = {"stride": self.stride} if self.stride > 1 else {}
        kind = {"bottleneck": True} if self.kind == "bottleneck" else {}
        return Call("ResidualBlock", (specs["in"].size(1), self.filters), {**stride, **kind})

    def brief(self) -> str:
        return f"{self.filters} {self.kind}{f', stride {self.stride}' if self.stride > 1 else ''}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example(params, {"in": SAMPLES["image"]})
            for params in ({"filters": 4}, {"filters": 8, "stride": 2}, {"filters": 8, "kind": "bottleneck"})
        ]


class PatchEmbedding(_VisionBlock):
    """(N, C, H, W) -> (N, T, dim), where T = H / patch · W / patch, plus 1 with a class token."""

    group = "Vision block"
    title = "Patch embedding"
    summary = "Splits an image into square patches and maps each to a vector, so that a Transformer can process it"
    keywords = ("vit", "vision transformer", "patches", "image to sequence", "tokens")
    url = "https://arxiv.org/abs/2010.11929"
    divides_into_patches = True
    is_linear = True
    decays_weights = False
    is_common = True

    patch: int = Field(4, ge=1, le=1_024, description="Size of a patch in pixels; must divide height and width")
    dim: int = Field(64, ge=1, le=65_536, description="Size of each vector")
    class_token: bool = Field(False, description="Prepend a learned class token")

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "One step per patch, row by row"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels, height, width = (specs["in"].size(axis) for axis in (1, 2, 3))
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"patches of {self.patch} do not divide an image of {height} × {width}; choose a size that divides "
                f"both, such as {_divisor(self.patch, height, width)}"
            )
        return Call(
            "PatchEmbedding", (channels, self.patch, self.dim), {"class_token": True} if self.class_token else {}
        )

    def brief(self) -> str:
        return f"{self.patch}×{self.patch} -> {self.dim}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"dim": 6, "class_token": token}, {"in": TensorSpec((None, 3, 8, 12))}) for token in (False, True)
        ]


class _Windows(_VisionBlock):
    heads: int = Field(4, ge=1, le=1_024, description="Number of attention heads; must divide the channels")
    window: int = Field(4, ge=1, le=64, description="Size of a window; must divide height and width")
    shift: bool = Field(False, description="Shift the windows by half their size, for every second block")

    def _checked(self, specs: Mapping[str, TensorSpec]) -> TensorSpec:
        spec = specs["in"]
        height, width = spec.size(2), spec.size(3)
        if height % self.window or width % self.window:
            raise ValueError(
                f"windows of {self.window} do not divide an image of {height} × {width}; choose a size that divides "
                f"both, such as {_divisor(self.window, height, width)}"
            )
        return spec

    def brief(self) -> str:
        return f"{self.window}×{self.window}, {self.heads} heads{', shifted' if self.shift else ''}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"heads": 2, "shift": shift}, {"in": TensorSpec((None, 4, 8, size))})
            for shift, size in ((False, 4), (True, 8))
        ]


class WindowAttention(_Windows):
    """(N, C, H, W) -> (N, C, H, W)."""

    group = "Vision block"
    title = "Window attention"
    summary = "Self-attention within square windows of an image"
    keywords = ("swin", "self-attention", "shifted window", "relative position bias", "transformer")
    url = "https://arxiv.org/abs/2103.14030"
    attention_queries = "pixels"

    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the attention weights in training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        optional = {"shift": self.shift, "dropout": self.dropout}
        kwargs = {key: value for key, value in optional.items() if value}
        return Call("WindowAttention", (self._checked(specs).size(1), self.heads, self.window), kwargs)


class SwinBlock(_Windows):
    """(N, C, H, W) -> (N, C, H, W)."""

    group = "Vision block"
    title = "Swin block"
    summary = "Window attention and a feed-forward network, each with a residual connection and layer norm"
    keywords = ("swin", "vision transformer", "shifted window", "attention")
    url = "https://arxiv.org/abs/2103.14030"

    residual_weights = ("attention.out.weight", "feed_forward.2.weight")

    expansion: int = Field(4, ge=1, le=64, description="Ratio of the hidden size to the channels")
    drop_path: float = Field(0.0, ge=0, lt=1, description="Probability that an example skips each part in training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(
            "SwinBlock",
            (self._checked(specs).size(1), self.heads, self.window),
            self.non_defaults("shift", "expansion", "drop_path"),
        )


def _divisor(limit: int, height: int, width: int) -> int:
    """The greatest number up to `limit` that divides both `height` and `width`."""
    return next(size for size in range(limit, 0, -1) if height % size == 0 and width % size == 0)


class AffineGrid(Layer):
    """(N, 6) or (N, 2, 3) -> (N, height, width, 2), positions for Sample at grid."""

    group = "Vision block"
    title = "Affine grid"
    summary = "The positions from which an affine map (rotation, scale, shear, shift) takes the pixels of an image"
    keywords = ("affine_grid", "spatial transformer", "stn", "warp", "rotation", "localization network")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.affine_grid.html"

    height: int = Field(28, ge=1, le=65_536, description="Height of the sampled image")
    width: int = Field(28, ge=1, le=65_536, description="Width of the sampled image")
    align_corners: bool = Field(False, description=_CORNERS)

    @classmethod
    def examples(cls) -> list[Example]:
        small = {"height": 3, "width": 4}
        return [
            Example(small, {"in": TensorSpec((None, 6))}),
            Example({**small, "align_corners": True}, {"in": TensorSpec((None, 2, 3))}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence"), "Affine maps, (N, 6) or (N, 2, 3)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", doc="Positions (x, y), (N, H, W, 2)"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        if specs["in"].shape[1:] not in ((6,), (2, 3)):
            raise ValueError(f"an affine map has 6 numbers, (N, 6) or (N, 2, 3), received {specs['in']}")
        return Call("AffineGrid", (self.height, self.width), self.non_defaults("align_corners"))

    def brief(self) -> str:
        return f"{self.height}×{self.width}"


class GridSample(Layer):
    """(N, C, H, W), (N, H', W', 2) -> (N, C, H', W')."""

    group = "Vision block"
    title = "Sample at grid"
    summary = "Reads an image at given positions, such as those of an affine grid, by interpolation"
    keywords = ("grid_sample", "spatial transformer", "stn", "warp", "optical flow", "deformation", "interpolation")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html"

    mode: Literal["bilinear", "nearest", "bicubic"] = Field(
        "bilinear", description="Interpolation; nearest has no gradient with respect to the positions"
    )
    outside: Literal["zeros", "border", "reflection"] = Field(
        "zeros", description="Values outside of the image: 0, those of the border, or a reflection"
    )
    align_corners: bool = Field(False, description=_CORNERS)

    @classmethod
    def examples(cls) -> list[Example]:
        inputs = {"image": SAMPLES["image"], "grid": TensorSpec((None, 3, 4, 2))}
        settings = {"mode": "bicubic", "outside": "border", "align_corners": True}
        return [Example(params, inputs) for params in ({}, settings, {"mode": "nearest", "outside": "reflection"})]

    def inputs(self) -> tuple[Port, ...]:
        return Port("image", ("image",), "(N, C, H, W)"), Port("grid", doc="Positions (x, y) in −1 … 1, (N, H, W, 2)")

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        grid = specs["grid"]
        if len(grid.shape) != 4 or grid.size(3) != 2:
            raise ValueError(f"grid must have two coordinates for each pixel, (N, H, W, 2), received {grid}")
        return Call("GridSample", (), self.non_defaults("mode", "outside", "align_corners"))

    def brief(self) -> str:
        return self.mode
