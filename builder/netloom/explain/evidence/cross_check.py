"""Whether a method of another kind says the same of an example.

Two that contradict each other cannot both be believed, however faithful each looks by itself: Krishna and others 2022,
https://arxiv.org/abs/2202.01602.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from netloom.explain.attention.rollout import spearman
from netloom.explain.core.explainer import PERTURBATION, Explainer, registry
from netloom.explain.core.explanation import CrossCheck
from netloom.explain.core.groups import FeatureGroups

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

# Both are compared over so many groups of neighbors; with fewer than the least, ranks agree by chance.
GROUPS, FEWEST = 25, 4
STEPS = 16
GRADIENT_METHOD = "integrated_gradients"


def cross_check(
    explainer: Explainer, context: ExplanationContext, attributions: dict[str, np.ndarray]
) -> CrossCheck | None:
    """Compare with what taking away each group alone does, or, for methods that do just that, with Integrated
    Gradients from the same baseline. None where no other method fits, or there are too few groups to be ranked.

    Ranks are those of the signed parts, or of their sizes where the method has no signs.
    """
    groups = FeatureGroups(context, GROUPS)
    if groups.count < FEWEST or set(attributions) != set(groups.labels):
        return None
    is_perturbation = explainer.group == PERTURBATION
    if is_perturbation and registry()[GRADIENT_METHOD].unavailable_reason(context.project, context.model):
        return None
    sums = _sum_by_group(groups, attributions, signed=explainer.signed)
    other_sums = _gradient_sums(context, groups) if is_perturbation else _ablation_effects(groups)
    agreement = spearman(sums, other_sums if explainer.signed else np.abs(other_sums))
    if agreement is None:
        return None
    title = registry()[GRADIENT_METHOD if is_perturbation else "feature_ablation"].title
    return CrossCheck(title, agreement, groups.count)


def _sum_by_group(groups: FeatureGroups, attributions: dict[str, np.ndarray], *, signed: bool) -> np.ndarray:
    sums = np.zeros(groups.count)
    for name, labels in groups.labels.items():
        values = attributions[name] if signed else np.abs(attributions[name])
        np.add.at(sums, labels[labels >= 0], values[labels >= 0])
    return sums


def _ablation_effects(groups: FeatureGroups) -> np.ndarray:
    """F(x) − F(x without the group), (groups,)."""
    present = torch.cat([groups.all_present, 1 - torch.eye(groups.count)])
    groups.context.expect_rows(len(present))
    scores = groups.score(present).double().numpy()
    return np.asarray(scores[0] - scores[1:])


def _gradient_sums(context: ExplanationContext, groups: FeatureGroups) -> np.ndarray:
    method = registry()[GRADIENT_METHOD].model_validate({"n_steps": STEPS, "baseline": context.baseline_choice})
    return _sum_by_group(groups, method.run(context).attributions, signed=True)
