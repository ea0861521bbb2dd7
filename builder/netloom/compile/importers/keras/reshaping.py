"""Layers that arrange the same numbers in another way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from netloom.compile.importers.keras.container import named
from netloom.compile.importers.keras.graph_builder import Use, Value
from netloom.compile.importers.keras.operator_table import handles


@handles("Flatten")
def _flatten(use: Use) -> Value:
    value = use.value
    if value.first and min(value.shape[0], math.prod(value.shape[1:])) > 1:
        if not use.flat:
            return use.add("Flatten", {}, use.sheet.last(value), main=True)
        lengths = value.keras
        order = np.moveaxis(np.arange(math.prod(lengths)).reshape(lengths), -1, 0).reshape(-1)
        return replace(use.add("Flatten", {}, value, main=True), order=order)
    return use.add("Flatten", {}, value, main=True)


@handles("Reshape")
def _reshape(use: Use) -> Value:
    shape = use.layer.config.get("target_shape")
    if not isinstance(shape, list) or not all(type(length) is int for length in shape):
        raise use.refuse(f"needs a shape, received {named(shape)}")
    value = use.sheet.last(use.value)
    return use.add("Reshape", {"shape": list(shape)}, value, main=True)


@handles("Permute")
def _permute(use: Use) -> Value:
    order = use.layer.config.get("dims")
    if not isinstance(order, list) or not all(type(axis) is int for axis in order):
        raise use.refuse(f"needs an order of axes, received {named(order)}")
    return use.add("Permute", {"order": list(order)}, use.sheet.last(use.value), main=True)


@handles("RepeatVector")
def _repeat(use: Use) -> Value:
    spread = use.add("Unsqueeze", {"axis": 1}, use.value)
    return use.add("Expand", {"axis": 1, "length": use.layer.whole("n")}, spread, main=True)
