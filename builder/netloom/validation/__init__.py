"""Validation of projects: issues with fixes, tensor shapes, and the cost of training."""

from netloom.validation.analysis import Analysis, analyze, failed_analysis, validate
from netloom.validation.context import Context
from netloom.validation.facts import NodeFacts, Totals
from netloom.validation.graph_views import digraph, execution_order
from netloom.validation.grouping import with_shapes
from netloom.validation.issue import Fix, Issue

__all__ = [
    "Analysis",
    "Context",
    "Fix",
    "Issue",
    "NodeFacts",
    "Totals",
    "analyze",
    "digraph",
    "execution_order",
    "failed_analysis",
    "validate",
    "with_shapes",
]
