"""The registry of the functions that convert Keras layers and operations, by class name."""

from __future__ import annotations

from collections.abc import Callable

from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall

Handler = Callable[[LayerCall], KerasTensor | list[KerasTensor]]
LAYERS: dict[str, Handler] = {}
OPERATIONS: dict[str, Handler] = {}


def outputs(result: KerasTensor | list[KerasTensor]) -> list[KerasTensor]:
    """The outputs of a converter; most converters return a single one."""
    return result if isinstance(result, list) else [result]


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Register the converter of layers of these classes."""

    def mark(handler: Handler) -> Handler:
        LAYERS.update(dict.fromkeys(kinds, handler))
        return handler

    return mark


def operation(*kinds: str) -> Callable[[Handler], Handler]:
    """Register the converter of operations of keras.ops, which Keras records like layers."""

    def mark(handler: Handler) -> Handler:
        OPERATIONS.update(dict.fromkeys(kinds, handler))
        return handler

    return mark
