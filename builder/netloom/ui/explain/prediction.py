"""The prediction above an explanation: what the network predicts, whether it is correct, and why this row is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import escape
from netloom.ui.explain.headline import visible

if TYPE_CHECKING:
    from netloom.data import Example
    from netloom.explain.core.explanation import Prediction
    from netloom.ui.explain.view import ViewContext

MOST_CLASSES = 4


def show_prediction(context: ViewContext, prediction: Prediction, example: Example) -> None:
    """Draw the prediction in the head of the view, and its probabilities beside the controls."""
    trained, truth, mark = context.trained, example.target, ""
    if truth and trained.objective.task.per_class_scores and trained.data.schema.target.type.is_class:
        right = prediction.text == truth
        verdict = "correct" if right else f"incorrect, the label is {truth[:40]}"
        mark = f" :{'green' if right else 'red'}-badge[:material/{'check' if right else 'close'}: {escape(verdict)}]"
    with context.places.head:
        st.markdown(f"#### Prediction: **{escape(visible(prediction.text)[:80])}**{mark}")
        if context.why:
            st.caption(context.why)
    shares = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:MOST_CLASSES]
    with context.places.probabilities:
        for name, share in shares:
            st.progress(min(max(share, 0.0), 1.0), f"{escape(visible(name)[:30])}: {share:.1%}")
