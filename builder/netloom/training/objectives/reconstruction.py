"""Reconstruction of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.modalities.encoding.image_field import ImageEncoder
from netloom.tasks import reconstruction
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, Panel, PanelPart, Worst
from netloom.training.objectives.losses import SquaredLoss
from netloom.training.objectives.objective import NOTHING, WORST, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

# The number of worst and of best rows that are shown with their reconstruction.
SHOWN = 8


class Reconstruction(SquaredLoss):
    """Mean squared error between (N, …) and the first input field, in standard deviations of the training rows."""

    task = reconstruction.Reconstruction()

    def target(self, data: Prepared) -> torch.Tensor:
        return data.inputs[data.schema.inputs[0].name]

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.mean_of(self.target(data), data.split["train"], rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        all_targets = self.target(data)
        target = all_targets[rows]
        error = row_errors(output, target)
        # Relative to the mean of each value over the training rows, which is the baseline predictor.
        spread = (target - all_targets[data.split["train"]].mean(0)).square().sum()
        order = error.argsort(descending=True).tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "mse": float((output - target).square().mean()),
                "mae": float((output - target).abs().mean()),
                "explained": float(1 - (output - target).square().sum() / spread) if spread > 0 else float("nan"),
            },
            worst=[
                Worst(int(rows[i]), loss, data.target_text(int(rows[i])), f"error {loss:.4g}", None)
                for i in order[:WORST]
                for loss in [float(error[i])]
            ],
            panels=side_by_side(output, data, rows, error),
        )

    def decoding(self, data: Prepared, chosen: Settings) -> dict[str, Any]:
        return {"kind": "input"}


def row_errors(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of each row, (N,)."""
    return (output - target).square().flatten(1).mean(1)


def side_by_side(output: torch.Tensor, data: Prepared, rows: torch.Tensor, error: torch.Tensor) -> list[Panel]:
    """Return the rows with the greatest and the least error, each with its reconstruction."""
    order = error.argsort(descending=True).tolist()
    few = order[:SHOWN], [place for place in reversed(order) if place not in order[:SHOWN]][:SHOWN]
    return [
        {
            "row": int(rows[place]),
            "group": group,
            "caption": f"{data.target_text(int(rows[place]))} · error {float(error[place]):.3g}",
            "parts": _parts(output[place], data, int(rows[place])),
        }
        for group, places in zip(("Worst reconstructions", "Best reconstructions"), few, strict=True)
        for place in places
    ]


def _parts(output: torch.Tensor, data: Prepared, row: int) -> list[PanelPart]:
    """Return an example and its reconstruction, in the units of the data."""
    field = data.fields[0]
    inputs = data.inputs[field.name][row : row + 1].numpy()
    (before,), (after,) = field.restore(inputs), field.restore(output.unsqueeze(0).numpy())
    spec = data.schema.inputs[0]
    if not isinstance(field, ImageEncoder):
        title = "Input and reconstruction"
        if spec.is_sequence:
            return [{"title": title, "kind": "series", "values": before, "other": after}]
        return [{"title": title, "kind": "columns", "values": before, "other": after}]
    top = field.scale  # from the units of the data to the range from 0 to 1
    return [
        {"title": title, "kind": "picture", "values": _scaled(value, top)}
        for title, value in (("Input", before), ("Reconstruction", after))
    ]


def _scaled(values: Any, factor: float) -> Any:
    return [_scaled(value, factor) for value in values] if isinstance(values, list) else round(values * factor, 4)
