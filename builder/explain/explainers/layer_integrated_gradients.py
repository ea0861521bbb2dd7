"""Integrated Gradients from a layer on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from builder.explain.base import Result
from builder.explain.layered import Layered

if TYPE_CHECKING:
    from builder.explain.subject import Subject


class LayerIntegratedGradients(Layered):
    """The gradients on the straight way from what the node gives for the baseline to what it gives for the example."""

    name = "layer_integrated_gradients"
    title = "Layer Integrated Gradients"
    summary = "How much each number that a layer gives adds to the answer, beginning at that layer"
    url = "https://arxiv.org/abs/1703.01365"
    needs = ("gradients", "smooth_path")
    adds_up = True

    max_steps: int = Field(1024, ge=1, le=4096, description="Steps are doubled up to here until the parts add up")

    def run(self, subject: Subject) -> Result:
        import torch
        from captum.attr import LayerIntegratedGradients as Captum

        points = subject.points
        node, tapped = self.place(subject)
        values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
        method = Captum(subject.point_score, tapped.place)

        def attribute(steps: int) -> torch.Tensor:
            found = method.attribute(
                values, baselines=baselines, n_steps=steps, internal_batch_size=max(4, subject.rows)
            )
            first: torch.Tensor = found[0] if isinstance(found, tuple) else found
            return first

        found = self.refined(subject, node, attribute, subject.ground, self.max_steps)
        return found
