"""DeepLift: differences from the baseline, handed back layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.core.explainer import Comparing, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class DeepLift(Comparing):
    """The rescale rule. What it does not hold for is refused, as it would be wrong without a sign of it."""

    name = "deep_lift"
    title = "DeepLift"
    summary = "Propagates the difference from the baseline back through the layers in one pass; complete"
    url = "https://arxiv.org/abs/1704.02685"
    needs = ("gradients", "rescaled")
    adds_up = True

    def run(self, subject: Subject) -> Result:
        from captum.attr import DeepLift as Captum

        from netloom.explain.core.context import Scalar
        from netloom.explain.core.library_warnings import mute_captum

        points = subject.points
        values = tuple(point.value.clone().requires_grad_() for point in points)
        mute_captum()
        found = Captum(Scalar(subject)).attribute(values, baselines=tuple(point.baseline for point in points))
        return Result(subject.fold(found), ground=subject.ground)
