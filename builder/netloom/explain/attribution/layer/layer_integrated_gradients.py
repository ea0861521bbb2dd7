"""Integrated Gradients with respect to the output of a layer."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.layer.layer_method import LayerPathExplainer


class LayerIntegratedGradients(LayerPathExplainer):
    """Integrated Gradients on the straight path from a layer's output for the baseline to its output for the example.

    The paper defines the path between inputs; the layers before the node are not integrated over.
    """

    name = "layer_integrated_gradients"
    title = "Layer Integrated Gradients"
    summary = "Integrated Gradients of the units of a layer, from their baseline values; complete"
    url = "https://arxiv.org/abs/1703.01365"

    def captum_class(self) -> type[Any]:
        from captum.attr import LayerIntegratedGradients as Captum

        method: type[Any] = Captum
        return method
