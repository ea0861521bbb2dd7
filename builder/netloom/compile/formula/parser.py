"""Typed lines as a network."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netloom.compile.formula.calls import Calls
from netloom.compile.formula.graph_builder import Mistake
from netloom.compile.formula.names import FormulaError, nearest
from netloom.compile.formula.operators import binary, compare, indexed, negative
from netloom.compile.formula.values import Number, Tensor, Value, constant, is_numeric
from netloom.compile.placing import place
from netloom.core.text import plain
from netloom.document import Network, is_identifier
from netloom.layers import registry

MAX_LENGTH = 200_000
MAX_DEPTH = 60
MAX_PARAMETERS = 64
_KINDS = "each line must be name = …, an expression, or return …"


def network_of(text: str, networks: Mapping[str, Network] = MappingProxyType({})) -> Network:
    """The network that some lines describe; nothing of them is run. `networks` may be called by their names.

    Raises:
        FormulaError: one sentence that says where it is wrong, and what was expected.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"the text has {len(text):,} characters; {MAX_LENGTH:,} are allowed.", 1)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:  # of which Python's own words differ from version to version
        raise FormulaError(f"null bytes are not allowed; {_KINDS}.", text[: text.index("\0")].count("\n") + 1)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise FormulaError(f"{_syntax(error)}.", error.lineno or 1, max(error.offset or 1, 1)) from None
    except (ValueError, RecursionError, MemoryError):
        raise FormulaError("the code is nested too deeply or contains invalid characters.", 1) from None
    return _Reader(text, networks).read(tree.body)


def _syntax(error: SyntaxError) -> str:
    message = plain(str(error.msg).partition(";")[0]) or "invalid syntax"
    return f"{message[:1].lower() + message[1:]}; {_KINDS}"


