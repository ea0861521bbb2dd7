"""Validation: what is wrong with a project, what every tensor's shape is, and what training would cost."""

from builder.check.analysis import Analysis, Context, NodeFacts, Totals, analyse, validate
from builder.check.issue import Fix, Issue
from builder.check.views import digraph, execution_order, natural

__all__ = [
    "Analysis",
    "Context",
    "Fix",
    "Issue",
    "NodeFacts",
    "Totals",
    "analyse",
    "digraph",
    "execution_order",
    "natural",
    "validate",
]
