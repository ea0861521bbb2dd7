"""What-if analysis: the explanations of an example and of a changed copy of it, with the same network and target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data import DataError
from netloom.explain.computation import explain
from netloom.explain.core.baselines import brightest
from netloom.explain.core.explanation import Explanation
from netloom.explain.core.targets import quantity_of
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.image_field import sized

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.explain.core.explanation import Target
    from netloom.explain.core.quantities.quantity import TargetChoice
    from netloom.explain.core.request import Progress, Trained
    from netloom.explain.core.targets import TargetLike


@dataclass(frozen=True)
class WhatIf:
    """The explanations of the same target `before` and `after` a change.

    `score_change` is the increase of the score, and `probabilities` are the probabilities before and after by class.
    """

    before: Explanation
    after: Explanation
    score_change: float
    probabilities: dict[str, tuple[float, float]]

    @property
    def is_prediction_changed(self) -> bool:
        """Whether the predicted value or class changed."""
        return self.before.prediction.text != self.after.prediction.text


def what_if(
    trained: Trained,
    row_or_raw: int | Mapping[str, Any],
    changed: Mapping[str, Any],
    method: str = "integrated_gradients",
    *,
    target: TargetLike = None,
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
    **options: Any,
) -> WhatIf:
    """Explain an example and a changed raw row.

    Both explanations have the same target: `target`, or by default the prediction for the example before the change.

    Raises:
        ExplainError: The method, row or target does not exist, or the method does not support the network.
        DataError: The changed row lacks a field, or has a value that the data cannot encode.
    """
    shared: dict[str, Any] = {"folder": folder, "checkpoint": checkpoint, "progress": progress, **options}
    before = explain(trained, method, row_or_raw, target=target, **shared)
    after = explain(trained, method, changed, target=target_request(before.target), **shared)
    names = dict.fromkeys((*before.prediction.probabilities, *after.prediction.probabilities))
    before_shares, after_shares = before.prediction.probabilities, after.prediction.probabilities
    # A text prediction lists only the most likely tokens, so a token may be missing on one side.
    shares = {name: (before_shares.get(name, float("nan")), after_shares.get(name, float("nan"))) for name in names}
    return WhatIf(before, after, after.score - before.score, shares)


def target_request(target: Target) -> TargetChoice:
    """Return the target choice with which `explain` selects the same target again."""
    return quantity_of(target).request(target)


def raw_row(data: Prepared, row_or_raw: int | Mapping[str, Any]) -> RawRow:
    """Return a copy of the raw row in the form that `Prepared.encode` accepts."""
    return dict(row_or_raw) if isinstance(row_or_raw, Mapping) else dict(data.row(row_or_raw))


def pixels(data: Prepared, name: str, raw: Mapping[str, Any]) -> np.ndarray:
    """Return an image of a raw row as (C, H, W) in [0, 1], in the input size of the network.

    Raises:
        DataError: The image has another size.
    """
    field = data.image_field(name)
    picture = np.asarray(raw[name], dtype=np.float32)
    picture = picture[None] if picture.ndim == 2 else picture
    if picture.shape != field.shape and picture.ndim == 3 and picture.shape[2] == field.shape[0]:
        picture = picture.transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)
    if field.is_resized:
        picture = sized(picture, *field.shape)
    if picture.shape != field.shape:
        raise DataError(f"The image {name!r} is {picture.shape}, and the network takes {field.shape}.")
    return picture * np.float32(field.scale) / brightest(data, name)


def raw_picture(data: Prepared, name: str, picture: np.ndarray) -> np.ndarray:
    """Convert an image (C, H, W) in [0, 1] to the values of a raw row."""
    field = data.image_field(name)
    raw: np.ndarray = np.clip(picture, 0, 1) * np.float32(brightest(data, name)) / np.float32(field.scale)
    return raw


def background(data: Prepared, name: str) -> np.ndarray:
    """Return the background color (C,) in [0, 1]: the median of the border pixels of training images."""
    pictures = data.image_field(name).unscaled(data.input_values(name)[data.rows["train"][:512]])
    # (R, C, 2H + 2W) -> (C, R · (2H + 2W)) -> (C,)
    edges = np.concatenate([pictures[:, :, 0], pictures[:, :, -1], pictures[:, :, :, 0], pictures[:, :, :, -1]], axis=2)
    color: np.ndarray = np.median(edges.transpose(1, 0, 2).reshape(pictures.shape[1], -1), axis=1) / brightest(
        data, name
    )
    return color
