"""What an import gives: an editable document, the weights that belong to it, and what could not be taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.graph import Project

if TYPE_CHECKING:
    import torch

# What is said where equal tensors of a file are taken to be equal by chance, as fresh ones are.
UNTIED = "Some layers of repeated blocks hold equal weights in the file; here each has weights of its own."


class Unreadable(ValueError):  # noqa: N818  (that is what the file is)
    """The file cannot be imported; the message is one sentence that says what, where and how to mend it."""


@dataclass(frozen=True)
class Imported:
    """A document, its weights by the names of `module(project).state_dict()`, and remarks on what was left out."""

    project: Project
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
