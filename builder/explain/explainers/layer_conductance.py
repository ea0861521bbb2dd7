"""Layer conductance: how much of the answer passes through each number of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from builder.explain.base import Result
from builder.explain.layered import Layered

if TYPE_CHECKING:
    from builder.explain.subject import Subject


class LayerConductance(Layered):
    """The part of Integrated Gradients that passes through each number of the node's output."""

    name = "layer_conductance"
    title = "Layer conductance"
    summary = "How much of the answer passes through each number that a layer gives"
    url = "https://arxiv.org/abs/1805.12233"
    needs = ("gradients", "smooth_path")
    adds_up = True

    max_steps: int = Field(1024, ge=1, le=4096, description="Steps are doubled up to here until the parts add up")

    def run(self, subject: Subject) -> Result:
        import torch
        from captum.attr import LayerConductance as Captum

        points = subject.points
        node, tapped = self.place(subject)
        values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
        method = Captum(subject.point_score, tapped.place)

        def attribute(steps: int) -> torch.Tensor:
            found: torch.Tensor = method.attribute(
                values, baselines=baselines, n_steps=steps, internal_batch_size=max(4, subject.rows)
            )
            return found

        return self.refined(subject, node, attribute, subject.ground, self.max_steps)
