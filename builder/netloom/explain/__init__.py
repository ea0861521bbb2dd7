"""Explanations with evidence: why a trained network makes a prediction. Torch is imported on first use."""

from netloom.explain.computation import applicable, explain, explain_model, methods
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import GROUPS, Explainer, Method, registry
from netloom.explain.core.explanation import (
    AttentionLayer,
    AttentionMaps,
    Completeness,
    Explanation,
    Faithfulness,
    Prediction,
    Proofs,
    RandomizationTest,
    Target,
    Verdict,
)
from netloom.explain.core.network.nodes import InnerNode, inner_nodes
from netloom.explain.core.request import Trained

__all__ = [
    "GROUPS",
    "AttentionLayer",
    "AttentionMaps",
    "Completeness",
    "ExplainError",
    "Explainer",
    "Explanation",
    "Faithfulness",
    "InnerNode",
    "Method",
    "Prediction",
    "Proofs",
    "RandomizationTest",
    "Target",
    "Trained",
    "Verdict",
    "applicable",
    "explain",
    "explain_model",
    "inner_nodes",
    "methods",
    "registry",
]
