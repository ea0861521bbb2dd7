"""Objects with a box and a class each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.data.boxes import NO_OBJECT, objects_text, present
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.targets.fitted_target import FittedClasses
from netloom.data.targets.target import LabeledTarget, Labels, LastField, Move

# The share of a box that has to remain in the image after a transformation; less of an object is left out
_VISIBLE = 0.25


class BoxTarget(LabeledTarget):
    """The class index and the box of each object (R, M, 5), as in `netloom.data.boxes`."""

    kind = "boxes"

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, tuple(raw.target.shape[1:]))

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedClasses) -> np.ndarray:
        return raw.target.astype(np.float32, copy=False)

    def text(self, spec: TargetSpec, fitted: FittedClasses, value: Any, raw: RawDataset, index: int) -> str:
        return objects_text(spec.classes[int(number)] for number in present(np.asarray(value))[:, 0])

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        yield Labels(spec.name, spec.classes, values[..., 0].astype(np.int64))

    def ordered(self, raw: RawDataset, fitted: FittedClasses) -> RawDataset:
        if raw.classes == fitted.classes or sorted(raw.classes) != sorted(fitted.classes):
            return raw
        positions = np.array([*map(fitted.classes.index, raw.classes), NO_OBJECT])  # the last entry is that of -1
        target = raw.target.copy()
        target[..., 0] = positions[raw.target[..., 0].astype(np.int64)]
        return replace(raw, target=target, classes=fitted.classes)

    def moved(self, values: Any, move: Move, shape: tuple[int, ...]) -> Any:
        """Return the smallest boxes (N, M, 5) around the moved corners, clipped to the image.

        The transformation is affine, and known by what it does to pixels: it moves an image of their coordinates, of
        which those that were not clamped to the border determine its matrix.
        """
        import torch

        height, width = shape[-2:]
        rows, columns = (torch.arange(side, dtype=torch.float32, device=values.device) for side in (height, width))
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        old = move(torch.stack([x, y]).expand(len(values), 2, height, width), False).double()  # of each new pixel
        inside = ((old > 0) & (old < old.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1))).all(1, keepdim=True)
        ones = torch.ones_like(x)
        new = torch.stack([x, y, ones]).double().flatten(1)  # (3, H W)
        weighted = new * inside.flatten(1)[:, None]  # (N, 3, H W)
        ridge = 1e-9 * torch.eye(3, dtype=torch.float64, device=values.device)
        # old = matrix · new, by least squares
        matrix = torch.linalg.solve(weighted @ new.T + ridge, weighted @ old.flatten(2).transpose(1, 2)).transpose(1, 2)
        back = torch.linalg.inv(matrix[..., :2])
        x_min, y_min, x_max, y_max = (values[..., 1:].double() * values.new_tensor([width, height] * 2)).unbind(-1)
        corners = torch.stack([torch.stack([x_min, x_max, x_min, x_max]), torch.stack([y_min, y_min, y_max, y_max])])
        # (N, M, 4, 2), from the edges of pixels to coordinates whose whole numbers are their centers, and back
        points = (corners.permute(2, 3, 1, 0) - 0.5 - matrix[:, None, None, :, 2]) @ back[:, None].transpose(2, 3) + 0.5
        sides = points.new_tensor([width, height])
        low, high = points.amin(2) / sides, points.amax(2) / sides
        clipped = torch.cat([low.clamp(0, 1), high.clamp(0, 1)], dim=2)
        area = (high - low).prod(2)
        left = (clipped[..., 2:] - clipped[..., :2]).prod(2)
        visible = (values[..., 0] >= 0) & (left >= _VISIBLE * area) & (left > 0)
        classes = torch.where(visible, values[..., 0], NO_OBJECT)
        return torch.cat([classes[..., None], clipped.to(values.dtype) * visible[..., None]], dim=2)
