"""Parsing of a formula, which is a subset of Python, into a network; the code is never executed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netloom.compile.formula.calls import CallReader
from netloom.compile.formula.graph_builder import UnlocatedError
from netloom.compile.formula.names import INITIALIZATION, FormulaError, suggestion
from netloom.compile.formula.operators import binary, compare, indexed, negative
from netloom.compile.formula.values import Number, Tensor, Value, constant, is_numeric
from netloom.compile.placement import place
from netloom.core.text import plain
from netloom.document import Network, is_identifier
from netloom.document.initialization import Initialization
from netloom.layers import registry

MAX_LENGTH = 200_000
MAX_DEPTH = 60
MAX_PARAMETERS = 64
_KINDS = "each line must be name = …, an expression, or return …"


def network_of(text: str, networks: Mapping[str, Network] = MappingProxyType({})) -> Network:
    """The network that a formula describes; `networks` can be called by name. No code is executed.

    Raises:
        FormulaError: The formula is invalid; the message has the position, and says what is expected.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"the text has {len(text):,} characters; {MAX_LENGTH:,} are allowed.", 1)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:  # Python's own message for it differs between versions
        raise FormulaError(f"null bytes are not allowed; {_KINDS}.", text[: text.index("\0")].count("\n") + 1)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise FormulaError(f"{_syntax(error)}.", error.lineno or 1, max(error.offset or 1, 1)) from None
    except (ValueError, RecursionError, MemoryError):
        raise FormulaError("the code is nested too deeply or contains invalid characters.", 1) from None
    return _FormulaReader(text, networks).read(tree.body)


def _syntax(error: SyntaxError) -> str:
    message = plain(str(error.msg).partition(";")[0]) or "invalid syntax"
    return f"{message[:1].lower() + message[1:]}; {_KINDS}"


