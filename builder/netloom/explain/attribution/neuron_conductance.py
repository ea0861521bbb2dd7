"""What reaches the answer through one number within the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.neuron_method import OfNeuron
from netloom.explain.core.explainer import Integrating, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


# Where nobody says how many.
STEPS = 64


class NeuronConductance(OfNeuron, Integrating):
    """The part of Integrated Gradients that passes through one number of a node's output."""

    name = "neuron_conductance"
    title = "Neuron conductance"
    summary = "How much each input feature adds to the score through one neuron of a layer"
    url = "https://arxiv.org/abs/1805.12233"
    needs = ("gradients", "smooth_path")
    sums = False
    of_answer = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import NeuronConductance as Captum

        points = subject.points
        node, tapped = self.place(subject)
        neuron = self.chosen(subject, tapped)
        steps = self.n_steps or STEPS
        subject.expect(steps)
        found = Captum(subject.point_score, tapped.place).attribute(
            tuple(point.value for point in points),
            neuron,
            baselines=tuple(point.baseline for point in points),
            n_steps=steps,
            internal_batch_size=max(4, subject.rows),
        )
        text = f"This is what passes through neuron {', '.join(map(str, neuron))} of {node.title}, not the whole score."
        return Result(subject.fold(found), steps, remarks=(Remark("caution", text),))
