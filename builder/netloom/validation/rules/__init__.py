"""The rules: one per class, each of which yields issues. A rule looks at one thing only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from netloom.validation.context import Context, Totals
from netloom.validation.issue import Issue
from netloom.validation.rules import (
    adversarial,
    augmentation,
    code,
    data,
    flow,
    networks,
    parameters,
    sizes,
    structure,
    tasks,
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
    tasks.KnownTask(),
    tasks.Problems(),  # before the outputs, which may be wrong only because the data does not fit
    tasks.Outputs(),
    adversarial.Adversarial(),
    augmentation.Augmenting(),
    sizes.Memory(),
    sizes.Repeated(),
    sizes.Trainable(),
)
