"""What a layer is: a class whose fields are its parameters, which names its ports and how PyTorch builds it.

The palette, the form, the JSON schema, validation, the code and the tests all derive from that one class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from netloom.core.registry import discover
from netloom.core.text import plain
from netloom.document import Node
from netloom.document.expression import SIZE, ExpressionError, Number, evaluate
from netloom.layers.probability import Probabilities

if TYPE_CHECKING:
    from torch import nn

# Tells the length of an axis of what a layer gets.
Size = Callable[[int], int]
Kind = Literal["vector", "sequence", "image", "volume", "tokens", "any"]
KINDS: tuple[Kind, ...] = ("vector", "sequence", "image", "volume", "tokens")
# What people read for a kind.
KIND_NAMES = {
    "vector": "a vector (N, D)",
    "sequence": "a sequence (N, T, D)",
    "image": "an image (N, C, H, W)",
    "volume": "a volume (N, C, D, H, W)",
    "tokens": "tokens (N, T)",
    "any": "any tensor",
}
GROUPS = {
    "Input and output": "#64748b",
    "Network": "#f59e0b",
    "Dense": "#2563eb",
    "Convolution": "#7c3aed",
    "Pooling": "#c026d3",
    "Shape": "#0891b2",
    "Normalisation": "#0d9488",
    "Activation": "#ea580c",
    "Text": "#16a34a",
    "Recurrent": "#ca8a04",
    "Attention": "#e11d48",
    "State space and mixture": "#be185d",
    "Vision block": "#9333ea",
    "Graph": "#65a30d",
    "Generative": "#db2777",
    "Signal": "#0284c7",
    "Table": "#a16207",
    "Merge": "#4f46e5",
    "Tensor operation": "#475569",
}


class ParameterError(ValueError):
    """A layer's parameters are not what it declares; the message is one sentence."""


@dataclass(frozen=True)
class Port:
    """An input or output of a layer, and the kinds of tensor that pass there; people may call it by another `label`."""

    name: str
    kinds: tuple[Kind, ...] = ("any",)
    doc: str = ""
    label: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's shape and type. None stands for the batch axis, N."""

    shape: tuple[int | None, ...]
    dtype: Literal["float", "int"] = "float"

    @property
    def kind(self) -> Kind:
        if self.dtype == "int":
            return "tokens" if len(self.shape) == 2 else "any"
        kinds: dict[int, Kind] = {2: "vector", 3: "sequence", 4: "image", 5: "volume"}
        return kinds.get(len(self.shape), "any")

    def size(self, axis: int) -> int:
        """The length of an axis other than the batch axis.

        Raises:
            ValueError: there is no such axis, or it is the batch axis.
        """
        if not -len(self.shape) <= axis < len(self.shape):
            raise ValueError(f"{self} has no axis {axis}; its axes are 0 to {len(self.shape) - 1}")
        length = self.shape[axis]
        if length is None:
            raise ValueError(f"axis {axis} of {self} is the batch axis N, which has no fixed length")
        return length

    def __str__(self) -> str:
        return "(" + ", ".join("N" if length is None else str(length) for length in self.shape) + ")"

    def beside(self, other: TensorSpec) -> str:
        """The shape, with the type of the numbers where that alone tells it from another."""
        if self.shape != other.shape or self.dtype == other.dtype:
            return str(self)
        return f"{self} of {'whole' if self.dtype == 'int' else 'real'} numbers"


# What one example of a kind may look like.
SAMPLES: dict[Kind, TensorSpec] = {
    "vector": TensorSpec((None, 12)),
    "sequence": TensorSpec((None, 8, 16)),
    "image": TensorSpec((None, 4, 8, 8)),
    "volume": TensorSpec((None, 2, 4, 6, 6)),
    "tokens": TensorSpec((None, 8), "int"),
}


@dataclass(frozen=True)
class Example:
    """Parameters and inputs by port on which a layer works: its tests run them. Whole numbers lie below `high`."""

    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, TensorSpec] = field(default_factory=dict)
    high: int = 1_000


Literals = int | float | bool | str | None | tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A constructor and its arguments: one declaration that is both written as code and carried out.

    `target` is "nn.X" for a module of torch.nn, or the bare name of one in netloom.nn, or of a class in `code`, which
    is the author's own (see netloom.layers.code). Arguments are literals only.
    """

    target: str
    args: tuple[Literals, ...] = ()
    kwargs: Mapping[str, Literals] = field(default_factory=dict)
    code: str = ""

    def source(self) -> str:
        """The call as Python code."""
        for value in (*self.args, *self.kwargs.values()):
            _check_literal(value)
        named = [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.target}({', '.join([*(repr(value) for value in self.args), *named])})"

    def build(self) -> nn.Module:
        """The module that the call constructs, on torch's current default device."""
        from netloom.layers.code import loaded

        module_class = loaded(self.code, self.target) if self.code else resolve(self.target)
        return module_class(*self.args, **self.kwargs)


def resolve(target: str) -> type[nn.Module]:
    """The module class that a call's target names."""
    from torch import nn

    import netloom.nn

    head, _, name = target.rpartition(".")
    found = getattr(nn, name, None) if head == "nn" else getattr(netloom.nn, name, None) if not head else None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"{target} is no module of torch.nn or netloom.nn")
    return found


