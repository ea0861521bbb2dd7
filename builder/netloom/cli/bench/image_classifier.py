"""The encoding and the answers of an image classifier, as they are written by hand for a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun


def encoded_image(run: TrainedRun, pixels: Any) -> torch.Tensor:
    """Return an image as a handwritten server encodes it, (C, H, W)."""
    import numpy as np
    import torch

    field = run.data.image_field(run.fields[0])
    values = (np.asarray(pixels, dtype=np.float32) * np.float32(field.scale) - field.mean.astype(np.float32)) / (
        field.std.astype(np.float32)
    )
    return torch.from_numpy(values)


def answer_of(run: TrainedRun, shares: torch.Tensor) -> dict[str, Any]:
    """Return the answer for the probabilities (classes,) of a row."""
    classes = run.data.schema.target.classes
    return {
        "prediction": classes[int(shares.argmax())],
        "probabilities": dict(zip(classes, shares.tolist(), strict=True)),
    }
