"""The values of expressions in a formula: tensors, numbers in their original notation, and layers without tensors."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netloom.document.expression import FUNCTIONS, SIZE

_NUMERIC = (ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.Call, ast.Load, ast.operator, ast.USub, ast.UAdd)


@dataclass(frozen=True)
class Tensor:
    """The output `port` of a node; `ports` are all outputs of that node."""

    node: str
    port: str
    ports: tuple[str, ...]

    @property
    def reference(self) -> str:
        return f"{self.node}.{self.port}"


@dataclass(frozen=True)
class Number:
    """A number, or an expression over parameters of the network, in its original notation."""

    text: str

    @property
    def value(self) -> int | float | None:
        """The number, or None if the text is an expression."""
        try:
            return constant(ast.parse(self.text, mode="eval").body)
        except SyntaxError:
            return None

    @property
    def literal(self) -> int | float | str:
        """The value in the document: a number, or the text of an expression."""
        return self.text if self.value is None else self.value

    def within(self, before: str, after: str = "") -> Number:
        """This number as part of a longer expression."""
        return Number(f"{before}({self.text}){after}")


@dataclass
class BoundLayer:
    """A layer with parameters but without tensors, like an nn.Module.

    All calls share the weights of the first call, whose node is `first`.
    """

    kind: str
    params: dict[str, Any]
    extras: dict[str, Any] = field(default_factory=dict)
    first: str | None = None


Value = Tensor | Number | BoundLayer


def constant(node: ast.expr) -> int | float | None:
    """The value of a numeric literal with an optional sign; None for other expressions."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = constant(node.operand) if isinstance(node.operand, ast.Constant) else None
        return None if inner is None else -inner if isinstance(node.op, ast.USub) else inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) in (int, float) else None  # type: ignore[return-value]


def is_numeric(node: ast.expr, known: Mapping[str, Any]) -> bool:
    """Whether an expression consists of numbers, parameters and functions of numbers only."""
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
    """An expression as text, with names replaced by the expressions that they stand for."""

    class Substitution(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return ast.parse(meanings[name.id].text, mode="eval").body if name.id in meanings else name

    return ast.unparse(Substitution().visit(node))
