"""The rules: one per class, each of which yields issues. A rule looks at one thing only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from builder.check.analysis import Context, Totals
from builder.check.issue import Issue
from builder.check.rules import data, flow, parameters, sizes, structure


class Rule(Protocol):
    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        """Every issue that this rule finds."""
        ...


RULES: tuple[Rule, ...] = (
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
    flow.SoftmaxBeforeLoss(),
    data.Fields(),
    data.Vocabulary(),
    data.ObjectiveFitsTarget(),
    data.Width(),
    sizes.Memory(),
    sizes.Trainable(),
)
