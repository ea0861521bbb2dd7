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
from netloom.explain.core.groups import Groups

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

# Both are compared over so many groups of neighbors; with fewer than the least, ranks agree by chance.
GROUPS, FEWEST = 25, 4
STEPS = 16
GRADIENT_METHOD = "integrated_gradients"


def cross_check(explainer: Explainer, subject: Subject, attributions: dict[str, np.ndarray]) -> CrossCheck | None:
    """Compare with what taking away each group alone does, or, for methods that do just that, with Integrated
    Gradients from the same baseline. None where no other method fits, or there are too few groups to be ranked.

    Ranks are those of the signed parts, or of their sizes where the method has no signs.
    """
    parts = Groups(subject, GROUPS)
    if parts.count < FEWEST or set(attributions) != set(parts.labels):
        return None
    covering = explainer.group == PERTURBATION
    if covering and registry()[GRADIENT_METHOD].obstacle(subject.project, subject.model):
        return None
    own = _summed(parts, attributions, signed=explainer.signed)
    other = _by_gradients(subject, parts) if covering else _taken_away(parts)
    agreement = spearman(own, other if explainer.signed else np.abs(other))
    if agreement is None:
        return None
    title = registry()[GRADIENT_METHOD if covering else "feature_ablation"].title
    return CrossCheck(title, agreement, parts.count)


def _summed(parts: Groups, attributions: dict[str, np.ndarray], *, signed: bool) -> np.ndarray:
    found = np.zeros(parts.count)
    for name, labels in parts.labels.items():
        values = attributions[name] if signed else np.abs(attributions[name])
        np.add.at(found, labels[labels >= 0], values[labels >= 0])
    return found


def _taken_away(parts: Groups) -> np.ndarray:
    """F(x) − F(x without the group), (groups,)."""
    there = torch.cat([parts.everything, 1 - torch.eye(parts.count)])
    parts.subject.expect(len(there))
    answers = parts.score(there).double().numpy()
    return np.asarray(answers[0] - answers[1:])


def _by_gradients(subject: Subject, parts: Groups) -> np.ndarray:
    method = registry()[GRADIENT_METHOD].model_validate({"n_steps": STEPS, "baseline": subject.asked})
    return _summed(parts, method.run(subject).attributions, signed=True)
