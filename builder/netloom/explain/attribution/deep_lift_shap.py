"""DeepLiftSHAP: DeepLift against many rows of the training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Explainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class DeepLiftShap(Explainer):
    """The mean of DeepLift against several baselines."""

    name = "deep_lift_shap"
    title = "DeepLiftSHAP"
    summary = "DeepLift averaged over training rows as baselines, which approximates Shapley values; complete"
    url = "https://arxiv.org/abs/1705.07874"
    group = SHAPLEY
    needs = ("gradients", "rescaled")
    adds_up = True

    references: int = Field(64, ge=2, le=512, description="Number of training rows used as baselines")

    def run(self, subject: Subject) -> Result:
        import torch
        from captum.attr import DeepLift as Captum

        from netloom.explain.core.context import Scalar
        from netloom.explain.core.library_warnings import mute_captum
        from netloom.explain.core.sampling import repeated, shares_of

        values, grounds = tuple(point.value for point in subject.points), subject.references(self.references)
        ground = float(subject.scores_of(grounds).double().mean())
        mute_captum()
        method, shares = Captum(Scalar(subject)), shares_of(len(grounds[0]))
        estimates = []
        # As Captum's DeepLiftShap, but a few baselines at a time.
        for share in shares:
            total = tuple(torch.zeros_like(value) for value in values)
            own = tuple(rows[share] for rows in grounds)
            for part in zip(*(torch.split(rows, max(1, subject.rows // 2)) for rows in own), strict=True):
                given = tuple(value.repeat(len(part[0]), *[1] * (value.ndim - 1)).requires_grad_() for value in values)
                found = method.attribute(given, baselines=part)
                total = tuple(
                    sums + rows.detach().sum(0, keepdim=True) for sums, rows in zip(total, found, strict=True)
                )
            estimates.append(subject.fold(tuple(sums / len(share) for sums in total)))
        repeats, parts = repeated(estimates, [len(share) for share in shares])
        return Result(parts, ground=ground, compared=f"{len(grounds[0])} training rows", repeats=repeats)
