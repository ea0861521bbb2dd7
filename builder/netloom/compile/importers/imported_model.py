"""What an import gives: an editable document, the weights that belong to it, and what could not be taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.document import Moments, Preparation, Project

if TYPE_CHECKING:
    import torch

# What is said where equal tensors of a file are taken to be equal by chance, as fresh ones are.
UNTIED = "Some layers of repeated blocks share weights in the file; after the import, each layer has its own weights."


# What is said of a file that holds a network as it answers: nothing in it tells what was done in training alone.
EVALUATION = (
    "The file contains the network in evaluation mode. Parts that are active only in training, such as dropout "
    "inside attention, sampling and auxiliary outputs, are not in the file: add them before you train further."
)
ONNX = (
    "An ONNX file contains the network in evaluation mode: dropout and other parts that are active only in training "
    "are missing, and position embeddings may be cut to the exported length. Add what you need before you train "
    "further."
)


@dataclass(frozen=True)
class TrainingFacts:
    """What is known of a module besides its program: how it works while it is trained.

    `attention` holds the dropout of each `scaled_dot_product_attention` in the order of the program, `modules` that of
    each nn.MultiheadAttention by its path; `remarks` say what has no place in a document.
    """

    attention: tuple[float, ...] = ()
    modules: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Unreadable(ValueError):  # noqa: N818  (that is what the file is)
    """The file cannot be imported; the message is one sentence that says what, where and how to mend it."""


@dataclass(frozen=True)
class Imported:
    """A document, its weights by the names of `module(project).state_dict()`, and remarks on what was left out.

    `prepare` is how the file says that inputs are prepared, where it says so.
    """

    project: Project
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    prepare: Preparation | Moments | None = None
