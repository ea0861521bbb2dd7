"""Occlusion: cover a part of the input and measure the change of the score."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import PERTURBATION, BaselineExplainer, Result

if TYPE_CHECKING:
    import torch

    from netloom.data import FieldSpec
    from netloom.explain.core.context import ExplanationContext

WINDOWS_PER_SIDE = 8
SERIES_WINDOWS = 64


class Occlusion(BaselineExplainer):
    """F(x) − F(x without the part) for each part alone.

    A part is a square of an image, a column of a table, some steps of a series, or a token. With overlapping windows,
    each value gets the mean over its windows, divided by the size of the window. The paper covers squares with gray;
    here, they take the values of the baseline.
    """

    name = "occlusion"
    title = "Occlusion"
    summary = "How far the score falls when each part of the input is covered; needs no gradients"
    url = "https://arxiv.org/abs/1311.2901"
    group = PERTURBATION

    window: int = Field(
        0,
        ge=0,
        le=1024,
        description="Side of the covered square of an image, or steps of a series; 0: chosen by the size of the input",
    )

    def run(self, context: ExplanationContext) -> Result:
        return Result({name: self._field(context, name) for name in context.specs})

    def _field(self, context: ExplanationContext, name: str) -> np.ndarray:
        import torch

        spec, value, baseline = context.specs[name], context.inputs[name], context.baseline[name]
        score = _field_score(context, name)
        if spec.is_vector or spec.is_tokens:
            from captum.attr import FeatureAblation

            feature_mask = context.feature_mask(name)
            # Captum's masks start at 0 and cannot exclude values, so padding is a group of its own with effect 0.
            mask = torch.from_numpy(feature_mask - feature_mask.min()).unsqueeze(0)
            effects = FeatureAblation(score).attribute(
                value, baselines=baseline, feature_mask=mask, perturbations_per_eval=context.rows
            )
            # Captum repeats the effect of a group at each of its values; dividing it makes the attributions summable.
            sizes = np.bincount(mask[0].numpy().ravel())[mask[0].numpy()]
            shared: np.ndarray = effects[0].double().numpy() / sizes
            return shared
        from captum.attr import Occlusion as Captum

        window, strides = self._window(spec)
        effects = Captum(score).attribute(
            value, window, strides=strides, baselines=baseline, perturbations_per_eval=context.rows
        )
        per_cell: np.ndarray = effects[0].double().numpy() / np.prod(window)
        return per_cell

    def _window(self, spec: FieldSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the size of the window and its stride; windows overlap by half."""
        if spec.is_image:
            channels, height, width = spec.shape
            side = self.window or max(1, min(height, width) // WINDOWS_PER_SIDE)
            sides = (min(side, height), min(side, width))
            return (channels, *sides), (channels, *(max(1, length // 2) for length in sides))
        steps = min(self.window or -(-spec.shape[0] // SERIES_WINDOWS), spec.shape[0])
        return (steps, 1), (max(1, steps // 2), 1)


def _field_score(context: ExplanationContext, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return F as a function of one field, with the other fields unchanged."""

    def score(value: torch.Tensor) -> torch.Tensor:
        fields = {field: rows.expand(len(value), *rows.shape[1:]) for field, rows in context.inputs.items()}
        return context.score({**fields, name: value})

    return score
