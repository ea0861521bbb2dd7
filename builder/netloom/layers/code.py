"""A layer defined by Python code of the document's author; see `netloom.layers.author_code`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from netloom.layers.author_code import REFUSAL, allowed
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec

_PORT = re.compile(r"[a-z][a-z0-9_]{0,31}")
_EXAMPLE = '''class Scaled(nn.Module):
    """Multiplies each feature by a learned factor."""

    def __init__(self, shape):  # the shape of the input, without the batch axis
        super().__init__()
        self.factor = nn.Parameter(torch.ones(shape[-1]))

    def forward(self, x):
        return x * self.factor
'''


def _ports(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if not all(_PORT.fullmatch(name) for name in names) or len(set(names)) < len(names) or len(names) > 8:
        raise ValueError("ports must be one to eight different lowercase names separated by commas, such as in, mask")
    return ", ".join(names)


def _source(text: str) -> str:
    try:
        tree = ast.parse(text)
    # Deep nesting raises RecursionError or MemoryError in the parser, null bytes raise ValueError
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        raise ValueError(f"{line}{getattr(error, 'msg', error)}") from None
    if not tree.body or not isinstance(tree.body[-1], ast.ClassDef):
        raise ValueError(
            "the code must end with the class of the layer, class Name(nn.Module): with __init__ and forward"
        )
    # The generated module uses F for torch.nn.functional and Main for the whole network.
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", tree.body[-1].name) or tree.body[-1].name in ("F", "Main"):
        raise ValueError(f"the class needs a name such as MyLayer, other than Main; received {tree.body[-1].name[:40]}")
    if any(isinstance(part, ast.ImportFrom) and part.module == "__future__" for part in tree.body):
        raise ValueError("the code cannot import from __future__, because other code precedes it")
    return text.strip("\n") + "\n"


class Code(Layer):
    """A torch.nn.Module that the author wrote. Its __init__ receives the shapes of the inputs, as many as it takes."""

    group = "Network"
    title = "Python code"
    summary = "A torch.nn.Module that you write in Python, if the server allows it"
    keywords = ("custom", "free", "module", "class", "own", "script", "lambda")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html"

    own_code = True

    source: Annotated[str, AfterValidator(_source)] = Field(
        _EXAMPLE,
        min_length=1,
        max_length=20_000,
        description="Python code that ends with the class of the layer; torch, nn, F and math are imported",
    )
    takes: Annotated[str, AfterValidator(_ports)] = Field(
        "in",
        max_length=300,
        description="Names of the inputs, separated by commas, in the order of the arguments of forward",
    )
    gives: Annotated[str, AfterValidator(_ports)] = Field(
        "out",
        max_length=300,
        description="Names of the outputs, separated by commas, in the order of the tuple that forward returns",
    )

    @classmethod
    def refusal(cls) -> str:
        return "" if allowed() else REFUSAL

    @classmethod
    def examples(cls) -> list[Example]:
        if not allowed():
            return []
        return [Example({}, {"in": SAMPLES[kind]}) for kind in ("vector", "sequence")]

    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(name) for name in self.takes.split(", "))

    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port(name) for name in self.gives.split(", "))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        shapes = [tuple(spec.size(axis) for axis in range(1, len(spec.shape))) for spec in specs.values()]
        definition = self._class
        constructor = next(
            (part for part in definition.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
        )
        # Required positional parameters without `self`; parameters with a default keep it
        count = len(constructor.args.args) - len(constructor.args.defaults) - 1 if constructor else 0
        return Call(definition.name, tuple(shapes[:count]), code=self.source)

    def brief(self) -> str:
        return self._class.name

    @property
    def _class(self) -> ast.ClassDef:
        return _last_class(self.source)

    def names(self) -> frozenset[str]:
        """The names of top-level classes and functions, which generated classes must not take."""
        parts = ast.parse(self.source).body
        return frozenset(part.name for part in parts if isinstance(part, (ast.ClassDef, ast.FunctionDef)))


@lru_cache(maxsize=256)
def _last_class(source: str) -> ast.ClassDef:
    statement = ast.parse(source).body[-1]
    if not isinstance(statement, ast.ClassDef):
        raise ValueError("the code does not end with a class")
    return statement
