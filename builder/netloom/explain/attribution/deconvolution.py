"""Deconvolution: backwards through the layers, with the ReLU of the way forward."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.modified_relu import ModifiedReLUExplainer


class Deconvolution(ModifiedReLUExplainer):
    """The gradient, of which each ReLU lets pass only what speaks for the answer, wherever it was active."""

    name = "deconvolution"
    title = "Deconvolution"
    summary = "The gradient with ReLUs applied backward; known to depend little on the learned weights"
    url = "https://arxiv.org/abs/1311.2901"
    critique = "Nie and others 2018"

    def captum_class(self) -> type[Any]:
        from captum.attr import Deconvolution as Captum

        method: type[Any] = Captum
        return method
