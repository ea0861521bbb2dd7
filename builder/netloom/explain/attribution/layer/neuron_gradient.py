"""Neuron gradient: the gradient of one unit with respect to the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer.neuron_method import NeuronExplainer
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class NeuronGradient(NeuronExplainer):
    """∂n/∂x of one unit n of a node's output."""

    name = "neuron_gradient"
    title = "Neuron gradient"
    summary = "The gradient of one neuron of a layer with respect to the input"
    url = "https://captum.ai/api/neuron.html#neuron-gradient"
    requirements = ("gradients",)
    is_summable = False
    explains_score = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import NeuronGradient as Captum

        points = context.points
        node, hooked = self.hook(context)
        neuron = self.selected_neuron(context, hooked)
        values = tuple(point.value.clone().requires_grad_() for point in points)
        gradients = Captum(context.point_score, hooked.identity).attribute(values, neuron)
        text = f"This explains neuron {', '.join(map(str, neuron))} of {node.title}, not the prediction."
        return Result(context.to_fields(gradients), remarks=(Remark("caution", text),))
