"""Validation: what is wrong with a project, what every tensor's shape is, and what training would cost."""

from builder.check.analysis import Analysis, analyse, unknown, validate
from builder.check.context import Context, NodeFacts, Totals
from builder.check.grouping import with_shapes
from builder.check.issue import Fix, Issue
from builder.check.views import digraph, execution_order

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
    "unknown",
    "validate",
    "with_shapes",
]
