"""Internal influence: the mean gradient of the score at the units of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer.layer_method import LayerExplainer
from netloom.explain.core.explainer import PathExplainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


# The default number of steps.
STEPS = 64


class InternalInfluence(LayerExplainer, PathExplainer):
    """The mean gradient of the score with respect to a node's output, on the path from the baseline to the example."""

    name = "internal_influence"
    title = "Internal influence"
    summary = "The mean gradient of the score at each unit of a layer, on the path from the baseline"
    url = "https://arxiv.org/abs/1802.03788"
    requirements = ("gradients", "smooth_path")
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import InternalInfluence as Captum

        points = context.points
        node, hooked = self.hook(context)
        steps = self.n_steps or STEPS
        context.expect_rows(steps)
        influences = Captum(context.point_score, hooked.identity).attribute(
            tuple(point.value for point in points),
            baselines=tuple(point.baseline for point in points),
            n_steps=steps,
            internal_batch_size=context.rows,
        )
        text = "It measures how the score reacts to the units of the layer; the attributions are not meant to add up."
        return Result(
            {}, steps, nodes={node.path: influences[0].detach().double().numpy()}, remarks=(Remark("caution", text),)
        )
