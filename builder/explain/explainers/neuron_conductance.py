"""What reaches the answer through one number within the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from builder.explain.base import Result
from builder.explain.explanation import Remark
from builder.explain.neuron import OfNeuron

if TYPE_CHECKING:
    from builder.explain.subject import Subject


class NeuronConductance(OfNeuron):
    """The part of Integrated Gradients that passes through one number of a node's output."""

    name = "neuron_conductance"
    title = "Neuron conductance"
    summary = "What each part of the input adds to the answer through one number of a layer"
    url = "https://arxiv.org/abs/1805.12233"
    needs = ("gradients", "smooth_path")
    sums = False
    of_answer = False

    steps: int = Field(
        64, ge=1, le=4096, description="Places on the way from the baseline at which gradients are taken"
    )

    def run(self, subject: Subject) -> Result:
        from captum.attr import NeuronConductance as Captum

        points = subject.points
        node, tapped = self.place(subject)
        neuron = self.chosen(subject, tapped)
        subject.expect(self.steps)
        found = Captum(subject.point_score, tapped.place).attribute(
            tuple(point.value for point in points),
            neuron,
            baselines=tuple(point.baseline for point in points),
            n_steps=self.steps,
            internal_batch_size=max(4, subject.rows),
        )
        text = (
            f"This is what passes through number {', '.join(map(str, neuron))} of {node.title}, not the whole answer."
        )
        return Result(subject.fold(found), self.steps, remarks=(Remark("caution", text),))
