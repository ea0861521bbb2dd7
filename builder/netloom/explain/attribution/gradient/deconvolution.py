"""Deconvolution: the gradient with ReLUs applied in the backward pass."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.gradient.modified_relu import ModifiedReLUExplainer


class Deconvolution(ModifiedReLUExplainer):
    """The gradient, where each ReLU passes only positive values back, whether or not it was active in the forward
    pass."""

    name = "deconvolution"
    title = "Deconvolution"
    summary = "The gradient with ReLUs applied backward; known to depend little on the learned weights"
    url = "https://arxiv.org/abs/1311.2901"
    critique = "Nie and others 2018"

    def captum_class(self) -> type[Any]:
        from captum.attr import Deconvolution as Captum

        method: type[Any] = Captum
        return method
