"""DeepLiftSHAP: DeepLift averaged over training rows as baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Explainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class DeepLiftShap(Explainer):
    """The mean of DeepLift over several training rows as baselines, which approximates Shapley values.

    The rescale rule holds for each of them, so the mean is complete with respect to their mean score.
    """

    name = "deep_lift_shap"
    title = "DeepLiftSHAP"
    summary = "DeepLift averaged over training rows as baselines, which approximates Shapley values; complete"
    url = "https://arxiv.org/abs/1705.07874"
    group = SHAPLEY
    requirements = ("gradients", "rescaled")
    is_complete = True

    references: int = Field(64, ge=2, le=512, description="Number of training rows used as baselines")

    def run(self, context: ExplanationContext) -> Result:
        import torch
        from captum.attr import DeepLift as Captum

        from netloom.explain.core.context import ScoreModule
        from netloom.explain.core.estimation.sampling import combine_estimates, split_rows
        from netloom.explain.core.library_warnings import mute_captum

        values, baselines = tuple(point.value for point in context.points), context.training_samples(self.references)
        baseline_score = float(context.point_scores(baselines).double().mean())
        mute_captum()
        method, shares = Captum(ScoreModule(context)), split_rows(len(baselines[0]))
        estimates = []
        # As Captum's DeepLiftShap, but in batches of baselines, which limits memory.
        for share in shares:
            total = tuple(torch.zeros_like(value) for value in values)
            share_baselines = tuple(rows[share] for rows in baselines)
            # DeepLift runs each example together with its baseline, so a batch has two rows per baseline.
            for part in zip(*(torch.split(rows, max(1, context.rows // 2)) for rows in share_baselines), strict=True):
                inputs = tuple(value.repeat(len(part[0]), *[1] * (value.ndim - 1)).requires_grad_() for value in values)
                attributions = method.attribute(inputs, baselines=part)
                total = tuple(
                    sums + rows.detach().sum(0, keepdim=True) for sums, rows in zip(total, attributions, strict=True)
                )
            estimates.append(context.to_fields(tuple(sums / len(share) for sums in total)))
        repeats, parts = combine_estimates(estimates, [len(share) for share in shares])
        return Result(
            parts, baseline_score=baseline_score, baseline=f"{len(baselines[0])} training rows", repeats=repeats
        )
