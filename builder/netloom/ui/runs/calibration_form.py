"""The form that chooses what a calibration measures."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from netloom.calibration import CalibrationSettings
from netloom.calibration.scaling import calibrators
from netloom.calibration.settings import MAX_PASSES, NONE
from netloom.data.preparation.prepare import datasets
from netloom.store import Run, Store
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.words import unique_labels
from netloom.ui.runs.state import Key

Abstain = Literal["never", "risk", "coverage"]
Score = Literal["", "softmax", "energy"]
Sets = Literal["lac", "aps"]
ABSTAIN: dict[Abstain, str] = {"never": "Never", "risk": "For a risk", "coverage": "For a coverage"}
SCORES: dict[Score, str] = {"": "By none", "softmax": "Maximum probability", "energy": "Energy"}
SETS: dict[Sets, str] = {"lac": "Smallest sets (LAC)", "aps": "Adaptive sets (APS)"}
DEFAULT_PASSES = 20


def calibration_form(store: Store, run: Run) -> CalibrationSettings | None:
    """Draw the form, and return the settings when it is sent."""
    with st.form(Key.CALIBRATE_FORM.of(run.id), border=False):
        first = column_row([1.2, 1.2, 1, 1.4], Key.CALIBRATE_ROW.of(1), OnPhone.PAIRS)
        titles = {name: kind.title for name, kind in calibrators().items()} | {NONE: "None"}
        helps = " ".join(f"{kind.title}: {kind.help}" for kind in calibrators().values())
        method = first[0].selectbox(
            "Method", list(titles), format_func=titles.__getitem__, help=helps, key=Key.CALIBRATE_METHOD.of(run.id)
        )
        abstain = first[1].selectbox(
            "Abstain",
            list(ABSTAIN),
            format_func=ABSTAIN.__getitem__,
            help="Below a threshold of the confidence, the network does not answer. The threshold is chosen on the "
            "validation rows, for a share of wrong answers or a share of answered rows.",
            key=Key.CALIBRATE_ABSTAIN.of(run.id),
        )
        value = first[2].number_input(
            "Risk or coverage",
            0.001,
            0.999,
            0.05,
            0.01,
            format="%.3f",
            help="For a risk, the largest share of wrong answers; for a coverage, the least share of answered rows.",
            key=Key.CALIBRATE_VALUE.of(run.id),
        )
        conformal = first[3].number_input(
            "Error rate of prediction sets",
            0.0,
            0.5,
            0.1,
            0.01,
            format="%.3f",
            help="Prediction sets contain the true class, and intervals the true number, except for this share of "
            "rows. "
            "0 measures none.",
            key=Key.CALIBRATE_CONFORMAL.of(run.id),
        )
        with st.expander("Advanced", icon=":material/tune:"):
            kind, dataset, score, passes, others = _advanced(store, run)
        sent = st.form_submit_button("Measure calibration", type="primary", icon=":material/straighten:")
    if not sent:
        return None
    return CalibrationSettings(
        method=method,
        abstain_risk=value if abstain == "risk" else None,
        abstain_coverage=value if abstain == "coverage" else None,
        conformal=conformal or None,
        sets=kind,
        measure_ood=True,
        ood_dataset=dataset,
        ood_score=score,
        dropout_passes=passes,
        ensemble=tuple(others),
    )


def _advanced(store: Store, run: Run) -> tuple[Sets, str, Score, int, list[str]]:
    second = column_row([1.2, 1.2, 1.2, 1], Key.CALIBRATE_ROW.of(2), OnPhone.PAIRS)
    kind = second[0].selectbox(
        "Prediction sets",
        list(SETS),
        format_func=SETS.__getitem__,
        help="LAC gives the smallest sets on average; APS larger ones for difficult rows.",
        key=Key.CALIBRATE_SETS.of(run.id),
    )
    labels = unique_labels({"": "None", **{info.name: info.title for info in datasets(store.home)}})
    dataset = second[1].selectbox(
        "Unfamiliar data",
        list(labels),
        format_func=labels.__getitem__,
        help="Another dataset with inputs of the same shape. Scores should tell its rows apart, as well as corrupted "
        "rows.",
        key=Key.CALIBRATE_DATASET.of(run.id),
    )
    score = second[2].selectbox(
        "Abstain for unfamiliar inputs",
        list(SCORES),
        format_func=SCORES.__getitem__,
        help="Abstains from inputs whose score is below that of 95% of the validation rows.",
        key=Key.CALIBRATE_SCORE.of(run.id),
    )
    passes = second[3].number_input(
        "Dropout passes",
        0,
        MAX_PASSES,
        0,
        help="Monte Carlo dropout: averages this many predictions with active Dropout layers; 0 for none.",
        key=Key.CALIBRATE_PASSES.of(run.id),
    )
    runs = {other.id: other.title for other in store.runs(run.project_id) if other.id != run.id}
    names = unique_labels(runs)
    others = st.multiselect(
        "Ensemble with",
        list(names),
        format_func=names.__getitem__,
        placeholder="No other runs",
        help="Other runs of the same data, such as with other seeds, whose predictions are averaged with these.",
        key=Key.CALIBRATE_ENSEMBLE.of(run.id),
    )
    return kind, dataset, score, int(passes), others
