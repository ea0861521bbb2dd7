"""Internal influence: how the answer reacts to each number of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer_method import Layered
from netloom.explain.core.explainer import Integrating, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


# Where nobody says how many.
STEPS = 64


class InternalInfluence(Layered, Integrating):
    """The mean gradient of the answer with regard to the node's output, on the way from the baseline."""

    name = "internal_influence"
    title = "Internal influence"
    summary = "The mean gradient of the score at each unit of a layer, on the path from the baseline"
    url = "https://arxiv.org/abs/1802.03788"
    needs = ("gradients", "smooth_path")
    sums = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import InternalInfluence as Captum

        points = subject.points
        node, tapped = self.place(subject)
        steps = self.n_steps or STEPS
        subject.expect(steps)
        found = Captum(subject.point_score, tapped.place).attribute(
            tuple(point.value for point in points),
            baselines=tuple(point.baseline for point in points),
            n_steps=steps,
            internal_batch_size=max(4, subject.rows),
        )
        text = "It measures how the score reacts to the units of the layer; the attributions are not meant to add up."
        return Result(
            {}, steps, nodes={node.path: found[0].detach().double().numpy()}, remarks=(Remark("caution", text),)
        )
