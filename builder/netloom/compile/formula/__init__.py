"""Conversion between a network and a few typed lines of code. Typed code is parsed and never executed."""

from netloom.compile.formula.names import FormulaError
from netloom.compile.formula.parser import network_of
from netloom.compile.formula.trial_check import first_error
from netloom.compile.formula.writer import text_of

__all__ = ["FormulaError", "first_error", "network_of", "text_of"]
