"""Grad-CAM: the regions of a convolution's feature maps that increase the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attribution.layer.feature_maps import FeatureMaps
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class GradCam(FeatureMaps):
    """ReLU of the sum of feature maps, weighted by their mean gradients.

    The map (h, w) is upsampled bilinearly to the image (C, H, W), as in the paper. The value of each pixel is divided
    evenly among its channels, so that their sum is the map.
    """

    name = "grad_cam"
    title = "Grad-CAM"
    summary = "Which regions of an image increase the score, from the feature maps of a convolution"
    url = "https://arxiv.org/abs/1610.02391"
    requirements = ("gradients", "feature_maps")
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import LayerAttribution, LayerGradCam

        points = context.points
        node, hooked = self.hook(context)
        cam = LayerGradCam(context.point_score, hooked.identity).attribute(
            tuple(point.value.clone().requires_grad_() for point in points), relu_attributions=True
        )
        parts = {name: np.zeros(spec.shape) for name, spec in context.specs.items()}
        for name in self.image_fields(context, node):
            channels, *size = context.specs[name].shape
            enlarged = LayerAttribution.interpolate(cam, tuple(size), interpolate_mode="bilinear")
            parts[name] = np.repeat(enlarged[0].detach().double().numpy(), channels, axis=0) / channels
        size_text = " × ".join(map(str, cam.shape[2:]))
        text = f"The map has the resolution of {node.title} ({size_text}) and shows only what increases the score."
        return Result(parts, nodes={node.path: cam[0].detach().double().numpy()}, remarks=(Remark("good", text),))
