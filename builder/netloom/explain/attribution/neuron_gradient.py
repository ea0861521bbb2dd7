"""The gradient of one number within the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.neuron_method import OfNeuron
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class NeuronGradient(OfNeuron):
    """∂n/∂x of one number n of a node's output."""

    name = "neuron_gradient"
    title = "Neuron gradient"
    summary = "The gradient of one neuron of a layer with respect to the input"
    url = "https://captum.ai/api/neuron.html#neuron-gradient"
    needs = ("gradients",)
    sums = False
    of_answer = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import NeuronGradient as Captum

        points = subject.points
        node, tapped = self.place(subject)
        neuron = self.chosen(subject, tapped)
        values = tuple(point.value.clone().requires_grad_() for point in points)
        found = Captum(subject.point_score, tapped.place).attribute(values, neuron)
        text = f"This explains neuron {', '.join(map(str, neuron))} of {node.title}, not the prediction."
        return Result(subject.fold(found), remarks=(Remark("caution", text),))
