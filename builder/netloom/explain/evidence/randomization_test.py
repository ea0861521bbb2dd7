"""Model randomization test: does an explanation change when the weights are shuffled?

Adebayo et al. 2018, "Sanity checks for saliency maps", https://arxiv.org/abs/1810.03292. The paper draws new weights,
layer by layer from the output; here, the values of all parameters are shuffled at once, in several networks.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from netloom.explain.attention.rollout import spearman
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.explanation import RandomizationTest
from netloom.explain.evidence.faithfulness import unit_attributions

if TYPE_CHECKING:
    from netloom.explain.core.explainer import Explainer, Result

MAX_CORRELATION = 0.2


def shuffle_weights(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy whose parameters hold the same values in random order, which preserves their scale."""
    copy, generator = deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copy.parameters():
            flat = parameter.flatten()
            parameter.copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(parameter))
    return copy


def randomization_test(
    explainer: Explainer, context: ExplanationContext, model: nn.Module, result: Result, *, draws: int = 5
) -> RandomizationTest | None:
    """Rank-correlate the attributions with those of networks with shuffled weights.

    None with fewer than three features, or with the same attribution for all of them: there is no ranking.
    `context` is the explained context, `model` the network before a method changed its copy.
    """
    original_parts = _ranked_parts(context, result, signed=explainer.signed)
    if len(original_parts) <= 2 or not np.ptp(original_parts) > 0:
        return None
    correlations = []
    for draw in range(draws):
        shuffled = context.with_model(shuffle_weights(model, context.seed + draw + 1))
        shuffled_parts = _ranked_parts(shuffled, explainer.run(shuffled), signed=explainer.signed)
        agreement = spearman(original_parts, shuffled_parts)
        # A constant explanation of the shuffled network does not agree.
        correlations.append(agreement if agreement is not None else 0.0)
    mean = float(np.mean(correlations))
    return RandomizationTest(mean, draws, mean <= MAX_CORRELATION)


def _ranked_parts(context: ExplanationContext, result: Result, *, signed: bool) -> np.ndarray:
    """Return the attributions (features,), without features that equal the baseline: they are 0 for every network."""
    if not result.attributions:
        return np.concatenate([value.ravel() for value in result.nodes.values()]) if result.nodes else np.zeros(0)
    differs = {
        name: (context.inputs[name] != context.baseline[name])[0].double().numpy() for name in result.attributions
    }
    is_different = unit_attributions(context, differs, signed=True) > 0
    parts: np.ndarray = unit_attributions(context, result.attributions, signed=signed)[is_different]
    return parts
