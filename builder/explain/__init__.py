"""Explanations that carry their own proof: why a trained network answers as it does. Torch is imported when needed."""

from builder.explain.base import Explainer, ExplainError, Method, registry
from builder.explain.explanation import (
    AttentionLayer,
    AttentionMaps,
    Completeness,
    Explanation,
    Faithfulness,
    Prediction,
    Proofs,
    Target,
    Verdict,
)
from builder.explain.run import Trained, explain, explain_model, methods

__all__ = [
    "AttentionLayer",
    "AttentionMaps",
    "Completeness",
    "ExplainError",
    "Explainer",
    "Explanation",
    "Faithfulness",
    "Method",
    "Prediction",
    "Proofs",
    "Target",
    "Trained",
    "Verdict",
    "explain",
    "explain_model",
    "methods",
    "registry",
]
