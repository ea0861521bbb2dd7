"""What an expression of a formula may stand for, and numbers as they are typed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netloom.document.expression import FUNCTIONS, SIZE

_NUMERIC = (ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.Call, ast.Load, ast.operator, ast.USub, ast.UAdd)


@dataclass(frozen=True)
class Tensor:
    """What a port gives. `ports` are those of its node, of which this is one."""

    node: str
    port: str
    ports: tuple[str, ...]

    @property
    def reference(self) -> str:
        return f"{self.node}.{self.port}"


@dataclass(frozen=True)
class Number:
    """A number, or an expression over the network's parameters, as it was typed."""

    text: str

    @property
    def value(self) -> int | float | None:
        """The number, where it is written as one."""
        try:
            return constant(ast.parse(self.text, mode="eval").body)
        except SyntaxError:
            return None

    @property
    def literal(self) -> int | float | str:
        """What stands in the document."""
        return self.text if self.value is None else self.value

    def within(self, before: str, after: str = "") -> Number:
        """This number as part of a longer expression."""
        return Number(f"{before}({self.text}){after}")


@dataclass
class Blueprint:
    """A layer that was given its parameters and no tensor yet. All of its uses have the weights of the first."""

    kind: str
    params: dict[str, Any]
    extras: dict[str, Any] = field(default_factory=dict)
    first: str | None = None


Value = Tensor | Number | Blueprint


def constant(node: ast.expr) -> int | float | None:
    """The number that is written, with or without a sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = constant(node.operand) if isinstance(node.operand, ast.Constant) else None
        return None if inner is None else -inner if isinstance(node.op, ast.USub) else inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) in (int, float) else None  # type: ignore[return-value]


def is_numeric(node: ast.expr, known: Mapping[str, Any]) -> bool:
    """Whether an expression is made of numbers, parameters and functions of numbers alone."""
    called = set()
    for part in ast.walk(node):
        if not isinstance(part, _NUMERIC):
            return False
        if isinstance(part, ast.Constant) and type(part.value) not in (int, float):
            return False
        if isinstance(part, ast.Call):
            if not isinstance(part.func, ast.Name) or part.func.id not in (*FUNCTIONS, SIZE) or part.keywords:
                return False
            called.add(id(part.func))
        if isinstance(part, ast.Name) and id(part) not in called and part.id not in known:
            return False
    return True


def substituted(node: ast.expr, meanings: Mapping[str, Number]) -> str:
    """An expression as text, with names exchanged for the expressions for which they stand."""

    class Exchange(ast.NodeTransformer):
        def visit_Name(self, found: ast.Name) -> ast.expr:
            return ast.parse(meanings[found.id].text, mode="eval").body if found.id in meanings else found

    return ast.unparse(Exchange().visit(node))
