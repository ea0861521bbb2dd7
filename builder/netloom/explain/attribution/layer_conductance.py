"""Layer conductance: how much of the answer passes through each number of a node."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.layer_method import Integral


class LayerConductance(Integral):
    """The part of Integrated Gradients that passes through each number of the node's output."""

    name = "layer_conductance"
    title = "Layer conductance"
    summary = "How much of the score passes through each unit of a layer; complete"
    url = "https://arxiv.org/abs/1805.12233"

    def integral(self) -> type[Any]:
        from captum.attr import LayerConductance as Captum

        found: type[Any] = Captum
        return found
