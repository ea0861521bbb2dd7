"""What is known of Keras: for each class, the function that draws a use of it."""

from __future__ import annotations

from collections.abc import Callable

from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall

Handler = Callable[[LayerCall], KerasTensor]
LAYERS: dict[str, Handler] = {}
OPERATIONS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Marks what draws layers of these classes."""

    def mark(handler: Handler) -> Handler:
        LAYERS.update(dict.fromkeys(kinds, handler))
        return handler

    return mark


def operation(*kinds: str) -> Callable[[Handler], Handler]:
    """Marks what draws functions of tensors, which Keras keeps beside layers."""

    def mark(handler: Handler) -> Handler:
        OPERATIONS.update(dict.fromkeys(kinds, handler))
        return handler

    return mark
