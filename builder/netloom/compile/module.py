"""From source to a torch module."""

from __future__ import annotations

import hashlib
import linecache
import sys
import traceback
import types
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.compile.source import CompileError, source
from netloom.core.text import first_line
from netloom.document import Project
from netloom.layers.author_code import MARK, REFUSAL, allowed
from netloom.validation import Issue

if TYPE_CHECKING:
    from torch import nn


class SourceError(ValueError):
    """Source that cannot be run, or that does not define a network, because it was edited or damaged.

    `problem` says what is wrong, and `line` where; None if that is not a line of the source.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem, line)
        self.problem, self.line = problem, line

    def __str__(self) -> str:
        place = f"Line {self.line:,} of the source of the network" if self.line else "The source of the network"
        return f"{place} cannot be run: {self.problem}."

    def in_file(self, path: Path) -> str:
        """Return the message for source that was read from a file."""
        place = f"{path}, line {self.line:,}," if self.line else str(path)
        return f"{place} cannot be run: {self.problem}."


def module(project: Project | str) -> nn.Module:
    """The network as a PyTorch module with newly initialized weights, from a project or from the result of `source`.

    Raises:
        CompileError: The project has errors, or contains Python code, which this server does not allow.
        SourceError: The source does not define a network.
    """
    text = project if isinstance(project, str) else source(project)
    if MARK in text.splitlines() and not allowed():
        raise CompileError([Issue("own_code", "error", f"This network contains Python code. {REFUSAL}")])
    # Equal source has an equal name, so that a network is executed once per process and its classes stay identical,
    # which pickle and torch.export need.
    name = "netloom_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    filename = f"<{name}>"
    try:
        if name not in sys.modules:
            sys.modules[name] = _executed(text, name, filename)
        network: nn.Module = sys.modules[name].Main()
    except (SourceError, MemoryError, RuntimeError):  # PyTorch raises the last for weights that memory has no room for
        raise
    except Exception as error:
        raise SourceError(*_cause(error, filename)) from error
    return network


def _executed(text: str, name: str, filename: str) -> types.ModuleType:
    loaded = types.ModuleType(name)
    # Tracebacks read source lines from linecache, which makes them work without a file.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), loaded.__dict__)
    if not hasattr(loaded, "Main"):
        raise SourceError("it does not define the class Main")
    return loaded


def _cause(error: Exception, filename: str) -> tuple[str, int | None]:
    """Return what is wrong in source, and the line."""
    if isinstance(error, SyntaxError):
        return f"it is not valid Python ({error.msg})", error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    return f"{type(error).__name__}: {first_line(error).rstrip('.')}", lines[-1] if lines else None
