"""The base class of compression methods. A new file in `methods/` registers itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from netloom.core.plain_json import JsonObject
from netloom.core.registry import discover

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

    from netloom.document import Project
    from netloom.runs import TrainedRun
    from netloom.runs.prediction.applied_calibration import AppliedCalibration
    from netloom.tasks import Task


# The key of the name of a method in the metadata of a file
METHOD = "compression_method"


class CompressionError(ValueError):
    """A network cannot be compressed in this way; the message is one sentence."""


@dataclass(frozen=True)
class Variant:
    """A compressed network: an ONNX file, and what was done as a sentence. `size` is the size that it can be stored
    in, which is smaller than the file where most weights are zero; `saves_size_only` is whether this is all that it
    saves. `leaves_early` is whether rows can end before the last layer."""

    method: str
    title: str
    content: bytes
    note: str
    size: int
    leaves_early: bool = False
    saves_size_only: bool = False


@dataclass(frozen=True)
class Smaller:
    """A smaller document, its weights if it has any yet, and what was done as a sentence."""

    project: Project
    state: dict[str, torch.Tensor] | None
    note: str


class Method(ABC):
    """A way to make a trained network smaller or faster."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    order: ClassVar[int]
    # The names of the arguments of the constructor that people can set
    settings: ClassVar[tuple[str, ...]] = ()
    # Whether the network has no weights before it was trained as a run
    needs_training: ClassVar[bool] = False

    def with_settings(self, values: Mapping[str, Any]) -> Method:
        """Return this method with those of the values that it has a setting for."""
        return type(self)(**{name: value for name, value in values.items() if name in self.settings})

    @abstractmethod
    def compress(self, trained: TrainedRun) -> Variant:
        """Return the variant of a network.

        Raises:
            CompressionError: the network has nothing that this method compresses.
            ExportError: the network cannot be written as ONNX.
        """

    def in_pytorch(self, trained: TrainedRun, content: bytes) -> TrainedRun | None:
        """Return the run with the network of a variant in PyTorch, for gradients and inner layers; None if only ONNX
        Runtime computes it."""
        return None

    def variant(self, content: bytes, note: str, size: int = 0) -> Variant:
        """Return the variant with the name of this method in the metadata of its file."""
        import onnx

        model = onnx.load_from_string(content)
        onnx.helper.set_model_props(
            model, {**{item.key: item.value for item in model.metadata_props}, METHOD: self.name}
        )
        content = model.SerializeToString(deterministic=True)
        return Variant(self.name, self.title, content, note, size or len(content))


class DocumentMethod(Method):
    """A method whose result is a document again, so that it can be trained as a run."""

    @abstractmethod
    def smaller(self, trained: TrainedRun) -> Smaller:
        """Return the smaller document of a run.

        Raises:
            CompressionError: the network has nothing that this method makes smaller.
        """

    @property
    def label(self) -> str:
        """The method with its settings, for the title of a run."""
        return self.title.lower()

    def training(self, trained: TrainedRun, epochs: int) -> JsonObject:
        """Return the settings of the training of the smaller document that differ from those of the run."""
        return {"epochs": epochs, "early_stopping": None}

    def compress(self, trained: TrainedRun) -> Variant:
        smaller = self.smaller(trained)
        content = as_onnx(self._run_of(trained, smaller)).SerializeToString(deterministic=True)
        return self.variant(content, f"{smaller.note} Without fine-tuning.")

    def in_pytorch(self, trained: TrainedRun, content: bytes) -> TrainedRun | None:
        return self._run_of(trained, self.smaller(trained))

    def _run_of(self, trained: TrainedRun, smaller: Smaller) -> TrainedRun:
        from netloom.compile import module, source

        if smaller.state is None:
            raise CompressionError(
                f"{self.title} makes a network without weights; train it as a run, which is then measured as well."
            )
        text = source(smaller.project)
        model = module(text)
        model.load_state_dict(smaller.state)
        return replace(trained, project=smaller.project, source=text, model=model.eval())


# The exported file of each network with the document and the calibration in it, because several methods begin with the
# same one, and an export takes about a second
_exported: WeakKeyDictionary[nn.Module, tuple[Project, AppliedCalibration | None, bytes]] = WeakKeyDictionary()


@cache
def registry() -> dict[str, Method]:
    """Return all methods by name."""
    kinds = discover(Method, "netloom.compression.methods", order=lambda kind: kind.order)
    return {name: kind() for name, kind in kinds.items()}


def file_methods() -> list[Method]:
    """Return the methods that need no training, which are measured by default."""
    return [method for method in registry().values() if not method.needs_training]


def unavailable_reason(task: Task) -> str:
    """Return why no method fits a run with a task, as a sentence; "" if some can."""
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
    import onnx

    from netloom.export import registry as formats

    changed = trained if model is None else replace(trained, model=model)
    project, applied, content = _exported.get(changed.model, (None, None, b""))
    if project is not changed.project or applied is not changed.applied:
        content = formats()["onnx"].content(changed)
        _exported[changed.model] = (changed.project, changed.applied, content)
    return onnx.load_from_string(content)


def with_metadata(model: Any, original: Any) -> bytes:
    """Return a model as bytes, with the metadata of the original, which has the preprocessing."""
    names = {item.key for item in model.metadata_props}
    for item in original.metadata_props:
        if item.key not in names:
            added = model.metadata_props.add()
            added.key, added.value = item.key, item.value
    content: bytes = model.SerializeToString(deterministic=True)
    return content
