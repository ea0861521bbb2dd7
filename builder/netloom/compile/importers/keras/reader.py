"""From a Keras file to a document and its weights."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError
from netloom.compile.importers.keras import (
    activations,
    convolution,
    merging,
    normalization,
    regularization,
    reshaping,
    sequences,
)
from netloom.compile.importers.keras.config import MODELS, Call, LayerConfig, ModelConfig, Ref, model
from netloom.compile.importers.keras.container import CONFIG, MAX_CONFIG_BYTES, Weights, is_zip, named, opened
from netloom.compile.importers.keras.graph_builder import Job, Sheet, Use, Value, fits, free, is_value
from netloom.compile.importers.keras.operator_table import LAYERS, OPERATIONS
from netloom.compile.importers.keras.shared_models import merged
from netloom.compile.importers.repeats import group_repeats
from netloom.core.text import plain
from netloom.document import Preparation, Project
from netloom.document.project import SUBNETWORK
from netloom.layers.subnetwork import interface
from netloom.validation import analyse

# Each family enters what it knows in the table when it is imported.
FAMILIES = (activations, merging, normalization, regularization, convolution, reshaping, sequences)
# What an axis gets whose length Keras leaves open.
OPEN_LENGTH = 64
KINDS = {1: "vector", 2: "sequence", 3: "image", 4: "volume"}
# What training alone asks of a layer.
_ASIDE = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint",
          "embeddings_regularizer", "gamma_regularizer", "beta_regularizer")  # fmt: skip
# Layers that do not mind in which order the numbers of a flattened image come, and hand them on.
_PASSING = frozenset({"Dropout", "ReLU", "LeakyReLU", "ELU", "GaussianNoise", "BatchNormalization", "Activation"})
# Where Keras keeps the layers of a model: now, and in its first versions of the format.
_HOLDERS = ("layers", "_layer_checkpoint_dependencies")
_BUGS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, ArithmeticError, RuntimeError)


def looks_like_keras(path: Path) -> bool:
    """Whether a file holds a Keras model, by its content: a zip with config.json, or the JSON of a model."""
    import zipfile

    try:
        if is_zip(path):
            with zipfile.ZipFile(path) as archive:
                names = set(archive.namelist())
            return CONFIG in names and bool(names & {"metadata.json", "model.weights.h5"})
        with path.open("rb") as file:
            head = file.read(4_096)
            if not head.lstrip(b'\xef\xbb\xbf \t\r\n"').startswith(b"{"):
                return False
            whole = head + file.read(MAX_CONFIG_BYTES)
        return b"class_name" in whole and any(kind.encode() in whole for kind in MODELS)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def read_keras(path: Path) -> ImportedModel:
    """The document that a Keras file describes, with its weights where it holds any.

    Raises:
        UnreadableModelError: the file is damaged, is none of Keras, or holds what has no layer here; it says which.
    """
    with opened(path) as (raw, weights):
        try:
            return _imported(raw, weights)
        except UnreadableModelError:
            raise
        except RecursionError:
            raise UnreadableModelError("The configuration is nested too deeply to be a model.") from None
        except MemoryError:
            raise UnreadableModelError("The model is too large for the memory of this machine.") from None


def _imported(raw: Any, weights: Weights | None) -> ImportedModel:
    config = model(raw)
    job = Job(weights is not None)
    sheet = _drawn(config, job, weights)
    networks = {"main": sheet.network(), **job.networks}
    project = Project(name=plain(config.name)[:200] or "Keras", networks=networks)
    project = _thawed(project, job)
    analysis = analyse(project)
    if analysis.errors:
        raise UnreadableModelError(f"The model cannot be imported: {plain(analysis.errors[0].message)}")
    project, tensors = merged(project, sheet.weights)
    for remark in _training(config):
        job.remark(remark)
    if weights is None:
        job.remark("The file contains no weights, so they are initialized randomly.")
    else:
        fits(project, tensors)
    prepare: Preparation | None = "none" if _prepares(config) else None
    return group_repeats(ImportedModel(project, tensors, tuple(job.remarks), prepare))


def _prepares(config: ModelConfig) -> bool:
    """Whether the model itself begins by scaling all that comes in, so that it takes numbers and pixels as they are."""
    first = [layer for ref in config.inputs for layer, _ in config.consumers(Ref(ref.layer))]
    return bool(first) and all(layer.kind in ("Rescaling", "Normalization") for layer in first)


def _training(config: ModelConfig) -> list[str]:
    """What the configuration says of training that has no place in a document, each once."""
    counts: Counter[str] = Counter()
    waiting = [config]
    while waiting:
        for layer in waiting.pop().layers.values():
            counts.update(name for name in _ASIDE if layer.config.get(name))
            waiting += [layer.model] if layer.model is not None else []
    return [
        f"{name.replace('_', ' ').capitalize()} of {count} layer{'s'[: count != 1]} is not imported; the "
        "predictions are the same, but further training runs without it."
        for name, count in sorted(counts.items())
    ]


def _thawed(project: Project, job: Job) -> Project:
    """The project with its layers trainable where Keras has all of them frozen, as nothing could learn then."""
    nodes = [node for network in project.networks.values() for node in network.nodes.values()]
    if not any(node.frozen for node in nodes) or not analyse(project).errors:
        return project
    job.remark("All layers are frozen in the file (trainable is false); after the import, all of them are trainable.")
    networks = {
        name: network.with_nodes(
            {key: node.model_copy(update={"frozen": False}) for key, node in network.nodes.items()}
        )
        for name, network in project.networks.items()
    }
    return project.model_copy(update={"networks": networks})


def _drawn(config: ModelConfig, job: Job, weights: Weights | None) -> Sheet:
    """A model as a network."""
    sheet = Sheet(job)
    places = _places(config)
    inner: dict[str, tuple[str, Sheet]] = {}
    known: dict[tuple[str, int], list[Value]] = {}
    entries = list(config.inputs)
    for number, ref in enumerate(entries, 1):
        layer = config.layers[ref.layer]
        sheet.begin(layer)
        known[ref.layer, 0] = [sheet.input(number, _input(config, layer, job))]
    waiting = [
        (layer, number, call)
        for layer in config.layers.values()
        if layer.kind != "InputLayer"
        for number, call in enumerate(layer.calls)
    ]
    while waiting:
        left = []
        for layer, number, call in waiting:
            if any((ref.layer, ref.call) not in known for ref in call.refs()):
                left.append((layer, number, call))
                continue
            if not call.refs():
                raise layer.refuse("has no input tensor")
            sheet.begin(layer)
            known[layer.name, number] = _use(config, sheet, layer, call, known, places, weights, inner)
        if len(left) == len(waiting):
            raise left[0][0].refuse("needs a tensor that no layer computes, or its own output")
        waiting = left
    for number, ref in enumerate(config.outputs, 1):
        sheet.begin(config.layers[ref.layer])
        sheet.output(number, _value(known, ref, config), ref.layer)
    return sheet


def _use(
    config: ModelConfig,
    sheet: Sheet,
    layer: LayerConfig,
    call: Call,
    known: dict[tuple[str, int], list[Value]],
    places: dict[str, tuple[str, ...]],
    weights: Weights | None,
    inner: dict[str, tuple[str, Sheet]],
) -> list[Value]:
    def filled(part: Any) -> Any:
        if isinstance(part, Ref):
            return _value(known, part, config)
        return [filled(each) for each in part] if isinstance(part, list) else part

    args, kwargs = [filled(arg) for arg in call.args], {key: filled(arg) for key, arg in call.kwargs.items()}
    holder = _found(weights, places.get(layer.name))
    if layer.model is not None:
        given = [value for arg in [*args, *kwargs.values()] for value in (arg if isinstance(arg, list) else [arg])]
        return _nested(sheet, layer, [value for value in given if is_value(value)], holder, inner)
    if layer.kind == "Lambda":
        raise layer.refuse("contains Python code, which is never run; replace it with layers and save the model again")
    handler = (OPERATIONS if layer.is_operation else LAYERS).get(layer.kind)
    if handler is None:
        own = layer.module and not layer.module.startswith("keras")
        why = "is of a custom class, whose code is never run" if own else "has no counterpart in Netloom"
        raise layer.refuse(f"{why}; replace it with layers of Keras that have one")
    if is_value(kwargs.get("mask")):
        raise layer.refuse("has a mask, which the import does not support")
    if layer.is_operation:
        kwargs = {key: value for key, value in kwargs.items() if is_value(value) or isinstance(value, (int, float))}
    use = Use(sheet, layer, args, kwargs, holder, _flat(config, layer))
    try:
        return [handler(use)]
    except UnreadableModelError:
        raise
    except _BUGS as error:
        raise layer.refuse(f"has settings or weights that cannot be read ({plain(str(error))[:100]})") from None


def _value(known: dict[tuple[str, int], list[Value]], ref: Ref, config: ModelConfig) -> Value:
    found = known.get((ref.layer, ref.call), [])
    if not 0 <= ref.output < len(found):
        raise UnreadableModelError(
            f"The layer {named(ref.layer)} of {named(config.name)} has no output {ref.output + 1}."
        )
    return found[ref.output]


def _nested(
    sheet: Sheet, layer: LayerConfig, given: list[Value], weights: Weights | None, inner: dict[str, tuple[str, Sheet]]
) -> list[Value]:
    """A model within a model: a network of its own, and a node that stands for it."""
    job = sheet.job
    if layer.model is None:
        raise AssertionError("only models can be nested")
    if layer.name not in inner:
        name = job.name(layer.name)
        drawn = _drawn(layer.model, job, weights)
        job.networks[name] = drawn.network()
        inner[layer.name] = (name, drawn)
    name, drawn = inner[layer.name]
    looks = interface(job.networks[name])
    if len(looks.inputs) != len(given):
        raise layer.refuse(f"received {len(given)} tensors, but {len(looks.inputs)} are expected")
    taken = []
    for value, (_, node) in zip(given, looks.inputs, strict=True):
        wanted = drawn.values[node]
        value = sheet.natural(value)
        if wanted.spec.dtype == "int" and value.spec.dtype != "int":
            value = sheet.add("Cast", {"to": "int"}, value)
        if wanted.spec != value.spec:
            raise layer.refuse(
                f"received {value.spec.beside(wanted.spec)}, but its Input takes {wanted.spec.beside(value.spec)}"
            )
        taken.append(value)
    key = free(layer.name, sheet.nodes)
    sheet.several(SUBNETWORK, {"network": name}, *taken, key=key)
    if drawn.learns:
        sheet.tie(key)
    for path, tensor in drawn.weights.items():
        sheet.weights[f"{key}.{path}"] = tensor
    return [replace(drawn.values[node], node=key, port=port) for port, node in looks.outputs]


def _input(config: ModelConfig, layer: LayerConfig, job: Job) -> dict[str, Any]:
    """The parameters of an Input: tokens where all that follows is an embedding, else what the shape says."""
    raw = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
    if (
        not isinstance(raw, list)
        or len(raw) < 2
        or any(length is not None and (type(length) is not int or not 1 <= length <= 1_000_000) for length in raw[1:])
    ):
        raise layer.refuse(f"has the input shape {named(raw)}, which is not a shape of one to four axes")
    shape = [OPEN_LENGTH if length is None else length for length in raw[1:]]
    if None in raw[1:]:
        job.remark(
            f"{named(layer.name)}: a length that is open in Keras is set to {OPEN_LENGTH}; change it in the Input."
        )
    if len(shape) not in KINDS:
        raise layer.refuse(f"has an input with {len(shape)} axes, but an Input of Netloom has one to four")
    field = plain(layer.name)[:200]
    vocabulary = _vocabulary(config, Ref(layer.name)) if len(shape) == 1 else None
    if vocabulary is not None:
        return {"field": field, "kind": "tokens", "shape": shape, "vocabulary": vocabulary}
    if len(shape) > 2:
        shape = [shape[-1], *shape[:-1]]
    return {"field": field, "kind": KINDS[len(shape)], "shape": shape}


def _vocabulary(config: ModelConfig, ref: Ref) -> int | None:
    """How many tokens there are, where a tensor goes to embeddings alone."""
    found: list[int] = []
    for layer, call in config.consumers(ref):
        if layer.model is not None:
            places = [place for place, other in enumerate(call.refs()) if other == ref]
            for place in places:
                if place >= len(layer.model.inputs):
                    return None
                inner = _vocabulary(layer.model, layer.model.inputs[place])
                if inner is None:
                    return None
                found.append(inner)
        elif layer.kind == "Embedding":
            found.append(layer.whole("input_dim"))
        else:
            return None
    return min(found) if found and ref not in config.outputs else None


def _flat(config: ModelConfig, layer: LayerConfig) -> bool:
    """Whether all that a Flatten feeds can take its numbers in another order: in the end, a dense layer of its own."""
    if layer.kind != "Flatten":
        return False
    ready, seen = [layer], set()
    while ready:
        one = ready.pop()
        if one.name in seen:
            continue
        seen.add(one.name)
        if len(one.calls) != 1 or Ref(one.name) in config.outputs:
            return False
        following = config.consumers(Ref(one.name))
        if not following:
            return False
        for other, _ in following:
            if other.kind == "Dense" and len(other.calls) == 1 and not other.is_operation:
                continue
            shares = other.kind == "Activation" and other.config.get("activation") in ("softmax", "log_softmax")
            if other.kind not in _PASSING or other.is_operation or shares:
                return False
            ready.append(other)
    return True


def _places(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Where each layer's weights lie in the file: Keras counts the layers of each class."""
    counts: dict[str, int] = {}
    found: dict[str, tuple[str, ...]] = {}
    for layer in config.layers.values():
        if layer.is_operation:
            continue
        base = _snake(layer.kind)
        number = counts.get(base, 0)
        counts[base] = number + 1
        found[layer.name] = (f"{base}_{number}" if number else base,)
    return found


def _found(weights: Weights | None, place: tuple[str, ...] | None) -> Weights | None:
    if weights is None or place is None:
        return None
    inside = (weights.inside(holder, *place) for holder in _HOLDERS)
    return next((found for found in inside if found is not None), None)


def _snake(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
