"""What an export format is: a class that turns a trained network into bytes. A new file in `exporters/` joins in."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar, Protocol

from builder.graph import write_bytes

if TYPE_CHECKING:
    from torch import nn

    from builder.data import Prepared
    from builder.graph import Project
    from builder.train import Objective


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


class Format(ABC):
    """One way to take a trained network away. Equal networks give equal bytes."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    suffix: ClassVar[str]
    media_type: ClassVar[str]

    @abstractmethod
    def content(self, trained: Trained) -> bytes:
        """The file."""


@cache
def registry() -> dict[str, Format]:
    """All formats by name."""
    import builder.export.exporters as package

    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    found: list[type[Format]] = sorted(Format.__subclasses__(), key=lambda kind: kind.name)
    return {kind.name: kind() for kind in found}


def formats() -> list[Format]:
    """All formats, with their titles and summaries."""
    return list(registry().values())


def content(trained: Trained, name: str) -> bytes:
    """A trained network in a format, as the bytes of one file.

    Raises:
        ExportError: there is no such format.
    """
    return _format(name).content(trained)


def export(trained: Trained, name: str, path: str | Path) -> Path:
    """Write a trained network in a format to `path`, or into the folder `path` under its own name.

    Raises:
        ExportError: there is no such format, or no such folder.
    """
    kind, path = _format(name), Path(path)
    if path.is_dir():
        path = path / filename(trained, name)
    if not path.parent.is_dir():
        raise ExportError(f"There is no folder {str(path.parent)[:200]!r} to write to; make it first.")
    write_bytes(path, kind.content(trained))
    return path


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
