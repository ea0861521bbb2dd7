"""The catalog of layers. The class of a layer declares its parameters, form, JSON schema and code."""

from netloom.layers.catalogue import asks_for_size, label, layer_class, module_layer, parse, registry
from netloom.layers.form import FormField, form
from netloom.layers.layer import (
    GROUPS,
    KIND_NAMES,
    Call,
    Example,
    Kind,
    Layer,
    ParameterError,
    Port,
    TensorSpec,
    resolve,
)

__all__ = [
    "GROUPS",
    "KIND_NAMES",
    "Call",
    "Example",
    "FormField",
    "Kind",
    "Layer",
    "ParameterError",
    "Port",
    "TensorSpec",
    "asks_for_size",
    "form",
    "label",
    "layer_class",
    "module_layer",
    "parse",
    "registry",
    "resolve",
]
