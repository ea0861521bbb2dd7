"""The base class of export formats, which turn a trained network into bytes. A new file in `formats/` registers
itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from netloom.core.registry import discover
from netloom.data.preparation.calibrated import Decoding
from netloom.export.zip_files import with_card

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.document import Project
    from netloom.training import Objective


Batch = tuple["torch.Tensor", ...]


class ExportError(ValueError):
    """The network cannot be exported in this format; the message is one sentence."""


class Trained(Protocol):
    """The parts of a trained network that formats need."""

    @property
    def project(self) -> Project: ...
    @property
    def source(self) -> str: ...
    @property
    def model(self) -> nn.Module: ...
    @property
    def data(self) -> Prepared: ...
    @property
    def objective(self) -> Objective: ...
    @property
    def fields(self) -> list[str]: ...
    @property
    def decoding(self) -> Decoding: ...
    @property
    def variant(self) -> str: ...


@dataclass(frozen=True)
class Report:
    """A written file. `part` is a sentence on the part of the network that it contains, or empty if it is the whole.

    `difference` is the largest difference between its outputs and those of the app (see `export.verification`), and
    `tolerance` the largest that is allowed; both are None if the format does not contain a runnable network.
    """

    path: Path
    difference: float | None
    tolerance: float | None
    part: str = ""

    def verdict(self) -> str:
        """Return the result of the comparison as a sentence."""
        return f"{self.part} {self._compared()}".lstrip()

    def _compared(self) -> str:
        if self.difference is None or self.tolerance is None:
            return "The file contains no weights, so there are no outputs to compare."
        if self.difference == 0:
            return "Verified: the outputs of the loaded file match the app's bit for bit."
        deviation, allowed = f"{self.difference:.1e}", f"{self.tolerance:g}"
        return (
            f"Verified: the outputs of the loaded file differ from the app's by at most {deviation}; "
            f"{allowed} is allowed."
        )


class Format(ABC):
    """An export format for trained networks. Equal networks give equal bytes.

    Files of a format with a `tolerance` contain a network whose outputs may differ from the app's by that much: each
    file is loaded again by `answers` and compared before it is written. With `is_folder`, the file is a zip with a
    README.md, which names the model card of the run. Without `is_universal`, it refuses some kinds of data and tasks.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    suffix: ClassVar[str]
    media_type: ClassVar[str]
    tolerance: ClassVar[float | None] = None
    is_folder: ClassVar[bool] = False
    contains: ClassVar[str] = ""  # what a zip has beside its README, where that is not clear from its name
    is_first: ClassVar[bool] = False  # whether it is offered before all others
    is_universal: ClassVar[bool] = True
    contains_onnx: ClassVar[bool] = False  # so the network can also be that of an ONNX file, such as a variant
    runtime: ClassVar[str] = ""  # the name of what runs the network, if files can include it
    runtime_help: ClassVar[str] = ""  # what including it changes

    @abstractmethod
    def content(self, trained: Trained) -> bytes:
        """Return the content of the file.

        Raises:
            ExportError: The format does not support this network.
        """

    def with_card(self, content: bytes, card: str) -> bytes:
        """Return the file with a model card as Markdown; unchanged if files of this format have no place for it."""
        return with_card(content, card) if self.is_folder else content

    def with_runtime(self, home: Path) -> Format:
        """Return this format with its runtime in each file; the data folder `home` keeps what is downloaded for it.

        Raises:
            ExportError: The format has no runtime, or it cannot be downloaded.
            OSError: The data folder cannot be written.
        """
        raise ExportError(f"A file of the format {self.name} cannot include a runtime; export it without one.")

    def runtime_unavailable_reason(self, home: Path) -> str:
        """Return why the runtime cannot be included on this machine, as a sentence; "" if it can."""
        return ""

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        """Return the outputs of the network in the file for batches of inputs, in the order of its arguments."""
        raise NotImplementedError


@cache
def registry() -> dict[str, Format]:
    """Return all formats by name."""
    kinds = discover(Format, "netloom.export.formats", order=lambda kind: kind.name)
    return {name: kind() for name, kind in kinds.items()}


def export_formats() -> list[Format]:
    """Return all formats in alphabetical order of their names."""
    return list(registry().values())
