"""Places inside a network at which values can be read and replaced."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from netloom.explain.core.context import Subject
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.nodes import InnerNode, port


class Tapped(nn.Module):
    """A module whose output of one port goes through a `place` of its own; `seen` is what went through last."""

    def __init__(self, inner: nn.Module, port: int) -> None:
        super().__init__()
        self.inner, self.place, self.port = inner, nn.Identity(), port
        self.seen: torch.Tensor | None = None
        self.subject: Subject | None = None

    def forward(self, *values: torch.Tensor) -> Any:
        found = self.inner(*values)
        if not isinstance(found, tuple):
            self.seen = self.place(self.reached(found))
            return self.seen
        self.seen = self.place(self.reached(found[self.port]))
        return (*found[: self.port], self.seen, *found[self.port + 1 :])

    def reached(self, found: torch.Tensor) -> torch.Tensor:
        """The same; with a `subject`, so that a field that does not lead here gets the gradient 0 and no refusal."""
        idle = self.subject.idle if self.subject is not None else None
        if idle is None or len(idle) != len(found):
            return found
        return found + idle.view(-1, *[1] * (found.ndim - 1))


def tap(subject: Subject, node: InnerNode) -> Tapped:
    """Put a tap behind a node of the subject's own copy.

    Raises:
        ExplainError: the node gives whole numbers, which have no gradient.
    """
    owner, _, leaf = node.path.rpartition(".")
    tapped = Tapped(subject.model.get_submodule(node.path), port(subject.project, node))
    setattr(subject.model.get_submodule(owner) if owner else subject.model, leaf, tapped)
    with torch.no_grad():
        subject.forward(subject.inputs)
    if tapped.seen is None or not tapped.seen.is_floating_point():
        raise ExplainError(f"{node.title} gives whole numbers, which have no gradient; choose another node.")
    return tapped


def leads(subject: Subject, tapped: Tapped) -> bool:
    """Whether F depends on what goes through the tap, and that on the example."""
    values = tuple(point.value.clone().requires_grad_() for point in subject.points)
    score = subject.point_score(*values).sum()
    if tapped.seen is None or not tapped.seen.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(score, tapped.seen, allow_unused=True)
    return gradient is not None
