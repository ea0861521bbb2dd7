"""From a network to Python source to a torch module. The code that people see is the code that runs."""

from netloom.compile.module import module
from netloom.compile.source import CompileError, input_fields, input_nodes, output_nodes, source

__all__ = ["CompileError", "input_fields", "input_nodes", "module", "output_nodes", "source"]
