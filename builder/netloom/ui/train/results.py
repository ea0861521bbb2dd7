"""The results of a run: test metrics, charts, worst examples, and exports."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, assert_never

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.core.text import escape
from netloom.data import DataError, Prepared, prepare
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.requests.inspection import Inspect
from netloom.runs.history.setting_changes import change_sentence
from netloom.store import Run
from netloom.tasks import metric
from netloom.training import Evaluation, Reference
from netloom.training.chance import chance_sentence
from netloom.training.objectives.evaluation import (
    HORIZON_HEADING,
    LIKENESS,
    ClassReport,
    EmbeddingMap,
    EvaluationPart,
    OutputEvaluation,
    PanelList,
    ResidualPlot,
    Residuals,
    SampleImages,
    ScoreRow,
    ScoreTable,
    SeparationPlot,
)
from netloom.ui.components.card_grid import card_grid
from netloom.ui.components.caveats import score_caveats
from netloom.ui.components.charts.charts import confusion_chart, described, residual_charts
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.example_panels import embedding_chart, panels, samples, separation_charts
from netloom.ui.components.examples.examples import show_example
from netloom.ui.components.figure_export import chart
from netloom.ui.components.metric_texts import heading, measured
from netloom.ui.explain.mistakes import explain_button
from netloom.ui.explain.state import WorstExamples
from netloom.ui.shell.background import in_background
from netloom.ui.shell.jobs import prefetch
from netloom.ui.train.state import WORST_TAB, Key

if TYPE_CHECKING:
    import plotly.graph_objects as go

WORST_EXAMPLES = WorstExamples("train", "Train", Key.RESULTS, WORST_TAB)
INTERVAL_HELP = "95% CI: the 95% confidence interval of the metric, given the number of test rows."
REFERENCE_HELP = "The last line of each metric is a baseline predictor on the same rows. A useful model beats it."
# Metrics of classes from 0 to 1, and short titles of columns.
SHARES = ("precision", "recall", "f1", "average_precision", "roc_auc", "dice", "iou", "map", "map_50", "map_75")
# Columns of errors and their ratios, some of them of the naive forecast.
_OF_NETWORK = ("rmse", "mae", "r2", "scaled_rmse", "scaled_mae", "mase")
ERRORS = (*_OF_NETWORK, *(f"naive_{name}" for name in _OF_NETWORK))
# In pixels: the width of the longest title and the longest number of a metric.
METRIC_WIDTH = 172
# Two metrics fit beside each other.
METRICS_ON_PHONE = """<style>@media (max-width: 640px) {
  [class*=st-key-test-metrics] > * { flex: 0 0 calc(50% - 0.5rem); width: auto; min-width: 0; }
  [class*=st-key-test-metrics] > * > .stVerticalBlock { width: 100%; }
}</style>"""
# In pixels: the confusion matrix and the report per class fit side by side on a page of 1440 pixels.
CONFUSION_WIDTH, REPORT_WIDTH, RESIDUALS_WIDTH = 490, 440, 465


def test_metrics(run: Run, evaluation: Evaluation) -> None:
    """Draw the test metrics of a run that has ended, and what they depend on."""
    st.markdown("## Test episodes" if evaluation.episodes else "## Test metrics")
    _metrics(evaluation, run)
    score_caveats(evaluation.caveats)
    if sentence := chance_sentence(evaluation):
        st.caption(f":material/warning: {escape(sentence)}")
    for change in run.summary.changes:
        st.caption(change_sentence(change))
    if evaluation.episodes:
        st.caption(
            f"Means over {evaluation.rows} episodes whose start states were not used for training or "
            "for selecting the best weights. The agent takes the best action at every step. Random: the same start "
            "states, with random actions."
        )
    else:
        st.caption(
            f"{evaluation.rows:,} test rows, which were not used for training or for selecting the best weights."
        )


def prefetch_explanations(live: Live, run: Run) -> None:
    """Let a worker read the data, so that the Explain page, usually the next one, need not wait."""
    artifacts = live.store.artifacts(run.id)
    prefetch(Inspect(RunWeights(run.id, artifacts.default_weights(), artifacts.weights_written_at())))


def _metrics(evaluation: Evaluation, run: Run | None = None, output: str = "") -> None:
    """Draw metrics side by side, each with its confidence interval and that of a trivial predictor.

    Of several outputs, these are the loss, which is common to all of them, and the leading metric of each output; the
    others are drawn with the output.
    """
    names = list(evaluation.metrics)
    if evaluation.outputs is not None:
        names = ["loss", *(name for part in evaluation.outputs if (name := _leading_metric(evaluation, part)))]
    st.html(METRICS_ON_PHONE)
    with st.container(horizontal=True, gap="small", key=Key.METRICS.of(output)):
        for name in names:
            title, text = measured(name, evaluation.metrics[name], run)
            with st.container(border=True, width=METRIC_WIDTH, gap=None):
                st.metric(title, text, help=metric(name).help or None)
                if lines := _beside(evaluation, name):
                    st.caption("  \n".join(lines))
    if evaluation.unit:
        st.caption(escape(evaluation.unit))
    helps = {INTERVAL_HELP: bool(evaluation.intervals), REFERENCE_HELP: evaluation.reference is not None}
    if any(helps.values()):
        st.caption(" ".join(text for text, is_shown in helps.items() if is_shown))


def _leading_metric(evaluation: Evaluation, part: OutputEvaluation) -> str | None:
    """Return the first metric of one of several outputs except for its loss, by its name among the metrics of all."""
    end = _ending(part)
    return next((name for name in evaluation.metrics if name.endswith(end) and name != f"loss{end}"), None)


def _ending(part: OutputEvaluation) -> str:
    """Return how the names of the metrics of one of several outputs end among the metrics of all."""
    return f" ({part['name']})"


def _beside(evaluation: Evaluation, name: str) -> list[str]:
    """Return the confidence interval of a metric and its reference value, if they are known."""
    written = partial(metric(name).written, digits=3)  # so that both ends fit beside each other
    lines = []
    if name in evaluation.intervals:
        low, high = evaluation.intervals[name]
        lines.append(f"95% CI {written(low)} – {written(high)}")
    if evaluation.reference is not None and name in evaluation.reference.metrics:
        lines.append(f"{evaluation.reference.title}: {written(evaluation.reference.metrics[name])}")
    return lines


def metric_charts(evaluation: Evaluation, name: str = "") -> None:
    """Draw the charts of an evaluation; `name` distinguishes the widgets of several outputs."""
    for part in evaluation.outputs or ():
        _output(evaluation, part)
    if evaluation.outputs is not None:
        return
    for shown in evaluation.parts:
        _part(shown, name)
    if not evaluation.parts:
        st.caption("A language model has no confusion matrix. The Errors tab has the passages with the greatest loss.")


def _part(part: EvaluationPart, name: str) -> None:
    """Draw a part of the evaluation of the output `name`."""
    match part:
        case ClassReport():
            with st.container(horizontal=True):  # side by side if both fit, else one below the other
                with st.container(width=CONFUSION_WIDTH):
                    _confusion(part, name)
                _report(st.container(width=REPORT_WIDTH), part.rows)
        case ScoreTable():
            _report(st.container(), part.rows)
        case ResidualPlot():
            _residuals(part.values, name)
        case SeparationPlot():
            separation_charts(part.values, name)
        case EmbeddingMap():
            figure = embedding_chart(part.values)
            alt = described(figure, "test rows in the plane")
            st.plotly_chart(figure, width="stretch", key=Key.EMBEDDING.of(name), alt=alt)
        case SampleImages():
            samples(part.groups, judged=part.judged)
        case PanelList():
            panels(part.panels, part.classes)
        case _:
            assert_never(part)


def _confusion(report: ClassReport, name: str) -> None:
    counts = [
        dict(zip(("true", *report.classes), (true, *row), strict=True))
        for true, row in zip(report.classes, report.confusion, strict=True)
    ]
    figure = _confusion_figure(tuple(map(tuple, report.confusion)), tuple(report.classes))
    chart(figure, key=Key.CONFUSION.of(name), name=f"confusion matrix {name}", table=counts)


@lru_cache(32)
def _confusion_figure(counts: tuple[tuple[int, ...], ...], classes: tuple[str, ...]) -> go.Figure:
    """Return the confusion matrix, whose annotations take Plotly longer than the rest of the page."""
    return confusion_chart(counts, classes)


def _residuals(residuals: Residuals, name: str) -> None:
    with st.container(horizontal=True):
        numbers = {"true": residuals["target"], "predicted": residuals["predicted"]}
        for index, figure in enumerate(residual_charts(*numbers.values())):
            with st.container(width=RESIDUALS_WIDTH):
                chart(figure, key=Key.RESIDUALS.of(index, name), name=f"residuals {name}", table=numbers)


def _output(evaluation: Evaluation, part: OutputEvaluation) -> None:
    """Draw the evaluation of one of several outputs."""
    st.markdown(f"### {escape(part['name'])}")
    st.caption(f"{part['objective']} · weight {part['weight']:g} in the loss")
    _metrics(_of_output(evaluation, part), output=part["name"])
    single = Evaluation(
        split=evaluation.split,
        rows=evaluation.rows,
        metrics=part["metrics"],
        classes=part["classes"],
        confusion=part["confusion"],
        report=part["report"],
        residuals=part["residuals"],
        separation=part["separation"],
    )
    metric_charts(single, part["name"])


def _of_output(evaluation: Evaluation, part: OutputEvaluation) -> Evaluation:
    """Return the metrics of one of several outputs, without its name."""
    reference, end = evaluation.reference, _ending(part)
    intervals = {name.removesuffix(end): value for name, value in evaluation.intervals.items() if name.endswith(end)}
    if reference is not None:
        metrics = {name.removesuffix(end): value for name, value in reference.metrics.items() if name.endswith(end)}
        reference = Reference(reference.title, metrics)
    return Evaluation(evaluation.split, evaluation.rows, part["metrics"], reference=reference, intervals=intervals)


def _report(container: DeltaGenerator, lines: list[ScoreRow]) -> None:
    """Draw a table of the scores of each class."""
    # Narrow enough that no column is cut off beside the confusion matrix.
    share = st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f", width=84)
    # A row number is last, because a narrow screen shows few columns.
    rows = [{_column(name): line[name] for name in sorted(line, key=lambda name: name == "row")} for line in lines]
    number = st.column_config.NumberColumn(format="%.4g")
    columns = {**dict.fromkeys(SHARES, share), **dict.fromkeys(ERRORS, number)}
    columns |= dict.fromkeys(("examples", "objects"), st.column_config.NumberColumn(width=72))
    container.dataframe(
        rows, hide_index=True, column_config={_column(name): config for name, config in columns.items()}
    )


def _column(name: str) -> str:
    return metric(name).class_title or heading(name)


def worst_rows(live: Live, run: Run, evaluation: Evaluation) -> None:
    """Draw the errors of each forecast series at each step, and the mistakes on the test rows, largest loss first."""
    if rows := evaluation.horizon_table:
        st.markdown("### Errors by series and step")
        numbers = st.column_config.NumberColumn(format="%.4g")
        config = dict.fromkeys(list(rows[0])[1:], numbers) | {"series": st.column_config.TextColumn("Series")}
        st.dataframe(rows, hide_index=True, width="content", column_config=config)
        st.caption(f"{HORIZON_HEADING}.")
        st.markdown("### Worst examples")
    try:
        choice = live.store.artifacts(run.id).project().data
        data = in_background(partial(prepare, choice, live.store.home), "Reading the data …")
    except DataError as error:
        show_error(error)
        return
    worst_examples(run, evaluation, data, WORST_EXAMPLES)


def worst_examples(run: Run, evaluation: Evaluation, data: Prepared, place: WorstExamples) -> None:
    """Draw the mistakes with the largest loss, each with a link to its explanation. `place` shows them."""
    if not evaluation.mistakes:
        generated = "Generated examples have no true answer, so there are no worst examples."
        none = "This task has no single true answer per row, so there are no worst examples."
        correct = "All test rows are predicted correctly, so there are no worst examples."
        st.caption(generated if LIKENESS in evaluation.metrics else correct if evaluation.worst else none)
        return
    cards = card_grid(f"mistakes {run.id}", swiped=True, small=True)
    for worst in evaluation.mistakes:
        with cards, st.container(border=True, height="stretch"):
            show_example(data.example(worst.row), small=True)
            sure = f" ({worst.confidence:.0%})" if worst.confidence is not None else ""
            truth, predicted = escape(worst.target[:60]), escape(worst.predicted[:60])
            # A reconstruction does not predict the class, so only its error is shown.
            comparison = (
                f"{truth} · **{predicted}**"
                if "explained" in evaluation.metrics
                else f"true **{truth}** · predicted **{predicted}**"
            )
            st.caption(f"Row {worst.row} · {comparison}{sure}")
            explain_button(run, worst.row, place)
