"""The Influence view, the most influential training rows; and the view of possible label errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import streamlit as st

from netloom.core.text import cut, escape, number, without_markup
from netloom.explain.core.checkpoint_path import Stage
from netloom.explain.core.explanation import Verdict
from netloom.explain.influence.influence import Against, Influence
from netloom.explain.influence.label_errors import PossibleLabelErrors
from netloom.explain.influence.tracin import URL, InfluentialRow
from netloom.explain.plots.colors import AGAINST, FOR
from netloom.jobs.requests.explanations import InfluentialRows, LabelErrors
from netloom.ui.components.charts.charts import MARGIN, TRAIN
from netloom.ui.components.examples.examples import show_example
from netloom.ui.components.figure_export import chart
from netloom.ui.explain.state import Key, current_side
from netloom.ui.explain.views.attribution import badges
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.data import Example
    from netloom.ui.explain.view import ViewContext

SEARCHING = "Comparing gradients of training rows …"
OF = {"answer": "Prediction", "truth": "Label"}
CARDS, COLUMNS = 10, 5
CARD = 150  # width of a card in pixels: five side by side at 1440 pixels, four at 1024


def influence_view(context: ViewContext) -> None:
    """Draw the view."""
    influence = _computed(context)
    key = Key.INFLUENCE_CHART.of(influence.against)
    sides = (
        ("Proponents", "Training on these rows decreased the loss.", influence.proponents),
        ("Opponents", "Training on these rows increased the loss.", influence.opponents),
    )
    for title, meaning, examples in sides:
        st.markdown(f"### {title}")
        st.caption(meaning if examples else "There are none.")
        _cards(context, examples)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badges(Verdict(influence.level, influence.verdict, model=influence.model))
            st.markdown(_numbers(influence), width="content")
        st.caption(escape(influence.verdict))
    st.caption(
        f"[TracInCP]({URL}) estimates how much each training row decreased (proponents) or increased (opponents) the "
        f"loss of this example, computed with its {OF[influence.against].lower()} and "
        f"{influence.parameters}. Removing these "
        "rows would not necessarily change the prediction."
    )
    table = {"row": influence.rows.tolist(), "influence": influence.influences.tolist()}
    chart(_bars(influence), key=key, name=f"influence on row {influence.row}", table=table)
    st.caption(f"The CSV has the {len(influence.rows):,} examined rows of {influence.training_rows:,} training rows.")
    _stages_table(influence.stages)


def _computed(context: ViewContext) -> Influence:
    both = context.trained.objective.task.per_class_scores and not isinstance(context.row, dict)
    against: Against | None = None
    if both and context.trained.data.schema.target.type.is_class:
        options: Any = {"required": True, "format_func": OF.__getitem__, "key": Key.INFLUENCE_LOSS}
        meaning = "Compute the loss of this example with the predicted class, or with its label."

        def choose() -> Against | None:
            chosen: Any = st.segmented_control(
                "Loss with respect to", list(OF), default="answer", help=meaning, **options
            )
            return cast("Against", chosen)

        against = context.setting(Key.INFLUENCE_LOSS, choose)
    return computed(InfluentialRows(context.weights, context.row, against), SEARCHING)


def _numbers(influence: Influence) -> str:
    count = f"**{len(influence.stages)}** checkpoint{'s' if len(influence.stages) > 1 else ''}"
    if influence.validation is None:
        return count
    # The weaker result of the two tests, of proponents and of opponents.
    ahead = 1 - max(influence.validation.gain_chance, influence.validation.harm_chance)
    return f"larger effect than **{ahead:.0%}** of random rows · {count}"


def _cards(context: ViewContext, examples: tuple[InfluentialRow, ...]) -> None:
    """Draw rows side by side with their influence, label and prediction."""
    with st.container(horizontal=True):  # as many per line as fit
        for example in examples:
            with st.container(border=True, gap="small", width=CARD):
                show_row(context.trained.data.example(example.row))
                st.markdown(f"**{example.influence:+.3g}**")
                st.caption(f"Row {example.row} · {_step_text(example)}")


def show_row(example: Example) -> None:
    """Draw a row on a card, with columns as lines, because a table does not fit."""
    show_example(replace(example, columns={}), small=True, side=current_side())
    cells = list(example.columns.items())
    lines = [f"{escape(name[:30])} **{escape(_cell(value))}**" for name, value in cells[:COLUMNS]]
    more = [f"… and {len(cells) - COLUMNS} more"] if len(cells) > COLUMNS else []
    if lines:
        st.caption("  \n".join([*lines, *more]))


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)[:40]


def _step_text(example: InfluentialRow) -> str:
    confidence = f" ({example.confidence:.0%})" if example.confidence is not None else ""
    return f"label **{escape(example.label[:40])}** · predicted **{escape(example.prediction[:40])}**{confidence}"


def _bars(influence: Influence) -> go.Figure:
    import plotly.graph_objects as go

    examples = [*influence.proponents, *reversed(influence.opponents)]
    trace = {
        "type": "bar",
        "x": [example.influence for example in examples],
        "y": [without_markup(f"row {example.row} · {cut(example.label, 24)}") for example in examples],
        "orientation": "h",
        "marker": {"color": [f"rgb({FOR if example.influence > 0 else AGAINST})" for example in examples]},
        "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
    }
    bound = max((abs(example.influence) for example in examples), default=1.0) * 1.05
    layout = {
        "height": 90 + 22 * len(examples),
        "margin": MARGIN,
        "xaxis": {"title": "Influence (decrease of the loss)", "range": [-bound, bound]},
        "yaxis": {"autorange": "reversed", "type": "category"},
    }
    return go.Figure([trace], layout)


def obstacle(context: ViewContext) -> str:
    """Return the reason why the view does not apply; "" if it does."""
    return context.unavailable("influence")


def _stages_table(stages: tuple[Stage, ...]) -> None:
    with st.expander("Checkpoints used", icon=":material/route:"):
        if stages[0].epoch == 0:
            st.caption("This run has no checkpoints from before the current weights, so only these were used.")
            return
        rows = [{"epoch": stage.epoch, "step": stage.step, "learning rate": stage.learning_rate} for stage in stages]
        st.dataframe(rows, hide_index=True, width="content")
        st.caption("Learning rate: the mean over the steps since the previous checkpoint.")


def label_errors_view(context: ViewContext) -> None:
    """Draw the training rows whose labels may be wrong."""
    suspects = computed(LabelErrors(context.weights), SEARCHING)
    if suspects.top_rows:
        first = suspects.top_rows[0]
        st.markdown(
            f"**Check row {first.row} first: its label is {escape(first.label)}, and the network predicts "
            f"{escape(first.prediction)}.** Its self-influence is the largest of {len(suspects.rows):,} training rows."
        )
    _cards(context, suspects.top_rows[:CARDS])
    st.caption(
        f"Training rows sorted by self-influence: how much training on a row decreased its own loss, computed with "
        f"{suspects.parameters} ([TracInCP]({URL})). {escape(suspects.sentence)}"
    )
    if not context.side and st.button(
        "Open data quality report",
        icon=":material/fact_check:",
        help="The report on the Data page finds label errors by cross-validating a simple model.",
    ):
        st.switch_page("pages/data.py")
    chart(_ranking(suspects), key=Key.LABEL_ERRORS, name="possible label errors", table=_table(suspects))
    st.dataframe(
        [
            {"row": suspect.row, "label": suspect.label, "prediction": suspect.prediction,
             "probability": suspect.confidence, "self-influence": suspect.influence, "mean loss": suspect.loss}
            for suspect in suspects.top_rows
        ],
        hide_index=True,
        column_config={"probability": st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")},
    )  # fmt: skip
    st.caption(
        f"The first {len(suspects.top_rows)} rows. The CSV above has the {len(suspects.rows):,} examined rows of "
        f"{suspects.training_rows:,} training rows."
    )
    _stages_table(suspects.stages)


def _table(suspects: PossibleLabelErrors) -> dict[str, list[Any]]:
    return {
        "row": suspects.rows.tolist(),
        "self_influence": suspects.self_influence.tolist(),
        "mean_loss": suspects.loss.tolist(),
        "label": list(suspects.labels),
        "prediction": list(suspects.predictions),
    }


def _ranking(suspects: PossibleLabelErrors) -> go.Figure:
    """Return a chart of the sorted self-influence; a steep start means a few rows unlike all others."""
    import plotly.graph_objects as go

    positions = list(range(1, len(suspects.rows) + 1))
    names = [f"row {row} · {label[:24]}" for row, label in zip(suspects.rows.tolist(), suspects.labels, strict=True)]
    trace = {
        "type": "scatter",
        "x": positions,
        "y": suspects.self_influence,
        "text": names,
        "mode": "lines",
        "line": {"color": TRAIN, "width": 2},
        "fill": "tozeroy",
        "hovertemplate": "%{text}: %{y:.4g}<extra></extra>",
    }
    axes = {"xaxis": {"title": "Rank"}, "yaxis": {"title": "Self-influence"}}
    return go.Figure([trace], {"height": 230, "margin": MARGIN, **axes})
