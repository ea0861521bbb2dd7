"""The rules: one per class, each of which yields issues. A rule looks at one thing only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from builder.check.context import Context, Totals
from builder.check.issue import Issue
from builder.check.rules import (
    adversarial,
    agents,
    augmenting,
    code,
    data,
    flow,
    networks,
    objectives,
    parameters,
    sizes,
    structure,
)


class Rule(Protocol):
    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        """Every issue that this rule finds."""
        ...


# What holds in every network.
RULES_INSIDE: tuple[Rule, ...] = (
    parameters.KnownLayer(),
    parameters.Parameters(),
    structure.Empty(),
    structure.Acyclic(),
    structure.Ports(),
    structure.Inputs(),
    structure.Ends(),
    structure.OutputNames(),
    structure.Reachable(),
    flow.Kinds(),
    flow.Shapes(),
    networks.KnownNetwork(),
    networks.NotInItself(),
    networks.Inside(),
    networks.Sharing(),
    code.OwnCode(),
    data.Vocabulary(),
)
# And what the main one, which is trained, needs besides.
RULES: tuple[Rule, ...] = (
    *RULES_INSIDE,
    flow.OutputScales(),
    data.Fields(),
    data.ObjectiveFitsTarget(),
    data.Width(),
    adversarial.Adversarial(),
    agents.Agents(),
    objectives.TwoClasses(),
    objectives.SeveralOutputs(),
    objectives.Embeddings(),
    objectives.Ranking(),
    objectives.Distillation(),
    augmenting.Augmenting(),
    sizes.Memory(),
    sizes.Repeated(),
    sizes.Trainable(),
)
