"""The base class of compression methods. A new file in `methods/` registers itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from netloom.core.registry import discover

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from netloom.runs import TrainedRun


class CompressionError(ValueError):
    """A network cannot be compressed in this way; the message is one sentence."""


@dataclass(frozen=True)
class Variant:
    """A compressed network: an ONNX file, and what was done as a sentence. `size` is the size that it can be stored
    in, which is smaller than the file where most weights are zero."""

    method: str
    title: str
    content: bytes
    note: str
    size: int


class Method(ABC):
    """A way to make a trained network smaller or faster."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    order: ClassVar[int]

    @abstractmethod
    def compress(self, trained: TrainedRun) -> Variant:
        """Return the variant of a network.

        Raises:
            CompressionError: the network has nothing that this method compresses.
            ExportError: the network cannot be written as ONNX.
        """

    def variant(self, content: bytes, note: str, size: int = 0) -> Variant:
        return Variant(self.name, self.title, content, note, size or len(content))


@cache
def registry() -> dict[str, Method]:
    """Return all methods by name."""
    kinds = discover(Method, "netloom.compression.methods", order=lambda kind: kind.order)
    return {name: kind() for name, kind in kinds.items()}


def unavailable_reason(trained: TrainedRun) -> str:
    """Return why no method fits a run, as a sentence; "" if some can."""
    task = trained.objective.task
    if task.environment:
        return "An agent is measured in episodes, which variants cannot play yet."
    if task.generates_input:
        return "The quality of generated examples cannot be compared row by row, so variants cannot be measured."
    return ""


def as_onnx(trained: TrainedRun, model: nn.Module | None = None) -> onnx.ModelProto:
    """Return the network of a run, or a changed copy of it, as an ONNX model.

    Raises:
        ExportError: it cannot be written.
    """
    from dataclasses import replace

    import onnx

    from netloom.export import registry as formats

    changed = trained if model is None else replace(trained, model=model)
    return onnx.load_from_string(formats()["onnx"].content(changed))


def with_metadata(model: Any, original: Any) -> bytes:
    """Return a model as bytes, with the metadata of the original, which has the preprocessing."""
    names = {item.key for item in model.metadata_props}
    for item in original.metadata_props:
        if item.key not in names:
            added = model.metadata_props.add()
            added.key, added.value = item.key, item.value
    content: bytes = model.SerializeToString(deterministic=True)
    return content
