"""Parsing of Sequential and Functional configurations of Keras 2 and 3 into a common form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError, quoted

MODELS = ("Sequential", "Functional", "Model")
MAX_CALLS = 2_000
MAX_DEPTH = 16


@dataclass(frozen=True)
class TensorRef:
    """A tensor, given by a layer, the index of a call of it, and the index of an output of the call."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True)
class Call:
    """A call of a layer. Tensors among its arguments are `TensorRef`, all others are plain values."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def refs(self) -> list[TensorRef]:
        """All tensors among the arguments, in order."""
        return list(_iterate_references([*self.args, *self.kwargs.values()]))


@dataclass(eq=False)
class LayerConfig:
    """A layer with its settings and its calls; `model` is set if the layer is a nested model."""

    kind: str
    name: str
    module: str
    config: dict[str, Any]
    calls: list[Call] = field(default_factory=list)
    model: ModelConfig | None = None
    is_keras_2: bool = False

    @property
    def is_operation(self) -> bool:
        """Whether this is a function of keras.ops, which Keras records like a layer."""
        return ".ops" in self.module

    @property
    def label(self) -> str:
        """The layer in messages: its name and class."""
        return f"The layer {quoted(self.name)} ({quoted(self.kind)[1:-1]})"

    def refuse(self, why: str) -> UnreadableModelError:
        """The error for a layer that cannot be imported; `why` continues a sentence about the layer."""
        return UnreadableModelError(f"{self.label} {why}.")

    def integer(self, name: str, default: int | None = None) -> int:
        """A setting that is an integer.

        Raises:
            UnreadableModelError: The value is not an integer, or is too large.
        """
        value = self.config.get(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or abs(value) > 10**9:
            raise self.refuse(f"needs an integer for {name}, received {quoted(value)}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A setting that is a finite number.

        Raises:
            UnreadableModelError: The value is not a finite number.
        """
        return self.real(self.config.get(name, default), name)

    def real(self, value: object, name: str) -> float:
        """A value as a finite number; `name` is its name in messages.

        Raises:
            UnreadableModelError: The value is not a finite number.
        """
        if isinstance(value, dict):  # a serialized array with a single number
            value = value.get("config", {}).get("value") if isinstance(value.get("config"), dict) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.refuse(f"needs a number for {name}, received {quoted(value)}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        return bool(self.config.get(name, default))

    def integers(self, name: str, rank: int, default: int | None = None) -> tuple[int, ...]:
        """One integer for each axis; a single integer in the configuration applies to all axes.

        Raises:
            UnreadableModelError: The value is not a list of `rank` non-negative integers.
        """
        value = self.config.get(name)
        value = default if value is None else value
        lengths = (value,) * rank if type(value) is int else tuple(value) if isinstance(value, list) else ()
        if len(lengths) != rank or any(type(part) is not int or not 0 <= part <= 10**6 for part in lengths):
            raise self.refuse(f"needs {rank} integer{'s' if rank > 1 else ''} for {name}, received {quoted(value)}")
        return lengths

    def choice(self, name: str, default: str, *allowed: str) -> str:
        """A setting that is one of some names.

        Raises:
            UnreadableModelError: The value is not among the allowed names.
        """
        value = self.config.get(name, default)
        if value not in allowed:
            raise self.refuse(f"has {name}={quoted(value)}, which is not among {', '.join(allowed)}")
        return str(value)


@dataclass(eq=False)
class ModelConfig:
    """A model: its layers by name, and its input and output tensors."""

    name: str
    layers: dict[str, LayerConfig]
    inputs: list[TensorRef]
    outputs: list[TensorRef]

    def consumers(self, ref: TensorRef) -> list[tuple[LayerConfig, Call]]:
        """The calls that read a tensor, with their layers."""
        calls = ((layer, call) for layer in self.layers.values() for call in layer.calls)
        return [(layer, call) for layer, call in calls if ref in call.refs()]


def parse_model(raw: Any, depth: int = 0, is_keras_2: bool | None = None) -> ModelConfig:
    """Parse the configuration of a model, which may be nested in another one at this `depth`.

    Raises:
        UnreadableModelError: The configuration is not a Sequential or Functional model, or is malformed or too large.
    """
    if depth > MAX_DEPTH:
        raise UnreadableModelError(f"The models are nested more than {MAX_DEPTH} levels deep.")
    if not isinstance(raw, dict) or not isinstance(raw.get("class_name"), str) or "config" not in raw:
        raise UnreadableModelError(
            "This is not a Keras model; save the text of model.to_json(), or the model with model.save()."
        )
    kind, config = raw["class_name"], raw["config"]
    if kind not in MODELS:
        raise UnreadableModelError(
            f"The model is of the class {quoted(kind)}, whose code is not in the file; "
            "only Sequential and Functional models can be imported."
        )
    if isinstance(config, list):  # the format of Sequential models in Keras 2.1
        config = {"layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise UnreadableModelError(f"The model {quoted(raw.get('name', kind))} has no list of layers; save it again.")
    if is_keras_2 is None:
        # Keras 3 always records the module of a class.
        is_keras_2 = "module" not in raw and str(raw.get("keras_version", "2")).startswith(("1", "2"))
    layers: dict[str, LayerConfig] = {}
    for number, entry in enumerate(config["layers"]):
        layer = _layer(entry, number, depth, is_keras_2)
        if layer.name in layers:
            raise UnreadableModelError(
                f"Two layers have the name {quoted(layer.name)}; names must be unique within a model."
            )
        layers[layer.name] = layer
    if sum(len(layer.calls) for layer in layers.values()) + len(layers) > 2 * MAX_CALLS:
        raise UnreadableModelError(f"The model has more than {MAX_CALLS:,} layers, too many for one document.")
    name = str(config.get("name") or kind.lower())
    if kind == "Sequential":
        return _sequential(name, layers, config)
    inputs, outputs = _references(config.get("input_layers")), _references(config.get("output_layers"))
    if not inputs or not outputs:
        raise UnreadableModelError(
            f"The model {quoted(name)} does not define its input and output tensors; save it again."
        )
    outputs = _from_zero(layers, outputs, is_keras_2)
    for ref in outputs:
        if ref.layer not in layers:
            raise UnreadableModelError(
                f"The model {quoted(name)} has the output layer {quoted(ref.layer)}, which does not exist in it."
            )
    for ref in inputs:
        if ref.layer not in layers or layers[ref.layer].kind != "InputLayer":
            raise UnreadableModelError(
                f"The model {quoted(name)} has the input {quoted(ref.layer)}, which is not one of its InputLayers."
            )
    return ModelConfig(name, layers, inputs, outputs)


def _from_zero(layers: dict[str, LayerConfig], outputs: list[TensorRef], is_keras_2: bool) -> list[TensorRef]:
    """The outputs, with the calls of nested models counted from 0.

    Keras counts the construction of a nested model as its first call: Keras 3 only in outputs that name a Functional
    model, Keras 2 everywhere. The calls of layers are changed in place.
    """
    offset_models = {name for name, layer in layers.items() if layer.model is not None and layer.kind != "Sequential"}
    if is_keras_2:
        named_uses: dict[str, int] = {}
        for ref in [*outputs, *(ref for layer in layers.values() for call in layer.calls for ref in call.refs())]:
            named_uses[ref.layer] = max(named_uses.get(ref.layer, 0), ref.call)
        inner = [layer for layer in layers.values() if layer.model is not None]
        # Counted from 1 if the greatest index of a call is the number of calls
        offset_models = {layer.name for layer in inner if named_uses.get(layer.name, 0) == len(layer.calls)}

    def shifted(part: Any) -> Any:
        if isinstance(part, TensorRef):
            return (
                TensorRef(part.layer, part.call - 1, part.output) if part.layer in offset_models and part.call else part
            )
        return [shifted(each) for each in part] if isinstance(part, list) else part

    if is_keras_2 and offset_models:
        for layer in layers.values():
            layer.calls = [
                Call(tuple(shifted(arg) for arg in call.args), {key: shifted(arg) for key, arg in call.kwargs.items()})
                for call in layer.calls
            ]
    return [shifted(ref) for ref in outputs]


def _layer(entry: Any, number: int, depth: int, is_keras_2: bool) -> LayerConfig:
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise UnreadableModelError(f"Layer {number + 1} of the configuration has no class; save the model again.")
    config = entry.get("config")
    kind, module = entry["class_name"], str(entry.get("module") or "")
    if kind in MODELS:
        inner = parse_model(entry, depth + 1, is_keras_2)
        name = str(entry.get("name") or inner.name)
        layer = LayerConfig(
            kind, name, module, config if isinstance(config, dict) else {}, model=inner, is_keras_2=is_keras_2
        )
    else:
        if not isinstance(config, dict):
            raise UnreadableModelError(f"Layer {number + 1} ({quoted(kind)}) has no settings; save the model again.")
        name = str(entry.get("name") or config.get("name") or f"layer_{number + 1}")
        layer = LayerConfig(kind, name, module, config, is_keras_2=is_keras_2)
    nodes = entry.get("inbound_nodes", [])
    if not isinstance(nodes, list):
        raise layer.refuse("does not define its inputs")
    layer.calls = [_call(node) for node in nodes]
    return layer


def _call(node: Any) -> Call:
    if isinstance(node, dict):  # Keras 3
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise UnreadableModelError("The inputs of a layer do not have the format of Keras; save the model again.")
        return Call(
            tuple(_resolve_tensors(part) for part in args),
            {key: _resolve_tensors(part) for key, part in kwargs.items()},
        )
    # Keras 2: a list of [layer, call, output, keyword arguments], one for each input
    if isinstance(node, list) and node and isinstance(node[0], str):
        node = [node]
    if not isinstance(node, list) or not node or not all(_is_reference(part) for part in node):
        raise UnreadableModelError("The inputs of a layer do not have the format of Keras; save the model again.")
    refs = [TensorRef(part[0], part[1], part[2]) for part in node]
    kwargs = {}
    for part in node:
        call_kwargs = part[3] if len(part) > 3 and isinstance(part[3], dict) else {}
        kwargs |= {key: TensorRef(*value[:3]) if _is_reference(value) else value for key, value in call_kwargs.items()}
    return Call((refs[0] if len(refs) == 1 else refs,), kwargs)


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
    )


def _resolve_tensors(part: Any) -> Any:
    if isinstance(part, list):
        return [_resolve_tensors(each) for each in part]
    if isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
        inner = part.get("config")
        history = inner.get("keras_history") if isinstance(inner, dict) else None
        if history is None or not _is_reference(history):
            raise UnreadableModelError("A tensor has no source layer; save the model again.")
        return TensorRef(*history[:3])
    return part


def _iterate_references(parts: Any) -> Iterator[TensorRef]:
    for part in parts:
        if isinstance(part, TensorRef):
            yield part
        elif isinstance(part, list):
            yield from _iterate_references(part)
        elif isinstance(part, dict):
            yield from _iterate_references(part.values())


def _references(raw: Any) -> list[TensorRef]:
    if _is_reference(raw):
        return [TensorRef(*raw[:3])]
    if isinstance(raw, dict):
        raw = list(raw.values())
    return [ref for part in raw for ref in _references(part)] if isinstance(raw, list) else []


def _sequential(name: str, layers: dict[str, LayerConfig], config: dict[str, Any]) -> ModelConfig:
    if not layers:
        raise UnreadableModelError(f"The Sequential model {quoted(name)} has no layers.")
    # A Sequential can lack an InputLayer: the shape is then in its first layer or in its build configuration.
    first = next(iter(layers.values()))
    if first.kind != "InputLayer":
        inner = first.model.layers[first.model.inputs[0].layer].config if first.model else first.config
        shape = next(
            (
                shape
                for shape in (
                    inner.get("batch_input_shape"),
                    inner.get("batch_shape"),
                    config.get("build_input_shape"),
                )
                if isinstance(shape, list)
            ),
            None,
        )
        if shape is None:
            raise UnreadableModelError(
                f"The Sequential model {quoted(name)} does not define the shape of its input; add an Input first, or "
                "call the model once, and save it again."
            )
        key = "input"
        while key in layers:
            key += "_"
        entry = LayerConfig("InputLayer", key, "", {"batch_shape": shape, "dtype": inner.get("dtype", "float32")})
        layers = {key: entry, **layers}
    chain = list(layers.values())
    for before, layer in pairwise(chain):
        layer.calls = [Call((TensorRef(before.name),))]
    return ModelConfig(name, layers, [TensorRef(chain[0].name)], [TensorRef(chain[-1].name)])
