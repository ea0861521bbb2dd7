"""Neuron conductance: the part of the score that passes through one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer.neuron_method import NeuronExplainer
from netloom.explain.core.explainer import PathExplainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


# The default number of steps.
STEPS = 64


class NeuronConductance(NeuronExplainer, PathExplainer):
    """The part of Integrated Gradients that passes through one unit of a node's output."""

    name = "neuron_conductance"
    title = "Neuron conductance"
    summary = "How much each input feature adds to the score through one neuron of a layer"
    url = "https://arxiv.org/abs/1805.12233"
    requirements = ("gradients", "smooth_path")
    is_summable = False
    explains_score = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import NeuronConductance as Captum

        points = context.points
        node, hooked = self.hook(context)
        neuron = self.selected_neuron(context, hooked)
        steps = self.n_steps or STEPS
        context.expect_rows(steps)
        attributions = Captum(context.point_score, hooked.identity).attribute(
            tuple(point.value for point in points),
            neuron,
            baselines=tuple(point.baseline for point in points),
            n_steps=steps,
            internal_batch_size=context.rows,
        )
        text = f"This is what passes through neuron {', '.join(map(str, neuron))} of {node.title}, not the whole score."
        return Result(context.to_fields(attributions), steps, remarks=(Remark("caution", text),))
