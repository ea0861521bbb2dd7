"""Calls in a formula: of a layer in the catalog, a network of the project, or a layer that is bound to a name."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from netloom.compile.formula.graph_builder import UnlocatedError
from netloom.compile.formula.lines import LineReader
from netloom.compile.formula.names import NODE_FIELDS, CalledLayer, callables, parameter_of, suggestion
from netloom.compile.formula.values import BoundLayer, Number, Tensor, Value, constant, is_numeric
from netloom.core.field_errors import comparable
from netloom.document import SUBNETWORK
from netloom.document.former_names import FORMER_LAYER_TYPES
from netloom.layers import registry

# Module prefixes of PyTorch code; they are accepted and ignored.
_MODULES = frozenset({"nn", "torch", "F"})
_EXTREMES = {"max": ("Maximum", "low"), "min": ("Minimum", "high")}


class CallReader(LineReader):
    """Reads calls with their arguments; the subclass reads all other expressions."""

    def value(self, node: ast.expr, name: str = "") -> Value:
        """The value of an expression."""
        raise NotImplementedError

    def call(self, node: ast.Call, name: str) -> Value:
        """The value of a call: the output of a new node, or a bound layer if no tensors are given.

        Raises:
            UnlocatedError: The layer does not exist or does not accept these arguments.
        """
        bound = self._bound(node.func)
        if bound is not None:
            if node.keywords:
                raise UnlocatedError(f"this {bound.kind} already has its parameters; call it with tensors only")
            return self.builder.apply(bound, self._tensors(node, bound.kind), name)
        called = self._called_name(node.func)
        extreme = self._extreme(called, node, name)
        if extreme is not None:
            return extreme
        kind, preset = self._called_layer(called)
        tensors = self._tensors(node, kind)
        params, extras, named = self._keywords(node, kind, preset)
        # Without tensors, a call is like the constructor of an nn.Module, which is applied later.
        if not tensors and not named and not self.builder.takes_nothing(kind, params):
            return BoundLayer(kind, params, extras)
        return self.builder.add_node(kind, tensors, params, extras, name, named)

    def _bound(self, called: ast.expr) -> BoundLayer | None:
        """The bound layer that is called, by its name or directly, as in Linear(units=8)(x); None for other calls."""
        value = self.value(called) if isinstance(called, ast.Call) else None
        if isinstance(called, ast.Name):
            value = self.names.get(called.id)
        if isinstance(called, ast.Call) and not isinstance(value, BoundLayer):
            raise UnlocatedError("a tensor is not callable")
        return value if isinstance(value, BoundLayer) else None

    def _called_name(self, called: ast.expr) -> str:
        if isinstance(called, ast.Name):
            return called.id
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in _MODULES:
            return called.attr
        raise UnlocatedError("call a layer by its name, such as Linear(x, units=64)")

    def _extreme(self, called: str, node: ast.Call, name: str) -> Tensor | None:
        """The node of max(a, b), a Maximum, or of max(a, 0), a Clamp; None for all other calls.

        The layer Max reduces an axis instead, which max(a) without a second argument means.
        """
        if called not in _EXTREMES or len(node.args) < 2 or node.keywords:
            return None
        kind, limit = _EXTREMES[called]
        values = [self.value(part) for part in node.args]
        numbers = [value for value in values if isinstance(value, Number)]
        tensors = [value for value in values if isinstance(value, Tensor)]
        if len(values) == 2 and len(numbers) == 1 and len(tensors) == 1:
            # The other limit is set to None, because it has a default in Clamp.
            other_limit = "high" if limit == "low" else "low"
            return self.builder.add_node("Clamp", tensors, {limit: numbers[0], other_limit: None}, name=name)
        return self.builder.add_node(
            kind, [self.tensor(*pair) for pair in zip(node.args, values, strict=True)], name=name
        )

    def _called_layer(self, called: str) -> CalledLayer:
        if called in self.builder.networks:
            return SUBNETWORK, {"network": called}
        layer = callables().get(comparable(FORMER_LAYER_TYPES.get(called, called)))
        if layer is None:
            known = [*callables(), *registry(), *self.builder.networks]
            raise UnlocatedError(f"there is no layer {called[:60]!r}{suggestion(called, known)}")
        return layer

    def _tensors(self, node: ast.Call, kind: str) -> list[Tensor | None]:
        tensors: list[Tensor | None] = []
        for part in node.args:
            if isinstance(part, ast.Starred):
                self.fail(part, "unpacking with * is not supported; write each tensor as an argument")
            if isinstance(part, ast.Constant) and part.value is None:
                tensors.append(None)
                continue
            if isinstance(part, (ast.Tuple, ast.List)) and len(node.args) == 1:  # Concat([a, b])
                tensors += [self.tensor(inner, self.value(inner)) for inner in part.elts]
                continue
            value = self.value(part)
            if isinstance(value, Number):
                fields = list(registry()[kind].model_fields)
                hint = f"; write {fields[0]}={value.text[:40]}" if fields else ""
                self.fail(part, f"{kind} takes tensors as positional arguments and numbers as keyword arguments{hint}")
            tensors.append(self.tensor(part, value))
        return tensors

    def _keywords(
        self, node: ast.Call, kind: str, preset: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor | None]]:
        """The keyword arguments: parameters of the layer, fields of the node, and tensors by the name of their port."""
        fields = registry()[kind].model_fields
        inner = self.builder.networks.get(str(preset.get("network")))
        exposed: dict[str, Any] = {}
        params, extras = dict(preset), dict[str, Any]()
        named: dict[str, Tensor | None] = {}
        for word in node.keywords:
            name = parameter_of(fields, word.arg or "")
            if word.arg is None:
                self.fail(word.value, "unpacking with ** is not supported; write each parameter as name=value")
            # A name can have several meanings: parameters of the layer take precedence.
            if name in fields:
                params[name] = self.literal(word.value)
            elif inner is not None and word.arg in inner.parameters:
                exposed[word.arg] = self.literal(word.value)
            elif name in NODE_FIELDS:
                extras[name] = self._shared(word.value) if name == "shares" else self.literal(word.value)
            elif isinstance(word.value, ast.Constant) and word.value.value is None:
                named[word.arg] = None
            elif self._is_literal(word.value):
                known = [*fields, *(inner.parameters if inner else ())]
                has = ", ".join(known) or "none"
                self.fail(word, f"{kind} has no parameter {name[:60]!r}{suggestion(name, known)}; it has {has}")
            else:
                named[word.arg] = self.tensor(word.value, self.value(word.value))
        if exposed:
            if not isinstance(params.setdefault("values", {}), dict):
                raise UnlocatedError("values= needs names and numbers, such as {'width': 64}")
            params["values"] = {**params["values"], **exposed}
        return params, extras, named

    def _shared(self, node: ast.expr) -> str:
        """The id of the node whose weights are shared, given as its id or as the name of its output."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Name):
            value = self.names.get(node.id)
            if isinstance(value, BoundLayer) and value.first:
                return value.first
            return value.node if isinstance(value, Tensor) else node.id
        self.fail(node, "shares= needs the name of another layer of this network")

    def _is_literal(self, node: ast.expr) -> bool:
        if isinstance(node, (ast.Constant, ast.Tuple, ast.List, ast.Dict)):
            return True
        return is_numeric(node, {**self.builder.parameters, **self.numbers})

    def literal(self, node: ast.expr) -> Any:
        """The value of a parameter: a number, text, True, False, None, an expression, or a list or dict of them."""
        number = constant(node)
        if number is not None:
            return number
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, str))):
            return node.value
        if isinstance(node, (ast.Tuple, ast.List)):
            return [self.literal(part) for part in node.elts]
        if isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if not all(isinstance(key, str) for key in keys):
                self.fail(node, "between { and }, write names in quotes, each followed by a colon and a number")
            return {key: self.literal(part) for key, part in zip(keys, node.values, strict=True)}
        if is_numeric(node, {**self.builder.parameters, **self.numbers}):
            return Number(self.source(node)).literal
        if isinstance(node, ast.Name):
            known = [*self.builder.parameters, "True", "False", "None"]
            hint = suggestion(node.id, known) or "; write text in quotes, or the parameter as a line above"
            self.fail(node, f"{node.id[:60]!r} is not a parameter of this network{hint}")
        self.fail(
            node, "a parameter must be a number, text in quotes, True, False, None or an expression over parameters"
        )