class _FormulaReader(CallReader):
    """Reads the lines of a formula in order and adds their nodes to a builder."""

    def __init__(self, text: str, networks: Mapping[str, Network]) -> None:
        super().__init__(text, networks)
        self._depth = 0
        self._declared = False
        self._used: dict[str, ast.expr] = {}

    def read(self, lines: list[ast.stmt]) -> Network:
        if not lines:
            raise FormulaError("type what the layer computes from x, such as GELU(Linear(x, units=64)).", 1)
        self._declared = any(
            isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id.lower() == "input"
            for line in lines
            for item in ast.walk(line)
        )
        for number, line in enumerate(lines, 1):
            self._line(line, last=number == len(lines))
        return place(self.builder.network())

    def _line(self, line: ast.stmt, *, last: bool) -> None:
        if isinstance(line, ast.AugAssign) and isinstance(line.target, ast.Name):
            # x += y is read as x = x + y, with positions for error messages.
            left = ast.copy_location(ast.Name(line.target.id, ast.Load()), line.target)
            expanded = ast.copy_location(ast.BinOp(left, line.op, line.value), line)
            self._assign([line.target], expanded, line)
        elif isinstance(line, ast.Assign) and len(line.targets) == 1:
            target = line.targets[0]
            self._assign(list(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else [target], line.value, line)
        elif isinstance(line, ast.Return):
            if not last:
                self.fail(line, "no line may follow return")
            self._return(line.value, line)
            return
        elif isinstance(line, ast.Expr):
            self._expression(line.value, last)
            return
        else:
            self.fail(line, f"this statement is not supported; {_KINDS}")
        if last and not any(node.type == "Output" for node in self.builder.nodes.values()):
            self.fail(line, "the last line must define the output, such as return hidden")

    def _expression(self, value: ast.expr, last: bool) -> None:
        if isinstance(value, ast.Call):
            result = self.value(value)
            if isinstance(result, Tensor) and not result.ports:  # an Output
                return
            if last:
                self._add_outputs([(value, result)])
                return
        elif last:
            self._return(value, value)
            return
        self.fail(value, "the result of this line is not used; assign it with name =")

    def _assign(self, targets: list[ast.expr], value: ast.expr, line: ast.stmt) -> None:
        names = []
        for target in targets:
            if not isinstance(target, ast.Name):
                self.fail(target, "only names are allowed on the left of =")
            names.append(target.id)
        name = names[0]
        number = constant(value)
        if len(names) == 1 and number is not None:
            self._parameter(name, number, line)
            return
        if names == [INITIALIZATION] and isinstance(value, (ast.Dict, ast.Constant)):
            with self.at(value):
                self.builder.initialization = Initialization.model_validate(self.literal(value))
            return
        for assigned_name in names:
            if assigned_name in self.builder.parameters:
                self.fail(line, f"{assigned_name} is already a parameter of this network; choose another name")
        result = self.value(value, "" if names[1:] else name)
        if len(names) == 1:
            self._refuse_early_use(name, value, line)
            self.names[name] = result
            return
        ports = result.ports if isinstance(result, Tensor) else ()
        if len(ports) != len(names):
            gives = f"has {len(ports)}: {', '.join(ports)}" if ports else "has no tensors"
            self.fail(line, f"{len(names)} names are on the left, but the right side {gives}")
        for assigned_name, port in zip(names, ports, strict=True):
            self._refuse_early_use(assigned_name, value, line)
            self.names[assigned_name] = Tensor(result.node, port, ports)  # type: ignore[union-attr]

    def _refuse_early_use(self, name: str, value: ast.expr, line: ast.stmt) -> None:
        """Refuse a name that became an Input because it was used above the line that defines it."""
        used = self._used.pop(name, None)
        # In x = f(x), the right side means the Input, and later lines mean the result.
        if used is not None and not any(item is used for item in ast.walk(value)):
            self.fail(used, f"{name} is used before it is defined in line {line.lineno}; move that line up")

    def _parameter(self, name: str, number: int | float, line: ast.stmt) -> None:
        if not is_identifier(name):
            self.fail(
                line,
                f"a parameter needs an unused lowercase name, such as width; {name[:60]} is invalid or already in use",
            )
        if name in self.builder.parameters or name in self.names:
            self.fail(line, f"{name} is already defined; choose another name")
        if abs(number) > 1e9:
            self.fail(line, f"a parameter must be between -1e9 and 1e9, received {str(number)[:30]}")
        if len(self.builder.parameters) >= MAX_PARAMETERS:
            self.fail(line, f"a network can have at most {MAX_PARAMETERS} parameters")
        self.builder.parameters[name] = number

    def _return(self, value: ast.expr | None, line: ast.AST) -> None:
        parts = list(value.elts) if isinstance(value, (ast.Tuple, ast.List)) else [value] if value is not None else []
        self._add_outputs([(part, self.value(part)) for part in parts])

    def _add_outputs(self, parts: list[tuple[ast.expr, Value]]) -> None:
        used_names: set[str] = set()
        for number, (part, value) in enumerate(parts, 1):
            tensor = self.tensor(part, value)
            name = part.id if isinstance(part, ast.Name) and part.id not in used_names else f"output_{number}"
            used_names.add(name)
            with self.at(part):
                self.builder.add_node(
                    "Output", [tensor], {"name": name[:64]} if parts[1:] else {}, name=f"output_{number}"
                )

    def value(self, node: ast.expr, name: str = "") -> Value:
        """The value of an expression; its last node gets the id `name`, if that is unused."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(
                node, f"this is nested more than {MAX_DEPTH} levels deep; assign its parts to names in separate lines"
            )
        try:
            if is_numeric(node, {**self.builder.parameters, **self.numbers}):
                return Number(self.source(node))
            with self.at(node):
                return self._value(node, name)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr, name: str) -> Value:
        if isinstance(node, ast.Name):
            return self._name_value(node)
        if isinstance(node, ast.Call):
            return self.call(node, name)
        if isinstance(node, ast.BinOp):
            left, right = self._operand(node.left), self._operand(node.right)
            return binary(self.builder, type(node.op), left, right, name)  # type: ignore[no-any-return]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            tensor = self.tensor(node.operand, self.value(node.operand))
            return negative(self.builder, tensor, name) if isinstance(node.op, ast.USub) else tensor
        if isinstance(node, ast.Compare):
            if len(node.ops) > 1:
                raise UnlocatedError("chained comparisons are not supported; compare two values at a time")
            left, right = self._operand(node.left), self._operand(node.comparators[0])
            return compare(self.builder, type(node.ops[0]), left, right, name)  # type: ignore[no-any-return]
        if isinstance(node, ast.Attribute):
            return self._port(node)
        if isinstance(node, ast.Subscript):
            tensor = self.tensor(node.value, self.value(node.value))
            parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
            return indexed(self.builder, tensor, [self._index(part) for part in parts], name)
        raise UnlocatedError(
            "an expression can contain names, numbers, layers, + - * / // @ **, comparisons and brackets"
        )

    def _operand(self, node: ast.expr) -> Tensor | Number:
        value = self.value(node)
        return value if isinstance(value, Number) else self.tensor(node, value)

    def _name_value(self, node: ast.Name) -> Value:
        name = node.id
        if name in self.names:
            return self.names[name]
        if name in registry():
            raise UnlocatedError(f"{name} is a layer; call it with a tensor, such as {name}(x)")
        # With a declared Input, an unknown name is an error; without one, it becomes an Input.
        if self._declared:
            raise UnlocatedError(f"there is no tensor {name[:60]!r}{suggestion(name, self.names)}")
        unused = [key for key, value in self.names.items() if key not in self._used and isinstance(value, Tensor)]
        hint = suggestion(name, [key for key in unused if _likely(name, key)])
        if hint:
            raise UnlocatedError(
                f"there is no tensor {name[:60]!r}{hint}; if it is an input, write {name[:60]} = Input() above"
            )
        self._used[name] = node
        self.names[name] = self.builder.add_input(name)
        return self.names[name]

    def _port(self, node: ast.Attribute) -> Tensor:
        tensor = self.tensor(node.value, self.value(node.value))
        if node.attr not in tensor.ports:
            raise UnlocatedError(
                f"there is no output {node.attr[:60]!r}{suggestion(node.attr, tensor.ports)}; "
                f"this one has {', '.join(tensor.ports)}"
            )
        return Tensor(tensor.node, node.attr, tensor.ports)

    def _index(self, node: ast.expr) -> Any:
        """One of the indices between brackets: ..., an integer, or a triple for a slice."""
        if isinstance(node, ast.Constant) and node.value is ...:
            return ...
        if isinstance(node, ast.Slice):
            return tuple(None if part is None else self._index(part) for part in (node.lower, node.upper, node.step))
        value = self.value(node)
        if not isinstance(value, Number) or isinstance(value.value, float):
            raise UnlocatedError("an index must be an integer or a slice, such as x[:, 0] or x[:, 1:3]")
        return value.literal


def _likely(name: str, known: str) -> bool:
    """Whether a name is probably a typing error for a known name.

    Names that differ only in their numbers, such as x_1 and x_2, are different on purpose, and short names all resemble
    each other.
    """
    without = [text.strip("0123456789_") for text in (name, known)]
    return min(map(len, without)) >= 4 and without[0] != without[1] and abs(len(name) - len(known)) <= 2
