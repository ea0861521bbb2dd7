"""The calibration of a run: its probabilities before and after, and when it abstains."""

from __future__ import annotations

from typing import Any

import streamlit as st

from netloom.calibration import CalibrationReport, PartReport, apply
from netloom.calibration.conformal import IntervalCoverage, SetCoverage
from netloom.calibration.ensembles import EnsembleReport
from netloom.calibration.measures import Measured
from netloom.calibration.out_of_distribution import ScoreReport
from netloom.calibration.report import ObjectDecision
from netloom.calibration.selective import RiskCoverage, Selected
from netloom.core.text import escape, in_sentence
from netloom.data import DataError
from netloom.jobs import JobError, RunWeights
from netloom.jobs.requests.calibration import Calibrate
from netloom.runs.prediction import applied_calibration
from netloom.store import Run, RunArtifacts, Store
from netloom.tasks import metric, task
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.charts.calibration_charts import (
    reliability_chart,
    risk_coverage_chart,
    scores_chart,
    set_sizes_chart,
)
from netloom.ui.components.errors import show_error
from netloom.ui.components.figure_export import chart
from netloom.ui.runs.calibration_form import calibration_form
from netloom.ui.runs.state import Key, RunsState
from netloom.ui.shell.jobs import computed
from netloom.ui.train.run_actions import ask

CHART_WIDTH = 425  # pixels: three charts fit side by side on a page of 1440
MAX_STEPS = 24


def calibration(store: Store, run: Run) -> None:
    """Draw the form, the report of the calibration that was asked for last, and the buttons that apply or reset it."""
    declared = task(run.summary.objective)
    if not declared.confidence_unit:
        st.caption(declared.not_calibrated)
        return
    artifacts = store.artifacts(run.id)
    st.caption(
        "A network can be confident and wrong. Calibration corrects its probabilities on the validation rows, measures "
        "them on the test rows, and chooses when the network abstains."
        if declared.has_row_confidence
        else "A network can be confident and wrong. Calibration corrects its scores on the validation rows, and "
        f"measures them on the test rows. {declared.confidence_meaning}"
    )
    _applied(store, run)
    settings = calibration_form(store, run)
    state = RunsState.current()
    if settings is not None:
        state.calibrations[run.id] = settings
    requested = state.calibrations.get(run.id)
    if requested is None:
        return
    try:
        requested.check()
        weights = RunWeights(run.id, "", artifacts.weights_written_at())
        report = computed(Calibrate(weights, requested), "Measuring the calibration …")
    except (DataError, CheckpointError, JobError, ValueError, OSError) as error:
        show_error(error)
        return
    _report(run, report)
    _apply(store, run, report)


def _applied(store: Store, run: Run) -> None:
    """Draw whether predictions are calibrated, with the button that resets this."""
    artifacts = store.artifacts(run.id)
    if artifacts.calibration_stamp() is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_state(artifacts), width="content")
        if st.button("Reset", icon=":material/restart_alt:", key=Key.CALIBRATE_RESET.of(run.id)):
            ask(artifacts.delete_calibration, "Predictions are not calibrated any more.")


def _state(artifacts: RunArtifacts) -> str:
    """Return whether the saved calibration is used, as a sentence."""
    try:
        used = applied_calibration.current(artifacts) is not None
    except (CheckpointError, FileNotFoundError) as error:
        return f":material/error: {escape(str(error))}"
    if used:
        return ":material/verified: Predictions of this run are calibrated."
    return (
        ":material/warning: The calibration belongs to other weights of the run, so predictions do not use it. "
        "Measure and apply it again."
    )


def _apply(store: Store, run: Run, report: CalibrationReport) -> None:
    st.caption(
        "After Apply, the predictions of the run use this calibration: in the app, on the command line, in Python and "
        "in exported bundles."
    )
    even_if_worse = report.worse and st.checkbox(
        "Apply it even if it is worse",
        key=Key.CALIBRATE_WORSE.of(run.id),
        help="On the test rows, the probabilities have a clearly higher log loss with this calibration than without.",
    )
    is_allowed = even_if_worse or not report.worse
    if st.button(
        "Apply",
        type="primary",
        icon=":material/check:",
        key=Key.CALIBRATE_APPLY.of(run.id),
        disabled=not is_allowed,
    ):
        ask(
            lambda: apply(store.artifacts(run.id), report, even_if_worse=even_if_worse),
            "Predictions use this calibration now.",
        )


