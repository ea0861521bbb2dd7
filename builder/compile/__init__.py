"""From a network to Python source to a torch module. The code that people see is the code that runs."""

from builder.compile.module import module
from builder.compile.source import CompileError, input_fields, input_nodes, output_nodes, source

__all__ = ["CompileError", "input_fields", "input_nodes", "module", "output_nodes", "source"]
