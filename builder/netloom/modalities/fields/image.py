"""Images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.field_encoder import FieldEncoder, Scaling
from netloom.modalities.encoding.image_field import ImageEncoder, ImageState, image_encoder, sized
from netloom.modalities.fields.modality import Editor, Modality, lower_median
from netloom.modalities.row_field import FileKind, RowField, array_schema
from netloom.modalities.settings import Settings
from netloom.modalities.statistics import divisor, moments

_SCALES = {"standardize": "dataset", "scale": "unit", "none": "none"}


class ImageSettings(Settings):
    """The size and color of images, and the scaling of their pixels."""

    size: Annotated[int, Field(ge=4, le=512)] | None = None
    grayscale: bool | None = None
    normalize: Literal["dataset", "channel", "unit", "none"] | None = None


@dataclass(frozen=True)
class TrainingImages:
    """The input of `fit`: images (R, C, H, W) with pixels from 0 to `top`, and the numbers of the training rows.

    `file_side` and `file_shape` are those of `ImageState`.
    """

    pixels: np.ndarray
    rows: np.ndarray
    top: float
    is_resized: bool
    file_side: int = 0
    file_shape: tuple[int, ...] = ()


class ImageModality(Modality[TrainingImages]):
    name, order = "image", 10
    kind = "image"
    encoders = (ImageEncoder,)
    editor = Editor.IMAGE
    phrase, rows_phrase = "images", "images"
    settings, scale_setting = ImageSettings, "normalize"
    usual_baseline_phrase = "an image in the background color of the training images"
    has_brightness = True
    file_kind = FileKind.PICTURE

    def fit(self, name: str, values: TrainingImages, settings: Mapping[str, Any]) -> ImageState:
        scaling = _scaling(values.pixels, values.rows, values.top, settings)
        return ImageState(
            name=name,
            encoding=ImageEncoder.encoding,
            shape=list(values.pixels.shape[1:]),
            scale=scaling.scale,
            mean=scaling.mean,
            std=scaling.std,
            resized=values.is_resized,
            top=0.0 if scaling.scale * values.top == 1 else values.top,
            file_side=values.file_side,
            file_shape=list(values.file_shape) or (),
        )

    def row_fields(self, encoder: FieldEncoder[Any]) -> tuple[RowField, ...]:
        channels, height, width = encoder.shape
        if image_encoder(encoder).is_resized:
            note, shape = f"Pixels of any size, which is changed to {height}×{width}", (channels, -1, -1)
        else:
            note, shape = f"Pixels {channels}×{height}×{width} (channels, rows, columns)", (channels, height, width)
        return (RowField(encoder.name, array_schema(shape, note), "FP32", shape),)

    def raw_value(self, encoder: FieldEncoder[Any], decoded: Any) -> Any:
        image = np.clip(sized(decoded.astype(np.float32), *encoder.shape), 0, 255)
        # The divisor is 1 for pixels from 0 to 255, so that those of a training image keep their bits
        return np.asarray(image / (255 * image_encoder(encoder).unit_scale), dtype=np.float32)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "pixels minus their mean, divided by their standard deviation over the training rows"

    def default_settings(
        self, name: str, prepare: Preparation | ImageNormalization, shape: Sequence[int]
    ) -> JsonObject:
        if isinstance(prepare, str):
            return {"normalize": _SCALES[prepare]}
        for statistic, values in (("mean", prepare.mean), ("std", prepare.std)):
            if len(values) not in (1, shape[0]):
                raise DataError(
                    f"The preparation has a {statistic} for each of {len(values)} channels, but the images of "
                    f"{name[:80]!r} have {shape[0]}; choose images with as many channels, or another preparation."
                )
        return {"normalize": prepare.model_dump(mode="json")}

    def usual_baseline(self, rows: np.ndarray) -> np.ndarray:
        """Return an image (1, C, H, W) in the median color of the borders, an estimate of the background color.

        The mean image would contain a blurred average of all objects.
        """
        edges = np.concatenate([rows[:, :, 0], rows[:, :, -1], rows[:, :, :, 0], rows[:, :, :, -1]], axis=2)
        color = lower_median(edges.transpose(0, 2, 1).reshape(-1, rows.shape[1]))[0]  # (C,) of (R · (2H + 2W), C)
        return np.broadcast_to(color[None, :, None, None], (1, *rows.shape[1:])).copy()

    def summaries(self, encoder: FieldEncoder[Any], rows: np.ndarray, training: np.ndarray) -> dict[str, np.ndarray]:
        pixels = rows.astype(np.float64)  # (R, C, H, W)
        edges = [np.abs(np.diff(pixels, axis=axis)).mean((1, 2, 3)) for axis in (2, 3)]
        names = {
            "brightness": pixels.mean((1, 2, 3)),
            "contrast": pixels.std((1, 2, 3)),
            "sharpness": (edges[0] + edges[1]) / 2,
        }
        if pixels.shape[1] > 1:
            names |= {f"channel {channel + 1}": pixels[:, channel].mean((1, 2)) for channel in range(pixels.shape[1])}
        return names

    def units(self, encoder: FieldEncoder[Any], example: np.ndarray) -> np.ndarray:
        """Return the pixel of each number in (C, H, W), so that the channels of a pixel belong together."""
        _, height, width = example.shape
        return np.broadcast_to(np.arange(height * width).reshape(height, width), example.shape)


class _PixelScaling(NamedTuple):
    """The part of `ImageState` on the scaling of pixels."""

    scale: float
    mean: Scaling
    std: Scaling


def _scaling(pixels: np.ndarray, rows: np.ndarray, top: float, settings: Mapping[str, Any]) -> _PixelScaling:
    """Return the scaling of images (R, C, H, W) from 0 to `top`: for all channels, per channel, or fixed."""
    kind = settings.get("normalize", "dataset")
    if isinstance(kind, Mapping):
        return _imported_scaling(kind, top)
    if kind in ("unit", "none"):
        return _PixelScaling(1 / top if kind == "unit" else 1.0, 0.0, 1.0)
    if kind == "channel":
        channels = [moments(pixels[:, channel : channel + 1], rows) for channel in range(pixels.shape[1])]
        # Nested lists of shape (C, 1, 1) broadcast with images, as a single number does.
        means = [[[mean / top]] for mean, _ in channels]
        return _PixelScaling(1 / top, means, [[[divisor(std / top, 1.0)]] for _, std in channels])
    mean, std = moments(pixels, rows)
    return _PixelScaling(1 / top, mean / top, divisor(std / top, 1.0))


def _imported_scaling(scaling: Mapping[str, Any], top: float) -> _PixelScaling:
    """Return the scaling that an imported network expects for pixels from 0 to 255, for pixels from 0 to `top`."""

    def by_channel(values: list[float]) -> Scaling:
        return values[0] if len(values) == 1 else [[[value]] for value in values]

    return _PixelScaling(scaling["rescale"] * 255 / top, by_channel(scaling["mean"]), by_channel(scaling["std"]))
