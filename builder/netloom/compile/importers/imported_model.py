"""The result of an import: an editable document, its weights, and remarks on what could not be imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from netloom.core.text import plain
from netloom.document import ImageNormalization, Preparation, Project

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

# The remark if equal tensors in a file are assumed to be equal by chance, as newly initialized ones are
UNTIED = "Some layers of repeated blocks share weights in the file; after the import, each layer has its own weights."


# The remarks on files with a network in evaluation mode, which contain nothing that is active only in training.
EVALUATION = (
    "The file contains the network in evaluation mode. Parts that are active only in training, such as dropout "
    "inside attention, sampling and auxiliary outputs, are not in the file: add them before you train further."
)
ONNX_EVALUATION = (
    "An ONNX file contains the network in evaluation mode: dropout and other parts that are active only in training "
    "are missing, and position embeddings may be cut to the exported length. Add what you need before you train "
    "further."
)
# The remark on numbers that are added or multiplied in an ONNX file, which may be a parameter or a constant
ONNX_FIXED = (
    "ONNX does not say whether its numbers are trained or fixed; after the import, they are trained. Freeze the layer "
    "if they are fixed, such as angles, a bias of distances or a matrix of ones."
)


def quoted(text: object) -> str:
    """A name from a file for messages: quoted, on one line, and shortened to 60 characters."""
    return f"“{plain(str(text)[:200])[:60]}”"


@dataclass(frozen=True)
class TrainingFacts:
    """The behavior of a module in training mode, which its exported program does not contain.

    `attention` lists the dropout rates of all `scaled_dot_product_attention` calls in the order of the program;
    `modules` maps the path of each nn.MultiheadAttention to its rate. `remarks` say what a document cannot express.
    """

    attention: tuple[float, ...] = ()
    modules: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class UnreadableModelError(ValueError):
    """The file cannot be imported; the message is a sentence that says what is wrong, where, and how to fix it."""


class TimeFirstError(UnreadableModelError):
    """A recurrent layer has the batch at another axis, as its sequence (T, N, D) has the steps first."""


def with_batch_axis(convert: Callable[[bool], T], *, can_be_time_first: Callable[[], bool]) -> T:
    """Convert a file with the batch as the first axis of its inputs, or if that fails, as the second.

    A sequence (T, N, D) does not say which axis is the batch, and with the first one, layers mix examples. `convert`
    receives whether the second axis is the batch, which is only tried if the file can have steps first.

    Raises:
        UnreadableModelError: Neither succeeds.
    """
    try:
        return convert(False)
    except UnreadableModelError as error:
        if not can_be_time_first():
            raise
        try:
            return convert(True)
        except UnreadableModelError as second_error:
            raise (second_error if isinstance(error, TimeFirstError) else error) from None


@dataclass(frozen=True)
class ImportedModel:
    """A document, its weights by the names of `module(project).state_dict()`, and remarks on what was left out.

    `prepare` is the preparation of inputs that the file defines, if any.
    """

    project: Project
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    prepare: Preparation | ImageNormalization | None = None