def _check_literal(value: Any) -> None:
    if isinstance(value, tuple):
        for part in value:
            _check_literal(part)
    elif not (value is None or type(value) in (int, float, bool, str)):
        raise TypeError(f"{value!r} is no literal")


class Layer(BaseModel):
    """One entry of the catalogue; an instance holds the parameters of one node."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    group: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    keywords: ClassVar[tuple[str, ...]] = ()
    url: ClassVar[str] = ""

    # Whether every input gets a gradient from every output; not so where whole numbers are given or places chosen.
    differentiable: ClassVar[bool] = True
    # Whether its module is written by the author of the document, so that anything may go wrong in it.
    own_code: ClassVar[bool] = False
    # Whether it makes probabilities, or their logarithms, out of any numbers; `probabilities` says which.
    makes_probabilities: ClassVar[bool] = False

    @classmethod
    def refusal(cls) -> str:
        """Why this layer is not to be had on this machine; nothing where it is."""
        return ""

    @classmethod
    def examples(cls) -> list[Example]:
        """On what the tests run the layer: each kind that its first port takes, where it does not say otherwise."""
        ports = cls().inputs()
        kinds: tuple[Kind, ...] = ports[0].kinds if "any" not in ports[0].kinds else ("vector", "sequence", "image")
        return [Example(inputs={port.name: SAMPLES[kind] for port in ports}) for kind in kinds]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        """How to construct the module for inputs of the shapes `specs`, by port.

        Raises:
            ValueError: no module fits these shapes; the message says why.
        """
        raise NotImplementedError

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        """What its only output of the shape `out` says about probabilities; None: they are not any.

        `given` says the same of the inputs that are some, by port, and `specs` their shapes.
        """
        return None

    def brief(self) -> str:
        """The parameters that matter, in a few characters, for the node on the canvas."""
        return ""


@cache
def registry() -> Mapping[str, type[Layer]]:
    """All layers by type name, in palette order. A new file in this package registers itself by its classes."""
    groups = list(GROUPS)
    return discover(
        Layer,
        "netloom.layers",
        declared_by="title",
        name=lambda layer: layer.__name__,
        order=lambda layer: groups.index(layer.group),
    )


def label(node: Node) -> str:
    """How messages name a node, on one line: its title, or else what it is and its id."""
    layer = registry().get(node.type)
    return plain(node.title) or (f"{layer.title} ({node.id})" if layer else node.id)


def parse(node: Node, names: Mapping[str, Number] = MappingProxyType({}), size: Size | None = None) -> Layer:
    """The layer that a node stands for; expressions among its parameters read `names`, and `size` of what it gets.

    Where `size` is not known yet, parameters that ask for it are left at their defaults.

    Raises:
        ParameterError: the type is unknown or a parameter is missing, unknown, of a wrong type, or out of bounds.
    """
    params = node.params
    if node.type in registry():
        if reason := registry()[node.type].refusal():
            raise ParameterError(reason)
        params = _evaluated(registry()[node.type], params, names, size)
    return _parse(node.type, json.dumps(params, sort_keys=True))


def asks_for_size(node: Node) -> bool:
    """Whether a parameter is an expression over the shape of what the node gets."""
    return any(f"{SIZE}(" in str(value) for value in node.params.values())


def _evaluated(
    layer: type[Layer], params: Mapping[str, Any], names: Mapping[str, Number], size: Size | None
) -> dict[str, Any]:
    """The parameters with a number in place of each expression where a number belongs."""
    found = dict(params)
    for name, value in params.items():
        kind = _numeric(layer).get(name)
        if kind is None or not isinstance(value, (str, list, dict)):
            continue
        if size is None and f"{SIZE}(" in str(value):
            del found[name]
            continue

        def number(part: Any, whole: bool = kind in ("int", "ints")) -> Any:
            if not isinstance(part, str):
                return part
            result = evaluate(part, names, size)
            return int(result) if whole and result == int(result) else result

        try:
            if isinstance(value, list):
                found[name] = [number(part) for part in value]
            elif isinstance(value, dict):
                found[name] = {key: number(part) for key, part in value.items()}
            else:
                found[name] = number(value)
        except ExpressionError as error:
            raise ParameterError(f"{name}: {error}.") from None
    return found


@cache
def _numeric(layer: type[Layer]) -> dict[str, str]:
    """The parameters in which numbers stand, with their kinds."""
    from netloom.layers.form import form

    return {item.name: item.kind for item in form(layer) if item.kind in ("int", "float", "ints", "values")}


@lru_cache(maxsize=8192)
def _parse(type_name: str, params: str) -> Layer:
    layer = registry().get(type_name)
    if layer is None:
        raise ParameterError(f"There is no layer of the type {type_name[:80]!r}.")
    try:
        return layer.model_validate(json.loads(params))
    except ValidationError as error:
        raise ParameterError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False)[:4]:
        name = ".".join(str(part) for part in item["loc"]) or "parameters"
        message = item["msg"].removeprefix("Value error, ")
        named = item["loc"] and item["type"] not in ("missing", "extra_forbidden")
        received = f", received {str(item['input'])[:60]!r}" if named else ""
        parts.append(f"{plain(name[:60])}: {message[:1].lower() + message[1:]}{received}")
    return "; ".join(parts) + "."
