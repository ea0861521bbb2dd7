"""DeepLiftSHAP: DeepLift against many rows of the training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from builder.explain.base import GAMES, Explainer, Result

if TYPE_CHECKING:
    from builder.explain.subject import Subject


class DeepLiftShap(Explainer):
    """The mean of DeepLift against several baselines."""

    name = "deep_lift_shap"
    title = "DeepLiftSHAP"
    summary = "What sets this example apart from others of the training data, by DeepLift"
    url = "https://arxiv.org/abs/1705.07874"
    group = GAMES
    needs = ("gradients", "rescaled")
    adds_up = True

    references: int = Field(16, ge=2, le=512, description="How many rows of the training split stand for nothing")

    def run(self, subject: Subject) -> Result:
        import torch
        from captum.attr import DeepLift as Captum

        from builder.explain.alone import alone
        from builder.explain.subject import Scalar

        values, grounds = tuple(point.value for point in subject.points), subject.references(self.references)
        ground = float(subject.scores_of(grounds).double().mean())
        method, count = Captum(Scalar(subject)), len(grounds[0])
        total = tuple(torch.zeros_like(value) for value in values)
        # As Captum's DeepLiftShap, but a few baselines at a time.
        with alone(subject.seed):
            for part in zip(*(torch.split(rows, max(1, subject.rows // 2)) for rows in grounds), strict=True):
                given = tuple(value.repeat(len(part[0]), *[1] * (value.ndim - 1)).requires_grad_() for value in values)
                found = method.attribute(given, baselines=part)
                total = tuple(
                    sums + rows.detach().sum(0, keepdim=True) for sums, rows in zip(total, found, strict=True)
                )
        return Result(subject.fold(tuple(sums / count for sums in total)), ground=ground)
