"""Whether an explanation depends on what the network learned: the same with shuffled weights.

After Adebayo and others 2018, https://arxiv.org/abs/1810.03292
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from netloom.explain.attention.rollout import spearman
from netloom.explain.core.context import Subject
from netloom.explain.core.explanation import Randomised
from netloom.explain.evidence.faithfulness import parts_of

if TYPE_CHECKING:
    from netloom.explain.core.explainer import Explainer, Result

PASSES = 0.2


def shuffled(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose parameters hold the same numbers in another order, so that their scale stays."""
    copy, generator = deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copy.parameters():
            flat = parameter.flatten()
            parameter.copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(parameter))
    return copy


def randomised(
    explainer: Explainer, subject: Subject, model: nn.Module, result: Result, *, draws: int = 5
) -> Randomised | None:
    """Compare the parts with those of networks that have forgotten; None where there are too few parts to rank.

    `subject` is the explained one, `model` the network as it was before a method changed its copy.
    """
    own = _parts(subject, result, signed=explainer.signed)
    found = []
    for draw in range(draws):
        other = subject.on(shuffled(model, subject.seed + draw + 1))
        parts = _parts(other, explainer.run(other), signed=explainer.signed)
        agreement = spearman(own, parts) if len(own) > 2 else None
        found.append(agreement if agreement is not None else 0.0)
    if len(own) <= 2 or not np.ptp(own) > 0:
        return None
    mean = float(np.mean(found))
    return Randomised(mean, draws, mean <= PASSES)


def _parts(subject: Subject, result: Result, *, signed: bool) -> np.ndarray:
    """What is ranked: the parts that differ from the baseline, as the others are nothing for every network."""
    if not result.attributions:
        return np.concatenate([value.ravel() for value in result.nodes.values()]) if result.nodes else np.zeros(0)
    differs = {
        name: (subject.inputs[name] != subject.baseline[name])[0].double().numpy() for name in result.attributions
    }
    kept = parts_of(subject, differs, signed=True) > 0
    found: np.ndarray = parts_of(subject, result.attributions, signed=signed)[kept]
    return found
