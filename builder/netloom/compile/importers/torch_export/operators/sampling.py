"""Images at the positions of a grid, as in spatial transformers."""

from __future__ import annotations

from typing import Any

from netloom.compile.importers.layer_graph.values import UnsupportedOperatorError
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten

# The numbers by which PyTorch calls them
_MODES = ("bilinear", "nearest", "bicubic")
_OUTSIDE = ("zeros", "border", "reflection")


@aten("affine_grid_generator")
def _affine_grid(op: AtenCall) -> list[Any]:
    size = op.integers("size")
    if len(size) != 4:
        raise UnsupportedOperatorError("only grids of two-dimensional images are supported")
    theta = op.builder.to_batch_first(op.tensor("theta"))
    params = {"height": size[2], "width": size[3]} | ({"align_corners": True} if op.flag("align_corners") else {})
    return [op.builder.add_layer("AffineGrid", theta, op.name, **params)]


@aten("grid_sampler", "grid_sampler_2d")
def _grid_sample(op: AtenCall) -> Any:
    mode, outside = op.integer("interpolation_mode"), op.integer("padding_mode")
    return op.apply(
        *("GridSample", op.value("input"), op.value("grid")),
        mode=_MODES[mode],
        padding_mode=_OUTSIDE[outside],
        align_corners=int(op.flag("align_corners")),
    )
