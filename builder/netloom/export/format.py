"""What an export format is: a class that turns a trained network into bytes. A new file in `exporters/` joins in."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from netloom.core.registry import discover
from netloom.document import write_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.document import Project
    from netloom.training import Objective


Batch = tuple["torch.Tensor", ...]
GENERATOR = "The file holds the generator; the discriminator is there for training alone."


class ExportError(ValueError):
    """What was asked for cannot be exported; the message is one sentence."""


class Trained(Protocol):
    """What is needed of a trained network."""

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
    def decoding(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Report:
    """A file that was written; `part` is what it holds of the network, where that is not the whole.

    `difference` is the largest between its answers and the app's (see `export.verification`), and `tolerance` the
    largest that is handed out; both are None where the format holds no network that answers.
    """

    path: Path
    difference: float | None
    tolerance: float | None
    part: str = ""

    def verdict(self) -> str:
        """What was found, in words."""
        return f"{self.part} {self._compared()}".lstrip()

    def _compared(self) -> str:
        if self.difference is None or self.tolerance is None:
            return "It holds no weights, so there are no answers to compare."
        if self.difference == 0:
            return "Loaded again, it gives the app's answers to the last bit."
        found, allowed = f"{self.difference:.1e}", f"{self.tolerance:g}"
        return f"Loaded again, its answers differ from the app's by at most {found}; {allowed} is allowed."


class Format(ABC):
    """One way to take a trained network away. Equal networks give equal bytes.

    A `tolerance` says that the file holds a network, and how far its answers may be from the app's. Before people get
    such a file, `answers` loads it again and both are compared.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    suffix: ClassVar[str]
    media_type: ClassVar[str]
    tolerance: ClassVar[float | None] = None

    @abstractmethod
    def content(self, trained: Trained) -> bytes:
        """The file.

        Raises:
            ExportError: this network cannot be written in this format.
        """

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        """What the network in the file answers to each batch of inputs, which are in the order of its arguments."""
        raise NotImplementedError


@cache
def registry() -> dict[str, Format]:
    """All formats by name."""
    kinds = discover(Format, "netloom.export.formats", order=lambda kind: kind.name)
    return {name: kind() for name, kind in kinds.items()}


def export_formats() -> list[Format]:
    """All formats, with their titles and summaries."""
    return list(registry().values())


def content(trained: Trained, name: str) -> bytes:
    """A trained network in a format, as the bytes of one file that was found to give the app's answers.

    Raises:
        ExportError: there is no such format, it cannot hold this network, or its answers differ from the app's.
    """
    return _made(trained, _format(name))[0]


def export(trained: Trained, name: str, path: str | Path) -> Report:
    """Write a trained network in a format to `path`, or into the folder `path` under its own name.

    Nothing is written where the file does not give the app's answers.

    Raises:
        ExportError: there is no such format or folder, it cannot hold this network, or its answers differ.
    """
    kind, path = _format(name), destination(trained, name, path)
    if not path.parent.is_dir():
        raise ExportError(f"There is no folder {str(path.parent)[:200]!r} to write to; make it first.")
    made, difference = _made(trained, kind)
    write_bytes(path, made)
    part = GENERATOR if kind.tolerance is not None and trained.objective.task.generates_input else ""
    return Report(path, difference, kind.tolerance, part)


def destination(trained: Trained, name: str, path: str | Path) -> Path:
    """The file that `export` writes: `path` itself, or a file named after the project where `path` is a folder."""
    path = Path(path)
    return path / filename(trained, name) if path.is_dir() else path


def _made(trained: Trained, kind: Format) -> tuple[bytes, float | None]:
    """The file, and how far its answers are from the app's."""
    from netloom.export.gan_generator import generator
    from netloom.export.verification import difference

    if kind.tolerance is not None:
        trained = generator(trained) or trained
    made = kind.content(trained)
    if kind.tolerance is None:
        return made, None
    found = difference(kind, trained, made)
    if not found <= kind.tolerance:
        raise ExportError(
            f"{kind.title}: the answers of the file differ from the app's by {found:.2g}, and at most "
            f"{kind.tolerance:g} is allowed, so it is not handed out."
        )
    return made, found


def filename(trained: Trained, name: str) -> str:
    """A file name made from the project's: plain letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", trained.project.name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60].strip("-")
    return f"{slug or 'network'}{_format(name).suffix}"


def _format(name: str) -> Format:
    found = registry().get(name)
    if found is None:
        raise ExportError(f"There is no export format {name[:60]!r}; choose one of {', '.join(registry())}.")
    return found
