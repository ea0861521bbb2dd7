"""A layer that is free Python: the one place where a document's text may run, where the machine's owner says so.

Everything else in Netloom is made of the catalogue, so that a document of anyone can be opened. With
NETLOOM_ALLOW_CODE=1 in the environment a document's own classes run with all that Python may do; without it they are
text that is neither parsed nor compiled.
"""

from __future__ import annotations

import ast
import os
import re
import traceback
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec

if TYPE_CHECKING:
    from torch import nn

ALLOW = "NETLOOM_ALLOW_CODE"
REFUSAL = (
    "free Python is off here, as code in a document could do anything on this machine; if the machine is your own and "
    f"you trust the document's author, start Netloom with {ALLOW}=1, or make the layer of others with “Type a layer”."
)
# The line of generated source that says that what follows is not from the catalogue.
MARK = "# Python code of the project's author."
_FILE = "<Python code>"
_PORT = re.compile(r"[a-z][a-z0-9_]{0,31}")
_EXAMPLE = '''class Scaled(nn.Module):
    """x times a factor for each feature, which is learned."""

    def __init__(self, shape):  # the shape of what comes in, without the batch axis
        super().__init__()
        self.factor = nn.Parameter(torch.ones(shape[-1]))

    def forward(self, x):
        return x * self.factor
'''


def allowed() -> bool:
    """Whether the owner of this machine lets the Python code of documents run."""
    return os.environ.get(ALLOW) == "1"


def _ports(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if not all(_PORT.fullmatch(name) for name in names) or len(set(names)) < len(names) or len(names) > 8:
        raise ValueError("ports are one to eight different lower-case names with commas between them, such as in, mask")
    return ", ".join(names)


def _source(text: str) -> str:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        raise ValueError(f"{line}{getattr(error, 'msg', error)}") from None
    if not tree.body or not isinstance(tree.body[-1], ast.ClassDef):
        raise ValueError("the code ends with the class of the layer, class Name(nn.Module): with __init__ and forward")
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", tree.body[-1].name) or tree.body[-1].name in ("F", "Main"):
        raise ValueError(f"the class has a name such as MyLayer, other than Main, received {tree.body[-1].name[:40]}")
    if any(isinstance(part, ast.ImportFrom) and part.module == "__future__" for part in tree.body):
        raise ValueError("an import from __future__ cannot stand here, as other code stands before it")
    return text.strip("\n") + "\n"


class Code(Layer):
    """A torch.nn.Module of the author's own. Where its __init__ takes arguments, these are the shapes of its inputs."""

    group = "Network"
    title = "Python code"
    summary = "A torch.nn.Module that you write yourself, on a machine where its owner allows that"
    keywords = ("custom", "free", "module", "class", "own", "script", "lambda")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html"

    own_code = True

    source: Annotated[str, AfterValidator(_source)] = Field(
        _EXAMPLE,
        min_length=1,
        max_length=20_000,
        description="Python that ends with the layer's class; torch, nn, F and math are there already",
    )
    takes: Annotated[str, AfterValidator(_ports)] = Field(
        "in", max_length=300, description="The inputs, in the order of forward's arguments, with commas between them"
    )
    gives: Annotated[str, AfterValidator(_ports)] = Field(
        "out", max_length=300, description="The outputs, in the order of the tuple that forward returns"
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
        made = self._class
        start = next(
            (part for part in made.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
        )
        wanted = len(start.args.args) - len(start.args.defaults) - 1 if start else 0
        return Call(made.name, tuple(shapes[:wanted]), code=self.source)

    def brief(self) -> str:
        return self._class.name

    @property
    def _class(self) -> ast.ClassDef:
        return _last_class(self.source)

    def names(self) -> frozenset[str]:
        """What the code defines for the whole module."""
        parts = ast.parse(self.source).body
        return frozenset(part.name for part in parts if isinstance(part, (ast.ClassDef, ast.FunctionDef)))


@lru_cache(maxsize=256)
def _last_class(source: str) -> ast.ClassDef:
    found = ast.parse(source).body[-1]
    if not isinstance(found, ast.ClassDef):
        raise ValueError("the code ends with no class")
    return found


def loaded(source: str, name: str) -> type[nn.Module]:
    """The class `name` of an author's code, which this runs.

    Raises:
        ValueError: free Python is off here, or the code fails; the message says in which line.
    """
    if not allowed():
        raise ValueError(REFUSAL)
    return _loaded(source, name)


@lru_cache(maxsize=256)
def _loaded(source: str, name: str) -> type[nn.Module]:
    import math

    import torch
    from torch.nn import functional

    space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": functional, "math": math, "__name__": "netloom_code"}
    try:
        exec(compile(source, _FILE, "exec"), space)
    except (Exception, SystemExit) as error:
        raise ValueError(explained(error)) from None
    found = space.get(name)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ValueError(f"{name} is no torch.nn.Module; begin it with class {name}(nn.Module):")
    return found


def explained(error: BaseException) -> str:
    """What an author's code raised, and in which of its lines."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    if not lines:
        return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
    said = " ".join(str(error).split())[:300].rstrip(".")
    return f"line {lines[-1]} of its code: {type(error).__name__}{f': {said}' if said else ''}"
