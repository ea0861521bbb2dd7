"""The prediction above an explanation: what the network predicts, whether it is correct, and why this row is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import cut, escape
from netloom.explain.core.prediction import calibrated_text
from netloom.ui.explain.headline import visible

if TYPE_CHECKING:
    from netloom.data import Example
    from netloom.data.schema import TargetType
    from netloom.explain.core.explanation import Prediction
    from netloom.ui.explain.view import ViewContext

MAX_CLASSES, MAX_LETTERS, MAX_TRUE_LETTERS, MAX_CALIBRATED_LETTERS = 4, 80, 48, 160


def show_prediction(context: ViewContext, prediction: Prediction, example: Example) -> None:
    """Draw the prediction in the head of the view, and its probabilities beside the controls."""
    trained, truth, mark = context.trained, example.target, ""
    if trained.data.schema.target.type.is_class and {truth, prediction.text} <= prediction.probabilities.keys():
        right = prediction.text == truth
        verdict = "correct" if right else f"incorrect, the label is {truth[:40]}"
        mark = f" :{'green' if right else 'red'}-badge[:material/{'check' if right else 'close'}: {escape(verdict)}]"
    with context.places.head:
        st.markdown(f"### Prediction: **{escape(cut(visible(prediction.text), MAX_LETTERS))}**{mark}")
        notes = [context.why, truth_text(trained.data.schema.target.type, truth)]
        if context.inspection.is_calibrated and (text := calibrated_text(context.answer.calibrated)):
            notes += [
                f"Calibrated prediction: **{escape(cut(text, MAX_CALIBRATED_LETTERS))}**.",
                "The explanation is that of the network before calibration.",
            ]
        if any(notes):
            st.caption(" ".join(filter(None, notes)))
    shares = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:MAX_CLASSES]
    with context.places.probabilities:
        for name, share in shares:
            st.progress(min(max(share, 0.0), 1.0), f"{escape(visible(name)[:30])}: {share:.1%}")
        if prediction.text in prediction.probabilities and shares[0][0] != prediction.text:
            st.caption("The less likely class is predicted because of the threshold chosen on the validation rows.")


def truth_text(target: TargetType, truth: str) -> str:
    """Return the true value of the target as Markdown, to compare the prediction with it; "" for classes, which the
    badge compares, for a text that goes on, whose target is most of the text itself, and where it is long."""
    if not truth or target.is_one_of or target.continues_text or len(truth) > MAX_TRUE_LETTERS:
        return ""
    return f"{'True value' if target.is_number else 'Label'}: **{escape(truth)}**."
