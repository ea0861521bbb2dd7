"""Layer-wise relevance propagation (LRP) through a chain of layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from netloom.core.captum_internals import epsilon_rule
from netloom.explain.core.context import InterpretableEmbedding, ScoreModule
from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark
from netloom.explain.core.targets import quantity_of

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

# Captum passes relevance through these layers unchanged; all others need a rule.
PASS_THROUGH = (nn.ReLU, nn.Tanh, nn.Dropout)


class Relevance(Explainer):
    """LRP with the ε rule: each layer distributes its relevance in proportion to the contribution of each input.

    All layers use the same rule, with Captum's ε of 1e-9. In networks of linear layers and ReLU, the result therefore
    equals Input × Gradient up to rounding (Ancona et al. 2018, https://arxiv.org/abs/1711.06104).
    """

    name = "lrp"
    title = "Layer-wise relevance (LRP)"
    summary = "Propagates the score back layer by layer, in proportion to each contribution; for chains of layers"
    url = "https://doi.org/10.1371/journal.pone.0130140"
    requirements = ("gradients", "relevance")
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import LRP

        from netloom.explain.core.library_warnings import mute_captum

        std = 1.0
        # Installs the embedding entry points, which the loops below need
        scalar = ScoreModule(context)
        if quantity_of(context.target).in_data_units:
            # LRP starts from the output of the network; the units of the data are applied to the result.
            std = context.data.fitted_numbers.std[context.target.index]
            # The quantity "class" is the plain output at the index, without the units.
            context.target = replace(context.target, kind="class")
        for module in context.model.modules():
            if not list(module.children()) and not isinstance(module, (InterpretableEmbedding, *PASS_THROUGH)):
                module.rule = epsilon_rule()
        values = tuple(point.value.clone().requires_grad_() for point in context.points)
        mute_captum()
        relevances = LRP(scalar).attribute(values)
        with torch.no_grad():
            score = std * float(context.point_score(*values))
        parts = context.to_fields(tuple(std * value for value in relevances))
        total = float(sum(np.sum(value) for value in parts.values()))
        text = f"The relevances sum to {total:+.3g} of the score {score:+.3g}; biases absorb the rest."
        return Result(parts, remarks=(Remark("good", text),))
