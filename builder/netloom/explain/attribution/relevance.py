"""Layer-wise relevance propagation through a chain of layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from netloom.explain.core.context import Entry, Scalar
from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark
from netloom.explain.core.targets import quantity_of

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

# Captum hands relevance through these unchanged; each other layer needs the rule below.
UNCHANGED = (nn.ReLU, nn.Tanh, nn.Dropout)


class Relevance(Explainer):
    """The ε rule: each layer hands its relevance on in proportion to what each of its inputs gave it."""

    name = "lrp"
    title = "Layer-wise relevance (LRP)"
    summary = "Propagates the score back layer by layer, in proportion to each contribution; for chains of layers"
    url = "https://doi.org/10.1371/journal.pone.0130140"
    needs = ("gradients", "relevance")
    sums = False

    def run(self, subject: Subject) -> Result:
        from captum.attr import LRP
        from captum.attr._utils.lrp_rules import EpsilonRule

        from netloom.explain.core.library_warnings import mute_captum

        spread = 1.0
        scalar = Scalar(subject)
        if quantity_of(subject.target).in_data_units:
            # The rule starts from the network's own number; the data's units are put on at the end.
            spread = subject.data.fitted_numbers.std[subject.target.index]
            subject.target = replace(subject.target, kind="class")
        for entry in subject.entries.values():
            entry.embedding = nn.Identity()
        for module in subject.model.modules():
            if not list(module.children()) and not isinstance(module, (Entry, *UNCHANGED)):
                module.rule = EpsilonRule()
        values = tuple(point.value.clone().requires_grad_() for point in subject.points)
        mute_captum()
        found = LRP(scalar).attribute(values)
        with torch.no_grad():
            answer = spread * float(subject.point_score(*values))
        parts = subject.fold(tuple(spread * value for value in found))
        total = float(sum(np.sum(value) for value in parts.values()))
        text = f"The relevances sum to {total:+.3g} of the score {answer:+.3g}; biases absorb the rest."
        return Result(parts, remarks=(Remark("good", text),))
