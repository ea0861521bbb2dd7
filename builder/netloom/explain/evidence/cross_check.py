"""Cross-check an explanation with a method of another kind.

If two methods contradict each other, both cannot be right, however faithful each appears alone. Krishna et al. 2022,
"The disagreement problem", https://arxiv.org/abs/2202.01602
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from netloom.explain.attention.rollout import spearman
from netloom.explain.core.estimation.groups import FeatureGroups
from netloom.explain.core.explainer import PERTURBATION, Explainer, registry
from netloom.explain.core.explanation import CrossCheck

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

# The number of feature groups that are compared; with fewer than 4, ranks agree by chance.
GROUPS, FEWEST = 25, 4
STEPS = 16
GRADIENT_METHOD = "integrated_gradients"


def cross_check(
    explainer: Explainer, context: ExplanationContext, attributions: dict[str, np.ndarray]
) -> CrossCheck | None:
    """Compare attributions by field with the ablation of feature groups, or perturbation methods with Integrated
    Gradients.

    Signed attributions are ranked, or magnitudes if the method has no signs. The result is None if no other method
    supports the network or there are too few groups.
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
        # `sums[labels] += values` would count each label once.
        np.add.at(sums, labels[labels >= 0], values[labels >= 0])
    return sums


def _ablation_effects(groups: FeatureGroups) -> np.ndarray:
    """Compute F(x) − F(x without the group) for each group, (groups,)."""
    present = torch.cat([groups.all_present, 1 - torch.eye(groups.count)])
    groups.context.expect_rows(len(present))
    scores = groups.score(present).double().numpy()
    return np.asarray(scores[0] - scores[1:])


def _gradient_sums(context: ExplanationContext, groups: FeatureGroups) -> np.ndarray:
    method = registry()[GRADIENT_METHOD].model_validate({"n_steps": STEPS, "baseline": context.baseline_choice})
    return _sum_by_group(groups, method.run(context).attributions, signed=True)
