"""From source to a torch module."""

from __future__ import annotations

import hashlib
import linecache
import sys
import types
from typing import TYPE_CHECKING

from netloom.compile.source import CompileError, source
from netloom.document import Project
from netloom.layers.author_code import MARK, REFUSAL, allowed
from netloom.validation import Issue

if TYPE_CHECKING:
    from torch import nn


def module(project: Project | str) -> nn.Module:
    """The network as a PyTorch module with newly initialized weights, from a project or from the result of `source`.

    Raises:
        CompileError: The project has errors, or contains Python code, which this server does not allow.
    """
    text = project if isinstance(project, str) else source(project)
    if MARK in text.splitlines() and not allowed():
        raise CompileError([Issue("own_code", "error", f"This network contains Python code. {REFUSAL}")])
    # Equal source has an equal name, so that a network is executed once per process and its classes stay identical,
    # which pickle and torch.export need.
    name = "netloom_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    if name not in sys.modules:
        loaded = types.ModuleType(name)
        filename = f"<{name}>"
        # Tracebacks read source lines from linecache, which makes them work without a file.
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), loaded.__dict__)
        sys.modules[name] = loaded
    network: nn.Module = sys.modules[name].Main()
    return network
