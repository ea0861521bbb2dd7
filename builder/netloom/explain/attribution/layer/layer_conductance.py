"""Layer conductance: the part of the score that passes through each unit of a layer."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.layer.layer_method import LayerPathExplainer


class LayerConductance(LayerPathExplainer):
    """The part of Integrated Gradients that passes through each unit of a node's output.

    Captum replaces the inner derivative of the paper by differences of the unit between the steps, so one gradient
    yields the conductance of all units (Shrikumar et al. 2018, https://arxiv.org/abs/1807.09946).
    """

    name = "layer_conductance"
    title = "Layer conductance"
    summary = "How much of the score passes through each unit of a layer; complete"
    url = "https://arxiv.org/abs/1805.12233"

    def captum_class(self) -> type[Any]:
        from captum.attr import LayerConductance as Captum

        method: type[Any] = Captum
        return method
