"""The form that chooses what a calibration measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.calibration import CalibrationSettings
from netloom.calibration.scaling import calibrators
from netloom.calibration.settings import MAX_PASSES, NONE
from netloom.data.preparation.prepare import datasets
from netloom.store import Run, Store
from netloom.tasks import task
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.words import unique_labels
from netloom.ui.runs.state import Key

Name = TypeVar("Name", bound=str)
Abstain = Literal["never", "risk", "coverage"]
Score = Literal["", "softmax", "energy"]
Sets = Literal["lac", "aps"]
ABSTAIN: dict[Abstain, str] = {"never": "Never", "risk": "For a risk", "coverage": "For a coverage"}
SCORES: dict[Score, str] = {"": "By none", "softmax": "Maximum probability", "energy": "Energy"}
SETS: dict[Sets, str] = {"lac": "Smallest sets (LAC)", "aps": "Adaptive sets (APS)"}


def _choice(column: DeltaGenerator, title: str, labels: Mapping[Name, str], help: str, key: str) -> Name:
    """Draw a choice of names by their labels."""
    return column.selectbox(title, list(labels), format_func=labels.__getitem__, help=help, key=key)


def calibration_form(store: Store, run: Run) -> CalibrationSettings | None:
    """Draw the form, and return the settings when it is sent."""
    if not task(run.summary.objective).has_row_confidence:
        return _method_form(run)
    with st.form(Key.CALIBRATE_FORM.of(run.id), border=False):
        first = column_row([1.2, 1.2, 1, 1.4], Key.CALIBRATE_ROW.of(1), OnPhone.PAIRS)
        method = _method(first[0], run)
        abstain = _choice(
            first[1],
            "Abstain",
            ABSTAIN,
            "Below a threshold of the confidence, the network does not answer. The threshold is chosen on the "
            "validation rows, for a share of wrong answers or a share of answered rows.",
            Key.CALIBRATE_ABSTAIN.of(run.id),
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
            help="The share of rows whose prediction set may miss the true class, or whose interval may miss the true "
            "number. 0 for neither.",
            key=Key.CALIBRATE_CONFORMAL.of(run.id),
        )
        with st.expander("Advanced", icon=":material/tune:"):
            kind, dataset, score, passes, ensemble_members = _advanced(store, run)
        sent = _submit()
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
        ensemble=tuple(ensemble_members),
    )


def _method_form(run: Run) -> CalibrationSettings | None:
    """Draw the form of a run whose rows have no confidence as a whole, so that only the method is chosen."""
    with st.form(Key.CALIBRATE_FORM.of(run.id), border=False):
        method = _method(column_row([1.2, 3.6], Key.CALIBRATE_ROW.of(1), OnPhone.PAIRS)[0], run)
        sent = _submit()
    return CalibrationSettings(method=method) if sent else None


def _method(column: DeltaGenerator, run: Run) -> str:
    titles = {name: kind.title for name, kind in calibrators().items()} | {NONE: "None"}
    helps = " ".join(f"{kind.title}: {kind.help}" for kind in calibrators().values())
    return _choice(column, "Method", titles, helps, Key.CALIBRATE_METHOD.of(run.id))


def _submit() -> bool:
    return st.form_submit_button("Measure calibration", type="primary", icon=":material/straighten:")


def _advanced(store: Store, run: Run) -> tuple[Sets, str, Score, int, list[str]]:
    second = column_row([1.2, 1.2, 1.2, 1], Key.CALIBRATE_ROW.of(2), OnPhone.PAIRS)
    kind = _choice(
        second[0],
        "Prediction sets",
        SETS,
        "LAC gives the smallest sets on average; APS larger ones for difficult rows.",
        Key.CALIBRATE_SETS.of(run.id),
    )
    labels = unique_labels({"": "None", **{info.name: info.title for info in datasets(store.home)}})
    dataset = _choice(
        second[1],
        "Unfamiliar data",
        labels,
        "Another dataset with inputs of the same shape. A good score separates its rows, and corrupted rows, from "
        "the test rows.",
        Key.CALIBRATE_DATASET.of(run.id),
    )
    score = _choice(
        second[2],
        "Abstain for unfamiliar inputs",
        SCORES,
        "Abstains for inputs whose score is lower than that of 95% of the validation rows.",
        Key.CALIBRATE_SCORE.of(run.id),
    )
    passes = second[3].number_input(
        "Dropout passes",
        0,
        MAX_PASSES,
        0,
        help="Monte Carlo dropout: averages this many predictions with active Dropout layers; 0 for none.",
        key=Key.CALIBRATE_PASSES.of(run.id),
    )
    runs = {candidate.id: candidate.title for candidate in store.runs(run.project_id) if candidate.id != run.id}
    names = unique_labels(runs)
    ensemble_members = st.multiselect(
        "Ensemble with",
        list(names),
        format_func=names.__getitem__,
        placeholder="Choose runs" if names else "No other runs",
        help="Other runs of the same data, such as with other seeds, whose predictions are averaged with these.",
        key=Key.CALIBRATE_ENSEMBLE.of(run.id),
    )
    return kind, dataset, score, int(passes), ensemble_members
