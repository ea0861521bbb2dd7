"""Guided Grad-CAM: the regions of Grad-CAM with the detail of guided backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.gradient.modified_relu import WARNING
from netloom.explain.attribution.layer.feature_maps import FeatureMaps
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class GuidedGradCam(FeatureMaps):
    """The upsampled Grad-CAM map times guided backpropagation."""

    name = "guided_grad_cam"
    title = "Guided Grad-CAM"
    summary = "The regions of Grad-CAM with the detail of Guided Backprop"
    url = "https://arxiv.org/abs/1610.02391"
    requirements = ("gradients", "feature_maps", "relu")
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import GuidedGradCam as Captum

        from netloom.explain.core.context import ScoreModule
        from netloom.explain.core.library_warnings import mute_captum

        points = context.points
        node, hooked = self.hook(context)
        values = tuple(point.value.clone().requires_grad_() for point in points)
        mute_captum()
        attributions = Captum(ScoreModule(context), hooked.identity).attribute(values, interpolate_mode="bilinear")
        image_fields = self.image_fields(context, node)
        # Captum returns an empty tensor for an input to which it cannot upsample the map.
        image_attributions = tuple(
            part if point.field in image_fields and part.shape == point.value.shape else point.value * 0
            for point, part in zip(points, attributions, strict=True)
        )
        text = f"Its detail is that of Guided Backprop. {WARNING}; rely on the regions only."
        return Result(context.to_fields(image_attributions), remarks=(Remark("caution", text),))
