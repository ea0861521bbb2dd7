"""Guided backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.explain.base import Explainer, Result
from builder.explain.explanation import Remark

if TYPE_CHECKING:
    from builder.explain.subject import Subject

WARNING = "It mostly redraws the edges of what came in and hardly depends on what the network learned"


class GuidedBackprop(Explainer):
    """The gradient, of which each ReLU lets pass only what speaks for the answer and where it was active."""

    name = "guided_backprop"
    title = "Guided Backprop"
    summary = "Sharp pictures of what excites the network; known to redraw edges rather than to explain"
    url = "https://arxiv.org/abs/1412.6806"
    needs = ("gradients", "relu")
    sums = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import GuidedBackprop as Captum

        from builder.explain.alone import alone
        from builder.explain.subject import Scalar

        values = tuple(point.value.clone().requires_grad_() for point in subject.points)
        with alone(subject.seed):
            found = Captum(Scalar(subject)).attribute(values)
        text = f"{WARNING} (Adebayo and others 2018), so do not take it as a reason."
        return Result(subject.fold(found), remarks=(Remark("caution", text),))
