"""Layers that change the shape of a tensor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from netloom.compile.importers.imported_model import quoted
from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall
from netloom.compile.importers.keras.operator_table import handles


@handles("Flatten")
def _flatten(use: LayerCall) -> KerasTensor:
    value = use.value
    if value.is_channels_first and min(value.shape[0], math.prod(value.shape[1:])) > 1:
        # Keras flattens with channels last. Without a Permute, the order changes, and later weights are reordered.
        if not use.accepts_reordering:
            return use.add("Flatten", {}, use.builder.channels_last(value), main=True)
        lengths = value.keras_shape
        # (H, W, C) -> (C, H, W): the positions in Keras, in the order of the new values
        order = np.moveaxis(np.arange(math.prod(lengths)).reshape(lengths), -1, 0).reshape(-1)
        return replace(use.add("Flatten", {}, value, main=True), order=order)
    return use.add("Flatten", {}, value, main=True)


@handles("Reshape")
def _reshape(use: LayerCall) -> KerasTensor:
    shape = use.layer.config.get("target_shape")
    if not isinstance(shape, list) or not all(type(length) is int for length in shape):
        raise use.refuse(f"needs a shape, received {quoted(shape)}")
    value = use.builder.channels_last(use.value)
    return use.add("Reshape", {"shape": list(shape)}, value, main=True)


@handles("Permute")
def _permute(use: LayerCall) -> KerasTensor:
    order = use.layer.config.get("dims")
    if not isinstance(order, list) or not all(type(axis) is int for axis in order):
        raise use.refuse(f"needs an order of axes, received {quoted(order)}")
    return use.add("Permute", {"order": list(order)}, use.builder.channels_last(use.value), main=True)


@handles("RepeatVector")
def _repeat(use: LayerCall) -> KerasTensor:
    spread = use.add("Unsqueeze", {"axis": 1}, use.value)
    return use.add("Expand", {"axis": 1, "length": use.layer.integer("n")}, spread, main=True)
