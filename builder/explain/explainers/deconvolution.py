"""Deconvolution: backwards through the layers, with the ReLU of the way forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.explain.base import Explainer, Result
from builder.explain.explainers.guided_backprop import WARNING
from builder.explain.explanation import Remark

if TYPE_CHECKING:
    from builder.explain.subject import Subject


class Deconvolution(Explainer):
    """The gradient, of which each ReLU lets pass only what speaks for the answer, wherever it was active."""

    name = "deconvolution"
    title = "Deconvolution"
    summary = "What in the input would excite the answer; known to depend little on what was learned"
    url = "https://arxiv.org/abs/1311.2901"
    needs = ("gradients", "relu")
    sums = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import Deconvolution as Captum

        from builder.explain.alone import alone
        from builder.explain.subject import Scalar

        values = tuple(point.value.clone().requires_grad_() for point in subject.points)
        with alone(subject.seed):
            found = Captum(Scalar(subject)).attribute(values)
        text = f"{WARNING} (Nie and others 2018), so do not take it as a reason."
        return Result(subject.fold(found), remarks=(Remark("caution", text),))
