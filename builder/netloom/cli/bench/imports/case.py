"""A public model to import, and the result of its import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

    from netloom.compile.importers import ImportedModel

# "remarked": equal outputs and another number of parameters, for a reason that the import names
State = Literal["reproduced", "remarked", "refused", "wrong", "not exported"]


@dataclass(frozen=True)
class Reference:
    """What an imported model must reproduce: the outputs on some inputs, and the number of its trained parameters.

    `parameters` is None if the source does not say which of its numbers are trained, as an ONNX file.
    """

    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]
    parameters: int | None = None


@dataclass(frozen=True)
class ImportCase:
    """A model by name. `load` imports it, and raises UnreadableModelError or ExportError."""

    name: str
    load: Callable[[], tuple[ImportedModel, Reference]]


@dataclass(frozen=True)
class ImportSuite:
    """Models of one source, with the share of them that must be reproduced; `package` is the package that has them."""

    name: str
    title: str
    package: str
    promised: float
    cases: Callable[[], Sequence[ImportCase]]


class NotExportedError(Exception):
    """PyTorch itself cannot export the model, so that there is no file to import."""


@dataclass(frozen=True)
class Outcome:
    """The result for one model.

    Attributes:
        reason: why it is not reproduced.
        difference: the largest difference of an output, relative to the largest value of that output.
    """

    suite: str
    name: str
    state: State
    reason: str = ""
    difference: float = 0.0
    seconds: float = 0.0