def _report(run: Run, report: CalibrationReport) -> None:
    st.markdown(f"**{escape(report.verdict)}**")
    for warning in report.warnings:
        st.caption(f":material/warning: {escape(warning)}")
    for part in report.parts:
        if part.name:
            st.markdown(f"### {escape(part.name)}")
        _part(run, part)
    for score in report.scores:
        _score(run, score)
    for ensemble in report.ensembles:
        _ensemble(ensemble)


def _part(run: Run, part: PartReport) -> None:
    """Draw the measures of one output, and what its thresholds give."""
    for sentence in part.missed:
        st.caption(escape(sentence))
    if part.before is not None:
        _measures(part.before, part.after)
    with st.container(horizontal=True):
        if part.before is not None:
            with st.container(width=CHART_WIDTH):
                _reliability(
                    run, part.name, part.before, part.after, "accuracy" if part.decision is None else "precision"
                )
        if part.risk_coverage is not None:
            with st.container(width=CHART_WIDTH):
                _risk(run, part.name, part.risk_coverage, part.selected)
        if part.sets is not None:
            with st.container(width=CHART_WIDTH):
                _sets(run, part.name, part.sets)
    if part.interval is not None:
        _intervals(part.interval)
    if part.decision is not None:
        _decision(part.decision)


def _measures(before: Measured, after: Measured | None) -> None:
    rows: list[dict[str, Any]] = []
    for name, value in before.measures.items():
        declared = metric(name)
        row = {"Measure": declared.title, "Before": _cell(name, value, before.intervals)}
        if after is not None:
            row["After"] = _cell(name, after.measures[name], after.intervals)
        rows.append({**row, "Meaning": declared.help or "The share of correct predictions"})
    st.dataframe(rows, hide_index=True, width="stretch")
    rising = [metric(name).title for name in before.measures if metric(name).higher_is_better]
    exception = f", except for {in_sentence(' and '.join(rising))}" if rising else ""
    st.caption(f"On the test rows, with 95% confidence intervals. Lower is better{exception}.")


def _cell(name: str, value: float, intervals: dict[str, tuple[float, float]]) -> str:
    written = metric(name).written
    if name not in intervals:
        return written(value)
    low, high = intervals[name]
    return f"{written(value)} ({written(low)} – {written(high)})"


def _reliability(run: Run, name: str, before: Measured, after: Measured | None, right: str) -> None:
    st.markdown("**Reliability**")
    adaptive = st.toggle(
        "Bins of equal mass",
        key=Key.CALIBRATE_BINS.of(run.id, name),
        help="Bins of equally many predictions instead of equal width, which shows more where most predictions are.",
    )
    each = {"before": before} | ({"after": after} if after is not None else {})
    diagrams = {when: item.equal_mass if adaptive else item.equal_width for when, item in each.items()}
    table = [
        {"calibration": when, "confidence": confidence, "right": right, "count": count}
        for when, diagram in diagrams.items()
        for confidence, right, count in zip(diagram.confidence, diagram.right, diagram.count, strict=True)
    ]
    key = Key.CALIBRATE_RELIABILITY.of(run.id, name, adaptive)
    chart(reliability_chart(diagrams, right), key=key, name=f"reliability {name}", table=table)
    st.caption(f"On the diagonal, the confidence equals the {right}. Larger points have more predictions.")


def _risk(run: Run, name: str, curve: RiskCoverage, chosen: Selected | None) -> None:
    st.markdown("**Risk and coverage**")
    numbers = {"coverage": curve.coverage, "risk": curve.risk}
    figure = risk_coverage_chart(curve, chosen)
    chart(figure, key=Key.CALIBRATE_RISK.of(run.id, name), name=f"risk coverage {name}", table=numbers)
    text = (
        "The share of wrong answers if only the most confident rows are answered. The area under the curve (AURC) is "
        f"{curve.area:.4f}; that of the best possible order of the rows is {curve.best_area:.4f}."
    )
    if chosen is not None:
        risk = "" if chosen.risk is None else f", {chosen.risk:.1%}{_range(chosen.risk_interval)} of them wrong"
        text += (
            " With abstention, the network answers "
            f"{chosen.coverage:.1%}{_range(chosen.coverage_interval)} of the test rows{risk}."
        )
    st.caption(text)


