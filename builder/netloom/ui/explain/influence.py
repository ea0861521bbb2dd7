"""The view of what taught a network its answer: rows of the training data for and against it, and suspicious labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import number
from netloom.explain.core.explanation import Verdict
from netloom.explain.dataset.checkpoint_path import Stage
from netloom.explain.influence.influence import URL, Against, Influence, Lesson, Suspects
from netloom.explain.plots.colors import AGAINST, FOR
from netloom.jobs.explanations import InfluentialRows, LabelErrors
from netloom.ui.components.charts import MARGIN, TRAIN
from netloom.ui.components.figure_export import chart
from netloom.ui.components.words import plain
from netloom.ui.explain.attribution import badges
from netloom.ui.explain.state import Key
from netloom.ui.shell.jobs import computed
from netloom.ui.train.results import show_example

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.data import Example
    from netloom.ui.explain.views import Look

TAUGHT, SUSPICIOUS = "Influential training examples", "Possible label errors"
SEARCHING = "Comparing gradients of training rows …"
OF = {"answer": "Prediction", "truth": "Label"}
CARDS, COLUMNS = 10, 5
CARD = 150  # pixels of the width of a card: five beside each other at 1440, four at 1024


def influences(look: Look) -> None:
    """The whole view."""
    hidden: Any = {"required": True, "label_visibility": "collapsed"}
    which = st.segmented_control("Rows", [TAUGHT, SUSPICIOUS], default=TAUGHT, key=Key.INFLUENCE_VIEW, **hidden)
    if which == TAUGHT:
        _taught(look)
    else:
        _suspicious(look)


def obstacle(look: Look) -> str:
    """Why there is nothing to show."""
    return look.unavailable("influence")


def _taught(look: Look) -> None:
    found = _found(look)
    st.caption(
        f"[TracInCP]({URL}) estimates how much each training row decreased (proponents) or increased (opponents) the "
        f"loss of this example, computed with its {OF[found.against].lower()} and {found.looked_by}. Removing these "
        "rows would not necessarily change the prediction."
    )
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badges(Verdict(found.level, found.verdict, model=found.model))
            st.markdown(_numbers(found), width="content")
        st.caption(plain(found.verdict))
    key = Key.INFLUENCE_CHART.of(found.against)
    sides = (
        ("Proponents", "Training on these rows decreased the loss.", found.lessons_for),
        ("Opponents", "Training on these rows increased the loss.", found.lessons_against),
    )
    for title, meaning, lessons in sides:
        st.markdown(f"#### {title}")
        st.caption(meaning if lessons else "There are none.")
        _cards(look, lessons)
    table = {"row": found.rows.tolist(), "influence": found.influences.tolist()}
    chart(_bars(found), key=key, name=f"influence on row {found.row}", table=table)
    st.caption(f"The CSV has the {len(found.rows):,} examined rows of {found.training_rows:,} training rows.")
    _way(found.stages)


def _found(look: Look) -> Influence:
    both = look.trained.objective.task.per_class_scores and not isinstance(look.row, dict)
    against: Against | None = None
    if both and look.trained.data.schema.target.type.is_class:
        options: Any = {"required": True, "format_func": OF.__getitem__, "key": Key.INFLUENCE_LOSS}
        meaning = "Compute the loss of this example with the predicted class, or with its label."
        chosen: Any = st.segmented_control("Loss with respect to", list(OF), default="answer", help=meaning, **options)
        against = chosen
    return computed(InfluentialRows(look.weights, look.row, against), SEARCHING)


def _numbers(found: Influence) -> str:
    count = f"**{len(found.stages)}** checkpoint{'s' if len(found.stages) > 1 else ''}"
    if found.tried is None:
        return count
    ahead = 1 - max(found.tried.gain_chance, found.tried.harm_chance)
    return f"larger effect than **{ahead:.0%}** of random rows · {count}"


def _cards(look: Look, lessons: tuple[Lesson, ...]) -> None:
    """Rows side by side, with their numbers, their labels and what the network says of them."""
    with st.container(horizontal=True):  # as many beside each other as there is room for
        for lesson in lessons:
            with st.container(border=True, gap="small", width=CARD):
                show_row(look.trained.data.example(lesson.row))
                st.markdown(f"**{lesson.influence:+.3g}**")
                st.caption(f"Row {lesson.row} · {_said(lesson)}")


def show_row(example: Example) -> None:
    """A row on a card: as everywhere, but columns as lines, since a table does not fit."""
    show_example(replace(example, columns={}), small=True)
    cells = list(example.columns.items())
    lines = [f"{plain(name[:30])} **{plain(_cell(value))}**" for name, value in cells[:COLUMNS]]
    more = [f"… and {len(cells) - COLUMNS} more"] if len(cells) > COLUMNS else []
    if lines:
        st.caption("  \n".join([*lines, *more]))


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)[:40]


def _said(lesson: Lesson) -> str:
    sure = f" ({lesson.sure:.0%})" if lesson.sure is not None else ""
    return f"label **{plain(lesson.label[:40])}** · predicted **{plain(lesson.says[:40])}**{sure}"


def _bars(found: Influence) -> go.Figure:
    import plotly.graph_objects as go

    lessons = [*found.lessons_for, *reversed(found.lessons_against)]
    figure = go.Figure(
        go.Bar(
            x=[lesson.influence for lesson in lessons],
            y=[f"row {lesson.row} · {lesson.label[:24]}" for lesson in lessons],
            orientation="h",
            marker_color=[f"rgb({FOR if lesson.influence > 0 else AGAINST})" for lesson in lessons],
            hovertemplate="%{y}: %{x:.4g}<extra></extra>",
        )
    )
    bound = max((abs(lesson.influence) for lesson in lessons), default=1.0) * 1.05
    figure.update_layout(height=90 + 22 * len(lessons), margin=MARGIN)
    figure.update_xaxes(title="Influence (decrease of the loss)", range=[-bound, bound])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def _way(stages: tuple[Stage, ...]) -> None:
    with st.expander("Checkpoints used", icon=":material/route:"):
        if stages[0].epoch == 0:
            st.caption("This run has no checkpoints from before the current weights, so only these were used.")
            return
        rows = [{"epoch": one.epoch, "step": one.step, "learning rate": one.learning_rate} for one in stages]
        st.dataframe(rows, hide_index=True, width="content")
        st.caption("Learning rate: the mean over the steps since the previous checkpoint.")


def _suspicious(look: Look) -> None:
    found = computed(LabelErrors(look.weights), SEARCHING)
    st.caption(
        f"Training rows sorted by self-influence: how much training on a row decreased its own loss, computed with "
        f"{found.looked_by} ([TracInCP]({URL})). {plain(found.sentence)}"
    )
    if st.button(
        "Open data quality report",
        icon=":material/fact_check:",
        help="The report on the Data page finds label errors by cross-validating a simple model.",
    ):
        st.switch_page("pages/data.py")
    _cards(look, found.first[:CARDS])
    chart(_ranking(found), key=Key.LABEL_ERRORS, name="possible label errors", table=_table(found))
    st.dataframe(
        [
            {"row": one.row, "label": one.label, "prediction": one.says, "probability": one.sure,
             "self-influence": one.influence, "mean loss": one.loss}
            for one in found.first
        ],
        hide_index=True,
        column_config={"probability": st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")},
    )  # fmt: skip
    st.caption(
        f"The first {len(found.first)} rows. The CSV above has the {len(found.rows):,} examined rows of "
        f"{found.training_rows:,} training rows."
    )
    _way(found.stages)


def _table(found: Suspects) -> dict[str, list[Any]]:
    return {
        "row": found.rows.tolist(),
        "self_influence": found.self_influence.tolist(),
        "mean_loss": found.loss.tolist(),
        "label": list(found.labels),
        "prediction": list(found.says),
    }


def _ranking(found: Suspects) -> go.Figure:
    """How steeply the ranking falls: a steep beginning is a few rows unlike all others."""
    import plotly.graph_objects as go

    places = list(range(1, len(found.rows) + 1))
    names = [f"row {row} · {label[:24]}" for row, label in zip(found.rows.tolist(), found.labels, strict=True)]
    figure = go.Figure(
        go.Scatter(
            x=places,
            y=found.self_influence,
            text=names,
            mode="lines",
            line={"color": TRAIN, "width": 2},
            fill="tozeroy",
            hovertemplate="%{text}: %{y:.4g}<extra></extra>",
        )
    )
    figure.update_layout(height=230, margin=MARGIN, xaxis_title="Rank", yaxis_title="Self-influence")
    return figure