class _Reader(Calls):
    """Reads one line after the other into a drawing."""

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
        return place(self.drawing.network())

    def _line(self, line: ast.stmt, *, last: bool) -> None:
        if isinstance(line, ast.AugAssign) and isinstance(line.target, ast.Name):
            left = ast.copy_location(ast.Name(line.target.id, ast.Load()), line.target)
            whole = ast.copy_location(ast.BinOp(left, line.op, line.value), line)
            self._assign([line.target], whole, line)
        elif isinstance(line, ast.Assign) and len(line.targets) == 1:
            target = line.targets[0]
            self._assign(list(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else [target], line.value, line)
        elif isinstance(line, ast.Return):
            if not last:
                self.fail(line, "no line may follow return")
            self._answer(line.value, line)
            return
        elif isinstance(line, ast.Expr):
            self._expression(line.value, last)
            return
        else:
            self.fail(line, f"this statement is not supported; {_KINDS}")
        if last and not any(node.type == "Output" for node in self.drawing.nodes.values()):
            self.fail(line, "the last line must define the output, such as return hidden")

    def _expression(self, value: ast.expr, last: bool) -> None:
        if isinstance(value, ast.Call):
            made = self.value(value)
            if isinstance(made, Tensor) and not made.ports:  # an Output
                return
            if last:
                self._answers([(value, made)])
                return
        elif last:
            self._answer(value, value)
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
        for other in names:
            if other in self.drawing.parameters:
                self.fail(line, f"{other} is already a parameter of this network; choose another name")
        made = self.value(value, "" if names[1:] else name)
        if len(names) == 1:
            self._told(name, value, line)
            self.names[name] = made
            return
        ports = made.ports if isinstance(made, Tensor) else ()
        if len(ports) != len(names):
            gives = f"has {len(ports)}: {', '.join(ports)}" if ports else "has no tensors"
            self.fail(line, f"{len(names)} names are on the left, but the right side {gives}")
        for other, port in zip(names, ports, strict=True):
            self._told(other, value, line)
            self.names[other] = Tensor(made.node, port, ports)  # type: ignore[union-attr]

    def _told(self, name: str, value: ast.expr, line: ast.stmt) -> None:
        """Refuse a name that was taken for an Input before its own line."""
        used = self._used.pop(name, None)
        if used is not None and not any(item is used for item in ast.walk(value)):
            self.fail(used, f"{name} is used before it is defined in line {line.lineno}; move that line up")

    def _parameter(self, name: str, number: int | float, line: ast.stmt) -> None:
        if not is_identifier(name):
            self.fail(
                line,
                f"a parameter needs an unused lowercase name, such as width; {name[:60]} is invalid or already in use",
            )
        if name in self.drawing.parameters or name in self.names:
            self.fail(line, f"{name} is already defined; choose another name")
        if abs(number) > 1e9 or number != number:
            self.fail(line, f"a parameter must be between -1e9 and 1e9, received {str(number)[:30]}")
        if len(self.drawing.parameters) >= MAX_PARAMETERS:
            self.fail(line, f"a network can have at most {MAX_PARAMETERS} parameters")
        self.drawing.parameters[name] = number

    def _answer(self, value: ast.expr | None, line: ast.AST) -> None:
        parts = list(value.elts) if isinstance(value, (ast.Tuple, ast.List)) else [value] if value is not None else []
        self._answers([(part, self.value(part)) for part in parts])

    def _answers(self, parts: list[tuple[ast.expr, Value]]) -> None:
        taken: set[str] = set()
        for number, (part, made) in enumerate(parts, 1):
            tensor = self.tensor(part, made)
            name = part.id if isinstance(part, ast.Name) and part.id not in taken else f"output_{number}"
            taken.add(name)
            with self.at(part):
                self.drawing.node("Output", [tensor], {"name": name[:64]} if parts[1:] else {}, name=f"output_{number}")

    def value(self, node: ast.expr, name: str = "") -> Value:
        """What an expression stands for; the node that it ends in is called `name`, where that can be."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(
                node, f"this is nested more than {MAX_DEPTH} levels deep; assign its parts to names in separate lines"
            )
        try:
            if is_numeric(node, {**self.drawing.parameters, **self.numbers}):
                return Number(self.source(node))
            with self.at(node):
                return self._value(node, name)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr, name: str) -> Value:
        if isinstance(node, ast.Name):
            return self._named(node)
        if isinstance(node, ast.Call):
            return self.call(node, name)
        if isinstance(node, ast.BinOp):
            left, right = self._side(node.left), self._side(node.right)
            return binary(self.drawing, type(node.op), left, right, name)  # type: ignore[no-any-return]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            tensor = self.tensor(node.operand, self.value(node.operand))
            return negative(self.drawing, tensor, name) if isinstance(node.op, ast.USub) else tensor
        if isinstance(node, ast.Compare):
            if len(node.ops) > 1:
                raise Mistake("chained comparisons are not supported; compare two values at a time")
            left, right = self._side(node.left), self._side(node.comparators[0])
            return compare(self.drawing, type(node.ops[0]), left, right, name)  # type: ignore[no-any-return]
        if isinstance(node, ast.Attribute):
            return self._port(node)
        if isinstance(node, ast.Subscript):
            tensor = self.tensor(node.value, self.value(node.value))
            parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
            return indexed(self.drawing, tensor, [self._part(part) for part in parts], name)
        raise Mistake("an expression can contain names, numbers, layers, + - * / // @ **, comparisons and brackets")

    def _side(self, node: ast.expr) -> Tensor | Number:
        made = self.value(node)
        return made if isinstance(made, Number) else self.tensor(node, made)

    def _named(self, node: ast.Name) -> Value:
        name = node.id
        if name in self.names:
            return self.names[name]
        if name in registry():
            raise Mistake(f"{name} is a layer; call it with a tensor, such as {name}(x)")
        if self._declared:
            raise Mistake(f"there is no tensor {name[:60]!r}{nearest(name, self.names)}")
        made = [key for key, value in self.names.items() if key not in self._used and isinstance(value, Tensor)]
        hint = nearest(name, [key for key in made if _likely(name, key)])
        if hint:
            raise Mistake(
                f"there is no tensor {name[:60]!r}{hint}; if it is an input, write {name[:60]} = Input() above"
            )
        self._used[name] = node
        self.names[name] = self.drawing.input(name)
        return self.names[name]

    def _port(self, node: ast.Attribute) -> Tensor:
        tensor = self.tensor(node.value, self.value(node.value))
        if node.attr not in tensor.ports:
            raise Mistake(
                f"there is no output {node.attr[:60]!r}{nearest(node.attr, tensor.ports)}; "
                f"this one has {', '.join(tensor.ports)}"
            )
        return Tensor(tensor.node, node.attr, tensor.ports)

    def _part(self, node: ast.expr) -> Any:
        """What stands between the commas of an index."""
        if isinstance(node, ast.Constant) and node.value is ...:
            return ...
        if isinstance(node, ast.Slice):
            return tuple(None if part is None else self._part(part) for part in (node.lower, node.upper, node.step))
        value = self.value(node)
        if not isinstance(value, Number) or isinstance(value.value, float):
            raise Mistake("an index must be an integer or a slice, such as x[:, 0] or x[:, 1:3]")
        return value.literal


def _likely(name: str, known: str) -> bool:
    """Whether a name is rather another one mistyped than a new one: x_2 is no x_1, and short ones are all alike."""
    without = [text.strip("0123456789_") for text in (name, known)]
    return min(map(len, without)) >= 4 and without[0] != without[1] and abs(len(name) - len(known)) <= 2
