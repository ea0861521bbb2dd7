"""Guided backpropagation."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.gradient.modified_relu import ModifiedReLUExplainer


class GuidedBackprop(ModifiedReLUExplainer):
    """The gradient, where each ReLU passes only positive values back, and only where it was active."""

    name = "guided_backprop"
    title = "Guided Backprop"
    summary = "The gradient with negative values removed at each ReLU; sharp, but known to redraw edges"
    url = "https://arxiv.org/abs/1412.6806"
    critique = "Adebayo and others 2018"

    def captum_class(self) -> type[Any]:
        from captum.attr import GuidedBackprop as Captum

        method: type[Any] = Captum
        return method
