"""Grad-CAM: which places of a convolution's maps speak for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attribution.feature_maps import FeatureMaps
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class GradCam(FeatureMaps):
    """The maps of a convolution, weighted by their mean gradients and summed, where that is positive."""

    name = "grad_cam"
    title = "Grad-CAM"
    summary = "Which regions of an image increase the score, from the feature maps of a convolution"
    url = "https://arxiv.org/abs/1610.02391"
    needs = ("gradients", "feature_maps")
    sums = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import LayerAttribution, LayerGradCam

        points = subject.points
        node, tapped = self.place(subject)
        found = LayerGradCam(subject.point_score, tapped.place).attribute(
            tuple(point.value.clone().requires_grad_() for point in points), relu_attributions=True
        )
        parts = {name: np.zeros(spec.shape) for name, spec in subject.specs.items()}
        for name in self.pictures(subject, node):
            channels, *size = subject.specs[name].shape
            map_ = LayerAttribution.interpolate(found, tuple(size), interpolate_mode="bilinear")
            parts[name] = np.repeat(map_[0].detach().double().numpy(), channels, axis=0) / channels
        shown = " × ".join(map(str, found.shape[2:]))
        text = f"The map has the resolution of {node.title} ({shown}) and shows only what increases the score."
        return Result(parts, nodes={node.path: found[0].detach().double().numpy()}, remarks=(Remark("good", text),))
