"""A network as a few typed lines, and a few typed lines as a network. What is typed is parsed and never run."""

from netloom.compile.formula.names import FormulaError
from netloom.compile.formula.parser import network_of
from netloom.compile.formula.trial_check import trouble
from netloom.compile.formula.writer import text_of

__all__ = ["FormulaError", "network_of", "text_of", "trouble"]