def _sets(run: Run, name: str, sets: SetCoverage) -> None:
    st.markdown("**Prediction sets**")
    sizes = sets.sizes
    numbers = {"classes": range(1, len(sizes) + 1), "rows": sizes}
    figure = set_sizes_chart(sizes)
    chart(figure, key=Key.CALIBRATE_SIZES.of(run.id, name), name=f"set sizes {name}", table=numbers)
    worst = min(sets.by_class, key=sets.by_class.__getitem__)
    st.caption(
        f"{sets.coverage:.1%}{_range(sets.interval)} of the sets contain the true class, with {sets.mean_size:.2f} "
        "classes on average. The coverage is that of all rows, and not of each class; the least covered class is "
        f"{escape(worst)} with {sets.by_class[worst]:.0%}."
    )


def _intervals(interval: IntervalCoverage) -> None:
    rows = []
    for index, (coverage, width) in enumerate(zip(interval.coverage, interval.width, strict=True)):
        reach = _range(interval.intervals[index] if interval.intervals else None)
        name = interval.names[index] if interval.names else str(index + 1)
        rows.append({"Number": name, "Coverage": f"{coverage:.1%}{reach}", "Width": width})
    st.markdown("**Intervals**")
    st.dataframe(
        rows[:MAX_STEPS],
        hide_index=True,
        width="content",
        column_config={"Width": st.column_config.NumberColumn(format="%.4g")},
    )
    st.caption("The share of test rows whose true number lies in the interval, and its width in the unit of the data.")


def _decision(decision: ObjectDecision) -> None:
    scores = ", ".join(
        f"{metric(name).title} {metric(name).written(value)}" for name, value in decision.metrics.items()
    )
    st.caption(
        f"Objects are predicted from a score of {decision.score:.1%} of the network, which is a confidence of "
        f"{decision.confidence:.1%}: the threshold with the best F1 on the validation rows. A calibration predicts the "
        f"same objects in the same order. On the test rows: {scores}."
    )


def _range(interval: tuple[float, float] | None) -> str:
    return f" ({interval[0]:.1%} – {interval[1]:.1%})" if interval else ""


def _score(run: Run, score: ScoreReport) -> None:
    """Draw one out-of-distribution score: its histogram, and how well it separates unfamiliar rows."""
    st.markdown(f"**Unfamiliar inputs: {score.title}**")
    with st.container(horizontal=True):
        with st.container(width=CHART_WIDTH):
            figure = scores_chart(score.title, score.drawn, score.threshold)
            chart(figure, key=Key.CALIBRATE_OOD.of(run.id, score.name), name=f"scores {score.name}")
        with st.container(width=CHART_WIDTH):
            rows = [
                {"Rows": item.other, "AUROC": f"{item.auroc:.3f}", "FPR at 95%": f"{item.fpr95:.1%}"}
                for item in score.separates
            ]
            st.dataframe(rows, hide_index=True, width="stretch")
            note = (
                "" if score.applies else " This score needs features of the network, so it is not part of predictions."
            )
            st.caption(
                "A higher score means a more familiar row. AUROC: 1 separates all unfamiliar rows from the test rows, "
                "and 0.5 is chance. FPR at 95%: the share of unfamiliar rows that is accepted if 95% of the test rows "
                f"are. The threshold, which accepts 95% of the validation rows, accepts {score.accepted:.1%} of the "
                f"test rows.{note}"
            )


def _ensemble(ensemble: EnsembleReport) -> None:
    title = "Monte Carlo dropout" if ensemble.kind == "dropout" else "Ensemble of runs"
    st.markdown(f"**{title}: mean of {ensemble.members} predictions**")
    rows = [
        {
            "Measure": metric(name).title,
            "One prediction": metric(name).written(value),
            "Mean": metric(name).written(ensemble.after[name]),
        }
        for name, value in ensemble.before.items()
    ]
    st.dataframe(rows, hide_index=True, width="content")
    areas = [
        f"{name} {value:.3f}"
        for name, value in (
            ("predictive entropy", ensemble.entropy_auroc),
            ("mutual information", ensemble.information_auroc),
        )
        if value is not None
    ]
    st.caption(
        f"The predictive entropy is {ensemble.entropy:.3f} nats; {ensemble.mutual_information:.3f} of them come from "
        "disagreement between predictions (mutual information)."
        + (f" AUROC for the detection of mistakes: {', '.join(areas)}." if areas else "")
    )
