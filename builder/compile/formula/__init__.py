"""A network as a few typed lines, and a few typed lines as a network. What is typed is parsed and never run."""

from builder.compile.formula.names import FormulaError
from builder.compile.formula.reading import network_of
from builder.compile.formula.trial import trouble
from builder.compile.formula.writing import text_of

__all__ = ["FormulaError", "network_of", "text_of", "trouble"]
