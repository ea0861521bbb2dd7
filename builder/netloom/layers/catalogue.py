"""The catalog of layers, and the conversion of nodes to layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from netloom.core.field_errors import FieldError, field_errors, nearest_name
from netloom.core.registry import discover
from netloom.core.text import plain
from netloom.document import Node
from netloom.document.expression import SIZE, ExpressionError, Number, evaluate
from netloom.document.former_names import FORMER_LAYER_TYPES
from netloom.layers.form import EXPRESSIONS, form
from netloom.layers.layer import GROUPS, Layer, ParameterError

if TYPE_CHECKING:
    from torch import nn

# Returns the length of an axis of a layer's input.
Size = Callable[[int], int]


@cache
def registry() -> Mapping[str, type[Layer]]:
    """All layers by type name, in the order of the palette.

    Classes in new modules of this package, or of its subpackages, are found without registration.
    """
    groups = list(GROUPS)
    return discover(
        Layer,
        "netloom.layers",
        declared_by="title",
        name=lambda layer: layer.__name__,
        # Within a group by module, so that a move to another folder does not change the order of the palette.
        order=lambda layer: (groups.index(layer.group), layer.__module__.rpartition(".")[2]),
        is_recursive=True,
    )


def layer_class(type_name: str) -> type[Layer]:
    """The class of the layers of a type; for an unknown type the base class, whose properties are the usual ones."""
    return registry().get(type_name, Layer)


def module_layer(module: nn.Module) -> type[Layer]:
    """The class of the layers whose module this is; the base class for other modules, such as parts of a block.

    The class of the module has the name of the layer, which can be a former one in the code of an older run. It is
    found by name, because generated code defines classes of its own.
    """
    from torch import nn

    import netloom.nn

    name = type(module).__name__
    name = FORMER_LAYER_TYPES.get(name, name)
    return layer_class(name) if hasattr(netloom.nn, name) or hasattr(nn, name) else Layer


# The word for a size that is filled in from the data, and the length of an axis until then.
AUTO, PROVISIONAL = "auto", 16


def label(node: Node) -> str:
    """The name of a node in messages, on one line: its title, or the title of its layer and its id."""
    layer = registry().get(node.type)
    return plain(node.title) or (f"{layer.title} ({node.id})" if layer else node.id)


def parse(node: Node, names: Mapping[str, Number] = MappingProxyType({}), size: Size | None = None) -> Layer:
    """The layer of a node. Expressions in its parameters can use `names` and the `size` of its input.

    If `size` is not known yet, parameters that need it keep their defaults.

    Raises:
        ParameterError: The type is unknown, or a parameter is missing, unknown, of a wrong type, or out of bounds.
    """
    params = node.params
    if node.type in registry():
        if reason := registry()[node.type].refusal():
            raise ParameterError(reason)
        params = _evaluated(registry()[node.type], params, names, size)
    # As sorted JSON, because the key of the cache must be hashable and must not depend on the order of parameters
    return _parse(node.type, json.dumps(params, sort_keys=True))


def is_auto(value: object) -> bool:
    """Whether a parameter, or an axis of a shape, is to be filled in from the data."""
    return value == AUTO or (isinstance(value, list) and AUTO in value)


def asks_for_size(node: Node) -> bool:
    """Whether a parameter is an expression that uses the shape of the input."""
    return any(f"{SIZE}(" in str(value) for value in node.params.values())


def _evaluated(
    layer: type[Layer], params: Mapping[str, Any], names: Mapping[str, Number], size: Size | None
) -> dict[str, Any]:
    """The parameters of a node, in which expressions are replaced by their values."""
    values = dict(params)
    for name, value in params.items():
        kind = _numeric(layer).get(name)
        if kind is None or not isinstance(value, (str, list, dict)):
            continue
        if is_auto(value) and AUTO not in names:
            # A provisional size, with which the network can be built; validation reports it until the data is known
            if isinstance(value, list):
                values[name] = [PROVISIONAL if part == AUTO else part for part in value]
            else:
                del values[name]
            continue
        if size is None and f"{SIZE}(" in str(value):
            # The parameter falls back to its default, so that the ports are known before the shapes are
            del values[name]
            continue

        def number(part: Any, is_integer: bool = kind in ("int", "ints")) -> Any:
            if not isinstance(part, str):
                return part
            result = evaluate(part, names, size)
            # Strict validation refuses 32.0 for an integer, which is the value of 64 / 2.
            return int(result) if is_integer and result == int(result) else result

        try:
            if isinstance(value, list):
                values[name] = [number(part) for part in value]
            elif isinstance(value, dict):
                values[name] = {key: number(part) for key, part in value.items()}
            else:
                values[name] = number(value)
        except ExpressionError as error:
            raise ParameterError(FieldError((name,), str(error), kind="statement")) from None
    return values


@cache
def _numeric(layer: type[Layer]) -> dict[str, str]:
    """The numeric parameters of a layer with their kinds."""
    return {item.name: item.kind for item in form(layer) if item.kind in ("int", "float", "ints", "values")}


def numeric(types: Iterable[str]) -> dict[str, list[str]]:
    """The parameters that accept numeric expressions, by layer type; unknown types are omitted."""
    catalogue = registry()
    return {kind: [*_with_expressions(catalogue[kind])] for kind in types if kind in catalogue}


@cache
def _with_expressions(layer: type[Layer]) -> tuple[str, ...]:
    return tuple(field.name for field in form(layer) if field.kind in EXPRESSIONS)


@lru_cache(maxsize=8192)
def _parse(type_name: str, params: str) -> Layer:
    layer = registry().get(type_name)
    if layer is None:
        nearest = nearest_name(type_name, registry())
        hint = f"; did you mean {nearest}?" if nearest else "."
        raise ParameterError(f"There is no layer of the type {type_name[:80]!r}{hint}")
    try:
        return layer.model_validate(json.loads(params))
    except ValidationError as error:
        raise ParameterError(*field_errors(error, layer, "parameter", layer.title)) from None
