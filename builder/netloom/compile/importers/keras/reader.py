"""Conversion of a Keras file to a document and its weights."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError, quoted
from netloom.compile.importers.keras import (
    activations,
    convolution,
    merging,
    normalization,
    operations,
    regularization,
    reshaping,
    sequences,
)
from netloom.compile.importers.keras.config import MODELS, Call, LayerConfig, ModelConfig, TensorRef, parse_model
from netloom.compile.importers.keras.container import CONFIG, MAX_CONFIG_BYTES, Weights, open_model
from netloom.compile.importers.keras.graph_builder import (
    ImportState,
    KerasTensor,
    LayerCall,
    NetworkBuilder,
    check_weights,
    is_tensor,
    unused_id,
)
from netloom.compile.importers.keras.operator_table import LAYERS, OPERATIONS, outputs
from netloom.compile.importers.keras.shared_models import merge_shared
from netloom.compile.importers.repeats import group_repeats
from netloom.compile.importers.validity import check_network
from netloom.compile.importers.zip_checks import is_zip
from netloom.core.text import plain
from netloom.document import Preparation, Project
from netloom.document.network import SUBNETWORK
from netloom.layers import TensorSpec
from netloom.layers.io import input_parameters
from netloom.layers.subnetwork import interface
from netloom.validation import analyze

# Importing a family registers its converters.
FAMILIES = (activations, merging, normalization, operations, regularization, convolution, reshaping, sequences)
# The length of axes whose length is open in Keras
OPEN_LENGTH = 64
# Settings of layers that matter only in training
_TRAINING_SETTINGS = ("kernel_regularizer", "bias_regularizer", "activity_regularizer",
                      "kernel_constraint", "bias_constraint",
          "embeddings_regularizer", "gamma_regularizer", "beta_regularizer")  # fmt: skip
# Layers that work in any order of the values of a flattened image and keep the order
_ORDER_AGNOSTIC = frozenset(
    {"Dropout", "ReLU", "LeakyReLU", "ELU", "GaussianNoise", "BatchNormalization", "Activation"}
)
# The group of a model's layers in the weights file: currently, and in the first versions of the format
_LAYER_GROUPS = ("layers", "_layer_checkpoint_dependencies")
# What malformed settings or weights can raise in a converter
_BUGS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, ArithmeticError, RuntimeError)


def looks_like_keras(path: Path) -> bool:
    """Whether a file contains a Keras model: a zip with config.json, or the JSON of a model."""
    import zipfile

    try:
        if is_zip(path):
            with zipfile.ZipFile(path) as archive:
                names = set(archive.namelist())
            return CONFIG in names and bool(names & {"metadata.json", "model.weights.h5"})
        with path.open("rb") as file:
            head = file.read(4_096)
            # Before the object may be a byte order mark, white space, or the quotation mark of JSON saved as JSON.
            if not head.lstrip(b'\xef\xbb\xbf \t\r\n"').startswith(b"{"):
                return False
            content = head + file.read(MAX_CONFIG_BYTES)
        return b"class_name" in content and any(kind.encode() in content for kind in MODELS)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def read_keras(path: Path) -> ImportedModel:
    """Import a Keras file, with its weights if it has any.

    Raises:
        UnreadableModelError: The file is damaged, is not a Keras file, or contains a layer that is not supported.
    """
    with open_model(path) as (raw, weights):
        try:
            return _imported(raw, weights)
        except UnreadableModelError:
            raise
        except RecursionError:
            raise UnreadableModelError("The configuration is nested too deeply to be a model.") from None
        except MemoryError:
            raise UnreadableModelError("The model is too large for the memory of this machine.") from None


def _imported(raw: Any, weights: Weights | None) -> ImportedModel:
    config = parse_model(raw)
    state = ImportState(weights is not None)
    builder = _build_network(config, state, weights)
    networks = {"main": builder.network(), **state.networks}
    project = Project(name=plain(config.name)[:200] or "Keras", networks=networks)
    project = _unfreeze(project, state)
    for remark in check_network(project):
        state.remark(remark)
    project, tensors = merge_shared(project, builder.weights)
    for remark in _training_remarks(config):
        state.remark(remark)
    if weights is None:
        state.remark("The file contains no weights, so they are initialized randomly.")
    else:
        check_weights(project, tensors)
    prepare: Preparation | None = "none" if _prepares_inputs(config) else None
    return group_repeats(ImportedModel(project, tensors, tuple(state.remarks), prepare))


def _prepares_inputs(config: ModelConfig) -> bool:
    """Whether the model itself begins by scaling all of its inputs, so that it expects raw numbers and pixels."""
    first = [layer for ref in config.inputs for layer, _ in config.consumers(TensorRef(ref.layer))]
    return bool(first) and all(layer.kind in ("Rescaling", "Normalization") for layer in first)


def _training_remarks(config: ModelConfig) -> list[str]:
    """Remarks on training settings in the configuration that a document cannot hold, each once."""
    counts: Counter[str] = Counter()
    pending = [config]
    while pending:
        for layer in pending.pop().layers.values():
            counts.update(name for name in _TRAINING_SETTINGS if layer.config.get(name))
            pending += [layer.model] if layer.model is not None else []
    return [
        f"{name.replace('_', ' ').capitalize()} of {count} layer{'s'[: count != 1]} is not imported; the "
        "predictions are the same, but further training runs without it."
        for name, count in sorted(counts.items())
    ]


def _unfreeze(project: Project, state: ImportState) -> Project:
    """The project with trainable layers if all layers are frozen in Keras, which a document does not allow."""
    nodes = [node for network in project.networks.values() for node in network.nodes.values()]
    if not any(node.frozen for node in nodes) or not analyze(project).errors:
        return project
    state.remark("All layers are frozen in the file (trainable is false); after the import, all of them are trainable.")
    networks = {
        name: network.with_nodes(
            {key: node.model_copy(update={"frozen": False}) for key, node in network.nodes.items()}
        )
        for name, network in project.networks.items()
    }
    return project.model_copy(update={"networks": networks})


def _build_network(config: ModelConfig, state: ImportState, weights: Weights | None) -> NetworkBuilder:
    """Convert a model to a network."""
    builder = NetworkBuilder(state)
    weight_paths = _weight_paths(config)
    inner: dict[str, tuple[str, NetworkBuilder]] = {}
    values: dict[tuple[str, int], list[KerasTensor]] = {}
    entries = list(config.inputs)
    for number, ref in enumerate(entries, 1):
        layer = config.layers[ref.layer]
        builder.start_layer(layer)
        values[ref.layer, 0] = [builder.input(number, _input(config, layer, state))]
    pending = [
        (layer, number, call)
        for layer in config.layers.values()
        if layer.kind != "InputLayer"
        for number, call in enumerate(layer.calls)
    ]
    # Layers can be listed in any order: a call is converted once all tensors that it reads exist.
    while pending:
        remaining = []
        for layer, number, call in pending:
            if any((ref.layer, ref.call) not in values for ref in call.refs()):
                remaining.append((layer, number, call))
                continue
            if not call.refs():
                raise layer.refuse("has no input tensor")
            builder.start_layer(layer)
            values[layer.name, number] = _convert_call(
                config, builder, layer, call, values, weight_paths, weights, inner
            )
        if len(remaining) == len(pending):
            raise remaining[0][0].refuse("needs a tensor that no layer computes, or its own output")
        pending = remaining
    for number, ref in enumerate(config.outputs, 1):
        builder.start_layer(config.layers[ref.layer])
        builder.output(number, _value(values, ref, config), ref.layer)
    return builder


def _convert_call(
    config: ModelConfig,
    builder: NetworkBuilder,
    layer: LayerConfig,
    call: Call,
    values: dict[tuple[str, int], list[KerasTensor]],
    weight_paths: dict[str, tuple[str, ...]],
    weights: Weights | None,
    inner: dict[str, tuple[str, NetworkBuilder]],
) -> list[KerasTensor]:
    def resolve(part: Any) -> Any:
        if isinstance(part, TensorRef):
            return _value(values, part, config)
        return [resolve(each) for each in part] if isinstance(part, list) else part

    args, kwargs = [resolve(arg) for arg in call.args], {key: resolve(arg) for key, arg in call.kwargs.items()}
    holder = _weights_at(weights, weight_paths.get(layer.name))
    if layer.model is not None:
        inputs = [value for arg in [*args, *kwargs.values()] for value in (arg if isinstance(arg, list) else [arg])]
        return _build_nested(builder, layer, [value for value in inputs if is_tensor(value)], holder, inner)
    if layer.kind == "Lambda":
        raise layer.refuse("contains Python code, which is never run; replace it with layers and save the model again")
    handler = (OPERATIONS if layer.is_operation else LAYERS).get(layer.kind)
    if handler is None:
        is_custom = layer.module and not layer.module.startswith("keras")
        why = "is of a custom class, whose code is never run" if is_custom else "has no counterpart in Netloom"
        raise layer.refuse(f"{why}; replace it with layers of Keras that have one")
    if is_tensor(kwargs.get("mask")):
        raise layer.refuse("has a mask, which the import does not support")
    if layer.is_operation:
        # Converters of operations treat all arguments as operands.
        kwargs = {key: value for key, value in kwargs.items() if is_tensor(value) or isinstance(value, (int, float))}
    use = LayerCall(builder, layer, args, kwargs, holder, _accepts_reordering(config, layer))
    try:
        return outputs(handler(use))
    except UnreadableModelError:
        raise
    except _BUGS as error:
        raise layer.refuse(f"has settings or weights that cannot be read ({plain(str(error))[:100]})") from None


def _value(values: dict[tuple[str, int], list[KerasTensor]], ref: TensorRef, config: ModelConfig) -> KerasTensor:
    outputs = values.get((ref.layer, ref.call), [])
    if not 0 <= ref.output < len(outputs):
        raise UnreadableModelError(
            f"The layer {quoted(ref.layer)} of {quoted(config.name)} has no output {ref.output + 1}."
        )
    return outputs[ref.output]


def _build_nested(
    builder: NetworkBuilder,
    layer: LayerConfig,
    inputs: list[KerasTensor],
    weights: Weights | None,
    inner: dict[str, tuple[str, NetworkBuilder]],
) -> list[KerasTensor]:
    """Convert a nested model to a network of its own, and add a node that uses it."""
    state = builder.state
    if layer.model is None:
        raise AssertionError("only models can be nested")
    if layer.name not in inner:
        name = state.name(layer.name)
        inner_network = _build_network(layer.model, state, weights)
        state.networks[name] = inner_network.network()
        inner[layer.name] = (name, inner_network)
    name, inner_network = inner[layer.name]
    ports = interface(state.networks[name])
    if len(ports.inputs) != len(inputs):
        raise layer.refuse(f"received {len(inputs)} tensors, but {len(ports.inputs)} are expected")
    converted = []
    for value, (_, node) in zip(inputs, ports.inputs, strict=True):
        expected = inner_network.values[node]
        value = builder.native_layout(value)
        # An Input inside is of the kind tokens if an embedding reads it, even if the tensor outside holds floats.
        if expected.spec.dtype == "int" and value.spec.dtype != "int":
            value = builder.add("Cast", {"to": "int"}, value)
        if expected.spec != value.spec:
            raise layer.refuse(
                f"received {value.spec.beside(expected.spec)}, but its Input takes {expected.spec.beside(value.spec)}"
            )
        converted.append(value)
    key = unused_id(layer.name, builder.nodes)
    builder.add_node(SUBNETWORK, {"network": name}, *converted, key=key)
    if inner_network.has_weights:
        builder.share_weights(key)
    for path, tensor in inner_network.weights.items():
        builder.weights[f"{key}.{path}"] = tensor
    return [replace(inner_network.values[node], node=key, port=port) for port, node in ports.outputs]


def _input(config: ModelConfig, layer: LayerConfig, state: ImportState) -> dict[str, Any]:
    """The parameters of an Input: tokens if only embeddings read it, otherwise a kind by the number of axes."""
    raw = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
    if (
        not isinstance(raw, list)
        or len(raw) < 2
        or any(length is not None and (type(length) is not int or not 1 <= length <= 1_000_000) for length in raw[1:])
    ):
        raise layer.refuse(f"has the input shape {quoted(raw)}, which is not a shape of one to four axes")
    shape = [OPEN_LENGTH if length is None else length for length in raw[1:]]
    if None in raw[1:]:
        state.remark(
            f"a length that is open in Keras is set to {OPEN_LENGTH}; change it in the Input.", quoted(layer.name)
        )
    if len(shape) > 4:
        raise layer.refuse(f"has an input with {len(shape)} axes, but an Input of Netloom has one to four")
    field = plain(layer.name)[:200]
    vocabulary = _vocabulary(config, TensorRef(layer.name)) if len(shape) == 1 else None
    if vocabulary is not None:
        return {"field": field, "kind": "tokens", "shape": shape, "vocabulary": vocabulary}
    if len(shape) > 2:
        shape = [shape[-1], *shape[:-1]]  # (H, W, C) -> (C, H, W)
    return {"field": field, **input_parameters(TensorSpec((None, *shape)))}


def _vocabulary(config: ModelConfig, ref: TensorRef) -> int | None:
    """The size of the vocabulary if only embeddings read a tensor; None otherwise."""
    sizes: list[int] = []
    for layer, call in config.consumers(ref):
        if layer.model is not None:
            positions = [index for index, call_ref in enumerate(call.refs()) if call_ref == ref]
            for position in positions:
                if position >= len(layer.model.inputs):
                    return None
                inner = _vocabulary(layer.model, layer.model.inputs[position])
                if inner is None:
                    return None
                sizes.append(inner)
        elif layer.kind == "Embedding":
            sizes.append(layer.integer("input_dim"))
        else:
            return None
    # Every token must exist in the smallest table.
    return min(sizes) if sizes and ref not in config.outputs else None


def _accepts_reordering(config: ModelConfig, layer: LayerConfig) -> bool:
    """Whether a Flatten can reorder its values, because all paths from it end at dense layers that are used once."""
    if layer.kind != "Flatten":
        return False
    pending, visited = [layer], set()
    while pending:
        current = pending.pop()
        if current.name in visited:
            continue
        visited.add(current.name)
        if len(current.calls) != 1 or TensorRef(current.name) in config.outputs:
            return False
        readers = config.consumers(TensorRef(current.name))
        if not readers:
            return False
        for reader, _ in readers:
            if reader.kind == "Dense" and len(reader.calls) == 1 and not reader.is_operation:
                continue
            is_softmax = reader.kind == "Activation" and reader.config.get("activation") in ("softmax", "log_softmax")
            if reader.kind not in _ORDER_AGNOSTIC or reader.is_operation or is_softmax:
                return False
            pending.append(reader)
    return True


def _weight_paths(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """The group of each layer's weights in the file.

    Keras names groups by the class in snake case and counts the layers of each class: dense, dense_1, and so on.
    """
    counts: dict[str, int] = {}
    paths: dict[str, tuple[str, ...]] = {}
    for layer in config.layers.values():
        if layer.is_operation:
            continue
        base = _snake(layer.kind)
        number = counts.get(base, 0)
        counts[base] = number + 1
        paths[layer.name] = (f"{base}_{number}" if number else base,)
    return paths


def _weights_at(weights: Weights | None, layer_path: tuple[str, ...] | None) -> Weights | None:
    if weights is None or layer_path is None:
        return None
    inside = (weights.group(holder, *layer_path) for holder in _LAYER_GROUPS)
    return next((group for group in inside if group is not None), None)


def _snake(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    # The same expressions as keras.src.utils.naming.to_snake_case
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
