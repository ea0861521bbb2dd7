"""Conversion of a network to Python source, and of the source to a PyTorch module.

The code that users see is the code that runs.
"""

from netloom.compile.module import SourceError, module
from netloom.compile.source import CompileError, input_fields, input_nodes, output_nodes, source

__all__ = ["CompileError", "SourceError", "input_fields", "input_nodes", "module", "output_nodes", "source"]
