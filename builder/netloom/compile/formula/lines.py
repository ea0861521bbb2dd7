"""The lines of a formula: the values of their names, and the positions of mistakes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from pydantic import ValidationError

from netloom.compile.formula.graph_builder import GraphBuilder, UnlocatedError
from netloom.compile.formula.names import FormulaError
from netloom.compile.formula.values import BoundLayer, Number, Tensor, Value, substituted
from netloom.core.field_errors import finished, summary
from netloom.document import Network
from netloom.document.expression import MAX_LENGTH as EXPRESSION
from netloom.document.files import wrong_fields


class LineReader:
    """Typed lines, the values that they define, and the builder of the network."""

    def __init__(self, text: str, networks: Mapping[str, Network]) -> None:
        self.builder = GraphBuilder(networks)
        self.names: dict[str, Value] = {}
        # Bytes, because columns in ast are offsets in UTF-8
        self._lines = [line.encode() for line in text.split("\n")]

    def tensor(self, node: ast.expr, value: Value) -> Tensor:
        """The value as a tensor.

        Raises:
            FormulaError: The value is a number, a layer without tensors, or the result of an Output.
        """
        if isinstance(value, BoundLayer):
            self.fail(
                node,
                f"{value.kind} is not connected to a tensor; write {value.kind}(x), or assign "
                "the layer to a name and call it",
            )
        if isinstance(value, Number):
            self.fail(node, f"{value.text[:40]} is a number, but a tensor is expected here")
        if not value.ports:
            self.fail(node, "an Output has no result")
        return value

    def source(self, node: ast.expr) -> str:
        """The text of an expression over numbers as the user typed it, on one line."""
        last, end = node.end_lineno or node.lineno, node.end_col_offset or 0
        lines = self._lines[node.lineno - 1 : last]
        text = b" ".join([*lines[:-1], lines[-1][:end]])[node.col_offset :].decode()
        # Names may stand for expressions, so that the text can double with each line (a = b + b): its length is checked
        # before and after the substitution.
        if len(text) <= EXPRESSION and any(
            isinstance(item, ast.Name) and item.id in self.numbers for item in ast.walk(node)
        ):
            text = substituted(node, self.numbers)
        if len(text) > EXPRESSION:
            self.fail(node, f"an expression over numbers can have at most {EXPRESSION} characters")
        # Several lines are joined with their indentation, which unparse removes.
        return text if last == node.lineno else ast.unparse(ast.parse(text, mode="eval"))

    @property
    def numbers(self) -> dict[str, Number]:
        """The names whose values are expressions over parameters."""
        return {name: value for name, value in self.names.items() if isinstance(value, Number)}

    @contextmanager
    def at(self, node: ast.expr) -> Iterator[None]:
        """Report a mistake inside this block at the position of `node`."""
        try:
            yield
        except UnlocatedError as error:
            self.fail(node, str(error))
        except ValidationError as error:
            self.fail(node, summary(wrong_fields(error)))

    def fail(self, node: Any, message: str) -> NoReturn:
        """Refuse the code at a position.

        Raises:
            FormulaError: always.
        """
        before = self._lines[node.lineno - 1][: node.col_offset].decode(errors="ignore")
        raise FormulaError(finished(message), node.lineno, len(before) + 1)
